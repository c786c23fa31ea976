package ledger

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestMain runs the binary as a writer for TestKilledWriter when it is told to.
func TestMain(m *testing.M) {
	if path := os.Getenv("LEDGER_WRITER"); path != "" {
		if err := writeForEver(path, os.Getenv("LEDGER_ROUND")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func openAt(t *testing.T, path string) *File {
	t.Helper()
	l, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // some tests close it themselves
	return l
}

func appendTo(t *testing.T, l Ledger, key, body string) (Entry, bool) {
	t.Helper()
	e, created, err := l.Append(t.Context(), key, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return e, created
}

func TestAppendOnceAndReadAfterReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	l := openAt(t, path)
	first, created := appendTo(t, l, "a", "one")
	if !created || first.Seq != 1 || first.Previous != [32]byte{} {
		t.Errorf("first entry: created %v, %+v", created, first)
	}
	second, _ := appendTo(t, l, "b", "")
	if second.Previous != first.Sum {
		t.Error("the second entry isn't bound to the first")
	}
	if again, created := appendTo(t, l, "a", "one"); created || again != first {
		t.Errorf("again: created %v, %+v, want %+v", created, again, first)
	}
	if e, _, err := l.Append(t.Context(), "a", []byte("two")); !errors.Is(err, ErrConflict) || e != first {
		t.Errorf("another body: %+v %v", e, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}

	l = openAt(t, path)
	if e, body, err := l.Get(t.Context(), "a"); err != nil || e != first || string(body) != "one" {
		t.Errorf("reopened: %+v %q %v", e, body, err)
	}
	if _, _, err := l.Get(t.Context(), "c"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a key that isn't there: %v", err)
	}
	var keys []string
	if err := l.Each(t.Context(), 1, func(e Entry) error { keys = append(keys, e.Key); return nil }); err != nil || len(keys) != 1 || keys[0] != "b" {
		t.Errorf("after the first: %v %v", keys, err)
	}
}

func TestOneProcessAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	openAt(t, path)
	if _, err := OpenFile(path); !errors.Is(err, ErrInUse) {
		t.Errorf("got %v, want ErrInUse", err)
	}
}

func TestManyAppendersShareCommits(t *testing.T) {
	l := openAt(t, filepath.Join(t.TempDir(), "ledger"))
	const keys, writers = 40, 4
	var mu sync.Mutex
	created := map[string]int{}
	var wg sync.WaitGroup
	for i := range keys * writers {
		key := fmt.Sprint("k", i%keys)
		wg.Go(func() {
			_, mine, err := l.Append(t.Context(), key, []byte(key))
			if err != nil {
				t.Error(err)
			}
			if mine {
				mu.Lock()
				created[key]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for i := range keys {
		if key := fmt.Sprint("k", i); created[key] != 1 {
			t.Errorf("%s was created %d times", key, created[key])
		}
	}
}

func TestWaitSeesTheEntryOrTheEnd(t *testing.T) {
	l := openAt(t, filepath.Join(t.TempDir(), "ledger"))
	got := make(chan Entry, 1)
	go func() {
		e, err := l.Wait(t.Context(), "late")
		if err != nil {
			t.Error(err)
		}
		got <- e
	}()
	appendTo(t, l, "early", "")
	want, _ := appendTo(t, l, "late", "x")
	if e := <-got; e != want {
		t.Errorf("got %+v", e)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := l.Wait(ctx, "never"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestAFailedWriteEndsTheLedger(t *testing.T) {
	l := openAt(t, filepath.Join(t.TempDir(), "ledger"))
	appendTo(t, l, "a", "one")
	if err := l.file.Close(); err != nil { // every write fails from here
		t.Fatal(err)
	}
	for range 2 {
		if _, _, err := l.Append(t.Context(), "b", nil); !errors.Is(err, ErrUnknown) {
			t.Errorf("got %v, want ErrUnknown", err)
		}
	}
	if e, created := appendTo(t, l, "a", "one"); created || e.Seq != 1 {
		t.Errorf("what was known is not any more: %+v", e)
	}
}

// TestEveryCut cuts the file at every length: what a commit had finished is
// there, the rest is cut off, and appending goes on.
func TestEveryCut(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "whole")
	l := openAt(t, path)
	var ends []int64
	for i := range 4 {
		appendTo(t, l, fmt.Sprint("k", i), strings.Repeat("x", 10*i))
		ends = append(ends, l.size)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) {
		cut := filepath.Join(dir, "cut")
		if err := os.WriteFile(cut, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := OpenFile(cut)
		if err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
		want := 0
		for _, end := range ends {
			if int64(n) >= end {
				want++
			}
		}
		if len(c.slots) != want {
			t.Fatalf("cut at %d: %d entries, want %d", n, len(c.slots), want)
		}
		if e, created := appendTo(t, c, "new", "y"); !created || e.Seq != uint64(want+1) {
			t.Fatalf("cut at %d: then %+v", n, e)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestEveryFlip flips a bit in every byte of what an earlier commit synced: the
// ledger must not open, and must not forget silently.
func TestEveryFlip(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "whole")
	l := openAt(t, path)
	appendTo(t, l, "a", "one")
	appendTo(t, l, "b", "two")
	synced := l.size
	appendTo(t, l, "c", "three")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range synced {
		bad := bytes.Clone(whole)
		bad[n] ^= 0x10
		flipped := filepath.Join(dir, "flipped")
		if err := os.WriteFile(flipped, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenFile(flipped); !errors.Is(err, ErrDamaged) {
			t.Fatalf("byte %d: %v, want ErrDamaged", n, err)
		}
	}
}

// writeForEver appends from four goroutines and prints every key once its
// append has returned.
func writeForEver(path, round string) error {
	l, err := OpenFile(path)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	out := bufio.NewWriter(os.Stdout)
	errs := make(chan error)
	for w := range 4 {
		go func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%s-%d-%d", round, w, i)
				if _, _, err := l.Append(context.Background(), key, bytes.Repeat([]byte(key), 50)); err != nil {
					errs <- err
				}
				mu.Lock()
				fmt.Fprintln(out, key)
				_ = out.Flush() // the parent may have gone
				mu.Unlock()
			}
		}()
	}
	return <-errs
}

func TestKilledWriter(t *testing.T) {
	const rounds = 20
	path := filepath.Join(t.TempDir(), "ledger")
	acknowledged := map[string]bool{}
	for round := range rounds {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.Env = append(os.Environ(), "LEDGER_WRITER="+path, fmt.Sprint("LEDGER_ROUND=", round))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		limit, lines := 5+rand.IntN(100), bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			acknowledged[lines.Text()] = true
			if n == limit {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // it was killed
		cancel()
		if ctx.Err() == context.DeadlineExceeded {
			t.Fatal("the writer hung")
		}

		l := openAt(t, path)
		for key := range acknowledged {
			if _, body, err := l.Get(t.Context(), key); err != nil || !bytes.Equal(body, bytes.Repeat([]byte(key), 50)) {
				t.Fatalf("round %d: %s was acknowledged: %v", round, key, err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(acknowledged) < rounds*5 {
		t.Errorf("only %d appends were acknowledged: the test saw nothing", len(acknowledged))
	}
	t.Logf("%d kills, %d acknowledged, 0 lost", rounds, len(acknowledged))
}

func FuzzDecode(f *testing.F) {
	e := Entry{Seq: 1, Key: "k", At: time.UnixMilli(1)}
	good := encode(nil, e, []byte("body"), 0)
	f.Add(good)
	f.Add(good[:20])
	f.Add(append(bytes.Clone(good), good...))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, commit, length, body, err := decode(b)
		laterCommit(b, 0)
		if err != nil {
			return
		}
		if again := encode(nil, e, b[length-body:length], commit); !bytes.Equal(again, b[:length]) {
			t.Error("what was read isn't what would be written")
		}
	})
}
