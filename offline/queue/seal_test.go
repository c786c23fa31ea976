package queue

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"kosk/offline"
)

// A safe is a Wrapper that can be made to refuse.
type safe struct {
	mask    byte
	refuses bool
	wraps   int
}

func (l *safe) Wrap(_ context.Context, key []byte) ([]byte, error) {
	l.wraps++
	b := bytes.Clone(key)
	for i := range b {
		b[i] ^= l.mask
	}
	return b, nil
}

func (l *safe) Unwrap(ctx context.Context, wrapped []byte) ([]byte, error) {
	if l.refuses {
		return nil, errors.New("machine in another state")
	}
	return l.Wrap(ctx, wrapped)
}

const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// sealed opens the queue under the wrapper, and runs it.
func sealed(t testing.TB, path string, o Options, l Wrapper) (*Queue, func()) {
	t.Helper()
	q, err := OpenSealed(t.Context(), path, o, l)
	must(t, err)
	return q, run(t, q)
}

func TestNotesAndReceiptsAreSealedInTheFile(t *testing.T) {
	path, l := filepath.Join(inMemory(t), "queue"), &safe{mask: 0x5a}
	q, stop := sealed(t, path, Options{Station: "PLANTED-STATION"}, l)
	i := item(1, "PLANTED-STREAM", 3000)
	i.Trace, i.TTL, i.Refused = trace, time.Hour, offline.Block
	must(t, q.Put(t.Context(), i))
	must(t, q.Put(t.Context(), item(2, "PLANTED-STREAM-2", 10)))
	must(t, q.Done(t.Context(), id(2), []byte("PLANTED-RECEIPT")))
	stop()
	file, err := os.ReadFile(path)
	must(t, err)
	for _, word := range []string{"PLANTED", trace, trace[3:35]} {
		if bytes.Contains(file, []byte(word)) {
			t.Errorf("%q is in the file", word)
		}
	}
	if !bytes.Contains(file, []byte(id(1))) {
		t.Error("the scan finds not even the id: it is blind")
	}
	q, stop = sealed(t, path, Options{}, l)
	f, err := q.Find(id(1))
	must(t, err)
	if f.Trace != trace || f.TTL != time.Hour || f.Refused != offline.Block || f.Station() != "PLANTED-STATION" || f.Sealed {
		t.Errorf("found %+v", f)
	}
	if f, err = q.Find(id(2)); err != nil || string(f.Receipt) != "PLANTED-RECEIPT" {
		t.Errorf("receipt %q, %v", f.Receipt, err)
	}
	stop()
}

func TestWithoutItsKeyAnItemIsDeliveredAllTheSame(t *testing.T) {
	path, l := filepath.Join(inMemory(t), "queue"), &safe{mask: 0x5a}
	q, stop := sealed(t, path, Options{}, l)
	i := item(1, "s", 3000)
	i.TTL = time.Nanosecond
	must(t, q.Put(t.Context(), i))
	stop()
	l.refuses = true
	q, stop = sealed(t, path, Options{}, l)
	if r := q.Report(); r.Sealed != 1 {
		t.Errorf("report %+v", r)
	}
	f, err := q.Find(id(1))
	must(t, err)
	body, err := q.Load(f.Entry)
	if err != nil || !bytes.Equal(body, i.Body) || !f.Sealed || f.Expired(time.Now().Add(time.Hour)) {
		t.Errorf("%+v, %v", f, err)
	}
	if ids, err := q.Expire(t.Context(), time.Now().Add(time.Hour)); err != nil || len(ids) != 0 {
		t.Errorf("expired %v, %v", ids, err)
	}
	must(t, q.Sending(t.Context(), id(1)))
	must(t, q.Done(t.Context(), id(1), []byte("r")))
	stop()
}

// keysIn are the epochs whose keys lie in the file.
func keysIn(t *testing.T, q *Queue) (epochs []uint64) {
	must(t, q.view(func(tx *bolt.Tx) error {
		return tx.Bucket(metaBucket).ForEach(func(k, _ []byte) error {
			if e := epochOf(k); e != 0 {
				epochs = append(epochs, e)
			}
			return nil
		})
	}))
	return epochs
}

func TestEveryOpeningHasAKeyAndOldOnesGo(t *testing.T) {
	path, l := filepath.Join(inMemory(t), "queue"), &safe{mask: 1}
	for n := range 4 {
		q, stop := sealed(t, path, Options{MaxReceipts: 1}, l)
		if want := min(n+1, 2); n < 3 && len(keysIn(t, q)) < want {
			t.Errorf("opening %d: keys %v", n, keysIn(t, q))
		}
		if n == 0 {
			must(t, q.Put(t.Context(), item(1, "s", 10)))
		}
		if n == 2 {
			if f, err := q.Find(id(1)); err != nil || f.Sealed || f.Boot != 1 {
				t.Errorf("%+v, %v", f, err)
			}
			must(t, q.Done(t.Context(), id(1), nil))
		}
		if n == 3 && len(keysIn(t, q)) != 2 { // of the receipt, and its own
			t.Errorf("keys %v", keysIn(t, q))
		}
		stop()
	}
	if l.wraps < 4 {
		t.Errorf("%d keys were wrapped", l.wraps)
	}
}

// Records that are swapped in the file, checksums and all, are noticed.
func TestSealedNotesCannotBeSwapped(t *testing.T) {
	path, l := filepath.Join(inMemory(t), "queue"), &safe{mask: 1}
	q, stop := sealed(t, path, Options{}, l)
	must(t, q.Put(t.Context(), item(1, "a", 10)))
	must(t, q.Put(t.Context(), item(2, "b", 10)))
	must(t, q.db.Update(func(tx *bolt.Tx) error {
		items := tx.Bucket(itemBucket)
		one, two := bytes.Clone(items.Get(itemKey(1, 0))), bytes.Clone(items.Get(itemKey(2, 0)))
		copy(one[atNotes:atCRC], two[atNotes:atCRC])
		e, err := parseHeader(1, items.Get(itemKey(1, 0)))
		must(t, err)
		return items.Put(itemKey(1, 0), e.mark(one)) // with a checksum that fits
	}))
	if _, err := q.Find(id(1)); !errors.Is(err, ErrDamaged) {
		t.Errorf("another's notes: %v", err)
	}
	stop()
	if _, err := OpenSealed(t.Context(), path, Options{}, l); !errors.Is(err, ErrDamaged) {
		t.Errorf("open: %v", err)
	}
}

// A cut at any write of an opening, and so of a rotation, loses nothing: the
// file is opened as each prefix of its writes leaves it.
func TestACutWhileTheKeyIsRotatedLosesNothing(t *testing.T) {
	dir, l := inMemory(t), &safe{mask: 1}
	path := filepath.Join(dir, "queue")
	q, stop := sealed(t, path, Options{MaxSize: 1 << 20}, l)
	for n := range 5 {
		must(t, q.Put(t.Context(), item(n, "s", 900)))
	}
	stop()
	before, err := os.ReadFile(path)
	must(t, err)
	q, stop = sealed(t, path, Options{MaxSize: 1 << 20}, l)
	boot := q.boot
	stop()
	after, err := os.ReadFile(path)
	must(t, err)
	changed := 0
	for _, back := range []bool{false, true} {
		cut := bytes.Clone(before)
		for n := range len(before) / pageSize {
			page := n
			if back {
				page = len(before)/pageSize - 1 - n
			}
			at := page * pageSize
			if bytes.Equal(cut[at:at+pageSize], after[at:at+pageSize]) {
				continue
			}
			if !back && page < 2 {
				continue // the meta page is written last: the sync before it sees to that
			}
			changed++
			copy(cut[at:], after[at:at+pageSize])
			broken := filepath.Join(dir, "cut")
			must(t, os.WriteFile(broken, cut, 0o600))
			q, stop := sealed(t, broken, Options{MaxSize: 1 << 20}, l)
			if q.boot < boot || len(heads(t, q)) != 1 || q.Report().Sealed != 0 {
				t.Errorf("page %d: boot %d, report %+v", page, q.boot, q.Report())
			}
			stop()
		}
	}
	if changed < 3 {
		t.Errorf("only %d pages changed", changed)
	}
}

func FuzzReadNotes(f *testing.F) {
	k := keys{}
	must(f, k.add(1, newKey()))
	e := Entry{ID: id(1), Seq: 7, Boot: 1, Size: 5, Created: time.Now(), Trace: trace}
	h, err := e.header(&k)
	must(f, err)
	f.Add(h, uint16(3), byte(1))
	f.Add(h, uint16(atNotes+3), byte(1))
	f.Fuzz(func(t *testing.T, b []byte, at uint16, bits byte) {
		b = bytes.Clone(b)
		if len(b) == headerSize {
			b[int(at)%headerSize] ^= bits
			b = Entry{Seq: binary.BigEndian.Uint64(b[atSeq:])}.mark(b)
		}
		got, err := readHeader(&k, 7, b)
		if err == nil && !got.Sealed && got.ID != e.ID {
			t.Errorf("notes of another item: %+v", got)
		}
	})
}
