package eid

import (
	"context"
	"fmt"
	"io"

	"kosk/drivers/card"
	"kosk/drivers/card/icao"
)

// authenticateActive asks the chip to sign a challenge with the key of group 15, ICAO
// 9303-11, 6.1. A refusal is recorded, not returned: it is for device/identity
// to say that the chip did not prove its key.
func (l *line) authenticateActive(ctx context.Context, chip *card.Chip) error {
	if chip.Groups[15] == nil {
		return nil // the chip keeps it to itself: device/identity knows what that means
	}
	chip.ActiveChallenge = make([]byte, 8)
	if _, err := io.ReadFull(l.random, chip.ActiveChallenge); err != nil {
		return err
	}
	chip.ActiveDone = true
	for _, le := range l.awaited(chip.Groups[15]) {
		resp, err := l.send(ctx, icao.Command{INS: icao.INSInternalAuthenticate, Data: chip.ActiveChallenge, Le: le})
		if err != nil {
			return fmt.Errorf("active authentication: %w", err)
		}
		if resp.SW == icao.SWDone {
			chip.ActiveResponse = resp.Data
			return nil
		}
		if l.session == nil || resp.SW != icao.SWWrongLength {
			return nil
		}
	}
	return nil
}

// awaited is which lengths of answer to try: a signature of a long RSA key does
// not fit into a short protected response, and some chips refuse the long form.
func (l *line) awaited(group15 []byte) []int {
	key, err := icao.ParseDG15(group15)
	if err == nil && key.RSA() && l.room > icao.MaxShort {
		return []int{icao.MaxExtended, icao.MaxShort}
	}
	return []int{icao.MaxShort}
}
