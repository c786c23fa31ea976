package pcsc_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kosk/drivers/card"
	"kosk/drivers/card/eid"
	"kosk/drivers/card/pcsc"
	"kosk/drivers/card/vcard"
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
	return m.Run()
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

func TestThin(t *testing.T) {
	slot := openSlot(t)
	pki, _ := vcard.NewPKI()
	c, err := vcard.New(pki, aygun(), vcard.Profile{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := pcsc.Open("", slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	began := time.Now()
	go func() {
		time.Sleep(500 * time.Millisecond)
		slot.Insert(c)
	}()
	r.Watch(ctx, func(e card.Event) {
		t.Log(time.Since(began), e.Kind, e.Reader, e.ATR)
		if e.Kind == card.MediaInserted {
			cc, err := r.Connect(ctx)
			if err != nil {
				t.Error(err)
				cancel()
				return
			}
			t.Log(time.Since(began), "connected", cc.(card.Sizer).MaxTransceive())
			chip, err := eid.New(nil).ReadHolder(ctx, cc, "123456", nil)
			if err != nil {
				t.Error(err)
			} else {
				t.Log(time.Since(began), "read", chip.APDUs, chip.Bytes, chip.Took)
			}
			cc.Close()
			slot.Remove()
		}
		if e.Kind == card.MediaRemoved {
			slot.KillDaemon()
			slot.StartDaemon()
			cancel()
		}
	})
}
