package vcard_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kosk/drivers/card/vcard"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openSlot(t *testing.T, ctx context.Context) *vcard.Slot {
	t.Helper()
	if err := vcard.Installed(t.Context()); err != nil {
		t.Skipf("skipped: %v", err)
	}
	s, err := vcard.OpenSlot(ctx, t.TempDir(), vcard.SlotOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// daemonOf is the process id that the daemon wrote beside its socket, as the
// machine sees it.
func daemonOf(t *testing.T, s *vcard.Slot) int {
	t.Helper()
	return pidIn(t, filepath.Dir(s.Socket()))
}

func pidIn(t *testing.T, dir string) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "pcscd.pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.Trim(string(b), "\n\x00"))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func alive(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	return err == nil && strings.TrimSpace(string(b)) == "pcscd"
}

func reachable(s *vcard.Slot) bool {
	c, err := net.Dial("unix", s.Socket())
	if err != nil {
		return false
	}
	c.Close()
	return true
}

func TestDaemonDiesAndComesBackAtTheSameSocket(t *testing.T) {
	s := openSlot(t, t.Context())
	socket, pid := s.Socket(), daemonOf(t, s)
	if !alive(pid) || !reachable(s) {
		t.Fatal("the daemon is not there")
	}
	if err := s.KillDaemon(); err != nil {
		t.Fatal(err)
	}
	if alive(pid) || reachable(s) {
		t.Error("the daemon is there after its death")
	}
	if err := s.KillDaemon(); err != nil {
		t.Errorf("killed twice: %v", err)
	}
	if err := s.StartDaemon(); err != nil {
		t.Fatal(err)
	}
	if s.Socket() != socket || !reachable(s) || daemonOf(t, s) == pid {
		t.Error("no new daemon at the same socket")
	}
}

func TestSlotsDoNotMeet(t *testing.T) {
	a, b := openSlot(t, t.Context()), openSlot(t, t.Context())
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if !reachable(b) || reachable(a) {
		t.Error("closing one slot touched the other")
	}
}

func TestSlotEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := openSlot(t, ctx)
	pid := daemonOf(t, s)
	cancel()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for alive(pid) {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the daemon outlives its context")
		}
	}
}

// The daemon has to go even when its owner is killed. The owner is this test
// binary, run once more.
func TestDaemonDiesWithItsOwner(t *testing.T) {
	const role = "KOSK_SLOT_OWNER"
	if dir := os.Getenv(role); dir != "" {
		s, err := vcard.OpenSlot(t.Context(), dir, vcard.SlotOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := os.WriteFile(filepath.Join(dir, "ready"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		<-t.Context().Done() // until killed, or by the test binary's own deadline
		return
	}
	if err := vcard.Installed(t.Context()); err != nil {
		t.Skipf("skipped: %v", err)
	}
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	owner := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestDaemonDiesWithItsOwner$", "-test.timeout=2m")
	owner.Env = append(os.Environ(), role+"="+dir)
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, ctx, "the daemon", func() bool { _, err := os.Stat(filepath.Join(dir, "ready")); return err == nil })
	pid := pidIn(t, filepath.Join(dir, "run"))
	if !alive(pid) {
		t.Fatalf("no daemon with id %d", pid)
	}
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = owner.Wait() // it was killed
	await(t, ctx, "the daemon's end", func() bool { return !alive(pid) })
}

func await(t *testing.T, ctx context.Context, what string, there func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !there() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s does not come", what)
		}
	}
}
