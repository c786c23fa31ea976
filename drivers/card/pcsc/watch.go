package pcsc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ebfe/scard"

	"kosk/drivers/card"
)

// pnp is the entry that reports readers coming and going.
const pnp = `\\?PnP?\Notification`

// The high 16 bits of a state count insertions and removals of the slot.
const counterShift = 16

const stateBits = 1<<counterShift - 1

// relist bounds one wait: a reader that came between listing and waiting is seen
// after it at the latest.
const relist = 10 * time.Second

// settle is how long a reader that was gone must hold a mute card for that to be
// believed: who lets go of a card in a reader that is gone has the daemon say so
// until it looks again, 0.4 s later.
const settle = time.Second

// Waits between tries to reach the daemon.
const (
	firstWait = 100 * time.Millisecond
	lastWait  = 3 * time.Second
)

// A slotState is what was last told of the slot.
type slotState struct {
	name    string // "" when there is no reader
	ready   bool   // it can be spoken to: the daemon also lists one that can't
	present bool
	counter scard.StateFlag
	raw     scard.StateFlag
	doubt   bool // whether the reader is there: ask again after settle
}

// Watch implements card.Reader. It calls seen from the caller's goroutine, and
// starts none of its own that outlives it. In one process there may be one Watch
// at a time: the binding keeps the names of readers in a table by name.
func (r *Reader) Watch(ctx context.Context, seen func(card.Event)) error {
	seen, stop := r.sees(seen)
	defer stop()
	wait, said := firstWait, ""
	for ctx.Err() == nil {
		state := new(slotState)
		reached, err := r.watch(ctx, state, seen)
		if ctx.Err() != nil {
			break
		}
		state.gone(seen)
		r.lost(err)
		if reached {
			wait, said = firstWait, ""
		}
		if why := fmt.Sprint(err); why != said { // once: a daemon that is gone for days would fill the log
			r.log.Warn("card service lost", "error", err)
			said = why
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, lastWait)
	}
	return ctx.Err()
}

// sees has Look know what Watch tells: beside a Watch, nobody else may ask the
// daemon about the same reader.
func (r *Reader) sees(seen func(card.Event)) (_ func(card.Event), stop func()) {
	hold := func(s *sight) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.held = s
	}
	hold(&sight{err: card.ErrNoReader})
	return func(e card.Event) {
		switch now := (card.Slot{Reader: e.Reader}); e.Kind {
		case card.ReaderGone:
			hold(&sight{err: card.ErrNoReader})
		case card.MediaInserted:
			now.Card, now.Mute = true, len(e.ATR) == 0
			hold(&sight{slot: now})
		default:
			hold(&sight{slot: now})
		}
		seen(e)
	}, func() { hold(nil) }
}

// lost has Look know why nothing is seen.
func (r *Reader) lost(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = &sight{err: err}
}

// gone tells that the reader went, and its card with it.
func (s *slotState) gone(seen func(card.Event)) {
	if s.present {
		seen(card.Event{Kind: card.MediaRemoved, Reader: s.name})
	}
	if s.ready {
		seen(card.Event{Kind: card.ReaderGone, Reader: s.name})
	}
	*s = slotState{}
}

// watch follows the slot over one life of the daemon. reached says whether the
// daemon answered at all.
func (r *Reader) watch(ctx context.Context, state *slotState, seen func(card.Event)) (reached bool, err error) {
	service, err := scard.EstablishContext()
	if err != nil {
		return false, translate(err)
	}
	defer service.Release()
	defer cancelWith(ctx, service)()
	for ctx.Err() == nil {
		if err := r.follow(service, state, seen); err != nil {
			return reached, translate(err)
		}
		reached = true
	}
	return reached, ctx.Err()
}

// cancelWith has ctx's end interrupt the blocked call, again and again, since a
// cancel that comes between two calls is lost. The returned function ends that
// and waits for it.
func cancelWith(ctx context.Context, service *scard.Context) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-ctx.Done():
		case <-done:
			return
		}
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			_ = service.Cancel() // a dead service has nothing to cancel
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// follow chooses the reader if there is none, waits for one change and tells it.
func (r *Reader) follow(service *scard.Context, state *slotState, seen func(card.Event)) error {
	names, err := r.find(service)
	if err != nil {
		return err
	}
	if state.name != "" && !slices.Contains(names, state.name) {
		state.gone(seen)
	}
	if state.name == "" && len(names) > 0 {
		*state = slotState{name: names[0]}
	}
	states := []scard.ReaderState{{Reader: pnp}}
	if state.name != "" {
		states = append(states, scard.ReaderState{Reader: state.name, CurrentState: state.raw})
	}
	wait := relist
	if state.doubt {
		wait = settle
	}
	err = service.GetStatusChange(states, wait)
	switch {
	case errors.Is(err, scard.ErrTimeout) && state.doubt:
		state.tell(states[1], seen)
	case errors.Is(err, scard.ErrTimeout), errors.Is(err, scard.ErrCancelled), errors.Is(err, scard.ErrUnknownReader):
		return nil // the next round lists again
	case err != nil:
		return err
	case state.name != "":
		state.tell(states[1], seen)
	}
	return nil
}

// unavailable reports whether the daemon can't speak to a reader that it lists.
func unavailable(flags scard.StateFlag) bool {
	return flags&(scard.StateUnknown|scard.StateUnavailable) != 0 && flags&scard.StatePresent == 0
}

// tell compares what the daemon says with what was told last. A card that was
// pulled out and another put in between two looks shows by the counter.
func (s *slotState) tell(now scard.ReaderState, seen func(card.Event)) {
	flags := now.EventState & stateBits
	if unavailable(flags) {
		name := s.name
		s.gone(seen)
		*s = slotState{name: name, raw: now.EventState &^ scard.StateChanged} // to wait for what comes next
		return
	}
	if s.doubt = !s.ready && unavailable(s.raw) && flags&scard.StateMute != 0; s.doubt {
		s.raw = now.EventState &^ scard.StateChanged
		return
	}
	if !s.ready {
		s.ready = true
		seen(card.Event{Kind: card.ReaderReady, Reader: s.name})
	}
	present := flags&scard.StatePresent != 0
	counter := now.EventState >> counterShift
	swapped := s.present && present && counter != s.counter
	if s.present && (!present || swapped) {
		seen(card.Event{Kind: card.MediaRemoved, Reader: s.name})
	}
	if present && (!s.present || swapped) {
		event := card.Event{Kind: card.MediaInserted, Reader: s.name}
		if flags&scard.StateMute == 0 {
			event.ATR = append([]byte(nil), now.Atr...)
		}
		seen(event)
	}
	s.present, s.counter, s.raw = present, counter, now.EventState&^scard.StateChanged
}
