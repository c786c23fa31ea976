package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func openLog(t *testing.T, path string, most int64) *rolling {
	t.Helper()
	r, err := openRolling(path, most)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// lines is what the files of a log hold, from the oldest on.
func lines(t *testing.T, path string) (found []string) {
	t.Helper()
	for n := rollKept; n >= 0; n-- {
		name := path
		if n > 0 {
			name = fmt.Sprintf("%s.%d", path, n)
		}
		b, err := os.ReadFile(name)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			found = append(found, line)
		}
	}
	return found
}

func TestALogIsBoundedAndKeepsTheLatest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kiosk.log")
	const most, written = 1000, 500
	r := openLog(t, path, most)
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for n := range written / 4 {
				if _, err := fmt.Fprintf(r, `{"writer":%d,"n":%d}`+"\n", w, n); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	for n := range 20 {
		fmt.Fprintf(r, "last %d\n", n)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) != rollKept+1 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil || info.Size() > most || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %d bytes, %v, %v", name, info.Size(), info.Mode(), err)
		}
	}
	kept := lines(t, path)
	for i, line := range kept[:len(kept)-20] {
		if !strings.HasPrefix(line, `{"writer":`) || !strings.HasSuffix(line, "}\n") {
			t.Errorf("line %d is %q", i, line)
		}
	}
	for n, line := range kept[len(kept)-20:] {
		if line != fmt.Sprintf("last %d\n", n) {
			t.Errorf("the last but %d is %q", 19-n, line)
		}
	}
}

func TestALogGoesOnWhereItWas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kiosk.log")
	if err := os.WriteFile(path, []byte("whole\ntorn by a power c"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r := openLog(t, path, 1000)
		fmt.Fprintln(r, "after")
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := lines(t, path); !slices.Equal(got, []string{"whole\n", "torn by a power c\n", "after\n", "after\n"}) {
		t.Errorf("%q", got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// A line longer than a file has one of its own, and one that can't roll goes on.
func TestALogThatCannotRollGoesOn(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "kiosk.log")
	r := openLog(t, path, 100)
	defer r.Close()
	long := append(bytes.Repeat([]byte("x"), 300), '\n')
	if _, err := r.Write(long); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(r, "short")
	if got := lines(t, path); len(got) != 2 || got[1] != "short\n" {
		t.Errorf("%d lines", len(got))
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := r.Write(long); err != nil {
			t.Errorf("in a folder that is gone: %v", err)
		}
	}
}

// What was written is on the disk a second later, by one sync for all of it.
func TestALogIsOnTheDiskASecondLater(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kiosk.log")
	synctest.Test(t, func(t *testing.T) {
		r := openLog(t, path, 1000)
		defer r.Close()
		waits := func() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.due != nil }
		for range 3 {
			fmt.Fprintln(r, "line")
			time.Sleep(rollSync / 4)
			synctest.Wait()
			if !waits() {
				t.Error("synced at once")
			}
		}
		time.Sleep(rollSync / 4)
		synctest.Wait()
		if waits() {
			t.Error("not synced a second after the first line")
		}
	})
}
