package courier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kosk/offline"
	"kosk/offline/queue"
)

// Track implements offline.Tracker. It works for any id that this kiosk or the
// bus holds, also one put before the last start, and returns nil at the last
// stage or when ctx ends. The outcome is passed on and not kept. An item of class
// Waiting that is tracked goes before all others: somebody stands there.
func (c *Courier) Track(ctx context.Context, id string, seen func(offline.Progress)) error {
	told := offline.Stage(0)
	tell := func(p offline.Progress) {
		if p.Stage != told {
			told = p.Stage
			seen(p)
		}
	}
	done := func() {}
	defer func() { done() }()
	for waits := false; ; {
		changed, _ := c.news() // before Find, so that no change is missed
		here, err := c.opts.Queue.Find(id)
		if err != nil && !errors.Is(err, offline.ErrNotFound) {
			return fmt.Errorf("track %s: %w", id, err)
		}
		switch here.State {
		case queue.Queued:
			if !waits {
				waits, done = true, c.wait(id)
			}
			tell(offline.Progress{ID: id, Stage: offline.Stored})
		case queue.Parked:
			tell(offline.Progress{ID: id, Stage: offline.Refused, Reason: here.Reason})
			return nil
		case queue.Finished:
			done()
			tell(offline.Progress{ID: id, Stage: offline.Accepted, Receipt: here.Receipt})
			return c.follow(ctx, id, here.Receipt, tell)
		default: // forgotten, or never ours: the bus knows, and no receipt can be verified
			return c.follow(ctx, id, nil, tell)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// follow asks the bus for the outcome until there is one.
func (c *Courier) follow(ctx context.Context, id string, receipt []byte, tell func(offline.Progress)) error {
	stage := offline.Stage(0)
	if receipt != nil {
		stage = offline.Accepted
	}
	for failures := 0; ctx.Err() == nil; {
		asked := time.Now()
		p, err := c.opts.Bus.Await(ctx, id, stage)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, offline.ErrNotFound), errors.Is(err, offline.ErrRefused):
			return fmt.Errorf("track %s: %w", id, err)
		case err != nil:
			failures++
			c.pause(ctx, wish(err, c.opts.habits.backOff(failures)))
			continue
		}
		failures, stage = 0, p.Stage
		p.Receipt = receipt
		tell(p)
		if p.Stage == offline.Done || p.Stage == offline.Refused {
			return nil
		}
		c.pause(ctx, retryBase-time.Since(asked)) // for a bus that does not wait
	}
	return nil
}

// wish is how long the bus asked us to stay away, or else our own wait.
func wish(err error, ours time.Duration) time.Duration {
	if f, ok := errors.AsType[*offline.Fault](err); ok && f.RetryAfter > 0 {
		return f.RetryAfter
	}
	return ours
}

// pause waits, but not beyond the return of the line.
func (c *Courier) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	_, before := c.news()
	for {
		changed, line := c.news()
		if line == nil && before != nil {
			return
		}
		before = line
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case <-changed:
		}
	}
}
