package icao

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// zones are the specimens of ICAO 9303-5, -6 and -4, and a card of Azerbaijan.
var zones = []struct {
	name, text string
	want       MRZ
}{
	{
		"specimen TD1",
		"I<UTOD231458907<<<<<<<<<<<<<<<\n7408122F1204159UTO<<<<<<<<<<<6\nERIKSSON<<ANNA<MARIA<<<<<<<<<<",
		MRZ{
			Format: TD1, DocumentCode: "I", IssuingState: "UTO", DocumentNumber: "D23145890", Nationality: "UTO", Sex: 'F',
			BirthDate: Date{74, 8, 12}, Expires: Date{12, 4, 15}, Surname: "ERIKSSON", GivenNames: "ANNA MARIA",
		},
	},
	{
		"specimen TD2",
		"I<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<\nD231458907UTO7408122F1204159<<<<<<<6",
		MRZ{
			Format: TD2, DocumentCode: "I", IssuingState: "UTO", DocumentNumber: "D23145890", Nationality: "UTO", Sex: 'F',
			BirthDate: Date{74, 8, 12}, Expires: Date{12, 4, 15}, Surname: "ERIKSSON", GivenNames: "ANNA MARIA",
		},
	},
	{
		"specimen TD3",
		"P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C36UTO7408122F1204159ZE184226B<<<<<10",
		MRZ{
			Format: TD3, DocumentCode: "P", IssuingState: "UTO", DocumentNumber: "L898902C3", Nationality: "UTO", Sex: 'F',
			BirthDate: Date{74, 8, 12}, Expires: Date{12, 4, 15}, Surname: "ERIKSSON", GivenNames: "ANNA MARIA", Optional: "ZE184226B",
		},
	},
	{
		"number of ten characters",
		"I<UTOD23145890<7349<<<<<<<<<<<\n3407127M9507122UTO<<<<<<<<<<<2\nSTEVENSON<<PETER<JOHN<<<<<<<<<",
		MRZ{
			Format: TD1, DocumentCode: "I", IssuingState: "UTO", DocumentNumber: "D23145890734", Nationality: "UTO", Sex: 'M',
			BirthDate: Date{34, 7, 12}, Expires: Date{95, 7, 12}, Surname: "STEVENSON", GivenNames: "PETER JOHN",
		},
	},
}

func TestSpecimensAreRead(t *testing.T) {
	for _, z := range zones {
		t.Run(z.name, func(t *testing.T) {
			got, err := ParseMRZ(z.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&z.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Every single wrong character among the checked ones is noticed, or leaves what
// the zone says unchanged in its checked fields.
func TestWrongCharactersAreNoticed(t *testing.T) {
	text := strings.ReplaceAll(zones[0].text, "\n", "")
	for _, i := range []int{5, 9, 13, 14, 30, 33, 35, 36, 38, 43, 44, 59} {
		wrong := byte('1')
		if text[i] == wrong {
			wrong = '2'
		}
		changed := text[:i] + string(wrong) + text[i+1:]
		if _, err := ParseMRZ(changed); !errors.Is(err, ErrCheckDigit) && !errors.Is(err, ErrMRZ) {
			t.Errorf("position %d: error = %v, want wrong check digit", i, err)
		}
	}
}

func TestAzerbaijaniCardGoesThereAndBack(t *testing.T) {
	want := &MRZ{
		Format: TD1, DocumentCode: "IA", IssuingState: "AZE", DocumentNumber: "AA1234567", Nationality: "AZE", Sex: 'F',
		BirthDate: Date{90, 5, 12}, Expires: Date{33, 3, 1}, Optional: "5ARPXK2",
		Surname: Transliterate("Məmmədova"), GivenNames: Transliterate("Aygün"),
	}
	text := want.TD1Lines()
	if got := text[15:22]; got != "5ARPXK2" {
		t.Errorf("columns 16 to 22 = %q", got)
	}
	got, err := ParseMRZ(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if fin, err := got.FIN(); err != nil || fin != "5ARPXK2" {
		t.Errorf("FIN = %q, %v", fin, err)
	}
}

// Old cards of the TD2 size may have no expiry at all.
func TestCardWithoutExpiryIsRead(t *testing.T) {
	names := fill("IAAZEMAMMADOVA<<AYGUN", 36)
	line := digited(fill("12345678", 9)) + "AZE" + digited("900512") + "F" + "<<<<<<0" + "5ARPXK2"
	line += string(checkDigit(line[0:10] + line[13:20] + line[21:35]))
	m, err := ParseMRZ(names + line)
	if err != nil {
		t.Fatal(err)
	}
	if !m.Expires.IsZero() {
		t.Errorf("expires = %v", m.Expires)
	}
	if fin, err := m.FIN(); err != nil || fin != "5ARPXK2" {
		t.Errorf("FIN = %q, %v", fin, err)
	}
}

func TestTypedFINIsFolded(t *testing.T) {
	for in, want := range map[string]string{"5arpxk2": "5ARPXK2", " 5ARPXK2 ": "5ARPXK2", "OI23456": "0123456"} {
		if got, err := ParseFIN(in); err != nil || got != want {
			t.Errorf("ParseFIN(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", "5ARPXK", "5ARPXK22", "5ARPX 2", "5ƏRPXK2", "5ARPX<2"} {
		if got, err := ParseFIN(in); !errors.Is(err, ErrFIN) {
			t.Errorf("ParseFIN(%q) = %q, %v, want an error", in, got, err)
		}
	}
}

func TestNamesAreWrittenAsAzerbaijaniDocumentsDo(t *testing.T) {
	for in, want := range map[string]string{
		"Məmmədova": "MAMMADOVA", "Şəfəq": "SHAFAG", "Xəyal": "KHAYAL", "Cavid": "JAVID", "Ömər": "OMAR",
		"İlqar": "ILGAR", "Əli-Vəli": "ALI VALI",
	} {
		if got := Transliterate(in); got != want {
			t.Errorf("Transliterate(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestCenturies(t *testing.T) {
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	for d, want := range map[Date]int{{90, 5, 12}: 1990, {26, 11, 22}: 2026, {26, 11, 23}: 1926, {0, 1, 1}: 2000} {
		if got := d.Birth(now).Year(); got != want {
			t.Errorf("birth %v = %d, want %d", d, got, want)
		}
	}
	for d, want := range map[Date]int{{33, 3, 1}: 2033, {12, 4, 15}: 2012, {95, 1, 1}: 1995, {76, 1, 1}: 2076} {
		if got := d.Expiry(now).Year(); got != want {
			t.Errorf("expiry %v = %d, want %d", d, got, want)
		}
	}
}
