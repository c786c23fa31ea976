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

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"kosk/offline"
)

// A model is what the queue should be: a list and some maps.
type model struct {
	order   []string // queued, by order of Put
	items   map[string]offline.Item
	sent    map[string]int
	state   map[string]State
	receipt map[string][]byte
}

// heads are the first of every stream, by class and then by order.
func (m *model) heads() (ids []string) {
	for class := offline.Waiting; class <= offline.Whenever; class++ {
		seen := map[string]bool{}
		for _, id := range m.order {
			i := m.items[id]
			if !seen[i.Stream] && i.Class == class {
				ids = append(ids, id)
			}
			seen[i.Stream] = true
		}
	}
	return ids
}

func (m *model) leave(id string) {
	m.order = slices.DeleteFunc(m.order, func(o string) bool { return o == id })
}

// Random operations on a queue and a map have the same effect, also when the
// queue is closed and opened in between.
func TestTheQueueIsAMap(t *testing.T) {
	dir, runs := t.TempDir(), 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		path, ctx := filepath.Join(dir, fmt.Sprint(runs)), context.Background()
		m := &model{items: map[string]offline.Item{}, sent: map[string]int{}, state: map[string]State{}, receipt: map[string][]byte{}}
		q, stop := running(t, path, Options{MaxSize: 1 << 20})
		defer func() { stop(); os.Remove(path) }()
		some := func() string { return id(rapid.IntRange(0, 11).Draw(rt, "id")) }
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(rt *rapid.T) {
				i := offline.Item{
					ID: some(), Stream: rapid.StringMatching("[abc]").Draw(rt, "stream"),
					Class: offline.Class(rapid.IntRange(0, 2).Draw(rt, "class")),
					Body:  rapid.SliceOfN(rapid.Byte(), 1, 6000).Draw(rt, "body"),
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
					m.order = append(m.order, i.ID)
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
					m.leave(id)
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
				m.leave(id)
			},
			"reopen": func(rt *rapid.T) {
				stop()
				q, stop = running(t, path, Options{MaxSize: 1 << 20})
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
		if body, err := q.Load(f.Entry); err != nil || !bytes.Equal(body, want.Body) || f.MaybeSent != (f.Attempts > 0) {
			rt.Fatalf("item %d: body of %d bytes, %v", n, len(body), err)
		}
	}
	s, err := q.Stats()
	if err != nil || s.Queued != len(m.order) || s.Queued+s.Parked+s.Receipts != len(m.items) || s.Oldest.IsZero() != (s.Queued == 0) {
		rt.Fatalf("stats %+v, %v", s, err)
	}
}
