package eid

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"kosk/drivers/card"
	"kosk/drivers/card/icao"
)

// The limits on one file and on one command's rounds of GET RESPONSE.
const (
	maxFile   = 256 << 10 // no portrait is longer
	maxOffset = 0x7FFF    // what READ BINARY reaches with a plain offset, ISO 7816-4, 11.3.3
	maxRounds = 64
	shortAPDU = 261 // the longest in the short form: header, length, 255 bytes, length
)

// A line is the way to one chip: it counts what goes over it, protects it when
// there is a session, and knows how much fits into one response.
type line struct {
	card    card.Card
	random  io.Reader
	session *icao.Messaging
	proof   *[]byte // takes the next protected answer, as it is; nil when that is no proof
	room    int     // bytes of data in a response; 0 until measured
	proven  bool    // a read of the present size has worked

	extended bool // the reader says that it carries long APDUs
	form     int  // in which the chip is asked for its signature, see forms

	apdus int
	bytes int
	begun time.Time
}

// errTooLong says that the chip lost its session over a read that was too long.
var errTooLong = errors.New("read too long for the chip")

// sizes are what is tried when a chip refuses a read: a whole short response,
// then less, for chips that count their own overhead wrongly.
var sizes = []int{icao.MaxShort, 224, 160}

// shrink takes the next smaller size; false when there is none.
func (l *line) shrink() bool {
	for _, s := range sizes {
		if s < l.room {
			l.room = s
			return true
		}
	}
	return false
}

// measure decides how long a response may be: what such chips gave before, else
// the least of what the reader carries and EF.ATR/INFO allows, else a short one.
func (l *line) measure(ctx context.Context, remembered int) error {
	most, known := icao.MaxExtended, false
	if s, ok := l.card.(card.Sizer); ok && s.MaxTransceive() > 0 {
		most, known = s.MaxTransceive()-2, true
	}
	l.extended = known && most+2 > shortAPDU
	if l.room = remembered; remembered != 0 {
		return nil
	}
	l.room = icao.MaxShort
	if known && !l.extended {
		return nil
	}
	resp, err := l.send(ctx, icao.Command{INS: icao.INSReadBinary, P1: 0x80 | sfiCardInfo, Le: icao.MaxShort})
	if err != nil {
		return fmt.Errorf("read ef.atr/info: %w", err)
	}
	if resp.SW != icao.SWDone && resp.SW != icao.SWEndOfFile {
		return nil
	}
	info := icao.ParseCardInfo(resp.Data)
	switch {
	case info.MaxResponse > icao.MaxShort:
		l.room = min(most, info.MaxResponse-2)
	case info.Extended:
		l.room = min(most, 4096-2)
	}
	return nil
}

// raw sends a command as it is and collects what the chip has ready (61xx), or
// asks again with the length it wants (6Cxx), ISO 7816-4, 5.6.
func (l *line) raw(ctx context.Context, c icao.Command) (icao.Response, error) {
	var data []byte
	for range maxRounds {
		resp, err := l.transmit(ctx, c)
		if err != nil {
			return icao.Response{}, err
		}
		switch resp.SW >> 8 {
		case 0x61:
			data = append(data, resp.Data...)
			c = icao.Command{CLA: c.CLA & 0x03, INS: icao.INSGetResponse, Le: atLeastOne(resp.SW)}
		case 0x6C:
			if c.Le == atLeastOne(resp.SW) {
				return resp, nil
			}
			c.Le = atLeastOne(resp.SW)
		default:
			resp.Data = append(data, resp.Data...)
			return resp, nil
		}
	}
	return icao.Response{}, fmt.Errorf("%w: an answer without end", card.ErrProtocol)
}

// atLeastOne is how many bytes a status word speaks of: 00 is 256.
func atLeastOne(sw uint16) int {
	if n := int(sw & 0xFF); n != 0 {
		return n
	}
	return icao.MaxShort
}

func (l *line) transmit(ctx context.Context, c icao.Command) (icao.Response, error) {
	raw, err := c.Bytes()
	if err != nil {
		return icao.Response{}, err
	}
	answer, err := l.card.Transmit(ctx, raw)
	if err != nil {
		return icao.Response{}, err
	}
	l.apdus++
	l.bytes += len(raw) + len(answer)
	resp, err := icao.ParseResponse(answer)
	if err != nil {
		return icao.Response{}, fmt.Errorf("%w: %w", card.ErrProtocol, err)
	}
	return resp, nil
}

// send sends a command, protected when there is a session. A session does not
// survive a plain refusal or a wrong MAC.
func (l *line) send(ctx context.Context, c icao.Command) (icao.Response, error) {
	if l.session == nil {
		return l.raw(ctx, c)
	}
	session := l.session
	sealed, err := session.SealCommand(c)
	if err != nil {
		return icao.Response{}, err
	}
	resp, err := l.raw(ctx, sealed)
	if err != nil {
		return icao.Response{}, err
	}
	if l.proof != nil {
		*l.proof, l.proof = resp.Bytes(), nil
	}
	if len(resp.Data) == 0 {
		l.session = nil
	}
	plain, err := session.OpenResponse(resp)
	if err != nil {
		l.session = nil
		return icao.Response{}, fmt.Errorf("%w: %w", card.ErrProtocol, err)
	}
	return plain, nil
}

// must is send for commands that have to end with 9000.
func (l *line) must(ctx context.Context, c icao.Command) ([]byte, error) {
	resp, err := l.send(ctx, c)
	if err != nil {
		return nil, err
	}
	if resp.SW != icao.SWDone {
		return nil, &card.StatusError{SW: resp.SW}
	}
	return resp.Data, nil
}

// block is how many of the bytes left of a file fit into one response. A command in
// the short form awaits no more than a short response, with all that protects it.
func (l *line) block(left int) int {
	if l.session == nil {
		return min(icao.MaxShort, left)
	}
	n := min(l.session.MaxPlain(l.room), left)
	if n <= icao.MaxShort {
		n = min(n, l.session.MaxPlain(icao.MaxShort))
	}
	return n
}

// readFile reads a whole elementary file by its short identifier; its length
// comes with the first block. tag is what the file must begin with, 0 is any.
func (l *line) readFile(ctx context.Context, sfi byte, tag uint32) ([]byte, error) {
	file, err := l.collect(ctx, sfi)
	if err != nil {
		return nil, fmt.Errorf("read file %02X: %w", sfi, err)
	}
	if tag != 0 {
		if _, err := icao.Unwrap(file, tag); err != nil {
			return nil, fmt.Errorf("read file %02X: %w: %w", sfi, card.ErrProtocol, err)
		}
	}
	return file, nil
}

func (l *line) collect(ctx context.Context, sfi byte) ([]byte, error) {
	file, err := l.first(ctx, sfi)
	if err != nil {
		return nil, err
	}
	size, err := icao.FileSize(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", card.ErrProtocol, err)
	}
	if size > maxFile {
		return nil, fmt.Errorf("%w: file of %d bytes", card.ErrProtocol, size)
	}
	for len(file) < size {
		at := len(file)
		more, err := l.more(ctx, at, size-at)
		if err != nil {
			return nil, err
		}
		if len(more) == 0 {
			return nil, fmt.Errorf("%w: file ends at %d of %d", card.ErrProtocol, at, size)
		}
		file = append(file, more...)
	}
	return file[:size], nil
}

// first reads the first block, in smaller and smaller pieces until the chip
// gives one.
func (l *line) first(ctx context.Context, sfi byte) ([]byte, error) {
	for {
		protected := l.session != nil
		block, err := l.binary(ctx, 0x80|sfi, 0, l.block(maxFile))
		status := new(card.StatusError)
		switch {
		case err == nil:
			l.proven = l.proven || protected
			return block, nil
		case !protected || l.proven || !errors.As(err, &status):
			return nil, err
		case l.session == nil: // the session went with the refusal
			return nil, fmt.Errorf("%w: %w", errTooLong, err)
		case status.SW != icao.SWWrongLength && status.SW>>8 != 0x6C:
			return nil, err
		case !l.shrink():
			return nil, err
		}
	}
}

// more reads on in the current file, left bytes at most.
func (l *line) more(ctx context.Context, at, left int) ([]byte, error) {
	if at <= maxOffset {
		return l.binary(ctx, byte(at>>8), byte(at), l.block(left))
	}
	// The odd instruction carries the offset in an object, and the answer has a
	// header of its own: 53 and a length.
	const doOffset, doData, header = 0x54, 0x53, 4
	resp, err := l.send(ctx, icao.Command{
		INS: icao.INSReadBinaryOdd, Data: icao.MakeTLV(doOffset, []byte{byte(at >> 16), byte(at >> 8), byte(at)}),
		Le: l.block(left + header),
	})
	if err != nil {
		return nil, err
	}
	if resp.SW != icao.SWDone && resp.SW != icao.SWEndOfFile {
		return nil, &card.StatusError{SW: resp.SW}
	}
	data, err := icao.Unwrap(resp.Data, doData)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", card.ErrProtocol, err)
	}
	return data, nil
}

// binary is READ BINARY. A file that ends early is no error here.
func (l *line) binary(ctx context.Context, p1, p2 byte, le int) ([]byte, error) {
	resp, err := l.send(ctx, icao.Command{INS: icao.INSReadBinary, P1: p1, P2: p2, Le: le})
	if err != nil {
		return nil, err
	}
	if resp.SW != icao.SWDone && resp.SW != icao.SWEndOfFile {
		return nil, &card.StatusError{SW: resp.SW}
	}
	return resp.Data, nil
}
