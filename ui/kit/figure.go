package kit

import (
	"image/color"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"

	"kosk/ui/layout"
)

// A part of a figure is a box with round corners, or an icon, on a grid of 150 by
// 100. The colours are of the figure: C, A the second one (brass, in the chip), G
// a calm ground.
type part struct {
	x, y, w, h, radius float32
	fill               byte    // 0: none
	faint              bool    // the fill lets most of the ground through
	stroke             byte    // 0: none
	width              float32 // of the stroke
	icon               string
}

// figures are larger pictures, of boxes only: these are drawn at once, where an
// SVG of their size would take longer than a touch may.
var figures = map[string][]part{
	"figure-insert": figure(cardAt(51, 3), readerAt(60), []part{{x: 117, y: 12, w: 38, h: 38, icon: "arrow-down"}}),
	"figure-take":   figure(cardAt(51, 1), readerAt(62), []part{{x: 117, y: 8, w: 38, h: 38, icon: "arrow-up"}}),
	"figure-can": figure([]part{{x: 16, y: 10, w: 118, h: 80, radius: 6, stroke: 'C', width: 1.4}},
		chipAt(27, 24, 26, 21), linesAt(63, 25, 60), linesAt(63, 33, 45), linesAt(63, 41, 52), linesAt(27, 68, 30),
		[]part{{x: 66, y: 57, w: 59, h: 24, radius: 4.5, fill: 'G', stroke: 'C', width: 2.2}}, dotsAt(75.5, 69, 6)),
}

func figure(groups ...[]part) []part {
	var all []part
	for _, g := range groups {
		all = append(all, g...)
	}
	return all
}

// cardAt is a card on its way, its short edge with the chip first (ISO/IEC 7816-2:
// the contacts lie at that end).
func cardAt(x, y float32) []part {
	card := []part{{x: x, y: y, w: 36, h: 55, radius: 4, stroke: 'C', width: 1.4}}
	return figure(card, linesAt(x+7, y+8, 22), linesAt(x+7, y+15, 16), linesAt(x+7, y+22, 19), chipAt(x+11, y+33, 14, 14))
}

func chipAt(x, y, w, h float32) []part {
	return []part{
		{x: x, y: y, w: w, h: h, radius: 1.8, fill: 'A', faint: true, stroke: 'A', width: 1},
		{x: x, y: y + h/2 - 0.4, w: w, h: 0.8, fill: 'A'},
		{x: x + w/2 - 0.4, y: y, w: 0.8, h: h, fill: 'A'},
	}
}

// linesAt stands for a line of print.
func linesAt(x, y, w float32) []part {
	return []part{{x: x, y: y, w: w, h: 3, radius: 1.5, fill: 'C', faint: true}}
}

func readerAt(y float32) []part {
	return []part{
		{x: 10, y: y, w: 114, h: 30, radius: 5, fill: 'G', stroke: 'C', width: 1.4},
		{x: 26, y: y + 8.5, w: 82, h: 4.4, radius: 2.2, fill: 'C'},
		{x: 102, y: y + 20, w: 12, h: 3.2, radius: 1.6, fill: 'A'},
	}
}

// dotsAt are n digits that aren't shown, the first with its middle at x, y.
func dotsAt(x, y float32, n int) []part {
	const r = 2.9
	var all []part
	for i := range n {
		all = append(all, part{x: x + float32(i)*8 - r, y: y - r, w: 2 * r, h: 2 * r, radius: r, fill: 'C'})
	}
	return all
}

// drawn sets the parts of a figure into the middle of its element.
func drawn(parts []part, e layout.Element, scale float32) fyne.CanvasObject {
	k := min(e.Rect.W/150, e.Rect.H/100)
	left, top := (e.Rect.W-150*k)/2, (e.Rect.H-100*k)/2
	colours := map[byte]color.NRGBA{'C': e.Fill, 'A': e.Accent, 'G': e.On}
	var objects []fyne.CanvasObject
	for _, p := range parts {
		at := layout.Rect{X: left + p.x*k, Y: top + p.y*k, W: p.w * k, H: p.h * k}
		if p.icon != "" {
			o := canvas.NewImageFromResource(picture(p.icon, at.W, at.H, e.Fill, e.Accent))
			o.FillMode = canvas.ImageFillContain
			place(o, at, scale)
			objects = append(objects, o)
			continue
		}
		fill := colours[p.fill]
		if p.faint {
			fill.A = 80
		}
		o := canvas.NewRectangle(fill)
		o.StrokeColor, o.StrokeWidth, o.CornerRadius = colours[p.stroke], p.width*k/scale, p.radius*k/scale
		place(o, at, scale)
		objects = append(objects, o)
	}
	return container.NewWithoutLayout(objects...)
}
