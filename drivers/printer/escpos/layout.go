package escpos

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"kosk/drivers/printer"
)

// The rules of the layout are: a line breaks between words, and inside a word
// only when the word alone is wider than the paper; a right part that doesn't
// fit beside the left one goes to a line of its own; nothing is cut off.

// copyMark stands on a slip that is printed again, in all languages, since the
// printer doesn't know the slip's.
const copyMark = "SURƏT / КОПИЯ / COPY"

// A look is how characters are set.
type look struct {
	bold, wide, tall, reverse bool
}

// width is the columns of a character.
func (l look) width() int {
	if l.wide {
		return 2
	}
	return 1
}

// height is the dots of a character.
func (l look) height() int {
	if l.tall {
		return 48
	}
	return 24
}

// A row is one line of dots or of characters on the paper.
type row struct {
	style printer.Style // Body for all that is text; else Rule, Lattice, Mark, Code or Gap
	look  look
	text  string // one line of characters; of Code what it carries
	right string // set at the right edge
	pitch int    // dots from this line of text to the next
}

const (
	pitchBody    = 30 // 3.75 mm, as ESC/POS printers start
	pitchSmall   = 26
	pitchTall    = 52
	pitchReverse = 24 // no white between the lines of a bar
	airGap       = 12
	airLattice   = 6 // above and below the ornament
	airRule      = 6 // above and below a rule
)

// lay breaks a slip into rows.
func lay(slip printer.Slip, columns int) []row {
	var rows []row
	if slip.Copy {
		rows = append(rows, bar(copyMark, columns)...)
		rows = append(rows, row{style: printer.Gap})
	}
	for _, line := range slip.Lines {
		line.Text, line.Right = clean(line.Text), clean(line.Right)
		rows = append(rows, layLine(line, columns)...)
	}
	return rows
}

func layLine(line printer.Line, columns int) []row {
	switch line.Style {
	case printer.Strong:
		return paragraph(line, look{bold: true}, pitchBody, columns)
	case printer.Heading:
		return paragraph(line, look{bold: true, tall: true}, pitchTall, columns)
	case printer.Numerals:
		return paragraph(line, look{bold: true, wide: true, tall: true}, pitchTall, columns)
	case printer.Small:
		return paragraph(line, look{}, pitchSmall, columns)
	case printer.Reversed:
		return bar(line.Text, columns)
	case printer.Rule, printer.Lattice, printer.Mark, printer.Gap:
		return []row{{style: line.Style}}
	case printer.Code:
		if line.Text == "" {
			return nil
		}
		return []row{{style: printer.Code, text: line.Text}}
	default:
		return paragraph(line, look{}, pitchBody, columns)
	}
}

// paragraph sets a line's text from the left, and its right part at the right
// edge of the last line, or below it.
func paragraph(line printer.Line, l look, pitch, columns int) []row {
	var rows []row
	columns /= l.width()
	for _, s := range wrap(line.Text, columns) {
		rows = append(rows, row{look: l, text: s, pitch: pitch})
	}
	if line.Right == "" {
		return rows
	}
	for i, s := range wrap(line.Right, columns) {
		last := len(rows) - 1
		if i == 0 && last >= 0 && width(rows[last].text)+1+width(s) <= columns {
			rows[last].right = s
			continue
		}
		rows = append(rows, row{look: l, right: s, pitch: pitch})
	}
	return rows
}

// bar is white on black across the paper: short words large, longer ones at
// the height of large ones.
func bar(text string, columns int) []row {
	l := look{bold: true, tall: true, wide: true, reverse: true}
	if width(text) > columns/2-2 {
		l.wide = false
	}
	columns /= l.width()
	var rows []row
	for _, s := range wrap(text, columns-2) {
		left := (columns - width(s)) / 2
		s = strings.Repeat(" ", left) + s + strings.Repeat(" ", columns-left-width(s))
		rows = append(rows, row{look: l, text: s, pitch: pitchReverse})
	}
	return rows
}

// wrap breaks s into lines of at most columns characters.
func wrap(s string, columns int) []string {
	var lines []string
	var b strings.Builder
	used := 0
	flush := func() {
		if used > 0 {
			lines = append(lines, b.String())
			b.Reset()
			used = 0
		}
	}
	for _, word := range strings.Split(s, " ") {
		if word == "" {
			continue
		}
		if used > 0 && used+1+width(word) > columns {
			flush()
		}
		for used == 0 && width(word) > columns {
			cut := byteIndex(word, columns)
			lines = append(lines, word[:cut])
			word = word[cut:]
		}
		if used > 0 {
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += width(word)
	}
	flush()
	return lines
}

// width is the columns of s at normal width. A no-break space is one.
func width(s string) int { return utf8.RuneCountInString(s) }

// byteIndex is where the n-th character of s begins.
func byteIndex(s string, n int) int {
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}

// clean composes letters with their marks and drops what would be a command.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == utf8.RuneError:
			return -1
		}
		return r
	}, norm.NFC.String(s))
}
