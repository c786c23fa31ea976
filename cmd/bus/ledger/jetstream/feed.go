package jetstream

import (
	"context"
	"time"

	js "github.com/nats-io/nats.go/jetstream"

	"kosk/cmd/bus/ledger"
)

// A feed is where a walk has its entries from. The engine sends them, which is
// quick. When one is late, since it was lost or a cluster that lost its leader has
// forgotten who asked, entries are read by their place for a while, and then the
// engine is asked again: after twice as many each time that it came to nothing.
type feed struct {
	sent func(ctx context.Context, from uint64) (js.MessagesContext, error)
	at   func(ctx context.Context, seq uint64) (ledger.Entry, error)
	late time.Duration

	messages js.MessagesContext // nil: not asked for
	byPlace  int                // entries that are still read by their place
	stretch  int                // how many it was the last time
}

// longestStretch is the most that is read by place before the engine is asked again.
const longestStretch = 1 << 12

// next waits for the entry at a place, or for a later one when that isn't there.
// Errors: ErrNotFound, ErrUnavailable.
func (f *feed) next(ctx context.Context, seq uint64) (ledger.Entry, error) {
	if f.byPlace > 0 {
		f.byPlace--
		return f.at(ctx, seq)
	}
	if f.messages == nil {
		messages, err := f.sent(ctx, seq)
		switch {
		case err == nil:
			f.messages = messages
		case f.stretch > 0 && ctx.Err() == nil: // it did come to nothing before
			return f.read(ctx, seq)
		default:
			return ledger.Entry{}, err
		}
	}
	soon, cancel := context.WithTimeout(ctx, f.late)
	defer cancel()
	for {
		m, err := f.messages.Next(js.NextContext(soon))
		if ctx.Err() != nil {
			return ledger.Entry{}, context.Cause(ctx)
		}
		if err != nil {
			break
		}
		if e, err := entryOf(m); err != nil || e.Seq >= seq { // an earlier one was read by its place
			f.stretch = 0
			return e, err
		}
	}
	return f.read(ctx, seq)
}

// read begins to read by place.
func (f *feed) read(ctx context.Context, seq uint64) (ledger.Entry, error) {
	f.stop()
	f.stretch = min(max(2*f.stretch, 1), longestStretch)
	f.byPlace = f.stretch - 1
	return f.at(ctx, seq)
}

// stop has the engine send no more.
func (f *feed) stop() {
	if f.messages != nil {
		f.messages.Stop()
		f.messages = nil
	}
}
