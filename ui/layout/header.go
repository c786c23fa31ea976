package layout

import (
	"strings"

	"kosk/device/scene"
	"kosk/ui/theme"
)

// headerAir is the air above and below the header.
const headerAir theme.MM = 9

// medal is the air between the sign of success and the title.
const medal theme.MM = 6

// A heading is one part of the header.
type heading struct {
	node  *scene.Node
	style theme.Style
	air   theme.MM // above it: the rings of the focus have their place in it
}

// headings are the service, the title and the lead; after the first page the
// title alone, so that what is on the page has the room.
func (p *pen) headings(page int) []heading {
	sc := &p.view.Scene
	parts := []heading{{sc.Role(scene.Eyebrow), theme.Label, 0}, {sc.Role(scene.Title), theme.Title, 2.5}, {sc.Role(scene.Lead), theme.Lead, 2.5}}
	if page > 0 {
		parts = parts[1:2]
	}
	var all []heading
	for _, h := range parts {
		if h.node == nil {
			continue
		}
		if len(all) == 0 {
			h.air = 0
		}
		all = append(all, h)
	}
	return all
}

// headerHeight is what the header of a page takes, with the air round it.
func (p *pen) headerHeight(w float32, page int) float32 {
	h := 2 * p.mm(headerAir)
	for _, part := range p.headings(page) {
		f := p.face(part.style)
		inner := w - p.medal(part, f)
		h += p.mm(part.air) + p.paraHeight(inner, p.divided(part, inner, f), f)
	}
	return h
}

// header sets the header of the page, and returns where the body begins.
func (p *pen) header(room Rect) float32 {
	y := room.Y + p.mm(headerAir)
	for _, part := range p.headings(p.Page) {
		f, c := p.face(part.style), p.pal.Ink
		switch part.style {
		case theme.Label:
			c = p.pal.AccentText
		case theme.Lead:
			c = p.pal.Second
		}
		y += p.mm(part.air)
		indent := p.medal(part, f)
		h := p.para(room.X+indent, y, room.W-indent, p.divided(part, room.W-indent, f), f, c, p.pal.Paper)
		if indent > 0 {
			s := indent - p.mm(medal)
			ring := Rect{room.X, y + (f.line-s)/2, s, s}
			p.add(Element{Shape: Box, Rect: ring, Fill: p.pal.GoodTint, Stroke: p.pal.Good, Width: p.mm(theme.Stroke), Radius: s / 2})
			p.icon(ring.Grow(-s*0.24), "check", p.pal.Good)
		}
		p.target(part.node, Rect{room.X, y, room.W, h}, 2, -1)
		y += h
	}
	return y + p.mm(headerAir)
}

// medal is the room for the sign of success, left of a title that tells it.
func (p *pen) medal(part heading, f face) float32 {
	if part.style != theme.Title || part.node.Tone != scene.Good {
		return 0
	}
	return f.cap*1.5 + p.mm(medal)
}

// divided is the words of a heading. A service and its agency that need more lines
// than one have lines of their own, where that costs none.
func (p *pen) divided(part heading, w float32, f face) string {
	s := part.node.Name.String()
	if part.style != theme.Label || p.width(s, f) <= w {
		return s
	}
	if own := strings.Replace(s, " · ", "\n", 1); len(p.wrap(own, w, f)) <= len(p.wrap(s, w, f)) {
		return own
	}
	return s
}
