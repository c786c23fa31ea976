package layout

import (
	"slices"

	"kosk/device/scene"
	"kosk/ui/theme"
)

// field is what the person has typed, large, with a caret that doesn't blink.
func (p *pen) field(n *scene.Node, w float32) block {
	lf, f, hf := p.face(theme.Label), p.face(theme.Answer), p.face(theme.Source)
	f.px, f.cap, f.line = f.px*1.25, f.cap*1.25, f.line*1.25
	label := p.paraHeight(w, n.Name.String(), lf)
	hint := p.paraHeight(w, n.Hint.String(), hf)
	box := max(p.mm(24), f.line+p.mm(8))
	return block{
		ids: []string{n.ID}, height: label + p.mm(2) + box + p.mm(3) + hint, gap: p.mm(6),
		draw: func(r Rect) {
			p.para(r.X, r.Y, r.W, n.Name.String(), lf, p.pal.Second, p.pal.Paper)
			b := Rect{r.X, r.Y + label + p.mm(2), r.W, box}
			stroke, width := p.pal.AccentText, theme.MM(0.9)
			if n.Tone == scene.Bad {
				stroke, width = p.pal.Bad, 1.6
			}
			el := p.box(b, p.pal.Card, stroke, width, theme.Corner)
			if s := p.grown(10, theme.Answer); n.Tone == scene.Bad {
				p.icon(Rect{b.Right() - p.mm(8) - s, b.Y + (b.H-s)/2, s, s}, "alert", p.pal.Bad)
			}
			value := n.Value.String()
			x, y := b.X+p.mm(9), b.Y+(b.H-f.line)/2
			if value != "" {
				p.line(x, y, value, f, p.pal.Ink, p.pal.Card)
				x += p.width(value, f) + p.mm(1)
			}
			p.box(Rect{x, b.Y + (b.H-f.cap*1.5)/2, p.mm(0.7), f.cap * 1.5}, p.pal.AccentText, p.pal.AccentText, 0, 0)
			if hint > 0 {
				p.para(r.X, b.Bottom()+p.mm(3), r.W, n.Hint.String(), hf, p.pal.Second, p.pal.Paper)
			}
			p.target(n, b, theme.Corner, el)
		},
	}
}

const (
	keyHigh theme.MM = 23
	keyLow  theme.MM = 17 // where the words need the room; a target is 12.7
	keyGap  theme.MM = 4
	padAir  theme.MM = 8
)

// Keys of a telephone stand three in a row (ADA 707.6.2: the twelve-key layout of the
// tactile keypad), letters nine, above a row of the keys that aren't characters.
const (
	telephone = 3
	alphabet  = 9
)

// keyGrid is the rows of keys.
func (p *pen) keyGrid() [][]*scene.Node {
	keys, columns := p.nodes(scene.Key), telephone
	var last []*scene.Node
	if len(keys) > 4*telephone {
		columns = alphabet
		i := slices.IndexFunc(keys, func(n *scene.Node) bool { return n.Icon != "" })
		if i >= 0 {
			keys, last = keys[:i], keys[i:]
		}
	}
	rows := slices.Collect(slices.Chunk(keys, columns))
	if len(last) > 0 {
		rows = append(rows, last)
	}
	return rows
}

// keypadHeight is what rows of keys of a height need.
func (p *pen) keypadHeight(rows int, key theme.MM) float32 {
	return float32(rows)*p.mm(key) + float32(rows-1)*p.mm(keyGap) + 2*p.mm(padAir)
}

// keypad sets the rows of keys, each as wide as the first.
func (p *pen) keypad(r Rect) {
	p.box(r, p.pal.Keys, p.pal.Keys, 0, 0)
	grid := p.keyGrid()
	gap, rows, columns := p.mm(keyGap), float32(len(grid)), float32(len(grid[0]))
	w := min((r.W-2*p.margin()-(columns-1)*gap)/columns, p.mm(72))
	h := min((r.H-2*p.mm(padAir)-(rows-1)*gap)/rows, p.mm(keyHigh))
	whole := columns*w + (columns-1)*gap
	left := r.X + (r.W-whole)/2
	top := r.Y + (r.H-rows*h-(rows-1)*gap)/2
	for i, row := range grid {
		w := w
		if len(grid[0]) == alphabet && row[0].Icon != "" {
			w = (whole - float32(len(row)-1)*gap) / float32(len(row))
		}
		for j, n := range row {
			p.key(n, Rect{left + float32(j)*(w+gap), top + float32(i)*(h+gap), w, h})
		}
	}
}

// key is a character, or a word with its picture.
func (p *pen) key(n *scene.Node, k Rect) {
	fill, label := p.pal.Card, n.Name.String()
	if n.Icon != "" {
		fill = p.pal.Tint
	}
	el := p.box(k, fill, p.pal.Border, theme.Stroke, theme.Corner)
	p.target(n, k, theme.Corner, el)
	if n.Icon == "" {
		f := p.face(theme.Key)
		if s := k.H / f.line; s < 1 {
			f.px, f.cap, f.line = f.px*s, f.cap*s, f.line*s
		}
		p.line(k.X+(k.W-p.width(label, f))/2, k.Y+(k.H-f.line)/2, label, f, p.pal.Ink, fill)
		return
	}
	f := p.face(theme.Label)
	s, gap := max(p.mm(8), p.beside(f)), p.mm(3)
	if p.width(label, f)+s+2*gap > k.W { // the word matters more
		s, gap = 0, 0
	}
	x := k.X + (k.W-s-gap-p.width(label, f))/2
	if s > 0 {
		p.icon(Rect{x, k.Y + (k.H-s)/2, s, s}, n.Icon, p.pal.AccentText)
	}
	p.line(x+s+gap, k.Y+(k.H-f.line)/2, label, f, p.pal.AccentText, fill)
}
