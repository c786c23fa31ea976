package pcsc

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ebfe/scard"

	"kosk/drivers/card"
)

var _ card.Looker = (*Reader)(nil)

// Look implements card.Looker. While a Watch runs it says what that has seen.
// Where another reader than ours is there, the error names it.
func (r *Reader) Look(ctx context.Context) (card.Slot, error) {
	if s := r.sight(); s != nil {
		if s.err != nil {
			return card.Slot{}, fmt.Errorf("look into slot: %w", s.err)
		}
		return s.slot, nil
	}
	type result struct {
		slot card.Slot
		err  error
	}
	done := make(chan result, 1)
	go func() {
		slot, err := r.look()
		done <- result{slot, err}
	}()
	select {
	case res := <-done:
		if res.err != nil {
			return card.Slot{}, fmt.Errorf("look into slot: %w", res.err)
		}
		return res.slot, nil
	case <-ctx.Done(): // a daemon that hangs cannot be interrupted
		return card.Slot{}, fmt.Errorf("look into slot: %w", ctx.Err())
	}
}

// sight is what a Watch has seen, or nil.
func (r *Reader) sight() *sight {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held
}

func (r *Reader) look() (slot card.Slot, err error) {
	service, err := scard.EstablishContext()
	if err != nil {
		return card.Slot{}, translate(err)
	}
	defer func() { _ = service.Release() }() // a service that is gone has released all
	ours, err := r.find(service)
	if err != nil {
		return card.Slot{}, translate(err)
	}
	if len(ours) == 0 {
		names, err := service.ListReaders()
		if err != nil {
			return card.Slot{}, translate(err)
		}
		return card.Slot{}, fmt.Errorf("%w called %q, there is %s", card.ErrNoReader, r.prefix, strings.Join(names, ", "))
	}
	now := []scard.ReaderState{{Reader: ours[0], CurrentState: scard.StateUnaware}}
	if err := service.GetStatusChange(now, 0); err != nil && !errors.Is(err, scard.ErrTimeout) {
		return card.Slot{}, translate(err)
	}
	flags := now[0].EventState
	if unavailable(flags) {
		return card.Slot{}, card.ErrNoReader
	}
	return card.Slot{
		Reader: ours[0], Card: flags&scard.StatePresent != 0, Mute: flags&scard.StateMute != 0,
	}, nil
}
