package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"kosk/cmd/bus/ledger/jetstream"
	"kosk/cmd/bus/registry"
	"kosk/cmd/bus/server"
	"kosk/device/request"
	"kosk/offline"
	"kosk/offline/courier"
	"kosk/offline/queue"
)

// serveHere runs a bus in this process until the test ends.
func serveHere(t *testing.T, dir string) (url string, control server.Control) {
	t.Helper()
	reg, err := registry.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	book, err := jetstream.Open(t.Context(), jetstream.Config{Dir: filepath.Join(dir, "ledger"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s, err := server.New(ctx, server.Config{
		Registry: reg, Ledger: book, Log: slog.New(slog.DiscardHandler), Dialect: server.DialectNew,
		Provider: server.Provider{Instance: "AZ-TEST", Class: "GOV", Member: "10001", Subsystem: "kiosk"},
	})
	if err != nil {
		t.Fatal(err)
	}
	kiosks, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	control.Socket = filepath.Join(dir, "bus.sock")
	commands, err := server.ListenControl(control.Socket)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, kiosks, commands) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, book.Close()); err != nil {
			t.Error(err)
		}
	})
	return "https://" + kiosks.Addr().String(), control
}

// A carried kiosk is what delivers: the queue's file, and what a visit leaves in it.
type carried struct {
	t      *testing.T
	e      *enrolled
	p      *process
	file   string
	bodies map[string][32]byte // by id: what was put
	order  []string
}

// put stores n requests as visits do, in streams of a few each.
func (k *carried) put(q *queue.Queue, n int) {
	k.t.Helper()
	for range n {
		s := k.e.newRequest(k.t)
		k.bodies[string(s.id)] = sha256.Sum256(s.body)
		k.order = append(k.order, string(s.id))
		item := offline.Item{ID: string(s.id), Stream: fmt.Sprint(len(k.order) % 7), Body: s.body}
		if err := q.Put(k.t.Context(), item); err != nil {
			k.t.Fatal(err)
		}
	}
}

// life runs queue and courier, as the kiosk does from one start to the next
// end, until enough is content with how it goes.
func (k *carried) life(during func(*queue.Queue), enough func(courier.Stats) bool) courier.Stats {
	k.t.Helper()
	q, err := queue.Open(k.file, queue.Options{Station: "KIOSK-001"})
	if err != nil {
		k.t.Fatal(err)
	}
	c, err := courier.New(courier.Options{
		Queue: q, Bus: k.e.open(k.t, k.p), Log: slog.New(slog.DiscardHandler), FirstContact: 1,
		Verify: func(id string, body, receipt []byte) error {
			return request.CheckReceipt(receipt, k.e.receipt, id, sha256.Sum256(body))
		},
	})
	if err != nil {
		k.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(k.t.Context(), time.Minute)
	var all sync.WaitGroup
	all.Go(func() { k.must(q.Run(ctx)) })
	all.Go(func() { k.must(c.Run(ctx)) })
	during(q)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	stats := courier.Stats{}
	for ctx.Err() == nil {
		stats, err = c.Stats()
		k.must(err)
		if enough(stats) {
			break
		}
		<-tick.C
	}
	k.must(ctx.Err())
	cancel()
	all.Wait()
	k.must(q.Close())
	return stats
}

func (k *carried) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Error(err)
	}
}

// TestCourierThroughFaults puts the parts of the real line together: requests
// sealed as a visit seals them, the durable queue, the courier, the X-Road
// client, the reference bus. The bus loses answers after it has applied what
// was sent, answers with nonsense, is slow, is down, and shows a stranger's
// certificate; the kiosk ends in the middle and starts again.
func TestCourierThroughFaults(t *testing.T) {
	const first, second = 40, 20
	dir := t.TempDir()
	url, control := serveHere(t, dir)
	p := &process{t: t, dir: dir, url: url}
	k := &carried{
		t: t, p: p, e: enrol(t, p), file: filepath.Join(t.TempDir(), "queue.db"), bodies: map[string][32]byte{},
	}
	fault := func(f server.Fault) {
		t.Helper()
		if _, err := control.SetFault(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	fault(server.Fault{Name: "lost-answer", Service: "intake", Times: 12})
	fault(server.Fault{Name: "wrong-schema", Service: "intake", Times: 3})
	fault(server.Fault{Name: "slow", Service: "intake", Times: 3, Delay: 200 * time.Millisecond})
	one := k.life(func(q *queue.Queue) { k.put(q, first) }, func(s courier.Stats) bool { return s.Delivered >= first/4 })

	fault(server.Fault{Name: "lost-answer", Service: "intake", Times: 8})
	fault(server.Fault{Name: "down", Service: "intake", Times: 2})
	fault(server.Fault{Name: server.FaultWrongCertificate, Times: 2})
	two := k.life(func(q *queue.Queue) { k.put(q, second) }, func(s courier.Stats) bool { return s.Queue.Queued == 0 })

	if n := one.Delivered + two.Delivered; n > first+second || two.Queue.Receipts != first+second {
		t.Errorf("%d delivered, %d receipts kept, want %d", n, two.Queue.Receipts, first+second)
	}
	if one.Recovered+two.Recovered == 0 {
		t.Error("no lost answer was asked for")
	}
	if one.Parked+two.Parked+two.Queue.Parked+one.Unverified+two.Unverified != 0 {
		t.Errorf("parked or unverified: %+v, %+v", one, two)
	}
	k.allOnce(control)
	st := p.status()
	if len(st.Faults) != 0 {
		t.Errorf("not all faults acted: %+v", st.Faults)
	}
	t.Logf("%d requests: %d recovered by asking, %d retries, %d duplicates at the bus",
		len(k.order), one.Recovered+two.Recovered, one.Retries+two.Retries, st.Duplicates)
}

// allOnce checks both ends: every receipt in the kiosk is the bus's own word for
// that very body, and the bus has applied every request once.
func (k *carried) allOnce(control server.Control) {
	k.t.Helper()
	q, err := queue.Open(k.file, queue.Options{})
	if err != nil {
		k.t.Fatal(err)
	}
	defer q.Close()
	line := k.e.open(k.t, k.p)
	places := map[uint64]string{}
	for _, id := range k.order {
		f, err := q.Find(id)
		if err != nil || f.State != queue.Finished {
			k.t.Fatalf("%s: %+v, %v", id, f.State, err)
		}
		k.must(request.CheckReceipt(f.Receipt, k.e.receipt, id, k.bodies[id]))
		r, err := request.VerifyReceipt(f.Receipt, k.e.receipt)
		k.must(err)
		if other, taken := places[r.Seq]; taken {
			k.t.Errorf("%s and %s have the same place in the ledger", id, other)
		}
		places[r.Seq] = id
		progress, err := line.Await(k.t.Context(), id, offline.Accepted)
		for err == nil && progress.Stage == offline.Accepted {
			progress, err = line.Await(k.t.Context(), id, offline.Accepted)
		}
		if err != nil || progress.Stage != offline.Done || len(progress.Outcome) == 0 {
			k.t.Errorf("%s: %v, %v", id, progress.Stage, err)
		}
	}
	st, err := control.Status(k.t.Context())
	k.must(err)
	if n := int64(len(k.order)); st.Accepted != n || st.Effects != n {
		k.t.Errorf("accepted %d, effects %d, want %d of each", st.Accepted, st.Effects, n)
	}
}

// A refusal for good is not lost either: it is set aside with its reason, and
// what follows in its stream goes on.
func TestCourierSetsAsideWhatTheBusRefuses(t *testing.T) {
	dir := t.TempDir()
	url, control := serveHere(t, dir)
	p := &process{t: t, dir: dir, url: url}
	k := &carried{
		t: t, p: p, e: enrol(t, p), file: filepath.Join(t.TempDir(), "queue.db"), bodies: map[string][32]byte{},
	}
	if _, err := control.SetFault(t.Context(), server.Fault{Name: "refuse", Service: "intake", Times: 1}); err != nil {
		t.Fatal(err)
	}
	stats := k.life(func(q *queue.Queue) { k.put(q, 8) }, func(s courier.Stats) bool { return s.Queue.Queued == 0 && s.Delivered+s.Parked == 8 })
	st := p.status()
	if stats.Parked != 1 || stats.Delivered != 7 || st.Accepted != 7 || st.Effects > 7 {
		t.Errorf("%+v; the bus accepted %d", stats, st.Accepted)
	}
}
