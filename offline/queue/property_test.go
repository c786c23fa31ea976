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

// Random operations on a queue and a map have the same effect, also when the
// queue is closed and opened in between.
func TestTheQueueIsAMap(t *testing.T) {
	dir, runs := t.TempDir(), 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		path, ctx := filepath.Join(dir, fmt.Sprint(runs)), context.Background()
		m := &model{items: map[string]offline.Item{}, sent: map[string]int{}, state: map[string]State{}, receipt: map[string][]byte{}, block: map[string]bool{}}
		options := Options{MaxSize: 1 << 20, CompactOver: 1}
		q, stop := running(t, path, options)
		defer func() { stop(); os.Remove(path) }()
		some := func() string { return id(rapid.IntRange(0, 11).Draw(rt, "id")) }
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(rt *rapid.T) {
				i := offline.Item{
					ID: some(), Stream: rapid.StringMatching("[abc]").Draw(rt, "stream"),
					Class:   offline.Class(rapid.IntRange(0, 2).Draw(rt, "class")),
					Refused: offline.Policy(rapid.IntRange(0, 1).Draw(rt, "policy")), Trace: rapid.SampledFrom([]string{"", trace}).Draw(rt, "trace"),
					TTL:  time.Duration(rapid.Int64Range(0, 1<<40).Draw(rt, "ttl")),
					Body: rapid.SliceOfN(rapid.Byte(), 1, 6000).Draw(rt, "body"),
				}
				err := q.Put(ctx, i)
				switch old, known := m.items[i.ID]; {
				case known && !bytes.Equal(old.Body, i.Body):
					expect(rt, "put", err, offline.ErrConflict)
				case known:
					expect(rt, "put", err, nil)
				default:
					expect(rt, "put", err, nil)
					m.items[i.ID], m.state[i.ID] = i, Queued
					m.puts, m.block[i.ID] = append(m.puts, i.ID), i.Refused == offline.Block
				}
			},
			"sending": func(rt *rapid.T) {
				id := some()
				if m.state[id] == Queued {
					m.sent[id]++
					expect(rt, "sending", q.Sending(ctx, id), nil)
				} else {
					expect(rt, "sending", q.Sending(ctx, id), offline.ErrNotFound)
				}
			},
			"done": func(rt *rapid.T) {
				id := some()
				r := rapid.SliceOfN(rapid.Byte(), 1, 500).Draw(rt, "receipt")
				switch m.state[id] {
				case Queued:
					expect(rt, "done", q.Done(ctx, id, r), nil)
					m.state[id], m.receipt[id] = Finished, r
				case Finished:
					expect(rt, "done", q.Done(ctx, id, r), nil)
				default:
					expect(rt, "done", q.Done(ctx, id, r), offline.ErrNotFound)
				}
			},
			"park": func(rt *rapid.T) {
				id := some()
				if m.state[id] != Queued {
					expect(rt, "park", q.Park(ctx, id, "x"), offline.ErrNotFound)
					return
				}
				expect(rt, "park", q.Park(ctx, id, "x"), nil)
				m.state[id] = Parked
			},
			"requeue": func(rt *rapid.T) {
				id := some()
				if m.state[id] != Parked {
					expect(rt, "requeue", q.Requeue(ctx, id), offline.ErrNotFound)
					return
				}
				expect(rt, "requeue", q.Requeue(ctx, id), nil)
				m.state[id] = Queued
			},
			"release": func(rt *rapid.T) {
				id := some()
				if m.state[id] != Parked {
					expect(rt, "release", q.Release(ctx, id), offline.ErrNotFound)
					return
				}
				expect(rt, "release", q.Release(ctx, id), nil)
				m.block[id] = false
			},
			"compact": func(rt *rapid.T) {
				_, err := q.Compact(ctx)
				expect(rt, "compact", err, nil)
			},
			"reopen": func(rt *rapid.T) {
				stop()
				q, stop = running(t, path, options)
			},
			"": func(rt *rapid.T) { m.compare(rt, q) },
		})
	})
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
