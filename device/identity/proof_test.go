package identity_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"kosk/device/identity"
	"kosk/drivers/card"
	"kosk/drivers/card/cardtest"
	"kosk/drivers/card/eid"
	"kosk/drivers/card/icao"
	"kosk/drivers/card/vcard"
)

// readByZone reads a chip with what its zone says, which opens all of them.
func readByZone(t *testing.T, pki *vcard.PKI, p vcard.Profile) *card.Chip {
	t.Helper()
	person := cardtest.Aygun()
	c, err := vcard.New(pki, person, p)
	if err != nil {
		t.Fatal(err)
	}
	access, err := eid.MRZ(person.DocumentNumber, icao.DateOf(person.BirthDate), icao.DateOf(person.Expires))
	if err != nil {
		t.Fatal(err)
	}
	chip, err := eid.New(nil).Read(t.Context(), c, eid.Request{Access: access, Portrait: true})
	if err != nil {
		t.Fatal(err)
	}
	return chip
}

// A chip is genuine by any of the three proofs, however it was opened; one that
// was not given a key to prove is authentic and no more.
func TestChipsAreGenuineByEveryProof(t *testing.T) {
	pki, anchors := newPKI(t)
	tests := []struct {
		name    string
		profile vcard.Profile
		want    identity.Assurance
	}{
		{"active authentication", vcard.Profile{}, identity.Genuine},
		{"active authentication after bac", vcard.Profile{BAC: true}, identity.Genuine},
		{"chip authentication", vcard.Profile{ChipAuth: true, NoActive: true}, identity.Genuine},
		{"chip authentication with 3DES", vcard.Profile{ChipAuth: true, NoActive: true, Cipher: icao.TripleDES}, identity.Genuine},
		{"chip authentication after bac", vcard.Profile{ChipAuth: true, NoActive: true, BAC: true}, identity.Genuine},
		{"chip and active authentication", vcard.Profile{ChipAuth: true}, identity.Genuine},
		{"chip authentication mapping", vcard.Profile{Mapping: icao.MappingChip, NoActive: true}, identity.Genuine},
		{"mapping and chip authentication", vcard.Profile{Mapping: icao.MappingChip, ChipAuth: true, Curve: 13}, identity.Genuine},
		{"integrated mapping", vcard.Profile{Mapping: icao.MappingIntegrated, Cipher: icao.AES256}, identity.Genuine},
		{"no key", vcard.Profile{NoActive: true}, identity.Authentic},
		{"all groups", vcard.Profile{Issuing: true, Portrait: 20_000}, identity.Genuine},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, err := identity.Believe(readByZone(t, pki, tt.profile), anchors, time.Now())
			if err != nil || h.Assurance != tt.want || h.FIN != cardtest.Aygun().FIN {
				t.Errorf("assurance = %v, %v, want %v", h.Assurance, err, tt.want)
			}
		})
	}
}

func TestCopiesAndDowngradesAreRefused(t *testing.T) {
	pki, anchors := newPKI(t)
	tests := []struct {
		name    string
		profile vcard.Profile
		want    error
	}{
		{"another key, chip authentication", vcard.Profile{ChipAuth: true, Cloned: true}, identity.ErrClone},
		{"no key, chip authentication", vcard.Profile{ChipAuth: true, CannotProve: true}, identity.ErrClone},
		{"another key, 3DES", vcard.Profile{ChipAuth: true, Cloned: true, Cipher: icao.TripleDES}, identity.ErrClone},
		{"another key, after bac", vcard.Profile{ChipAuth: true, Cloned: true, BAC: true, NoActive: true}, identity.ErrClone},
		{"another key, mapping", vcard.Profile{Mapping: icao.MappingChip, Cloned: true, NoActive: true}, identity.ErrClone},
		{"no key, mapping", vcard.Profile{Mapping: icao.MappingChip, CannotProve: true, NoActive: true}, identity.ErrClone},
		{"stranger's ef.cardsecurity and ef.sod", vcard.Profile{Mapping: icao.MappingChip, UnknownSigner: true}, identity.ErrUnknownSigner},
		{"pace hidden", vcard.Profile{HidesPACE: true}, identity.ErrTampered},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := identity.Believe(readByZone(t, pki, tt.profile), anchors, time.Now()); !errors.Is(err, tt.want) {
				t.Errorf("error = %v, want %v", err, tt.want)
			}
		})
	}
}

// Every change to the evidence of a proof must be noticed.
func TestChangedProofsAreRefused(t *testing.T) {
	pki, anchors := newPKI(t)
	agreed := readByZone(t, pki, vcard.Profile{ChipAuth: true, NoActive: true})
	both := readByZone(t, pki, vcard.Profile{ChipAuth: true})
	mapped := readByZone(t, pki, vcard.Profile{Mapping: icao.MappingChip, NoActive: true})
	other := readByZone(t, pki, vcard.Profile{Mapping: icao.MappingChip, NoActive: true, Curve: 13})
	tests := []struct {
		name   string
		chip   *card.Chip
		change func(c *card.Chip)
		want   error
	}{
		{"agreement: not asked", agreed, func(c *card.Chip) { c.ChipDone = false }, identity.ErrClone},
		{"agreement: not asked, though there is group 15", both, func(c *card.Chip) { c.ChipDone = false }, identity.ErrClone},
		{"agreement: another secret", agreed, func(c *card.Chip) { c.ChipSecret[31] ^= 1 }, identity.ErrClone},
		{"agreement: no secret", agreed, func(c *card.Chip) { c.ChipSecret = nil }, identity.ErrClone},
		{"agreement: no answer", agreed, func(c *card.Chip) { c.ChipResponse = nil }, identity.ErrClone},
		{"agreement: a byte of the answer", agreed, func(c *card.Chip) { c.ChipResponse[5] ^= 1 }, identity.ErrClone},
		{"agreement: group 14 left out", agreed, func(c *card.Chip) { delete(c.Groups, 14) }, identity.ErrClone},
		{"agreement: a byte of group 14", agreed, func(c *card.Chip) { c.Groups[14][80] ^= 1 }, identity.ErrTampered},
		{"mapping: no data", mapped, func(c *card.Chip) { c.MappingData = nil }, identity.ErrClone},
		{"mapping: a byte of the data", mapped, func(c *card.Chip) { c.MappingData[9] ^= 1 }, identity.ErrClone},
		{"mapping: a byte of the key", mapped, func(c *card.Chip) { c.MappingKey[9] ^= 1 }, identity.ErrClone},
		{"mapping: no ef.cardsecurity", mapped, func(c *card.Chip) { c.CardSecurity = nil }, identity.ErrClone},
		{"mapping: another card's ef.cardsecurity", mapped, func(c *card.Chip) { c.CardSecurity = other.CardSecurity }, identity.ErrTampered},
		{"mapping: ef.cardsecurity no structure", mapped, func(c *card.Chip) { c.CardSecurity = c.CardSecurity[:50] }, identity.ErrUnreadable},
		{"mapping: last byte of the signature", mapped, func(c *card.Chip) { c.CardSecurity[len(c.CardSecurity)-1] ^= 1 }, identity.ErrTampered},
		{"ef.cardaccess left out", agreed, func(c *card.Chip) { c.CardAccess = nil }, identity.ErrTampered},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			chip := clone(tt.chip)
			chip.ChipSecret, chip.ChipResponse = bytes.Clone(chip.ChipSecret), bytes.Clone(chip.ChipResponse)
			chip.MappingKey, chip.MappingData = bytes.Clone(chip.MappingKey), bytes.Clone(chip.MappingData)
			chip.CardSecurity = bytes.Clone(chip.CardSecurity)
			tt.change(chip)
			if _, err := identity.Believe(chip, anchors, time.Now()); !errors.Is(err, tt.want) {
				t.Errorf("error = %v, want %v", err, tt.want)
			}
		})
	}
}
