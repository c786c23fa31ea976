package pkcs11

import (
	"context"
	"errors"
	"fmt"

	"kosk/drivers/card"
	"kosk/drivers/card/icao"
	"kosk/drivers/signer"
)

// PKCS#11 tells that tries are low, but not how many are left, so cards of the
// layout of EstEID 3.5 are asked themselves: a file in the master file has a
// record for every secret, with tries at most and tries left.

// errNoCounter says that the card has no counters of a layout known here.
var errNoCounter = errors.New("no counter of a known layout")

// Commands of the counters, ISO 7816-4, 11.2 and 11.4.
var (
	selectMaster   = icao.Command{INS: icao.INSSelect, P2: 0x0C}
	selectCounters = icao.Command{INS: icao.INSSelect, P1: 0x02, P2: 0x0C, Data: []byte{0x00, 0x16}}
)

const (
	insReadRecord   = 0xB2
	byRecordNumber  = 0x04
	swMoreAvailable = 0x61 // and how many, in the high byte
	swOtherLength   = 0x6C
)

// counterRecord is the record of the PIN of each key.
var counterRecord = map[signer.Key]byte{signer.Authentication: 1, signer.Signature: 2}

// counter asks the card how many tries of a PIN are left. errNoCounter says that
// it is none of EstEID's kind.
func counter(ctx context.Context, c card.Card, key signer.Key) (int, error) {
	for _, cmd := range []icao.Command{selectMaster, selectCounters} {
		answer, err := transmit(ctx, c, cmd)
		if err != nil {
			return 0, err
		}
		if answer.SW != icao.SWDone {
			return 0, fmt.Errorf("%w: status %04X", errNoCounter, answer.SW)
		}
	}
	answer, err := transmit(ctx, c, icao.Command{INS: insReadRecord, P1: counterRecord[key], P2: byRecordNumber, Le: icao.MaxShort})
	if err != nil {
		return 0, err
	}
	if answer.SW != icao.SWDone {
		return 0, fmt.Errorf("%w: status %04X", errNoCounter, answer.SW)
	}
	return parseCounter(answer.Data)
}

// transmit sends a command and follows what T=0 makes of it, ISO 7816-3, 12.2:
// the answer is to be fetched, or asked for with its very length.
func transmit(ctx context.Context, c card.Card, cmd icao.Command) (icao.Response, error) {
	answer, err := transmitOnce(ctx, c, cmd)
	if err != nil {
		return answer, err
	}
	switch answer.SW >> 8 {
	case swMoreAvailable:
		return transmitOnce(ctx, c, icao.Command{INS: icao.INSGetResponse, Le: lengthIn(answer.SW)})
	case swOtherLength:
		cmd.Le = lengthIn(answer.SW)
		return transmitOnce(ctx, c, cmd)
	}
	return answer, nil
}

// lengthIn is the length in the low byte of a status word; 0 is 256.
func lengthIn(sw uint16) int {
	if n := int(sw & 0xFF); n != 0 {
		return n
	}
	return icao.MaxShort
}

func transmitOnce(ctx context.Context, c card.Card, cmd icao.Command) (icao.Response, error) {
	raw, err := cmd.Bytes()
	if err != nil {
		return icao.Response{}, err
	}
	if raw, err = c.Transmit(ctx, raw); err != nil {
		return icao.Response{}, err
	}
	answer, err := icao.ParseResponse(raw)
	if err != nil {
		return answer, fmt.Errorf("%w: %w", card.ErrProtocol, err)
	}
	return answer, nil
}

// most is the greatest number of tries that is believed.
const most = 15

// parseCounter reads a record of tries: at most (80), left (90), and whatever a
// card has besides. One that says more than there can be is refused.
func parseCounter(record []byte) (left int, err error) {
	objects, err := icao.Children(record)
	if err != nil {
		return 0, fmt.Errorf("%w: counter: %w", card.ErrProtocol, err)
	}
	limit := -1
	left = -1
	for _, o := range objects {
		if len(o.Value) != 1 {
			continue
		}
		switch o.Tag {
		case 0x80:
			limit = int(o.Value[0])
		case 0x90:
			left = int(o.Value[0])
		}
	}
	if limit < 1 || limit > most || left < 0 || left > limit {
		return 0, fmt.Errorf("%w: counter says %d of %d", card.ErrProtocol, left, limit)
	}
	return left, nil
}
