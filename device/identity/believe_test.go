package identity_test

import (
	"bytes"
	"errors"
	"maps"
	"testing"
	"time"

	"kosk/device/identity"
	"kosk/drivers/card"
	"kosk/drivers/card/cardtest"
	"kosk/drivers/card/eid"
	"kosk/drivers/card/icao"
	"kosk/drivers/card/vcard"
)

func newPKI(t *testing.T) (*vcard.PKI, *identity.Anchors) {
	t.Helper()
	pki, err := vcard.NewPKI()
	if err != nil {
		t.Fatal(err)
	}
	anchors, err := identity.NewAnchors(identity.Bundle{Version: 1, Issued: time.Now(), Development: true, Anchors: pki.Bundle()})
	if err != nil {
		t.Fatal(err)
	}
	return pki, anchors
}

func readChip(t *testing.T, pki *vcard.PKI, person vcard.Person, p vcard.Profile) *card.Chip {
	t.Helper()
	c, err := vcard.New(pki, person, p)
	if err != nil {
		t.Fatal(err)
	}
	chip, err := eid.New(nil).ReadHolder(t.Context(), c, person.CAN, nil)
	if err != nil {
		t.Fatal(err)
	}
	return chip
}

func TestGenuineCardIsBelieved(t *testing.T) {
	pki, anchors := newPKI(t)
	chip := readChip(t, pki, cardtest.Aygun(), vcard.Profile{})
	got, err := identity.Believe(chip, anchors, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p := cardtest.Aygun()
	want := identity.Holder{
		FIN: p.FIN, Surname: p.Surname, GivenNames: p.GivenNames, BirthDate: p.BirthDate, Sex: p.Sex,
		DocumentNumber: p.DocumentNumber, Expires: p.Expires, IssuingState: "AZE", Assurance: identity.Genuine, Evidence: chip,
	}
	if got != want {
		t.Errorf("holder differs: name %q %q, birth %v, expires %v, assurance %v",
			got.GivenNames, got.Surname, got.BirthDate, got.Expires, got.Assurance)
	}
}

func TestMisbehavingCardsAreRefused(t *testing.T) {
	tests := []struct {
		name    string
		profile vcard.Profile
		want    error
	}{
		{"group 1 tampered with", vcard.Profile{TamperedDG1: true}, identity.ErrTampered},
		{"files copied to a chip with another key", vcard.Profile{Cloned: true}, identity.ErrClone},
		{"files copied to a chip without a key", vcard.Profile{CannotProve: true}, identity.ErrClone},
		{"signed by a stranger of the same name", vcard.Profile{UnknownSigner: true}, identity.ErrUnknownSigner},
		{"expired", vcard.Profile{Expired: true}, identity.ErrExpired},
		{"zone of another state", vcard.Profile{Foreign: true}, identity.ErrForeignState},
	}
	pki, anchors := newPKI(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, err := identity.Believe(readChip(t, pki, cardtest.Aygun(), tt.profile), anchors, time.Now())
			if !errors.Is(err, tt.want) {
				t.Errorf("error = %v, want %v", err, tt.want)
			}
			if h != (identity.Holder{}) {
				t.Error("a holder came with the error")
			}
		})
	}
}

// Every change to what was read of a genuine card must be noticed.
func TestChangedEvidenceIsRefused(t *testing.T) {
	pki, anchors := newPKI(t)
	genuine := readChip(t, pki, cardtest.Aygun(), vcard.Profile{})
	tests := []struct {
		name   string
		change func(c *card.Chip)
		want   error
	}{
		{"last byte of the signature", func(c *card.Chip) { c.SOD[len(c.SOD)-1] ^= 1 }, identity.ErrTampered},
		{"a byte of group 11", func(c *card.Chip) { c.Groups[11][20] ^= 1 }, identity.ErrTampered},
		{"a byte of group 15", func(c *card.Chip) { c.Groups[15][40] ^= 1 }, identity.ErrTampered},
		{"group 1 left out", func(c *card.Chip) { delete(c.Groups, 1) }, identity.ErrUnreadable},
		{"group 15 left out", func(c *card.Chip) { delete(c.Groups, 15) }, identity.ErrClone},
		{"an unsigned group slipped in", func(c *card.Chip) { c.Groups[12] = []byte{0x6C, 0} }, identity.ErrTampered},
		{"ef.com without group 15", func(c *card.Chip) { c.COM = icao.COM(1, 11, 14) }, identity.ErrTampered},
		{"ef.com no structure", func(c *card.Chip) { c.COM = []byte{1} }, identity.ErrUnreadable},
		{"weaker ef.cardaccess", func(c *card.Chip) { c.CardAccess = icao.CardAccess(icao.GenericPACE(icao.TripleDES, 12)) }, identity.ErrTampered},
		{"key not asked for", func(c *card.Chip) { c.ActiveDone = false }, identity.ErrClone},
		{"another challenge", func(c *card.Chip) { c.ActiveChallenge[0] ^= 1 }, identity.ErrClone},
		{"no answer", func(c *card.Chip) { c.ActiveResponse = nil }, identity.ErrClone},
		{"security object no structure", func(c *card.Chip) { c.SOD = c.SOD[:100] }, identity.ErrUnreadable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			chip := clone(genuine)
			tt.change(chip)
			if _, err := identity.Believe(chip, anchors, time.Now()); !errors.Is(err, tt.want) {
				t.Errorf("error = %v, want %v", err, tt.want)
			}
		})
	}
}

// Flipping any bit of EF.SOD must never give a holder that differs from the true
// one; padding and unsigned wrappings may stay without effect.
func TestEveryFlippedByteOfTheSecurityObjectIsHarmless(t *testing.T) {
	pki, anchors := newPKI(t)
	genuine := readChip(t, pki, cardtest.Aygun(), vcard.Profile{})
	want, err := identity.Believe(genuine, anchors, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	believed := 0
	for i := range genuine.SOD {
		chip := clone(genuine)
		chip.SOD[i] ^= 0x55
		got, err := identity.Believe(chip, anchors, time.Now())
		if err != nil {
			continue
		}
		believed++
		got.Evidence = want.Evidence
		if got != want {
			t.Errorf("byte %d: another holder", i)
		}
	}
	t.Logf("%d of %d bytes are not covered by a signature", believed, len(genuine.SOD))
	if believed > 40 {
		t.Errorf("%d of %d flips went unnoticed", believed, len(genuine.SOD))
	}
}

func clone(c *card.Chip) *card.Chip {
	d := *c
	d.SOD, d.COM, d.CardAccess = bytes.Clone(c.SOD), bytes.Clone(c.COM), bytes.Clone(c.CardAccess)
	d.ActiveChallenge, d.ActiveResponse = bytes.Clone(c.ActiveChallenge), bytes.Clone(c.ActiveResponse)
	d.Groups = maps.Clone(c.Groups)
	for g, file := range d.Groups {
		d.Groups[g] = bytes.Clone(file)
	}
	return &d
}

// The zone alone has to do when group 11 was not read; a document is good until
// the end of its last day in Baku.
func TestNameFallsBackToTheZone(t *testing.T) {
	pki, anchors := newPKI(t)
	chip := readChip(t, pki, cardtest.Aygun(), vcard.Profile{})
	delete(chip.Groups, 11)
	h, err := identity.Believe(chip, anchors, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if h.Surname != "Mammadova" || h.GivenNames != "Aygun" {
		t.Errorf("name = %q %q", h.GivenNames, h.Surname)
	}
}

func TestDocumentIsGoodUntilTheEndOfItsLastDayInBaku(t *testing.T) {
	pki, anchors := newPKI(t)
	chip := readChip(t, pki, cardtest.Aygun(), vcard.Profile{})
	tests := []struct {
		now  string
		want error
	}{
		{"2033-03-01T23:59:59+04:00", nil},
		{"2033-03-02T00:00:00+04:00", identity.ErrExpired},
	}
	for _, tt := range tests {
		now, err := time.Parse(time.RFC3339, tt.now)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := identity.Believe(chip, anchors, now); !errors.Is(err, tt.want) {
			t.Errorf("at %s: error = %v, want %v", tt.now, err, tt.want)
		}
	}
}

func TestDocumentSignedInTheFutureIsRefused(t *testing.T) {
	pki, anchors := newPKI(t)
	chip := readChip(t, pki, cardtest.Aygun(), vcard.Profile{})
	// To a kiosk whose clock is years behind, the signing lies in the future.
	if _, err := identity.Believe(chip, anchors, time.Now().AddDate(-3, 0, 0)); !errors.Is(err, identity.ErrUnknownSigner) {
		t.Errorf("error = %v, want unknown signer", err)
	}
	_, others := newPKI(t)
	if _, err := identity.Believe(chip, others, time.Now()); !errors.Is(err, identity.ErrUnknownSigner) {
		t.Errorf("error = %v, want unknown signer", err)
	}
}
