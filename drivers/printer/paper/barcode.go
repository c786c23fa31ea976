package paper

import (
	"fmt"
	"strings"

	"kosk/drivers/printer/dots"
)

// bars are how the next bar code looks: GS h, GS w, GS H.
type bars struct {
	tall, wide   int  // dots: of all, and of a module
	above, below bool // its text
}

// asOfNew is how a printer begins.
var asOfNew = bars{tall: 162, wide: 3}

// kinds are the bar codes of GS k, in both ways to number them.
var kinds = map[byte]string{
	0: "UPC-A", 2: "EAN", 3: "EAN", 4: "CODE39", 5: "ITF", 6: "CODABAR",
	65: "UPC-A", 67: "EAN", 68: "EAN", 69: "CODE39", 70: "ITF", 71: "CODABAR", 72: "CODE93", 73: "CODE128",
}

// barCode is GS k. One that its data don't make, or that is wider than the paper,
// is not printed at all; nor is UPC-E, which isn't built.
func (m *machine) barCode(a []byte) {
	text := string(a[1:])
	if a[0] >= 65 {
		text = string(a[2:])
	}
	text = strings.TrimRight(text, "\x00")
	if kinds[a[0]] == "CODE128" {
		text = codeSets(text)
	}
	code, text, err := dots.Bars(kinds[a[0]], text)
	if err != nil || len(m.cells) > 0 {
		return
	}
	set := m.set.bars
	width := max(code.W*set.wide, len(text)*dots.CellW)
	if width > m.width() {
		return
	}
	above := dots.CellH * int(bit(set.above, 1))
	b := dots.New(width, above+set.tall+dots.CellH*int(bit(set.below, 1)))
	b.Draw(code, (width-code.W*set.wide)/2, above, set.wide, set.tall)
	for i, r := range text {
		x := (width-len(text)*dots.CellW)/2 + i*dots.CellW
		if set.above {
			b.Draw(m.reader.face.Glyph(r), x, 0, 1, 1)
		}
		if set.below {
			b.Draw(m.reader.face.Glyph(r), x, above+set.tall, 1, 1)
		}
	}
	m.text = append(m.text, fmt.Sprintf("[%s %s]", kinds[a[0]], text))
	m.picture(b, 1, 1)
}

// codeSets is the text in the data of a CODE128, which change between its sets:
// {A and {B are letters, {C is two digits in a byte, {{ is a brace.
func codeSets(data string) string {
	var text strings.Builder
	pairs := false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case c == '{' && i+1 < len(data):
			i++
			switch data[i] {
			case 'A', 'B', 'C':
				pairs = data[i] == 'C'
			case '{':
				text.WriteByte('{')
			}
		case pairs:
			fmt.Fprintf(&text, "%02d", c)
		default:
			text.WriteByte(c)
		}
	}
	return text.String()
}
