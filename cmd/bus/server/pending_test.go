package server

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kosk/cmd/bus/ledger"
	"kosk/cmd/bus/ledger/jetstream"
	"kosk/cmd/bus/registry"
)

// pending is a ledger in which so many requests wait for a decision, older than what
// is listed by station.
type pending struct {
	ledger.Ledger
	n       int
	body    []byte
	decided atomic.Int64
	first   chan struct{} // closed at the first decision
	once    sync.Once
}

func (p *pending) Each(_ context.Context, _ uint64, seen func(ledger.Entry) error) error {
	at := time.Now().Add(-2 * listedFor)
	for i := range p.n {
		if err := seen(ledger.Entry{Seq: uint64(i + 1), Key: submissionKey(fmt.Sprintf("01K9%022d", i)), At: at}); err != nil {
			return err
		}
	}
	return nil
}

func (p *pending) Get(context.Context, string) (ledger.Entry, []byte, error) {
	return ledger.Entry{}, p.body, nil
}

func (p *pending) Append(context.Context, string, []byte) (ledger.Entry, bool, error) {
	p.once.Do(func() { close(p.first) })
	p.decided.Add(1)
	return ledger.Entry{}, true, nil
}

// BenchmarkPending starts a bus that has a million requests to decide: how long until
// its listeners could open, until the first is decided, and what it takes, at most,
// in the three seconds after that.
func BenchmarkPending(b *testing.B) {
	reg, err := registry.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	bus := open(b, b.TempDir())
	k := bus.station("KIOSK-001")
	body := packSubmission(k.name, k.seal(draftOf(k, 0)))
	var opened, first time.Duration
	var memory runtime.MemStats
	most, goroutines := uint64(0), 0
	for range b.N {
		p := &pending{n: 1_000_000, body: body, first: make(chan struct{})}
		runtime.GC()
		runtime.ReadMemStats(&memory)
		before := memory.HeapInuse + memory.StackInuse
		begin := time.Now()
		s, err := New(b.Context(), Config{Registry: reg, Ledger: p, Log: slog.New(slog.DiscardHandler), Provider: provider})
		if err != nil {
			b.Fatal(err)
		}
		s.Registry = bus.Registry // whose keys open the body
		opened += time.Since(begin)
		ctx, cancel := context.WithCancel(b.Context())
		var running sync.WaitGroup
		running.Go(func() { s.runWork(ctx) })
		<-p.first
		first += time.Since(begin)
		for range 30 {
			time.Sleep(100 * time.Millisecond)
			runtime.ReadMemStats(&memory)
			most, goroutines = max(most, memory.HeapInuse+memory.StackInuse-before), max(goroutines, runtime.NumGoroutine())
		}
		cancel()
		running.Wait()
		if err := s.messages.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(opened.Seconds()/float64(b.N), "open-s")
	b.ReportMetric(first.Seconds()/float64(b.N), "first-s")
	b.ReportMetric(float64(most)/(1<<20), "MiB")
	b.ReportMetric(float64(goroutines), "goroutines")
}

// BenchmarkRestart makes a server over a real ledger in which so many young requests
// wait for a decision: what a restart costs for each, before anybody is served.
func BenchmarkRestart(b *testing.B) {
	const n = 10_000
	reg, err := registry.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	book, err := jetstream.Open(b.Context(), jetstream.Config{Dir: filepath.Join(b.TempDir(), "ledger"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	body := packSubmission("KIOSK-001", make([]byte, 2400))
	var all sync.WaitGroup
	for w := range 256 {
		all.Go(func() {
			for i := w; i < n; i += 256 {
				if _, _, err := book.Append(b.Context(), submissionKey(fmt.Sprintf("01K9%022d", i)), body); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
	b.ResetTimer()
	for range b.N {
		s, err := New(b.Context(), Config{Registry: reg, Ledger: book, Log: slog.New(slog.DiscardHandler), Provider: provider})
		if err != nil {
			b.Fatal(err)
		}
		if waiting := s.Load().Waiting; waiting != n {
			b.Fatalf("%d wait", waiting)
		}
		if err := s.messages.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/n, "us/request")
	b.StopTimer()
	if err := book.Close(); err != nil {
		b.Fatal(err)
	}
}
