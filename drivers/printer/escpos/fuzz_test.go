package escpos

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"kosk/drivers/serial"
)

func FuzzProfiles(f *testing.F) {
	f.Add(profilesTOML)
	f.Add("[x]\ndots = 8\ncolumns = -1\npages = [{name = \"windows-1254\", n = 300}]\n")
	f.Fuzz(func(t *testing.T, data string) {
		all, err := loadProfiles(data)
		if err != nil || len(data) > 1<<16 {
			return
		}
		for name, p := range all {
			if p.Dots < p.Columns*12 || len(p.Pages) == 0 || len(p.Status) == 0 || p.presents() && len(p.Retract) == 0 {
				t.Errorf("%s passes as %+v", name, p)
			}
		}
	})
}

func FuzzJournal(f *testing.F) {
	f.Add([]byte("2026-11-22T02:25:12Z sending a\n2026-11-22T02:25:12Z paper 1200 -1 300 1700000000 2\n"))
	f.Add([]byte("x paper -9 1 2 3 4\nx confirmed a\nx y\n\x00\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "slips")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := openJournal(path)
		if err != nil {
			t.Fatalf("a journal of noise keeps the kiosk from starting: %v", err)
		}
		defer j.close()
		for id, s := range j.states {
			if s == Sending || s == Sent || s == Queued {
				t.Fatalf("%q is %s after a start", id, s)
			}
		}
		if a := j.paper(); a.left < -1 || a.used < 0 || a.retracted < 0 {
			t.Fatalf("account %+v", a)
		}
		if err := j.record("next", Sending); err != nil {
			t.Fatal(err)
		}
		if all, err := os.ReadFile(path); err != nil || !bytes.HasSuffix(all, []byte(" sending next\n")) {
			t.Fatalf("%q, %v", all, err)
		}
	})
}

// XON/XOFF with a status that can hold 11h and 13h would lose bytes of it.
func TestXonXoffIsRefusedWithARawStatus(t *testing.T) {
	all, err := Profiles()
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range all {
		p.Flow = serial.XonXoff
		if err := p.check(); (err == nil) == p.custom() {
			t.Errorf("%s with xon/xoff: %v", name, err)
		}
	}
}
