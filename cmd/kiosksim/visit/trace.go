package visit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"kosk/ui/layout"
)

// A tail reads a file of JSON lines while it grows. The file may be missing at
// first, and may be written by several processes one after the other.
type tail struct {
	path   string
	offset int64
	rest   []byte
}

// more calls seen for every line that has come since.
func (t *tail) more(seen func(line []byte)) error {
	f, err := os.Open(t.path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Seek(t.offset, io.SeekStart); err != nil {
		return err
	}
	b, err := io.ReadAll(f)
	t.offset += int64(len(b))
	t.rest = append(t.rest, b...)
	for {
		line, rest, found := bytes.Cut(t.rest, []byte("\n"))
		if !found {
			return err
		}
		t.rest = rest
		seen(line)
	}
}

// look is how often the actor looks at the trace.
const look = 15 * time.Millisecond

// await reads the trace until want says that a frame is the one. Frames that
// came before since don't count.
func (a *Actor) await(ctx context.Context, what string, limit time.Duration, want func(layout.Painted) bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		if err := a.read(); err != nil {
			return err
		}
		if want(a.last) {
			return nil
		}
		if err := a.rig.KioskErr(); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waited %v for %s; the screen shows %q (focus %q)", limit, what, a.last.Scene, a.last.Focus)
		}
	}
}

// read takes in what the kiosk has painted since.
func (a *Actor) read() error {
	return a.trace.more(func(line []byte) {
		var p layout.Painted
		if json.Unmarshal(line, &p) == nil {
			if p.Scene != a.last.Scene || p.Lang != a.last.Lang || p.Page != a.last.Page {
				a.fresh = true
			}
			if a.first.IsZero() {
				a.first = p.At
			}
			a.last = p
			a.frames++
		}
	})
}

// FirstFrame is when the kiosk painted the first frame of the present trace.
func (a *Actor) FirstFrame() time.Time { return a.first }

// Forget drops what the actor has seen: the kiosk starts anew.
func (a *Actor) Forget() {
	_ = a.read()
	a.last, a.taken = layout.Painted{}, ""
}

// LogSays waits until the kiosk's log has a line with the message and the id.
func (a *Actor) LogSays(ctx context.Context, msg, id string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		b, err := os.ReadFile(filepath.Join(a.rig.Out, "kiosk.log"))
		if err != nil {
			return err
		}
		for line := range bytes.Lines(b) {
			if bytes.Contains(line, []byte(`"msg":"`+msg+`"`)) && bytes.Contains(line, []byte(id)) {
				return nil
			}
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return fmt.Errorf("the kiosk's log doesn't say %q of %s after %v", msg, id, limit)
		}
	}
}
