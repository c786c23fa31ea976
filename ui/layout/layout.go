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
	keys := p.keypadHeight()
	tight := p.tight(false)
	room := func() Rect {
		return Rect{p.mm(theme.Margin), top, p.Panel.W - 2*p.mm(theme.Margin), p.Panel.H - top - p.bottomBarHeight(tight) - keys}
	}
	pages := p.divide(room())
	if len(pages) > 1 && !tight && p.tight(true) { // the turns of pages need the second row
		tight = true
		pages = p.divide(room())
	}
	at := room()
	end := p.flow(at, pages)
	if keys > 0 {
		p.keypad(Rect{0, at.Bottom(), p.Panel.W, keys})
	} else {
		p.ornament(Rect{0, end, p.Panel.W, at.Bottom() - end})
	}
	p.bottomBar(p.bottomBarHeight(tight), tight)
}

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
		if !t.Touch {
			r = r.Grow(p.mm(1.2))
		}
		inner := p.pal.Accent
		if p.view.Scene.Kind == scene.Attract {
			inner = p.pal.Ink
		}
		p.add(Element{Shape: Box, Rect: r.Grow(in), Stroke: inner, Width: in, Radius: t.Radius + in})
		p.add(Element{Shape: Box, Rect: r.Grow(in + out), Stroke: p.pal.Focus, Width: out, Radius: t.Radius + in + out})
		return
	}
}

// banner says above every screen that the kiosk trusts test cards, and returns
// the height that it takes.
func (p *pen) banner() float32 {
	n := p.view.Scene.Role(scene.Banner)
	if n == nil {
		return 0
	}
	f := p.face(theme.Label)
	r := Rect{0, 0, p.Panel.W, f.line + p.mm(2)}
	p.box(r, p.pal.Bad, p.pal.Bad, 0, 0)
	w := p.width(n.Name.String(), f)
	p.line((p.Panel.W-w)/2, p.mm(1), n.Name.String(), f, p.pal.BadTint, p.pal.Bad)
	p.target(n, r, 0, -1)
	return r.H
}
