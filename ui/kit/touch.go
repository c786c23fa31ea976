package kit

import (
	"image/color"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/widget"
)

// touch is an unseen place that can be touched. It fires when a press that
// began on it ends on it (VVSG 2.0, 7.2-H; WCAG 2.5.2), and darkens its box
// while it is pressed.
type touch struct {
	widget.BaseWidget
	id      string
	box     *canvas.Rectangle
	pressed color.NRGBA
	usual   color.Color
	fire    func(id string)
}

var (
	_ fyne.Tappable     = (*touch)(nil)
	_ desktop.Mouseable = (*touch)(nil)
	_ desktop.Hoverable = (*touch)(nil)
)

func newTouch(id string, box *canvas.Rectangle, pressed color.NRGBA, fire func(string)) *touch {
	t := &touch{id: id, box: box, pressed: pressed, fire: fire}
	t.ExtendBaseWidget(t)
	return t
}

// Tapped is called by Fyne when a press began and ended here.
func (t *touch) Tapped(*fyne.PointEvent) { t.fire(t.id) }

// MouseDown darkens the box, so that the touch is seen at once.
func (t *touch) MouseDown(*desktop.MouseEvent) {
	if t.box == nil || t.usual != nil {
		return
	}
	t.usual = t.box.FillColor
	t.box.FillColor = t.pressed
	t.box.Refresh()
}

// MouseUp gives the box its colour back.
func (t *touch) MouseUp(*desktop.MouseEvent) { t.release() }

// MouseOut does the same when the finger slides off: Fyne tells the lifting of a
// finger to what is under it then.
func (t *touch) MouseOut() { t.release() }

// MouseIn does nothing: only a press darkens.
func (t *touch) MouseIn(*desktop.MouseEvent) {}

// MouseMoved does nothing: nothing is dragged (VVSG 2.0, 7.2-E).
func (t *touch) MouseMoved(*desktop.MouseEvent) {}

func (t *touch) release() {
	if t.box == nil || t.usual == nil {
		return
	}
	t.box.FillColor = t.usual
	t.usual = nil
	t.box.Refresh()
}

// CreateRenderer draws nothing.
func (t *touch) CreateRenderer() fyne.WidgetRenderer {
	return widget.NewSimpleRenderer(canvas.NewRectangle(color.Transparent))
}
