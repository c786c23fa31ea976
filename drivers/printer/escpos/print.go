package escpos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"kosk/drivers/printer"
	"kosk/drivers/printer/dots"
)

// Print prints a slip and waits for the printer's word on it. A slip that the
// journal knows as out, or perhaps out, prints as a copy even when the caller
// didn't say so. Failed always has a reason, and then not one byte of the slip
// was taken by the line; Unknown has one, too.
func (p *Printer) Print(ctx context.Context, slip printer.Slip) (printer.Outcome, error) {
	ctx, err := p.take(ctx)
	if err != nil {
		return printer.Failed, err
	}
	defer p.give()
	outcome, err := p.print(ctx, slip)
	if err != nil {
		err = fmt.Errorf("print slip: %w", err)
	}
	p.log.Info("slip printed", "slip", slip.ID, "outcome", outcome, "reason", err)
	return outcome, err
}

func (p *Printer) print(ctx context.Context, slip printer.Slip) (printer.Outcome, error) {
	before := p.journal.state(slip.ID)
	if before == Confirmed || before == Unknown {
		slip.Copy = true
	}
	job, err := p.encoder.encode(slip)
	if err != nil {
		return printer.Failed, err
	}
	if err := p.enter(slip, before, Queued); err != nil {
		return printer.Failed, err
	}
	if err := p.ready(ctx, job); err != nil {
		return printer.Failed, errors.Join(err, p.enter(slip, before, Failed))
	}
	if err := p.journal.recordUse(slip.ID, Sending, millimetres(job.dots)); err != nil {
		p.happens(slipRefused)
		return printer.Failed, err
	}
	sent, err := p.send(ctx, slip.ID, job)
	if !sent {
		p.happens(slipRefused)
		return printer.Failed, errors.Join(err, p.enter(slip, before, Failed))
	}
	if p.path.in(printing) { // no sight or line error has ended it
		p.happens(either(ctx.Err() != nil, slipLeft, slipLate))
	}
	if p.verdict != doConfirm {
		return printer.Unknown, errors.Join(err, p.journal.record(slip.ID, Unknown))
	}
	if err := p.journal.record(slip.ID, Confirmed); err != nil {
		// The slip is out, whatever the disk says; after a restart it counts as unknown.
		p.log.Error("slip confirmed but not in the journal", "slip", slip.ID, "error", err)
	}
	return printer.Confirmed, nil
}

// enter records a state that doesn't make a slip less printed than it was: a
// copy that failed leaves the slip confirmed or unknown.
func (p *Printer) enter(slip printer.Slip, before, s State) error {
	if before == Confirmed || before == Unknown {
		if p.journal.state(slip.ID) != before {
			return p.journal.record(slip.ID, before)
		}
		return nil
	}
	return p.journal.record(slip.ID, s)
}

// readyMost is how many things are cleared out of a slip's way: buffers, a
// piece uncut, somebody else's slip at the slot, each perhaps twice.
const readyMost = 8

// ready makes sure that a slip would come out: line, empty buffers, no fault,
// paper enough, nothing of somebody else at the slot.
func (p *Printer) ready(ctx context.Context, j job) error {
	if err := p.connect(ctx, p.patience.plug); err != nil {
		return err
	}
	for range readyMost {
		s, err := p.asked(ctx)
		if err != nil {
			return err
		}
		if s.Err() == nil && s.Paper == printer.PaperLow {
			roll := p.journal.paper()
			if err := roll.enough(millimetres(j.dots)); err != nil {
				return err
			}
		}
		for _, a := range p.happens(slipOffered) {
			switch a {
			case doStart:
				return nil
			case doClear:
				err = p.clear(ctx)
			case doCut:
				err = p.cutTail(ctx)
			case doRetract:
				err = p.retract(ctx)
			case doRefuse:
				err = cmp.Or(s.Err(), printer.ErrOffline)
			}
			if err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("%w: it doesn't become ready", printer.ErrOffline)
}

// send puts a slip on the line and waits until it is confirmed. It reports
// whether the line took any byte.
func (p *Printer) send(ctx context.Context, id string, j job) (sent bool, err error) {
	p.link.forget()
	question, mine := p.question()
	n, err := p.link.line.Write(ctx, append(j.bytes, question...))
	if err != nil {
		return n > 0, p.cause(ctx, p.hears(lineError(err)))
	}
	p.happens(slipSent)
	if err := p.journal.record(id, Sent); err != nil {
		return true, err
	}
	wait := p.link.line.Duration(n) + time.Duration(j.dots)*time.Second/
		time.Duration(p.profile.MMPerSecond*dots.PerMM) + p.patience.print
	return true, p.confirmed(ctx, wait, mine)
}

// question is what the printer answers when all before it is on paper, and how
// its answer is known.
func (p *Printer) question() ([]byte, func(event) bool) {
	if p.profile.Confirm == "gs-r" {
		p.owed++
		return []byte{0x1D, 0x72, 1}, func(e event) bool { return e.kind == sensorReply }
	}
	p.job++
	var id [4]byte // digits in base 95, each 20h to 7Eh
	for i, n := 0, p.job; i < len(id); i, n = i+1, n/95 {
		id[i] = byte(0x20 + n%95)
	}
	ask := append([]byte{0x1D, 0x28, 0x48, 6, 0, 0x30, 0x30}, id[:]...)
	return ask, func(e event) bool { return e.kind == processReply && e.data == id }
}

// confirmed waits for the answer to the question, and gives up early when the
// printer says that something is wrong.
func (p *Printer) confirmed(ctx context.Context, wait time.Duration, mine func(event) bool) error {
	answered := false
	p.link.watch = func(e event) { answered = answered || mine(e) }
	defer func() {
		if p.link != nil {
			p.link.watch = nil
		}
	}()
	end := time.Now().Add(wait)
	for time.Now().Before(end) {
		err := p.link.await(ctx, p.patience.poll, func(e event) (bool, error) {
			if answered && p.profile.Confirm == "process-id" {
				return true, nil
			}
			if s, ok := p.unasked(e); ok {
				p.sees(s)
				return answered, s.Err()
			}
			return answered, nil
		})
		if err == nil && p.profile.Confirm == "process-id" {
			p.happens(slipOut)
			return nil
		}
		if err != nil && !errors.Is(err, printer.ErrMute) {
			return p.hears(err)
		}
		// GS r alone says only that the command was reached; and a printer that
		// doesn't speak by itself is asked.
		if answered || len(p.profile.AutoStatus) == 0 {
			if err := p.clean(ctx); err != nil {
				return err
			}
			if answered {
				p.owed = 0
				p.happens(slipOut)
				return nil
			}
		}
	}
	return p.cause(ctx, printer.ErrMute)
}

// clean is nil when the printer answers and nothing is wrong with it.
func (p *Printer) clean(ctx context.Context) error {
	s, err := p.asked(ctx)
	if err != nil {
		return err
	}
	return s.Err()
}

// cause finds a better reason than silence: what the printer says when asked.
func (p *Printer) cause(ctx context.Context, err error) error {
	if !errors.Is(err, printer.ErrMute) || p.link == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 4*p.patience.answer)
	defer cancel()
	if err := p.unstop(); err != nil {
		return err
	}
	if reason := p.clean(ctx); reason != nil && !errors.Is(reason, context.DeadlineExceeded) {
		return reason
	}
	return err
}
