package icao

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// ICAO 9303-3, appendix A, the examples of check digits: two fields, and the
// composite digits of the three sizes.
func TestCheckDigitsOfTheStandard(t *testing.T) {
	for in, want := range map[string]byte{
		"520727":    '3',
		"AB2134<<<": '5',
		"HA672242<" + "6" + "5802254" + "9601086" + "<<<<<<<<<<<<<<0":                 '8',
		"D23145890" + "7" + "<<<<<<<<<<<<<<<" + "3407127" + "9507122" + "<<<<<<<<<<<": '2',
		"HA672242<" + "6" + "5802254" + "9601086" + "<<<<<<<":                         '8',
	} {
		if got := checkDigit(in); got != want {
			t.Errorf("check digit of %s = %c, want %c", in, got, want)
		}
	}
}

// ICAO 9303-10, appendix A: the examples of EF.COM and of groups 1, 11
// and 12. The digits of those of group 1 don't fit the standard's own rule: the
// zone is taken with the right ones only.
func TestFilesOfTheStandard(t *testing.T) {
	com := unhex(t, "60165F0104303130375F36063034303030305C046175766C")
	if got, err := ParseCOM(com); err != nil || !cmp.Equal(got, []int{1, 2, 4, 12}) {
		t.Errorf("ef.com = %v, %v", got, err)
	}
	if got := COM(1, 2, 4, 12); string(got) != string(com) {
		t.Errorf("ef.com is written as %X", got)
	}
	zones := []struct {
		head, text, right string
		want              MRZ
	}{
		{
			"615D5F1F5A",
			"I<NLDXI85935F86999999990<<<<<<7208148F1108268NLD<<<<<<<<<<<4VAN<DER<STEEN<<MARIANNE<LOUISE",
			"I<NLDXI85935F86999999990<<<<<<7208148F1108268NLD<<<<<<<<<<<8VAN<DER<STEEN<<MARIANNE<LOUISE",
			MRZ{
				Format: TD1, DocumentCode: "I", IssuingState: "NLD", DocumentNumber: "XI85935F8", Nationality: "NLD", Sex: 'F',
				BirthDate: Date{72, 8, 14}, Expires: Date{11, 8, 26}, Surname: "VAN DER STEEN", GivenNames: "MARIANNE LOUISE", Optional: "999999990",
			},
		},
		{
			"615B5F1F58",
			"P<ATASMITH<<JOHN<T<<<<<<<<<<<<<<<<<<<<<<<<<<123456789<HMD7406222M10123130121<<<<<<<<<<54",
			"P<ATASMITH<<JOHN<T<<<<<<<<<<<<<<<<<<<<<<<<<<1234567897HMD7406221M10123120121<<<<<<<<<<24",
			MRZ{
				Format: TD3, DocumentCode: "P", IssuingState: "ATA", DocumentNumber: "123456789", Nationality: "HMD", Sex: 'M',
				BirthDate: Date{74, 6, 22}, Expires: Date{10, 12, 31}, Surname: "SMITH", GivenNames: "JOHN T", Optional: "0121",
			},
		},
	}
	for _, z := range zones {
		file := append(unhex(t, z.head), z.text...)
		if _, err := ParseDG1(file); !errors.Is(err, ErrCheckDigit) {
			t.Errorf("%s: %v, want a wrong check digit", z.text, err)
		}
		if written := DG1(z.text); string(written) != string(file) {
			t.Errorf("group 1 is written as %X", written)
		}
		got, err := ParseDG1(append(unhex(t, z.head), z.right...))
		if err != nil {
			t.Errorf("%s: %v", z.right, err)
			continue
		}
		if diff := cmp.Diff(&z.want, got); diff != "" {
			t.Error(diff)
		}
	}
	details, err := ParseDG11([]byte("\x6B\x63\x5C\x0A\x5F\x0E\x5F\x11\x5F\x42\x5F\x12\x5F\x13" +
		"\x5F\x0E\x0DSMITH<<JOHN<J" + "\x5F\x11\x0AANYTOWN<MN" + "\x5F\x42\x17123 MAPLE RD<ANYTOWN<MN" +
		"\x5F\x12\x0E1-612-555-1212" + "\x5F\x13\x0CTRAVEL<AGENT"))
	if diff := cmp.Diff(&Details{Surname: "SMITH", GivenNames: "JOHN J", BirthPlace: "ANYTOWN, MN"}, details); err != nil || diff != "" {
		t.Errorf("group 11: %v, %s", err, diff)
	}
	// Other persons stand under a template of their own in the later editions.
	for _, others := range []string{"\x5F\x1A\x0FSMITH<<BRENDA<P", "\xA0\x15\x02\x01\x01\x5F\x1A\x0FSMITH<<BRENDA<P"} {
		body := "\x5C\x06\x5F\x19\x5F\x26\x5F\x1A" + "\x5F\x19\x18UNITED STATES OF AMERICA" + "\x5F\x26\x0820020531" + others
		issuing, err := ParseDG12(fmt.Appendf(nil, "\x6C%c%s", len(body), body))
		want := &Issuing{Authority: "UNITED STATES OF AMERICA", Issued: time.Date(2002, 5, 31, 0, 0, 0, 0, time.UTC)}
		if diff := cmp.Diff(want, issuing); err != nil || diff != "" {
			t.Errorf("group 12: %v, %s", err, diff)
		}
	}
}
