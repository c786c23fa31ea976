// Package dots draws for receipt printers, in black dots on white paper at
// about eight dots a millimetre: a bitmap, a fixed-width face of 12 x 24 dots,
// the office's mark, the lattice and QR codes.
//
// Drivers draw with it what a printer can't set itself; the virtual printer
// draws with it everything.
package dots

import (
	"image"
	"image/color"
	"math/bits"
)

// PerMM is how many dots make a millimetre on a 203 dpi head.
const PerMM = 8

// A Bitmap is W x H dots. Rows are padded to whole bytes; the first dot of a
// byte is its highest bit; 1 is black. That is the order of GS v 0.
type Bitmap struct {
	W, H int
	Bits []byte // H rows of Stride bytes
}

// New makes a white bitmap.
func New(w, h int) *Bitmap {
	b := &Bitmap{W: w, H: h}
	b.Bits = make([]byte, b.Stride()*h)
	return b
}

// Stride is the bytes of a row.
func (b *Bitmap) Stride() int { return (b.W + 7) / 8 }

// At reports whether a dot is black; outside all is white.
func (b *Bitmap) At(x, y int) bool {
	if x < 0 || y < 0 || x >= b.W || y >= b.H {
		return false
	}
	return b.Bits[y*b.Stride()+x/8]&(0x80>>(x%8)) != 0
}

// Set blackens a dot; outside it does nothing.
func (b *Bitmap) Set(x, y int) {
	if x >= 0 && y >= 0 && x < b.W && y < b.H {
		b.Bits[y*b.Stride()+x/8] |= 0x80 >> (x % 8)
	}
}

// Clear whitens a dot; outside it does nothing.
func (b *Bitmap) Clear(x, y int) {
	if x >= 0 && y >= 0 && x < b.W && y < b.H {
		b.Bits[y*b.Stride()+x/8] &^= 0x80 >> (x % 8)
	}
}

// Fill blackens a rectangle.
func (b *Bitmap) Fill(x, y, w, h int) {
	for dy := range h {
		for dx := range w {
			b.Set(x+dx, y+dy)
		}
	}
}

// Invert swaps black and white in a rectangle.
func (b *Bitmap) Invert(x, y, w, h int) {
	for dy := range h {
		for dx := range w {
			if b.At(x+dx, y+dy) {
				b.Clear(x+dx, y+dy)
			} else {
				b.Set(x+dx, y+dy)
			}
		}
	}
}

// Draw sets the black dots of src with its corner at x, y, each dot w wide and
// h high.
func (b *Bitmap) Draw(src *Bitmap, x, y, w, h int) {
	for sy := range src.H {
		for sx := range src.W {
			if src.At(sx, sy) {
				b.Fill(x+sx*w, y+sy*h, w, h)
			}
		}
	}
}

// Grow adds white rows up to h.
func (b *Bitmap) Grow(h int) {
	if h > b.H {
		b.Bits = append(b.Bits, make([]byte, (h-b.H)*b.Stride())...)
		b.H = h
	}
}

// Rows is the part from row y on, n rows high. It shares the dots of b.
func (b *Bitmap) Rows(y, n int) *Bitmap {
	s := b.Stride()
	return &Bitmap{W: b.W, H: n, Bits: b.Bits[y*s : (y+n)*s]}
}

// Crop is b without the white bytes at its right, and how many white rows were
// above and below what is left. Wholly white gives a bitmap without dots.
func (b *Bitmap) Crop() (ink *Bitmap, above, below int) {
	s := b.Stride()
	right, top, bottom := 0, b.H, 0
	for y := range b.H {
		for i := range s {
			if b.Bits[y*s+i] != 0 {
				right = max(right, i+1)
				top, bottom = min(top, y), y+1
			}
		}
	}
	if right == 0 {
		return New(0, 0), b.H, 0
	}
	ink = New(min(right*8, b.W), bottom-top)
	for y := range ink.H {
		copy(ink.Bits[y*ink.Stride():], b.Bits[(top+y)*s:][:right])
	}
	return ink, top, b.H - bottom
}

// Ink counts the black dots.
func (b *Bitmap) Ink() int {
	n := 0
	for _, v := range b.Bits {
		n += bits.OnesCount8(v)
	}
	return n
}

// Image is the bitmap as black on white, with white paper around it.
func (b *Bitmap) Image(side, top, bottom int) *image.Paletted {
	r := image.Rect(0, 0, b.W+2*side, b.H+top+bottom)
	img := image.NewPaletted(r, color.Palette{color.White, color.Black})
	for i, v := range b.Bits {
		if v == 0 {
			continue
		}
		y, x := i/b.Stride(), i%b.Stride()*8
		row := img.Pix[(y+top)*img.Stride+side:]
		for bit := range min(8, b.W-x) {
			row[x+bit] = v >> (7 - bit) & 1
		}
	}
	return img
}
