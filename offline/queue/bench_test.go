package queue

import (
	"bytes"
	"fmt"
	"os"
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
// file that is appended to and synced, in turns within one run, because disks are
// shared and moods change. "of-raw" is the queue's speed as a share of the
// file's, in the median turn: bbolt syncs twice a commit. Producers that are
// many share the file's syncs too.
func BenchmarkPut(b *testing.B) {
	for _, c := range []struct{ size, producers int }{{2048, 1}, {2048, 8}, {65536, 1}} {
		b.Run(fmt.Sprintf("size=%d/producers=%d", c.size, c.producers), func(b *testing.B) {
			benchmarkPut(b, c.size, c.producers)
		})
	}
}

func benchmarkPut(b *testing.B, size, producers int) {
	const turn, rounds = 64, 40
	q, _ := running(b, filepath.Join(b.TempDir(), "queue"), Options{MaxSize: 256 << 20})
	raw := newRaw(b, size)
	used := worn(b, q, size)
	var n atomic.Int64
	n.Store(int64(used))
	body := bytes.Repeat([]byte{1}, size)
	put := func() error {
		i := int(n.Add(1))
		return q.Put(b.Context(), offline.Item{ID: id(i), Stream: fmt.Sprint(i), Body: body})
	}
	var ours, theirs time.Duration
	var ratios []float64
	b.SetBytes(int64(size))
	for b.Loop() {
		ours, theirs, ratios = 0, 0, nil
		for range rounds {
			from := int(n.Load())
			mine := race(b, producers, turn, put)
			his := race(b, producers, turn, raw.append)
			ours, theirs, ratios = ours+mine, theirs+his, append(ratios, his.Seconds()/mine.Seconds())
			finish(b, q, from+1, int(n.Load()))
		}
	}
	slices.Sort(ratios)
	b.ReportMetric(turn*rounds/ours.Seconds(), "puts/s")
	b.ReportMetric(turn*rounds/theirs.Seconds(), "raw/s")
	b.ReportMetric(ratios[rounds/2], "of-raw")
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
	for _, c := range []struct{ size, producers int }{{2048, 1}, {2048, 8}, {65536, 1}} {
		b.Run(fmt.Sprintf("size=%d/producers=%d", c.size, c.producers), func(b *testing.B) {
			var cost cost
			for b.Loop() {
				cost = traced(b, c.size, c.producers)
			}
			b.ReportMetric(cost.syncs, "syncs/commit")
			b.ReportMetric(cost.written, "written/byte")
		})
	}
}

// race has the producers do the work together, turn times in all.
func race(b *testing.B, producers, turn int, do func() error) time.Duration {
	start := time.Now()
	var wg sync.WaitGroup
	for range producers {
		wg.Go(func() {
			for range turn / producers {
				if err := do(); err != nil {
					b.Error(err)
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

func newRaw(b *testing.B, size int) *raw {
	f, err := os.Create(filepath.Join(b.TempDir(), "raw"))
	must(b, err)
	b.Cleanup(func() { f.Close() })
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
