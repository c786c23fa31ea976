package queue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"kosk/offline"
)

// A model is what the queue should be: a list and some maps.
type model struct {
	puts    []string // all, by order of Put
	block   map[string]bool
	items   map[string]offline.Item
	sent    map[string]int
	state   map[string]State
	receipt map[string][]byte
}

// heads are the first of every stream that nothing holds back, by rank.
func (m *model) heads() (ids []string) {
	rank := map[string]int{}
	seen, held := map[string]bool{}, map[string]bool{}
	for n, id := range m.puts {
		i := m.items[id]
		switch {
		case m.state[id] == Parked && m.block[id]:
			held[i.Stream] = true
		case m.state[id] == Queued && !seen[i.Stream]:
			seen[i.Stream] = true
			if !held[i.Stream] {
				ids = append(ids, id)
				rank[id] = n + int(i.Class)*Ageing
			}
		}
	}
	slices.SortStableFunc(ids, func(a, b string) int { return rank[a] - rank[b] })
	return ids
}

func (m *model) count(s State) (n int) {
	for _, is := range m.state {
		if is == s {
			n++
		}
	}
	return n
}

// A trial is a queue, and the model that it is held against.
type trial struct {
	*model
	q    *Queue
	stop func()
	ctx  context.Context
	path string
}

// Random operations on a queue and a map have the same effect, also when the
// queue is closed and opened in between.
func TestTheQueueIsAMap(t *testing.T) {
	dir, runs := inMemory(t), 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		m := &model{items: map[string]offline.Item{}, sent: map[string]int{}, state: map[string]State{}, receipt: map[string][]byte{}, block: map[string]bool{}}
		r := &trial{model: m, ctx: context.Background(), path: filepath.Join(dir, fmt.Sprint(runs))}
		r.open(t)
		defer func() { r.stop(); os.Remove(r.path) }()
		rt.Repeat(map[string]func(*rapid.T){
			"put": r.put, "sending": r.sending, "done": r.done, "park": r.park, "requeue": r.requeue, "release": r.release,
			"compact": func(rt *rapid.T) {
				_, err := r.q.Compact(r.ctx)
				expect(rt, "compact", err, nil)
			},
			"reopen": func(*rapid.T) {
				r.stop()
				r.open(t)
			},
			"": func(rt *rapid.T) { m.compare(rt, r.q) },
		})
	})
}

func (r *trial) open(t *testing.T) {
	r.q, r.stop = running(t, r.path, Options{MaxSize: 1 << 20, CompactOver: 1})
}

func some(rt *rapid.T) string { return id(rapid.IntRange(0, 11).Draw(rt, "id")) }

func (r *trial) put(rt *rapid.T) {
	i := offline.Item{
		ID: some(rt), Stream: rapid.StringMatching("[abc]").Draw(rt, "stream"),
		Class:   offline.Class(rapid.IntRange(0, 2).Draw(rt, "class")),
		Refused: offline.Policy(rapid.IntRange(0, 1).Draw(rt, "policy")),
		Trace:   rapid.SampledFrom([]string{"", trace}).Draw(rt, "trace"),
		TTL:     time.Duration(rapid.Int64Range(0, 1<<40).Draw(rt, "ttl")),
		Body:    rapid.SliceOfN(rapid.Byte(), 1, 6000).Draw(rt, "body"),
	}
	err := r.q.Put(r.ctx, i)
	switch old, known := r.items[i.ID]; {
	case known && !bytes.Equal(old.Body, i.Body):
		expect(rt, "put", err, offline.ErrConflict)
	case known:
		expect(rt, "put", err, nil)
	default:
		expect(rt, "put", err, nil)
		r.items[i.ID], r.state[i.ID] = i, Queued
		r.puts, r.block[i.ID] = append(r.puts, i.ID), i.Refused == offline.Block
	}
}

// from expects err to be nil if the item is in the state that the operation
// needs, and says whether it is.
func (r *trial) from(rt *rapid.T, what, id string, needs State, err error) bool {
	if r.state[id] == needs {
		expect(rt, what, err, nil)
		return true
	}
	expect(rt, what, err, offline.ErrNotFound)
	return false
}

func (r *trial) sending(rt *rapid.T) {
	id := some(rt)
	if r.from(rt, "sending", id, Queued, r.q.Sending(r.ctx, id)) {
		r.sent[id]++
	}
}

func (r *trial) done(rt *rapid.T) {
	id := some(rt)
	receipt := rapid.SliceOfN(rapid.Byte(), 1, 500).Draw(rt, "receipt")
	err := r.q.Done(r.ctx, id, receipt)
	if r.state[id] == Finished {
		expect(rt, "done", err, nil)
	} else if r.from(rt, "done", id, Queued, err) {
		r.state[id], r.receipt[id] = Finished, receipt
	}
}

func (r *trial) park(rt *rapid.T) {
	id := some(rt)
	if r.from(rt, "park", id, Queued, r.q.Park(r.ctx, id, "x")) {
		r.state[id] = Parked
	}
}

func (r *trial) requeue(rt *rapid.T) {
	id := some(rt)
	if r.from(rt, "requeue", id, Parked, r.q.Requeue(r.ctx, id)) {
		r.state[id] = Queued
	}
}

func (r *trial) release(rt *rapid.T) {
	id := some(rt)
	if r.from(rt, "release", id, Parked, r.q.Release(r.ctx, id)) {
		r.block[id] = false
	}
}

func expect(rt *rapid.T, what string, got, want error) {
	rt.Helper()
	if !errors.Is(got, want) || want == nil && got != nil {
		rt.Fatalf("%s: %v, not %v", what, got, want)
	}
}

// compare holds the queue against the model.
func (m *model) compare(rt *rapid.T, q *Queue) {
	var got []string
	if err := q.Heads(func(e Entry) bool { got = append(got, e.ID); return true }); err != nil {
		rt.Fatal(err)
	}
	if d := cmp.Diff(m.heads(), got); d != "" {
		rt.Fatalf("heads: %s", d)
	}
	for n := range 12 {
		f, err := q.Find(id(n))
		if _, known := m.items[id(n)]; !known {
			expect(rt, "find", err, offline.ErrNotFound)
			continue
		}
		want := m.items[id(n)]
		if err != nil || f.State != m.state[id(n)] || f.Attempts != m.sent[id(n)] && f.State != Finished || !bytes.Equal(f.Receipt, m.receipt[id(n)]) {
			rt.Fatalf("item %d: %+v, %v", n, f, err)
		}
		if f.State == Finished {
			continue
		}
		if body, err := q.Load(f.Entry); err != nil || !bytes.Equal(body, want.Body) || f.MaybeSent != (f.Attempts > 0) ||
			f.Trace != want.Trace || f.TTL != want.TTL || f.Class != want.Class || (f.Refused == offline.Block) != m.block[id(n)] {
			rt.Fatalf("item %d: body of %d bytes, %v", n, len(body), err)
		}
	}
	s, err := q.Stats()
	if err != nil || s.Queued != m.count(Queued) || s.Parked != m.count(Parked) || s.Receipts != m.count(Finished) || s.Oldest.IsZero() != (s.Queued == 0) {
		rt.Fatalf("stats %+v, %v", s, err)
	}
}
