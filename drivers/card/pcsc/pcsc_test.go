package pcsc_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kosk/drivers/card/cardtest"
	"kosk/drivers/card/pcsc"
	"kosk/drivers/card/vcard"

	"go.uber.org/goleak"
)

// slotDir is one folder for all slots of this process, since the client library
// reads the socket's name only once.
var slotDir string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pcsc")
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

func aygun() vcard.Person {
	return vcard.Person{
		FIN: "5ARPXK2", Surname: "Məmmədova", GivenNames: "Aygün", Sex: 'F', DocumentNumber: "AA1234567", CAN: "123456",
		BirthDate: time.Date(1990, 5, 12, 0, 0, 0, 0, time.UTC), Expires: time.Date(2033, 3, 1, 0, 0, 0, 0, time.UTC),
	}
}

func openSlot(t testing.TB) *vcard.Slot {
	t.Helper()
	if err := vcard.Installed(); err != nil {
		t.Skipf("skipped: %v", err)
	}
	s, err := vcard.OpenSlot(t.Context(), slotDir, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestReader runs the suite of all makes against the real daemon.
func TestReader(t *testing.T) {
	pki, err := vcard.NewPKI()
	if err != nil {
		t.Fatal(err)
	}
	profiles := map[cardtest.Behaviour]vcard.Profile{
		cardtest.Good: {}, cardtest.Mute: {Mute: true}, cardtest.Silent: {Silent: true}, cardtest.Leaving: {RemovedAfter: 2},
	}
	cardtest.Run(t, func(t *testing.T) cardtest.Rig {
		slot := openSlot(t)
		must := func(do func() error) func() {
			return func() {
				t.Helper()
				if err := do(); err != nil {
					t.Fatal(err)
				}
			}
		}
		r, err := pcsc.Open("Virtual PCD", nil)
		if err != nil {
			t.Fatal(err)
		}
		return cardtest.Rig{
			Reader: r,
			Insert: func(b cardtest.Behaviour) { insert(t, slot, pki, profiles[b]) },
			Remove: must(slot.Remove), Stop: must(slot.KillDaemon), Start: must(slot.StartDaemon),
		}
	})
}

func insert(t testing.TB, slot *vcard.Slot, pki *vcard.PKI, p vcard.Profile) {
	t.Helper()
	c, err := vcard.New(pki, aygun(), p)
	if err != nil {
		t.Fatal(err)
	}
	if err := slot.Insert(c); err != nil {
		t.Fatal(err)
	}
}
