package eid_test

import (
	"context"
	"errors"
	"testing"

	"kosk/drivers/card"
	"kosk/drivers/card/cardtest"
	"kosk/drivers/card/eid"
	"kosk/drivers/card/icao"
	"kosk/drivers/card/vcard"
)

// FuzzAnswers has a chip answer whatever it likes: after an honest beginning of so
// many commands, the answers are cut out of the fuzzed bytes, each behind its
// length. The reading ends, and with an error that has a type.
func FuzzAnswers(f *testing.F) {
	for i := range byte(8) {
		f.Add(2*i, i%4, []byte{4, 0x31, 0x00, 0x90, 0x00, 2, 0x90, 0x00, 6, 0x7C, 0x02, 0x80, 0x00, 0x90, 0x00, 2, 0x61, 0x05, 2, 0x6C, 0x10})
	}
	profiles := []vcard.Profile{{}, {BAC: true}, {Mapping: icao.MappingChip}, {ChipAuth: true, Mapping: icao.MappingIntegrated}}
	pki, err := vcard.NewPKI()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, honest, kind byte, answers []byte) {
		c, err := vcard.New(pki, cardtest.Aygun(), profiles[int(kind)%len(profiles)])
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		q := &quirky{Card: c, most: 4096}
		q.transmit = func(_ context.Context, raw []byte, next func([]byte) ([]byte, error)) ([]byte, error) {
			if n++; n <= int(honest) {
				return next(raw)
			}
			if len(answers) == 0 {
				return nil, card.ErrRemoved
			}
			size := min(int(answers[0]), len(answers)-1)
			answer := answers[1 : 1+size]
			answers = answers[1+size:]
			return answer, nil
		}
		_, err = eid.New(nil).Read(t.Context(), q, eid.Request{Access: zoneOf(t, cardtest.Aygun())})
		status := new(card.StatusError)
		if err != nil && !typed(err) && !errors.Is(err, card.ErrRemoved) && !errors.As(err, &status) {
			t.Errorf("error = %v has no type", err)
		}
	})
}
