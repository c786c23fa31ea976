package cardtest

import (
	"context"
	_ "embed"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kosk/drivers/card/vcard"
)

// slotDir is one folder for all slots of this process, since the PC/SC client
// library reads the name of the daemon's socket only once.
var slotDir string

// Main runs the tests of a package that meets the real daemon, and returns the
// exit code: it gives them a folder for slots, and fails when goroutines are left.
func Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "cardtest")
	if err != nil {
		slog.Error("make folder", "error", err)
		return 1
	}
	defer os.RemoveAll(dir)
	slotDir = dir
	if err := os.Setenv("PCSCLITE_CSOCK_NAME", filepath.Join(dir, "run", "pcscd.comm")); err != nil {
		slog.Error("set socket", "error", err)
		return 1
	}
	code := m.Run()
	if err := goleak.Find(); err != nil {
		slog.Error("goroutines left", "error", err)
		return 1
	}
	return code
}

// Slot is a slot of a daemon of the test's own, closed when the test ends. It
// needs Main. Without the daemon or root the test is skipped, with that reason.
func Slot(t testing.TB) *vcard.Slot {
	t.Helper()
	return open(t, vcard.SlotOptions{})
}

// LooseSlot is a Slot whose reader can be unplugged and plugged in again while
// the daemon goes on: a driver of ours stands before the reader's own and says
// that there is no such device. It needs a C compiler, or the test is skipped.
func LooseSlot(t testing.TB) (s *vcard.Slot, unplug, plug func() error) {
	t.Helper()
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skipf("skipped: %v", err)
	}
	dir := t.TempDir()
	source, library, flag := filepath.Join(dir, "unplug.c"), filepath.Join(dir, "unplug.so"), filepath.Join(dir, "unplugged")
	if err := os.WriteFile(source, unplugC, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, gcc, "-shared", "-fPIC", "-I/usr/include/PCSC", "-o", library, source, "-ldl").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s = open(t, vcard.SlotOptions{Driver: library, Env: []string{"KOSK_READER_DRIVER=" + vcard.Driver, "KOSK_READER_UNPLUGGED=" + flag}})
	return s, func() error { return os.WriteFile(flag, nil, 0o600) }, func() error { return os.Remove(flag) }
}

// unplugC is the driver of LooseSlot.
//
//go:embed testdata/unplug.c
var unplugC []byte

func open(t testing.TB, o vcard.SlotOptions) *vcard.Slot {
	t.Helper()
	if err := vcard.Installed(t.Context()); err != nil {
		t.Skipf("skipped: %v", err)
	}
	s, err := vcard.OpenSlot(t.Context(), slotDir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Aygun is the person of the tests, whom the reference bus's register knows, too.
func Aygun() vcard.Person {
	return vcard.Person{
		FIN: "5ARPXK2", Surname: "Məmmədova", GivenNames: "Aygün", Sex: 'F', DocumentNumber: "AA1234567", CAN: "123456",
		BirthDate: time.Date(1990, 5, 12, 0, 0, 0, 0, time.UTC), Expires: time.Date(2033, 3, 1, 0, 0, 0, 0, time.UTC),
	}
}
