package ui

import (
	"fyne.io/fyne/v2"

	"kosk/device/scene"
)

// keys is what the keyboard of a desk means: it stands in for the kiosk's
// tactile keypad and panel (F8 and F9 are the headphone jack). Data, so that it
// can be read at a glance.
var keys = map[fyne.KeyName]scene.Command{
	fyne.KeyDown:      scene.FocusNext,
	fyne.KeyRight:     scene.FocusNext,
	fyne.KeyUp:        scene.FocusPrevious,
	fyne.KeyLeft:      scene.FocusPrevious,
	fyne.KeyReturn:    scene.Select,
	fyne.KeyEnter:     scene.Select,
	fyne.KeyPageUp:    scene.GoBack,
	fyne.KeyEscape:    scene.Cancel,
	fyne.KeyBackspace: scene.Erase,
	fyne.KeyDelete:    scene.Erase,
	fyne.KeyF1:        scene.WhereAmI,
	fyne.KeyF2:        scene.Repeat,
	fyne.KeyF3:        scene.Pause,
	fyne.KeyF4:        scene.Hush,
	fyne.KeyF5:        scene.Slower,
	fyne.KeyF6:        scene.Faster,
	fyne.KeyF7:        scene.ToggleVoice,
	fyne.KeyF8:        scene.HeadphonesIn,
	fyne.KeyF9:        scene.HeadphonesOut,
	fyne.KeyF10:       scene.CycleLanguage,
	fyne.KeyF11:       scene.CycleText,
	fyne.KeyF12:       scene.CycleContrast,
	fyne.KeyPlus:      scene.Louder,
	fyne.KeyMinus:     scene.Quieter,
}

// listen takes every key that comes to the window. Nothing of ours takes Fyne's
// focus, so they all come here.
func (w *Window) listen() { listen(w.window.Canvas(), w.input) }

// listen tells input what is typed. A key that is held is typed once (EN 301 549,
// 5.7: no repeat): who presses long doesn't choose on the next screen, too.
func listen(c fyne.Canvas, input func(scene.Input)) {
	fresh := func() bool { return true }
	if d, ok := c.(interface{ SetOnKeyDown(func(*fyne.KeyEvent)) }); ok { // which tells the first stroke only
		down := false
		d.SetOnKeyDown(func(*fyne.KeyEvent) { down = true })
		fresh = func() bool {
			was := down
			down = false
			return was
		}
	}
	c.SetOnTypedKey(func(e *fyne.KeyEvent) {
		if cmd, ok := keys[e.Name]; ok && fresh() {
			input(scene.Input{Command: cmd})
		}
	})
	c.SetOnTypedRune(func(r rune) {
		if fresh() {
			input(scene.Input{Rune: r})
		}
	})
}
