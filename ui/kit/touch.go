package kit

import (
	"image/color"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/widget"

	"kosk/ui/layout"
)

// Touch takes every touch of the window. It lies unseen over the page and stays
// when the page is drawn anew, so that a finger that is down while something
// changes loses nothing. A node fires when a press that began on it ends on it
// (VVSG 2.0, 7.2-H; WCAG 2.5.2); while it is pressed, its box is darker.
type Touch struct {
	widget.BaseWidget
	fire func(id string)

	page  *Page
	down  string // id of the node under the finger, "" for none
	dark  *canvas.Rectangle
	usual color.Color
}

var _ desktop.Mouseable = (*Touch)(nil)

// NewTouch makes the layer. fire is called with the id of the node touched.
func NewTouch(fire func(id string)) *Touch {
	t := &Touch{fire: fire}
	t.ExtendBaseWidget(t)
	return t
}

// Over puts the layer over a page.
func (t *Touch) Over(p *Page) { t.page = p }

// at is the node under a point, or nil.
func (t *Touch) at(p fyne.Position) *layout.Target {
	if t.page == nil {
		return nil
	}
	for i := range t.page.drawing.Targets {
		n := &t.page.drawing.Targets[i]
		if n.Touch && n.Rect.Holds(p.X*t.page.scale, p.Y*t.page.scale) {
			return n
		}
	}
	return nil
}

// MouseDown darkens what is touched, so that the touch is seen at once.
func (t *Touch) MouseDown(e *desktop.MouseEvent) {
	n := t.at(e.Position)
	if n == nil {
		return
	}
	t.down = n.ID
	if n.Pressed < 0 {
		return
	}
	if box := t.page.boxes[n.Pressed]; box != nil {
		t.dark, t.usual = box, box.FillColor
		box.FillColor = t.page.pressed
		box.Refresh()
	}
}

// MouseUp ends the press, and fires if it ends where it began.
func (t *Touch) MouseUp(e *desktop.MouseEvent) {
	if t.dark != nil {
		t.dark.FillColor = t.usual
		t.dark.Refresh()
		t.dark = nil
	}
	began := t.down
	t.down = ""
	if n := t.at(e.Position); n != nil && n.ID == began {
		t.fire(began)
	}
}

// CreateRenderer draws nothing.
func (t *Touch) CreateRenderer() fyne.WidgetRenderer {
	return widget.NewSimpleRenderer(canvas.NewRectangle(color.Transparent))
}
