package escpos_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kosk/drivers/printer"
	"kosk/drivers/printer/escpos"
)

func TestASlipNotTakenIsAskedForAndTakenBack(t *testing.T) {
	for _, profile := range []string{"custom-kpm", "custom-vkp", "citizen-ppu-700"} {
		t.Run(profile, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, profile, true)
				w.watch()
				w.wait(time.Second)
				w.printed("slip-1")
				w.wait(700 * time.Millisecond)
				if w.count(printer.MediaPresented) != 1 || w.count(printer.MediaNotTaken) == 0 || w.count(printer.MediaAutoRetracted) != 0 {
					t.Errorf("after a while: %v", w.events)
				}
				w.wait(2 * time.Second)
				if w.count(printer.MediaAutoRetracted) != 1 || w.paper.Retracted() != 1 || w.kiosk.Supply().Retracted != 1 || w.paper.AtSlot() {
					t.Errorf("after its time: %v, %d in the bin", w.events, w.paper.Retracted())
				}
				w.printed("slip-2")
				w.wait(100 * time.Millisecond)
				w.paper.Take()
				w.wait(2 * time.Second)
				if w.count(printer.MediaTaken) != 1 || w.count(printer.MediaAutoRetracted) != 1 {
					t.Errorf("taken: %v", w.events)
				}
				w.printed("slip-3") // and nobody takes it before the next
				w.printed("slip-4")
				if w.paper.Retracted() != 2 {
					t.Errorf("a slip was pushed out by the next person's: %d in the bin", w.paper.Retracted())
				}
				w.stop()
				w.start() // the bin is counted over a restart
				if n := w.kiosk.Supply().Retracted; n != 2 {
					t.Errorf("%d in the bin after a restart", n)
				}
			})
		})
	}
}

func TestTroubleIsToldWithoutBeingAskedFor(t *testing.T) {
	for profile := range models {
		t.Run(profile, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, profile, true)
				w.watch()
				w.wait(3 * time.Second)
				w.paper.SetPaper(printer.PaperLow)
				w.wait(2500 * time.Millisecond)
				if w.count(printer.PaperThreshold) == 0 || w.kiosk.Supply().Paper != printer.PaperLow {
					t.Errorf("near end: %v", w.events)
				}
				w.paper.Cover(true)
				w.wait(2500 * time.Millisecond)
				w.mu.Lock()
				defer w.mu.Unlock()
				if last := w.events[len(w.events)-1]; last.Kind != printer.StatusChanged || last.Err == nil || !last.Status.CoverOpen {
					t.Errorf("cover: %+v", last)
				}
			})
		})
	}
}

func TestNearTheEndPaperIsCountedAlsoOverARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "epson-tm-t20ii", true)
		w.printed("slip-1")
		w.paper.SetPaper(printer.PaperLow)
		hands["status"](w)
		before := w.kiosk.Supply().LeftMM
		w.wait(2 * time.Hour)
		w.printed("slip-2")
		used := before - w.kiosk.Supply().LeftMM
		if before != 1500 || used < 40 || used > 80 {
			t.Errorf("%d mm near the end, %d for a slip", before, used)
		}
		w.stop()
		w.start()
		if got := w.kiosk.Supply().LeftMM; got != before-used {
			t.Errorf("%d mm after a restart, want %d", got, before-used)
		}
		for n := 3; n < 30; n++ {
			w.printed("slip-" + string(rune('0'+n%10)) + string(rune('0'+n/10)))
		}
		pieces := len(w.paper.Slips())
		if outcome := w.print("slip-77", 200); outcome != printer.Failed || len(w.paper.Slips()) != pieces || w.paper.Hanging() != "" {
			t.Errorf("a slip longer than the paper: %v", outcome)
		}
	})
}

// A printer that can't be told to forget prints what it holds, when it has paper
// again: it is cut off, taken back, and never called out.
func TestWhatADrainedPrinterStillPrintsIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "citizen-ppu-700", true)
		w.paper.SetRoll(12)
		if outcome := w.printed("slip-1"); outcome != printer.Unknown {
			t.Fatal(outcome)
		}
		if err := w.kiosk.Clear(t.Context()); !errors.Is(err, printer.ErrNoPaper) || w.kiosk.Forgets() {
			t.Errorf("clear without paper: %v", err)
		}
		w.paper.SetPaper(printer.PaperFull)
		if err := w.kiosk.Clear(t.Context()); err != nil {
			t.Errorf("clear with paper: %v", err)
		}
		slips := w.paper.Slips()
		if last := slips[len(slips)-1]; !last.Retracted || !strings.Contains(last.Text, "end slip-1") || w.paper.Hanging() != "" || w.paper.AtSlot() {
			t.Errorf("came out: %+v, and %q hangs", last.Text, w.paper.Hanging())
		}
		if w.kiosk.Supply().Retracted != 1 || w.kiosk.State("slip-1") != escpos.Unknown {
			t.Errorf("%d in the bin, %s", w.kiosk.Supply().Retracted, w.kiosk.State("slip-1"))
		}
		w.printed("slip-2")
	})
}

// A line at 19,200 baud takes ten bits a byte: the slip can't be out earlier,
// and not much later.
func TestASlipTakesItsTimeAt19200(t *testing.T) {
	w := newWorld(t, "epson-tm-t20ii", false)
	w.paper.Slow(19200)
	slip := loadSlip(t, composed+"/final-az.slip")
	start := time.Now()
	if outcome, err := w.kiosk.Print(t.Context(), slip); outcome != printer.Confirmed {
		t.Fatal(outcome, err)
	}
	took := time.Since(start)
	line := time.Duration(len(w.paper.Slips()[0].Raw)) * 10 * time.Second / 19200
	if took < line || took > line+3*time.Second {
		t.Errorf("took %v, the line alone %v", took, line)
	}
	t.Logf("%v for %d bytes, the line alone %v", took, len(w.paper.Slips()[0].Raw), line)
}

// TestAPresenterLeavesItToUs lets a slip lie for longer than a PPU-700 would let
// it by itself, which is five seconds after ESC @, and that begins each slip.
func TestAPresenterLeavesItToUs(t *testing.T) {
	for profile, model := range models {
		if !model().Holds() {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, profile, true)
			if outcome := w.print("slip-1", 6); outcome != printer.Confirmed {
				t.Fatalf("%s: %v", profile, outcome)
			}
			w.wait(time.Minute)
			if !w.paper.AtSlot() || w.paper.Retracted() != 0 {
				t.Errorf("%s: the slip was taken back before its time", profile)
			}
		})
	}
}

// A bin that fills is told of at its threshold, until somebody has emptied it.
func TestAFullBinIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "custom-vkp", true)
		w.stop()
		w.o.Bin = 2
		w.start()
		w.watch()
		for n, want := range []int{0, 1, 2} {
			w.printed("slip-" + string(rune('1'+n)))
			w.wait(3 * time.Second)
			if got := w.count(printer.RetractBinThreshold); got != want || w.paper.Retracted() != n+1 {
				t.Errorf("after %d slips not taken, %d in the bin: told %d times, want %d", n+1, w.paper.Retracted(), got, want)
			}
		}
		if err := w.kiosk.EmptyBin(); err != nil || w.kiosk.Supply().Retracted != 0 {
			t.Errorf("emptied: %v, %d in the bin", err, w.kiosk.Supply().Retracted)
		}
		w.printed("slip-4")
		w.wait(3 * time.Second)
		if got := w.count(printer.RetractBinThreshold); got != 2 {
			t.Errorf("after it was emptied: told %d times", got)
		}
	})
}
