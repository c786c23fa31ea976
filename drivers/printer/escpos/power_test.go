package escpos_test

import (
	"testing"
	"testing/synctest"
	"time"

	"kosk/drivers/printer"
	"kosk/drivers/printer/paper"
)

// TestNoSlipIsConfirmedThatLostPower takes the power away at every place of a
// slip, with all before that place on paper and all after it still to come: the
// line stays open, and the printer answers as if nothing had been.
func TestNoSlipIsConfirmedThatLostPower(t *testing.T) {
	for profile, model := range models {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			off := time.Duration(0)
			if !model().Macros {
				off = 700 * time.Millisecond // as long as a piece and its answer are on the line
			}
			outcome, size := powerLost(t, profile, 1<<30, off)
			if outcome != printer.Confirmed {
				t.Fatalf("with power: %v", outcome)
			}
			places, unknown := 0, 0
			for at := 1; at <= size; at += max(1, size/(*cuts)) {
				places++
				if outcome, _ := powerLost(t, profile, at, off); outcome == printer.Unknown {
					unknown++
				}
			}
			t.Logf("lost at %d places in %d bytes: %d unknown", places, size, unknown)
			if unknown < places*8/10 { // but before its first byte and after its last
				t.Errorf("%d of %d places are unknown", unknown, places)
			}
		})
	}
}

// powerLost prints a slip of which the printer loses the power after so many
// bytes, holds it to the promises, and returns how long the slip is.
func powerLost(t *testing.T, profile string, after int, off time.Duration) (outcome printer.Outcome, size int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorldOf(t, profile, paper.Options{Memory: true})
		w.stop()
		w.o.Journal, w.o.Baud = "", 19200 // the disk has no part in it
		w.paper.Slow(w.o.Baud)
		w.start()
		w.printed("slip-1")
		w.paper.Take()
		w.paper.OutageAfter(after, off)
		outcome = w.printed("slip-2")
		slips := w.paper.Slips()
		size = len(slips[len(slips)-1].Raw)
	})
	return outcome, size
}
