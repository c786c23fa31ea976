package courier

import (
	"context"
	"errors"
	"fmt"

	"kosk/offline"
	"kosk/offline/queue"
)

// errReceipt says that what the bus gave is not its receipt for the item.
var errReceipt = errors.New("receipt not verified")

// deliver makes one attempt at an item. A nil error means that it has left the
// queue's streams: acknowledged, or parked. Otherwise ask says whether the bus
// may have it by now. The rules are:
//   - what may have arrived is asked for by id before it is sent again, and is
//     sent again only with the same id and bytes;
//   - that it may have arrived is on disk before the first byte leaves;
//   - only a verified receipt ends it; a no for good parks it; nothing deletes it.
func (c *Courier) deliver(ctx context.Context, e queue.Entry, ask bool) result {
	end := func(ask bool, pace offline.Pace, err error) result { return result{e.Seq, ask, pace, err} }
	if !e.MaybeSent && c.opts.Expired(e) {
		return end(false, offline.Pace{}, c.park(ctx, e, offline.ReasonExpired, nil))
	}
	body, err := c.opts.Queue.Load(e)
	if errors.Is(err, queue.ErrDamaged) {
		return end(ask, offline.Pace{}, c.park(ctx, e, offline.ReasonDamaged, err))
	}
	if err != nil {
		return end(ask, offline.Pace{}, err)
	}
	if ask {
		p, err := c.opts.Bus.Status(ctx, e.ID)
		if err == nil {
			return end(true, offline.Pace{}, c.accept(ctx, e, body, p.Receipt, true))
		}
		if !errors.Is(err, offline.ErrNotFound) {
			return end(true, offline.Pace{}, c.retry(ctx, e, err))
		}
	}
	if err := c.opts.Queue.Sending(ctx, e.ID); err != nil {
		return end(ask, offline.Pace{}, err)
	}
	receipt, pace, err := c.opts.Bus.Send(ctx, e.ID, e.Trace, body)
	if err == nil {
		return end(true, pace, c.accept(ctx, e, body, receipt, false))
	}
	if reason := refusal(err); reason != "" {
		return end(true, pace, c.park(ctx, e, reason, err))
	}
	f, isFault := errors.AsType[*offline.Fault](err)
	return end(!isFault || f.Sent, pace, c.retry(ctx, e, err))
}

// refusal is why an item will never be accepted; empty: it may be.
func refusal(err error) string {
	switch f, ok := errors.AsType[*offline.Fault](err); {
	case errors.Is(err, offline.ErrConflict):
		return offline.ReasonConflict
	case !errors.Is(err, offline.ErrRefused):
		return ""
	case ok && f.Reason != "":
		return f.Reason
	}
	return offline.ReasonBus
}

// accept ends an item whose receipt is good.
func (c *Courier) accept(ctx context.Context, e queue.Entry, body, receipt []byte, recovered bool) error {
	if err := c.opts.Verify(e.ID, body, receipt); err != nil {
		c.opts.Log.Error("receipt not verified", "id", e.ID, "err", err)
		c.note(func(s *Stats) { s.Unverified++ })
		return fmt.Errorf("%w: %w", errReceipt, err)
	}
	if err := c.opts.Queue.Done(ctx, e.ID, receipt); err != nil {
		return err
	}
	c.opts.Log.Info("delivered", "id", e.ID, "attempts", e.Attempts+1, "recovered", recovered)
	c.note(func(s *Stats) {
		s.Delivered++
		if recovered {
			s.Recovered++
		}
	})
	return nil
}

// park sets an item aside that will never be accepted.
func (c *Courier) park(ctx context.Context, e queue.Entry, reason string, cause error) error {
	if err := c.opts.Queue.Park(ctx, e.ID, reason); err != nil {
		return err
	}
	c.opts.Log.Warn("parked", "id", e.ID, "reason", reason, "err", cause)
	c.note(func(s *Stats) { s.Parked++ })
	return nil
}

func (c *Courier) retry(ctx context.Context, e queue.Entry, err error) error {
	if ctx.Err() == nil {
		c.opts.Log.Info("not delivered", "id", e.ID, "err", err)
	}
	return err
}
