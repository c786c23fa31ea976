// Package document prints slips as pages: A4, PDF, on a sheet printer that is
// reached by IPP (a CUPS queue, or the printer itself) or by its raw port.
//
// The same slip makes the same bytes, so a page can be compared with what was
// signed. Start with Open; Draw is the page alone. What a printer can confirm
// stands at Print.
package document

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"kosk/drivers/printer"
)

// ErrAddress says that the printer's address is none that can be printed to.
var ErrAddress = errors.New("not an address of a document printer")

// Options of a document printer.
type Options struct {
	// Address is ipp://host[:631]/path of a CUPS queue or printer, or
	// socket://host[:9100] of a raw port.
	Address string
	Log     *slog.Logger
}

// A port is a way to a printer.
type port interface {
	// print sends a document, and follows it until it is known what became of it.
	print(ctx context.Context, name string, pdf []byte) (printer.Outcome, error)
	status(ctx context.Context) (printer.Status, error)
	// clear cancels what was sent and isn't out.
	clear(ctx context.Context) error
}

const (
	askWithin   = 5 * time.Second
	clearWithin = 10 * time.Second
	printWithin = 2 * time.Minute // warming up included
)

// A Printer prints pages, one at a time: calls wait for each other.
type Printer struct {
	port port
	log  *slog.Logger
	busy chan struct{} // holds one token: who works with the printer

	mu     sync.Mutex
	closed bool
	end    context.CancelCauseFunc // of the work under way; may be nil
	seen   map[string]bool         // slips that may be out
}

// ErrClosed ends what runs when the printer is closed.
var ErrClosed = errors.New("document printer closed")

// Open checks the address. It sends nothing.
func Open(o Options) (*Printer, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	u, err := url.Parse(o.Address)
	if err != nil || u.Hostname() == "" {
		return nil, fmt.Errorf("%q: %w", o.Address, ErrAddress)
	}
	p := &Printer{log: o.Log, busy: make(chan struct{}, 1), seen: map[string]bool{}}
	switch u.Scheme {
	case "ipp":
		p.port = newIPP(u)
	case "socket":
		p.port = newRaw(u)
	default:
		return nil, fmt.Errorf("%q: %w", o.Address, ErrAddress)
	}
	return p, nil
}

// begin waits for the printer to be free. done gives it back.
func (p *Printer) begin(ctx context.Context, within time.Duration) (_ context.Context, done func(), err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	ctx, stop := context.WithTimeout(ctx, within)
	select {
	case p.busy <- struct{}{}:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil && p.closed {
		err = ErrClosed
		<-p.busy
	}
	if err != nil {
		stop()
		cancel(nil)
		return nil, nil, err
	}
	p.end = cancel
	return ctx, func() {
		p.mu.Lock()
		p.end = nil
		p.mu.Unlock()
		<-p.busy
		stop()
		cancel(nil)
	}, nil
}

// Print draws the slip as a page and prints it. Confirmed: the printer has said
// that the page is out. A raw port that says nothing, and a CUPS queue that only
// hands bytes on, confirm nothing: Unknown, with printer.ErrMute. A slip that
// may be out already is marked as a copy; what was printed before Open is not
// known, since no visit goes on after a restart.
func (p *Printer) Print(ctx context.Context, slip printer.Slip) (printer.Outcome, error) {
	ctx, done, err := p.begin(ctx, printWithin)
	if err != nil {
		return printer.Failed, fmt.Errorf("print page: %w", err)
	}
	defer done()
	slip.Copy = slip.Copy || p.seen[slip.ID]
	pdf, err := Draw(slip)
	if err != nil {
		return printer.Failed, fmt.Errorf("print page: %w", err)
	}
	status, err := p.port.status(ctx)
	if err == nil {
		err = status.Err()
	}
	if err != nil {
		return printer.Failed, fmt.Errorf("print page: %w", err)
	}
	outcome, err := p.port.print(ctx, slip.ID, pdf)
	if outcome != printer.Failed {
		p.seen[slip.ID] = true
	}
	if outcome != printer.Confirmed && err == nil {
		err = printer.ErrMute
	}
	if err != nil {
		return outcome, fmt.Errorf("print page: %w", err)
	}
	return outcome, nil
}

// Status asks the printer, when what it prints is out. Paper is printer.PaperUnknown where it doesn't say.
func (p *Printer) Status(ctx context.Context) (printer.Status, error) {
	ctx, done, err := p.begin(ctx, printWithin+askWithin)
	if err != nil {
		return printer.Status{}, fmt.Errorf("page printer's status: %w", err)
	}
	defer done()
	s, err := p.port.status(ctx)
	if err != nil {
		return s, fmt.Errorf("page printer's status: %w", err)
	}
	return s, nil
}

// Clear cancels the documents of ours that aren't out.
func (p *Printer) Clear(ctx context.Context) error {
	ctx, done, err := p.begin(ctx, clearWithin)
	if err == nil {
		defer done()
		err = p.port.clear(ctx)
	}
	if err != nil {
		return fmt.Errorf("clear page printer: %w", err)
	}
	return nil
}

// Close ends what runs. The printer is left as it is.
func (p *Printer) Close() error {
	p.mu.Lock()
	p.closed = true
	if p.end != nil {
		p.end(ErrClosed)
	}
	p.mu.Unlock()
	p.busy <- struct{}{} // until it has ended
	<-p.busy
	return nil
}
