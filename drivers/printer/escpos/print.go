package escpos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
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
	slip.Copy = slip.Copy || before.printed()
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
// copy that failed leaves the slip out, or perhaps out.
func (p *Printer) enter(slip printer.Slip, before, s State) error {
	if before.printed() {
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
		if would, _, _ := step(p.path, slipOffered); slices.Contains(would, doStart) && p.untried() {
			if err := p.tryWitness(ctx); err != nil {
				return err
			}
			continue // much may have happened meanwhile
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
	a := answer{question: p.question(j)}
	p.link.watch = a.hear
	defer func() {
		if p.link != nil {
			p.link.watch = nil
		}
	}()
	n, err := p.put(ctx, j, &a)
	if err != nil {
		return n > 0, err
	}
	p.happens(slipSent)
	if err := p.journal.record(id, Sent); err != nil {
		return true, err
	}
	feed := time.Duration(j.dots) * time.Second / time.Duration(p.profile.MMPerSecond*dots.PerMM)
	return true, p.confirmed(ctx, p.link.line.Duration(n)+feed+p.patience.print, &a)
}

// put writes a slip and the question, piece by piece if it has pieces: the next
// but one when a piece is printed, so that the printer never holds more of it
// than two, and is never kept waiting. It returns how many bytes the line took.
func (p *Printer) put(ctx context.Context, j job, a *answer) (n int, err error) {
	all := append(j.bytes, a.question.bytes...)
	p.owed += a.question.sensors - len(j.ends)
	for i, end := range append(j.ends, len(all)) {
		printed := p.link.witness.echo + i - 1 // answers of the pieces before the last one
		if i > 1 && a.sensors < printed {
			wait := p.link.line.Duration(end-n) + p.patience.print
			if err := p.answered(ctx, wait, func() bool { return a.sensors >= printed }); err != nil {
				return n, err
			}
		}
		if i < len(j.ends) {
			p.owed++
		}
		m, err := p.link.line.Write(ctx, all[n:end])
		n += m
		if err != nil {
			return n, p.cause(ctx, p.hears(lineError(err)))
		}
	}
	return n, nil
}

// answered waits until there are answers enough, and gives up early when the
// printer says that something is wrong.
func (p *Printer) answered(ctx context.Context, wait time.Duration, enough func() bool) error {
	end := time.Now().Add(wait)
	for !enough() {
		if !time.Now().Before(end) {
			return p.cause(ctx, printer.ErrMute)
		}
		err := p.link.await(ctx, p.patience.poll, func(e event) (bool, error) {
			if s, ok := p.unasked(e); ok && !enough() {
				p.sees(s)
				return false, s.Err()
			}
			return enough(), nil
		})
		switch {
		case err == nil:
		case !errors.Is(err, printer.ErrMute):
			return p.hears(err)
		case len(p.profile.AutoStatus) == 0: // it doesn't speak by itself
			if err := p.clean(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// confirmed waits for all answers to the question.
func (p *Printer) confirmed(ctx context.Context, wait time.Duration, a *answer) error {
	if err := p.answered(ctx, wait, a.complete); err != nil {
		return err
	}
	if !a.byID { // GS r alone says only that the command was reached
		if err := p.clean(ctx); err != nil {
			return err
		}
	}
	p.isOut()
	return nil
}

// isOut ends a slip whose every answer has come.
func (p *Printer) isOut() {
	p.owed = 0
	p.happens(slipOut)
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
