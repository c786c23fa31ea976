package escpos_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kosk/drivers/printer"
	"kosk/drivers/printer/paper"
)

// TestAPrinterThatCannotForgetHoldsLittle lets the paper end, or the cover come
// open, in the middle of a slip. When all is well again the printer goes on by
// itself with what it holds: two pieces of the slip and no more, and never its end.
func TestAPrinterThatCannotForgetHoldsLittle(t *testing.T) {
	for profile, model := range models {
		if m := model(); m.Clears || m.Presenter == "custom" {
			continue
		}
		for name, c := range map[string]struct {
			hurt, heal func(*paper.Paper)
			want       error
		}{
			"paper out": {
				func(p *paper.Paper) { p.SetRoll(60) },
				func(p *paper.Paper) { p.SetPaper(printer.PaperFull) }, printer.ErrNoPaper,
			},
			"cover open": {
				func(p *paper.Paper) { p.Cover(true) },
				func(p *paper.Paper) { p.Cover(false) }, printer.ErrCoverOpen,
			},
		} {
			t.Run(profile+" "+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, profile, true)
					timer := time.AfterFunc(500*time.Millisecond, func() { c.hurt(w.paper) })
					defer timer.Stop()
					outcome, err := w.kiosk.Print(t.Context(), slipOf("slip-1", 60))
					if outcome != printer.Unknown || !errors.Is(err, c.want) {
						t.Fatalf("%v, %v", outcome, err)
					}
					before := linesOut(w)
					c.heal(w.paper)
					w.wait(5 * time.Second)
					if came := linesOut(w) - before; before < 5 || came > 8 {
						t.Errorf("%d lines were out, and %d more came by themselves", before, came)
					}
					if w.ends("slip-1") > 0 {
						t.Error("the end of the slip came")
					}
				})
			})
		}
	}
}

func linesOut(w *world) int {
	return strings.Count(strings.Join(append(texts(w.paper), w.paper.Hanging()), "\n"), "slip-1.")
}
