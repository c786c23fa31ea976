package courier_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kosk/offline/bus"
	"kosk/offline/bus/bustest"
	"kosk/offline/courier"
	"kosk/offline/queue"
)

// Over real TLS, with every fifth answer lost after the bus has applied it, and
// with a stop, a cut line and an impostor in between, everything takes effect
// once. (bustest itself fails the test when an id comes with another body.)
func TestEverythingArrivesOnceThoughAnswersAreLost(t *testing.T) {
	b := bustest.Start(t)
	b.Chance(0.2, bustest.ApplyAndCut)
	path := filepath.Join(t.TempDir(), "queue")
	const items, streams = 120, 15
	var want []string

	run := func(until func(courier.Stats) bool, during func(q *queue.Queue)) (s courier.Stats) {
		q, err := queue.Open(path, queue.Options{})
		must(t, err)
		client, err := bus.Open(bus.Options{
			URL: b.URL(), Instance: bustest.Instance, Client: bustest.Client, Service: bustest.Service, TLS: b.TLS(),
		})
		must(t, err)
		c, err := courier.New(courier.Options{Queue: q, Bus: client, Verify: b.Verify, FirstContact: 1})
		must(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
		var all sync.WaitGroup
		all.Go(func() { must(t, q.Run(ctx)) })
		all.Go(func() { must(t, c.Run(ctx)) })
		during(q)
		for tick := time.NewTicker(10 * time.Millisecond); ; {
			s, err = c.Stats()
			must(t, err)
			if until(s) || ctx.Err() != nil {
				tick.Stop()
				break
			}
			<-tick.C
		}
		must(t, ctx.Err())
		cancel()
		all.Wait()
		client.Close()
		must(t, q.Close())
		return s
	}

	run(func(s courier.Stats) bool { return s.Delivered >= items/4 }, func(q *queue.Queue) {
		for n := range items {
			must(t, q.Put(t.Context(), item(n, fmt.Sprint(n%streams))))
			want = append(want, id(n))
		}
	})
	b.SetImpostor(true)
	b.SetDown(true)
	last := run(func(s courier.Stats) bool { return s.LineKnown && s.Queue.Queued == 0 }, func(*queue.Queue) {
		time.AfterFunc(300*time.Millisecond, func() { b.SetDown(false) })
		time.AfterFunc(600*time.Millisecond, func() { b.SetImpostor(false) })
	})

	got := b.Applied()
	for s := range streams {
		of := func(ids []string) (mine []string) {
			for _, i := range ids {
				var n int
				fmt.Sscanf(i[20:], "%d", &n)
				if n%streams == s {
					mine = append(mine, i)
				}
			}
			return mine
		}
		if d := cmp.Diff(of(want), of(got)); d != "" {
			t.Errorf("stream %d: %s", s, d)
		}
	}
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if last.Recovered == 0 || last.Parked > 0 || last.Unverified > 0 {
		t.Errorf("%+v", last)
	}
	t.Logf("%d submissions sent for %d items", b.Calls(bustest.Submit), items)
}
