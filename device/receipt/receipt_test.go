package receipt_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kosk/device/receipt"
	"kosk/device/text"
	"kosk/drivers/printer"
)

var update = flag.Bool("update", false, "write the golden files anew")

// sample is a slip of the test person, with words of its language.
func sample(lang text.Lang, kind receipt.Kind) receipt.Slip {
	words := map[text.Lang]map[string]string{
		text.Az: {
			"office": "Köşk – dövlət xidmətləri", "service": "İş yerindən arayış", "agency": "Əmək və Əhalinin Sosial Müdafiəsi Nazirliyi",
			"employer": "İşəgötürən", "position": "Vəzifə", "accountant": "mühasib", "since": "İşə başladığı gün", "source": "Əmək müqavilələri reyestri",
			"next": "Arayış hazır olanda onu istənilən köşkdə bu nömrə və şəxsiyyət vəsiqəsi ilə çap edə bilərsiniz.",
		},
		text.Ru: {
			"office": "Köşk – государственные услуги", "service": "Справка с места работы", "agency": "Министерство труда и социальной защиты населения",
			"employer": "Работодатель", "position": "Должность", "accountant": "бухгалтер", "since": "Работает с", "source": "реестр трудовых договоров",
			"next": "Когда справка будет готова, её можно напечатать в любом киоске по этому номеру и удостоверению личности.",
		},
		text.En: {
			"office": "Köşk – government services", "service": "Certificate of employment", "agency": "Ministry of Labour and Social Protection",
			"employer": "Employer", "position": "Position", "accountant": "accountant", "since": "Employed since", "source": "register of employment contracts",
			"next": "When the certificate is ready you can print it at any kiosk with this number and your identity card.",
		},
	}[lang]
	w := func(key string) text.Words { return text.Say(lang, text.Plain, words[key]) }
	s := receipt.Slip{
		ID: "sample", Kind: kind, Lang: lang, Office: w("office"), Number: "248301775204", Service: w("service"), Agency: w("agency"),
		Holder: text.Say(lang, text.Name, "AYGÜN M."), When: time.Date(2026, 11, 22, 6, 5, 0, 0, time.UTC),
		Code: strings.Repeat("6BFOXN%TS3DHPVO13J /G-/2YRVA.Q/R86VPG:", 4),
	}
	row := func(key string, value text.Words) {
		s.Rows = append(s.Rows, receipt.Row{Label: w(key), Value: value, Source: w("source")})
	}
	switch kind {
	case receipt.Accepted, receipt.Provisional:
		s.Next, s.By = w("next"), time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)
	default:
		row("employer", text.Say(text.Az, text.Name, "“Xəzər Gəmiçilik” ASC"))
		row("position", w("accountant"))
		row("since", text.Day(lang, time.Date(2019, 9, 2, 0, 0, 0, 0, time.UTC)))
	}
	if kind == receipt.Answer {
		s.Number, s.Holder = "", nil
	}
	return s
}

var kinds = map[string]receipt.Kind{
	"final": receipt.Final, "accepted": receipt.Accepted, "provisional": receipt.Provisional, "answer": receipt.Answer,
	"registered": receipt.Registered,
}

// flat writes a slip as the printers' tests read it: style, text and right part
// of each line.
func flat(s printer.Slip) string {
	var b strings.Builder
	for _, l := range s.Lines {
		fmt.Fprintf(&b, "%d\t%s\t%s\n", l.Style, l.Text, l.Right)
	}
	return b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestSlips(t *testing.T) {
	for name, kind := range kinds {
		for _, lang := range text.Langs {
			s := sample(lang, kind)
			golden(t, fmt.Sprintf("%s-%s.slip", name, lang), flat(receipt.Compose(s)))
			golden(t, fmt.Sprintf("%s-%s.said", name, lang), receipt.Lines(s))
		}
	}
	s := sample(text.Az, receipt.Provisional)
	s.Test = true
	golden(t, "test-az.slip", flat(receipt.Compose(s)))
}

func TestAProvisionalSlipBeginsWithItsBar(t *testing.T) {
	bars := map[text.Lang]string{text.Az: "MÜVƏQQƏTİ", text.Ru: "ПРЕДВАРИТЕЛЬНО", text.En: "PROVISIONAL"}
	for _, lang := range text.Langs {
		first := receipt.Compose(sample(lang, receipt.Provisional)).Lines[0]
		if first.Style != printer.Reversed || first.Text != bars[lang] {
			t.Errorf("%s begins with %+v", lang, first)
		}
		for name, kind := range kinds {
			if kind != receipt.Provisional && strings.Contains(flat(receipt.Compose(sample(lang, kind))), bars[lang]) {
				t.Errorf("a slip of kind %s says that it is provisional", name)
			}
		}
	}
}

func TestATestSlipSaysSoFirstAndLast(t *testing.T) {
	for _, lang := range text.Langs {
		for name, kind := range kinds {
			s := sample(lang, kind)
			s.Test = true
			lines := receipt.Compose(s).Lines
			first, last := lines[0], lines[len(lines)-1]
			want := text.In(lang, "slip.test").String()
			if first.Style != printer.Reversed || first.Text != want || last != first {
				t.Errorf("%s %s: first %+v, last %+v", name, lang, first, last)
			}
		}
	}
}

func TestWhatIsPrintedIsSaid(t *testing.T) {
	for _, lang := range text.Langs {
		for name, kind := range kinds {
			s := sample(lang, kind)
			s.Test, s.Copy = true, true
			said := strings.ReplaceAll(receipt.Lines(s), " ", "")
			for _, l := range receipt.Compose(s).Lines {
				if l.Style != printer.Code && !strings.Contains(said, strings.ReplaceAll(l.Text, " ", "")) {
					t.Errorf("%s %s: %q is printed and not said", name, lang, l.Text)
				}
			}
			if !receipt.Compose(s).Copy || receipt.Text(s)[0].String() != text.In(lang, "slip.copy").String() {
				t.Errorf("%s %s: a copy doesn't say so first", name, lang)
			}
		}
	}
}

func TestTheNumberStandsInThrees(t *testing.T) {
	for _, l := range receipt.Compose(sample(text.Az, receipt.Final)).Lines {
		if l.Style == printer.Numerals && l.Text == "248 301 775 204" {
			return
		}
	}
	t.Error("no number in threes")
}

func TestAnEmptySlipHasNoEmptyLines(t *testing.T) {
	for _, l := range receipt.Compose(receipt.Slip{Lang: text.En}).Lines {
		switch l.Style {
		case printer.Mark, printer.Lattice, printer.Rule, printer.Gap:
		default:
			if l.Text == "" {
				t.Errorf("empty line %+v", l)
			}
		}
	}
}

func TestASlipDoesNotShowItsFactsInLogs(t *testing.T) {
	s := sample(text.Az, receipt.Final)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if out := fmt.Sprintf(verb, s); strings.Contains(out, "AYGÜN") || strings.Contains(out, "248301775204") {
			t.Errorf("%s shows %s", verb, out)
		}
	}
}

func TestTheWordsAreCompleteInThreeLanguages(t *testing.T) {
	n := 0
	for _, key := range text.Keys() {
		if !strings.HasPrefix(string(key), "slip.") {
			continue
		}
		n++
		for _, lang := range text.Langs {
			if show, _ := text.Forms(lang, key); show == "" {
				t.Errorf("%s has no %s words", key, lang)
			}
		}
	}
	if n < 15 {
		t.Errorf("only %d phrases", n)
	}
}
