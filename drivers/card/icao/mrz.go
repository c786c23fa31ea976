package icao

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// ErrMRZ says that text is no machine readable zone, ICAO 9303-3, 4.
var ErrMRZ = errors.New("bad machine readable zone")

// ErrCheckDigit says that a check digit of the zone does not fit: something was
// misread or mistyped.
var ErrCheckDigit = errors.New("wrong check digit")

// A Format is the size of a document.
type Format int

// The sizes of ICAO 9303-3, 3.2: three lines of 30, two of 36, two of 44.
const (
	TD1 Format = iota + 1
	TD2
	TD3
)

// An MRZ is what the zone says. Names are in its alphabet, A to Z; the real
// letters are in DG11. Sex is 'M', 'F' or 0 when unspecified.
type MRZ struct {
	Format         Format
	DocumentCode   string
	IssuingState   string // three letters, or "D"
	DocumentNumber string
	Nationality    string
	BirthDate      Date
	Sex            byte
	Expires        Date // the zero Date when the document has no expiry
	Surname        string
	GivenNames     string
	Optional       string // first optional field, fillers stripped
	Optional2      string // second one, TD1 only
}

// A Date is a day as a zone writes it. Two digits don't say which century:
// resolve them with Birth or Expiry.
type Date struct{ YY, MM, DD int }

// IsZero says that the zone has no date there.
func (d Date) IsZero() bool { return d == Date{} }

// Birth is the latest such day that is not after now.
func (d Date) Birth(now time.Time) time.Time {
	day := time.Date(now.Year()/100*100+d.YY, time.Month(d.MM), d.DD, 0, 0, 0, 0, time.UTC)
	if day.After(now) {
		return day.AddDate(-100, 0, 0)
	}
	return day
}

// Expiry is such a day within fifty years of now.
func (d Date) Expiry(now time.Time) time.Time {
	day := time.Date(now.Year()/100*100+d.YY, time.Month(d.MM), d.DD, 0, 0, 0, 0, time.UTC)
	switch {
	case day.After(now.AddDate(50, 0, 0)):
		return day.AddDate(-100, 0, 0)
	case day.Before(now.AddDate(-50, 0, 0)):
		return day.AddDate(100, 0, 0)
	}
	return day
}

// field is where a value stands: line, first and one after the last column.
type field struct{ line, from, to int }

// layout is one size of zone. Every field with a check digit has it right behind.
type layout struct {
	lines, width                              int
	code, state, number, nationality          field
	birth, sex, expiry, names, opt, opt2, all field
	composite                                 []field
}

// layouts is ICAO 9303-5, -6 and -4, 4.2.2.
var layouts = map[Format]layout{
	TD1: {
		lines: 3, width: 30,
		code: field{0, 0, 2}, state: field{0, 2, 5}, number: field{0, 5, 14}, opt: field{0, 15, 30},
		birth: field{1, 0, 6}, sex: field{1, 7, 8}, expiry: field{1, 8, 14}, nationality: field{1, 15, 18}, opt2: field{1, 18, 29},
		names: field{2, 0, 30}, all: field{1, 29, 30},
		composite: []field{{0, 5, 30}, {1, 0, 7}, {1, 8, 15}, {1, 18, 29}},
	},
	TD2: {
		lines: 2, width: 36,
		code: field{0, 0, 2}, state: field{0, 2, 5}, names: field{0, 5, 36},
		number: field{1, 0, 9}, nationality: field{1, 10, 13}, birth: field{1, 13, 19}, sex: field{1, 20, 21}, expiry: field{1, 21, 27},
		opt: field{1, 28, 35}, all: field{1, 35, 36},
		composite: []field{{1, 0, 10}, {1, 13, 20}, {1, 21, 35}},
	},
	TD3: {
		lines: 2, width: 44,
		code: field{0, 0, 2}, state: field{0, 2, 5}, names: field{0, 5, 44},
		number: field{1, 0, 9}, nationality: field{1, 10, 13}, birth: field{1, 13, 19}, sex: field{1, 20, 21}, expiry: field{1, 21, 27},
		opt: field{1, 28, 42}, all: field{1, 43, 44},
		composite: []field{{1, 0, 10}, {1, 13, 20}, {1, 21, 43}},
	},
}

// ParseMRZ reads a zone, with or without line breaks, and checks every digit.
func ParseMRZ(text string) (*MRZ, error) {
	text = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' {
			return -1
		}
		return r
	}, text)
	for _, r := range text {
		if r != '<' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') {
			return nil, fmt.Errorf("%w: character %q", ErrMRZ, r)
		}
	}
	for format, l := range layouts {
		if len(text) == l.lines*l.width {
			z := zone{text: text, layout: l}
			return z.read(format)
		}
	}
	return nil, fmt.Errorf("%w: %d characters", ErrMRZ, len(text))
}

type zone struct {
	text string
	layout
}

func (z zone) at(f field) string {
	return z.text[f.line*z.width+f.from : f.line*z.width+f.to]
}

// digitOf is the check digit right behind a field.
func (z zone) digitOf(f field) byte { return z.text[f.line*z.width+f.to] }

func (z zone) read(format Format) (*MRZ, error) {
	number, optional := z.at(z.number), z.at(z.opt)
	digit, long := z.digitOf(z.number), false
	if digit == '<' && format != TD3 {
		// A longer number goes on in the optional field, ICAO 9303-5, 4.2.2.1, note j.
		if tail, rest, ok := strings.Cut(optional, "<"); ok && len(tail) > 1 {
			number, digit, optional, long = number+tail[:len(tail)-1], tail[len(tail)-1], rest, true
		}
	}
	if checkDigit(number) != digit {
		return nil, fmt.Errorf("%w: document number", ErrCheckDigit)
	}
	if err := z.checkDigits(format, optional, long); err != nil {
		return nil, err
	}
	birth, err := parseDate(z.at(z.birth))
	if err != nil {
		return nil, err
	}
	expires, err := parseDate(z.at(z.expiry))
	if err != nil {
		return nil, err
	}
	surname, given, _ := strings.Cut(z.at(z.names), "<<")
	m := &MRZ{
		Format: format, DocumentCode: strip(z.at(z.code)), IssuingState: strip(z.at(z.state)),
		DocumentNumber: strip(number), Nationality: strip(z.at(z.nationality)), BirthDate: birth, Expires: expires,
		Surname: spaced(surname), GivenNames: spaced(given), Optional: strip(optional), Optional2: strip(z.at(z.opt2)),
	}
	switch sex := z.at(z.sex); sex {
	case "M", "F":
		m.Sex = sex[0]
	case "<", "X":
	default:
		return nil, fmt.Errorf("%w: sex", ErrMRZ)
	}
	return m, nil
}

func (z zone) checkDigits(format Format, optional string, long bool) error {
	checks := map[string]field{"birth": z.birth, "expiry": z.expiry}
	if format == TD3 && strip(optional) != "" && !long {
		checks["personal number"] = z.opt
	}
	for name, f := range checks {
		// A document without expiry has fillers, whose digit is 0 or a filler.
		if got := z.digitOf(f); got != checkDigit(z.at(f)) && (got != '<' || strip(z.at(f)) != "") {
			return fmt.Errorf("%w: %s", ErrCheckDigit, name)
		}
	}
	var whole strings.Builder
	for _, f := range z.composite {
		whole.WriteString(z.at(f))
	}
	if z.at(z.all)[0] != checkDigit(whole.String()) {
		return fmt.Errorf("%w: composite", ErrCheckDigit)
	}
	return nil
}

// checkDigit is ICAO 9303-3, 4.9: weights 7, 3, 1, modulus 10.
func checkDigit(s string) byte {
	sum := 0
	for i := range len(s) {
		v := 0
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			v = int(c - '0')
		case c >= 'A' && c <= 'Z':
			v = int(c-'A') + 10
		}
		sum += v * [3]int{7, 3, 1}[i%3]
	}
	return byte('0' + sum%10)
}

// parseDate reads YYMMDD; a date that isn't known at all is all fillers.
func parseDate(s string) (Date, error) {
	if strip(s) == "" {
		return Date{}, nil
	}
	var n [3]int
	for i := range n {
		a, b := s[2*i], s[2*i+1]
		if a < '0' || a > '9' || b < '0' || b > '9' {
			return Date{}, fmt.Errorf("%w: date", ErrMRZ)
		}
		n[i] = int(a-'0')*10 + int(b-'0')
	}
	d := Date{n[0], n[1], n[2]}
	if d.MM < 1 || d.MM > 12 || d.DD < 1 || d.DD > 31 {
		return Date{}, fmt.Errorf("%w: date", ErrMRZ)
	}
	return d, nil
}

func strip(s string) string  { return strings.Trim(s, "<") }
func spaced(s string) string { return strings.ReplaceAll(strip(s), "<", " ") }

// TD1Lines writes the ninety characters of a TD1 zone. Values that are too long
// are cut, as a card printer does; m.Format is not looked at.
func (m *MRZ) TD1Lines() string {
	line1 := fill(m.DocumentCode, 2) + fill(m.IssuingState, 3) + digited(fill(m.DocumentNumber, 9)) + fill(m.Optional, 15)
	sex := m.Sex
	if sex == 0 {
		sex = '<'
	}
	line2 := digited(m.BirthDate.text()) + string(sex) + digited(m.Expires.text()) + fill(m.Nationality, 3) + fill(m.Optional2, 11)
	all := checkDigit(line1[5:30] + line2[0:7] + line2[8:15] + line2[18:29])
	name := strings.ReplaceAll(m.Surname, " ", "<") + "<<" + strings.ReplaceAll(m.GivenNames, " ", "<")
	return line1 + line2 + string(all) + fill(name, 30)
}

func (d Date) text() string {
	if d.IsZero() {
		return "<<<<<<"
	}
	return fmt.Sprintf("%02d%02d%02d", d.YY, d.MM, d.DD)
}

func digited(s string) string { return s + string(checkDigit(s)) }

func fill(s string, n int) string {
	return (s + strings.Repeat("<", n))[:n]
}

// DateOf is the day of t as a zone writes it.
func DateOf(t time.Time) Date { return Date{t.Year() % 100, int(t.Month()), t.Day()} }

// ErrFIN says that text is no Azerbaijani personal identification number.
var ErrFIN = errors.New("bad personal identification number")

// ParseFIN reads an Azerbaijani personal identification number: seven digits and
// capital letters without I and O, which are read as 1 and 0.
func ParseFIN(s string) (string, error) {
	s = strings.NewReplacer("O", "0", "I", "1").Replace(strings.ToUpper(strings.TrimSpace(s)))
	if len(s) != 7 {
		return "", fmt.Errorf("%w: %d characters", ErrFIN, len(s))
	}
	for _, r := range s {
		if (r < '0' || r > '9') && (r < 'A' || r > 'Z') {
			return "", fmt.Errorf("%w: a character", ErrFIN)
		}
	}
	return s, nil
}

// FIN is the holder's number in an Azerbaijani document: the first optional
// field, columns 16 to 22 of line 1 on a TD1 card.
func (m *MRZ) FIN() (string, error) {
	if m.IssuingState != "AZE" || len(m.Optional) < 7 {
		return "", fmt.Errorf("%w: none in the zone", ErrFIN)
	}
	return ParseFIN(m.Optional[:7])
}

// nationalLetters is how Azerbaijani documents write letters that the zone lacks;
// it is not ICAO's table.
var nationalLetters = map[rune]string{
	'Ə': "A", 'Ö': "O", 'Ş': "SH", 'X': "KH", 'Q': "G", 'C': "J", 'Ç': "CH", 'Ğ': "GH", 'Ü': "U", 'İ': "I",
}

// Transliterate writes a name as the zone of an Azerbaijani document does.
func Transliterate(name string) string {
	var b strings.Builder
	for _, r := range strings.ToUpperSpecial(unicode.AzeriCase, name) {
		switch s, ok := nationalLetters[r]; {
		case ok:
			b.WriteString(s)
		case r >= 'A' && r <= 'Z':
			b.WriteRune(r)
		case r == ' ' || r == '-':
			b.WriteByte(' ')
		}
	}
	return b.String()
}
