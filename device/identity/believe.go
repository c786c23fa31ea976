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
//  5. A chip with a signed key proves it, by chip authentication mapping, Chip
//     Authentication or Active Authentication, or it is a copy. The mapping's key
//     stands in EF.CardSecurity, which is signed as EF.SOD is.
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
	if h.Assurance, err = prove(chip, sod, anchors, now); err != nil {
		return Holder{}, err
	}
	if err := checkList(chip, sod); err != nil {
		return Holder{}, err
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
	return checkAccess(chip)
}

// checkList compares EF.COM with EF.SOD. It comes after the proof of the key: of
// a copy it cannot always be read.
func checkList(chip *card.Chip, sod *icao.SecurityObject) error {
	listed, err := icao.ParseCOM(chip.COM)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	slices.Sort(listed)
	if !slices.Equal(slices.Compact(listed), sod.Groups()) {
		return fmt.Errorf("%w: ef.com lists other groups than ef.sod", ErrTampered)
	}
	return nil
}

// checkAccess compares EF.CardAccess, which nobody signed, with its signed copy in
// group 14: whoever changed it may have taken the stronger ways in away, or all of
// them, so that the chip had to be opened without PACE.
func checkAccess(chip *card.Chip) error {
	if chip.Groups[14] == nil {
		return nil
	}
	signed, err := icao.ParseDG14(chip.Groups[14])
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return samePACE(signed, chip)
}

func samePACE(signed *icao.SecurityInfos, chip *card.Chip) error {
	open := new(icao.SecurityInfos)
	if chip.CardAccess != nil {
		var err error
		if open, err = icao.ParseCardAccess(chip.CardAccess); err != nil {
			return fmt.Errorf("%w: %w", ErrUnreadable, err)
		}
	}
	// Old chips have no copy there.
	if len(signed.PACE) > 0 && !icao.SamePACE(signed.PACE, open.PACE) {
		return fmt.Errorf("%w: ef.cardaccess is not the signed one", ErrTampered)
	}
	return nil
}

// prove says how far the chip is the one that the state made. Every proof that was
// begun has to hold, and of the keys that the state signed one has to be proved;
// a way that is not spoken here counts only when nothing else was proved.
func prove(chip *card.Chip, sod *icao.SecurityObject, anchors *Anchors, now time.Time) (Assurance, error) {
	offered, spoken := false, false
	if sod.Has(14) {
		if chip.Groups[14] == nil {
			return 0, fmt.Errorf("%w: its protocols were not read", ErrClone)
		}
		infos, err := icao.ParseDG14(chip.Groups[14])
		if err != nil {
			return 0, fmt.Errorf("%w: %w", ErrUnreadable, err)
		}
		_, err = infos.ChooseChip()
		offered, spoken = infos.ChipAuthentication, err == nil
	}
	proved := false
	if chip.MappingDone {
		if err := proveMapping(chip, anchors, now); err != nil {
			return 0, err
		}
		proved = true
	}
	if chip.ChipDone || spoken && !proved {
		if err := proveChip(chip); err != nil {
			return 0, err
		}
		proved = true
	}
	if chip.ActiveDone || sod.Has(15) && !proved {
		if err := proveActive(chip); err != nil {
			return 0, err
		}
		proved = true
	}
	switch {
	case proved:
		return Genuine, nil
	case offered:
		return 0, fmt.Errorf("%w: it can prove its key in no way that is known here", ErrClone)
	}
	return Authentic, nil
}

// proveMapping takes the key from EF.CardSecurity, whose signer has to be trusted
// like that of EF.SOD.
func proveMapping(chip *card.Chip, anchors *Anchors, now time.Time) error {
	if chip.CardSecurity == nil {
		return fmt.Errorf("%w: its key was not read", ErrClone)
	}
	security, err := icao.ParseCardSecurity(chip.CardSecurity)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	signer, err := security.Verify()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrTampered, err)
	}
	if err := anchors.trust(signer, now); err != nil {
		return err
	}
	if signer.Certificate.Issuer.Country != home.country {
		return fmt.Errorf("%w: ef.cardsecurity signed by %s", ErrForeignState, signer.Certificate.Issuer.Country)
	}
	if err := samePACE(security.Infos, chip); err != nil {
		return err
	}
	if err := security.Infos.VerifyMapping(chip.MappingKey, chip.MappingData); err != nil {
		return fmt.Errorf("%w: %w", ErrClone, err)
	}
	return nil
}

func proveChip(chip *card.Chip) error {
	if !chip.ChipDone {
		return fmt.Errorf("%w: it was not asked to prove its key", ErrClone)
	}
	if err := icao.VerifyChip(chip.Groups[14], chip.ChipSecret, chip.ChipResponse); err != nil {
		return fmt.Errorf("%w: %w", ErrClone, err)
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
