package text

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/unicode/norm"
)

// Every key has words in every language, and a spoken form only beside a shown one.
func TestWordsAreCompleteInThreeLanguages(t *testing.T) {
	if len(Keys()) == 0 {
		t.Fatal("no keys")
	}
	for _, key := range Keys() {
		for _, lang := range Langs {
			show, say := Forms(lang, key)
			if strings.TrimSpace(show) == "" {
				t.Errorf("%s: no %s words (spoken form %q)", key, lang, say)
			}
		}
		for form := range load()[key] {
			lang := Lang(strings.TrimSuffix(form, "_say"))
			if !slices.Contains(Langs, lang) {
				t.Errorf("%s: %q is no language", key, form)
			}
		}
	}
}

// What each form of each key must not be.
func TestWordsAreWellFormed(t *testing.T) {
	eachForm(func(key Key, form, s string) {
		if s != strings.TrimSpace(s) || strings.Contains(s, "  ") {
			t.Errorf("%s %s: %q has stray spaces", key, form, s)
		}
		if !norm.NFC.IsNormalString(s) {
			t.Errorf("%s %s: %q is not in NFC", key, form, s)
		}
		for _, r := range s {
			if unicode.IsControl(r) || r == unicode.ReplacementChar || r == '\u00a0' {
				t.Errorf("%s %s: %q has %U", key, form, s, r)
			}
			lang := Lang(strings.TrimSuffix(form, "_say"))
			if key != "lang.name" && lang != Ru && unicode.Is(unicode.Cyrillic, r) {
				t.Errorf("%s %s: %q has the Cyrillic %c", key, form, s, r)
			}
		}
		for _, brace := range []string{"{}", "{{", "}}"} {
			if strings.Contains(s, brace) {
				t.Errorf("%s %s: %q has %s", key, form, s, brace)
			}
		}
	})
}

func eachForm(do func(key Key, form, s string)) {
	for _, key := range Keys() {
		for form, s := range load()[key] {
			do(key, form, s)
		}
	}
}

var plainI = regexp.MustCompile(`(^|\P{L})(PIN|FIN)(\P{L}|$)`)

// With a plain I, PIN and FIN are read pın and fın.
func TestAzerbaijaniHasItsDottedCapitals(t *testing.T) {
	eachForm(func(key Key, form, s string) {
		if strings.HasPrefix(form, string(Az)) && plainI.MatchString(s) {
			t.Errorf("%s %s: %q: write PİN, FİN", key, form, s)
		}
	})
	for s, want := range map[string]bool{"PIN kod": true, "FIN": true, "(FIN)": true, "PİN kod": false, "FİNLƏR": false, "SPIN": false} {
		if got := plainI.MatchString(s); got != want {
			t.Errorf("%q: found %v", s, got)
		}
	}
}

// named are the phrases that call the card by its whole name, or speak of a card of
// another kind.
var named = map[Key]bool{
	"home.with": true, "card.title": true, "source.chip": true, "fault.foreign.title": true, "fault.foreign.lead": true, "fault.foreign.next": true,
}

var (
	otherCard = regexp.MustCompile(`(?i)(^|\P{L})(карт|kart)`)
	wholeName = regexp.MustCompile(`(?i)identity card|\bID\b|şəxsiyyət|личности`)
)

// One thing has one name: vəsiqə, удостоверение, card. A карта or a kart is one of
// a bank's.
func TestTheCardHasOneName(t *testing.T) {
	eachForm(func(key Key, form, s string) {
		if key == "fault.foreign.lead" {
			return
		}
		if otherCard.MatchString(s) {
			t.Errorf("%s %s: %q: it is called vəsiqə, удостоверение, card", key, form, s)
		}
		if wholeName.MatchString(s) && !named[key] {
			t.Errorf("%s %s: %q: its whole name stands where it is met first, and where it is told from others", key, form, s)
		}
	})
	for s, want := range map[string]bool{"Карта вынута": true, "на карту": true, "kartı": true, "Удостоверение": false, "vəsiqə": false} {
		if got := otherCard.MatchString(s); got != want {
			t.Errorf("%q: found %v", s, got)
		}
	}
}

var places = regexp.MustCompile(`\{[^{}]*\}`)

// The places of a phrase are the same in every language, so that no caller can
// fill them in one and break in another.
func TestPlacesAreTheSameInEveryLanguage(t *testing.T) {
	for _, key := range Keys() {
		of := func(lang Lang) []string {
			show, _ := Forms(lang, key)
			all := places.FindAllString(show, -1)
			slices.Sort(all)
			return slices.Compact(all)
		}
		for _, lang := range Langs {
			if diff := cmp.Diff(of(Az), of(lang)); diff != "" {
				t.Errorf("%s: places in az and %s differ:\n%s", key, lang, diff)
			}
		}
	}
}

func TestInFillsPlaces(t *testing.T) {
	name := Say(Az, Name, "AYGÜN")
	got := fill(Ru, "test", "Здравствуйте, {name}! {name}", "", []Arg{{"name", name}})
	want := Words{{Lang: Ru, Text: "Здравствуйте, "}, name[0], {Lang: Ru, Text: "! "}, name[0]}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := In(Az, "next"); got.String() != "Davam et" {
		t.Errorf("got %q", got)
	}
}

func TestABrokenProgramPanics(t *testing.T) {
	for name, do := range map[string]func(){
		"an unknown key":             func() { In(Az, "no.such.key") },
		"a place that nothing fills": func() { fill(Az, "test", "a {b}", "", nil) },
		"an open place":              func() { fill(Az, "test", "a {b", "", []Arg{{"b", nil}}) },
		"a phrase without languages": func() { flatten("f", "", map[string]any{"a": "b"}, map[Key]phrase{}) },
		"words and keys in one table": func() {
			flatten("f", "", map[string]any{"a": map[string]any{"az": "b", "c": map[string]any{}}}, map[Key]phrase{})
		},
		"a key that stands twice": func() {
			flatten("f", "", map[string]any{"a": map[string]any{"az": "b"}}, map[Key]phrase{"a": {}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			do()
		})
	}
}

// i and ı are different letters, in capitals too.
func TestCase(t *testing.T) {
	for _, c := range []struct {
		lang         Lang
		in           string
		upper, title string
	}{
		{Az, "ilıq işıq", "İLIQ İŞIQ", "İlıq İşıq"},
		{Az, "şəxsiyyət", "ŞƏXSİYYƏT", "Şəxsiyyət"},
		{Az, "ISMAYILLI", "ISMAYILLI", "Ismayıllı"},
		{Az, "İSMAYILLI", "İSMAYILLI", "İsmayıllı"},
		{Ru, "ёлка", "ЁЛКА", "Ёлка"},
		{En, "identity", "IDENTITY", "Identity"},
	} {
		if got := Upper(c.lang, c.in); got != c.upper {
			t.Errorf("upper %s %q: got %q, want %q", c.lang, c.in, got, c.upper)
		}
		if got := Title(c.lang, c.in); got != c.title {
			t.Errorf("title %s %q: got %q, want %q", c.lang, c.in, got, c.title)
		}
	}
}

func TestShow(t *testing.T) {
	for name, c := range map[string]struct {
		kind       Kind
		in         string
		az, ru, en string
	}{
		"a date":                   {Date, "1990-05-12", "12 may 1990", "12 мая 1990", "12 May 1990"},
		"a date of one figure":     {Date, "2033-03-01", "1 mart 2033", "1 марта 2033", "1 March 2033"},
		"what is no date":          {Date, "1990-13-45", "1990-13-45", "1990-13-45", "1990-13-45"},
		"a moment, in Baku":        {Time, "2026-07-25T20:05:00Z", "26 iyul 2026, 00:05", "26 июля 2026, 00:05", "26 July 2026, 00:05"},
		"a number in groups":       {Number, "K7Q2049XR", "K7Q 204 9XR", "K7Q 204 9XR", "K7Q 204 9XR"},
		"a number with its groups": {Number, "K7Q-204-9X", "K7Q-204-9X", "K7Q-204-9X", "K7Q-204-9X"},
		"digits as they are":       {Digits, "123456", "123456", "123456", "123456"},
		"plain words":              {Plain, "Davam et", "Davam et", "Davam et", "Davam et"},
	} {
		for lang, want := range map[Lang]string{Az: c.az, Ru: c.ru, En: c.en} {
			if got := Say(lang, c.kind, c.in).String(); got != want {
				t.Errorf("%s in %s: got %q, want %q", name, lang, got, want)
			}
		}
	}
}

func TestEveryMonthHasItsNameInEveryLanguage(t *testing.T) {
	for _, lang := range Langs {
		seen := map[string]bool{}
		for m := time.January; m <= time.December; m++ {
			seen[Month(lang, m)] = true
		}
		if len(seen) != 12 || seen[""] {
			t.Errorf("%s: %v", lang, seen)
		}
	}
}

func TestDayAndMomentAreThoseOfBaku(t *testing.T) {
	at := time.Date(2026, 7, 25, 21, 30, 0, 0, time.UTC) // half past one, the next day
	if got := Day(Az, at); got.String() != "26 iyul 2026" {
		t.Errorf("day: %s", got)
	}
	if got := Moment(En, at); got.String() != "26 July 2026, 01:30" {
		t.Errorf("moment: %s", got)
	}
}

func TestJoinLeavesOutWhatIsEmpty(t *testing.T) {
	a, b := Say(Az, Plain, "a"), Say(Ru, Plain, "б")
	if got := Join(", ", nil, a, Words{{Text: ""}}, b, nil).String(); got != "a, б" {
		t.Errorf("got %q", got)
	}
	if got := Join(", ", nil, nil); got != nil || !got.Empty() {
		t.Errorf("got %v", got)
	}
}
