// Package ledgertest holds the duties of every make of a ledger, as two suites:
// Run for what it must do, Crash for what it must survive. Cluster starts three
// real servers on this machine to run them over.
package ledgertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"kosk/cmd/bus/ledger"
)

// A Ledger is a ledger that can be closed and can check itself.
type Ledger interface {
	ledger.Ledger
	Verify(ctx context.Context) (entries int, err error)
	Close() error
}

// Open opens the ledger of one place: a second time what the first has left.
type Open func(t testing.TB) Ledger

// Run is the suite of duties. place makes a new, empty place.
func Run(t *testing.T, place func(t *testing.T) Open) {
	for name, duty := range map[string]func(*testing.T, Open){
		"append once and read after reopening":  appendOnce,
		"any key has a place of its own":        anyKey,
		"limits":                                limits,
		"many appenders, one entry a key":       manyAppenders,
		"known keys in a backlog harm nobody":   knownInBacklog,
		"wait sees the entry or the end":        waits,
		"each is in order and can be stopped":   each,
		"like a map, whatever is done in a row": likeAMap,
	} {
		t.Run(name, func(t *testing.T) { duty(t, place(t)) })
	}
}

// opened opens a ledger and closes it after the test.
func opened(t *testing.T, open Open) Ledger {
	t.Helper()
	l := open(t)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return l
}

func put(t *testing.T, l ledger.Ledger, key, body string) (ledger.Entry, bool) {
	t.Helper()
	e, created, err := l.Append(t.Context(), key, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return e, created
}

// verified checks that the ledger holds n entries, whole and in order.
func verified(t *testing.T, l Ledger, n int) {
	t.Helper()
	if got, err := l.Verify(t.Context()); err != nil || got != n {
		t.Errorf("verify: %d entries, %v; want %d", got, err, n)
	}
}

func appendOnce(t *testing.T, open Open) {
	l := open(t)
	first, created := put(t, l, "a", "one")
	if !created || first.Seq != 1 || first.Previous != [32]byte{} {
		t.Errorf("first entry: created %v, %+v", created, first)
	}
	second, _ := put(t, l, "b", "")
	if !second.Follows(first) {
		t.Error("the second entry isn't bound to the first")
	}
	again := func(l Ledger) {
		t.Helper()
		if e, created := put(t, l, "a", "one"); created || e != first {
			t.Errorf("again: created %v, %+v, want %+v", created, e, first)
		}
		if e, created, err := l.Append(t.Context(), "a", []byte("two")); !errors.Is(err, ledger.ErrConflict) || created || e != first {
			t.Errorf("another body: %+v %v %v", e, created, err)
		}
		if e, body, err := l.Get(t.Context(), "a"); err != nil || e != first || string(body) != "one" {
			t.Errorf("get: %+v %q %v", e, body, err)
		}
		if e, body, err := l.Get(t.Context(), "b"); err != nil || e != second || len(body) != 0 {
			t.Errorf("get an empty body: %+v %q %v", e, body, err)
		}
		if _, _, err := l.Get(t.Context(), "c"); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("a key that isn't there: %v", err)
		}
	}
	again(l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = opened(t, open)
	again(l)
	if third, created := put(t, l, "c", "three"); !created || !third.Follows(second) {
		t.Errorf("after reopening: created %v, %+v", created, third)
	}
	verified(t, l, 3)
}

func anyKey(t *testing.T, open Open) {
	l := opened(t, open)
	keys := []string{
		"", "%", "%25", ".", "..", "a.b", "a/b", "/", "*", ">", "a b", "ə", "\x00", "\xff", "\r\n", "$JS", "A", "a",
		strings.Repeat("k", ledger.MaxKey), strings.Repeat(".", ledger.MaxKey),
	}
	for i, key := range keys {
		if e, created := put(t, l, key, fmt.Sprint(i)); !created || e.Key != key {
			t.Errorf("%q: created %v, %q", key, created, e.Key)
		}
	}
	for i, key := range keys {
		if e, body, err := l.Get(t.Context(), key); err != nil || e.Key != key || string(body) != fmt.Sprint(i) {
			t.Errorf("%q: %+v %q %v", key, e, body, err)
		}
	}
	verified(t, l, len(keys))
}

func limits(t *testing.T, open Open) {
	l := opened(t, open)
	for name, err := range map[string]error{
		"key": func() error {
			_, _, err := l.Append(t.Context(), strings.Repeat("k", ledger.MaxKey+1), nil)
			return err
		}(),
		"body": func() error { _, _, err := l.Append(t.Context(), "k", make([]byte, ledger.MaxBody+1)); return err }(),
	} {
		if !errors.Is(err, ledger.ErrTooLong) {
			t.Errorf("%s over the limit: %v", name, err)
		}
	}
	if _, _, err := l.Get(t.Context(), strings.Repeat("k", ledger.MaxKey+1)); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("get of a key over the limit: %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, _, err := l.Append(ended, "k", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("append after the end: %v", err)
	}
	var all sync.WaitGroup
	for i := range 4 { // the longest, several at once: they can't all be in one batch
		body := bytes.Repeat([]byte{byte(i), 1, 2}, ledger.MaxBody)[:ledger.MaxBody]
		all.Go(func() {
			key := fmt.Sprint("long", i)
			if _, _, err := l.Append(t.Context(), key, body); err != nil {
				t.Error(err)
			} else if _, got, err := l.Get(t.Context(), key); err != nil || !bytes.Equal(got, body) {
				t.Errorf("%d bytes came back: %v", len(got), err)
			}
		})
	}
	all.Wait()
	verified(t, l, 4)
}

func manyAppenders(t *testing.T, open Open) {
	l := opened(t, open)
	const keys, writers = 60, 5
	var mu sync.Mutex
	created := map[string]int{}
	seqs := map[string]uint64{}
	var all sync.WaitGroup
	for i := range keys * writers {
		key := fmt.Sprint("k", i%keys)
		body := key
		if i >= keys*(writers-1) {
			body = "another" // who comes first wins
		}
		all.Go(func() {
			e, mine, err := l.Append(t.Context(), key, []byte(body))
			if err != nil && !errors.Is(err, ledger.ErrConflict) {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if mine {
				created[key]++
			}
			if at, ok := seqs[key]; ok && at != e.Seq {
				t.Errorf("%s is at %d and at %d", key, at, e.Seq)
			}
			seqs[key] = e.Seq
		})
	}
	all.Wait()
	for i := range keys {
		if key := fmt.Sprint("k", i); created[key] != 1 {
			t.Errorf("%s was created %d times", key, created[key])
		}
	}
	verified(t, l, keys)
}

func knownInBacklog(t *testing.T, open Open) {
	l := opened(t, open)
	const keys = 120
	first := map[string]ledger.Entry{}
	for i := 0; i < keys; i += 5 {
		key := fmt.Sprint("k", i)
		first[key], _ = put(t, l, key, key)
	}
	var all sync.WaitGroup
	for i := range keys {
		key := fmt.Sprint("k", i)
		all.Go(func() {
			e, created, err := l.Append(t.Context(), key, []byte(key))
			was, known := first[key]
			if err != nil || created == known || known && e != was {
				t.Errorf("%s: created %v, known %v, %v", key, created, known, err)
			}
		})
	}
	all.Wait()
	verified(t, l, keys)
}

func waits(t *testing.T, open Open) {
	l := opened(t, open)
	got := make(chan ledger.Entry, 3)
	for range cap(got) {
		go func() {
			e, err := l.Wait(t.Context(), "late")
			if err != nil {
				t.Error(err)
			}
			got <- e
		}()
	}
	put(t, l, "early", "")
	want, _ := put(t, l, "late", "x")
	for range cap(got) {
		if e := <-got; e != want {
			t.Errorf("got %+v", e)
		}
	}
	if e, err := l.Wait(t.Context(), "early"); err != nil || e.Seq != 1 {
		t.Errorf("what is there already: %+v %v", e, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := l.Wait(ctx, "never"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func each(t *testing.T, open Open) {
	l := opened(t, open)
	if err := l.Each(t.Context(), 0, func(ledger.Entry) error { return errors.New("seen") }); err != nil {
		t.Errorf("nothing to see: %v", err)
	}
	var want []ledger.Entry
	for i := range 20 {
		e, _ := put(t, l, fmt.Sprint("k", i), "x")
		want = append(want, e)
	}
	for _, after := range []uint64{0, 1, 7, 19, 20, 21} {
		var got []ledger.Entry
		err := l.Each(t.Context(), after, func(e ledger.Entry) error { got = append(got, e); return nil })
		if err != nil || !slices.Equal(got, want[min(int(after), len(want)):]) {
			t.Errorf("after %d: %d entries, %v", after, len(got), err)
		}
	}
	stop, n := errors.New("stop"), 0
	if err := l.Each(t.Context(), 0, func(ledger.Entry) error { n++; return stop }); !errors.Is(err, stop) || n != 1 {
		t.Errorf("stopped: %v after %d", err, n)
	}
}

func likeAMap(t *testing.T, open Open) {
	l := open(t)
	defer func() { _ = l.Close() }() // what counts is checked before
	model, place := map[string]string{}, map[string]uint64{}
	rapid.Check(t, func(r *rapid.T) {
		r.Repeat(map[string]func(*rapid.T){
			"append": func(r *rapid.T) {
				key, body := rapid.StringMatching("[a-e.*]{0,3}").Draw(r, "key"), rapid.StringMatching("[xy]?").Draw(r, "body")
				e, created, err := l.Append(t.Context(), key, []byte(body))
				held, known := model[key]
				switch {
				case !known && (err != nil || !created || e.Seq != uint64(len(model)+1)):
					r.Fatalf("new: %+v %v %v", e, created, err)
				case known && (created || e.Seq != place[key] || errors.Is(err, ledger.ErrConflict) != (held != body)):
					r.Fatalf("known: %+v %v %v", e, created, err)
				case !known:
					model[key], place[key] = body, e.Seq
				}
			},
			"get": func(r *rapid.T) {
				key := rapid.StringMatching("[a-e.*]{0,3}").Draw(r, "key")
				e, body, err := l.Get(t.Context(), key)
				if held, known := model[key]; known && (err != nil || string(body) != held || e.Seq != place[key]) ||
					!known && !errors.Is(err, ledger.ErrNotFound) {
					r.Fatalf("%+v %q %v", e, body, err)
				}
			},
			"reopen": func(r *rapid.T) {
				if rapid.IntRange(0, 20).Draw(r, "dice") != 0 {
					return
				}
				if err := l.Close(); err != nil {
					r.Fatal(err)
				}
				l = open(t)
			},
		})
	})
	verified(t, l, len(model))
}
