package say

import (
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"kosk/device/text"
)

// The rules are: first the marks that only the eye needs become pauses or
// nothing; then figures that belong together (dates, times, money, telephone
// numbers, ranges) become words, the longest pattern first; then every word that
// is left is looked at alone (abbreviations, codes, Roman numerals, signs).
// What no rule knows stays as it is: the synthesiser reads plain words well.

var marks = strings.NewReplacer(
	"\u00a0", " ", "\u202f", " ", "\u2009", " ", "\u00ad", "", "\u200b", "", "\t", " ",
	"«", "", "»", "", "“", "", "”", "", "„", "", "\"", "", "‹", "", "›", "", "‘", "", "’", "'",
	"…", ",", " — ", ", ", " – ", ", ", "—", ", ", "·", ",", "|", ",", "(", ", ", ")", ",", "[", " ", "]", " ", "{", " ", "}", " ",
	"→", " ", "←", " ", "✓", " ", "\r", "", "\n", ". ", "_", " ", "<", " ", ">", " ",
)

// A pattern is figures that belong together.
type pattern struct {
	find *regexp.Regexp
	say  func(t *tongue, m []string) string // "" leaves them as they are
}

var patterns = []pattern{
	{regexp.MustCompile(`\b(\d{1,2})\.(\d{2})\.(\d{4})\b(?: ?г\.)?`), func(t *tongue, m []string) string { return numericDate(t, m[1], m[2], m[3]) }},
	{regexp.MustCompile(`\b(\d{4})-(\d{2})-(\d{2})\b`), func(t *tongue, m []string) string { return numericDate(t, m[3], m[2], m[1]) }},
	{regexp.MustCompile(`(?:\b[Ss]aat )?\b(\d{1,2}):(\d{2}) ?[–-] ?(\d{1,2}):(\d{2})\b`), func(t *tongue, m []string) string {
		from, to := clock(t, m[1], m[2]), clock(t, m[3], m[4])
		if from == "" || to == "" {
			return ""
		}
		return t.span(from, to)
	}},
	{regexp.MustCompile(`(?:\b[Ss]aat )?\b(\d{1,2}):(\d{2})\b`), func(t *tongue, m []string) string { return clock(t, m[1], m[2]) }},
	{regexp.MustCompile(`(\d+(?: \d{3})*)(?:[.,](\d{2}))? ?(?:₼|AZN\b|manat\b|манат\p{L}*)`), func(t *tongue, m []string) string {
		manat, qepik := atoi(strings.ReplaceAll(m[1], " ", "")), atoi("0"+m[2])
		if manat < 0 || qepik < 0 {
			return ""
		}
		return t.money(manat, qepik)
	}},
	{regexp.MustCompile(`\+\d[\d ()-]{6,18}\d`), func(t *tongue, m []string) string { return phone(t, m[0]) }},
	{regexp.MustCompile(`(\d+) ?– ?(\d+)`), func(t *tongue, m []string) string { return t.span(m[1], m[2]) }},
	{regexp.MustCompile(`(\p{L}+)–(\p{L}+)`), func(t *tongue, m []string) string { return t.span(m[1], m[2]) }},
	{regexp.MustCompile(`\b(\d+) / (\d+)\b`), func(t *tongue, m []string) string { return t.of(m[1], m[2]) }},
	{regexp.MustCompile(`[*•]{2,}`), func(*tongue, []string) string { return "," }},
	{regexp.MustCompile(`(^|[ (])[–−-](\d)`), func(t *tongue, m []string) string { return m[1] + t.minus + " " + m[2] }},
	{regexp.MustCompile(`\b(\d+)-(\p{L}+)`), func(t *tongue, m []string) string { return t.suffixed(atoi(m[1]), m[2]) }},
	{regexp.MustCompile(`\b(\d+)(st|nd|rd|th)\b`), func(t *tongue, m []string) string { return t.suffixed(atoi(m[1]), m[2]) }},
	{regexp.MustCompile(`\b(\d+) ?%`), func(t *tongue, m []string) string { return t.percent(atoi(m[1])) }},
	{regexp.MustCompile(`№-(li|lı|lu|lü)`), func(t *tongue, m []string) string { return t.signs["№"] + "li" }},
}

func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return -1
	}
	return n
}

func numericDate(t *tongue, day, month, year string) string {
	if len(day) == 1 {
		day = "0" + day
	}
	d, err := time.Parse(time.DateOnly, year+"-"+month+"-"+day)
	if err != nil {
		return ""
	}
	return t.date(d.Day(), d.Month(), d.Year(), false)
}

func clock(t *tongue, hour, minute string) string {
	h, m := atoi(hour), atoi(minute)
	if h > 23 || m > 59 {
		return ""
	}
	return t.clock(h, m)
}

// plain says words.
func plain(t *tongue, s string) string {
	s = marks.Replace(s)
	for _, p := range patterns {
		s = p.replace(t, s)
	}
	lead := s[:len(s)-len(strings.TrimLeft(s, " "))]
	tail := s[len(strings.TrimRight(s, " ")):]
	words := strings.Fields(s)
	if len(words) == 0 {
		return s
	}
	for i, w := range words {
		before, after := "", ""
		if i > 0 {
			before = words[i-1]
		}
		if i+1 < len(words) {
			after = words[i+1]
		}
		words[i] = word(t, before, w, after)
	}
	return lead + tidy(strings.Join(words, " ")) + tail
}

func (p pattern) replace(t *tongue, s string) string {
	var b strings.Builder
	for {
		at := p.find.FindStringSubmatchIndex(s)
		if at == nil {
			break
		}
		m := make([]string, len(at)/2)
		for i := range m {
			if at[2*i] >= 0 {
				m[i] = s[at[2*i]:at[2*i+1]]
			}
		}
		b.WriteString(s[:at[0]])
		said := p.say(t, m)
		if said == "" {
			said = m[0]
		}
		b.WriteString(said)
		s = s[at[1]:]
	}
	b.WriteString(s)
	return b.String()
}

var (
	commas   = regexp.MustCompile(` *[,;](?: *[,;])*`)
	stopped  = regexp.MustCompile(`([.!?:]) *,`)
	halted   = regexp.MustCompile(`,([.!?:])`)
	spaces   = regexp.MustCompile(` {2,}`)
	twoStops = regexp.MustCompile(`([.!?])(?: *\.)+`)
)

// tidy takes out the doubled pauses that marks leave behind.
func tidy(s string) string {
	s = commas.ReplaceAllString(s, ",")
	s = stopped.ReplaceAllString(s, "$1")
	s = halted.ReplaceAllString(s, "$1")
	s = twoStops.ReplaceAllString(s, "$1")
	return spaces.ReplaceAllString(s, " ")
}

// word says one word, with the punctuation around it.
func word(t *tongue, before, w, after string) string {
	if said, ok := t.short[w]; ok {
		if w == "г." && isNumber(before) {
			return "года"
		}
		return said
	}
	core := strings.TrimRight(w, ".,;:!?")
	end := w[len(core):]
	if said, ok := t.short[core]; ok {
		return said + end
	}
	switch figures := strings.TrimLeftFunc(core, unicode.IsLetter); {
	case core == "":
		return w
	case isNumber(figures) && t.short[core[:len(core)-len(figures)]] != "": // PIN1
		return t.short[core[:len(core)-len(figures)]] + " " + t.number(atoi(figures)) + end
	case isRoman(t, core, after):
		return t.ordinal(roman(core), strings.TrimRight(after, ".,;:!?")) + end
	case isCode(core):
		return spell(t, core, 2) + end
	case isAbbreviation(t, core):
		return letters(t, core) + end
	case strings.ContainsRune(core, '@') || dotted.MatchString(core):
		core = strings.NewReplacer(".", " "+t.point+" ", "@", " "+t.signs["@"]+" ", "/", " "+t.signs["/"]+" ").Replace(core)
	}
	return signs(t, core) + end
}

var dotted = regexp.MustCompile(`^\p{L}[\p{L}\d-]+(\.\p{L}[\p{L}\d-]+)+`)

// signs says the signs in or around a word; a slash between two words is a pause.
func signs(t *tongue, w string) string {
	var b strings.Builder
	runes := []rune(w)
	for i, r := range runes {
		said, ok := t.signs[string(r)]
		switch {
		case !ok || strings.ContainsRune("-.,", r):
			b.WriteRune(r)
		case r == '/' && i > 0 && i+1 < len(runes) && unicode.IsLetter(runes[i-1]) && unicode.IsLetter(runes[i+1]):
			b.WriteString(", ")
		default:
			b.WriteString(" " + said + " ")
		}
	}
	return strings.TrimSpace(b.String())
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// isCode reports whether a word is a number of something: letters and figures in
// one, or more figures than anybody counts.
func isCode(w string) bool {
	digits, capitals := 0, 0
	for _, r := range w {
		switch {
		case r >= '0' && r <= '9':
			digits++
		case unicode.IsUpper(r):
			capitals++
		case r != '-' && r != '/':
			return false
		}
	}
	leading := len(w) > 1 && w[0] == '0'
	return digits > 0 && capitals > 0 || digits >= 7 || digits > 1 && leading && isNumber(w)
}

const vowels = "aeiouyəıöü" + "аеёиоуыэюя"

// isAbbreviation reports whether a word in capitals can only be spelled: it has
// no vowel.
func isAbbreviation(t *tongue, w string) bool {
	n := utf8.RuneCountInString(w)
	if n < 2 || n > 5 {
		return false
	}
	vowel := false
	for _, r := range w {
		if !unicode.IsUpper(r) {
			return false
		}
		vowel = vowel || strings.ContainsRune(vowels, lower(t.lang, r))
	}
	return !vowel
}

func letters(t *tongue, w string) string {
	var out []string
	for _, r := range w {
		out = append(out, t.letter(r))
	}
	return strings.Join(out, " ")
}

// isRoman reports whether a word is a Roman numeral up to XXXIX: two letters or
// more, or one before a small word ("V qrup"). I is a word in English.
func isRoman(t *tongue, w, after string) bool {
	if strings.Trim(w, "IVX") != "" || roman(w) == 0 {
		return false
	}
	if len(w) > 1 {
		return true
	}
	first, _ := utf8.DecodeRuneInString(after)
	return unicode.IsLower(first) && !(t.lang == text.En && w == "I")
}

// roman returns the value of a numeral, 0 for what is none.
func roman(w string) int {
	n, value := 0, map[byte]int{'I': 1, 'V': 5, 'X': 10}
	for i := range len(w) {
		v := value[w[i]]
		if i+1 < len(w) && value[w[i+1]] > v {
			v = -v
		}
		n += v
	}
	if n < 1 || n > 39 || numeral(n) != w {
		return 0
	}
	return n
}

func numeral(n int) string {
	ones := [...]string{"", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX"}
	return strings.Repeat("X", n/10) + ones[n%10]
}
