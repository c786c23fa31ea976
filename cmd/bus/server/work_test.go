package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kosk/cmd/bus/ledger"
)

// faltering is a ledger that takes no decision for a while.
type faltering struct {
	ledger.Ledger
	why  error
	left atomic.Int64
}

func (f *faltering) Append(ctx context.Context, key string, body []byte) (ledger.Entry, bool, error) {
	if strings.HasPrefix(key, outcomePrefix) && f.left.Add(-1) >= 0 {
		return ledger.Entry{}, false, f.why
	}
	return f.Ledger.Append(ctx, key, body)
}

func TestWorkThatFailedIsTriedAgain(t *testing.T) {
	for _, why := range []error{ledger.ErrUnavailable, errors.New("no room for it")} {
		f := &faltering{why: why}
		f.left.Store(2)
		b := open(t, t.TempDir(), func(c *Config) { f.Ledger, c.Ledger = c.Ledger, f })
		k := b.station("KIOSK-001")
		d := draftOf(k, 0)
		if resp, v := k.ask(http.MethodPut, path(d), k.seal(d)); resp.StatusCode != http.StatusCreated {
			t.Fatalf("%v: %s %v", why, resp.Status, v)
		}
		if resp, v := k.ask(http.MethodGet, path(d)+"?wait=20", nil); resp.StatusCode != http.StatusOK || v["state"] != stateDone {
			t.Errorf("%v: %s %v, want it done", why, resp.Status, v["state"])
		}
		if n := strings.Count(b.log.String(), "work failed"); n != 2 {
			t.Errorf("%v: the log tells of %d failures, want 2", why, n)
		}
	}
}

// A request is opened once, on its way in; only what the first try left undone, or
// a restart, is opened again. What was open is not kept.
func TestARequestIsOpenedOnce(t *testing.T) {
	counted := &reads{}
	b := open(t, t.TempDir(), func(c *Config) { counted.Ledger, c.Ledger = c.Ledger, counted })
	k := b.station("KIOSK-001")
	decide := func() {
		t.Helper()
		d := draftOf(k, 0)
		if resp, v := k.ask(http.MethodPut, path(d), k.seal(d)); resp.StatusCode != http.StatusCreated {
			t.Fatalf("%s %v", resp.Status, v)
		}
		b.decides(b.Server.accepted.Load())
	}
	decide()
	if n := counted.found.Load(); n != 0 {
		t.Errorf("read again %d times", n)
	}
	b.work.mu.Lock()
	b.work.room = 0
	b.work.mu.Unlock()
	decide()
	if n := counted.found.Load(); n != 1 {
		t.Errorf("without room for it read again %d times, want 1", n)
	}
	b.work.mu.Lock()
	defer b.work.mu.Unlock()
	if len(b.work.open) != 0 {
		t.Errorf("%d are open still", len(b.work.open))
	}
}

// decides waits until the agencies have decided so many requests.
func (b *bench) decides(n int64) {
	b.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); b.Server.effects.Load() < n; <-tick.C {
		if time.Now().After(end) {
			b.t.Fatal("never decided")
		}
	}
}

// reads counts the submissions that are read from the ledger.
type reads struct {
	ledger.Ledger
	found atomic.Int64
}

func (r *reads) Get(ctx context.Context, key string) (ledger.Entry, []byte, error) {
	e, b, err := r.Ledger.Get(ctx, key)
	if err == nil && strings.HasPrefix(key, submissionPrefix) {
		r.found.Add(1)
	}
	return e, b, err
}

// BenchmarkOpening is what one request costs this process in all, the client and
// the bus, from its arrival to its decision: once with what was opened kept until
// then, once opened again.
func BenchmarkOpening(b *testing.B) {
	for _, bb := range []struct {
		name string
		room int
	}{{"opened once", openAtOnce}, {"opened twice", 0}} {
		b.Run(bb.name, func(b *testing.B) {
			bus := open(b, b.TempDir())
			bus.work.room = bb.room
			k := bus.station("KIOSK-001")
			paths, sealed := make([]string, b.N), make([][]byte, b.N)
			for i := range b.N {
				d := draftOf(k, 0)
				paths[i], sealed[i] = path(d), k.seal(d)
			}
			begin := cpu(b)
			b.ResetTimer()
			for i := range b.N {
				if resp, err := k.try(http.MethodPut, paths[i], sealed[i]); err != nil || resp.StatusCode != http.StatusCreated {
					b.Fatal(err)
				} else if _, err := io.Copy(io.Discard, resp.Body); err != nil {
					b.Fatal(err)
				} else if err := resp.Body.Close(); err != nil {
					b.Fatal(err)
				}
			}
			bus.decides(int64(b.N))
			b.ReportMetric(float64(cpu(b)-begin)/float64(time.Millisecond)/float64(b.N), "cpu-ms/op")
		})
	}
}

// cpu is what this process has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// slowWalks is a ledger through which every walk but the first, that of the start,
// waits.
type slowWalks struct {
	ledger.Ledger
	walks atomic.Int64
	let   chan struct{}
}

func (s *slowWalks) Each(ctx context.Context, after uint64, seen func(ledger.Entry) error) error {
	if s.walks.Add(1) > 1 {
		select {
		case <-s.let:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return s.Ledger.Each(ctx, after, seen)
}

// A bus that has just started takes and decides at once; only what needs all that was
// before asks to come again.
func TestServesBeforeAllIsRead(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir)
	k := first.station("KIOSK-001")
	old := draftOf(k, 0)
	if resp, v := k.ask(http.MethodPut, path(old), k.seal(old)); resp.StatusCode != http.StatusCreated {
		t.Fatalf("%s %v", resp.Status, v)
	}
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	slow := &slowWalks{let: make(chan struct{})}
	k.bench = open(t, dir, func(c *Config) { slow.Ledger, c.Ledger = c.Ledger, slow })
	d := draftOf(k, 0)
	if resp, v := k.ask(http.MethodPut, path(d), k.seal(d)); resp.StatusCode != http.StatusCreated {
		t.Fatalf("%s %v", resp.Status, v)
	}
	if resp, v := k.ask(http.MethodGet, path(d)+"?wait=20", nil); v["state"] != stateDone {
		t.Errorf("%s %v", resp.Status, v)
	}
	list := base + "/v1/submissions?since=0"
	if resp, v := k.ask(http.MethodGet, list, nil); resp.StatusCode != http.StatusServiceUnavailable || v["reason"] != reasonBusy || resp.Header.Get("Retry-After") == "" {
		t.Errorf("list: %s %v", resp.Status, v)
	}
	close(slow.let)
	resp, v := k.ask(http.MethodGet, list, nil)
	for end := time.Now().Add(time.Minute); resp.StatusCode == http.StatusServiceUnavailable && time.Now().Before(end); { // a busy machine reads slowly
		resp, v = k.ask(http.MethodGet, list, nil)
	}
	if all, _ := v["submissions"].([]any); resp.StatusCode != http.StatusOK || len(all) != 2 {
		t.Errorf("list: %s %v", resp.Status, v)
	}
}
