package layout

import (
	"kosk/device/scene"
	"kosk/ui/theme"
)

// Lay places a view on a panel.
func Lay(v scene.View, panel Panel) Drawing {
	p := &pen{Panel: panel, view: v, pal: theme.PaletteOf(v.Contrast)}
	p.Ground = p.pal.Paper
	if v.Scene.Kind == scene.Attract {
		p.attract()
	} else {
		p.page()
	}
	p.ring()
	return p.Drawing
}

// page lays out every kind of scene but the attract screen: bars, header, body.
func (p *pen) page() {
	top := p.topBar()
	tight := p.tight(false)
	pages, room, keys := p.fit(top, p.bottomBarHeight(tight))
	if len(pages) > 1 && !tight && p.tight(true) { // the turns of pages need the second row
		tight = true
		pages, room, keys = p.fit(top, p.bottomBarHeight(tight))
	}
	end := p.flow(room, pages)
	if keys.H > 0 {
		p.keypad(keys)
	} else {
		p.ornament(Rect{0, end, p.Panel.W, room.Bottom() - end})
	}
	p.bottomBar(p.bottomBarHeight(tight), tight)
}

// fit divides what is between the bars among the page and, for a question, its
// keys: under the page, or beside it on a panel that lies. The keys give way, as far
// as a finger allows, to the whole page where that saves turning it, else to its
// first block.
func (p *pen) fit(top, bar float32) (pages [][]block, room, keys Rect) {
	m := p.margin()
	room = Rect{m, top, p.Panel.W - 2*m, p.Panel.H - top - bar}
	rows := len(p.keyGrid())
	if rows == 0 {
		return p.divide(room), room, keys
	}
	if p.lying() {
		keys = Rect{p.Panel.W * 0.56, top, p.Panel.W * 0.44, room.H}
		room.W = keys.X - 2*m
		return p.divide(room), room, keys
	}
	least, need, whole := p.keypadHeight(rows, keyLow), p.headerHeight(room.W, 0)+p.mm(4), float32(0)
	for i, b := range p.blocks(room.W) {
		if i == 0 {
			need += b.height
			continue
		}
		whole += b.gap + b.height
	}
	if need+whole <= room.H-least {
		need += whole
	}
	high := min(p.keypadHeight(rows, keyHigh), max(room.H-need, least))
	room.H -= high
	return p.divide(room), room, Rect{0, room.Bottom(), p.Panel.W, high}
}

// lying reports whether the panel is wider than high.
func (p *pen) lying() bool { return p.Panel.W > p.Panel.H }

// ornament is the lattice under a result, where there is air for it.
func (p *pen) ornament(r Rect) {
	air := p.mm(20)
	if p.view.Scene.Kind != scene.Result || r.H < 3*air || p.pal.Ornament == p.pal.Paper {
		return
	}
	p.add(Element{Shape: Lattice, Rect: Rect{r.X, r.Y + air, r.W, r.H - air}, Fill: p.pal.Ornament})
}

// ring draws the two rings of the focus (WCAG 2.4.13: thick and of two tones, so
// that it is seen on any ground).
func (p *pen) ring() {
	if !p.view.Ring || p.view.Focus == "" {
		return
	}
	for _, t := range p.Targets {
		if t.ID != p.view.Focus {
			continue
		}
		in, out := p.mm(theme.FocusInner), p.mm(theme.FocusOuter)
		r := t.Rect
		switch t.Role {
		case scene.Eyebrow, scene.Title, scene.Lead, scene.Heading, scene.Text: // lines stand close above each other
			d := p.mm(0.3)
			r = Rect{r.X - 4*d, r.Y + d, r.W + 8*d, r.H - 2*d}
		case scene.Field: // its label does
		default:
			if !t.Touch {
				r = r.Grow(p.mm(1.2))
			}
		}
		p.add(Element{Shape: Box, Rect: r.Grow(in), Stroke: p.pal.FocusIn, Width: in, Radius: t.Radius + in})
		p.add(Element{Shape: Box, Rect: r.Grow(in + out), Stroke: p.pal.Focus, Width: out, Radius: t.Radius + in + out})
		return
	}
}

// banner says above every screen that the kiosk trusts test cards, and returns
// the height that it takes.
func (p *pen) banner() float32 {
	h := p.bannerHeight()
	if h == 0 {
		return 0
	}
	n, f := p.view.Scene.Role(scene.Banner), p.face(theme.Label)
	r := Rect{0, 0, p.Panel.W, h}
	p.box(r, p.pal.Bad, p.pal.Bad, 0, 0)
	w := p.width(n.Name.String(), f)
	p.line((p.Panel.W-w)/2, p.mm(1), n.Name.String(), f, p.pal.BadTint, p.pal.Bad)
	p.target(n, r, 0, -1)
	return h
}

func (p *pen) bannerHeight() float32 {
	if p.view.Scene.Role(scene.Banner) == nil {
		return 0
	}
	return p.face(theme.Label).line + p.mm(2)
}
