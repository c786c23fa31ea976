package kit

import (
	"image"
	"image/color"
	"math"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
)

// latticeCell is the side of one star of the ornament in pixels, latticeLine the
// thickness of its lines.
const (
	latticeCell = 180
	latticeLine = 2.0
)

// lattice is the shəbəkə ornament over w by h pixels, in one colour: a grid of
// squares, one turned in each. One cell is drawn and repeated, since a picture of
// the whole would take longer than a touch may.
func lattice(w, h float32, c color.NRGBA) fyne.CanvasObject {
	cell := latticeTile(c)
	img := image.NewNRGBA(image.Rect(0, 0, max(int(w), 1), max(int(h), 1)))
	for y := range img.Rect.Dy() {
		row := img.Pix[y*img.Stride : (y+1)*img.Stride]
		from := cell.Pix[y%latticeCell*cell.Stride:][:cell.Stride]
		for len(row) > 0 {
			row = row[copy(row, from):]
		}
	}
	o := canvas.NewImageFromImage(img)
	o.ScaleMode = canvas.ImageScalePixels
	return o
}

func latticeTile(c color.NRGBA) *image.NRGBA {
	tile := image.NewNRGBA(image.Rect(0, 0, latticeCell, latticeCell))
	for y := range latticeCell {
		for x := range latticeCell {
			d := latticeDistance(float64(x)+0.5-latticeCell/2, float64(y)+0.5-latticeCell/2)
			cover := min(max(latticeLine/2+0.5-d, 0), 1)
			tile.SetNRGBA(x, y, color.NRGBA{c.R, c.G, c.B, uint8(cover * float64(c.A))})
		}
	}
	return tile
}

// latticeDistance is how far a point, seen from the middle of a cell, is from the
// nearest line: of two squares, and of one that stands on its corner and meets
// those of the cells beside it.
func latticeDistance(x, y float64) float64 {
	square := max(math.Abs(x), math.Abs(y))
	turned := math.Abs(math.Abs(x)+math.Abs(y)-latticeCell/2) / math.Sqrt2
	return min(math.Abs(square-0.355*latticeCell), math.Abs(square-0.11*latticeCell), turned)
}
