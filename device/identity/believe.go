package identity

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"kosk/drivers/card"
	"kosk/drivers/card/icao"
)

// The rules are those of passive and active authentication, ICAO 9303-11, 5 and 6:
//
//  1. The signature in EF.SOD fits the signer that came along.
//  2. A trust anchor signed the signer's certificate. Both were valid when the
//     document was signed, by the signer's word; without its word, now. The
//     anchor's revocation list doesn't name the signer, and isn't older than Grace.
//  3. Every group that was read has the hash that was signed, and EF.COM, which
//     nobody signed, lists no other groups than EF.SOD.
//  4. The zone's issuing state is the signer's, and is ours.
//  5. A chip whose group 15 is signed proves that key, or it is a copy.
//  6. The document's last day is not over.

// home is the state whose documents are taken: as the zone and as certificates
// write it, ICAO 9303-3, 5.
var home = struct{ zone, country string }{"AZE", "AZ"}

// Believe says who the holder is, and how far that is to be believed. A chip that
// breaks a rule gives an error and no holder: ErrUnreadable, ErrTampered,
// ErrUnknownSigner, ErrRevoked, ErrStale, ErrForeignState, ErrClone or ErrExpired.
func Believe(chip *card.Chip, anchors *Anchors, now time.Time) (Holder, error) {
	h, err := believe(chip, anchors, now)
	if err != nil {
		return Holder{}, fmt.Errorf("believe chip: %w", err)
	}
	return h, nil
}

func believe(chip *card.Chip, anchors *Anchors, now time.Time) (Holder, error) {
	sod, err := icao.ParseSOD(chip.SOD)
	if err != nil {
		return Holder{}, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	signer, err := sod.Verify()
	if err != nil {
		return Holder{}, fmt.Errorf("%w: %w", ErrTampered, err)
	}
	if err := anchors.trust(signer, now); err != nil {
		return Holder{}, err
	}
	if err := checkGroups(sod, chip); err != nil {
		return Holder{}, err
	}
	h, err := describe(chip, today(now))
	if err != nil {
		return Holder{}, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	if h.IssuingState != home.zone || signer.Certificate.Issuer.Country != home.country {
		return Holder{}, fmt.Errorf("%w: issued by %s, signed by %s", ErrForeignState, h.IssuingState, signer.Certificate.Issuer.Country)
	}
	h.Assurance = Authentic
	if sod.Has(15) {
		if err := proveActive(chip); err != nil {
			return Holder{}, err
		}
		h.Assurance = Genuine
	}
	if !h.Expires.IsZero() && h.Expires.Before(today(now)) {
		return Holder{}, ErrExpired
	}
	return h, nil
}

// baku is where a document's last day ends: Azerbaijan keeps UTC+4 all year.
var baku = time.FixedZone("Asia/Baku", 4*60*60)

// today is the kiosk's day, as midnight UTC, to compare with days of documents.
func today(now time.Time) time.Time {
	y, m, d := now.In(baku).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// checkGroups compares what was read with what was signed.
func checkGroups(sod *icao.SecurityObject, chip *card.Chip) error {
	if chip.Groups[1] == nil {
		return fmt.Errorf("%w: group 1 was not read", ErrUnreadable)
	}
	for group, file := range chip.Groups {
		if !sod.Has(group) {
			return fmt.Errorf("%w: group %d is not signed", ErrTampered, group)
		}
		if err := sod.Check(group, file); err != nil {
			return fmt.Errorf("%w: %w", ErrTampered, err)
		}
	}
	listed, err := icao.ParseCOM(chip.COM)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	slices.Sort(listed)
	if !slices.Equal(slices.Compact(listed), sod.Groups()) {
		return fmt.Errorf("%w: ef.com lists other groups than ef.sod", ErrTampered)
	}
	return checkAccess(chip)
}

// checkAccess compares EF.CardAccess, which nobody signed, with its signed copy in
// group 14: whoever changed it may have taken the stronger ways in away.
func checkAccess(chip *card.Chip) error {
	if chip.Groups[14] == nil {
		return nil
	}
	signed, err := icao.ParseDG14(chip.Groups[14])
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	open, err := icao.ParseCardAccess(chip.CardAccess)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	// Old chips have no copy there.
	if len(signed.PACE) > 0 && !icao.SamePACE(signed.PACE, open.PACE) {
		return fmt.Errorf("%w: ef.cardaccess is not the signed one", ErrTampered)
	}
	return nil
}

func proveActive(chip *card.Chip) error {
	switch {
	case chip.Groups[15] == nil:
		return fmt.Errorf("%w: its key was not read", ErrClone)
	case !chip.ActiveDone || len(chip.ActiveChallenge) != 8:
		return fmt.Errorf("%w: it was not asked to prove its key", ErrClone)
	}
	err := icao.VerifyActive(chip.Groups[15], chip.Groups[14], chip.ActiveChallenge, chip.ActiveResponse)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrClone, err)
	}
	return nil
}

// describe reads who the holder is, from group 11 where it has the real letters,
// else from the zone.
func describe(chip *card.Chip, now time.Time) (Holder, error) {
	zone, err := icao.ParseDG1(chip.Groups[1])
	if err != nil {
		return Holder{}, err
	}
	h := Holder{
		Surname: zone.Surname, GivenNames: zone.GivenNames, Sex: zone.Sex, BirthDate: zone.BirthDate.Birth(now),
		DocumentNumber: zone.DocumentNumber, IssuingState: zone.IssuingState, Assurance: Read, Evidence: chip,
	}
	if !zone.Expires.IsZero() {
		h.Expires = zone.Expires.Expiry(now)
	}
	var details icao.Details
	if file := chip.Groups[11]; file != nil {
		d, err := icao.ParseDG11(file)
		if err != nil {
			return Holder{}, err
		}
		details = *d
	}
	if details.Surname != "" {
		h.Surname, h.GivenNames = details.Surname, details.GivenNames
	}
	if !details.BirthDate.IsZero() {
		h.BirthDate = details.BirthDate
	}
	h.Surname, h.GivenNames = title(h.Surname), title(h.GivenNames)
	// Another state's document has none; the rule about states speaks of it.
	if h.FIN, err = zone.FIN(); err != nil && zone.IssuingState != home.zone {
		return h, nil
	}
	if err == nil && details.PersonalNumber != "" && details.PersonalNumber != h.FIN {
		return Holder{}, errors.New("group 1 and group 11 have different numbers")
	}
	return h, err
}
