package crashtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kosk/offline/queue/gatetest"
)

// An injection makes a child's n-th call of some kind fail, for each n.
type injection struct {
	name  string
	calls string
	what  string // "error=EIO"
	on    string // "%d": the n-th alone; "%d+": from the n-th on
	heard bool   // the child must say that something went wrong: bbolt's commits sync by fdatasync
}

var injections = []injection{
	{"eio-at-commit", "fdatasync", "error=EIO", "%d", true},
	{"eio-at-sync", "fsync", "error=EIO", "%d", false},
	{"eio-at-write", "pwrite64", "error=EIO", "%d", false},
	{"kill-at-write", "pwrite64", "signal=KILL", "%d", false},
	{"kill-at-sync", "fdatasync", "signal=KILL", "%d", false},
	{"kill-at-other", "fsync,ftruncate,renameat,openat", "signal=KILL", "%d", false},
	{"enospc-once", "pwrite64,ftruncate", "error=ENOSPC", "%d", false},
	{"enospc-from-then-on", "pwrite64,ftruncate", "error=ENOSPC", "%d+", false},
}

// Gate 4: a failing call, a kill in front of any call, a full disk: nothing that
// was acknowledged is lost, and no failed sync goes unheard.
func TestGate4AnyFailingCallKeepsEveryPromise(t *testing.T) {
	const gate = "4.inject"
	needTrace(t, gate)
	const puts = 4
	for _, i := range injections {
		t.Run(i.name, func(t *testing.T) {
			t.Parallel() // strace is slow, and waits
			r, why := i.run(t, order{Puts: puts, Options: cutLimit}, min(17, gatetest.Scale(17, 1)))
			r.Gate = gate + "." + i.name
			gatetest.Tell(t, r, why)
		})
	}
	t.Run("control", func(t *testing.T) {
		i := injection{"", "pwrite64", "error=EIO", "%d", false}
		r, why := i.run(t, order{Puts: puts, Options: cutLimit, Lie: lieDeaf}, min(17, gatetest.Scale(17, 3)))
		r.Gate, r.Control = gate+".control.errors-unheard", true
		gatetest.Tell(t, r, why)
	})
}

// run injects at every step-th n, until the child does no n-th call any more:
// on a new queue, and on one that was there before.
func (i injection) run(t *testing.T, o order, step int) (r gatetest.Result, why []string) {
	t.Helper()
	for _, old := range []bool{false, true} {
		for n := 1; ; n += step {
			dir := memoryFolder(t)
			o.Path = filepath.Join(dir, "queue")
			p := newPromises()
			if old {
				must(t, p.watch(t.Context(), order{Path: o.Path, Puts: 2, Options: o.Options}, nil, nil))
				o.From = perCycle
			}
			hit, broken := i.at(t, n, o, p)
			if !hit {
				break
			}
			r.Cycles++
			r.Promises += len(p.stored)
			if len(broken) > 0 {
				r.Violations++
				why = append(why, fmt.Sprintf("%s the %d-th time: %s", i.what, n, broken[0]))
			}
		}
	}
	return r, why
}

// at injects at the n-th call, and reports whether there was one.
func (i injection) at(t *testing.T, n int, o order, p *promises) (hit bool, broken []string) {
	t.Helper()
	p.ended = false
	trace := filepath.Join(t.TempDir(), "trace")
	below := []string{
		"strace", "-f", "-qq", "-s", "0", "-e", "signal=none", "-e", "trace=" + i.calls,
		"-e", fmt.Sprintf("inject=%s:%s:when="+i.on, i.calls, i.what, n), "-o", trace,
	}
	if !strings.HasPrefix(i.what, "signal") { // with which strace 6.1 injects no signals
		below = append(below, "--seccomp-bpf")
	}
	must(t, p.watch(t.Context(), o, below, nil))
	text, err := os.ReadFile(trace)
	must(t, err)
	if !strings.Contains(string(text), "(INJECTED)") && (p.ended || len(p.complaints) > 0) {
		return false, nil
	}
	broken = p.broken(o.Path, o.Options.options())
	if i.heard && len(p.complaints) == 0 {
		broken = append(broken, "the failure went unheard")
	}
	return true, broken
}
