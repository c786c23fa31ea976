package document

import (
	"encoding/hex"
	"image"
	"image/color"
	"unicode/utf16"

	"github.com/go-fonts/dejavu/dejavusansbold"
	draw "golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// The copy-warning pattern: two screens of the same tone. The ground's dots are
// so small that copiers and scanners lose them; those of the words are not, and
// so the words stand out on a copy. At 600 dpi a dot is 0.042 mm; 1 in 16 is
// black in both.
const (
	patternDPI = 600
	fine       = 4  // ground: one dot in 4 x 4
	coarse     = 12 // words: 3 x 3 dots in 12 x 12
	blot       = 3
	wordPoints = 44
	mmPerInch  = 25.4
)

// words of the pattern, line by line.
var patternWords = []string{"SURƏT  COPY  КОПИЯ", "КОПИЯ  SURƏT  COPY", "COPY  КОПИЯ  SURƏT"}

// Pattern is w x h mm of the copy-warning pattern, one pixel a dot of 600 dpi:
// index 0 is paper, 1 is ink.
func Pattern(w, h float64) *image.Paletted {
	size := image.Rect(0, 0, int(w/mmPerInch*patternDPI), int(h/mmPerInch*patternDPI))
	img := image.NewPaletted(size, color.Palette{color.White, color.Black})
	word := patternMask(size)
	for y := range size.Max.Y {
		row := img.Pix[y*img.Stride:][:size.Max.X]
		for x := range row {
			// A blot belongs to a word as a whole, by its cell's middle.
			inWord := word.AlphaAt(x/coarse*coarse+coarse/2, y/coarse*coarse+coarse/2).A > 127
			switch {
			case inWord && x%coarse < blot && y%coarse < blot,
				!inWord && x%fine == 0 && y%fine == 0:
				row[x] = 1
			}
		}
	}
	return img
}

// patternMask is where the words stand.
func patternMask(size image.Rectangle) *image.Alpha {
	mask := image.NewAlpha(size)
	f, err := opentype.Parse(dejavusansbold.TTF)
	if err != nil {
		return mask // the font is part of the program: a test draws with it
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: wordPoints, DPI: patternDPI})
	if err != nil {
		return mask
	}
	pen := draw.Drawer{Dst: mask, Src: image.Opaque, Face: face}
	step := face.Metrics().Height
	for i, y := 0, step; y < fixed.I(size.Max.Y)+step; i, y = i+1, y+step {
		pen.Dot = fixed.Point26_6{X: -step * fixed.Int26_6(i%2) / 2, Y: y}
		for pen.Dot.X < fixed.I(size.Max.X) {
			pen.DrawString(patternWords[i%len(patternWords)] + "  ")
		}
	}
	return mask
}

// utf16Hex reads text as gopdf writes it: hexadecimal digits of UTF-16.
func utf16Hex(digits []byte) string {
	b := make([]byte, hex.DecodedLen(len(digits)))
	n, err := hex.Decode(b, digits)
	if err != nil || n%2 != 0 {
		return ""
	}
	units := make([]uint16, 0, n/2)
	for i := 0; i < n; i += 2 {
		units = append(units, uint16(b[i])<<8|uint16(b[i+1]))
	}
	return string(utf16.Decode(units))
}
