package eid

import (
	"context"
	"errors"
	"fmt"
	"io"

	"kosk/drivers/card"
	"kosk/drivers/card/icao"
)

// protocolBAC is how a Chip says that it was opened so.
const protocolBAC = "BAC-3DES"

// openBAC runs Basic Access Control, ICAO 9303-11, 4.3, in the eMRTD application.
// Call it only for a chip that does not advertise PACE: anything else is the
// downgrade that whoever listens hopes for.
func openBAC(ctx context.Context, l *line, a Access) (*icao.Messaging, error) {
	bac, err := icao.NewBAC(a.secret)
	if err != nil {
		return nil, err
	}
	theirs, err := l.must(ctx, icao.Command{INS: icao.INSGetChallenge, Le: icao.BACNonce})
	switch {
	case isStatus(err):
		return nil, fmt.Errorf("%w: get challenge: %w", card.ErrForeign, err)
	case err != nil:
		return nil, fmt.Errorf("get challenge: %w", err)
	}
	if len(theirs) != icao.BACNonce {
		return nil, fmt.Errorf("get challenge: %w: %d bytes", card.ErrProtocol, len(theirs))
	}
	secrets := make([]byte, icao.BACNonce+icao.BACKey)
	if _, err := io.ReadFull(l.random, secrets); err != nil {
		return nil, err
	}
	ours, key := secrets[:icao.BACNonce], secrets[icao.BACNonce:]
	message, err := bac.Seal(ours, theirs, key)
	if err != nil {
		return nil, err
	}
	resp, err := l.send(ctx, icao.Command{INS: icao.INSExternalAuthenticate, Data: message, Le: icao.BACMessage})
	if err != nil {
		return nil, fmt.Errorf("external authenticate: %w", err)
	}
	switch {
	case resp.SW == icao.SWDone:
	case refusesPassword(resp.SW):
		return nil, fmt.Errorf("%w: %w", a.wrong, &card.StatusError{SW: resp.SW})
	default:
		return nil, fmt.Errorf("external authenticate: %w", &card.StatusError{SW: resp.SW})
	}
	chipKey, err := bac.Open(resp.Data, theirs, ours)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", card.ErrProtocol, err)
	}
	return icao.BACSession(key, chipKey, ours, theirs)
}

// refusesPassword says whether a status word means that the password was wrong.
// Chips don't agree on one.
func refusesPassword(sw uint16) bool {
	return sw>>8 == swWarning || sw == icao.SWSecurityStatus || sw == icao.SWBadSecureObject || sw == icao.SWWrongData
}

// isStatus says whether the chip refused a command, other than by breaking off.
func isStatus(err error) bool {
	status := new(card.StatusError)
	return errors.As(err, &status)
}
