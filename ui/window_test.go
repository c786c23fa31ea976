package ui

import (
	"image"
	"image/color"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/test"

	"kosk/device/scene"
	"kosk/device/session/sessiontest"
	"kosk/device/text"
	"kosk/ui/layout"
)

// A bench is a window without a panel: what came of it, in order.
type bench struct {
	*Window
	inputs  []scene.Input
	painted []layout.Painted
}

func open(t testing.TB, w, h float32) *bench {
	t.Helper()
	app := test.NewApp()
	t.Cleanup(app.Quit)
	b := &bench{}
	b.Window = New(app, Panel{WidthMM: 268, W: int(w), H: int(h)},
		func(i scene.Input) { b.inputs = append(b.inputs, i) },
		func(p layout.Painted) { b.painted = append(b.painted, p) })
	b.Fyne().Resize(fyne.NewSize(w, h))
	return b
}

// meet is a scene of the journey.
func meet(t testing.TB, id string, lang text.Lang) scene.Scene {
	t.Helper()
	for _, s := range sessiontest.Journey(lang) {
		if s.ID == id {
			return s
		}
	}
	t.Fatalf("nobody meets %q", id)
	return scene.Scene{}
}

// at is the middle of a node on the panel.
func (b *bench) at(t *testing.T, id string) fyne.Position {
	t.Helper()
	for _, x := range b.drawing.Targets {
		if x.ID == id {
			return fyne.NewPos(x.Rect.X+x.Rect.W/2, x.Rect.Y+x.Rect.H/2)
		}
	}
	t.Fatalf("%q is not on the panel", id)
	return fyne.Position{}
}

// press puts a finger on the layer that takes touches, lift takes it away.
func (b *bench) press(p fyne.Position) { b.touch.MouseDown(finger(p)) }
func (b *bench) lift(p fyne.Position)  { b.touch.MouseUp(finger(p)) }

func finger(p fyne.Position) *desktop.MouseEvent {
	return &desktop.MouseEvent{PointEvent: fyne.PointEvent{Position: p}}
}

func (b *bench) pixel(at image.Point) color.NRGBA {
	return color.NRGBAModel.Convert(b.Fyne().Canvas().Capture().At(at.X, at.Y)).(color.NRGBA)
}

// TestTouch: VVSG 2.0, 7.2-H. A press alone does nothing but darken; what began
// and ended inside fires, once; a finger that slid off leaves nothing behind.
func TestTouch(t *testing.T) {
	b := open(t, 540, 960)
	b.Show(scene.View{Scene: meet(t, "home", text.Az), TextSize: scene.TextNormal})
	on, off := b.at(t, "without-card"), b.at(t, "most")
	tile := b.drawing.Targets[slices.IndexFunc(b.drawing.Targets, func(x layout.Target) bool { return x.ID == "without-card" })].Rect
	edge := image.Pt(int(tile.Right())-30, int(tile.Y)+30) // of the tile, where neither words nor picture are
	usual := b.pixel(edge)
	b.press(on)
	dark := b.pixel(edge)
	if len(b.inputs) != 0 {
		t.Fatalf("a press alone gave %v", b.inputs)
	}
	if sum(dark) >= sum(usual) {
		t.Errorf("pressed %v is no darker than %v", dark, usual)
	}
	b.lift(off)
	if got := b.pixel(edge); got != usual || len(b.inputs) != 0 {
		t.Errorf("slid off: %v, want %v; inputs %v", got, usual, b.inputs)
	}
	b.press(on)
	b.lift(on)
	if len(b.inputs) != 1 || b.inputs[0].Activate != "without-card" {
		t.Errorf("a touch gave %v", b.inputs)
	}
	if got := b.pixel(edge); got != usual {
		t.Errorf("released %v, want %v", got, usual)
	}
	b.press(off)
	b.lift(on)
	if len(b.inputs) != 1 {
		t.Errorf("a press that began elsewhere gave %v", b.inputs[1:])
	}
}

// TestAViewThatChangesUnderAFingerLosesNothing: news may come while a finger is
// down; where it lifts, the same node is still meant.
func TestAViewThatChangesUnderAFingerLosesNothing(t *testing.T) {
	b := open(t, 1080, 1920)
	v := scene.View{Scene: meet(t, "home", text.Az), TextSize: scene.TextNormal}
	b.Show(v)
	on := b.at(t, "without-card")
	b.press(on)
	b.Show(v)
	b.lift(on)
	if len(b.inputs) != 1 || b.inputs[0].Activate != "without-card" {
		t.Errorf("the touch gave %v", b.inputs)
	}
}

func sum(c color.NRGBA) int { return int(c.R) + int(c.G) + int(c.B) }

// TestTouchFindsItsNode touches every target of some scenes.
func TestTouchFindsItsNode(t *testing.T) {
	b := open(t, 1080, 1920)
	for _, id := range []string{"home", "can", "question", "review", "attract"} {
		b.Show(scene.View{Scene: meet(t, id, text.Ru), TextSize: scene.TextNormal})
		for _, x := range b.drawing.Targets {
			if !x.Touch {
				continue
			}
			b.inputs = nil
			b.press(b.at(t, x.ID))
			b.lift(b.at(t, x.ID))
			if len(b.inputs) != 1 || b.inputs[0].Activate != x.ID {
				t.Errorf("%s: a touch on %s gave %v", id, x.ID, b.inputs)
			}
		}
	}
}

// TestTurningIsFocusing: the turn of a page is a focus on the first of the other.
func TestTurningIsFocusing(t *testing.T) {
	b := open(t, 1080, 1920)
	v := scene.View{Scene: meet(t, "review", text.Az), TextSize: scene.TextLargest}
	b.Show(v)
	if b.drawing.Pages < 2 {
		t.Fatal("the review fits on one page at the largest text")
	}
	b.press(b.at(t, scene.TurnNext))
	b.lift(b.at(t, scene.TurnNext))
	if len(b.inputs) != 1 || b.inputs[0].Focus != b.drawing.Firsts[1] || b.inputs[0].Activate != "" {
		t.Fatalf("the turn gave %+v, want a focus on %s", b.inputs, b.drawing.Firsts[1])
	}
	first := b.drawing.Firsts[0]
	v.Focus = b.inputs[0].Focus
	b.Show(v)
	if b.drawing.Page != 1 {
		t.Fatalf("page %d, want 1", b.drawing.Page)
	}
	b.press(b.at(t, scene.TurnBack))
	b.lift(b.at(t, scene.TurnBack))
	if got := b.inputs[1]; got.Focus != first {
		t.Errorf("the turn back gave %+v, want a focus on %s", got, first)
	}
}

// A desk is a canvas that tells strokes from repeats, as the window's does.
type desk struct {
	fyne.Canvas
	down func(*fyne.KeyEvent)
}

func (d *desk) SetOnKeyDown(f func(*fyne.KeyEvent)) { d.down = f }

// TestAHeldKeyIsTypedOnce: EN 301 549, 5.7.
func TestAHeldKeyIsTypedOnce(t *testing.T) {
	d := &desk{Canvas: open(t, 1080, 1920).Fyne().Canvas()}
	var got []scene.Input
	listen(d, func(i scene.Input) { got = append(got, i) })
	key := func(name fyne.KeyName, r rune, times int) {
		e := &fyne.KeyEvent{Name: name}
		d.down(e)
		for range times {
			d.OnTypedKey()(e)
			if r != 0 {
				d.OnTypedRune()(r)
			}
		}
	}
	key(fyne.KeyReturn, 0, 30)
	key(fyne.Key7, '7', 30)
	key(fyne.Key7, '7', 1)
	key(fyne.KeyDown, 0, 30)
	want := []scene.Input{{Command: scene.Select}, {Rune: '7'}, {Rune: '7'}, {Command: scene.FocusNext}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestKeys(t *testing.T) {
	b := open(t, 1080, 1920)
	for name, want := range keys {
		b.inputs = nil
		b.Fyne().Canvas().OnTypedKey()(&fyne.KeyEvent{Name: name})
		if len(b.inputs) != 1 || b.inputs[0] != (scene.Input{Command: want}) {
			t.Errorf("%s gave %v, want command %d", name, b.inputs, want)
		}
	}
	b.inputs = nil
	b.Fyne().Canvas().OnTypedKey()(&fyne.KeyEvent{Name: fyne.KeyA}) // it comes as a rune
	for _, r := range "7ə" {
		b.Fyne().Canvas().OnTypedRune()(r)
	}
	if len(b.inputs) != 2 || b.inputs[0].Rune != '7' || b.inputs[1].Rune != 'ə' {
		t.Errorf("runes gave %v", b.inputs)
	}
}

// TestEveryCommandHasAKey: a desk can do whatever the tactile keypad can.
func TestEveryCommandHasAKey(t *testing.T) {
	has := map[scene.Command]bool{}
	for _, c := range keys {
		has[c] = true
	}
	for c := scene.FocusNext; c <= scene.HeadphonesOut; c++ {
		if !has[c] {
			t.Errorf("command %d has no key", c)
		}
	}
}

// TestOneFrameAShow: each view is told once, however often it is painted, and
// with the places that are on the panel.
func TestOneFrameAShow(t *testing.T) {
	b := open(t, 360, 640)
	b.Fyne().Canvas().Capture()
	if len(b.painted) != 0 {
		t.Fatal("told of a view before there was one")
	}
	for i, id := range []string{"home", "card", "can"} {
		b.Show(scene.View{Scene: meet(t, id, text.Az), TextSize: scene.TextNormal})
		page := b.root.Objects[1]
		for range 3 {
			b.Fyne().Canvas().Capture()
		}
		if b.root.Objects[1] != page {
			t.Errorf("%s was drawn again by painting", id)
		}
		if len(b.painted) != i+1 {
			t.Fatalf("%s: told %d times, want %d", id, len(b.painted), i+1)
		}
		p := b.painted[i]
		if p.Scene != id || p.Lang != "az" || len(p.Targets) != len(b.drawing.Targets) || p.At.Before(p.Shown) {
			t.Errorf("told %+v of %s", p, id)
		}
	}
}

// TestShowFromElsewhere: what shows is another goroutine than Fyne's.
func TestShowFromElsewhere(t *testing.T) {
	b := open(t, 360, 640)
	done := make(chan struct{})
	v := scene.View{Scene: meet(t, "home", text.En), TextSize: scene.TextNormal}
	go func() {
		defer close(done)
		b.Show(v)
	}()
	<-done
	b.Fyne().Canvas().Capture()
	if len(b.painted) != 1 || b.painted[0].Scene != "home" {
		t.Errorf("told %v", b.painted)
	}
}

// TestResizing draws anew, once, at the new size.
func TestResizing(t *testing.T) {
	b := open(t, 1080, 1920)
	b.Show(scene.View{Scene: meet(t, "home", text.Az), TextSize: scene.TextNormal})
	before := b.root.Objects[1]
	b.Fyne().Resize(fyne.NewSize(720, 1280))
	after := b.root.Objects[1]
	if after == before {
		t.Fatal("not drawn at the new size")
	}
	b.root.Refresh()
	b.Fyne().Canvas().Capture()
	if b.root.Objects[1] != after {
		t.Error("drawn more than once for one size")
	}
	for _, x := range b.drawing.Targets {
		if x.Rect.Right() > 720 || x.Rect.Bottom() > 1280 {
			t.Errorf("%s at %v leaves the window", x.ID, x.Rect)
		}
	}
}

// TestRingIsSeen: WCAG 2.4.13. Between the frame with the focus and the one
// without, at least the area of two lines round the target differs by 3:1.
func TestRingIsSeen(t *testing.T) {
	for contrast := range scene.Contrast(scene.Contrasts) {
		b := open(t, 1080, 1920)
		v := scene.View{Scene: meet(t, "home", text.Az), TextSize: scene.TextNormal, Contrast: contrast, Focus: "without-card"}
		b.Show(v)
		without := b.Fyne().Canvas().Capture()
		v.Ring = true
		b.Show(v)
		with := b.Fyne().Canvas().Capture()
		var round float32
		var near image.Rectangle
		for _, x := range b.drawing.Targets {
			if r := x.Rect.Grow(20); x.ID == v.Focus {
				round = 2 * (x.Rect.W + x.Rect.H)
				near = image.Rect(int(r.X), int(r.Y), int(r.Right()), int(r.Bottom()))
			}
		}
		if n := changed(without, with, near, 3); float32(n) < 2*round {
			t.Errorf("contrast %d: %d pixels changed by 3:1, want %.0f", contrast, n, 2*round)
		}
	}
}

// TestStatesWithoutColour: WCAG 1.4.1. In shades of grey a state still differs
// from its opposite, by more than its tone: something is drawn for it.
func TestStatesWithoutColour(t *testing.T) {
	for name, change := range map[string]struct {
		scene, id string
		to        func(*scene.Node)
	}{
		"selected":    {"question", "option.bank", func(n *scene.Node) { n.Selected = !n.Selected }},
		"on":          {"home", "tool.voice", func(n *scene.Node) { n.Selected = true }},
		"unavailable": {"home", "service.imei_check", func(n *scene.Node) { n.Unavailable = true }},
		"incomplete":  {"can", "next", func(n *scene.Node) { n.Unavailable = !n.Unavailable }},
		"wrong":       {"can", "field", func(n *scene.Node) { n.Tone = scene.Bad }},
		"well":        {"card", "no-card", func(n *scene.Node) { n.Tone = scene.Bad }},
	} {
		b := open(t, 540, 960)
		s := meet(t, change.scene, text.Az)
		b.Show(scene.View{Scene: s, TextSize: scene.TextNormal})
		one := b.Fyne().Canvas().Capture()
		s.Nodes = append([]scene.Node(nil), s.Nodes...)
		change.to(s.Find(change.id))
		b.Show(scene.View{Scene: s, TextSize: scene.TextNormal})
		if n := changed(one, b.Fyne().Canvas().Capture(), one.Bounds(), 1.5); n < 20 {
			t.Errorf("%s: %d pixels differ in grey", name, n)
		}
	}
}

// changed counts the pixels of a place whose luminance differs by a contrast.
func changed(a, b image.Image, in image.Rectangle, contrast float64) int {
	n := 0
	for y := in.Min.Y; y < in.Max.Y; y++ {
		for x := in.Min.X; x < in.Max.X; x++ {
			p, q := grey(a.At(x, y)), grey(b.At(x, y))
			if (max(p, q)+0.05)/(min(p, q)+0.05) >= contrast {
				n++
			}
		}
	}
	return n
}

// grey is luminance, near enough (gamma 2.2).
func grey(c color.Color) float64 {
	p := color.NRGBAModel.Convert(c).(color.NRGBA)
	square := func(v uint8) float64 { return float64(v) / 255 * float64(v) / 255 }
	return 0.2126*square(p.R) + 0.7152*square(p.G) + 0.0722*square(p.B)
}

// TestMemory shows what a day shows: the heap must not follow. Fyne's driver
// forgets after a minute; here nothing is forgotten, so this is the worst case.
func TestMemory(t *testing.T) {
	b := open(t, 360, 640)
	all := sessiontest.Journey(text.Az)
	show := func(n int) uint64 {
		for i := range n {
			b.Show(scene.View{Scene: all[i%13], TextSize: scene.TextNormal})
			if i%20 == 0 {
				b.Fyne().Canvas().Capture()
			}
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	warm := show(100)
	grown := int64(show(500)) - int64(warm)
	t.Logf("500 views grew the heap by %d kB", grown/1024)
	if grown > 6<<20 {
		t.Errorf("500 views grew the heap by %d kB", grown/1024)
	}
}

// TestViewIsQuick: from the view to its drawing within half of the 100 ms that a
// touch may take to be answered; the other half is for painting.
func TestViewIsQuick(t *testing.T) {
	b := open(t, 1080, 1920)
	all := sessiontest.Journey(text.Ru)
	b.Show(scene.View{Scene: all[0], TextSize: scene.TextLargest}) // the fonts are read once
	slowest := time.Duration(0)
	for _, s := range all {
		start := worked(t)
		b.Show(scene.View{Scene: s, TextSize: scene.TextLargest, Ring: true, Focus: s.Move("", 1, false)})
		slowest = max(slowest, worked(t)-start)
	}
	t.Logf("slowest view: %v", slowest)
	if slowest > 50*time.Millisecond && !race {
		t.Errorf("a view took %v", slowest)
	}
}

// worked is the processor time of this process: a busy machine doesn't lengthen it.
func worked(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkShow(b *testing.B) {
	w := open(b, 1080, 1920)
	s := meet(b, "review", text.Ru)
	for b.Loop() {
		w.Show(scene.View{Scene: s, TextSize: scene.TextLargest})
	}
}

// A blank is an image of one colour, as large as another.
type blank struct {
	image.Image
	c color.NRGBA
}

func (b blank) At(int, int) color.Color { return b.c }
