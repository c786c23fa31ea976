package courier

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"kosk/offline"
	"kosk/offline/queue"
)

// round decides what is tried when. Its state belongs to the goroutine of Run.
// The rules are:
//   - nothing is tried while the line is down or not ours; the bus client looks
//     after the line, not the items;
//   - a failed item waits by itself, anything up to a bound that doubles; others
//     go on;
//   - when the bus turns us away and names a time, everything stays away until
//     then; a time named for one item, such as one in flight, holds that alone;
//   - when the line returns, or something gets through, items that failed for
//     want of the line are tried at once.
type round struct {
	c       *Courier
	up      bool
	away    time.Time       // the bus asked us not to come before
	jobs    map[uint64]*job // by sequence number: in flight, or failed before
	flying  int
	results chan result
	workers *sync.WaitGroup
}

// A job is an item that has been tried, or is being tried.
type job struct {
	flying    bool
	ask       bool // the last attempt may have arrived: ask before sending
	line      bool // the last attempt failed for want of the line
	tries     int
	notBefore time.Time
}

type result struct {
	seq uint64
	ask bool  // the bus may have it
	err error // nil: the item has left the queue's streams
}

func (r *round) run(ctx context.Context, line <-chan error, watched <-chan error) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		next, err := r.start(ctx)
		if err != nil {
			return err
		}
		timer.Stop()
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-watched:
			if ctx.Err() == nil {
				return fmt.Errorf("watch the line: %w", err)
			}
			return nil
		case err := <-line:
			r.lineIs(err)
		case res := <-r.results:
			r.settle(res)
		case <-r.c.opts.Queue.Changed():
		case <-timer.C:
		}
	}
}

// start puts ready items in flight and returns when the next one will be ready;
// zero: not before something happens.
func (r *round) start(ctx context.Context) (next time.Time, err error) {
	if err := r.c.opts.Queue.Err(); err != nil {
		return next, err
	}
	if !r.up || r.flying == window {
		return next, nil
	}
	now := time.Now()
	if now.Before(r.away) {
		return r.away, nil
	}
	err = r.c.opts.Queue.Heads(func(e queue.Entry) bool {
		j := r.jobs[e.Seq]
		switch {
		case j == nil:
			j = &job{ask: e.MaybeSent}
			r.jobs[e.Seq] = j
		case j.flying:
			return true
		case now.Before(j.notBefore):
			if next.IsZero() || j.notBefore.Before(next) {
				next = j.notBefore
			}
			return true
		}
		j.flying = true
		r.flying++
		ask := j.ask
		r.workers.Go(func() {
			ask, err := r.c.deliver(ctx, e, ask)
			r.results <- result{e.Seq, ask, err}
		})
		return r.flying < window
	})
	return next, err
}

func (r *round) lineIs(err error) {
	r.c.note(func(s *Stats) { s.Line, s.LineKnown = err, true })
	r.up = err == nil
	if r.up {
		r.hurry()
	}
}

// hurry forgets the waiting of items that failed for want of the line.
func (r *round) hurry() {
	for _, j := range r.jobs {
		if j.line {
			j.notBefore, j.tries = time.Time{}, 0
		}
	}
}

// settle takes note of how a delivery went.
func (r *round) settle(res result) {
	r.flying--
	if res.err == nil {
		delete(r.jobs, res.seq)
		r.hurry()
		return
	}
	j := r.jobs[res.seq]
	j.flying = false
	j.tries++
	j.ask = res.ask
	j.line = errors.Is(res.err, offline.ErrLineDown) || errors.Is(res.err, offline.ErrBusIdentity)
	wait := backOff(j.tries)
	if f := (*offline.Fault)(nil); errors.As(res.err, &f) && f.RetryAfter > 0 {
		// Everybody was told the same time: come a little later, each by chance.
		wait = f.RetryAfter + rand.N(min(f.RetryAfter/4, retryCap)+1)
		if !f.Sent {
			r.away = time.Now().Add(wait)
		}
	}
	j.notBefore = time.Now().Add(wait)
	r.c.note(func(s *Stats) { s.Retries++ })
}

// backOff is full jitter: anything up to a bound that doubles with every try.
func backOff(tries int) time.Duration {
	bound := min(retryCap, retryBase<<min(tries-1, 10))
	return rand.N(bound) + 1
}
