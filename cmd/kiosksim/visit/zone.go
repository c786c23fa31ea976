package visit

import (
	"context"

	"github.com/jezek/xgb/xproto"

	"kosk/cmd/kiosksim/stage"
	"kosk/drivers/card/vcard"
	"kosk/ui/layout"
)

// Visits in which the chip is opened by what its machine readable zone says.

// dateTyped is how a date is typed: as it is printed on the card.
const dateTyped = "02012006"

// zone is what the person types, entry by entry.
func zone() (number, birth, expiry string) {
	p := Person()
	return p.DocumentNumber, p.BirthDate.Format(dateTyped), p.Expires.Format(dateTyped)
}

// otherYear is a date of eight digits, in another year of the same century.
func otherYear(date string) string {
	last := date[7]
	if last++; last > '9' {
		last = '0'
	}
	return date[:7] + string(last)
}

// ToNameByZone goes from the attract screen to the person's name with a card whose chip
// knows no access number, by touch.
func (a *Actor) ToNameByZone(ctx context.Context, lang string) error {
	number, birth, expiry := zone()
	return steps(
		func() error { return a.Touch(ctx, langOf(lang)) },
		func() error { return a.Sees(ctx, "home") },
		func() error { return a.Touch(ctx, "with-card") },
		func() error { return a.Sees(ctx, "card") },
		func() error { return a.InsertCard(vcard.Profile{BAC: true}) },
		func() error { return a.Sees(ctx, "can") },
		func() error { return a.TouchDigits(ctx, Person().CAN) },
		func() error { return a.Sees(ctx, "number") }, // the chip asks for more by itself
		func() error { return a.TouchDigits(ctx, number) },
		func() error { return a.Sees(ctx, "birth") },
		func() error { return a.TouchDigits(ctx, birth) },
		func() error { return a.Sees(ctx, "expiry") },
		func() error { return a.TouchDigits(ctx, expiry) },
		func() error { return a.Sees(ctx, "choosing") },
	)
}

// CertificateByZone is a whole visit for a certificate with such a card, by touch.
func (a *Actor) CertificateByZone(ctx context.Context, lang string) (Report, error) {
	return a.certificate(ctx, lang, func() error { return a.ToNameByZone(ctx, lang) })
}

// ToNameByZoneWithKeys goes from the attract screen to the person's name by keys and
// voice alone, in the person's own wish to do without the access number. The year of
// birth is wrong at first, and mended alone.
func (a *Actor) ToNameByZoneWithKeys(ctx context.Context, lang string) error {
	number, birth, expiry := zone()
	enter := func(digits, then string) func() error {
		return func() error {
			return steps(
				func() error { return a.TypeDigits(ctx, digits) },
				func() error { return a.Choose(ctx, "field") },
				func() error { return a.Sees(ctx, then) },
			)
		}
	}
	return steps(
		func() error { return a.Press(ctx, stage.F8) },
		func() error {
			return a.await(ctx, "the voice", patience, func(p layout.Painted) bool { return p.Focus != "" })
		},
		a.press(ctx, langOf(lang), "home"),
		a.press(ctx, "with-card", "card"),
		func() error { return a.InsertCard(vcard.Profile{}) },
		func() error { return a.Sees(ctx, "can") },
		a.press(ctx, "no-can", "number"),
		func() error { return a.chooseLetters(ctx, number[:2]) },
		enter(number[2:], "birth"),
		enter(otherYear(birth), "expiry"),
		enter(expiry, "zone-check"),
		func() error { return a.SeesNode(ctx, "zone-check", "wrong") },
		a.press(ctx, "change.birth", "birth"),
		func() error { return a.Press(ctx, stage.BackSpace) },
		enter(birth[7:], "zone-check"),
		a.press(ctx, "next", "choosing"),
	)
}

// CertificateByZoneWithKeys is a whole visit for a certificate in that way.
func (a *Actor) CertificateByZoneWithKeys(ctx context.Context, lang string) (r Report, err error) {
	finish, err := a.Begin(ctx)
	if err != nil {
		return r, err
	}
	err = steps(
		func() error { return a.ToNameByZoneWithKeys(ctx, lang) },
		func() error { return a.toCertificateByKeys(ctx) },
	)
	if err != nil {
		return r, err
	}
	return finish(Report{Service: "workplace_cert", Lang: lang, Line: "up", By: "keys", Outcome: "final"})
}

// chooseLetters chooses letters on the screen's keys, from the field on: the keys are
// in the order of the alphabet, behind the field.
func (a *Actor) chooseLetters(ctx context.Context, letters string) error {
	at := 'A' - 1
	for _, r := range letters {
		key, n := stage.Down, int(r-at)
		if n < 0 {
			key, n = stage.Up, -n
		}
		for range n {
			if err := a.pressAndSee(ctx, key); err != nil {
				return err
			}
		}
		if err := a.pressAndSee(ctx, stage.Return); err != nil {
			return err
		}
		at = r
	}
	return nil
}

// pressAndSee presses a key and waits for what it changes.
func (a *Actor) pressAndSee(ctx context.Context, key xproto.Keysym) error {
	before := a.frames
	if err := a.Press(ctx, key); err != nil {
		return err
	}
	return a.await(ctx, "the key's effect", patience, func(layout.Painted) bool { return a.frames > before })
}
