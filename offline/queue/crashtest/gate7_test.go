package crashtest

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"kosk/offline/queue"
	"kosk/offline/queue/gatetest"
)

// A phase is what a queue does beside its daily work.
type phase struct {
	name        string
	kept, ended int  // items that the queue holds before, and those it has held
	compacts    bool // the file is large, and nearly empty
	sealed      bool // the data keys are wrapped
	schema1     bool // the file is of the program before schema 2
}

var phases = []phase{
	{name: "init"},
	{name: "reopen", kept: 60, ended: 20},
	{name: "rotation", kept: 60, ended: 20, sealed: true},
	{name: "compaction", kept: 60, ended: 300, compacts: true},
	{name: "upgrade", schema1: true},
}

// Gate 7: after a cut at any moment of the first opening, of a later one, which
// counts itself and changes the data key, of a compaction, of an upgrade, the
// file opens, and no note has lost its key.
func TestGate7ACutWhileOpeningKeepsEveryPromise(t *testing.T) {
	needTrace(t, "7.init")
	for _, ph := range phases {
		states := gatetest.Scale(40, 2000)
		t.Run(ph.name, func(t *testing.T) {
			ph.cut(t, gatetest.Result{Gate: "7." + ph.name}, states)
		})
		t.Run(ph.name+".control", func(t *testing.T) {
			ph.cut(t, gatetest.Result{Gate: "7." + ph.name + ".control.no-sync", Control: true, Least: 1}, max(100, states/10), noSync...)
		})
	}
}

// cut records the phase, and opens what so many cuts may leave of it.
func (ph phase) cut(t *testing.T, r gatetest.Result, states int, inject ...string) {
	t.Parallel() // strace is slow, and waits
	folder := memoryFolder(t)
	o := order{Path: filepath.Join(folder, "queue"), Options: cutLimit, Look: true, Compact: ph.compacts, Sealed: ph.sealed}
	p := newPromises()
	p.sealed = ph.sealed
	if ph.kept > 0 {
		must(t, p.fill(t.Context(), o.Path, o.Options.options(), ph.kept, ph.ended))
	}
	if ph.schema1 {
		must(t, p.schema1(o.Path))
	}
	d, err := load(folder, 0)
	must(t, err)
	out, err := record(t, o, p, inject...).replay(d, states, rand.New(rand.NewPCG(7, 0)), memoryFolder(t))
	must(t, err)
	if (ph.compacts || ph.schema1) && d.renames == 0 {
		t.Error("no file has taken the other's place")
	}
	r.Cycles, r.Violations, r.Promises = out.states, out.violations, out.promises
	gatetest.Tell(t, r, out.why)
}

// schema1 lays down the file that the program before schema 2 has made: items
// 1 to 6 of 700 bytes times their number; 1 is finished, 4 is parked.
func (p *promises) schema1(path string) error {
	packed, err := os.Open("../testdata/schema1.db.gz")
	if err != nil {
		return err
	}
	defer packed.Close()
	r, err := gzip.NewReader(packed)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	for n := 1; n <= 6; n++ {
		p.stored[n] = true
	}
	p.finished[1], p.parked[4] = true, true
	p.body = func(n int) []byte { return bytes.Repeat([]byte{byte(n)}, 700*n) }
	return os.WriteFile(path, b, 0o600)
}

// fill makes a queue that keeps so many items, and has ended so many others.
func (p *promises) fill(ctx context.Context, path string, o queue.Options, kept, ended int) error {
	q, err := open(ctx, path, o, p.sealed)
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
