package say

import (
	"strconv"
	"strings"
	"time"
	"unicode"

	"kosk/device/text"
)

// A tongue is what differs between the languages.
type tongue struct {
	lang   text.Lang
	signs  map[string]string // of plain text
	short  map[string]string // abbreviations, as whole words
	names  map[rune]string   // of letters, small
	minus  string
	plus   string
	point  string // between the parts of an address on the net
	number func(n int) string
	// ordinal takes the word that follows, by which Russian inflects; "" when
	// none does.
	ordinal func(n int, next string) string
	// date of a day; first says that it opens its phrase.
	date    func(day int, m time.Month, year int, first bool) string
	clock   func(hour, minute int) string
	money   func(manat, qepik int) string
	of      func(a, b string) string     // step 2 of 4
	span    func(from, to string) string // from 5 to 10
	percent func(n int) string
	masked  func(n int) string // n characters were typed
	// suffixed are ordinals written with a figure: 1-ci, 5-го. The submatches
	// are the figure and the suffix.
	suffixed func(n int, suffix string) string
}

func tongueOf(lang text.Lang) *tongue {
	switch lang {
	case text.Ru:
		return &russian
	case text.En:
		return &english
	}
	return &azerbaijani
}

// date says an RFC 3339 date; what is none is read as it stands.
func date(t *tongue, s string, first bool) string {
	d, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return plain(t, s)
	}
	return t.date(d.Day(), d.Month(), d.Year(), first)
}

// baku is the kiosk's wall clock: Azerbaijan keeps UTC+4 all year.
var baku = time.FixedZone("Asia/Baku", 4*60*60)

func moment(t *tongue, s string, first bool) string {
	d, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return plain(t, s)
	}
	d = d.In(baku)
	return t.date(d.Day(), d.Month(), d.Year(), first) + ", " + t.clock(d.Hour(), d.Minute())
}

// spell says letters by name and digits in groups of n, with a pause between any
// two; a group starts with its zeros.
func spell(t *tongue, s string, n int) string {
	var out []string
	for run := range fields(s) {
		if unicode.IsDigit(rune(run[0])) {
			out = append(out, groupsOf(t, run, n)...)
			continue
		}
		for _, r := range run {
			if name := t.letter(r); name != "" {
				out = append(out, name)
			}
		}
	}
	return strings.Join(out, ", ")
}

// fields yields the runs of ASCII digits and of other letters in s.
func fields(s string) func(yield func(string) bool) {
	kind := func(r rune) int {
		switch {
		case r >= '0' && r <= '9':
			return 1
		case unicode.IsLetter(r):
			return 2
		}
		return 0
	}
	return func(yield func(string) bool) {
		start, was := 0, 0
		for i, r := range s + " " {
			k := kind(r)
			if k == was {
				continue
			}
			if was != 0 && !yield(s[start:i]) {
				return
			}
			start, was = i, k
		}
	}
}

// groupsOf says digits n by n: zeros one by one, the rest of a group as a number.
func groupsOf(t *tongue, digits string, n int) []string {
	var out []string
	for len(digits) > 0 {
		n := min(n, len(digits))
		out = append(out, group(t, digits[:n]))
		digits = digits[n:]
	}
	return out
}

func group(t *tongue, digits string) string {
	var out []string
	for len(digits) > 1 && digits[0] == '0' {
		out = append(out, t.number(0))
		digits = digits[1:]
	}
	n, err := strconv.Atoi(digits)
	if err != nil {
		return digits
	}
	return strings.Join(append(out, t.number(n)), " ")
}

// digits says digits one by one, with a pause after every n and at each space.
func digits(t *tongue, s string, n int) string {
	var out []string
	for run := range fields(s) {
		if run[0] < '0' || run[0] > '9' {
			out = append(out, spell(t, run, 1))
			continue
		}
		for len(run) > 0 {
			n := min(n, len(run))
			out = append(out, strings.Join(groupsOf(t, run[:n], 1), " "))
			run = run[n:]
		}
	}
	return strings.Join(out, ", ")
}

// phone says a number as people do here: +994 50 123 45 67, 050 123 45 67; a
// short one (157) is a number.
func phone(t *tongue, s string) string {
	var d strings.Builder
	for _, r := range s {
		if r >= '0' && r <= '9' {
			d.WriteRune(r)
		}
	}
	all := d.String()
	var sizes []int
	switch len(all) {
	case 12:
		sizes = []int{3, 2, 3, 2, 2}
	case 10:
		sizes = []int{3, 3, 2, 2}
	case 9:
		sizes = []int{2, 3, 2, 2}
	case 7:
		sizes = []int{3, 2, 2}
	case 1, 2, 3:
		sizes = []int{3}
	}
	var out []string
	for _, n := range append(sizes, 2, 2, 2, 2, 2, 2, 2, 2) {
		if all == "" {
			break
		}
		n = min(n, len(all))
		out = append(out, group(t, all[:n]))
		all = all[n:]
	}
	said := strings.Join(out, ", ")
	if strings.HasPrefix(strings.TrimSpace(s), "+") {
		said = t.plus + " " + said
	}
	return said
}

// letter is the name of a letter or digit in the language, "" for what has none.
func (t *tongue) letter(r rune) string {
	if r >= '0' && r <= '9' {
		return t.number(int(r - '0'))
	}
	low := lower(t.lang, r)
	if name, ok := t.names[low]; ok {
		return name
	}
	if unicode.IsLetter(r) {
		return string(low)
	}
	return ""
}

// lower is the small letter by the language's rules: in Azerbaijani that of I
// is ı.
func lower(lang text.Lang, r rune) rune {
	switch {
	case r == 'I' && lang == text.Az:
		return 'ı'
	case r == 'İ':
		return 'i'
	}
	return unicode.ToLower(r)
}

// Rune names what was typed, for the echo of a key.
func Rune(lang text.Lang, r rune) text.Words {
	t := tongueOf(lang)
	if r == ' ' {
		return text.In(lang, "voice.space")
	}
	if said, ok := t.signs[string(r)]; ok {
		return text.Words{{Lang: lang, Text: string(r), Say: said}}
	}
	said := t.told(r)
	if said == "" {
		return text.In(lang, "voice.sign")
	}
	return text.Words{{Lang: lang, Text: string(r), Say: said}}
}

// joinWords sets spaces between the parts that are not empty.
func joinWords(parts ...string) string {
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	return strings.Join(out, " ")
}
