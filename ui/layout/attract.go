package layout

import (
	"kosk/device/scene"
	"kosk/ui/theme"
)

// attract is the screen that waits for somebody: the welcome on the lattice, the
// languages on paper, the tools below.
func (p *pen) attract() {
	sc := &p.view.Scene
	m := p.mm(theme.Margin)
	w := p.Panel.W - 2*m
	p.Ground = p.pal.Deep
	foot := p.attractFoot(w)
	sheet := p.attractSheet(w, foot)
	p.add(Element{Shape: Lattice, Rect: Rect{0, 0, p.Panel.W, sheet + p.mm(10)}, Fill: p.pal.Lattice})
	above := p.banner()
	// The sheet was measured first; now that the lattice lies under it, draw it.
	p.attractDrawSheet(m, w, sheet, foot)
	p.attractDrawFoot(m, w, foot)

	h := p.faceAt(theme.Hero, min(p.view.TextSize, scene.TextNormal))
	lead := p.face(theme.Lead)
	title, sub := sc.Role(scene.Title), sc.Role(scene.Lead)
	th := p.paraHeight(w, title.Name.String(), h)
	lh := p.paraHeight(w, sub.Name.String(), lead)
	s := p.mm(27)
	air := sheet - above - th - p.mm(6) - lh
	y := above + air/2
	if mark := s + p.mm(14); air > mark+p.mm(12) { // the mark makes room for words
		y = above + (air-mark)/2
		p.icon(Rect{m, y, s, s}, "mark", p.pal.OnDeep)
		y += mark
	}
	p.para(m, y, w, title.Name.String(), h, p.pal.OnDeep, p.pal.Deep)
	p.target(title, Rect{m, y, w, th}, 2, -1)
	y += th + p.mm(6)
	p.para(m, y, w, sub.Name.String(), lead, p.pal.OnDeep, p.pal.Deep)
	p.target(sub, Rect{m, y, w, lh}, 2, -1)
}

func (p *pen) attractFoot(w float32) float32 {
	n := p.view.Scene.Role(scene.Text)
	h := p.paraHeight(w, n.Name.String(), p.face(theme.Body))
	return p.Panel.H - (p.mm(8) + h + p.mm(6) + p.mm(34) + p.mm(8))
}

func (p *pen) attractDrawFoot(m, w, y float32) {
	p.box(Rect{0, y, p.Panel.W, p.Panel.H - y}, p.pal.Deep, p.pal.Deep, 0, 0)
	n := p.view.Scene.Role(scene.Text)
	f := p.face(theme.Body)
	at := y + p.mm(8)
	h := p.para(m, at, w, n.Name.String(), f, p.pal.OnDeep, p.pal.Deep)
	p.target(n, Rect{m, at, w, h}, 2, -1)
	at += h + p.mm(6)
	tools := p.nodes(scene.Tool)
	cols := len(tools)
	gap, high := p.mm(5), p.mm(34)
	tw := (w - float32(cols-1)*gap) / float32(cols)
	for i, t := range tools {
		r := Rect{m + float32(i%cols)*(tw+gap), at + float32(i/cols)*(high+gap), tw, high}
		el := p.box(r, p.pal.Deep, p.pal.OnDeep, 0.4, theme.Corner)
		p.captioned(t, r, p.face(theme.Label), p.mm(11), p.pal.Deep, p.pal.OnDeep)
		p.target(t, r, theme.Corner, el)
	}
}

// attractSheet is where the sheet of paper with the languages begins.
func (p *pen) attractSheet(w, foot float32) float32 {
	h := p.paraHeight(w, p.view.Scene.Role(scene.Heading).Name.String(), p.face(theme.Answer))
	n := float32(len(p.nodes(scene.Choice)))
	return foot - (p.mm(16) + h + p.mm(7) + n*p.mm(31) + (n-1)*p.mm(6) + p.mm(16))
}

func (p *pen) attractDrawSheet(m, w, y, foot float32) {
	p.box(Rect{0, y, p.Panel.W, foot - y + p.mm(14)}, p.pal.Paper, p.pal.Paper, 0, 14)
	head := p.view.Scene.Role(scene.Heading)
	f := p.face(theme.Answer)
	at := y + p.mm(14)
	h := p.para(m, at, w, head.Name.String(), f, p.pal.Ink, p.pal.Paper)
	p.target(head, Rect{m, at, w, h}, 2, -1)
	at += h + p.mm(7)
	bf := p.face(theme.Title)
	if k := p.mm(8) / bf.cap; k < 1 && p.view.TextSize <= scene.TextNormal {
		bf.px, bf.cap, bf.line = bf.px*k, bf.cap*k, bf.line*k
	}
	for _, n := range p.nodes(scene.Choice) {
		r := Rect{m, at, w, p.mm(31)}
		fill, ink, stroke := p.pal.Card, p.pal.Ink, p.pal.Border
		if n.Primary {
			fill, ink, stroke = p.pal.Accent, p.pal.OnAccent, p.pal.Accent
		}
		el := p.box(r, fill, stroke, theme.Stroke, theme.Corner)
		p.line(r.X+p.mm(12), r.Y+(r.H-bf.line)/2, n.Name.String(), bf, ink, fill)
		s := p.beside(bf)
		p.icon(Rect{r.Right() - p.mm(13) - s, r.Y + (r.H-s)/2, s, s}, "chevron-right", ink)
		p.target(n, r, theme.Corner, el)
		at += r.H + p.mm(6)
	}
}
