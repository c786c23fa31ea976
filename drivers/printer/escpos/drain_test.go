package escpos_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kosk/drivers/printer"
	"kosk/drivers/printer/escpos"
	"kosk/drivers/printer/paper"
	"kosk/drivers/serial"
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

// TestAPrinterThatSaysWaitByAWireIsNeverFull opens the cover in the middle of a
// long slip. A printer whose buffer is full says by RTS that no byte may come,
// and then no question can come either: it must not get there.
func TestAPrinterThatSaysWaitByAWireIsNeverFull(t *testing.T) {
	all, err := escpos.Profiles()
	if err != nil {
		t.Fatal(err)
	}
	for profile, data := range all {
		if data.Flow != serial.RtsCts {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			p := putPaper(t, paper.Options{Model: models[profile](), Memory: true, MMPerSecond: 150})
			sent := 0
			o := escpos.Options{Profile: profile, Baud: 19200, Log: slog.New(slog.DiscardHandler)}
			kiosk, err := escpos.Open(t.Context(), escpos.Overhear(o, p, func(b []byte) {
				switch {
				case bytes.HasPrefix(b, []byte{0x10}):
				case bytes.HasPrefix(b, []byte("\x1b@")):
					sent = len(b)
				default:
					sent += len(b)
				}
			}))
			if err != nil {
				t.Fatal(err)
			}
			defer kiosk.Close()
			timer := time.AfterFunc(300*time.Millisecond, func() { p.Cover(true) })
			defer timer.Stop()
			if outcome, err := kiosk.Print(t.Context(), slipOf("slip-1", 400)); outcome != printer.Unknown {
				t.Fatalf("%s: %v, %v", profile, outcome, err)
			}
			if sent > 1000 { // of 6,000
				t.Errorf("%s: %d bytes went to a printer that stands still", profile, sent)
			}
		})
	}
}
