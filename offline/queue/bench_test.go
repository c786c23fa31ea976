package queue

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kosk/offline"
)

// BenchmarkPut measures puts of the queue against a plain file that is appended
// to and synced, in turns within one run, because disks are shared and moods
// change. "ratio" is the queue's speed as a share of the file's: bbolt syncs
// twice a commit, so one producer can't pass 0.5.
func BenchmarkPut(b *testing.B) {
	for _, c := range []struct{ size, producers int }{{2048, 1}, {2048, 8}, {65536, 1}} {
		b.Run(fmt.Sprintf("size=%d/producers=%d", c.size, c.producers), func(b *testing.B) {
			benchmarkPut(b, c.size, c.producers)
		})
	}
}

func benchmarkPut(b *testing.B, size, producers int) {
	q, _ := running(b, filepath.Join(b.TempDir(), "queue"), Options{MaxSize: 1 << 30})
	raw := newRaw(b, size)
	body := bytes.Repeat([]byte{1}, size)
	var n atomic.Int64
	put := func() error {
		i := int(n.Add(1))
		return q.Put(b.Context(), offline.Item{ID: id(i), Stream: fmt.Sprint(i), Body: body})
	}
	var ours, theirs time.Duration
	const turn = 64
	rounds := (b.N + turn - 1) / turn
	b.SetBytes(int64(size))
	b.ResetTimer()
	for range rounds {
		ours += race(b, producers, turn, put)
		b.StopTimer()
		theirs += race(b, producers, turn, raw.append)
		b.StartTimer()
	}
	b.ReportMetric(float64(rounds*turn)/ours.Seconds(), "puts/s")
	b.ReportMetric(float64(rounds*turn)/theirs.Seconds(), "raw/s")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "ratio")
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
