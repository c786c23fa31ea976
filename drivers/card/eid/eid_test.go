package eid_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"kosk/drivers/card"
	"kosk/drivers/card/cardtest"
	"kosk/drivers/card/eid"
	"kosk/drivers/card/icao"
	"kosk/drivers/card/vcard"
)

func newCard(t *testing.T, p vcard.Profile) *vcard.Card {
	t.Helper()
	pki, err := vcard.NewPKI()
	if err != nil {
		t.Fatal(err)
	}
	c, err := vcard.New(pki, cardtest.Aygun(), p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestGenuineCardIsReadInFewCommands(t *testing.T) {
	tests := []struct {
		name    string
		profile vcard.Profile
		most    int
	}{
		{"extended", vcard.Profile{}, 16},
		{"short and strict", vcard.Profile{ShortOnly: true}, 24},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var early []byte
			chip, err := eid.New(nil).ReadHolder(t.Context(), newCard(t, tt.profile), "123456", func(dg1 []byte) { early = dg1 })
			if err != nil {
				t.Fatal(err)
			}
			if chip.APDUs > tt.most {
				t.Errorf("commands = %d, want at most %d", chip.APDUs, tt.most)
			}
			t.Logf("commands %d, bytes %d, %v", chip.APDUs, chip.Bytes, chip.Took)
			if string(early) != string(chip.Groups[1]) || early == nil {
				t.Error("group 1 was not given early")
			}
			if chip.Protocol != "PACE-ECDH-GM-AES128-P256" {
				t.Errorf("protocol = %q", chip.Protocol)
			}
			if err := icao.VerifyActive(chip.Groups[15], chip.Groups[14], chip.ActiveChallenge, chip.ActiveResponse); err != nil {
				t.Errorf("active authentication: %v", err)
			}
			d, err := icao.ParseDG11(chip.Groups[11])
			if err != nil || d.Surname != "MƏMMƏDOVA" || d.GivenNames != "AYGÜN" {
				t.Errorf("group 11 = %v, %v", d, err)
			}
		})
	}
}

func TestFailuresAreNamed(t *testing.T) {
	tests := []struct {
		name    string
		profile vcard.Profile
		can     string
		want    error
	}{
		{"wrong number", vcard.Profile{}, "123457", card.ErrWrongCAN},
		{"number too short", vcard.Profile{}, "12345", card.ErrWrongCAN},
		{"number with a letter", vcard.Profile{}, "12345x", card.ErrWrongCAN},
		{"pulled out at once", vcard.Profile{RemovedAfter: 1}, "123456", card.ErrRemoved},
		{"pulled out in PACE", vcard.Profile{RemovedAfter: 5}, "123456", card.ErrRemoved},
		{"pulled out in a file", vcard.Profile{RemovedAfter: 10}, "123456", card.ErrRemoved},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := eid.New(nil).ReadHolder(t.Context(), newCard(t, tt.profile), tt.can, nil)
			if !errors.Is(err, tt.want) {
				t.Errorf("error = %v, want %v", err, tt.want)
			}
		})
	}
}

func TestSilentCardEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := eid.New(nil).ReadHolder(ctx, newCard(t, vcard.Profile{Silent: true}), "123456", nil)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error = %v, want the context's", err)
	}
}
