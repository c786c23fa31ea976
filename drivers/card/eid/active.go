package eid

import (
	"context"
	"errors"
	"fmt"
	"io"

	"kosk/drivers/card"
	"kosk/drivers/card/icao"
)

// errForm says that the chip lost its session over the form of the length in which
// it was asked for its signature, and that there is another form.
var errForm = errors.New("signature asked for in a form that the chip does not know")

// authenticateActive asks the chip to sign a challenge with the key of group 15, ICAO
// 9303-11, 6.1, in one form after the other. A refusal is recorded, not returned: it
// is for device/identity to say that the chip did not prove its key.
func (l *line) authenticateActive(ctx context.Context, chip *card.Chip) error {
	if chip.Groups[15] == nil {
		return nil // the chip keeps it to itself: device/identity knows what that means
	}
	chip.ActiveChallenge = make([]byte, 8)
	if _, err := io.ReadFull(l.random, chip.ActiveChallenge); err != nil {
		return err
	}
	chip.ActiveDone = true
	for forms := l.forms(chip.Groups[15]); l.form < len(forms); {
		resp, err := l.send(ctx, icao.Command{INS: icao.INSInternalAuthenticate, Data: chip.ActiveChallenge, Le: forms[l.form]})
		switch {
		case err != nil:
			return fmt.Errorf("active authentication: %w", err)
		case resp.SW == icao.SWDone:
			chip.ActiveResponse = resp.Data
			return nil
		}
		l.form++
		if l.session == nil && l.form < len(forms) {
			return fmt.Errorf("active authentication: %w", errForm)
		}
	}
	return nil
}

// forms are the lengths of answer to try: a signature of a long RSA key does not
// fit into a short protected response, some chips want the long form whatever they
// answer, and others break with it.
func (l *line) forms(group15 []byte) []int {
	key, err := icao.ParseDG15(group15)
	switch {
	case l.room <= icao.MaxShort && !l.extended:
		return []int{icao.MaxShort}
	case err == nil && key.RSA() && l.room > icao.MaxShort:
		return []int{icao.MaxExtended, icao.MaxShort}
	}
	return []int{icao.MaxShort, icao.MaxExtended}
}
