package queue

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	"pgregory.net/rapid"

	"kosk/offline"
)

// schema1 writes a file that the program before schema 2 has made: items 1 to
// 6 of 700 bytes times their number, in streams "b" and "a" by turns; 1 is
// finished, 2 was sent once, 3 expires after an hour, 4 is parked.
func schema1(t *testing.T, path string) {
	t.Helper()
	packed, err := os.Open("testdata/schema1.db.gz")
	must(t, err)
	defer packed.Close()
	r, err := gzip.NewReader(packed)
	must(t, err)
	b, err := io.ReadAll(r)
	must(t, err)
	must(t, os.WriteFile(path, b, 0o600))
}

func TestAFileOfSchema1IsUpgraded(t *testing.T) {
	path, l := filepath.Join(inMemory(t), "queue"), &safe{mask: 1}
	schema1(t, path)
	if _, err := OpenReader(t.Context(), path, Options{}, l); err == nil {
		t.Error("opened to be read, and yet upgraded")
	}
	q, stop := sealed(t, path, Options{}, l)
	if r := q.Report(); r.Action != Upgraded || r.Items != 5 || r.Receipts != 1 || len(r.Lost) != 0 || r.Sealed != 0 {
		t.Errorf("report %+v", r)
	}
	for n := 2; n <= 6; n++ {
		f, err := q.Find(id(n))
		must(t, err)
		body, err := q.Load(f.Entry)
		want := item(n, "", 700*n)
		if err != nil || !bytes.Equal(body, want.Body) || f.Class != want.Class || f.Station() != "ST-0001" || f.Created.IsZero() {
			t.Errorf("item %d: %+v, %v", n, f, err)
		}
		if f.MaybeSent != (n == 2) || f.Attempts > 1 || (f.TTL == time.Hour) != (n == 3) || (f.State == Parked) != (n == 4) {
			t.Errorf("item %d: %+v", n, f)
		}
	}
	f, err := q.Find(id(1))
	if err != nil || f.State != Finished || string(f.Receipt) != "receipt 1" {
		t.Errorf("%+v, %v", f, err)
	}
	if err := q.Put(t.Context(), item(1, "b", 701)); !errors.Is(err, offline.ErrConflict) {
		t.Errorf("another body under a finished id: %v", err)
	}
	must(t, q.Put(t.Context(), item(1, "b", 700)))
	must(t, q.Put(t.Context(), item(7, "b", 5)))
	if f, err := q.Find(id(7)); err != nil || f.Seq != 7 {
		t.Errorf("%+v, %v", f, err)
	}
	stop()
	q, stop = sealed(t, path, Options{}, l)
	if r := q.Report(); r.Action != "" {
		t.Errorf("report of the next opening %+v", r)
	}
	stop()
}

// A cut during an upgrade leaves the old file, or the new one.
func TestACutWhileUpgradingLeavesTheOldFile(t *testing.T) {
	path := filepath.Join(inMemory(t), "queue")
	schema1(t, path)
	must(t, os.WriteFile(path+".new", bytes.Repeat([]byte("half"), 5000), 0o600))
	q, stop := running(t, path, Options{})
	if got := len(heads(t, q)); got != 2 {
		t.Errorf("%d heads", got)
	}
	stop()
}

// backlog makes a file of 60 items, 10 of them finished and one parked.
func backlog(t testing.TB, path string) {
	q, stop := running(t, path, Options{MaxSize: 2 << 20})
	for n := range 60 {
		must(t, q.Put(t.Context(), item(n, "s", 500+n*100)))
	}
	for n := range 10 {
		must(t, q.Done(t.Context(), id(n), []byte("receipt")))
	}
	must(t, q.Park(t.Context(), id(10), "conflict"))
	stop()
}

func TestTheLastTransactionIsRolledBackAndItsPutsAreFound(t *testing.T) {
	path := filepath.Join(inMemory(t), "queue")
	backlog(t, path)
	q, stop := running(t, path, Options{MaxSize: 2 << 20})
	must(t, q.Put(t.Context(), item(60, "s", 3000)))
	stop()
	b, err := os.ReadFile(path)
	must(t, err)
	metas, err := wholeMetas(bytes.NewReader(b), int64(len(b)))
	must(t, err)
	b[metas[0].root*pageSize+8] ^= 0xff // the root page of the last transaction
	must(t, os.WriteFile(path, b, 0o600))
	if _, err := Open(path, Options{MaxSize: 2 << 20}); !errors.Is(err, ErrDamaged) {
		t.Fatalf("without salvage: %v", err)
	}
	q, stop = running(t, path, Options{MaxSize: 2 << 20, Salvage: true})
	r := q.Report()
	if r.Action != RolledBack || r.Items != 51 || r.Receipts != 10 || len(r.Lost) != 0 || !errors.Is(r.Cause, ErrDamaged) {
		t.Errorf("report %+v", r)
	}
	if aside, err := os.ReadFile(r.Aside); err != nil || !bytes.Equal(aside, b) {
		t.Errorf("aside: %d bytes, %v", len(aside), err)
	}
	wholeItems(t, q, 10, 61)
	stop()
}

// wholeItems looks at items that must be there, whole, and marked as maybe sent.
func wholeItems(t testing.TB, q *Queue, first, end int) {
	t.Helper()
	for n := first; n < end; n++ {
		f, err := q.Find(id(n))
		if err != nil {
			t.Errorf("item %d: %v", n, err)
			continue
		}
		size := 500 + n*100
		if n == 60 {
			size = 3000
		}
		if body, err := q.Load(f.Entry); err != nil || !bytes.Equal(body, item(n, "", size).Body) || !f.MaybeSent {
			t.Errorf("item %d: %+v, %v", n, f, err)
		}
	}
}

// breaks damages the page of an item's header, or another.
func breaks(t testing.TB, path string, change func([]byte)) {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	change(b)
	must(t, os.WriteFile(path, b, 0o600))
}

func TestWhatADamagedFileStillHoldsIsSaved(t *testing.T) {
	for name, c := range map[string]struct {
		change func([]byte)
		saved  int // of items 10 to 59, at least
	}{
		"both metas gone": {func(b []byte) { clear(b[:2*pageSize]) }, 50},
		"a leaf gone":     {func(b []byte) { clear(leafOf(b, 40)) }, 47},
		"branches gone": {func(b []byte) {
			for at := 2 * pageSize; at < len(b); at += pageSize {
				if binary.NativeEndian.Uint16(b[at+8:]) == branchFlag {
					clear(b[at : at+pageSize])
				}
			}
		}, 50},
		"a receipt changed": {func(b []byte) { b[bytes.Index(b, []byte(id(3)))] ^= 1 }, 50},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(inMemory(t), "queue")
			backlog(t, path)
			breaks(t, path, c.change)
			q, stop := running(t, path, Options{MaxSize: 2 << 20, Salvage: true})
			r := q.Report()
			t.Logf("%s: %d items, %d receipts, lost %d: %v", r.Action, r.Items, r.Receipts, len(r.Lost), r.Cause)
			saved := 0
			for n := 10; n < 60; n++ {
				f, err := q.Find(id(n))
				if err != nil {
					continue
				}
				body, err := q.Load(f.Entry)
				if err == nil && !bytes.Equal(body, item(n, "", 500+n*100).Body) {
					t.Errorf("item %d has another body", n)
				}
				if err == nil {
					saved++
				} else if f.State != Parked || f.Reason != offline.ReasonDamaged {
					t.Errorf("item %d: %+v, %v", n, f, err)
				}
			}
			if saved < c.saved {
				t.Errorf("%d saved, not %d: lost %v", saved, c.saved, r.Lost)
			}
			must(t, q.Put(t.Context(), item(99, "t", 10)))
			if c, err := q.Check(); err != nil || c.Items < saved {
				t.Errorf("check: %+v, %v", c, err)
			}
			stop()
		})
	}
}

// leafOf returns the newest page that holds an item's header.
func leafOf(b []byte, n int) []byte {
	metas, _ := wholeMetas(bytes.NewReader(b), int64(len(b)))
	found := int64(0)
	w := &walk{r: bytes.NewReader(b), visit: func(_, key, _ []byte, at int64) {
		if bytes.Equal(key, itemKey(uint64(n), 0)) {
			found = at / pageSize * pageSize
		}
	}}
	w.from(metas[0], int64(len(b)))
	return b[found : found+pageSize]
}

func TestABodyThatIsLostIsParkedUnderItsNumber(t *testing.T) {
	path := filepath.Join(inMemory(t), "queue")
	q, stop := running(t, path, Options{MaxSize: 1 << 20})
	must(t, q.Put(t.Context(), item(1, "s", 9000)))
	must(t, q.Put(t.Context(), item(2, "s", 10)))
	must(t, q.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(itemBucket).Delete(itemKey(1, 5)) }))
	stop()
	breaks(t, path, func(b []byte) {
		for { // where the part was before
			i := bytes.Index(b, item(1, "", 1000).Body)
			if i < 0 {
				return
			}
			b[i] = 0
		}
	})
	q, stop = running(t, path, Options{MaxSize: 1 << 20, Salvage: true})
	f, err := q.Find(id(1))
	if err != nil || f.State != Parked || f.Reason != offline.ReasonDamaged || len(q.Report().Lost) != 1 {
		t.Errorf("%+v, %v; report %+v", f, err, q.Report())
	}
	if err := q.Requeue(t.Context(), id(1)); !errors.Is(err, ErrDamaged) {
		t.Errorf("requeue: %v", err)
	}
	if d := heads(t, q); len(d) != 1 || d[0] != id(2) {
		t.Errorf("heads %v", d)
	}
	stop()
}

// Whatever happens to the file, a salvaging Open gives a queue that works, and
// never a body that was not stored.
func TestSalvageOfAnyDamageGivesAQueue(t *testing.T) {
	dir := inMemory(t)
	backlog(t, filepath.Join(dir, "whole"))
	whole, err := os.ReadFile(filepath.Join(dir, "whole"))
	must(t, err)
	actions := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		b := bytes.Clone(whole)
		for range rapid.IntRange(1, 12).Draw(rt, "hits") {
			at := rapid.IntRange(0, len(b)/3).Draw(rt, "at")
			for i := range rapid.IntRange(1, 600).Draw(rt, "length") {
				b[min(at+i, len(b)-1)] ^= byte(rapid.IntRange(0, 255).Draw(rt, "bits"))
			}
		}
		path := filepath.Join(dir, "queue")
		os.Remove(path + ".damaged-1")
		must(t, os.WriteFile(path, b, 0o600))
		q, err := Open(path, Options{MaxSize: 2 << 20, Salvage: true})
		if err != nil {
			rt.Fatal(err)
		}
		defer q.Close()
		actions[q.Report().Action]++
		for n := range 60 {
			f, err := q.Find(id(n))
			if err != nil || f.State == Finished {
				continue
			}
			if body, err := q.Load(f.Entry); err == nil && !bytes.Equal(body, item(n, "", 500+n*100).Body) {
				rt.Errorf("item %d: another body", n)
			}
		}
	})
	t.Logf("%v", actions)
}

func FuzzSalvage(f *testing.F) {
	path := filepath.Join(f.TempDir(), "queue")
	backlog(f, path)
	b, err := os.ReadFile(path)
	must(f, err)
	b = b[:24*pageSize]
	f.Add(b, uint32(9000), byte(1))
	f.Add(b, uint32(20), byte(7))
	f.Add([]byte{}, uint32(0), byte(0))
	f.Fuzz(func(t *testing.T, b []byte, at uint32, bits byte) {
		if len(b) > 0 {
			b = bytes.Clone(b)
			b[int(at)%len(b)] ^= bits
		}
		h := newHaul(bytes.NewReader(b), int64(len(b)))
		if _, err := h.salvage(); err != nil {
			t.Errorf("salvage: %v", err)
		}
	})
}

// A file that is truncated under the map is an error to who reads it, and not
// the end of the process.
func TestAFileCutUnderTheMapIsDamaged(t *testing.T) {
	path := filepath.Join(inMemory(t), "queue")
	q, err := Open(path, Options{MaxSize: 1 << 20})
	must(t, err)
	stop := run(t, q)
	for n := range 30 {
		must(t, q.Put(t.Context(), item(n, "s", 5000)))
	}
	f, err := q.Find(id(3))
	must(t, err)
	must(t, os.Truncate(path, 2*pageSize))
	if _, err := q.Load(f.Entry); !errors.Is(err, ErrDamaged) {
		t.Errorf("load: %v", err)
	}
	if err := q.Heads(func(Entry) bool { return true }); !errors.Is(err, ErrDamaged) {
		t.Errorf("heads: %v", err)
	}
	if err := q.Put(t.Context(), item(40, "s", 5000)); !errors.Is(err, ErrDamaged) || !errors.Is(err, offline.ErrUnknown) {
		t.Errorf("put: %v", err)
	}
	if q.Err() == nil {
		t.Error("the queue goes on")
	}
	stop()
}
