package layout

import (
	"kosk/device/scene"
	"kosk/ui/theme"
)

// attract is the screen that waits for somebody: the welcome on the lattice, the
// languages on paper, the tools below. On a panel that lies, the paper is at the
// right.
func (p *pen) attract() {
	p.Ground = p.pal.Deep
	whole := Rect{W: p.Panel.W, H: p.Panel.H}
	above := p.bannerHeight()
	welcome, sheet, foot := whole, whole, whole
	if p.lying() {
		welcome.W = whole.W / 2
		foot.W = welcome.W
		sheet.X, sheet.Y, sheet.W, sheet.H = welcome.W, above, whole.W-welcome.W, whole.H-above
		foot.H = p.attractFootHeight(foot.W)
	} else {
		foot.H = p.attractFootHeight(whole.W)
		room := whole.H - above - foot.H - p.welcomeHeight(whole.W, false) - p.mm(12)
		sheet.H = p.sheetHeight(whole.W, p.choiceHigh(whole.W, room))
		sheet.Y = whole.H - foot.H - sheet.H
	}
	foot.Y = whole.H - foot.H
	welcome.Y, welcome.H = above, foot.Y-above
	if !p.lying() {
		welcome.H = sheet.Y - above
	}
	p.add(Element{Shape: Lattice, Rect: Rect{welcome.X, 0, welcome.W, welcome.Bottom() + p.mm(10)}, Fill: p.pal.Lattice})
	p.banner()
	p.welcome(welcome)
	p.sheet(sheet)
	p.attractFoot(foot)
}

// heroFace is the welcome's; it grows no further than at the default size, as it
// is the largest anyway.
func (p *pen) heroFace() face {
	if p.view.TextSize == scene.TextLargest && p.Panel.W < p.mm(240) {
		return p.faceAt(theme.Title, scene.TextNormal)
	}
	return p.faceAt(theme.Hero, min(p.view.TextSize, scene.TextNormal))
}

const markSize, markAir theme.MM = 27, 14

func (p *pen) welcomeHeight(w float32, mark bool) float32 {
	w -= 2 * p.margin()
	sc := &p.view.Scene
	h := p.paraHeight(w, sc.Role(scene.Title).Name.String(), p.heroFace()) + p.mm(6) +
		p.paraHeight(w, sc.Role(scene.Lead).Name.String(), p.face(theme.Lead))
	if mark {
		h += p.mm(markSize + markAir)
	}
	return h
}

// welcome sets the mark, the welcome and what the kiosk is for, in the middle of
// the height; the mark makes room for words.
func (p *pen) welcome(r Rect) {
	m := p.margin()
	mark := p.welcomeHeight(r.W, true)+p.mm(12) < r.H
	y := r.Y + (r.H-p.welcomeHeight(r.W, mark))/2
	if mark {
		s := p.mm(markSize)
		p.icon(Rect{r.X + m, y, s, s}, "mark", p.pal.OnDeep)
		y += p.mm(markSize + markAir)
	}
	y += p.attractText(scene.Title, Rect{r.X + m, y, r.W - 2*m, 0}, p.heroFace()) + p.mm(6)
	p.attractText(scene.Lead, Rect{r.X + m, y, r.W - 2*m, 0}, p.face(theme.Lead))
}

// attractText sets the node of a role on the deep ground, and returns its height.
func (p *pen) attractText(role scene.Role, r Rect, f face) float32 {
	n := p.view.Scene.Role(role)
	r.H = p.para(r.X, r.Y, r.W, n.Name.String(), f, p.pal.OnDeep, p.pal.Deep)
	p.target(n, r, 2, -1)
	return r.H
}

const footTool, footAir theme.MM = 34, 8

func (p *pen) attractFootHeight(w float32) float32 {
	n := p.view.Scene.Role(scene.Text)
	return p.paraHeight(w-2*p.margin(), n.Name.String(), p.face(theme.Body)) + p.mm(2*footAir+6+footTool)
}

// attractFoot sets the invitation to who can't see the panel, and the tools.
func (p *pen) attractFoot(r Rect) {
	m := p.margin()
	p.box(r, p.pal.Deep, p.pal.Deep, 0, 0)
	y := r.Y + p.mm(footAir)
	y += p.attractText(scene.Text, Rect{r.X + m, y, r.W - 2*m, 0}, p.face(theme.Body)) + p.mm(6)
	p.toolRow(p.nodes(scene.Tool), Rect{r.X + m, y, r.W - 2*m, p.mm(footTool)}, p.mm(11), p.pal.Deep, p.pal.OnDeep, p.pal.OnDeep)
}

const (
	sheetPad                        theme.MM = 14
	sheetGap                        theme.MM = 6
	choiceHigh, choiceLow, choiceBy theme.MM = 31, 22, 3
)

func (p *pen) sheetHeight(w, choice float32) float32 {
	head := p.paraHeight(w-2*p.margin(), p.view.Scene.Role(scene.Heading).Name.String(), p.face(theme.Answer))
	n := float32(len(p.nodes(scene.Choice)))
	return head + p.mm(2*sheetPad+7) + n*choice + (n-1)*p.mm(sheetGap)
}

// choiceHigh is the height of the languages, less where there is less room.
func (p *pen) choiceHigh(w, room float32) float32 {
	for v := choiceHigh; v > choiceLow; v -= choiceBy {
		if p.sheetHeight(w, p.mm(v)) <= room {
			return p.mm(v)
		}
	}
	return p.mm(choiceLow)
}

// sheet is the paper with the languages.
func (p *pen) sheet(r Rect) {
	m := p.margin()
	high := p.choiceHigh(r.W, r.H+1)
	if p.lying() {
		p.box(r, p.pal.Paper, p.pal.Paper, 0, 0)
	} else {
		p.box(Rect{r.X, r.Y, r.W, r.H + p.mm(14)}, p.pal.Paper, p.pal.Paper, 0, 14)
	}
	y := r.Y + (r.H-p.sheetHeight(r.W, high))/2 + p.mm(sheetPad)
	head := p.view.Scene.Role(scene.Heading)
	h := p.para(r.X+m, y, r.W-2*m, head.Name.String(), p.face(theme.Answer), p.pal.Ink, p.pal.Paper)
	p.target(head, Rect{r.X + m, y, r.W - 2*m, h}, 2, -1)
	y += h + p.mm(7)
	for _, n := range p.nodes(scene.Choice) {
		p.language(n, Rect{r.X + m, y, r.W - 2*m, high})
		y += high + p.mm(sheetGap)
	}
}

// language is a button of the sheet.
func (p *pen) language(n *scene.Node, r Rect) {
	f := p.face(theme.Title)
	if k := p.mm(8) / f.cap; k < 1 && p.view.TextSize <= scene.TextNormal {
		f.px, f.cap, f.line = f.px*k, f.cap*k, f.line*k
	}
	fill, ink, stroke := p.pal.Card, p.pal.Ink, p.pal.Border
	if n.Primary {
		fill, ink, stroke = p.pal.Accent, p.pal.OnAccent, p.pal.Accent
	}
	el := p.box(r, fill, stroke, theme.Stroke, theme.Corner)
	p.line(r.X+p.mm(12), r.Y+(r.H-f.line)/2, n.Name.String(), f, ink, fill)
	s := p.beside(f)
	p.icon(Rect{r.Right() - p.mm(13) - s, r.Y + (r.H-s)/2, s, s}, "chevron-right", ink)
	p.target(n, r, theme.Corner, el)
}
