package crashtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"kosk/offline/queue/gatetest"
)

// perFile is how many cuts one queue's file lives through before the next one,
// so that first openings are among them.
const perFile = 10

const cutLimit = size(4 << 20)

// moment1to40 is when a cut comes, after the first word.
func moment1to40(dice *rand.Rand) time.Duration {
	return time.Millisecond + time.Duration(dice.Int64N(int64(39*time.Millisecond)))
}

// Gate 2: a real file system that is taken away under the writer, with what only
// memory held, has every acknowledged item when it is mounted again.
func TestGate2ARealFileSystemCutAwayKeepsEveryPromise(t *testing.T) {
	const gate = "2.ext4"
	needRoot(t, gate)
	needTool(t, gate, "mkfs.ext4")
	for _, c := range []struct {
		name   string
		below  []string
		cycles int
	}{
		{gate, nil, gatetest.Scale(12, 500)},
		{gate + ".control.no-sync", strace(os.DevNull, noSync...), min(50, gatetest.Scale(6, 50))},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.below != nil {
				needTrace(t, c.name)
			}
			e, err := newExt4(t.Context(), t.TempDir())
			must(t, err)
			if err := e.mount(t.Context()); err != nil { // there is nothing to mind then
				gatetest.Blocked(t, c.name, err.Error())
			}
			must(t, e.unmount())
			minded(t, e.at)
			must(t, e.mount(t.Context()))
			t.Cleanup(func() {
				if err := e.unmount(); err != nil && !errors.Is(err, unix.EINVAL) {
					t.Error(err)
				}
			})
			dice := rand.New(rand.NewPCG(2, 0))
			r := gatetest.Result{Gate: c.name, Cycles: c.cycles, Control: c.below != nil}
			var why []string
			p := newPromises()
			for cycle := range c.cycles {
				o := order{Path: filepath.Join(e.at, "queue"), From: cycle * perCycle, Options: cutLimit}
				if cycle%perFile == 0 || c.below != nil {
					p = newPromises()
					must(t, write(e.at, nil))
				}
				must(t, cutExt4(t, e, p, o, c.below, moment1to40(dice)))
				if found := p.broken(o.Path, o.Options.options()); len(found) > 0 {
					r.Violations++
					why = append(why, fmt.Sprintf("cycle %d: %s", cycle, found[0]))
				}
				r.Promises += len(p.stored)
			}
			gatetest.Tell(t, r, why)
		})
	}
}

// cutExt4 runs a writer, cuts the file system away under it, and mounts it again.
func cutExt4(t *testing.T, e *ext4, p *promises, o order, below []string, after time.Duration) error {
	cut := make(chan error, 1)
	cut <- errors.New("the child said nothing")
	err := p.watch(t.Context(), o, below, func(kill func() error) {
		<-cut
		time.AfterFunc(after, func() {
			err := e.shutdown()
			if below == nil {
				kill() //nolint:errcheck // it may have noticed the cut
			}
			cut <- err
		})
	})
	if err := errors.Join(err, <-cut, e.unmount()); err != nil {
		return err
	}
	return e.mount(t.Context())
}
