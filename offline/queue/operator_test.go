package queue

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kosk/offline"
)

func TestARefusedItemBlocksItsStreamIfThatIsItsPolicy(t *testing.T) {
	path, ctx := filepath.Join(inMemory(t), "queue"), t.Context()
	q, stop := running(t, path, Options{})
	first, second := item(1, "blocks", 10), item(2, "blocks", 10)
	first.Refused, second.Refused = offline.Block, offline.Block
	for _, i := range []offline.Item{first, second, item(3, "skips", 10), item(4, "skips", 10)} {
		must(t, q.Put(ctx, i))
	}
	must(t, q.Park(ctx, id(1), "not_entitled"))
	must(t, q.Park(ctx, id(3), "not_entitled"))
	want := func(when string, ids ...string) {
		t.Helper()
		if d := cmp.Diff(ids, heads(t, q)); d != "" {
			t.Errorf("%s: %s", when, d)
		}
	}
	want("parked", id(4))
	if s, err := q.Stats(); err != nil || s.Blocked != 1 || s.Parked != 2 || s.Queued != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	stop()
	q, stop = running(t, path, Options{})
	want("opened anew", id(4))
	must(t, q.Requeue(ctx, id(3)))
	want("requeued where the next was due", id(3))
	must(t, q.Requeue(ctx, id(1)))
	want("requeued", id(1), id(3))
	must(t, q.Park(ctx, id(1), "again"))
	must(t, q.Release(ctx, id(1)))
	want("released", id(2), id(3))
	for what, err := range map[string]error{
		"requeue what is queued":   q.Requeue(ctx, id(2)),
		"release what is queued":   q.Release(ctx, id(2)),
		"requeue what is not here": q.Requeue(ctx, id(9)),
	} {
		if !errors.Is(err, offline.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	stop()
	q, stop = running(t, path, Options{})
	want("released, and opened anew", id(2), id(3))
	stop()
}

// Nobody starves: an item of the last class is overtaken by 2*Ageing later ones
// of the first, and by no more.
func TestAnOldItemOfALowClassPrecedesNewOnesOfAHighClass(t *testing.T) {
	q, _ := running(t, filepath.Join(inMemory(t), "queue"), Options{})
	put := func(n int, c offline.Class) {
		i := item(n, fmt.Sprint(n), 1)
		i.Class = c
		must(t, q.Put(t.Context(), i))
	}
	put(0, offline.Whenever)
	put(1, offline.Today)
	for n := 2; n < 300; n++ {
		put(n, offline.Waiting)
	}
	place := map[string]int{}
	for i, id := range heads(t, q) {
		place[id] = i
	}
	if len(place) != 300 || place[id(1)] != Ageing-1 || place[id(0)] != 2*Ageing-1 {
		t.Errorf("of %d, today is at %d, whenever at %d", len(place), place[id(1)], place[id(0)])
	}
}

func TestExpiryIsSaidAndNeverOfWhatMayHaveBeenSent(t *testing.T) {
	var trusted atomic.Bool
	q, _ := running(t, filepath.Join(inMemory(t), "queue"), Options{ClockTrusted: trusted.Load})
	ctx, later := t.Context(), time.Now().Add(2*time.Hour)
	early := item(4, "s", 10) // by a clock that nobody vouches for
	early.TTL = time.Hour
	must(t, q.Put(ctx, early))
	trusted.Store(true)
	for n := range 4 {
		i := item(n, "s", 10)
		i.TTL = time.Hour
		if n == 3 {
			i.TTL = 0
		}
		must(t, q.Put(ctx, i))
	}
	must(t, q.Sending(ctx, id(0)))
	if err := q.Park(ctx, id(0), offline.ReasonExpired); !errors.Is(err, ErrItem) {
		t.Errorf("expire what may have been sent: %v", err)
	}
	if ids, err := q.Expire(ctx, time.Now()); err != nil || len(ids) != 0 {
		t.Errorf("before its time: %v, %v", ids, err)
	}
	trusted.Store(false)
	if ids, err := q.Expire(ctx, later); err != nil || len(ids) != 0 {
		t.Errorf("by a clock that nobody vouches for any more: %v, %v", ids, err)
	}
	trusted.Store(true)
	ids, err := q.Expire(ctx, later)
	if d := cmp.Diff([]string{id(1), id(2)}, ids); d != "" || err != nil {
		t.Errorf("%s, %v", d, err)
	}
	f, err := q.Find(id(1))
	if err != nil || f.State != Parked || f.Reason != offline.ReasonExpired {
		t.Errorf("%+v, %v", f, err)
	}
	for _, n := range []int{0, 4} {
		if f, err = q.Find(id(n)); err != nil || f.State != Queued || f.Expired(later) {
			t.Errorf("%+v, %v", f, err)
		}
	}
}

func TestWhatAnOperatorSees(t *testing.T) {
	path, ctx := filepath.Join(inMemory(t), "queue"), t.Context()
	l := &safe{mask: 3}
	q, stop := sealed(t, path, Options{}, l)
	for n := range 6 {
		i := item(n, fmt.Sprint(n), 5000)
		i.Class = offline.Class(n % 3)
		must(t, q.Put(ctx, i))
	}
	must(t, q.Put(ctx, func() offline.Item { i := item(0, "0", 5000); i.Class = 0; return i }()))
	must(t, q.Done(ctx, id(5), []byte("r")))
	must(t, q.Park(ctx, id(4), "conflict"))
	s, err := q.Stats()
	must(t, err)
	if s.Class != [3]int{2, 1, 1} || s.Delivered != 1 || s.Duplicates != 1 || s.Commits < 8 || s.CommitMax < s.CommitP50 || s.CommitP50 == 0 {
		t.Errorf("stats %+v", s)
	}
	if s.FileBytes < 5*5000 || s.FileBytes > s.Bound || s.OldestOf[1].IsZero() || s.Oldest.After(s.OldestOf[1]) {
		t.Errorf("stats %+v", s)
	}
	look(t, q)
	if _, err := OpenReader(ctx, path, Options{LockWait: time.Millisecond}, l); !errors.Is(err, ErrInUse) {
		t.Errorf("beside a running kiosk: %v", err)
	}
	stop()
	before, err := os.ReadFile(path)
	must(t, err)
	r, err := OpenReader(ctx, path, Options{}, l)
	must(t, err)
	look(t, r)
	if err := r.Park(ctx, id(0), "x"); !errors.Is(err, ErrReadOnly) {
		t.Errorf("park: %v", err)
	}
	must(t, r.Close())
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("reading changed the file: %v", err)
	}
	r, err = OpenReader(ctx, path, Options{}, nil)
	must(t, err)
	if f, err := r.Find(id(0)); err != nil || !f.Sealed {
		t.Errorf("notes without a key: %+v", f)
	}
	must(t, r.Close())
}

func look(t *testing.T, q *Queue) {
	t.Helper()
	for _, c := range []struct {
		filter Filter
		want   []string
	}{
		{Filter{}, []string{id(0), id(1), id(2), id(3), id(4), id(5)}},
		{Filter{States: []State{Parked}}, []string{id(4)}},
		{Filter{States: []State{Queued}, Class: []offline.Class{offline.Waiting}}, []string{id(0), id(3)}},
		{Filter{Before: time.Now().Add(-time.Hour)}, nil},
	} {
		list, err := q.List(c.filter)
		must(t, err)
		var got []string
		for _, f := range list {
			got = append(got, f.ID)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%+v: %s", c.filter, d)
		}
	}
	var b bytes.Buffer
	must(t, q.Export(id(4), &b))
	head, body, _ := bytes.Cut(b.Bytes(), []byte("\n"))
	var e export
	if err := json.Unmarshal(head, &e); err != nil || e.ID != id(4) || e.State != "parked" || e.Reason != "conflict" || !bytes.Equal(body, item(4, "", 5000).Body) {
		t.Errorf("export %s: %+v, %v", head, e, err)
	}
	if err := q.Export(id(5), &b); !errors.Is(err, offline.ErrNotFound) {
		t.Errorf("export of what is gone: %v", err)
	}
	c, err := q.Check()
	if err != nil || c.Items != 5 || c.Receipts != 1 || c.Bytes != 25_000 || len(c.Damaged) != 0 {
		t.Errorf("check %+v, %v", c, err)
	}
	if f, err := q.Show(id(4)); err != nil || f.Reason != "conflict" {
		t.Errorf("show %+v, %v", f, err)
	}
}

func TestCompactionKeepsEverythingAndGivesPagesBack(t *testing.T) {
	path, ctx := filepath.Join(inMemory(t), "queue"), t.Context()
	q, stop := running(t, path, Options{CompactOver: 4 << 20})
	if done, err := q.Compact(ctx); err != nil || done {
		t.Errorf("a small file: %v, %v", done, err)
	}
	for n := range 300 {
		must(t, q.Put(ctx, item(n, fmt.Sprint(n%7), 30_000)))
	}
	for n := range 280 {
		must(t, q.Done(ctx, id(n), []byte("receipt")))
	}
	before, err := os.Stat(path)
	must(t, err)
	reading := make(chan error)
	readCtx, endReading := context.WithCancel(ctx)
	go func() { // somebody reads meanwhile
		var err error
		for readCtx.Err() == nil && err == nil {
			_, err = q.Find(id(290))
		}
		reading <- err
	}()
	began := time.Now()
	done, err := q.Compact(ctx)
	took := time.Since(began)
	endReading()
	must(t, <-reading)
	after, statErr := os.Stat(path)
	if err != nil || !done || statErr != nil || after.Size() > before.Size()/3 {
		t.Errorf("%v, %v: from %d to %d bytes", done, err, before.Size(), after.Size())
	}
	t.Logf("from %d to %d bytes in %v", before.Size(), after.Size(), took)
	still := func() {
		t.Helper()
		for n := 280; n < 300; n++ {
			f, err := q.Find(id(n))
			must(t, err)
			if body, err := q.Load(f.Entry); err != nil || !bytes.Equal(body, item(n, "", 30_000).Body) {
				t.Errorf("item %d: %v", n, err)
			}
		}
		if f, err := q.Find(id(5)); err != nil || string(f.Receipt) != "receipt" {
			t.Errorf("%+v, %v", f, err)
		}
	}
	still()
	must(t, q.Put(ctx, item(300, "s", 100)))
	if f, err := q.Find(id(300)); err != nil || f.Seq != 301 {
		t.Errorf("the next item: %+v, %v", f, err)
	}
	stop()
	q, stop = running(t, path, Options{CompactOver: 1})
	still()
	stop()
	if left, err := filepath.Glob(path + ".*"); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Only a file over 64 MB of which more than half is free is worth the writing.
func TestWhatIsCompacted(t *testing.T) {
	o, err := Options{}.withDefaults()
	must(t, err)
	for _, c := range []struct {
		size, used int64 // pages
		want       bool
	}{
		{64_000_000 / pageSize, 1, false}, {64_000_000/pageSize + 1, 1, true}, {20_000, 9_999, true}, {20_000, 10_000, false},
	} {
		q := &Queue{opts: o, size: c.size * pageSize, used: c.used}
		if got := q.wasteful(); got != c.want {
			t.Errorf("%d of %d pages in use: %v", c.used, c.size, got)
		}
	}
}

func TestALargeFileIsCompactedWhenItIsOpened(t *testing.T) {
	path, ctx := filepath.Join(inMemory(t), "queue"), t.Context()
	q, stop := running(t, path, Options{})
	for n := range 200 {
		must(t, q.Put(ctx, item(n, "s", 30_000)))
	}
	for n := range 199 {
		must(t, q.Done(ctx, id(n), nil))
	}
	stop()
	must(t, os.WriteFile(path+".new", []byte("a compaction that was cut"), 0o600))
	q, stop = running(t, path, Options{CompactOver: 2 << 20})
	info, err := os.Stat(path)
	if err != nil || info.Size() > 3<<20 || len(heads(t, q)) != 1 {
		t.Errorf("%d bytes, %v", info.Size(), err)
	}
	stop()
}

// A disk that hangs in a sync leaves the caller with the truth: what was handed
// over is unknown, what was not is refused.
func TestAPutThatHangsIsUnknownAndOneThatWaitsIsNot(t *testing.T) {
	q, stop := running(t, filepath.Join(inMemory(t), "queue"), Options{})
	entered, release := make(chan struct{}), make(chan struct{})
	go q.do(t.Context(), op{alone: func() error { close(entered); <-release; return nil }})
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := q.Put(ctx, item(1, "s", 10)); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, offline.ErrUnknown) {
		t.Errorf("never handed over: %v", err)
	}
	close(release)
	hung, cancel := context.WithCancel(t.Context())
	err := q.do(hung, op{apply: func(v *view) error { cancel(); <-hung.Done(); time.Sleep(20 * time.Millisecond); return nil }})
	if !errors.Is(err, offline.ErrUnknown) || !errors.Is(err, context.Canceled) {
		t.Errorf("handed over: %v", err)
	}
	stop()
}
