package dots_test

import (
	"fmt"
	"image/png"
	"os"
	"strings"
	"testing"

	"kosk/drivers/printer/dots"
)

func TestModulesAreThoseOfTheCodeDrawn(t *testing.T) {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
	for _, level := range []dots.Level{dots.LevelL, dots.LevelM} {
		for n := 1; n < 1200; n += 1 + n/3 {
			for name, text := range map[string]string{
				"numeric":      strings.Repeat("7", n),
				"alphanumeric": strings.Repeat(alphabet, n/45+1)[:n],
				"bytes":        strings.Repeat("a", n),
			} {
				code, err := dots.QR(text, level)
				if err != nil {
					t.Fatal(err)
				}
				if got := dots.Modules(text, level); got != code.W {
					t.Errorf("%s, %d, level %d: %d modules, drawn are %d", name, n, level, got, code.W)
				}
			}
		}
	}
	if dots.Modules(strings.Repeat("a", 5000), dots.LevelL) != 0 {
		t.Error("a code is said to hold what it can't")
	}
}

func TestCropLosesNoInk(t *testing.T) {
	b := dots.New(100, 50)
	b.Fill(3, 10, 20, 5)
	ink, above, below := b.Crop()
	if ink.W != 24 || ink.H != 5 || above != 10 || below != 35 || ink.Ink() != b.Ink() {
		t.Errorf("cropped to %dx%d, %d above, %d below, %d of %d dots", ink.W, ink.H, above, below, ink.Ink(), b.Ink())
	}
	if ink, above, below := dots.New(9, 9).Crop(); ink.H != 0 || above+below != 9 {
		t.Errorf("white: %d rows, %d above, %d below", ink.H, above, below)
	}
}

func TestTheLettersOfThreeLanguagesAreInTheFace(t *testing.T) {
	f := dots.NewFace()
	box := f.Glyph('漢')
	for _, r := range "abcçdeəfgğhxıijkqlmnoöprsştuüvyzABCÇDEƏFGĞHXIİJKQLMNOÖPRSŞTUÜVYZwW" +
		"абвгдеёжзийклмнопрстуфхцчшщъыьэюяАБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ" +
		"0123456789.,:;!?()/+-–—«»“”„№•₼%@" {
		if !f.Has(r) || fmt.Sprint(f.Glyph(r)) == fmt.Sprint(box) || f.Glyph(r).Ink() == 0 {
			t.Errorf("no glyph for %q", r)
		}
	}
	// A letter that touches the cell's edge above or below has lost a part.
	for _, r := range "ĞÖÜİÇŞğçşgyjqЙЩД" {
		g := f.Glyph(r)
		for x := range g.W {
			if g.At(x, 23) && g.At(x, 22) && g.At(x, 21) && g.At(x, 20) && g.At(x, 19) {
				t.Errorf("%q is cut at the bottom", r)
			}
		}
	}
	if f.Has('漢') {
		t.Error("the face claims every glyph")
	}
}

// The sheet is for the eye: go test -run Sheet, with KOSK_SHEET=file.png.
func TestSheetOfOrnaments(t *testing.T) {
	b := dots.New(576, 200)
	b.Draw(dots.Mark(96), 0, 0, 1, 1)
	b.Draw(dots.Mark(48), 110, 0, 2, 2)
	for i := range 24 {
		b.Draw(dots.Lattice(), i*24, 110, 1, 1)
	}
	f := dots.NewFace()
	for i, r := range []rune("Əliyeva Aygün MƏMMƏDOVA ğışçöü 12,50 ₼ 84 721 Привет") {
		b.Draw(f.Glyph(r), i*12, 144, 1, 1)
		b.Draw(dots.Bold(f.Glyph(r)), i*12, 170, 1, 1)
	}
	if b.Ink() < 1000 || b.Ink() > 576*200/3 {
		t.Errorf("%d dots of ink", b.Ink())
	}
	if name := os.Getenv("KOSK_SHEET"); name != "" {
		out, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		if err := png.Encode(out, b.Image(8, 8, 8)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBarsAreWhatTheyCarry(t *testing.T) {
	for _, c := range []struct{ kind, text, read string }{
		{"EAN", "201234567890", "2012345678903"},
		{"EAN", "9638507", "96385074"},
		{"UPC-A", "03600029145", "0036000291452"},
		{"CODE39", "*KOSK-42*", "KOSK-42"},
		{"CODE128", "Kosk2026", "Kosk2026"},
	} {
		b, read, err := dots.Bars(c.kind, c.text)
		if err != nil || read != c.read || b.H != 1 || !b.At(0, 0) || !b.At(b.W-1, 0) {
			t.Errorf("%s %q: %q, %v", c.kind, c.text, read, err)
		}
	}
	for _, c := range [][2]string{{"EAN", "12"}, {"EAN", "abcdefghijkl"}, {"ITF", "1"}, {"CODABAR", "x"}, {"", "1"}, {"CODE128", ""}} {
		if _, _, err := dots.Bars(c[0], c[1]); err == nil {
			t.Errorf("%s %q is drawn", c[0], c[1])
		}
	}
}
