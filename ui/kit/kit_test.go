package kit

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"os"
	"strings"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/driver/software"
	"fyne.io/fyne/v2/test"
	housefonts "fyne.io/fyne/v2/theme"
	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"kosk/device/request"
	"kosk/device/scene"
	"kosk/device/session/sessiontest"
	"kosk/device/text"
	"kosk/ui/layout"
	"kosk/ui/theme"
)

func TestMain(m *testing.M) {
	app := test.NewApp()
	app.Settings().SetTheme(housefonts.DefaultTheme())
	os.Exit(m.Run())
}

// paint is what one element looks like on a ground.
func paint(t *testing.T, e layout.Element, w, h int, ground color.NRGBA) image.Image {
	t.Helper()
	c := software.NewCanvas()
	c.SetPadded(false)
	back := canvas.NewRectangle(ground)
	back.Resize(fyne.NewSize(float32(w), float32(h)))
	c.SetContent(container.NewWithoutLayout(back, element(e, 1)))
	c.Resize(fyne.NewSize(float32(w), float32(h)))
	return c.Capture()
}

// inked is the bounds of what differs clearly from the ground.
func inked(img image.Image, ground color.NRGBA) image.Rectangle {
	var r image.Rectangle
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y++ {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x++ {
			c := color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA)
			if far(c.R, ground.R) || far(c.G, ground.G) || far(c.B, ground.B) {
				r = r.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	return r
}

func far(a, b uint8) bool { return max(a, b)-min(a, b) > 100 }

// TestCapHeight: every height in millimetres depends on this one figure of the
// fonts.
func TestCapHeight(t *testing.T) {
	white := color.NRGBA{255, 255, 255, 255}
	for _, bold := range []bool{false, true} {
		const px = 300
		e := layout.Element{Shape: layout.Words, Rect: layout.Rect{X: 10, W: 300, H: 450}, Text: "H", Px: px, Bold: bold, Fill: color.NRGBA{A: 255}}
		rows := inked(paint(t, e, 320, 450, white), white).Dy()
		if want := theme.CapHeight * px; float64(rows) < want-1.5 || float64(rows) > want+1.5 {
			t.Errorf("bold %v: H of %d px is %d rows high, want %.1f", bold, px, rows, want)
		}
	}
}

// TestWordsAreCentred: whatever the height of the line, in the middle of it.
func TestWordsAreCentred(t *testing.T) {
	white := color.NRGBA{255, 255, 255, 255}
	for _, h := range []float32{120, 136, 150, 300} {
		e := layout.Element{Shape: layout.Words, Rect: layout.Rect{X: 10, Y: 100, W: 300, H: h}, Text: "H", Px: 100, Fill: color.NRGBA{A: 255}}
		r := inked(paint(t, e, 320, 500, white), white)
		mid, want := float32(r.Min.Y+r.Max.Y)/2, 100+h/2
		if mid < want-5 || mid > want+5 {
			t.Errorf("line of %.0f px: middle of H at %.1f, want %.1f", h, mid, want)
		}
	}
}

// pictures are the elements of a shape that the journey uses.
func pictures(shape layout.Shape, f func(e layout.Element)) {
	seen := map[string]bool{}
	panel := layout.Panel{W: 1080, H: 1920, PxPerMM: 1080.0 / 268, Measure: Measure}
	for contrast := range scene.Contrast(scene.Contrasts) {
		for _, s := range sessiontest.Journey(text.Az) {
			d := layout.Lay(scene.View{Scene: s, TextSize: scene.TextNormal, Contrast: contrast}, panel)
			for _, e := range d.Elements {
				key := fmt.Sprint(e.Name, e.Fill, e.Rect.W)
				if e.Shape == shape && !seen[key] {
					seen[key] = true
					f(e)
				}
			}
		}
	}
}

// TestIcons paints every icon of the journey, in every contrast: it is there,
// and stays in its place.
func TestIcons(t *testing.T) {
	names := map[string]bool{}
	pictures(layout.Icon, func(e layout.Element) {
		names[e.Name] = true
		ground := color.NRGBA{255, 255, 255, 255}
		if int(e.Fill.R)+int(e.Fill.G)+int(e.Fill.B) > 600 {
			ground = color.NRGBA{A: 255}
		}
		e.Rect.X, e.Rect.Y = 10, 10
		w, h := int(e.Rect.W)+20, int(e.Rect.H)+20
		r := inked(paint(t, e, w, h, ground), ground)
		if r.Dx() < int(e.Rect.W)/3 || r.Dy() < int(e.Rect.H)/4 {
			t.Errorf("%s in %v: ink %v in %.0f by %.0f px", e.Name, e.Fill, r, e.Rect.W, e.Rect.H)
		}
		if !r.In(image.Rect(9, 9, w-9, h-9)) {
			t.Errorf("%s in %v: ink %v leaves %d by %d px", e.Name, e.Fill, r, w-20, h-20)
		}
	})
	if len(names) < 15 {
		t.Errorf("only %d icons: %v", len(names), names)
	}
}

// TestIconsAreUsed: no picture lies about.
func TestIconsAreUsed(t *testing.T) {
	used := map[string]bool{}
	pictures(layout.Icon, func(e layout.Element) { used[e.Name] = true })
	for _, svc := range sessiontest.Kiosk().Catalogue.Services {
		used[svc.Icon] = true
		picture(svc.Icon, 10, 10, color.NRGBA{}, color.NRGBA{}) // panics when it isn't drawn
	}
	for n, parts := range figures {
		if !used[n] {
			t.Errorf("%s is on no screen", n)
		}
		for _, p := range parts {
			used[p.icon] = true
		}
	}
	for n := range icons {
		if !used[n] {
			t.Errorf("%s is on no screen", n)
		}
	}
}

func TestUnknownIconPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a picture without a drawing is a broken program")
		}
	}()
	picture("no such", 10, 10, color.NRGBA{}, color.NRGBA{})
}

// TestLattice: the ornament covers its whole place, evenly.
func TestLattice(t *testing.T) {
	black, white := color.NRGBA{A: 255}, color.NRGBA{255, 255, 255, 255}
	e := layout.Element{Shape: layout.Lattice, Rect: layout.Rect{W: 1080, H: 800}, Fill: white}
	r := inked(paint(t, e, 1080, 800, black), black)
	if r.Dx() < 1070 || r.Dy() < 790 {
		t.Errorf("ink %v in 1080 by 800", r)
	}
}

// TestCodeIsRead: a reader that isn't ours reads from the panel what was put in.
func TestCodeIsRead(t *testing.T) {
	for _, data := range []string{
		"6BF5Z", "https://e-gov.az/r/482913507264",
		request.Base45([]byte(strings.Repeat("\x01\xfe kosk", 29)))[:300],
	} {
		e := layout.Element{Shape: layout.Code, Rect: layout.Rect{X: 20, Y: 20, W: 306, H: 306}, Data: []byte(data)}
		img := paint(t, e, 346, 346, color.NRGBA{A: 255}) // the code brings its quiet zone
		bmp, err := gozxing.NewBinaryBitmapFromImage(img)
		if err != nil {
			t.Fatal(err)
		}
		got, err := qrcode.NewQRCodeReader().Decode(bmp, nil)
		if err != nil {
			t.Errorf("%d characters: %v", len(data), err)
			continue
		}
		if !bytes.Equal([]byte(got.GetText()), []byte(data)) {
			t.Errorf("read %q, want %q", got.GetText(), data)
		}
	}
}
