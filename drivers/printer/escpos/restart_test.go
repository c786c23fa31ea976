package escpos_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kosk/drivers/printer"
	"kosk/drivers/printer/escpos"
	"kosk/drivers/printer/paper"
)

// A kiosk that was killed while a slip was printed starts again: the slip is
// unknown, what the printer held of it is gone, and a new print is a copy.
func TestAfterAKillTheSlipIsUnknownAndTheBuffersAreEmpty(t *testing.T) {
	p := putPaper(t, paper.Options{})
	journal := filepath.Join(t.TempDir(), "slips")
	if err := os.WriteFile(journal, []byte("2026-11-22T02:25:12Z queued K\n2026-11-22T02:25:12Z sending K\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// The killed process left half a slip in the printer, out of paper.
	p.SetPaper(printer.PaperOut)
	line, err := os.OpenFile(p.Path(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := line.WriteString("\x1b@the slip of somebody who has left\n"); err != nil {
		t.Fatal(err)
	}
	line.Close()

	e := open(t, escpos.Options{Path: p.Path(), Profile: "epson-tm-t20ii", Journal: journal})
	if s := e.State("K"); s != escpos.Unknown {
		t.Errorf("the slip is %s", s)
	}
	p.SetPaper(printer.PaperFull)
	slip := printer.Slip{ID: "K", Lines: []printer.Line{{Text: "salam"}}}
	if outcome, err := e.Print(t.Context(), slip); outcome != printer.Confirmed {
		t.Fatal(outcome, err)
	}
	out := texts(p)
	if len(out) != 1 || !strings.Contains(out[0], "SURƏT / КОПИЯ / COPY") || strings.Contains(out[0], "left") {
		t.Errorf("came out as %q", out)
	}
}

func TestAPrinterThatComesLaterIsFound(t *testing.T) {
	link := filepath.Join(t.TempDir(), "line")
	e := open(t, escpos.Options{Path: link, Profile: "epson-tm-t20ii"})
	if _, err := e.Status(t.Context()); !errors.Is(err, printer.ErrUnplugged) {
		t.Fatalf("status: %v", err)
	}
	p := putPaper(t, paper.Options{Link: link})
	if s, err := e.Status(t.Context()); err != nil || s.Err() != nil {
		t.Errorf("status: %+v, %v", s, err)
	}
	if outcome, err := e.Print(t.Context(), printer.Slip{ID: "L", Lines: []printer.Line{{Text: "salam"}}}); outcome != printer.Confirmed {
		t.Error(outcome, err)
	}
	if len(p.Slips()) != 1 {
		t.Error("nothing came out")
	}
}

func TestASlowLineIsWaitedFor(t *testing.T) {
	p := putPaper(t, paper.Options{})
	p.Slow(19200)
	e := open(t, escpos.Options{Path: p.Path(), Profile: "epson-tm-t20ii", Baud: 19200})
	if outcome, err := e.Print(t.Context(), loadSlip(t, composed+"/final-az.slip")); outcome != printer.Confirmed {
		t.Error(outcome, err)
	}
}

func TestALongSlipIsNotBegunNearTheEndOfTheRoll(t *testing.T) {
	p := putPaper(t, paper.Options{})
	p.SetPaper(printer.PaperLow)
	e := open(t, escpos.Options{Path: p.Path(), Profile: "epson-tm-t20ii"})
	long := printer.Slip{ID: "long"}
	for range 600 { // over two metres
		long.Lines = append(long.Lines, printer.Line{Text: "sətir"})
	}
	if outcome, err := e.Print(t.Context(), long); outcome != printer.Failed || !errors.Is(err, printer.ErrNoPaper) {
		t.Errorf("%v, %v", outcome, err)
	}
	p.SetPaper(printer.PaperFull)
	if outcome, err := e.Print(t.Context(), long); outcome != printer.Confirmed {
		t.Errorf("with a full roll: %v, %v", outcome, err)
	}
}

func TestASlipWithoutIDIsRefused(t *testing.T) {
	p := putPaper(t, paper.Options{})
	e := open(t, escpos.Options{Path: p.Path(), Profile: "epson-tm-t20ii"})
	if outcome, err := e.Print(t.Context(), printer.Slip{}); outcome != printer.Failed || err == nil {
		t.Errorf("%v, %v", outcome, err)
	}
	if _, err := escpos.Open(t.Context(), escpos.Options{Profile: "abacus"}); !errors.Is(err, escpos.ErrProfile) {
		t.Errorf("open: %v", err)
	}
}
