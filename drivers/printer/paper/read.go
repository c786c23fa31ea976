package paper

import (
	"math/bits"
	"strings"
	"sync"
	"unicode"

	"kosk/drivers/printer/dots"
)

// Drivers of cheap printers draw the lines that those can't set. A reader finds
// the letters in such pictures again, so that a slip can be read as text
// whatever way it was printed.
type reader struct {
	face    *dots.Face
	letters map[string]rune      // by the dots of a cell, regular and bold
	byInk   map[int][]drawnGlyph // the same, by how many dots are black
}

type drawnGlyph struct {
	dots   string
	letter rune
}

// theReader is drawn once: it never changes.
var theReader = sync.OnceValue(func() *reader { return newReader(dots.NewFace()) })

// alphabet is what is looked for.
const alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789" +
	"çəğıöşüÇƏĞİÖŞÜ" + "абвгдеёжзийклмнопрстуфхцчшщъыьэюяАБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ" +
	".,:;!?()[]/+-–—«»“”„'\"№•₼€%@&*#=_<>{}|\\^~`"

func newReader(face *dots.Face) *reader {
	r := &reader{face: face, letters: map[string]rune{}, byInk: map[int][]drawnGlyph{}}
	for _, c := range alphabet {
		g := face.Glyph(c)
		for _, g := range []*dots.Bitmap{g, dots.Bold(g)} {
			b := string(g.Bits)
			if _, taken := r.letters[b]; !taken { // some letters look the same in two alphabets
				r.letters[b] = c
				r.byInk[g.Ink()] = append(r.byInk[g.Ink()], drawnGlyph{b, c})
			}
		}
	}
	r.letters[string(dots.New(dots.CellW, dots.CellH).Bits)] = ' '
	return r
}

// read is the line of text that a picture shows, "" if it shows none.
func (r *reader) read(b *dots.Bitmap) string {
	if b.W == 0 || b.H == 0 || b.H > 2*dots.CellH {
		return ""
	}
	if 2*b.Ink() > b.W*b.H {
		inverse := dots.New(b.W, b.H)
		inverse.Draw(b, 0, 0, 1, 1)
		inverse.Invert(0, 0, b.W, b.H)
		b = inverse
	}
	for _, scale := range [][2]int{{1, 1}, {1, 2}, {2, 2}} {
		for above := 0; above+b.H <= dots.CellH*scale[1]; above++ {
			if s := r.readAt(b, above, scale[0], scale[1]); s != "" {
				return s
			}
		}
	}
	return ""
}

// readAt reads a picture whose first row is so many rows below a line's top.
func (r *reader) readAt(b *dots.Bitmap, above, wide, tall int) string {
	var text strings.Builder
	known, strange := 0, 0
	for left := 0; left < b.W; left += dots.CellW * wide {
		cell := dots.New(dots.CellW, dots.CellH)
		for y := range dots.CellH {
			for x := range dots.CellW {
				if b.At(left+x*wide, y*tall-above+tall-1) {
					cell.Set(x, y)
				}
			}
		}
		c, ok := r.letter(cell)
		switch {
		case !ok:
			strange++
			if strange > 2 && strange > known/4 {
				return ""
			}
		case c != ' ':
			known++
		}
		text.WriteRune(c)
	}
	if known <= strange {
		return ""
	}
	return respell(strings.TrimRight(text.String(), " "))
}

// Letters that look the same in both alphabets.
const (
	latinTwins    = "ABCEHIKMOPTXYaceiopxy"
	cyrillicTwins = "АВСЕНІКМОРТХУасеіорху"
)

// respell gives a word that has a Cyrillic letter Cyrillic ones throughout.
func respell(s string) string {
	words := strings.Split(s, " ")
	for i, w := range words {
		if strings.ContainsFunc(w, func(r rune) bool { return unicode.Is(unicode.Cyrillic, r) }) {
			words[i] = strings.Map(func(r rune) rune {
				if at := strings.IndexRune(latinTwins, r); at >= 0 {
					return []rune(cyrillicTwins)[at]
				}
				return r
			}, w)
		}
	}
	return strings.Join(words, " ")
}

// letter is the letter of a cell, be a dot or two of it changed.
func (r *reader) letter(cell *dots.Bitmap) (rune, bool) {
	if c, ok := r.letters[string(cell.Bits)]; ok {
		return c, true
	}
	const few = 2
	ink := cell.Ink()
	for n := ink - few; n <= ink+few; n++ {
		for _, g := range r.byInk[n] {
			if apart(cell.Bits, g.dots) <= few {
				return g.letter, true
			}
		}
	}
	return '◆', false
}

// apart counts the dots in which two cells differ.
func apart(a []byte, b string) int {
	n := 0
	for i := range a {
		n += bits.OnesCount8(a[i] ^ b[i])
	}
	return n
}
