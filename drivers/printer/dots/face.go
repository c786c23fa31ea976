package dots

import (
	_ "embed"
	"image"
	"image/draw"
	"strings"
	"sync"

	"github.com/go-fonts/dejavu/dejavusansmono"
	"golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

// The cell of a glyph, font A of ESC/POS.
const (
	CellW = 12
	CellH = 24
)

const (
	fine     = 4    // the face is drawn this much larger, then thinned
	fontSize = 20   // gives an advance of 12 dots
	baseline = 19   // rows from the top of the cell
	enough   = 0.42 // the share of a dot's area that makes it black: a thermal dot bleeds
)

// manat is the sign of the currency, which the face lacks, and which no code
// page of a printer has.
//
//go:embed manat.txt
var manat string

// A Face draws glyphs of one cell each.
type Face struct {
	font *opentype.Font

	mu     sync.Mutex
	drawer font.Face
	buf    sfnt.Buffer
	cache  map[rune]*Bitmap
}

// NewFace makes the face. It keeps what it has drawn; it may be shared.
func NewFace() *Face {
	f, err := opentype.Parse(dejavusansmono.TTF)
	if err != nil {
		panic(err) // the font is compiled in
	}
	drawer, err := opentype.NewFace(f, &opentype.FaceOptions{Size: fontSize * fine, DPI: 72, Hinting: font.HintingNone})
	if err != nil {
		panic(err)
	}
	return &Face{font: f, drawer: drawer, cache: map[rune]*Bitmap{'₼': Parse(manat), ' ': New(CellW, CellH)}}
}

// Has reports whether the face has its own glyph for r.
func (f *Face) Has(r rune) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r == '₼' {
		return true
	}
	i, err := f.font.GlyphIndex(&f.buf, r)
	return err == nil && i != 0
}

// Glyph is r in its cell. What the face lacks is an empty box. The bitmap is
// shared: don't draw on it.
func (f *Face) Glyph(r rune) *Bitmap {
	f.mu.Lock()
	defer f.mu.Unlock()
	g, ok := f.cache[r]
	if !ok {
		g = f.draw(r)
		f.cache[r] = g
	}
	return g
}

func (f *Face) draw(r rune) *Bitmap {
	large := image.NewAlpha(image.Rect(0, 0, CellW*fine, CellH*fine))
	d := font.Drawer{
		Dst:  large,
		Src:  image.Opaque,
		Face: f.drawer,
		Dot:  fixed.P(0, baseline*fine),
	}
	d.DrawString(string(r))
	return thin(large)
}

// thin makes one dot of each fine x fine pixels.
func thin(large *image.Alpha) *Bitmap {
	b := New(CellW, CellH)
	for y := range CellH {
		for x := range CellW {
			sum := 0
			for dy := range fine {
				row := large.Pix[(y*fine+dy)*large.Stride+x*fine:]
				for _, v := range row[:fine] {
					sum += int(v)
				}
			}
			if float64(sum) >= enough*fine*fine*255 {
				b.Set(x, y)
			}
		}
	}
	return b
}

// Bold is g with each dot doubled to the right, as printers embolden.
func Bold(g *Bitmap) *Bitmap {
	b := New(g.W, g.H)
	b.Draw(g, 0, 0, 1, 1)
	b.Draw(g, 1, 0, 1, 1)
	return b
}

// Parse reads a bitmap drawn with # and dots, a row a line.
func Parse(art string) *Bitmap {
	rows := strings.Fields(art)
	b := New(len(rows[0]), len(rows))
	for y, row := range rows {
		for x := range row {
			if row[x] == '#' {
				b.Set(x, y)
			}
		}
	}
	return b
}

// FromImage is img as dots: what is darker than half grey is black.
func FromImage(img image.Image) *Bitmap {
	r := img.Bounds()
	grey := image.NewGray(r)
	draw.Draw(grey, r, img, r.Min, draw.Src)
	b := New(r.Dx(), r.Dy())
	for y := range b.H {
		for x := range b.W {
			if grey.GrayAt(r.Min.X+x, r.Min.Y+y).Y < 0x80 {
				b.Set(x, y)
			}
		}
	}
	return b
}
