package escpos

import (
	"image"
	"testing"

	"kosk/drivers/printer"
	"kosk/drivers/printer/dots"
	"kosk/drivers/printer/paper"
)

// TestEverySchwaLooksLikeTheFontsOwn looks at the paper itself: whatever way a
// model prints ə and Ə, as a glyph or as a picture, regular or bold, the dots on
// the paper are the font's.
func TestEverySchwaLooksLikeTheFontsOwn(t *testing.T) {
	for profile, model := range paper.Models() {
		for _, c := range []struct {
			style printer.Style
			want  func(*dots.Bitmap) *dots.Bitmap
		}{
			{printer.Body, func(g *dots.Bitmap) *dots.Bitmap { return g }},
			{printer.Strong, dots.Bold},
		} {
			slips := make(chan paper.Slip, 1)
			p, err := paper.Open(paper.Options{Model: model(), Memory: true, OnSlip: func(s paper.Slip) { slips <- s }})
			if err != nil {
				t.Fatal(err)
			}
			host, err := p.Dial()
			if err != nil {
				t.Fatal(err)
			}
			j, err := encoderFor(t, profile).encode(printer.Slip{ID: "schwa", Lines: []printer.Line{{Style: c.style, Text: "əƏ əl Əl"}}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := host.Write(t.Context(), append(j.bytes, 0x1D, 0x72, 1)); err != nil {
				t.Fatal(err)
			}
			for answers := 0; answers <= len(j.ends); { // then all is printed
				n, err := host.Read(make([]byte, 64))
				if err != nil {
					t.Fatal(err)
				}
				answers += n
			}
			if !model().Cutter {
				p.TearOff()
			}
			page := dots.FromImage((<-slips).PNG)
			for letter, times := range map[rune]int{'ə': 2, 'Ə': 2} {
				if n := places(page, c.want(theFace().Glyph(letter))); n != times {
					t.Errorf("%s, style %v: %c stands %d times on the paper, want %d", profile, c.style, letter, n, times)
				}
			}
			if n := places(page, c.want(theFace().Glyph('e'))); n != 0 {
				t.Errorf("%s: there is an e for an ə", profile)
			}
			p.Close()
		}
	}
}

// places counts where a bitmap's ink stands on a page, dot for dot.
func places(page, g *dots.Bitmap) int {
	ink, _, _ := g.Crop()
	n := 0
	for y := range page.H - ink.H + 1 {
		for x := range page.W - ink.W + 1 {
			if same(page, ink, image.Pt(x, y)) {
				n++
			}
		}
	}
	return n
}

func same(page, g *dots.Bitmap, at image.Point) bool {
	for y := range g.H {
		for x := range g.W {
			if page.At(at.X+x, at.Y+y) != g.At(x, y) {
				return false
			}
		}
	}
	return true
}
