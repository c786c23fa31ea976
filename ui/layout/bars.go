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

const (
	toolGap  theme.MM = 4
	toolPad  theme.MM = 6
	toolHigh theme.MM = 22 // icon above its word
	toolTall theme.MM = 25 // the same with large words
	toolFlat theme.MM = 18 // icon beside its word
)

// topBar sets the house and the tools, and returns where the page begins. Where
// one row can't hold them they stand in rows of three, or of two.
func (p *pen) topBar() float32 {
	margin, gap := p.margin(), p.mm(toolGap)
	above := p.banner()
	tools := p.nodes(scene.Tool)
	high, rows, cols := p.mm(toolHigh), 1, 0
	left := p.mm(46)
	if p.view.TextSize == scene.TextLarge {
		high, left = p.mm(toolTall), p.mm(22)
	}
	row := Rect{margin, above + p.mm(theme.TopBar-toolHigh)/2, p.Panel.W - 2*margin, high}
	beside := Rect{row.X + left + gap, row.Y, row.W - left - gap, high}
	if p.view.TextSize == scene.TextLargest || p.toolPad(tools, beside.W) < p.mm(toolPad) {
		cols = p.toolColumns(tools, row.W)
		rows, row.H = len(tools)/cols+1, p.mm(toolFlat)
	}
	h := p.mm(theme.TopBar-toolHigh) + float32(rows)*(row.H+gap) - gap
	p.box(Rect{0, above, p.Panel.W, h}, p.pal.Card, p.pal.Card, 0, 0)
	p.box(Rect{0, above + h, p.Panel.W, p.mm(0.4)}, p.pal.Hair, p.pal.Hair, 0, 0)
	if cols > 0 {
		p.toolGrid(tools, row, cols)
	} else {
		p.house(Rect{row.X, row.Y, left, high})
		p.toolRow(tools, beside, p.mm(9), p.pal.Card, p.pal.Ink, p.pal.Border)
	}
	return above + h
}

// toolPad is what each tool of a row of width w has beside its word.
func (p *pen) toolPad(tools []*scene.Node, w float32) float32 {
	f := p.face(theme.Label)
	for _, n := range tools {
		w -= p.width(n.Name.String(), f)
	}
	count := float32(max(len(tools), 1))
	return (w - (count-1)*p.mm(toolGap)) / count
}

// toolColumns is the number of columns that the widest tool allows.
func (p *pen) toolColumns(tools []*scene.Node, w float32) int {
	f := p.face(theme.Label)
	for _, n := range tools {
		if p.width(n.Name.String(), f)+p.beside(f)+p.mm(3+2*1.5) > (w-2*p.mm(toolGap))/3 {
			return 2
		}
	}
	return 3
}

// toolRow sets the tools side by side, each as wide as its word needs, with
// icons of size s.
func (p *pen) toolRow(tools []*scene.Node, r Rect, s float32, fill, ink, stroke color.NRGBA) {
	f, pad, x := p.face(theme.Label), p.toolPad(tools, r.W), r.X
	for _, n := range tools {
		w := p.width(n.Name.String(), f) + pad
		p.tool(n, Rect{x, r.Y, w, r.H}, f, s, fill, ink, stroke)
		x += w + p.mm(toolGap)
	}
}

// toolGrid sets the house and the tools in rows, from the first row r.
func (p *pen) toolGrid(tools []*scene.Node, r Rect, cols int) {
	f, gap := p.face(theme.Label), p.mm(toolGap)
	w := (r.W - float32(cols-1)*gap) / float32(cols)
	p.house(Rect{r.X, r.Y, w, r.H})
	for i, n := range tools {
		at := i + 1
		cell := Rect{r.X + float32(at%cols)*(w+gap), r.Y + float32(at/cols)*(r.H+gap), w, r.H}
		p.tool(n, cell, f, p.mm(9), p.pal.Card, p.pal.Ink, p.pal.Border)
	}
}

// house is the mark with the kiosk's name, or with where the person is in a
// form; where there is room for one of the two only, it is the latter.
func (p *pen) house(r Rect) {
	s := p.mm(14)
	x := r.X
	step := p.view.Scene.Role(scene.Step)
	if r.W >= p.mm(40) || step == nil {
		p.icon(Rect{x, r.Y + (r.H-s)/2, s, s}, "mark", p.pal.AccentText)
		x += s + p.mm(5)
	}
	words, f := "Köşk", p.face(theme.Answer)
	if step != nil {
		words, f = step.Name.String(), p.face(theme.Label)
	}
	at := Rect{x, r.Y + (r.H-f.line)/2, p.width(words, f), f.line}
	if at.Right() > r.Right() {
		return // the mark alone
	}
	p.line(at.X, at.Y, words, f, p.pal.Ink, p.pal.Card)
	if step != nil {
		p.target(step, at, 2, -1)
	}
}

// tool is a button that changes how the kiosk speaks or looks: an icon with its
// word under it, or beside it where the button is flat.
func (p *pen) tool(n *scene.Node, r Rect, f face, s float32, fill, ink, stroke color.NRGBA) {
	if n.Selected {
		fill, ink = p.pal.Accent, p.pal.OnAccent
		if p.Ground == p.pal.Deep {
			fill, ink = p.pal.OnDeep, p.pal.Deep
		}
	}
	el := p.box(r, fill, stroke, theme.Stroke, theme.Corner)
	p.captioned(n, r, f, s, fill, ink)
	p.target(n, r, theme.Corner, el)
}

// captioned is an icon of size s and its word in the middle of a button.
func (p *pen) captioned(n *scene.Node, r Rect, f face, s float32, fill, ink color.NRGBA) {
	label := n.Name.String()
	w := p.width(label, f)
	if r.H < s+f.line {
		s, gap := p.beside(f), p.mm(3)
		x := r.X + (r.W-w-s-gap)/2
		p.icon(Rect{x, r.Y + (r.H-s)/2, s, s}, n.Icon, ink)
		p.line(x+s+gap, r.Y+(r.H-f.line)/2, label, f, ink, fill)
		return
	}
	air := (r.H - s - f.line) / 2
	p.icon(Rect{r.X + (r.W-s)/2, r.Y + air + p.mm(0.6), s, s}, n.Icon, ink)
	p.line(r.X+(r.W-w)/2, r.Y+air+s, label, f, ink, fill)
}

// tight reports whether the bottom bar needs a second row: for its own words,
// and, where there are several pages, for those that turn them.
func (p *pen) tight(turns bool) bool {
	f := p.face(theme.Button)
	words := func(n *scene.Node) float32 {
		if n == nil {
			return 0
		}
		return p.width(n.Name.String(), f)
	}
	sc := &p.view.Scene
	left := p.margin()
	back, next := words(sc.Role(scene.Back)), words(sc.Role(scene.Next))
	if turns {
		back, next = max(back, words(sc.Find(scene.TurnBack))), max(next, words(sc.Find(scene.TurnNext)))
	}
	for _, w := range []float32{back, words(sc.Role(scene.Leave))} {
		if w > 0 {
			left += w + p.besides(f) + p.mm(asideGap)
		}
	}
	right := p.margin()
	if next > 0 {
		right += p.primaryWidth(next, f)
	} else if n := sc.Role(scene.Status); n != nil {
		right += p.width(n.Name.String(), p.face(theme.Label)) + p.besides(f)
	}
	return left+right > p.Panel.W
}

const (
	asideGap  theme.MM = 3  // between the buttons at the left, and to the right one
	asideHigh theme.MM = 22 // of a row of their own
)

// besides is what a button at the left needs next to its words.
func (p *pen) besides(f face) float32 { return p.mm(4+4+4) + p.beside(f) }

func (p *pen) primaryWidth(words float32, f face) float32 {
	return max(words+p.mm(2*9+5)+p.beside(f), p.mm(68))
}

// bottomBarHeight is 0 where nothing stands in the bar.
func (p *pen) bottomBarHeight(tight bool) float32 {
	sc := &p.view.Scene
	if sc.Role(scene.Back) == nil && sc.Role(scene.Leave) == nil && sc.Role(scene.Next) == nil && sc.Role(scene.Status) == nil {
		return 0
	}
	if tight {
		return p.mm(theme.BottomBar + asideHigh)
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

// backward is the node at the bottom left: after the first page the turn of the
// page, unless the focus rests on the way back.
func (p *pen) backward() *scene.Node {
	back := p.view.Scene.Role(scene.Back)
	if p.Page > 0 && (back == nil || back.ID != p.view.Focus) {
		if n := p.view.Scene.Find(scene.TurnBack); n != nil {
			return n
		}
	}
	return back
}

// bottomBar sets back, leave, and the one way forward or the state of the line.
// The way forward keeps its place whatever stands beside or above it.
func (p *pen) bottomBar(h float32, tight bool) {
	if h == 0 {
		return
	}
	top := p.Panel.H - h
	p.box(Rect{0, top, p.Panel.W, h}, p.pal.Card, p.pal.Card, 0, 0)
	p.box(Rect{0, top, p.Panel.W, p.mm(0.4)}, p.pal.Hair, p.pal.Hair, 0, 0)
	high := p.mm(theme.PrimaryHigh)
	row := Rect{p.margin() - p.mm(4), p.Panel.H - p.mm(theme.BottomBar-theme.PrimaryHigh)/2 - high, 0, high}
	aside := row
	if tight {
		aside.Y, aside.H = top+p.mm(5), p.mm(asideHigh)
	}
	if n := p.backward(); n != nil {
		aside.X += p.aside(n, "chevron-left", aside) + p.mm(asideGap)
	}
	if n := p.view.Scene.Role(scene.Leave); n != nil {
		p.aside(n, "cross", aside)
	}
	if n := p.forward(); n != nil {
		p.primary(n, row.Y, high)
	} else if n := p.view.Scene.Role(scene.Status); n != nil {
		p.status(n, row.Y, high)
	}
}

// aside is a button without a border at the left; it returns its width.
func (p *pen) aside(n *scene.Node, icon string, r Rect) float32 {
	f := p.face(theme.Button)
	s := p.beside(f)
	r.W = p.width(n.Name.String(), f) + p.besides(f)
	el := p.box(r, p.pal.Card, p.pal.Card, 0, theme.Corner)
	p.icon(Rect{r.X + p.mm(4), r.Y + (r.H-s)/2, s, s}, icon, p.pal.Ink)
	p.line(r.X+p.mm(8)+s, r.Y+(r.H-f.line)/2, n.Name.String(), f, p.pal.Ink, p.pal.Card)
	p.target(n, r, theme.Corner, el)
	return r.W
}

// primary is the one filled button, bottom right.
func (p *pen) primary(n *scene.Node, y, high float32) {
	f := p.face(theme.Button)
	label := n.Name.String()
	s := p.beside(f)
	words := p.width(label, f)
	w := p.primaryWidth(words, f)
	r := Rect{p.Panel.W - p.margin() - w, y, w, high}
	fill, ink, stroke := p.pal.Accent, p.pal.OnAccent, p.pal.Accent
	if n.Unavailable {
		fill, ink, stroke = p.pal.Card, p.pal.Second, p.pal.Hair
	}
	el := p.box(r, fill, stroke, theme.Stroke, theme.Corner)
	x := r.X + (r.W-words-p.mm(5)-s)/2
	p.line(x, y+(high-f.line)/2, label, f, ink, fill)
	p.icon(Rect{x + words + p.mm(5), y + (high-s)/2, s, s}, "chevron-right", ink)
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
	s := p.beside(f) * 1.25 // no lower than the capitals of the buttons in the bar
	w := p.width(label, f)
	x := p.Panel.W - p.margin() - w
	p.icon(Rect{x - s - p.mm(3), y + (high-s)/2, s, s}, icon, c)
	p.line(x, y+(high-f.line)/2, label, f, c, p.pal.Card)
	p.target(n, Rect{x - s - p.mm(3), y + (high-f.line)/2, w + s + p.mm(3), f.line}, 2, -1)
}
