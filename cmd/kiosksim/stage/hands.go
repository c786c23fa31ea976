package stage

import (
	"context"
	"fmt"
	"image"
	"io"
	"time"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/xproto"
	"github.com/jezek/xgb/xtest"
)

// Hands are a connection to an X server: they touch, press keys and look.
type Hands struct {
	conn *xgb.Conn
	root xproto.Window
	w, h uint16
	keys map[xproto.Keysym]xproto.Keycode
}

// Open connects to the display.
func Open(display string) (*Hands, error) {
	xgb.Logger.SetOutput(io.Discard) // it reports a missing .Xauthority as if that mattered
	conn, err := xgb.NewConnDisplay(display)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", display, err)
	}
	if err := xtest.Init(conn); err != nil {
		conn.Close()
		return nil, fmt.Errorf("XTEST: %w", err)
	}
	screen := xproto.Setup(conn).DefaultScreen(conn)
	h := &Hands{conn: conn, root: screen.Root, w: screen.WidthInPixels, h: screen.HeightInPixels}
	return h, h.learnKeys()
}

// Close lets go of the display.
func (h *Hands) Close() { h.conn.Close() }

// learnKeys asks which key carries which symbol.
func (h *Hands) learnKeys() error {
	setup := xproto.Setup(h.conn)
	n := byte(setup.MaxKeycode - setup.MinKeycode + 1)
	m, err := xproto.GetKeyboardMapping(h.conn, setup.MinKeycode, n).Reply()
	if err != nil {
		return fmt.Errorf("keyboard: %w", err)
	}
	h.keys = map[xproto.Keysym]xproto.Keycode{}
	per := int(m.KeysymsPerKeycode)
	for i := range int(n) {
		if sym := m.Keysyms[i*per]; sym != 0 {
			if _, known := h.keys[sym]; !known {
				h.keys[sym] = setup.MinKeycode + xproto.Keycode(i)
			}
		}
	}
	return nil
}

// The symbols of keys: X.org keysymdef.h.
const (
	Down      xproto.Keysym = 0xff54
	Up        xproto.Keysym = 0xff52
	Return    xproto.Keysym = 0xff0d
	Escape    xproto.Keysym = 0xff1b
	BackSpace xproto.Keysym = 0xff08
	F1        xproto.Keysym = 0xffbe
	F6        xproto.Keysym = 0xffc3
	F8        xproto.Keysym = 0xffc5
	F9        xproto.Keysym = 0xffc6
)

// Digit is the key of a digit, or of a lower-case letter.
func Digit(r rune) xproto.Keysym { return xproto.Keysym(r) }

// hold is how long a finger stays down.
const hold = 30 * time.Millisecond

func (h *Hands) fake(ctx context.Context, press, release, detail byte) error {
	if err := xtest.FakeInputChecked(h.conn, press, detail, 0, h.root, 0, 0, 0).Check(); err != nil {
		return err
	}
	select {
	case <-time.After(hold):
	case <-ctx.Done():
	}
	return xtest.FakeInputChecked(h.conn, release, detail, 0, h.root, 0, 0, 0).Check()
}

// Touch puts a finger on the point and lifts it.
func (h *Hands) Touch(ctx context.Context, x, y float32) error {
	if err := xtest.FakeInputChecked(h.conn, xproto.MotionNotify, 0, 0, h.root, int16(x), int16(y), 0).Check(); err != nil {
		return err
	}
	return h.fake(ctx, xproto.ButtonPress, xproto.ButtonRelease, 1)
}

// Press presses a key and lets it go.
func (h *Hands) Press(ctx context.Context, key xproto.Keysym) error {
	code, ok := h.keys[key]
	if !ok {
		return fmt.Errorf("no key %#x on this keyboard", key)
	}
	return h.fake(ctx, xproto.KeyPress, xproto.KeyRelease, byte(code))
}

// Look takes a picture of the whole screen.
func (h *Hands) Look() (*image.NRGBA, error) {
	r, err := xproto.GetImage(h.conn, xproto.ImageFormatZPixmap, xproto.Drawable(h.root), 0, 0, h.w, h.h, ^uint32(0)).Reply()
	if err != nil {
		return nil, fmt.Errorf("picture: %w", err)
	}
	img := image.NewNRGBA(image.Rect(0, 0, int(h.w), int(h.h)))
	for i := 0; i+3 < len(r.Data) && i+3 < len(img.Pix); i += 4 { // BGRX
		img.Pix[i], img.Pix[i+1], img.Pix[i+2], img.Pix[i+3] = r.Data[i+2], r.Data[i+1], r.Data[i], 255
	}
	return img, nil
}
