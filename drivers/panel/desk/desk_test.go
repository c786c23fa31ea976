package desk_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"kosk/drivers/panel"
	"kosk/drivers/panel/desk"
	"kosk/drivers/panel/paneltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lines are what a file says.
func lines(t *testing.T, path string) (all []desk.Change) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		var c desk.Change
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

func TestPanel(t *testing.T) {
	paneltest.Run(t, func(t *testing.T) paneltest.Rig {
		path := filepath.Join(t.TempDir(), "lamps.jsonl")
		p, err := desk.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		return paneltest.Rig{Panel: p, Lit: func(l panel.Lamp) (lit bool, changes int) {
			for _, c := range lines(t, path) {
				if c.Lamp == l {
					lit, changes = c.Pattern != panel.Off, changes+1
				}
			}
			return lit, changes
		}}
	})
}

// The file says what was told, in its order, after what an earlier run has left.
func TestTheFileTellsWhatWasTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lamps.jsonl")
	for range 2 {
		p, err := desk.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, pattern := range []panel.Pattern{panel.Off, panel.Slow, panel.Slow, panel.Quick} {
			if err := p.Light(t.Context(), panel.ReceiptPrinter, pattern); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var got []panel.Pattern
	for _, c := range lines(t, path) {
		if c.Lamp != panel.ReceiptPrinter || c.T.IsZero() {
			t.Errorf("%+v", c)
		}
		got = append(got, c.Pattern)
	}
	if want := "slow quick off slow quick off"; want != join(got) {
		t.Errorf("%s, want %s", join(got), want)
	}
}

func join(all []panel.Pattern) string {
	var s []string
	for _, p := range all {
		s = append(s, string(p))
	}
	return strings.Join(s, " ")
}

func TestAFileThatCantBeWritten(t *testing.T) {
	if _, err := desk.Open(t.TempDir()); err == nil {
		t.Error("a folder was opened")
	}
	p, err := desk.Open("/dev/full")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Light(t.Context(), panel.CardReader, panel.Slow); !errors.Is(err, panel.ErrFault) || !errors.Is(p.Err(), panel.ErrFault) {
		t.Errorf("a full disk: %v, %v", err, p.Err())
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
