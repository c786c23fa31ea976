// Package printer is the contract between the kiosk and a receipt printer: lines
// go in, and what is known of the paper comes out. Device states use XFS4IoT's
// words.
//
// A line says what it means (a heading, a number, a code), never how a printer
// is told. Makes live beside it: escpos drives real printers, paper is a virtual
// one, printertest is the suite that every make passes.
package printer

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Errors of printers. Makes wrap them; compare with errors.Is.
var (
	ErrNoPaper   = errors.New("no paper")
	ErrCoverOpen = errors.New("cover open")
	ErrCutter    = errors.New("cutter fault")
	ErrJammed    = errors.New("paper jammed")
	ErrOffline   = errors.New("printer offline")   // on the line, not able to print
	ErrUnplugged = errors.New("printer unplugged") // the line itself is gone
	ErrMute      = errors.New("printer does not answer")
	ErrTooLong   = errors.New("slip too long")
)

// An Outcome is what is known of a slip after Print.
type Outcome int

// What can be known of a slip.
const (
	Failed    Outcome = iota + 1 // the slip is not out
	Unknown                      // it may be out: say so, and never print it again unmarked
	Confirmed                    // the printer itself has said that it is out
)

func (o Outcome) String() string {
	switch o {
	case Failed:
		return "failed"
	case Unknown:
		return "unknown"
	case Confirmed:
		return "confirmed"
	}
	return fmt.Sprintf("Outcome(%d)", int(o))
}

// A Style is how a line is set.
type Style int

// The styles of a line.
const (
	Body     Style = iota // regular text, wrapped at words
	Strong                // bold text
	Heading               // bold, double height
	Numerals              // the slip's number: double width and height
	Reversed              // white on black across the paper
	Small                 // notes
	Rule                  // a thin line across the paper; Text is empty
	Lattice               // the ornament, as a thin band; Text is empty
	Mark                  // the office's mark; Text is empty
	Code                  // Text is carried by a QR code, ISO/IEC 18004
	Gap                   // a little air; Text is empty
)

// A Line is one piece of a slip, from top to bottom.
type Line struct {
	Style Style
	Text  string // NFC
	Right string // with Body and Strong: set at the right edge of the same line
}

// A Slip is what one printing prints, ending with a cut.
type Slip struct {
	ID    string // names the slip in journals; the same for a copy
	Copy  bool   // printed again: SURƏT / КОПИЯ / COPY stands on it
	Lines []Line
}

// A Paper says how much paper there is, in XFS4IoT's words.
type Paper int

// The states of paper.
const (
	PaperUnknown Paper = iota
	PaperFull
	PaperLow
	PaperOut
	PaperJammed
)

func (p Paper) String() string {
	switch p {
	case PaperUnknown:
		return "unknown"
	case PaperFull:
		return "full"
	case PaperLow:
		return "low"
	case PaperOut:
		return "out"
	case PaperJammed:
		return "jammed"
	}
	return fmt.Sprintf("Paper(%d)", int(p))
}

// Media says where a slip is that has been printed, in XFS4IoT's words.
type Media int

// The states of media. Printers without a presenter know only the first.
const (
	MediaNotPresent Media = iota // taken, or none printed
	MediaPresent                 // held out at the slot
	MediaJammed                  // stuck on its way out or back
	MediaRetracted               // taken back into the bin
)

func (m Media) String() string {
	switch m {
	case MediaNotPresent:
		return "notPresent"
	case MediaPresent:
		return "present"
	case MediaJammed:
		return "jammed"
	case MediaRetracted:
		return "retracted"
	}
	return fmt.Sprintf("Media(%d)", int(m))
}

// A Status is what the printer said of itself when it was asked.
type Status struct {
	Model     string // profile or the printer's own answer
	Online    bool
	Paper     Paper
	Media     Media
	CoverOpen bool
	Cutter    bool // the cutter is in fault
	Head      bool // the head is up, or too hot
	Fault     bool // any other error that the printer names
}

// Err is the first thing that keeps the printer from printing, or nil.
func (s Status) Err() error {
	switch {
	case s.CoverOpen:
		return ErrCoverOpen
	case s.Paper == PaperOut:
		return ErrNoPaper
	case s.Paper == PaperJammed, s.Media == MediaJammed:
		return ErrJammed
	case s.Cutter:
		return ErrCutter
	case s.Head, s.Fault, !s.Online:
		return ErrOffline
	}
	return nil
}

// A Printer prints slips on paper.
type Printer interface {
	// Print returns Confirmed when the printer has said that the slip is out,
	// Unknown when it may be, and Failed, with the reason, when it is not.
	Print(ctx context.Context, slip Slip) (Outcome, error)
	// Status asks the printer; it never guesses from earlier answers.
	Status(ctx context.Context) (Status, error)
	// Clear empties the printer's buffers, so that nothing of an earlier visit
	// is printed for somebody who has left. With an error they may hold a slip
	// still: no one else may use the printer then. A Watcher clears it by itself
	// as soon as that is possible; else call Clear again. See also Forgetter.
	Clear(ctx context.Context) error
	Close() error
}

// An EventKind is what a printer tells of itself.
type EventKind int

// The events, in XFS4IoT's words where it has them.
const (
	StatusChanged       EventKind = iota + 1 // cover, cutter, head, media jammed, line: see Event.Status and Err
	PaperThreshold                           // full, low, out or jammed: see Event.Status.Paper
	MediaPresented                           // a slip is held out: ask its holder to take it
	MediaNotTaken                            // it is still there: ask again, louder; told more than once
	MediaTaken                               // it is gone from the slot
	MediaAutoRetracted                       // nobody took it, and it was taken back: see Event.Retracted
	RetractBinThreshold                      // the bin needs somebody to empty it
)

func (k EventKind) String() string {
	names := [...]string{
		"", "StatusChanged", "PaperThreshold", "MediaPresented", "MediaNotTaken", "MediaTaken", "MediaAutoRetracted", "RetractBinThreshold",
	}
	if k > 0 && int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("EventKind(%d)", int(k))
}

// An Event is something that happened on the paper path.
type Event struct {
	Kind      EventKind
	Status    Status // as it is known after the event
	Err       error  // why the printer can't be asked, or Status.Err
	Retracted int    // slips in the bin
}

// A Watcher is a printer that tells of itself. Watch calls tell, one event at
// a time, until ctx ends; it also does what takes time: it has a slip that is
// not taken asked for again, and then retracted. One Watch at a time.
type Watcher interface {
	Watch(ctx context.Context, tell func(Event)) error
}

// A Presenter is a printer that holds slips out and can take them back. Slips
// are only held out while somebody watches or the caller retracts.
type Presenter interface {
	// Presents reports whether this model has a presenter at all.
	Presents() bool
	// Retract takes back what is at the slot, and counts it: MediaRetracted. A
	// slip that was taken meanwhile is MediaNotPresent, and no error.
	Retract(ctx context.Context) (Media, error)
	// EmptyBin says that the bin was emptied: counting starts anew.
	EmptyBin() error
}

// A Forgetter says whether its printer can forget. One that can't has to print
// what it holds before it is clear: without paper Clear fails, and with the next
// roll that much of the slip comes out, cut off from what follows, and taken
// back if there is a presenter. Don't print personal slips on it where nobody
// can be asked to look after each change of paper. Printers that are no
// Forgetter forget.
type Forgetter interface {
	Forgets() bool
}

// A Supply is what is left of the paper, as far as it is known.
type Supply struct {
	Paper     Paper
	LeftMM    int           // after near end, by counting what was printed; 0: not known, or none
	EmptyIn   time.Duration // forecast by this printer's use; 0: none
	Retracted int           // slips in the bin
}

// A Supplier keeps account of the paper. Supply asks nothing of the printer: it
// is what was seen last, and what a journal kept over a restart.
type Supplier interface {
	Supply() Supply
}
