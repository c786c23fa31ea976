package ui

import (
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"

	"kosk/device/scene"
	"kosk/device/session/sessiontest"
	"kosk/device/text"
)

// TestScreens draws every screen of the journey as the software painter does,
// in three languages and at every size of text. With KOSK_SCREENS=DIR it leaves
// the pictures there.
func TestScreens(t *testing.T) {
	app := test.NewApp()
	defer app.Quit()
	dir := os.Getenv("KOSK_SCREENS")
	if dir == "" {
		t.Log("set KOSK_SCREENS=DIR to keep the pictures")
	}
	w := New(app, Panel{WidthMM: 268, W: 1080, H: 1920}, func(scene.Input) {}, nil)
	w.Fyne().Resize(fyne.NewSize(1080, 1920))
	for _, lang := range text.Langs {
		for _, size := range []scene.TextSize{scene.TextNormal, scene.TextLargest} {
			for _, s := range sessiontest.Journey(lang) {
				if only := os.Getenv("KOSK_ONLY"); only != "" && !strings.Contains(","+only+",", ","+s.ID+",") {
					continue
				}
				w.view = scene.View{Scene: s, TextSize: size, Ring: true, Focus: s.Move("", 1, false)}
				w.draw()
				if dir == "" {
					continue
				}
				f, err := os.Create(filepath.Join(dir, string(lang)+"-"+s.ID+"-"+string(rune('0'+size))+".png"))
				if err != nil {
					t.Fatal(err)
				}
				if err := png.Encode(f, w.Fyne().Canvas().Capture()); err != nil {
					t.Fatal(err)
				}
				_ = f.Close()
			}
		}
	}
}
