// Package visit does what citizens do: it plays whole visits at the kiosk's
// window with touches and keys, and reports how they went. It reads from the
// kiosk's trace where things lie, as an eye would, and acts by X events only.
package visit

import (
	"context"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jezek/xgb/xproto"

	"kosk/cmd/kiosksim/rig"
	"kosk/cmd/kiosksim/stage"
	"kosk/ui/layout"
)

// An Actor is a person at the window.
type Actor struct {
	rig   *rig.Rig
	hands *stage.Hands
	trace tail
	last  layout.Painted
	fresh bool
	// frames counts painted views.
	frames int
	first  time.Time // of the first of them

	out      string // folder for pictures, "" for none
	pictures int
	taken    string // scene, language and page of the last picture

	// What the present visit counts.
	touches int
	typed   int
	screens []string
}

// New puts an actor before the rig's window. Pictures of every screen go to out.
func New(r *rig.Rig, h *stage.Hands, out string) *Actor {
	return &Actor{rig: r, hands: h, trace: tail{path: r.Trace()}, out: out}
}

// patience is how long a screen may take to come.
const patience = time.Minute

// Sees waits for a scene and takes its picture.
func (a *Actor) Sees(ctx context.Context, scene string) error {
	err := a.await(ctx, scene, patience, func(p layout.Painted) bool { return p.Scene == scene })
	if err != nil {
		return err
	}
	return a.picture(ctx)
}

// SeesNode waits until the scene has the node.
func (a *Actor) SeesNode(ctx context.Context, scene, id string) error {
	err := a.await(ctx, scene+" with "+id, patience, func(p layout.Painted) bool {
		return p.Scene == scene && find(p, id) != nil
	})
	if err != nil {
		return err
	}
	return a.picture(ctx)
}

// Settles waits until nothing new was painted for a while.
func (a *Actor) Settles(ctx context.Context) error {
	for before := -1; before != a.frames; {
		before = a.frames
		if err := pause(ctx, 150*time.Millisecond); err != nil {
			return err
		}
		if err := a.read(); err != nil {
			return err
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func find(p layout.Painted, id string) *layout.PaintedTarget {
	for i := range p.Targets {
		if p.Targets[i].ID == id {
			return &p.Targets[i]
		}
	}
	return nil
}

// Touch puts a finger on a node. One that lies on a further page is gone for.
func (a *Actor) Touch(ctx context.Context, id string) error {
	if err := a.read(); err != nil {
		return err
	}
	for find(a.last, id) == nil || !find(a.last, id).Touch {
		turn := find(a.last, "page.next")
		if turn == nil {
			return fmt.Errorf("the screen %q has nothing to touch called %q", a.last.Scene, id)
		}
		page := a.last.Page
		if err := a.tap(ctx, turn); err != nil {
			return err
		}
		if err := a.await(ctx, "the next page", patience, func(p layout.Painted) bool { return p.Page > page }); err != nil {
			return err
		}
		if err := a.picture(ctx); err != nil {
			return err
		}
	}
	return a.tap(ctx, find(a.last, id))
}

func (a *Actor) tap(ctx context.Context, t *layout.PaintedTarget) error {
	a.touches++
	return a.hands.Touch(ctx, t.X+t.W/2, t.Y+t.H/2)
}

// TouchDigits types digits, or letters where the screen has them, on the keys of the
// screen, waiting for each to show.
func (a *Actor) TouchDigits(ctx context.Context, digits string) error {
	for _, d := range digits {
		key := "key." + string(d)
		if err := a.await(ctx, key, patience, func(p layout.Painted) bool { return find(p, key) != nil }); err != nil { // letters become digits
			return err
		}
		before := a.frames
		if err := a.Touch(ctx, key); err != nil {
			return err
		}
		a.typed++
		a.touches--
		if err := a.await(ctx, "the digit", patience, func(layout.Painted) bool { return a.frames > before }); err != nil {
			return err
		}
	}
	return nil
}

// Press presses a key of the keypad.
func (a *Actor) Press(ctx context.Context, key xproto.Keysym) error {
	a.touches++
	return a.hands.Press(ctx, key)
}

// TypeDigits types on the tactile keypad.
func (a *Actor) TypeDigits(ctx context.Context, digits string) error {
	for _, d := range digits {
		before := a.frames
		if err := a.hands.Press(ctx, stage.Digit(d)); err != nil {
			return err
		}
		a.typed++
		if err := a.await(ctx, "the digit", patience, func(layout.Painted) bool { return a.frames > before }); err != nil {
			return err
		}
	}
	return nil
}

// Choose moves the focus with the arrow keys until it rests on the node, and
// presses the round key. It looks only at where the focus is.
func (a *Actor) Choose(ctx context.Context, id string) error {
	first := ""
	for range 200 {
		if err := a.read(); err != nil {
			return err
		}
		if a.last.Focus == id {
			return a.Press(ctx, stage.Return)
		}
		if first == "" {
			first = a.last.Focus
		}
		before, focus := a.frames, a.last.Focus
		if err := a.Press(ctx, stage.Down); err != nil {
			return err
		}
		if err := a.await(ctx, "the focus to move", patience, func(p layout.Painted) bool {
			return a.frames > before && p.Focus != focus
		}); err != nil {
			return err
		}
	}
	return fmt.Errorf("the focus never came to %q on %q", id, a.last.Scene)
}

// picture keeps what the window shows, once for each screen and page.
func (a *Actor) picture(ctx context.Context) error {
	what := fmt.Sprintf("%s %s %d %d", a.last.Scene, a.last.Lang, a.last.Page, len(a.last.Targets))
	if what == a.taken {
		return nil
	}
	a.taken = what
	a.screens = append(a.screens, a.last.Scene)
	if a.out == "" {
		return nil
	}
	if err := pause(ctx, 120*time.Millisecond); err != nil { // the frame is on its way to the screen
		return err
	}
	img, err := a.hands.Look()
	if err != nil {
		return err
	}
	a.pictures++
	name := fmt.Sprintf("%02d-%s-%s.png", a.pictures, strings.ReplaceAll(a.last.Scene, "/", "-"), a.last.Lang)
	f, err := os.Create(filepath.Join(a.out, name))
	if err != nil {
		return err
	}
	defer f.Close()
	return (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(f, img)
}
