package layout

import (
	"kosk/device/scene"
	"kosk/ui/theme"
)

// text is a paragraph or a heading.
func (p *pen) text(n *scene.Node, w float32, s theme.Style, gap theme.MM, stick bool) block {
	f := p.face(s)
	return block{
		ids: []string{n.ID}, height: p.paraHeight(w, n.Name.String(), f), gap: p.mm(gap), stick: stick,
		draw: func(r Rect) {
			p.para(r.X, r.Y, r.W, n.Name.String(), f, p.pal.Ink, p.pal.Paper)
			p.target(n, r, 2, -1)
		},
	}
}

// choice is a row to touch: its name, what is said of it, and a chevron.
func (p *pen) choice(n *scene.Node, w float32) block {
	f, hf := p.face(theme.Button), p.face(theme.Source)
	pad, s := p.mm(8), p.grown(8, theme.Button)
	inner := w - 2*pad - s - p.mm(6)
	name := p.paraHeight(inner, n.Name.String(), f)
	hint := p.paraHeight(inner, n.Hint.String(), hf)
	h := max(name+hint+2*p.mm(5), p.mm(20))
	return block{
		ids: []string{n.ID}, height: h, gap: p.mm(5),
		draw: func(r Rect) {
			fill, ink, second, stroke := p.pal.Card, p.pal.Ink, p.pal.Second, p.pal.Border
			if n.Primary {
				fill, ink, second, stroke = p.pal.Accent, p.pal.OnAccent, p.pal.OnAccent, p.pal.Accent
			}
			if n.Unavailable {
				fill, stroke = p.pal.Paper, p.pal.Hair
			}
			el := p.box(r, fill, stroke, theme.Stroke, theme.Corner)
			y := r.Y + (r.H-name-hint)/2
			p.para(r.X+pad, y, inner, n.Name.String(), f, ink, fill)
			if hint > 0 {
				p.para(r.X+pad, y+name, inner, n.Hint.String(), hf, second, fill)
			}
			mark := "chevron-right"
			if n.Selected {
				mark = "check"
			}
			if n.Icon != "" {
				mark = n.Icon
			}
			if !n.Unavailable {
				p.icon(Rect{r.Right() - pad - s, r.Y + (r.H-s)/2, s, s}, mark, ink)
			}
			p.target(n, r, theme.Corner, el)
		},
	}
}

// tiles are large choices in a grid of two columns, of one at large text. One
// row of the grid is a block.
func (p *pen) tiles(nodes []scene.Node, w float32) []block {
	cols := 2
	if p.view.TextSize >= scene.TextLarge {
		cols = 1
	}
	gap := p.mm(theme.GridGap)
	tw := (w - float32(cols-1)*gap) / float32(cols)
	var rows []block
	for i := 0; i < len(nodes); i += cols {
		row := nodes[i:min(i+cols, len(nodes))]
		var h float32
		var ids []string
		for k := range row {
			h = max(h, p.tileHeight(&row[k], tw))
			ids = append(ids, row[k].ID)
		}
		rows = append(rows, block{ids: ids, height: h, gap: gap, draw: func(r Rect) {
			for k := range row {
				p.tile(&row[k], Rect{r.X + float32(k)*(tw+gap), r.Y, tw, r.H})
			}
		}})
	}
	return rows
}

const (
	tilePad  theme.MM = 9
	tileIcon theme.MM = 16
)

func (p *pen) tileHeight(n *scene.Node, w float32) float32 {
	inner := w - 2*p.mm(tilePad)
	return 2*p.mm(tilePad) + p.grown(tileIcon, theme.Answer) + p.mm(2) +
		p.paraHeight(inner, n.Name.String(), p.face(theme.Answer)) +
		p.paraHeight(inner, n.Hint.String(), p.face(theme.Source))
}

func (p *pen) tile(n *scene.Node, r Rect) {
	fill, ink, second, stroke := p.pal.Card, p.pal.Ink, p.pal.Second, p.pal.Border
	if n.Primary {
		fill, ink, second, stroke = p.pal.Accent, p.pal.OnAccent, p.pal.OnAccent, p.pal.Accent
	}
	el := p.box(r, fill, stroke, theme.Stroke, theme.CardCorner)
	pad, s := p.mm(tilePad), p.grown(tileIcon, theme.Answer)
	p.icon(Rect{r.X + pad, r.Y + pad, s, s}, n.Icon, ink)
	y := r.Y + pad + s + p.mm(2)
	y += p.para(r.X+pad, y, r.W-2*pad, n.Name.String(), p.face(theme.Answer), ink, fill)
	p.para(r.X+pad, y, r.W-2*pad, n.Hint.String(), p.face(theme.Source), second, fill)
	p.target(n, r, theme.CardCorner, el)
}

// datumAir is the air above and below a row of a card: less where the words need
// the room, and where that saves a page.
var (
	datumAir = [scene.TextSizes]theme.MM{7.2, 7.2, 5.6, 4.6}
	snugAir  = [scene.TextSizes]theme.MM{5, 5, 4.6, 4.6}
)

// datum is a row of a card: the label above, the value larger, its source below,
// and, where it can be changed, the way to do so. One that stands alone in its
// card, the number of a slip, is set as large as a title.
func (p *pen) datum(n *scene.Node, w float32, alone bool) block {
	lf, af, sf := p.face(theme.Label), p.face(theme.Answer), p.face(theme.Source)
	if alone {
		af = p.face(theme.Title)
	}
	pad, air := p.mm(theme.CardPad), p.mm(datumAir[p.view.TextSize])
	if p.snug {
		air = p.mm(snugAir[p.view.TextSize])
	}
	inner := w - 2*pad
	does := n.Does.String()
	icon, edge := lf.cap*1.7, p.mm(5)
	button := 2*edge + icon + p.mm(3) + p.width(does, lf)
	if n.Action != nil {
		inner -= button + p.mm(6)
	}
	label := p.paraHeight(inner, n.Name.String(), lf)
	value := p.paraHeight(inner, n.Value.String(), af)
	source := p.paraHeight(inner, n.Hint.String(), sf)
	return block{
		ids: []string{n.ID}, height: label + value + source + 2*air, gap: p.mm(6),
		draw: func(r Rect) {
			y := r.Y + air
			p.para(r.X+pad, y, inner, n.Name.String(), lf, p.pal.Second, p.pal.Card)
			p.para(r.X+pad, y+label, inner, n.Value.String(), af, p.pal.Ink, p.pal.Card)
			if source > 0 {
				p.para(r.X+pad, y+label+value, inner, n.Hint.String(), sf, p.pal.Second, p.pal.Card)
			}
			if n.Action == nil {
				p.target(n, Rect{r.X + pad/2, r.Y + air/2, r.W - pad, r.H - air}, 2, -1)
				return
			}
			high := p.mm(21)
			b := Rect{r.Right() - pad - button, r.Y + (r.H-high)/2, button, high}
			el := p.box(b, p.pal.Card, p.pal.Border, theme.Stroke, theme.Corner)
			p.icon(Rect{b.X + edge, b.Y + (high-icon)/2, icon, icon}, "pencil", p.pal.AccentText)
			p.line(b.X+edge+icon+p.mm(3), b.Y+(high-lf.line)/2, does, lf, p.pal.AccentText, p.pal.Card)
			p.target(n, b, theme.Corner, el)
		},
	}
}

// note is a paragraph set apart on a tint; an error has its icon.
func (p *pen) note(n *scene.Node, w float32) block {
	f := p.face(theme.Body)
	pad := p.mm(8)
	icon := n.Icon
	fill, ink, stroke := p.pal.Tint, p.pal.Ink, p.pal.Tint
	switch n.Tone {
	case scene.Good:
		fill, ink, stroke = p.pal.GoodTint, p.pal.Good, p.pal.GoodTint
	case scene.Bad:
		fill, ink, stroke = p.pal.BadTint, p.pal.Bad, p.pal.Bad
		if icon == "" {
			icon = "alert"
		}
	}
	if p.view.Contrast != scene.ContrastDefault {
		stroke = p.pal.Border
	}
	s := p.grown(9, theme.Body)
	indent := pad
	if icon != "" {
		indent += s + p.mm(5)
	}
	inner := w - indent - pad
	text := n.Name.String()
	th := p.paraHeight(inner, text, f)
	return block{
		ids: []string{n.ID}, height: th + 2*p.mm(6), gap: p.mm(7),
		draw: func(r Rect) {
			el := p.box(r, fill, stroke, theme.Stroke, theme.Corner)
			if icon != "" {
				p.icon(Rect{r.X + pad, r.Y + (r.H-s)/2, s, s}, icon, ink)
			}
			p.para(r.X+indent, r.Y+(r.H-th)/2, inner, text, f, ink, fill)
			p.target(n, r, theme.Corner, el)
		},
	}
}

// figure is a picture in a card of its own.
func (p *pen) figure(n *scene.Node, w float32) block {
	h := p.mm(118)
	if p.view.TextSize >= scene.TextLarge || p.view.Scene.Kind != scene.Insert {
		h = p.mm(82)
	}
	if p.lying() && p.view.Scene.Role(scene.Key) != nil { // under the field, so that the way forward is on this page
		h = p.mm(52)
	}
	return block{
		ids: []string{n.ID}, height: h, gap: p.mm(7),
		draw: func(r Rect) {
			p.box(r, p.pal.Card, p.pal.Hair, theme.Stroke, theme.CardCorner)
			s := r.H - 2*p.mm(6)
			iw := min(s*1.5, r.W-2*p.mm(6))
			p.icon(Rect{r.X + (r.W-iw)/2, r.Y + (r.H-s)/2, iw, s}, n.Icon, p.pal.AccentText)
			p.target(n, r, theme.CardCorner, -1)
		},
	}
}

// code is a QR code with its words beside it.
func (p *pen) code(n *scene.Node, w float32) block {
	f := p.face(theme.Body)
	s := p.mm(76)
	pad := p.mm(8)
	inner := w - s - 3*pad
	side := inner > p.mm(70) && p.paraHeight(inner, n.Name.String(), f) <= s
	h := s + 2*pad
	if !side {
		inner = w - 2*pad
		h += p.paraHeight(inner, n.Name.String(), f) + p.mm(4)
	}
	return block{
		ids: []string{n.ID}, height: h, gap: p.mm(7),
		draw: func(r Rect) {
			p.box(r, p.pal.Card, p.pal.Hair, theme.Stroke, theme.CardCorner)
			q := Rect{r.X + pad, r.Y + pad, s, s}
			p.add(Element{Shape: Code, Rect: q, Data: n.Data})
			if side {
				th := p.paraHeight(inner, n.Name.String(), f)
				p.para(q.Right()+pad, r.Y+(r.H-th)/2, inner, n.Name.String(), f, p.pal.Ink, p.pal.Card)
			} else {
				p.para(r.X+pad, q.Bottom()+p.mm(4), inner, n.Name.String(), f, p.pal.Ink, p.pal.Card)
			}
			p.target(n, r, theme.CardCorner, -1)
		},
	}
}

// progress is the mark in a card, with what is under way beside it.
func (p *pen) progress(n *scene.Node, w float32) block {
	f := p.face(theme.Lead)
	s, pad := p.mm(34), p.mm(theme.CardPad)
	inner := w - s - 3*pad
	th := p.paraHeight(inner, n.Name.String(), f)
	return block{
		ids: []string{n.ID}, height: max(s, th) + 2*pad, gap: p.mm(7),
		draw: func(r Rect) {
			p.box(r, p.pal.Card, p.pal.Hair, theme.Stroke, theme.CardCorner)
			p.icon(Rect{r.X + pad, r.Y + (r.H-s)/2, s, s}, n.Icon, p.pal.AccentText)
			p.para(r.X+s+2*pad, r.Y+(r.H-th)/2, inner, n.Name.String(), f, p.pal.Ink, p.pal.Card)
			p.target(n, r, theme.CardCorner, -1)
		},
	}
}
