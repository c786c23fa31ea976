// Package layout says where everything of a scene stands on the panel, for each
// kind of scene: it turns a view into a drawing of boxes, lines of text and
// pictures, in pixels. It is pure: same view, same panel, same drawing.
//
// It paints nothing (ui/kit does) and decides nothing (device/session does).
// What doesn't fit on one page goes to the next: nothing is cut, nothing scrolls.
package layout

import (
	"image/color"

	"kosk/device/scene"
	"kosk/ui/theme"
)

// A Rect is a place on the panel in pixels.
type Rect struct{ X, Y, W, H float32 }

// Right and Bottom are the far edges.
func (r Rect) Right() float32 { return r.X + r.W }

// Bottom is the lower edge.
func (r Rect) Bottom() float32 { return r.Y + r.H }

// Grow moves every edge out by d.
func (r Rect) Grow(d float32) Rect { return Rect{r.X - d, r.Y - d, r.W + 2*d, r.H + 2*d} }

// Holds reports whether the point lies inside.
func (r Rect) Holds(x, y float32) bool {
	return x >= r.X && x < r.Right() && y >= r.Y && y < r.Bottom()
}

// Overlaps reports whether two places share a point.
func (r Rect) Overlaps(o Rect) bool {
	return r.X < o.Right() && o.X < r.Right() && r.Y < o.Bottom() && o.Y < r.Bottom()
}

// A Shape is what an element is.
type Shape int

// The shapes: all that Fyne can draw and we need.
const (
	Box     Shape = iota + 1 // Fill, Stroke, Width, Radius
	Words                    // one line: Text, Px, Bold, Fill
	Icon                     // Name, Fill
	Code                     // QR code of Data on white
	Lattice                  // the ornament in Fill
)

// An Element is one thing to paint; later ones lie over earlier ones.
type Element struct {
	Shape  Shape
	Rect   Rect
	Fill   color.NRGBA
	Stroke color.NRGBA
	Width  float32 // of Stroke
	Radius float32
	Text   string
	Px     float32 // em
	Bold   bool
	Name   string
	Accent color.NRGBA // Icon: a second colour
	Data   []byte
	On     color.NRGBA // the ground it lies on; Icon: a calm ground inside it
}

// A Target is a node's place on the panel.
type Target struct {
	ID      string
	Role    scene.Role
	Rect    Rect
	Touch   bool // it does something when touched
	Radius  float32
	Pressed int // index of the element that darkens while it is pressed, -1 for none
}

// A Drawing is a view, placed.
type Drawing struct {
	Ground   color.NRGBA
	Elements []Element
	Targets  []Target
	Page     int // of Pages, from 0
	Pages    int
	Firsts   []string // id of the first node of each page
}

// A Panel is what is drawn on.
type Panel struct {
	W, H    float32 // pixels
	PxPerMM float32
	// Measure returns the width in pixels of one line of text.
	Measure func(s string, px float32, bold bool) float32
}

// pen draws: a drawing in the making, with what every part of it needs.
type pen struct {
	Drawing
	Panel
	view scene.View
	pal  theme.Palette
	snug bool // the rows of a card stand closer
}

func (p *pen) mm(v theme.MM) float32 { return float32(v) * p.PxPerMM }

// margin is the air at the left and right; a narrow panel has less.
func (p *pen) margin() float32 {
	if p.Panel.W < p.mm(220) {
		return p.mm(theme.MarginNarrow)
	}
	return p.mm(theme.Margin)
}

func (p *pen) add(e Element) int {
	p.Elements = append(p.Elements, e)
	return len(p.Elements) - 1
}

func (p *pen) box(r Rect, fill, stroke color.NRGBA, width theme.MM, radius theme.MM) int {
	return p.add(Element{Shape: Box, Rect: r, Fill: fill, Stroke: stroke, Width: p.mm(width), Radius: p.mm(radius)})
}

func (p *pen) icon(r Rect, name string, c color.NRGBA) {
	p.add(Element{Shape: Icon, Rect: r, Name: name, Fill: c, Accent: p.pal.Brass, On: p.pal.Keys})
}

// target places a node; el is the element that darkens, -1 for none.
func (p *pen) target(n *scene.Node, r Rect, radius theme.MM, el int) {
	p.Targets = append(p.Targets, Target{
		ID: n.ID, Role: n.Role, Rect: r, Touch: n.Action != nil || n.Role == scene.Turn, Radius: p.mm(radius), Pressed: el,
	})
}

// A face is a use of text in pixels.
type face struct {
	px   float32 // em
	cap  float32 // height of capitals
	line float32 // from one line to the next
	bold bool
}

func (p *pen) face(s theme.Style) face { return p.faceAt(s, p.view.TextSize) }

func (p *pen) faceAt(s theme.Style, size scene.TextSize) face {
	f := theme.FaceOf(s, size)
	cap := p.mm(f.Cap)
	px := cap / theme.CapHeight
	line := px * 1.5 // WCAG 1.4.12, in prose
	switch s {
	case theme.Title, theme.Hero:
		line = px * 1.25
	case theme.Label, theme.Source, theme.Answer, theme.Button, theme.Key: // no prose
		if size >= scene.TextLarge {
			line = px * 1.3
		}
	}
	return face{px: px, cap: cap, line: line, bold: f.Bold}
}

// beside is the size of an icon that stands beside words.
func (p *pen) beside(f face) float32 { return f.cap * 1.2 }

// grown is a measure that grows with a use of text.
func (p *pen) grown(v theme.MM, s theme.Style) float32 {
	return p.mm(v) * float32(theme.FaceOf(s, p.view.TextSize).Cap/theme.FaceOf(s, scene.TextNormal).Cap)
}

func (p *pen) width(s string, f face) float32 { return p.Measure(s, f.px, f.bold) }

// line sets one line of text with its line box at y.
func (p *pen) line(x, y float32, s string, f face, c, on color.NRGBA) {
	w := p.width(s, f)
	p.add(Element{
		Shape: Words, Rect: Rect{x, y, w, f.line}, Text: s, Px: f.px, Bold: f.bold, Fill: c, On: on,
	})
}

// para sets wrapped text and returns the height that it takes.
func (p *pen) para(x, y, w float32, s string, f face, c, on color.NRGBA) float32 {
	lines := p.wrap(s, w, f)
	for i, l := range lines {
		p.line(x, y+float32(i)*f.line, l, f, c, on)
	}
	return float32(len(lines)) * f.line
}

func (p *pen) paraHeight(w float32, s string, f face) float32 {
	if s == "" {
		return 0
	}
	return float32(len(p.wrap(s, w, f))) * f.line
}
