package cardtest

import (
	"log/slog"
	"os"
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
	if err := vcard.Installed(); err != nil {
		t.Skipf("skipped: %v", err)
	}
	s, err := vcard.OpenSlot(t.Context(), slotDir, nil)
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
