package queue

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"kosk/offline"
)

// filled returns the bytes of a queue's file with some items in it.
func filled(t testing.TB) []byte {
	t.Helper()
	path := filepath.Join(inMemory(t), "queue")
	q, stop := running(t, path, Options{MaxSize: 1 << 20})
	for n := range 40 {
		must(t, q.Put(t.Context(), item(n, "s", 3000+n*100)))
	}
	must(t, q.Done(t.Context(), id(0), bytes.Repeat([]byte{7}, 300)))
	must(t, q.Park(t.Context(), id(1), "conflict"))
	stop()
	b, err := os.ReadFile(path)
	must(t, err)
	return b
}

func TestADamagedFileIsAnErrorAndNotTheEnd(t *testing.T) {
	whole := filled(t)
	for name, change := range map[string]func([]byte) []byte{
		"empty":             func([]byte) []byte { return nil },
		"cut short":         func(b []byte) []byte { return b[:3*pageSize] },
		"cut in use":        func(b []byte) []byte { return b[:50*pageSize] },
		"not a queue":       func([]byte) []byte { return bytes.Repeat([]byte("kosk"), 8192) },
		"both metas zeroed": func(b []byte) []byte { clear(b[:2*pageSize]); return b },
		"pages zeroed":      func(b []byte) []byte { clear(b[2*pageSize:]); return b },
		"pages all ones": func(b []byte) []byte {
			for i := range b[2*pageSize:] {
				b[2*pageSize+i] = 0xff
			}
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "queue")
			before := change(bytes.Clone(whole))
			must(t, os.WriteFile(path, before, 0o600))
			_, err := Open(path, Options{MaxSize: 1 << 20})
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("open: %v", err)
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
				t.Error("the damaged file was written to")
			}
		})
	}
}

// Whatever happens to the file, opening and reading it never ends the process,
// and never gives back a body that was not stored.
func TestDamageAnywhereIsSurvived(t *testing.T) {
	whole := filled(t)
	dir := inMemory(t)
	opened := 0
	rapid.Check(t, func(rt *rapid.T) {
		b := bytes.Clone(whole)
		for range rapid.IntRange(1, 8).Draw(rt, "hits") {
			at := rapid.IntRange(0, len(b)-1).Draw(rt, "at")
			b[at] ^= byte(rapid.IntRange(1, 255).Draw(rt, "bits"))
		}
		path := filepath.Join(dir, "queue")
		must(t, os.WriteFile(path, b, 0o600))
		q, err := Open(path, Options{MaxSize: 1 << 20})
		if err != nil {
			return
		}
		opened++
		defer q.Close()
		for n := range 40 {
			f, err := q.Find(id(n))
			if err != nil || f.State == Finished {
				continue
			}
			body, err := q.Load(f.Entry)
			if err == nil && !bytes.Equal(body, item(n, "s", 3000+n*100).Body) {
				rt.Errorf("item %d: another body", n)
			}
			if err != nil && !errors.Is(err, ErrDamaged) {
				rt.Errorf("item %d: %v", n, err)
			}
		}
	})
	t.Logf("%d damaged files could still be opened", opened)
}

func FuzzCheckPages(f *testing.F) {
	path := filepath.Join(f.TempDir(), "queue")
	o, err := Options{MaxSize: 1 << 20}.withDefaults()
	must(f, err)
	must(f, create(path, o))
	small, err := os.ReadFile(path)
	must(f, err)
	small = small[:min(len(small), 16*pageSize)]
	f.Add(small, uint32(3*pageSize), uint64(3))
	f.Add(small, uint32(2*pageSize+10), uint64(1))
	f.Add([]byte{}, uint32(0), uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, at uint32, v uint64) {
		if len(b) > 8 {
			b = bytes.Clone(b)
			b[int(at)%(len(b)-8)] ^= byte(v)
		}
		if err := checkPages(bytes.NewReader(b), int64(len(b))); err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("%v is not ErrDamaged", err)
		}
	})
}

func FuzzParseHeader(f *testing.F) {
	e := Entry{ID: id(1), Seq: 7, Boot: 1, Class: offline.Today, Size: 4001}
	if _, err := e.header(&keys{}); err == nil {
		f.Fatal("sealed without a key")
	}
	k := keys{}
	must(f, k.add(1, newKey()))
	h, err := e.header(&k)
	must(f, err)
	f.Add(uint64(7), h)
	f.Add(uint64(0), []byte{})
	f.Fuzz(func(t *testing.T, seq uint64, b []byte) {
		e, err := parseHeader(seq, b)
		if err == nil && e.Seq != seq {
			t.Errorf("header of %d under %d", e.Seq, seq)
		}
	})
}
