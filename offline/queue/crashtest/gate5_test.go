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

	"kosk/offline/queue/crashtest/volatile"
	"kosk/offline/queue/gatetest"
)

// Gate 5: a file system that forgets at the cut everything that was not synced.
func TestGate5AFileSystemThatForgetsKeepsEveryPromise(t *testing.T) {
	const gate = "5.fuse"
	needRoot(t, gate)
	if _, err := os.Stat("/dev/fuse"); err != nil {
		gatetest.Blocked(t, gate, err.Error())
	}
	for _, c := range []struct {
		name   string
		lies   bool
		cycles int
	}{
		{gate, false, gatetest.Scale(8, 200)},
		{gate + ".control.lying", true, min(50, gatetest.Scale(5, 50))},
	} {
		t.Run(c.name, func(t *testing.T) {
			at, look, dice := filepath.Join(t.TempDir(), "mounted"), memoryFolder(t), rand.New(rand.NewPCG(5, 0))
			must(t, os.Mkdir(at, 0o700))
			minded(t, at)
			r := gatetest.Result{Gate: c.name, Cycles: c.cycles, Control: c.lies}
			var why []string
			var files map[string][]byte
			p := newPromises()
			for cycle := range c.cycles {
				if cycle%perFile == 0 || c.lies {
					p, files = newPromises(), nil
				}
				o := order{Path: filepath.Join(at, "queue"), From: cycle * perCycle, Options: replayLimit}
				var err error
				files, err = cutVolatile(t, volatile.New(files, c.lies), at, p, o, moment1to40(dice))
				must(t, err)
				must(t, write(look, files))
				if found := p.broken(filepath.Join(look, "queue"), o.Options.options()); len(found) > 0 {
					r.Violations++
					why = append(why, fmt.Sprintf("cycle %d: %s", cycle, found[0]))
				}
				r.Promises += len(p.stored)
			}
			gatetest.Tell(t, r, why)
		})
	}
}

// cutVolatile runs a writer on the file system, cuts the power under it, and
// returns what is left.
func cutVolatile(t *testing.T, v *volatile.Disk, at string, p *promises, o order, after time.Duration) (map[string][]byte, error) {
	unmount, err := v.Mount(at)
	if err != nil {
		return nil, err
	}
	defer unix.Unmount(at, unix.MNT_DETACH) //nolint:errcheck // should a panic pass here
	cut := make(chan map[string][]byte, 1)
	cut <- nil
	err = p.watch(t.Context(), o, nil, func(kill func() error) {
		<-cut
		time.AfterFunc(after, func() {
			cut <- v.Cut()
			kill() //nolint:errcheck // it may have noticed the cut
		})
	})
	if err := errors.Join(err, unmount()); err != nil {
		return nil, err
	}
	left := <-cut
	if left == nil {
		return nil, errors.New("the child said nothing")
	}
	return left, nil
}
