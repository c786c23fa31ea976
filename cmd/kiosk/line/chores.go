package line

import (
	"bytes"
	"context"
	"errors"
	mathrand "math/rand/v2"
	"time"

	"kosk/offline"
	"kosk/offline/queue"
)

// The chores of a kiosk are few: what expired while the line was down is said so,
// the file is made smaller at night, and a certificate that was renewed is shown.

const (
	choresEvery = time.Minute
	nightFrom   = 2 // o'clock, local
	nightTo     = 5
)

// chores looks every minute for what is to be done, until ctx ends.
func (l *Line) chores(ctx context.Context) error {
	tick := time.NewTicker(choresEvery)
	defer tick.Stop()
	for {
		l.expire(ctx)
		l.compact(ctx, l.clock.Now())
		l.show()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// expire parks what has outlived its TTL: the courier does it only with a line.
func (l *Line) expire(ctx context.Context) {
	queued, err := l.Queue.List(queue.Filter{States: []queue.State{queue.Queued}})
	if err != nil {
		l.opts.Log.Warn("expiry not looked for", "err", err)
		return
	}
	for _, f := range queued {
		if !l.expired(f.Entry) {
			continue
		}
		err := l.Queue.Park(ctx, f.ID, offline.ReasonExpired)
		switch {
		case err == nil:
			l.opts.Log.Warn("expired", "id", f.ID)
			l.Changed()
		case errors.Is(err, offline.ErrNotFound) || errors.Is(err, queue.ErrItem): // delivered, or sent, meanwhile
		default:
			l.opts.Log.Warn("not expired", "id", f.ID, "err", err)
			return
		}
	}
}

// compact makes the file smaller once a night, when nobody is there: puts wait
// meanwhile.
func (l *Line) compact(ctx context.Context, now time.Time) {
	local := now.Local()
	if h := local.Hour(); h < nightFrom || h >= nightTo || now.Sub(l.nightly) < 12*time.Hour || !l.vacant() {
		return
	}
	l.nightly = now
	done, err := l.Queue.Compact(ctx)
	if err != nil && ctx.Err() == nil {
		l.opts.Log.Warn("queue not compacted", "err", err)
	}
	if done {
		l.opts.Log.Info("queue compacted")
	}
}

// show has the client show the wallet's certificate, also where a renewal ended in
// an error after the exchange.
func (l *Line) show() {
	current := l.Wallet.Station().Certificate
	if len(l.shown) > 0 && !bytes.Equal(l.shown, current.Certificate[0]) {
		l.Client.Use(current)
	}
	l.shown = current.Certificate[0]
}

// How often the bus is asked for what changes seldom.
const (
	lookEvery  = time.Hour
	lookJitter = 10 * time.Minute
	lookAgain  = 5 * time.Minute // while it isn't settled
)

// hourly looks for what the bus may have anew until ctx ends, for the first time
// within first. What isn't settled, for the line's sake or the disk's, is looked
// for again sooner. Kiosks that start together don't come together.
func hourly(ctx context.Context, first time.Duration, look func() (settled bool)) error {
	timer := time.NewTimer(mathrand.N(first))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		wait := lookEvery - lookJitter/2 + mathrand.N(lookJitter)
		if !look() {
			wait = lookAgain + mathrand.N(lookAgain)
		}
		timer.Reset(wait)
	}
}
