package layout

import (
	"image/color"

	"kosk/device/scene"
	"kosk/ui/theme"
)

// nodes lists the scene's nodes of one role.
func (p *pen) nodes(r scene.Role) []*scene.Node {
	var all []*scene.Node
	for i := range p.view.Scene.Nodes {
		if p.view.Scene.Nodes[i].Role == r {
			all = append(all, &p.view.Scene.Nodes[i])
		}
	}
	return all
}

// topBar sets the mark and the tools, and returns where the page begins. At the
// largest text the mark makes room and the tools stand in two rows.
func (p *pen) topBar() float32 {
	tools := p.nodes(scene.Tool)
	f := p.toolFace()
	margin, gap, high := p.mm(theme.Margin), p.mm(3), p.mm(22)
	rows, cols := 1, len(tools)
	left := margin + p.mm(46)
	if p.view.TextSize >= scene.TextLarge {
		left = margin
	}
	if p.view.TextSize == scene.TextLargest {
		rows, cols = 2, (len(tools)+1)/2
	}
	if cols == 0 {
		cols = 1
	}
	above := p.banner()
	h := p.mm(theme.TopBar) + float32(rows-1)*(high+gap)
	p.box(Rect{0, above, p.Panel.W, h}, p.pal.Card, p.pal.Card, 0, 0)
	p.box(Rect{0, above + h, p.Panel.W, p.mm(0.4)}, p.pal.Hair, p.pal.Hair, 0, 0)
	y := above + (h-float32(rows)*high-float32(rows-1)*gap)/2
	if p.view.TextSize < scene.TextLarge {
		p.house(Rect{margin, above, left - margin, h})
	}
	w := (p.Panel.W - margin - left - float32(cols-1)*gap) / float32(cols)
	for i, n := range tools {
		r := Rect{left + float32(i%cols)*(w+gap), y + float32(i/cols)*(high+gap), w, high}
		p.tool(n, r, f, p.pal.Card, p.pal.Ink, p.pal.Border)
	}
	return above + h
}

// house is the mark, with the kiosk's name, or where the person is in a form.
func (p *pen) house(r Rect) {
	s := p.mm(14)
	p.icon(Rect{r.X, r.Y + (r.H-s)/2, s, s}, "mark", p.pal.AccentText)
	words, f := "Köşk", p.faceAt(theme.Answer, scene.TextNormal)
	step := p.view.Scene.Role(scene.Step)
	if step != nil {
		words, f = step.Name.String(), p.faceAt(theme.Button, scene.TextNormal)
	}
	at := Rect{r.X + s + p.mm(5), r.Y + (r.H-f.line)/2, p.width(words, f), f.line}
	p.line(at.X, at.Y, words, f, p.pal.Ink, p.pal.Card)
	if step != nil {
		p.target(step, at, 2, -1)
	}
}

// toolFace is how the captions of tools are set: at the largest text they stand
// beside their icons at the full size.
func (p *pen) toolFace() face {
	f := p.face(theme.Label)
	if p.view.TextSize <= scene.TextNormal {
		k := p.mm(3.5) / f.cap
		f.px, f.line, f.cap = f.px*k, f.line*k, f.cap*k
	} else if p.view.TextSize == scene.TextLarge {
		k := p.mm(4.6) / f.cap
		f.px, f.line, f.cap = f.px*k, f.line*k, f.cap*k
	}
	return f
}

// tool is a button of the bar: an icon with its word under it, or beside it
// where the words are large.
func (p *pen) tool(n *scene.Node, r Rect, f face, fill, ink, stroke color.NRGBA) {
	if n.Selected {
		fill, ink = p.pal.Accent, p.pal.OnAccent
	}
	el := p.box(r, fill, stroke, theme.Stroke, theme.Corner)
	s := p.mm(9)
	label := n.Name.String()
	w := p.width(label, f)
	if p.view.TextSize == scene.TextLargest {
		x := r.X + (r.W-w-s-p.mm(3))/2
		p.icon(Rect{x, r.Y + (r.H-s)/2, s, s}, n.Icon, ink)
		p.line(x+s+p.mm(3), r.Y+(r.H-f.line)/2, label, f, ink, fill)
	} else {
		y := r.Y + (r.H-s-f.line)/2
		p.icon(Rect{r.X + (r.W-s)/2, y, s, s}, n.Icon, ink)
		p.line(r.X+(r.W-w)/2, y+s, label, f, ink, fill)
	}
	p.target(n, r, theme.Corner, el)
}

// bottomWords are the widths that decide whether the bar needs a second row.
func (p *pen) bottomTight() bool {
	f := p.face(theme.Button)
	w := 2 * p.mm(theme.Margin)
	for _, r := range []scene.Role{scene.Back, scene.Leave} {
		if n := p.view.Scene.Role(r); n != nil {
			w += p.width(n.Name.String(), f) + p.mm(8+4+8)
		}
	}
	if n := p.forward(); n != nil {
		w += p.width(n.Name.String(), f) + p.mm(2*9+12) + p.mm(6)
	} else if n := p.view.Scene.Role(scene.Status); n != nil {
		w += p.width(n.Name.String(), p.face(theme.Label)) + p.mm(14)
	}
	return w > p.Panel.W
}

func (p *pen) bottomBarHeight() float32 {
	if p.bottomTight() {
		return p.mm(theme.BottomBar) + p.mm(theme.PrimaryHigh)
	}
	return p.mm(theme.BottomBar)
}

// forward is the node at the bottom right: the one way forward, or, before the
// last page, the turn of the page.
func (p *pen) forward() *scene.Node {
	if p.Page < p.Pages-1 {
		if n := p.view.Scene.Find(scene.TurnNext); n != nil {
			return n
		}
	}
	return p.view.Scene.Role(scene.Next)
}

// bottomBar sets back, leave, and the one way forward or the state of the line.
func (p *pen) bottomBar(h float32) {
	f := p.face(theme.Button)
	top := p.Panel.H - h
	margin := p.mm(theme.Margin)
	p.box(Rect{0, top, p.Panel.W, h}, p.pal.Card, p.pal.Card, 0, 0)
	p.box(Rect{0, top, p.Panel.W, p.mm(0.4)}, p.pal.Hair, p.pal.Hair, 0, 0)
	high := p.mm(theme.PrimaryHigh)
	row := top + (h-high)/2
	first := row
	if p.bottomTight() {
		first = top + p.mm(5)
		row = p.Panel.H - p.mm(6) - high
	}
	x := margin - p.mm(4)
	for _, role := range []scene.Role{scene.Back, scene.Leave} {
		n := p.view.Scene.Role(role)
		if n == nil {
			continue
		}
		icon := "chevron-left"
		if role == scene.Leave {
			icon = "cross"
		}
		if role == scene.Back && p.Page > 0 {
			if turn := p.view.Scene.Find(scene.TurnBack); turn != nil {
				n = turn
			}
		}
		s := p.mm(7)
		w := p.mm(4) + s + p.mm(4) + p.width(n.Name.String(), f) + p.mm(4)
		r := Rect{x, first, w, high}
		el := p.box(r, p.pal.Card, p.pal.Card, 0, theme.Corner)
		p.icon(Rect{x + p.mm(4), first + (high-s)/2, s, s}, icon, p.pal.Ink)
		p.line(x+p.mm(8)+s, first+(high-f.line)/2, n.Name.String(), f, p.pal.Ink, p.pal.Card)
		p.target(n, r, theme.Corner, el)
		x += w + p.mm(3)
	}
	if n := p.forward(); n != nil {
		p.primary(n, row, high, f)
	} else if n := p.view.Scene.Role(scene.Status); n != nil {
		p.status(n, row, high)
	}
}

// primary is the one filled button, bottom right.
func (p *pen) primary(n *scene.Node, y, high float32, f face) {
	label := n.Name.String()
	s := p.mm(7)
	w := max(p.width(label, f)+p.mm(2*9+5)+s, p.mm(68))
	if p.bottomTight() {
		w = p.Panel.W - 2*p.mm(theme.Margin)
	}
	r := Rect{p.Panel.W - p.mm(theme.Margin) - w, y, w, high}
	fill, ink, stroke := p.pal.Accent, p.pal.OnAccent, p.pal.Accent
	if n.Unavailable {
		fill, ink, stroke = p.pal.Card, p.pal.Second, p.pal.Hair
	}
	el := p.box(r, fill, stroke, theme.Stroke, theme.Corner)
	x := r.X + (r.W-p.width(label, f)-p.mm(5)-s)/2
	p.line(x, y+(high-f.line)/2, label, f, ink, fill)
	p.icon(Rect{x + p.width(label, f) + p.mm(5), y + (high-s)/2, s, s}, "chevron-right", ink)
	p.target(n, r, theme.Corner, el)
}

// status is the state of the line, where no way forward needs the place.
func (p *pen) status(n *scene.Node, y, high float32) {
	f := p.face(theme.Label)
	c, icon := p.pal.Good, "check"
	if n.Tone == scene.Bad {
		c, icon = p.pal.Bad, "alert"
	}
	label := n.Name.String()
	s := p.mm(7)
	w := p.width(label, f)
	x := p.Panel.W - p.mm(theme.Margin) - w
	p.icon(Rect{x - s - p.mm(3), y + (high-s)/2, s, s}, icon, c)
	p.line(x, y+(high-f.line)/2, label, f, c, p.pal.Card)
	p.target(n, Rect{x - s - p.mm(3), y + (high-f.line)/2, w + s + p.mm(3), f.line}, 2, -1)
}
