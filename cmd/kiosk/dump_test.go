package main

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"kosk/cmd/kiosksim/visit"
)

// A kiosk that crashes after a visit, with the request still in its queue, leaves
// no core dump: its memory does hold what the person was called. What it does leave,
// queue, logs and last words, names nobody.
func TestACrashLeavesNothingOfThePerson(t *testing.T) {
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &was); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{Cur: was.Max, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_CORE, &was) //nolint:errcheck // it was so before
	dir := t.TempDir()
	t.Chdir(dir)
	_ = exec.CommandContext(t.Context(), "sh", "-c", "kill -ABRT $$").Run() // it is killed
	seen := cores(t, dir)
	if len(seen) == 0 {
		t.Log("the system puts core dumps elsewhere: only the limit is looked at")
	}
	for _, name := range seen {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("GOTRACEBACK", "crash")
	w := newWorld(t)
	if _, err := w.actor.CertificateLineCut(w.ctx, "az"); err != nil {
		w.do(err)
	}
	if err := syscall.Kill(w.rig.KioskPID(), syscall.SIGABRT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-w.rig.KioskDone():
	case <-time.After(30 * time.Second):
		t.Fatal("it lives on")
	}
	if left := cores(t, dir); len(left) > 0 {
		t.Errorf("it left %q", left)
	}
	last, err := os.ReadFile(filepath.Join(w.rig.Out, "kiosk.err"))
	if err != nil || !bytes.Contains(last, []byte("SIGABRT")) {
		t.Errorf("no last words: %v", err)
	}
	p := visit.Person()
	for _, folder := range []string{w.rig.Dir, w.rig.Out} {
		namesNobody(t, folder, p.FIN, p.Surname, p.GivenNames, p.DocumentNumber)
	}
}

// cores are the core dumps in a folder.
func cores(t *testing.T, dir string) (names []string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "core*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		names = append(names, filepath.Base(f))
	}
	return names
}

// namesNobody looks for the words in every file but slips, pictures and sound.
func namesNobody(t *testing.T, dir string, words ...string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.HasPrefix(d.Name(), "slip-") || filepath.Ext(path) == ".wav" {
			return err
		}
		b, err := os.ReadFile(path)
		files++
		for _, word := range words {
			if bytes.Contains(b, []byte(word)) {
				t.Errorf("%q is in %s", word, d.Name())
			}
		}
		return err
	})
	if err != nil || files < 3 {
		t.Errorf("%d files, %v", files, err)
	}
}
