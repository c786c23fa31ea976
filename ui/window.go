// Package ui is the kiosk's one window: it shows the current view and turns
// touches and keys into inputs. It decides nothing and keeps nothing but the
// view on the panel.
//
// Start at New; layout places, kit paints, theme measures.
package ui

import (
	"image"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/theme"

	"kosk/device/scene"
	"kosk/ui/kit"
	"kosk/ui/layout"
	housetheme "kosk/ui/theme"
)

// A Panel says what the window is drawn on.
type Panel struct {
	WidthMM    float32 // of the lit area: pixels come from it, EN 301 549, 5.1.4
	W, H       int     // pixels; 0: the whole screen
	FullScreen bool
}

// A Window is the kiosk's window.
type Window struct {
	window  fyne.Window
	panel   Panel
	input   func(scene.Input)
	painted func(layout.Painted)

	// All of these belong to Fyne's main goroutine.
	view    scene.View
	drawing layout.Drawing
	shown   time.Time
	told    bool
	beacon  *canvas.Raster
	root    *fyne.Container // ground, page, beacon, touch
	touch   *kit.Touch
	drawn   fyne.Size // of the canvas at the last drawing
}

// New makes the window. input is called for every touch and key, painted (when
// it is not nil) after each frame that shows a new view; both on Fyne's main
// goroutine, so they must not block.
func New(app fyne.App, panel Panel, input func(scene.Input), painted func(layout.Painted)) *Window {
	app.Settings().SetTheme(plain{theme.DefaultTheme()})
	w := &Window{window: app.NewWindow("Köşk"), panel: panel, input: input, painted: painted}
	w.window.SetPadded(false)
	w.beacon = canvas.NewRaster(w.frame)
	if panel.FullScreen {
		w.window.SetFullScreen(true)
	} else {
		w.window.Resize(fyne.NewSize(float32(panel.W), float32(panel.H)))
	}
	w.touch = kit.NewTouch(w.touched)
	w.root = container.New(watch{w}, w.beacon, w.touch)
	w.window.SetContent(w.root)
	w.listen()
	return w
}

// Fyne is the window itself, for cmd to show and run.
func (w *Window) Fyne() fyne.Window { return w.window }

// Show puts a view on the panel. It may be called from any goroutine.
func (w *Window) Show(v scene.View) {
	fyne.Do(func() {
		w.view = v
		w.draw()
	})
}

// Repaint paints the view once more, and Fyne then drops the pictures of texts that
// have not been shown for a while. It may be called from any goroutine.
func (w *Window) Repaint() { fyne.Do(w.root.Refresh) }

// smallest is the narrowest window, in units, that anything is drawn in.
const smallest = 320

// draw lays the current view out anew.
func (w *Window) draw() {
	c := w.window.Canvas()
	size, scale := c.Size(), c.Scale()
	w.drawn = size
	if w.view.Scene.ID == "" || size.Width < smallest || size.Height < smallest {
		return // nothing to show yet, or the window has not got its size
	}
	px := size.Width * scale
	w.drawing = layout.Lay(w.view, layout.Panel{
		W: px, H: size.Height * scale, PxPerMM: px / w.panel.WidthMM, Measure: kit.Measure,
	})
	pal := housetheme.PaletteOf(w.view.Contrast)
	page := kit.Build(w.drawing, scale, pal.Pressed)
	w.touch.Over(page)
	ground := canvas.NewRectangle(w.drawing.Ground)
	w.shown, w.told = time.Now(), false
	w.beacon = canvas.NewRaster(w.frame)
	w.root.Objects = []fyne.CanvasObject{ground, page.Object, w.beacon, w.touch}
	w.root.Refresh()
}

// touched turns a touch into an input: the turn of a page is a focus on the
// first node of the other page, so that voice and eye stay together.
func (w *Window) touched(id string) {
	turn := map[string]int{scene.TurnNext: 1, scene.TurnBack: -1}[id]
	if turn == 0 {
		w.input(scene.Input{Activate: id})
		return
	}
	w.input(scene.Input{Focus: w.drawing.Firsts[w.drawing.Page+turn]})
}

// frame is called by Fyne while it paints: it tells that the view is on the
// panel. It draws one clear pixel.
func (w *Window) frame(int, int) image.Image {
	if !w.told && w.view.Scene.ID != "" && w.painted != nil {
		w.told = true
		w.painted(w.report())
	}
	return image.NewNRGBA(image.Rect(0, 0, 1, 1))
}

// report is the frame for the trace. Which key of the keypad has the focus is
// not told: one after the other they are what is typed.
func (w *Window) report() layout.Painted {
	focus := w.view.Focus
	if n := w.view.Scene.Find(focus); n != nil && n.Role == scene.Key {
		focus = "key"
	}
	p := layout.Painted{
		Scene: w.view.Scene.ID, Lang: string(w.view.Scene.Lang), Focus: focus,
		Page: w.drawing.Page, Pages: w.drawing.Pages, Shown: w.shown, At: time.Now(),
	}
	for _, t := range w.drawing.Targets {
		p.Targets = append(p.Targets, layout.PaintedTarget{
			ID: t.ID, Role: t.Role.String(), X: t.Rect.X, Y: t.Rect.Y, W: t.Rect.W, H: t.Rect.H, Touch: t.Touch,
		})
	}
	return p
}

// watch lays the window's layers over each other and draws the view anew
// when the window gets its size.
type watch struct{ w *Window }

func (l watch) MinSize([]fyne.CanvasObject) fyne.Size { return fyne.NewSize(1, 1) }

func (l watch) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	for _, o := range objects {
		if o == l.w.beacon {
			o.Resize(fyne.NewSize(1, 1))
			continue
		}
		o.Resize(size)
	}
	if now := l.w.window.Canvas().Size(); now != l.w.drawn {
		l.w.drawn = now
		fyne.Do(l.w.draw)
	}
}

// plain is Fyne's own theme; only its fonts are used.
type plain struct{ fyne.Theme }
