package escpos_test

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kosk/drivers/printer"
	"kosk/drivers/printer/escpos"
	"kosk/drivers/printer/paper"
	"kosk/drivers/printer/printertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
		o.Patience = 4 * time.Second
	}
	e, err := escpos.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// models are the virtual printers by profile.
var models = paper.Models()

func TestPrinter(t *testing.T) {
	for profile, model := range models {
		t.Run(profile, func(t *testing.T) {
			printertest.Run(t, func(t *testing.T) printertest.Rig { return rig(t, profile, model()) })
		})
	}
}

func rig(t *testing.T, profile string, model paper.Model) printertest.Rig {
	p := putPaper(t, paper.Options{Model: model, MMPerSecond: printertest.Speed})
	e := open(t, escpos.Options{
		Path: p.Path(), Profile: profile, Baud: 115200, Journal: filepath.Join(t.TempDir(), "slips"),
	})
	if n := p.Noise(); n != 0 {
		t.Errorf("%d bytes were no command", n)
	}
	r := printertest.Rig{
		Printer: e, Clears: model.Clears || model.Presenter == "custom",
		Out: func() []string {
			if !model.Cutter {
				p.TearOff()
			}
			return texts(p)
		},
		SetPaper: p.SetPaper, SetRoll: p.SetRoll, Cover: p.Cover, Mute: p.Mute,
		Unplug: p.Unplug,
		Replug: func() {
			if err := p.Replug(); err != nil {
				t.Error(err)
			}
		},
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

var _ printer.Printer = (*escpos.Printer)(nil)
