package escpos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kosk/drivers/printer"
)

// How often a printer is looked at that doesn't speak by itself, and one that does.
const (
	lookAtSlot = 250 * time.Millisecond // while a slip is held out
	lookOften  = 2 * time.Second
	lookSeldom = 30 * time.Second
)

// attention is when a slip at the slot is asked for, and when it is taken back.
type attention struct {
	remind, retract time.Duration // after it was presented
	nextRemind, end time.Time
}

// presented starts the time of a slip at the slot.
func (p *Printer) presented(now time.Time) {
	p.slot.nextRemind, p.slot.end = now.Add(p.slot.remind), now.Add(p.slot.retract)
}

// Watch tells what happens to the printer, has a slip that isn't taken asked
// for again, and takes it back in the end. It looks for a printer that isn't
// plugged in, and clears one that comes back.
func (p *Printer) Watch(ctx context.Context, tell func(printer.Event)) error {
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.news:
			next.Reset(lookAtSlot) // a slip may be at the slot since
		case <-p.stirred:
			next.Reset(p.look(ctx))
		case <-next.C:
			next.Reset(p.look(ctx))
		}
		p.mu.Lock()
		told := p.told
		p.told = nil
		closed := p.closed
		p.mu.Unlock()
		for _, e := range told {
			tell(e)
		}
		if closed {
			return fmt.Errorf("watch: %w", errClosed)
		}
	}
}

// look asks the printer how it is, unless it is busy with a slip, and says when
// to look again.
func (p *Printer) look(ctx context.Context) time.Duration {
	ctx, ok := p.takeNow(ctx)
	if !ok {
		return lookAtSlot
	}
	defer p.give()
	if err := p.attend(ctx); err != nil && ctx.Err() == nil {
		p.log.Debug("printer looked at", "error", err)
	}
	switch {
	case p.path.in(mediaPresent):
		return lookAtSlot
	case len(p.profile.AutoStatus) > 0 && p.path.in(lineUp|idle):
		return lookSeldom
	}
	return lookOften
}

// attend does what time has brought.
func (p *Printer) attend(ctx context.Context) error {
	if err := p.connect(ctx, 0); err != nil {
		return err
	}
	s, err := p.asked(ctx)
	if err != nil {
		return err
	}
	if p.path.in(unsure|held) && s.Err() == nil {
		return p.clears(ctx)
	}
	if !p.path.in(mediaPresent) {
		return nil
	}
	now := time.Now()
	if !now.Before(p.slot.end) {
		p.slot.end = now.Add(p.slot.retract) // should it fail
		return p.takesBack(ctx)
	}
	if !now.Before(p.slot.nextRemind) {
		p.slot.nextRemind = now.Add(p.slot.remind)
		p.happens(remindTime)
	}
	return nil
}

// Presents reports whether this model holds slips out.
func (p *Printer) Presents() bool { return p.profile.presents() }

// Retract takes back the slip at the slot.
func (p *Printer) Retract(ctx context.Context) (printer.Media, error) {
	ctx, err := p.take(ctx)
	if err != nil {
		return printer.MediaNotPresent, err
	}
	defer p.give()
	if err := p.connect(ctx, 0); err != nil {
		return printer.MediaNotPresent, fmt.Errorf("retract: %w", err)
	}
	s, err := p.asked(ctx)
	if err != nil {
		return printer.MediaNotPresent, fmt.Errorf("retract: %w", err)
	}
	if !p.path.in(mediaPresent) {
		return printer.MediaNotPresent, nil
	}
	if err = s.Err(); err == nil {
		err = p.takesBack(ctx)
	}
	if err != nil {
		return statusOf(p.path).Media, fmt.Errorf("retract: %w", err)
	}
	return statusOf(p.path).Media, nil
}

// EmptyBin begins to count retracted slips anew.
func (p *Printer) EmptyBin() error {
	return p.journal.account(func(a *account) { a.retracted = 0 })
}

// takesBack retracts if the path allows it.
func (p *Printer) takesBack(ctx context.Context) error {
	for _, a := range p.happens(retractTime) {
		if a == doRetract {
			return p.retract(ctx)
		}
	}
	return nil
}

// retract tells the presenter to take the slip back, and waits until the slot
// is empty. A slip that is pulled out at that very moment counts as retracted:
// the sensor can't tell.
func (p *Printer) retract(ctx context.Context) error {
	if _, err := p.link.line.Write(ctx, p.profile.Retract); err != nil {
		return p.hears(lineError(err))
	}
	end := time.Now().Add(p.patience.print)
	for {
		s, err := p.status(ctx)
		if err != nil {
			return p.hears(err)
		}
		switch {
		case s.Media == printer.MediaNotPresent:
			p.happens(takenBack)
			p.sees(s)
			return nil
		case s.Err() != nil, time.Now().After(end):
			p.happens(notBack)
			return errors.Join(printer.ErrJammed, s.Err())
		}
		if err := p.link.await(ctx, p.patience.poll, func(event) (bool, error) { return false, nil }); !errors.Is(err, printer.ErrMute) {
			return p.hears(err) // nothing is awaited but time
		}
	}
}
