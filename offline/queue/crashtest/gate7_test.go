package crashtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"kosk/offline/queue"
	"kosk/offline/queue/gatetest"
)

// A phase is what a queue does beside its daily work.
type phase struct {
	name        string
	kept, ended int    // items that the queue holds before, and those it has held
	compacts    bool   // the file is large, and nearly empty
	control     string // what the queue does wrong; empty: nothing
	inject      []string
}

// Gate 7: after a cut at any moment of the first opening, of a later one, which
// counts itself and changes the data key, and of a compaction, the file opens.
func TestGate7ACutWhileOpeningKeepsEveryPromise(t *testing.T) {
	const gate = "7."
	needTrace(t, gate+"init")
	for _, ph := range []phase{
		{name: "init"},
		{name: "init", control: "no-sync", inject: noSync},
		{name: "reopen", kept: 60, ended: 20},
		{name: "reopen", kept: 60, ended: 20, control: "no-sync", inject: noSync},
		{name: "compaction", kept: 60, ended: 300, compacts: true},
		{name: "compaction", kept: 60, ended: 300, compacts: true, control: "no-sync", inject: noSync},
	} {
		name := gate + ph.name
		if ph.control != "" {
			name += ".control." + ph.control
		}
		t.Run(name, func(t *testing.T) {
			states := gatetest.Scale(50, 2000)
			if ph.control != "" {
				states = max(100, states/10)
			}
			folder := t.TempDir()
			o := order{Path: filepath.Join(folder, "queue"), Options: cutLimit, Look: true}
			p := newPromises()
			if ph.kept > 0 {
				must(t, p.fill(t.Context(), o.Path, o.Options.options(), ph.kept, ph.ended))
			}
			d, err := load(folder, 0)
			must(t, err)
			o.Compact = ph.compacts
			out, err := record(t, o, p, ph.inject...).replay(d, states, rand.New(rand.NewPCG(7, 0)), memoryFolder(t))
			must(t, err)
			if ph.compacts && ph.control == "" && d.renames == 0 {
				t.Error("nothing was compacted")
			}
			gatetest.Tell(t, gatetest.Result{Gate: name, Cycles: out.states, Violations: out.violations, Promises: out.promises, Control: ph.control != "", Least: 1}, out.why)
		})
	}
}

// fill makes a queue that keeps so many items, and has ended so many others.
func (p *promises) fill(ctx context.Context, path string, o queue.Options, kept, ended int) error {
	q, err := queue.Open(path, o)
	if err != nil {
		return err
	}
	running, cancel := context.WithCancel(ctx)
	end := make(chan error, 1)
	go func() { end <- q.Run(running) }()
	// One number in five is of items that are kept, the next of those that end,
	// after all were put: so they leave a large file behind.
	for n := fates; err == nil && n <= fates*max(kept, ended); n += fates {
		if n <= fates*kept {
			err = q.Put(ctx, item(n, fmt.Sprint(n%writers)))
			p.stored[n] = true
		}
		if n <= fates*ended {
			err = errors.Join(err, q.Put(ctx, item(n+fateDone, "ended")))
			p.stored[n+fateDone], p.finished[n+fateDone] = true, true
		}
	}
	for n := fates; err == nil && n <= fates*ended; n += fates {
		err = q.Done(ctx, id(n+fateDone), []byte("receipt of the bus"))
	}
	cancel()
	return errors.Join(err, <-end, q.Close())
}
