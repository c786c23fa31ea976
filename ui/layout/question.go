package layout

import (
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

func (p *pen) keyRows() int { return (len(p.nodes(scene.Key)) + 2) / 3 }

// keypadHeight is what rows of keys of a height need.
func (p *pen) keypadHeight(rows int, key theme.MM) float32 {
	return float32(rows)*p.mm(key) + float32(rows-1)*p.mm(keyGap) + 2*p.mm(padAir)
}

// keypad sets the keys as a telephone has them, three in a row (ADA 707.6.2: the
// twelve-key layout of the tactile keypad).
func (p *pen) keypad(r Rect) {
	p.box(r, p.pal.Keys, p.pal.Keys, 0, 0)
	f := p.face(theme.Key)
	lf := p.face(theme.Label)
	gap, rows := p.mm(keyGap), float32(p.keyRows())
	w := min((r.W-2*p.margin()-2*gap)/3, p.mm(72))
	h := min((r.H-2*p.mm(padAir)-(rows-1)*gap)/rows, p.mm(keyHigh))
	if k := h / f.line; k < 1 {
		f.px, f.cap, f.line = f.px*k, f.cap*k, f.line*k
	}
	left := r.X + (r.W-3*w-2*gap)/2
	top := r.Y + (r.H-rows*h-(rows-1)*gap)/2
	for i, n := range p.nodes(scene.Key) {
		k := Rect{left + float32(i%3)*(w+gap), top + float32(i/3)*(h+gap), w, h}
		fill := p.pal.Card
		if n.Icon != "" {
			fill = p.pal.Tint
		}
		el := p.box(k, fill, p.pal.Border, theme.Stroke, theme.Corner)
		label := n.Name.String()
		if n.Icon != "" {
			s, gap := max(p.mm(8), p.beside(lf)), p.mm(3)
			if p.width(label, lf)+s+2*gap > k.W { // the word matters more
				s, gap = 0, 0
			}
			x := k.X + (k.W-s-gap-p.width(label, lf))/2
			if s > 0 {
				p.icon(Rect{x, k.Y + (k.H-s)/2, s, s}, n.Icon, p.pal.AccentText)
			}
			p.line(x+s+gap, k.Y+(k.H-lf.line)/2, label, lf, p.pal.AccentText, fill)
		} else {
			p.line(k.X+(k.W-p.width(label, f))/2, k.Y+(k.H-f.line)/2, label, f, p.pal.Ink, fill)
		}
		p.target(n, k, theme.Corner, el)
	}
}
