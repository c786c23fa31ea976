package dots

import "math"

// star reports whether a point lies on the lines of an eight-pointed star (two
// squares, one turned by 45 degrees) around the origin, line wide.
func star(x, y, radius, line float64) bool {
	x, y = math.Abs(x), math.Abs(y)
	square := math.Max(x, y)        // the upright square
	diamond := (x + y) / math.Sqrt2 // the turned one
	in, on := math.Min(square, diamond), math.Max(square, diamond)
	edge := math.Abs(square-radius) < line/2 && diamond < radius+line/2 ||
		math.Abs(diamond-radius) < line/2 && square < radius+line/2
	outline := math.Abs(in-radius) < line/2 && on >= radius-line/2
	return edge || outline
}

// Mark is the office's mark, a lattice star of side x side dots.
func Mark(side int) *Bitmap {
	b := New(side, side)
	c := float64(side-1) / 2
	r := c / math.Sqrt2 // the points of both squares reach the edge
	line := math.Max(2, float64(side)/20)
	for y := range side {
		for x := range side {
			dx, dy := float64(x)-c, float64(y)-c
			heart := math.Hypot(dx, dy) < float64(side)/9
			if star(dx, dy, r-line/2, line) || heart {
				b.Set(x, y)
			}
		}
	}
	return b
}

// Lattice is one tile of the lattice band, two cells of text wide and one high:
// tiles set side by side make the window's pattern without a seam.
func Lattice() *Bitmap {
	const side = 2 * CellW
	b := New(side, CellH)
	c := float64(side-1) / 2
	for y := range CellH {
		for x := range side {
			dx, dy := float64(x)-c, float64(y)-c
			if star(dx, dy, 8, 2) || math.Abs(dy) < 1 && math.Abs(dx) > 10 {
				b.Set(x, y)
			}
		}
	}
	return b
}
