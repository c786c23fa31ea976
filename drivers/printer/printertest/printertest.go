// Package printertest is the suite that every make of printer passes. It works
// a printer through its contract while the paper ends, the cover opens, the
// blade sticks and the cable is pulled, and looks at what comes out of the slot.
package printertest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"kosk/drivers/printer"
)

// A Rig is a printer under test and the hands that cause its troubles. A nil
// hand is a trouble that this printer can't have: its tests are skipped, with
// that reason.
type Rig struct {
	Printer printer.Printer
	Out     func() []string // text of all that came out of the slot so far
	Clears  bool            // the printer forgets what it holds when it is told to
	Begun   func() bool     // something is printed of a slip that isn't out; nil if it can't be told

	SetPaper func(printer.Paper)
	SetRoll  func(mm int) // the paper ends after so many millimetres
	Cover    func(open bool)
	Cutter   func(blocked bool)
	Jam      func(on bool)
	Head     func(hot bool)
	Mute     func(on bool) // prints, but doesn't answer
	Unplug   func()
	Replug   func()

	Take func()        // takes the slip that a presenter holds out
	Hold func(on bool) // has somebody hold on to it
}

// Speed is how fast the rig's paper should move, in mm a second, so that
// troubles can come while a slip is printed.
const Speed = 300

// CopyMark is what stands on a slip printed again.
const CopyMark = "SURƏT / КОПИЯ / COPY"

const timely = time.Minute // no call of a printer takes longer

// Run runs the suite. open is called anew for each test, and cleans up by t.
func Run(t *testing.T, open func(t *testing.T) Rig) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *Rig)
	}{
		{"a slip comes out once and is confirmed", confirmed},
		{"all three languages come out as they were written", languages},
		{"a healthy printer says so", healthy},
		{"little paper is said, and prints", lowPaper},
		{"nothing is printed without paper", noPaper},
		{"nothing is printed with the cover open", coverOpen},
		{"nothing is sent to a printer that doesn't answer", muteBefore},
		{"nothing is printed while unplugged", unpluggedBefore},
		{"paper that ends in a slip leaves it unknown", paperEnds},
		{"what was held is gone after a clear", cleared},
		{"a stuck blade leaves the slip unknown", cutterStuck},
		{"nothing is printed with paper jammed", jammedBefore},
		{"a jam in a slip leaves it unknown", jammedWithin},
		{"nothing is printed with a hot head", hotBefore},
		{"a head too hot in a slip leaves it unknown", hotWithin},
		{"a slip is held out until it is taken", heldOut},
		{"a slip not taken is taken back and counted", takenBack},
		{"a slip in somebody's hand isn't torn from it", heldOn},
		{"a slip not taken isn't handed to the next person", notForTheNext},
		{"a printer gone mute leaves the slip unknown", muteWithin},
		{"a cable pulled in a slip leaves it unknown", unpluggedWithin},
		{"a cancelled slip isn't joined to the next", cancelled},
		{"a confirmed slip printed again is marked", again},
		{"calls at the same time wait for each other", together},
		{"close ends a printing at once", closing},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rig := open(t)
			c.test(t, &rig)
		})
	}
}

// slip is one of a few centimetres that can be known again.
func slip(id string) printer.Slip {
	s := printer.Slip{ID: id, Lines: []printer.Line{{Style: printer.Heading, Text: first(id)}}}
	for i := range 14 {
		s.Lines = append(s.Lines, printer.Line{Text: fmt.Sprintf("sətir %d", i), Right: id})
	}
	s.Lines = append(s.Lines, printer.Line{Style: printer.Code, Text: "HTTPS://KOSK.EXAMPLE/" + id})
	s.Lines = append(s.Lines, printer.Line{Style: printer.Strong, Text: last(id)})
	return s
}

func first(id string) string { return "Əvvəl " + id }
func last(id string) string  { return "Son " + id }

// print prints a slip and checks what must always hold.
func (r *Rig) print(t *testing.T, id string) (printer.Outcome, error) {
	t.Helper()
	return r.printWith(t, t.Context(), id)
}

func (r *Rig) printWith(t *testing.T, ctx context.Context, id string) (printer.Outcome, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, timely)
	defer cancel()
	outcome, err := r.Printer.Print(ctx, slip(id))
	if (outcome == printer.Confirmed) != (err == nil) {
		t.Errorf("print %s: %v with error %v", id, outcome, err)
	}
	if outcome == printer.Confirmed && r.whole(id, "") == 0 {
		t.Errorf("print %s: confirmed, but it is not out:\n%s", id, strings.Join(r.Out(), "\n---\n"))
	}
	return outcome, err
}

// whole counts the pieces of paper that have a slip from its first line to its
// last, and the mark.
func (r *Rig) whole(id, mark string) int {
	n := 0
	for _, s := range r.Out() {
		if strings.Contains(s, first(id)) && strings.Contains(s, last(id)) && strings.Contains(s, mark) {
			n++
		}
	}
	return n
}

// pieces counts the pieces of paper that have any of a slip.
func (r *Rig) pieces(id string) int {
	n := 0
	for _, s := range r.Out() {
		if strings.Contains(s, id) {
			n++
		}
	}
	return n
}

func (r *Rig) mustPrint(t *testing.T, id string) {
	t.Helper()
	if outcome, err := r.print(t, id); outcome != printer.Confirmed {
		t.Fatalf("print %s: %v, %v, want confirmed", id, outcome, err)
	}
}

func (r *Rig) mustEnd(t *testing.T, id string, want printer.Outcome, reason error) {
	t.Helper()
	outcome, err := r.print(t, id)
	if outcome != want || !errors.Is(err, reason) {
		t.Fatalf("print %s: %v, %v, want %v, %v", id, outcome, err, want, reason)
	}
}

func confirmed(t *testing.T, r *Rig) {
	r.mustPrint(t, "A1")
	if n := r.pieces("A1"); n != 1 {
		t.Errorf("%d pieces came out", n)
	}
	if n := r.whole("A1", CopyMark); n != 0 {
		t.Error("the first slip is marked as a copy")
	}
	r.mustPrint(t, "A2")
	if r.whole("A1", "") != 1 || r.whole("A2", "") != 1 {
		t.Errorf("two slips came out as %q", r.Out())
	}
}

func languages(t *testing.T, r *Rig) {
	lines := []string{"Əmək və əhali: ğış çöşü İIı", "Ёжик съел щи, ЪЭЯ", "Plain English, 12.50"}
	s := printer.Slip{ID: "L"}
	for _, l := range lines {
		s.Lines = append(s.Lines, printer.Line{Text: l}, printer.Line{Style: printer.Strong, Text: l})
	}
	if outcome, err := r.Printer.Print(t.Context(), s); outcome != printer.Confirmed {
		t.Fatal(outcome, err)
	}
	out := r.Out()
	for _, l := range lines {
		if len(out) != 1 || !strings.Contains(out[0], l) {
			t.Errorf("%q isn't on %q", l, out)
		}
	}
}

func healthy(t *testing.T, r *Rig) {
	s, err := r.Printer.Status(t.Context())
	if err != nil || s.Err() != nil || !s.Online || s.Paper != printer.PaperFull || s.Model == "" {
		t.Errorf("status %+v, %v", s, err)
	}
	if err := r.Printer.Clear(t.Context()); err != nil {
		t.Errorf("clear: %v", err)
	}
	if len(r.Out()) != 0 {
		t.Errorf("asking printed %q", r.Out())
	}
}

func lowPaper(t *testing.T, r *Rig) {
	hand(t, r.SetPaper != nil)
	r.SetPaper(printer.PaperLow)
	s, err := r.Printer.Status(t.Context())
	if err != nil || s.Paper != printer.PaperLow || s.Err() != nil {
		t.Errorf("status %+v, %v", s, err)
	}
	r.mustPrint(t, "B1")
}

func noPaper(t *testing.T, r *Rig) {
	hand(t, r.SetPaper != nil)
	r.SetPaper(printer.PaperOut)
	s, err := r.Printer.Status(t.Context())
	if err != nil || !errors.Is(s.Err(), printer.ErrNoPaper) {
		t.Errorf("status %+v, %v", s, err)
	}
	r.mustEnd(t, "C1", printer.Failed, printer.ErrNoPaper)
	r.SetPaper(printer.PaperFull)
	r.unmarkedOnce(t, "C1")
}

// unmarkedOnce prints a slip that never came out: it is no copy.
func (r *Rig) unmarkedOnce(t *testing.T, id string) {
	t.Helper()
	if n := r.pieces(id); n != 0 {
		t.Fatalf("%d pieces of a slip that failed came out: %q", n, r.Out())
	}
	r.mustPrint(t, id)
	if r.whole(id, "") != 1 || r.whole(id, CopyMark) != 0 {
		t.Errorf("came out as %q", r.Out())
	}
}

func coverOpen(t *testing.T, r *Rig) {
	hand(t, r.Cover != nil)
	r.Cover(true)
	r.mustEnd(t, "D1", printer.Failed, printer.ErrCoverOpen)
	r.Cover(false)
	r.unmarkedOnce(t, "D1")
}

func muteBefore(t *testing.T, r *Rig) {
	hand(t, r.Mute != nil)
	r.Mute(true)
	r.mustEnd(t, "E1", printer.Failed, printer.ErrMute)
	if _, err := r.Printer.Status(t.Context()); !errors.Is(err, printer.ErrMute) {
		t.Errorf("status: %v", err)
	}
	r.Mute(false)
	r.unmarkedOnce(t, "E1")
}

func unpluggedBefore(t *testing.T, r *Rig) {
	hand(t, r.Unplug != nil)
	r.Unplug()
	r.mustEnd(t, "F1", printer.Failed, printer.ErrUnplugged)
	if _, err := r.Printer.Status(t.Context()); !errors.Is(err, printer.ErrUnplugged) {
		t.Errorf("status: %v", err)
	}
	r.Replug()
	r.unmarkedOnce(t, "F1")
}

// markedAgain prints a slip that may be out already: it must be marked, and
// nothing else of it may come.
func (r *Rig) markedAgain(t *testing.T, id string) {
	t.Helper()
	before := r.pieces(id)
	r.mustPrint(t, id)
	if n := r.whole(id, CopyMark); n != 1 {
		t.Errorf("%d marked copies: %q", n, r.Out())
	}
	// What hung uncut of the first comes out before the copy, and never more.
	if n := r.pieces(id); r.Clears && (n > before+2 || r.whole(id, "") > 2) {
		t.Errorf("%d pieces came out with the copy: %q", n-before, r.Out())
	}
}

func paperEnds(t *testing.T, r *Rig) {
	hand(t, r.SetRoll != nil && r.SetPaper != nil)
	r.SetRoll(30)
	r.mustEnd(t, "G1", printer.Unknown, printer.ErrNoPaper)
	r.mustEnd(t, "G2", printer.Failed, printer.ErrNoPaper)
	r.SetPaper(printer.PaperFull)
	r.markedAgain(t, "G1")
}

func cleared(t *testing.T, r *Rig) {
	hand(t, r.SetRoll != nil && r.SetPaper != nil && r.Clears)
	r.SetRoll(30)
	r.mustEnd(t, "H1", printer.Unknown, printer.ErrNoPaper)
	if err := r.Printer.Clear(t.Context()); err != nil {
		t.Fatalf("clear: %v", err)
	}
	before := r.pieces("H1")
	r.SetPaper(printer.PaperFull)
	r.mustPrint(t, "H2")
	if n := r.pieces("H1"); n != before {
		t.Errorf("the slip of somebody who has left went on printing: %q", r.Out())
	}
}

func cutterStuck(t *testing.T, r *Rig) {
	hand(t, r.Cutter != nil)
	r.Cutter(true)
	r.mustEnd(t, "I1", printer.Unknown, printer.ErrCutter)
	r.mustEnd(t, "I2", printer.Failed, printer.ErrCutter)
	r.Cutter(false)
	r.markedAgain(t, "I1")
}

func jammedBefore(t *testing.T, r *Rig) {
	hand(t, r.Jam != nil)
	r.Jam(true)
	r.mustEnd(t, "Q1", printer.Failed, printer.ErrJammed)
	if s, err := r.Printer.Status(t.Context()); err != nil || s.Paper != printer.PaperJammed {
		t.Errorf("status %+v, %v", s, err)
	}
	r.Jam(false)
	r.unmarkedOnce(t, "Q1")
}

func jammedWithin(t *testing.T, r *Rig) {
	hand(t, r.Jam != nil)
	r.within(t, func() { r.Jam(true) })
	r.mustEnd(t, "R1", printer.Unknown, printer.ErrJammed)
	r.mustEnd(t, "R2", printer.Failed, printer.ErrJammed)
	r.Jam(false)
	r.markedAgain(t, "R1")
}

func hotBefore(t *testing.T, r *Rig) {
	hand(t, r.Head != nil)
	r.Head(true)
	r.mustEnd(t, "S1", printer.Failed, printer.ErrOffline)
	if s, err := r.Printer.Status(t.Context()); err != nil || !s.Head || s.Online {
		t.Errorf("status %+v, %v", s, err)
	}
	r.Head(false)
	r.unmarkedOnce(t, "S1")
}

func hotWithin(t *testing.T, r *Rig) {
	hand(t, r.Head != nil)
	r.within(t, func() { r.Head(true) })
	r.mustEnd(t, "T1", printer.Unknown, printer.ErrOffline)
	r.Head(false)
	r.markedAgain(t, "T1")
}

// presenter is the printer's presenter. Tests of it are skipped without one.
func (r *Rig) presenter(t *testing.T) printer.Presenter {
	t.Helper()
	p, ok := r.Printer.(printer.Presenter)
	if !ok || !p.Presents() {
		t.Skip("this printer holds no slip out")
	}
	hand(t, r.Take != nil && r.Hold != nil)
	return p
}

func (r *Rig) mustShow(t *testing.T, want printer.Media) {
	t.Helper()
	end := time.Now().Add(timely) // what it said by itself may be on its way still
	for {
		s, err := r.Printer.Status(t.Context())
		if err == nil && s.Media == want && s.Err() == nil {
			return
		}
		if err != nil || time.Now().After(end) {
			t.Fatalf("status %+v, %v, want media %v", s, err, want)
		}
	}
}

func (r *Rig) binned(t *testing.T, want int) {
	t.Helper()
	if s, ok := r.Printer.(printer.Supplier); ok && s.Supply().Retracted != want {
		t.Errorf("%d slips in the bin, want %d", s.Supply().Retracted, want)
	}
}

func heldOut(t *testing.T, r *Rig) {
	p := r.presenter(t)
	r.mustShow(t, printer.MediaNotPresent)
	r.mustPrint(t, "U1")
	r.mustShow(t, printer.MediaPresent)
	r.Take()
	r.mustShow(t, printer.MediaNotPresent)
	if media, err := p.Retract(t.Context()); media != printer.MediaNotPresent || err != nil {
		t.Errorf("retract of a slip that was taken: %v, %v", media, err)
	}
	r.binned(t, 0)
}

func takenBack(t *testing.T, r *Rig) {
	p := r.presenter(t)
	r.mustPrint(t, "V1")
	if media, err := p.Retract(t.Context()); media != printer.MediaRetracted || err != nil {
		t.Fatalf("retract: %v, %v", media, err)
	}
	r.binned(t, 1)
	r.mustPrint(t, "V2")
	r.binned(t, 1)
	if err := p.EmptyBin(); err != nil {
		t.Error(err)
	}
	r.binned(t, 0)
}

func heldOn(t *testing.T, r *Rig) {
	p := r.presenter(t)
	r.mustPrint(t, "W1")
	r.Hold(true)
	if media, err := p.Retract(t.Context()); media != printer.MediaJammed || !errors.Is(err, printer.ErrJammed) {
		t.Errorf("retract: %v, %v", media, err)
	}
	r.binned(t, 0)
	r.Hold(false)
	r.Take()
	r.mustPrint(t, "W2")
}

func notForTheNext(t *testing.T, r *Rig) {
	r.presenter(t)
	r.mustPrint(t, "X1")
	r.mustPrint(t, "X2")
	r.binned(t, 1)
	r.mustShow(t, printer.MediaPresent)
}

// within lets something happen while a slip is being printed: as soon as there is
// something of it, if the rig can tell, else after a while.
func (r *Rig) within(t *testing.T, what func()) {
	t.Helper()
	var watching sync.WaitGroup
	over := make(chan struct{})
	t.Cleanup(func() { close(over); watching.Wait() })
	watching.Go(func() {
		pause := 150 * time.Millisecond
		if r.Begun != nil {
			pause = 5 * time.Millisecond
		}
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case <-tick.C:
			}
			if r.Begun == nil || r.Begun() {
				what()
				return
			}
		}
	})
}

func muteWithin(t *testing.T, r *Rig) {
	hand(t, r.Mute != nil)
	r.within(t, func() { r.Mute(true) })
	r.mustEnd(t, "J1", printer.Unknown, printer.ErrMute)
	r.Mute(false)
	r.markedAgain(t, "J1")
}

func unpluggedWithin(t *testing.T, r *Rig) {
	hand(t, r.Unplug != nil)
	r.within(t, r.Unplug)
	r.mustEnd(t, "K1", printer.Unknown, printer.ErrUnplugged)
	r.mustEnd(t, "K2", printer.Failed, printer.ErrUnplugged)
	r.Replug()
	r.markedAgain(t, "K1")
}

func cancelled(t *testing.T, r *Rig) {
	ctx, cancel := context.WithCancel(t.Context())
	r.within(t, cancel)
	outcome, err := r.printWith(t, ctx, "M1")
	if outcome == printer.Confirmed || !errors.Is(err, context.Canceled) { // failed: before its first byte
		t.Fatalf("print: %v, %v", outcome, err)
	}
	r.mustPrint(t, "M2")
	for _, s := range r.Out() {
		if r.Clears && strings.Contains(s, "M1") && strings.Contains(s, "M2") {
			t.Errorf("two people's slips on one piece of paper:\n%s", s)
		}
	}
}

func again(t *testing.T, r *Rig) {
	r.mustPrint(t, "N1")
	r.markedAgain(t, "N1")
}

func together(t *testing.T, r *Rig) {
	ended := make(chan error, 8)
	for range cap(ended) {
		go func() {
			s, err := r.Printer.Status(t.Context())
			if err == nil {
				err = s.Err()
			}
			ended <- err
		}()
	}
	r.mustPrint(t, "O1")
	for range cap(ended) {
		if err := <-ended; err != nil {
			t.Errorf("status beside a printing: %v", err)
		}
	}
}

func closing(t *testing.T, r *Rig) {
	type result struct {
		outcome printer.Outcome
		err     error
	}
	ended := make(chan result, 1)
	go func() {
		outcome, err := r.Printer.Print(t.Context(), slip("P1"))
		ended <- result{outcome, err}
	}()
	closed := make(chan time.Duration, 1)
	r.within(t, func() {
		start := time.Now()
		r.Printer.Close()
		closed <- time.Since(start)
	})
	if got := <-ended; got.outcome == printer.Confirmed || got.err == nil {
		t.Errorf("a closed printer ended with %v, %v", got.outcome, got.err)
	}
	if took := <-closed; took > timely/6 {
		t.Errorf("close took %v", took)
	}
	if outcome, err := r.Printer.Print(t.Context(), slip("P2")); outcome != printer.Failed || err == nil {
		t.Errorf("print after close: %v, %v", outcome, err)
	}
	if err := r.Printer.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}

// hand skips a test of a trouble that the printer can't have.
func hand(t *testing.T, has bool) {
	t.Helper()
	if !has {
		t.Skip("this printer can't be brought into that trouble")
	}
}
