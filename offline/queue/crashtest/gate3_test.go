package crashtest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"kosk/offline/queue/gatetest"
)

// A replayed run is the calls of a child, and what was on the disk before.
type replayed struct {
	folder string // as the child knew it
	calls  []*call
	limit  size
	before *promises // what the queue had promised before
}

// A moment is the begin or the end of a call.
type moment struct {
	line int
	call *call
	ends bool
}

// moments are those of calls that concern the folder, or say a promise.
func (r *replayed) moments(d *disk) []moment {
	var all []moment
	for _, c := range r.calls {
		if !d.concerns(c) && (c.name != "write" || c.descriptor(0) != "1") {
			continue
		}
		all = append(all, moment{c.begin, c, false})
		if c.end != 0 {
			all = append(all, moment{c.end, c, true})
		}
	}
	// A call on one line begins before it ends: the sort is stable.
	slices.SortStableFunc(all, func(a, b moment) int { return a.line - b.line })
	return all
}

// outcome counts the states and those that break a promise.
type outcome struct {
	states, violations, promises int
	why                          []string
}

// replay goes through the run, cuts the power at so many moments, and opens
// what the disk may hold then. d holds what was there before the run. The last
// lag syncs of it are lies.
func (r *replayed) replay(d *disk, states int, dice *rand.Rand, dir string) (o outcome, err error) {
	moments := r.moments(d)
	cuts := map[int]int{}
	for range states {
		cuts[dice.IntN(len(moments))]++
	}
	p := r.before.copy()
	for i, m := range moments {
		switch {
		case !m.ends && m.call.name == "write" && m.call.descriptor(0) == "1":
			line, err := m.call.bytes(1)
			if err != nil {
				return o, err
			}
			if err := p.note(string(line[:len(line)-1])); err != nil {
				return o, err
			}
		case m.ends:
			err = d.ends(m.call)
		default:
			err = d.begins(m.call)
		}
		if err != nil {
			return o, err
		}
		for range cuts[i] {
			if err := write(dir, d.cut(dice)); err != nil {
				return o, err
			}
			o.states++
			if why := p.broken(filepath.Join(dir, "queue"), r.limit.options()); len(why) > 0 {
				o.violations++
				o.why = append(o.why, fmt.Sprintf("after line %d: %s", m.line, why[0]))
			}
		}
	}
	o.promises = len(p.stored)
	return o, nil
}

// record runs a child under strace on a copy of the folder's files as they are.
func record(t *testing.T, o order, before *promises, inject ...string) *replayed {
	t.Helper()
	trace := filepath.Join(t.TempDir(), "trace")
	p := newPromises()
	must(t, p.watch(t.Context(), o, strace(trace, inject...), nil))
	if !p.ended {
		t.Fatalf("the recorded child did not end well: %q", p.complaints)
	}
	f, err := os.Open(trace)
	must(t, err)
	defer f.Close()
	calls, err := parseTrace(f)
	must(t, err)
	return &replayed{folder: filepath.Dir(o.Path), calls: calls, limit: o.Options, before: before}
}

const replayLimit = size(2 << 20)

// noSync has strace answer in the place of the kernel that all is synced.
var noSync = []string{"-e", "inject=fdatasync,fsync:retval=0"}

// Gate 3: whatever sectors a power cut leaves of what was not yet synced, the
// queue opens and has what it has acknowledged.
func TestGate3WhatADiskMayHoldAfterACutKeepsEveryPromise(t *testing.T) {
	const gate = "3.replay"
	needTrace(t, gate)
	states := gatetest.Scale(100, 8000)
	for _, c := range []struct {
		name   string
		lag    int
		inject []string
		states int
	}{
		{gate, 0, nil, states},
		{gate + ".control.lying-disk", 4, nil, max(50, states/10)},
		{gate + ".control.no-sync", 0, noSync, max(50, states/10)},
	} {
		t.Run(c.name, func(t *testing.T) {
			total, dice := outcome{}, rand.New(rand.NewPCG(3, uint64(c.lag)))
			const perRun = 1000
			for from := 0; total.states < c.states; from += 1000 {
				folder := memoryFolder(t)
				d, err := load(folder, c.lag)
				must(t, err)
				run := record(t, order{Path: filepath.Join(folder, "queue"), From: from, Puts: 40, Options: replayLimit}, newPromises(), c.inject...)
				o, err := run.replay(d, min(perRun, c.states-total.states), dice, memoryFolder(t))
				must(t, err)
				total.states += o.states
				total.violations += o.violations
				total.promises += o.promises
				total.why = append(total.why, o.why...)
			}
			gatetest.Tell(t, gatetest.Result{Gate: c.name, Cycles: total.states, Violations: total.violations, Promises: total.promises, Control: c.lag > 0 || c.inject != nil}, total.why)
		})
	}
}

func FuzzParseTrace(f *testing.F) {
	f.Add([]byte("7 openat(4, \"\\x2f\\x61\\x2f\\x62\", O_CREAT) = 3\n7 ftruncate(3<\\x2f\\x61\\x2f\\x62>, 9) = 0\n"))
	f.Add([]byte("12 pwrite64(3<\\x2f\\x61>, \"\\x00\\x01\", 2, 8192) = 2\n"))
	f.Add([]byte("12 fdatasync(3<\\x2f\\x61> <unfinished ...>\n13 close(4) = 0\n12 <... fdatasync resumed>) = 0 (INJECTED)\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		calls, err := parseTrace(bytes.NewReader(b))
		if err != nil {
			return
		}
		d := newDisk("/a", 0)
		for _, c := range calls {
			if c.end != 0 && c.end < c.begin {
				t.Errorf("line %d ends at %d", c.begin, c.end)
			}
			if d.begins(c) != nil || d.ends(c) != nil {
				return
			}
		}
	})
}
