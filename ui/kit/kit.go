// Package kit turns a drawing of ui/layout into Fyne's canvas objects: boxes,
// lines of text, icons, codes, and what can be touched. It is the only importer
// of Fyne's widget package.
//
// It holds no scene and no words, and decides nothing.
package kit

import (
	"image"
	"image/color"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"github.com/boombuler/barcode/qr"

	"kosk/ui/layout"
)

// A Page is a drawing as Fyne's objects.
type Page struct {
	Object  fyne.CanvasObject
	drawing layout.Drawing
	boxes   []*canvas.Rectangle // by element; nil for what is no box
	pressed color.NRGBA
	scale   float32 // pixels a unit
}

// Build makes the objects of a drawing. scale is the canvas's pixels a unit,
// pressed the colour of a box that is touched.
func Build(d layout.Drawing, scale float32, pressed color.NRGBA) *Page {
	p := &Page{drawing: d, scale: scale, pressed: pressed}
	var objects []fyne.CanvasObject
	for _, e := range d.Elements {
		o := element(e, scale)
		objects = append(objects, o)
		box, _ := o.(*canvas.Rectangle)
		p.boxes = append(p.boxes, box)
	}
	p.Object = container.NewWithoutLayout(objects...)
	return p
}

func place(o fyne.CanvasObject, r layout.Rect, scale float32) {
	o.Move(fyne.NewPos(r.X/scale, r.Y/scale))
	o.Resize(fyne.NewSize(r.W/scale, r.H/scale))
}

func element(e layout.Element, scale float32) fyne.CanvasObject {
	var o fyne.CanvasObject
	switch e.Shape {
	case layout.Box:
		r := canvas.NewRectangle(e.Fill)
		r.StrokeColor, r.StrokeWidth, r.CornerRadius = e.Stroke, e.Width/scale, e.Radius/scale
		if e.Width == 0 {
			r.StrokeColor = color.Transparent
		}
		o = r
	case layout.Words:
		t := canvas.NewText(e.Text, e.Fill)
		t.TextSize = e.Px / scale
		t.TextStyle.Bold = e.Bold
		// Fyne centres text in a place that is higher than the text, but not in a
		// lower one.
		place(t, e.Rect, scale)
		h := t.MinSize().Height
		t.Move(fyne.NewPos(t.Position().X, t.Position().Y+(t.Size().Height-h)/2))
		t.Resize(fyne.NewSize(t.Size().Width, h))
		return t
	case layout.Icon:
		if parts := figures[e.Name]; parts != nil {
			o = drawn(parts, e, scale)
			break
		}
		o = canvas.NewImageFromResource(picture(e.Name, e.Rect.W, e.Rect.H, e.Fill, e.Accent))
	case layout.Lattice:
		o = lattice(e.Rect.W, e.Rect.H, e.Fill)
	case layout.Code:
		o = code(e.Data)
	}
	place(o, e.Rect, scale)
	return o
}

// code is a QR code (ISO/IEC 18004, level M) on white with its quiet zone.
func code(data []byte) fyne.CanvasObject {
	c, err := qr.Encode(string(data), qr.M, qr.Auto)
	if err != nil {
		return canvas.NewRectangle(color.White)
	}
	const quiet = 4
	n := c.Bounds().Dx()
	img := image.NewGray(image.Rect(0, 0, n+2*quiet, n+2*quiet))
	for i := range img.Pix {
		img.Pix[i] = 255
	}
	for y := range n {
		for x := range n {
			img.Set(x+quiet, y+quiet, c.At(x, y))
		}
	}
	o := canvas.NewImageFromImage(img)
	o.ScaleMode = canvas.ImageScalePixels
	return o
}

// Measure returns the width of one line of text in the house's fonts, for
// ui/layout.
func Measure(s string, px float32, bold bool) float32 {
	if s == "" {
		return 0
	}
	return fyne.MeasureText(s, px, fyne.TextStyle{Bold: bold}).Width
}
