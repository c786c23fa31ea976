package jetstream_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"kosk/cmd/bus/ledger"
	"kosk/cmd/bus/ledger/jetstream"
	"kosk/cmd/bus/ledger/ledgertest"
)

// quiet is a log that nobody reads.
var quiet = slog.New(slog.DiscardHandler)

// inFolder opens the embedded ledger of a folder.
func inFolder(dir string) ledgertest.Open {
	return func(t testing.TB) ledgertest.Ledger {
		t.Helper()
		l, err := jetstream.Open(t.Context(), jetstream.Config{Dir: dir, Log: quiet})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
}

func TestEmbedded(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T) ledgertest.Open { return inFolder(filepath.Join(t.TempDir(), "ledger")) })
}

// TestEmbeddedCrash kills the process at random moments.
func TestEmbeddedCrash(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ledger")
	ledgertest.Crash{
		Rounds: rounds(t, 20), Env: []string{"LEDGER_DIR=" + dir}, Open: inFolder(dir), Harm: ledgertest.Kill,
	}.Run(t)
}

// fill appends n entries and returns the last.
func fill(t *testing.T, dir string, n int) (last ledger.Entry) {
	t.Helper()
	l := inFolder(dir)(t)
	for i := range n {
		var err error
		if last, _, err = l.Append(t.Context(), fmt.Sprint("k", i), []byte(strings.Repeat("body", 10))); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return last
}

// refusal opens the ledger of a folder and reads all of it, and returns what
// stops that.
func refusal(t *testing.T, dir string) error {
	t.Helper()
	l, err := jetstream.Open(t.Context(), jetstream.Config{Dir: dir, Log: quiet})
	if err != nil {
		return err
	}
	_, err = l.Verify(t.Context())
	return errors.Join(err, l.Close())
}

// TestFlippedBits flips bits all over the engine's files of entries: the ledger
// must not open, or not verify; and must not forget silently.
func TestFlippedBits(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ledger")
	fill(t, dir, 8)
	blocks, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", "LEDGER", "msgs", "*.blk"))
	if err != nil || len(blocks) != 1 {
		t.Fatal(blocks, err)
	}
	rel, err := filepath.Rel(dir, blocks[0])
	if err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(blocks[0])
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(good); n += 199 {
		spoilt := filepath.Join(t.TempDir(), "ledger")
		if err := os.CopyFS(spoilt, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		bad := bytes.Clone(good)
		bad[n] ^= 0x10
		if err := os.WriteFile(filepath.Join(spoilt, rel), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := refusal(t, spoilt); !errors.Is(err, ledger.ErrDamaged) {
			t.Errorf("byte %d of %d: %v, want ErrDamaged", n, len(good), err)
		}
	}
}

// TestAnOlderCopyIsRefused: the mark remembers what the engine has forgotten.
func TestAnOlderCopyIsRefused(t *testing.T) {
	dir, older := filepath.Join(t.TempDir(), "ledger"), filepath.Join(t.TempDir(), "older")
	fill(t, dir, 3)
	if err := os.CopyFS(older, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	fill(t, dir, 6)
	mark, err := os.ReadFile(filepath.Join(dir, "mark"))
	if err != nil {
		t.Fatal(err)
	}
	for name, mark := range map[string][]byte{
		"further": mark, "torn": mark[:10], "empty": {}, "another": []byte(`{"seq":2,"sum":"` + strings.Repeat("00", 32) + `"}`),
	} {
		if err := os.WriteFile(filepath.Join(older, "mark"), mark, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := refusal(t, older); !errors.Is(err, ledger.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhoElseIsRefused(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "old")
	if err := os.WriteFile(old, []byte("kLg1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := refusal(t, old); !errors.Is(err, ledger.ErrOldFormat) {
		t.Errorf("a ledger of the first format: %v", err)
	}
	inUse := filepath.Join(dir, "ledger")
	l := inFolder(inUse)(t)
	defer l.Close()
	if err := refusal(t, inUse); !errors.Is(err, ledger.ErrInUse) {
		t.Errorf("a second process: %v", err)
	}
}

// TestAlone: the engine listens nowhere, nobody else may read its files, and
// nothing of it runs on after the end.
func TestAlone(t *testing.T) {
	before := goleak.IgnoreCurrent()
	dir := filepath.Join(t.TempDir(), "ledger")
	l := inFolder(dir)(t)
	if _, _, err := l.Append(t.Context(), "k", nil); err != nil {
		t.Fatal(err)
	}
	if open := listening(t); len(open) > 0 {
		t.Errorf("listens at %v", open)
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}

// listening returns the TCP addresses that this process listens at.
func listening(t *testing.T) (addresses []string) {
	t.Helper()
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	mine := map[string]bool{}
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil { // the one that listed them is gone
			mine[to] = true
		}
	}
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		raw, err := os.ReadFile(table)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(raw)) {
			const address, state, inode, listen = 1, 3, 9, "0A"
			f := strings.Fields(line)
			if len(f) > inode && f[state] == listen && mine["socket:["+f[inode]+"]"] {
				addresses = append(addresses, f[address])
			}
		}
	}
	return addresses
}

// TestFull: a disk without room refuses, loses nothing, and takes more when there
// is room again and the process has been started anew.
func TestFull(t *testing.T) {
	disk := smallDisk(t)
	if disk == "" {
		t.Skip("a small disk can only be mounted by root")
	}
	dir := filepath.Join(disk, "ledger")
	l := inFolder(dir)(t)
	body := make([]byte, 1<<20)
	held := map[string]uint64{}
	var failed error
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range 600 { // many at once: the room ends in the middle of a batch
		all.Go(func() {
			key := fmt.Sprint("k", i)
			e, _, err := l.Append(t.Context(), key, body)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				held[key] = e.Seq
			} else {
				failed = err
			}
		})
	}
	all.Wait()
	if !errors.Is(failed, ledger.ErrUnknown) && !errors.Is(failed, ledger.ErrUnavailable) {
		t.Errorf("a full disk: %v", failed)
	}
	t.Logf("%d entries, then: %v", len(held), failed)
	_ = l.Close() // its mark may not fit
	if err := unix.Mount("", disk, "", unix.MS_REMOUNT, "size=400m"); err != nil {
		t.Fatal(err)
	}
	l = inFolder(dir)(t)
	defer l.Close()
	for key, seq := range held {
		if e, _, err := l.Get(t.Context(), key); err != nil || e.Seq != seq {
			t.Errorf("%s: %+v %v", key, e, err)
		}
	}
	if _, _, err := l.Append(t.Context(), "more", body); err != nil {
		t.Error(err)
	}
	if _, err := l.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}
