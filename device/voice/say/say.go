// Package say turns words as they are shown into text as it is spoken: dates
// with their ordinals, document numbers letter by letter, money, signs and
// abbreviations, each in the language of its span.
//
// It is pure: same words in, same text out. What a synthesiser would read wrongly
// (a FIN as a word, a date as a sum, § as nothing) is what it takes away; golden
// tests and a test with the synthesiser's own phonemes hold it.
package say

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"kosk/device/text"
)

// A Part is text for one voice, at most one sentence long.
type Part struct {
	Lang text.Lang
	Text string
	Ends bool // the sentence ends here; else the next part goes on with it
}

// Parts returns what is spoken, from first to last. Neighbours in one language
// are one part; a sentence's end is always the end of a part.
func Parts(w text.Words) []Part {
	var parts []Part
	for i, s := range joined(w) {
		for _, r := range runs(s, span(s, i == 0)) {
			if n := len(parts); n > 0 && parts[n-1].Lang == r.Lang {
				parts[n-1].Text += r.Text
				continue
			}
			parts = append(parts, r)
		}
	}
	var out []Part
	for _, p := range parts {
		out = append(out, sentences(p)...)
	}
	if n := len(out); n > 0 {
		out[n-1].Ends = true
	}
	return out
}

// joined makes one span of neighbours that are plain words of one language: a
// pattern may span the places of a phrase ("{n} / {all}").
func joined(w text.Words) text.Words {
	words := func(s text.Span) bool { return (s.Kind == text.Plain || s.Kind == text.Ordinal) && s.Say == "" }
	var out text.Words
	for _, s := range w {
		if n := len(out); n > 0 && words(s) && words(out[n-1]) && s.Lang == out[n-1].Lang {
			out[n-1].Text += s.Text
			continue
		}
		out = append(out, s)
	}
	return out
}

// Text is the whole as one string, for logs and tests.
func Text(w text.Words) string {
	var all []string
	for _, p := range Parts(w) {
		all = append(all, p.Text)
	}
	return strings.Join(all, " ")
}

// span returns the spoken text of a span; first says that it opens its phrase.
func span(s text.Span, first bool) string {
	t := tongueOf(s.Lang)
	if s.Say != "" {
		return plain(t, s.Say)
	}
	switch s.Kind {
	case text.Name:
		return plain(t, lowerCapitals(s.Lang, s.Text))
	case text.FIN, text.DocNo:
		return spell(t, s.Text, 2)
	case text.Number:
		return spell(t, s.Show(), 1)
	case text.Spelt:
		return spelt(t, s.Text)
	case text.Digits:
		return digits(t, s.Text, 3)
	case text.Date:
		return date(t, s.Text, first)
	case text.Time:
		return moment(t, s.Text, first)
	case text.Phone:
		return phone(t, s.Text)
	case text.Masked:
		return t.masked(utf8.RuneCountInString(s.Text))
	}
	return plain(t, s.Text)
}

// lowerCapitals gives words that are all in capitals, as cards print names,
// small letters: a synthesiser may spell capitals. Short ones (ASC, MMC) stay.
func lowerCapitals(lang text.Lang, s string) string {
	words := strings.Fields(s)
	for i, w := range words {
		if utf8.RuneCountInString(w) > 3 && w == text.Upper(lang, w) {
			words[i] = text.Title(lang, w)
		}
	}
	return strings.Join(words, " ")
}

// runs cuts what a span says where the script betrays another language: Cyrillic
// in Latin words is Russian, Latin in Russian is Azerbaijani, and so is a word
// with ə, ğ, ı, ş, ç or ö in English.
func runs(s text.Span, spoken string) []Part {
	var parts []Part
	lang := s.Lang
	for _, word := range strings.SplitAfter(spoken, " ") {
		if l := langOf(s.Lang, word); l != "" {
			lang = l
		}
		if n := len(parts); n > 0 && parts[n-1].Lang == lang {
			parts[n-1].Text += word
			continue
		}
		parts = append(parts, Part{Lang: lang, Text: word})
	}
	return parts
}

// langOf returns the language of a word in words of a language, "" when it has
// no letters.
func langOf(lang text.Lang, word string) text.Lang {
	cyrillic, latin, azeri := false, false, false
	for _, r := range word {
		switch {
		case unicode.Is(unicode.Cyrillic, r):
			cyrillic = true
		case strings.ContainsRune("əƏğĞıİşŞçÇöÖ", r):
			azeri, latin = true, true
		case unicode.Is(unicode.Latin, r):
			latin = true
		}
	}
	switch {
	case cyrillic:
		return text.Ru
	case azeri, latin && lang == text.Ru:
		return text.Az
	case latin:
		return lang
	}
	return ""
}

// sentences cuts a part after each . ! ? that a space follows, but not after an
// initial.
func sentences(p Part) []Part {
	var out []Part
	from := 0
	for i := 0; i+1 < len(p.Text); i++ {
		if strings.IndexByte(".!?", p.Text[i]) >= 0 && p.Text[i+1] == ' ' && !isInitial(p.Text[:i]) {
			out = appendPart(out, Part{p.Lang, p.Text[from : i+1], true})
			from = i + 1
		}
	}
	return appendPart(out, Part{p.Lang, p.Text[from:], false})
}

// isInitial reports whether text ends with a capital that stands alone.
func isInitial(s string) bool {
	r, n := utf8.DecodeLastRuneInString(s)
	before, _ := utf8.DecodeLastRuneInString(s[:len(s)-n])
	return unicode.IsUpper(r) && !unicode.IsLetter(before) && !unicode.IsDigit(before)
}

// appendPart appends what has something to sound. Punctuation alone, as between
// two names, goes to the part before it.
func appendPart(parts []Part, p Part) []Part {
	p.Text = strings.TrimLeft(strings.Join(strings.Fields(tidy(p.Text)), " "), ",;: ")
	if strings.ContainsFunc(p.Text, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) {
		return append(parts, p)
	}
	return parts
}
