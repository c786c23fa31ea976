package icao

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestGroup11GoesThereAndBack(t *testing.T) {
	want := &Details{
		Surname: "MƏMMƏDOVA", GivenNames: "AYGÜN RAUF", PersonalNumber: "5ARPXK2", BirthPlace: "BAKI",
		BirthDate: time.Date(1990, 5, 12, 0, 0, 0, 0, time.UTC),
	}
	got, err := ParseDG11(DG11(*want))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestGroup11TakesWhatOldChipsWrite(t *testing.T) {
	d, err := ParseDG11(MakeTLV(tagDG11, MakeTLV(0x5F2B, []byte{0x19, 0x90, 0x05, 0x12})))
	if err != nil || d.BirthDate.Format(time.DateOnly) != "1990-05-12" {
		t.Errorf("date in BCD = %v, %v", d, err)
	}
	d, err = ParseDG11(MakeTLV(tagDG11, MakeTLV(0x5F2B, []byte("19900000"))))
	if err != nil || !d.BirthDate.IsZero() {
		t.Errorf("unknown day = %v, %v", d, err)
	}
	if _, err = ParseDG11(MakeTLV(tagDG11, MakeTLV(0x5F0E, []byte{0xFF}))); !errors.Is(err, ErrTLV) {
		t.Errorf("name that is no UTF-8 = %v", err)
	}
}

func TestCOMListsGroups(t *testing.T) {
	got, err := ParseCOM(COM(1, 2, 11, 14, 15))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{1, 2, 11, 14, 15}, got); diff != "" {
		t.Error(diff)
	}
}

func TestCardAccessNamesTheWaysIn(t *testing.T) {
	s, err := ParseCardAccess(CardAccess(GenericPACE(AES128, 13), GenericPACE(AES256, 12), GenericPACE(TripleDES, 18)))
	if err != nil {
		t.Fatal(err)
	}
	suite, err := ChooseSuite(s.PACE)
	if err != nil || suite.Name != "PACE-ECDH-GM-AES256-P256" {
		t.Errorf("suite = %q, %v, want the longest key", suite.Name, err)
	}
	suite, err = ChooseSuite([]PACEInfo{GenericPACE(AES128, 12), ECDHPACE(MappingChip, AES128, 12), ECDHPACE(MappingIntegrated, AES128, 12)})
	if err != nil || suite.Info.Mapping != MappingChip {
		t.Errorf("suite = %q, %v, want the one that proves the chip's key", suite.Name, err)
	}
	for name, p := range map[string]PACEInfo{
		"whole numbers":      {Mapping: MappingGeneric, Cipher: AES128, ParameterID: 12},
		"unknown parameters": ECDHPACE(MappingGeneric, AES128, 9),
		"mapping with 3DES":  ECDHPACE(MappingChip, TripleDES, 12),
	} {
		if _, err := ChooseSuite([]PACEInfo{p}); !errors.Is(err, ErrPACE) {
			t.Errorf("%s: error = %v", name, err)
		}
	}
	signed, err := ParseDG14(DG14([]PACEInfo{GenericPACE(AES128, 12)}))
	if err != nil || len(signed.PACE) != 1 || signed.ActiveAlgorithm == nil {
		t.Errorf("group 14 = %+v, %v", signed, err)
	}
}

func TestCardInfoKnowsExtendedLengths(t *testing.T) {
	tests := map[string]CardInfo{
		"":                                      {},
		"FFFF":                                  {},
		"4703000040":                            {Extended: true},
		"4703000000":                            {},
		"7F66080202100002021000":                {Extended: true, MaxCommand: 4096, MaxResponse: 4096},
		"4703000040" + "7F6608020200E60202FFFF": {Extended: true, MaxCommand: 230, MaxResponse: 65535},
	}
	for in, want := range tests {
		if got := ParseCardInfo(unhex(t, in)); got != want {
			t.Errorf("ParseCardInfo(%s) = %+v, want %+v", in, got, want)
		}
	}
}
