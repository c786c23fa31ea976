package queue

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kosk/offline"
)

// BenchmarkPut measures puts of a queue that has been in use, against a plain
// file that is appended to and synced: see ofRaw. Producers that are many share
// the file's syncs too.
func BenchmarkPut(b *testing.B) {
	for _, c := range loads {
		b.Run(fmt.Sprintf("size=%d/producers=%d", c.size, c.producers), func(b *testing.B) {
			var s speed
			b.SetBytes(int64(c.size))
			for b.Loop() {
				s = ofRaw(b, c, 600, 0)
			}
			b.ReportMetric(s.ours, "puts/s")
			b.ReportMetric(s.theirs, "raw/s")
			b.ReportMetric(s.share(50), "of-raw")
			b.ReportMetric(s.share(25), "of-raw-p25")
			b.ReportMetric(s.share(75), "of-raw-p75")
		})
	}
}

// A load is a way to put, and what gate 8 asks of it.
type load struct {
	size, producers int
	least           float64 // share of the raw file's speed
	written         float64 // bytes on the disk for each byte, at most
}

var loads = []load{{2048, 1, 0.35, 16}, {2048, 8, 0.40, 6}, {65536, 1, 0.50, 1.6}}

// A speed is that of a queue beside that of a file.
type speed struct {
	ours, theirs float64   // puts a second
	shares       []float64 // ours of theirs, turn by turn, in ascending order
}

func (s speed) share(percent int) float64 { return s.shares[(len(s.shares)-1)*percent/100] }

// ofRaw lets the queue and the file put in short turns, one after the other,
// because disks are shared and their moods change from one millisecond to the
// next. Whoever is first in one turn is second in the next. It does so with several
// pairs of files, because an append costs what the place of its file on the disk makes
// it cost: a fifth more or less. After each put come so many commits more: a control.
func ofRaw(tb testing.TB, l load, turns, more int) speed {
	const pairs = 4
	var all speed
	var ours, theirs time.Duration
	for range pairs {
		s, mine, his := pairOfRaw(tb, l, turns/pairs, more)
		all.shares = append(all.shares, s...)
		ours, theirs = ours+mine, theirs+his
	}
	slices.Sort(all.shares)
	puts := float64(turns / pairs * pairs * turnPuts * l.producers)
	all.ours, all.theirs = puts/ours.Seconds(), puts/theirs.Seconds()
	return all
}

// turnPuts are the puts of each producer in a turn.
const turnPuts = 4

// pairOfRaw is ofRaw with one pair of files. It returns the share of each turn, and what both took.
func pairOfRaw(tb testing.TB, l load, turns, more int) (shares []float64, ours, theirs time.Duration) {
	q, stop := running(tb, filepath.Join(tb.TempDir(), "queue"), Options{MaxSize: 256 << 20})
	defer stop()
	raw := newRaw(tb, l.size)
	var n atomic.Int64
	n.Store(int64(worn(tb, q, l.size)))
	body := bytes.Repeat([]byte{1}, l.size)
	put := func() error {
		i := int(n.Add(1))
		err := q.Put(tb.Context(), offline.Item{ID: id(i), Stream: fmt.Sprint(i), Body: body})
		for range more {
			err = errors.Join(err, q.Sending(tb.Context(), id(i)))
		}
		return err
	}
	from := int(n.Load())
	for t := range turns {
		var mine, his time.Duration
		if t%2 == 0 {
			mine = race(tb, l.producers, turnPuts, put)
		}
		his = race(tb, l.producers, turnPuts, raw.append)
		if t%2 == 1 {
			mine = race(tb, l.producers, turnPuts, put)
		}
		ours, theirs, shares = ours+mine, theirs+his, append(shares, his.Seconds()/mine.Seconds())
		if t%16 == 15 {
			finish(tb, q, from+1, int(n.Load()))
			from = int(n.Load())
		}
	}
	return shares, ours, theirs
}

// worn has as much go through the queue as leaves pages free, and leaves a
// backlog of 200 items. It returns how many numbers were used.
func worn(tb testing.TB, q *Queue, size int) int {
	const backlog, through = 200, 300
	var wg sync.WaitGroup
	for p := range 10 {
		wg.Go(func() {
			for i := p; i < backlog+through; i += 10 {
				if err := q.Put(tb.Context(), offline.Item{ID: id(i), Stream: fmt.Sprint(i), Body: bytes.Repeat([]byte{1}, size)}); err != nil {
					tb.Error(err)
				}
			}
		})
	}
	wg.Wait()
	finish(tb, q, backlog, backlog+through-1)
	return backlog + through
}

// finish finishes the items from first to last.
func finish(tb testing.TB, q *Queue, first, last int) {
	var wg sync.WaitGroup
	for p := range 16 {
		wg.Go(func() {
			for i := first + p; i <= last; i += 16 {
				if err := q.Done(tb.Context(), id(i), []byte("receipt")); err != nil {
					tb.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkCommit counts what commits cost the disk: see traced.
func BenchmarkCommit(b *testing.B) {
	for _, c := range loads {
		b.Run(fmt.Sprintf("size=%d/producers=%d", c.size, c.producers), func(b *testing.B) {
			if _, err := exec.LookPath("strace"); err != nil {
				b.Skip(err)
			}
			var cost cost
			for b.Loop() {
				cost = traced(b, c, "")
			}
			b.ReportMetric(cost.syncs, "syncs/commit")
			b.ReportMetric(cost.written, "written/byte")
		})
	}
}

// race has the producers do the work, each so many times.
func race(tb testing.TB, producers, times int, do func() error) time.Duration {
	start := time.Now()
	var wg sync.WaitGroup
	for range producers {
		wg.Go(func() {
			for range times {
				if err := do(); err != nil {
					tb.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

// raw is the peer: append, fdatasync, with group commit when there are many.
type raw struct {
	file *os.File
	body []byte

	mu      sync.Mutex
	waiting []chan error
	busy    bool
}

func newRaw(tb testing.TB, size int) *raw {
	f, err := os.Create(filepath.Join(tb.TempDir(), "raw"))
	must(tb, err)
	tb.Cleanup(func() { f.Close() })
	return &raw{file: f, body: bytes.Repeat([]byte{1}, size)}
}

func (r *raw) append() error {
	done := make(chan error, 1)
	r.mu.Lock()
	r.waiting = append(r.waiting, done)
	leader := !r.busy
	r.busy = true
	r.mu.Unlock()
	for leader {
		r.mu.Lock()
		group := r.waiting
		r.waiting = nil
		if len(group) == 0 {
			r.busy, leader = false, false
		}
		r.mu.Unlock()
		if len(group) == 0 {
			break
		}
		_, err := r.file.Write(bytes.Repeat(r.body, len(group)))
		if err == nil {
			err = unix.Fdatasync(int(r.file.Fd()))
		}
		for _, g := range group {
			g <- err
		}
	}
	return <-done
}
