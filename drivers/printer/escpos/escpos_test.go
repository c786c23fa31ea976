package escpos_test

import (
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kosk/drivers/printer"
	"kosk/drivers/printer/escpos"
	"kosk/drivers/printer/paper"
	"kosk/drivers/printer/printertest"
)

// TestMain lets more tests run at once than there are processors: printers are
// mostly waited for.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

func putPaper(t *testing.T, o paper.Options) *paper.Paper {
	t.Helper()
	p, err := paper.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func open(t *testing.T, o escpos.Options) *escpos.Printer {
	t.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	if o.Patience == 0 {
		o.Patience = 15 * time.Second // three for one answer: a busy machine is no mute printer
	}
	e, err := escpos.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// journalPath is where a test's journal goes: into memory, where that is had, so
// that a disk which others keep busy doesn't make printers look mute.
func journalPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "kosk")
	if err != nil {
		return filepath.Join(t.TempDir(), "slips")
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "slips")
}

// models are the virtual printers by profile.
var models = paper.Models()

func TestPrinter(t *testing.T) {
	for profile, model := range models {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			printertest.Run(t, func(t *testing.T) printertest.Rig { return rig(t, profile, model()) })
		})
	}
}

func rig(t *testing.T, profile string, model paper.Model) printertest.Rig {
	p := putPaper(t, paper.Options{Model: model, MMPerSecond: printertest.Speed})
	e := open(t, escpos.Options{
		Path: p.Path(), Profile: profile, Baud: 115200, Journal: journalPath(t),
	})
	if n := p.Noise(); n != 0 {
		t.Errorf("%d bytes were no command", n)
	}
	r := printertest.Rig{
		Printer: e, Clears: model.Clears || model.Presenter == "custom",
		Begun: func() bool { return strings.TrimSpace(p.Hanging()) != "" },
		Out: func() []string {
			if !model.Cutter {
				p.TearOff()
			}
			return texts(p)
		},
		SetPaper: p.SetPaper, SetRoll: p.SetRoll, Cover: p.Cover, Mute: p.Mute,
		Jam: p.Jam, Head: p.Head, Unplug: p.Unplug,
		Replug: func() {
			if err := p.Replug(); err != nil {
				t.Error(err)
			}
		},
	}
	if model.Holds() {
		r.Take, r.Hold = p.Take, p.Hold
	}
	if model.Cutter {
		r.Cutter = p.Cutter
	}
	return r
}

func texts(p *paper.Paper) []string {
	var all []string
	for _, s := range p.Slips() {
		all = append(all, s.Text)
	}
	return all
}

var (
	_ printer.Printer   = (*escpos.Printer)(nil)
	_ printer.Watcher   = (*escpos.Printer)(nil)
	_ printer.Presenter = (*escpos.Printer)(nil)
	_ printer.Forgetter = (*escpos.Printer)(nil)
	_ printer.Supplier  = (*escpos.Printer)(nil)
)
