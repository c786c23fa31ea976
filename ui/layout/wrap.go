package layout

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// wrap breaks text at spaces into lines of at most w pixels. A word that is
// wider than a line is broken where it must be: nothing is cut. A last line
// that would hold next to nothing is filled from those above it; a word of one
// letter doesn't end a line.
func (p *pen) wrap(s string, w float32, f face) []string {
	var lines []string
	for _, para := range strings.Split(s, "\n") {
		words := p.bound(strings.Fields(para), w, f)
		set := p.greedy(words, w, f)
		if n := len(set); n > 1 && p.width(set[n-1], f) < w*orphan {
			set = p.balanced(words, w, f, n)
		}
		lines = append(lines, set...)
	}
	return lines
}

// orphan is the share of a line below which a last line looks forgotten.
const orphan = 0.3

// bound ties words of one letter (in Russian: в, к, с) to the next.
func (p *pen) bound(words []string, w float32, f face) []string {
	var all []string
	for i := 0; i < len(words); i++ {
		word := words[i]
		if r, n := utf8.DecodeRuneInString(word); n == len(word) && unicode.IsLower(r) && i+1 < len(words) {
			if tied := word + " " + words[i+1]; p.width(tied, f) <= w {
				word = tied
				i++
			}
		}
		all = append(all, word)
	}
	return all
}

// balanced sets words into n lines, in the narrowest column that holds them.
func (p *pen) balanced(words []string, w float32, f face, n int) []string {
	low, high := w/2, w
	for _, word := range words { // which breaks no word
		low = max(low, min(p.width(word, f), w))
	}
	for high-low > w/50 {
		mid := (low + high) / 2
		if len(p.greedy(words, mid, f)) > n {
			low = mid
		} else {
			high = mid
		}
	}
	return p.greedy(words, high, f)
}

// greedy fills line after line.
func (p *pen) greedy(words []string, w float32, f face) []string {
	var lines []string
	line := ""
	for _, word := range words {
		try := word
		if line != "" {
			try = line + " " + word
		}
		if p.width(try, f) <= w {
			line = try
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		for p.width(word, f) > w {
			head := p.head(word, w, f)
			lines = append(lines, head)
			word = word[len(head):]
		}
		line = word
	}
	return append(lines, line)
}

// head is the longest beginning of a word that fits, at least one letter.
func (p *pen) head(word string, w float32, f face) string {
	end := 0
	for i := range word {
		if i > 0 && p.width(word[:i], f) > w {
			break
		}
		end = i
	}
	if end == 0 {
		for i := range word {
			if i > 0 {
				return word[:i]
			}
		}
		return word
	}
	return word[:end]
}
