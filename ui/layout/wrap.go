package layout

import "strings"

// wrap breaks text at spaces into lines of at most w pixels. A word that is
// wider than a line is broken where it must be: nothing is cut.
func (p *pen) wrap(s string, w float32, f face) []string {
	var lines []string
	for _, para := range strings.Split(s, "\n") {
		line := ""
		for _, word := range strings.Fields(para) {
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
		lines = append(lines, line)
	}
	return lines
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
