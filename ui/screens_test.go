package ui

import (
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kosk/device/scene"
	"kosk/device/session/sessiontest"
	"kosk/device/text"
)

// TestScreens paints screens as the software painter does. With KOSK_SCREENS=DIR
// it paints the whole journey, in three languages and two sizes of text, and
// leaves the pictures there (KOSK_ONLY=home,can: only those); without, it paints
// a few, since the rules of place are held in ui/layout.
func TestScreens(t *testing.T) {
	dir, only := os.Getenv("KOSK_SCREENS"), os.Getenv("KOSK_ONLY")
	if dir == "" {
		only = "attract,result-down"
		t.Log("a few screens only: set KOSK_SCREENS=DIR to paint all, and keep them")
	}
	b := open(t, 1080, 1920)
	for _, lang := range text.Langs {
		for _, size := range []scene.TextSize{scene.TextNormal, scene.TextLargest} {
			for _, s := range sessiontest.JourneyAt(lang, size) {
				if only != "" && !strings.Contains(","+only+",", ","+s.ID+",") {
					continue
				}
				b.Show(scene.View{Scene: s, TextSize: size, Ring: true, Focus: s.Move("", 1, false)})
				b.keep(t, dir, string(lang)+"-"+s.ID+"-"+string(rune('0'+size))+".png")
			}
			if dir == "" {
				return // one language and size are enough
			}
		}
	}
}

// keep paints what is shown; the picture must hold more than one colour.
func (b *bench) keep(t *testing.T, dir, name string) {
	t.Helper()
	img := b.Fyne().Canvas().Capture()
	if changed(img, blank{img, b.drawing.Ground}, img.Bounds(), 3) < 5000 {
		t.Errorf("%s is empty", name)
	}
	if dir == "" {
		return
	}
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := png.Encode(f, img); err != nil {
		t.Fatal(err)
	}
}
