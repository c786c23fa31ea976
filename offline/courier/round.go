package courier

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"kosk/offline"
	"kosk/offline/queue"
)

// round decides what is tried when. Its state belongs to the goroutine of Run,
// and its clock is monotonic: what the wall clock does changes nothing. The
// rules are:
//   - nothing is tried while the line is down or not ours; the bus client looks
//     after the line, not the items;
//   - how fast, the pacer says; what a citizen waits for goes before all others;
//   - a failed item waits by itself, anything up to a bound that doubles; others
//     go on;
//   - when the bus turns us away and names a time, everything stays away until
//     then; a time named for one item, such as one in flight, holds that alone;
//   - when the line returns, or something gets through, items that failed for
//     want of the line wait no longer than all others.
type round struct {
	c       *Courier
	up      bool
	pace    pacer
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
	seq  uint64
	ask  bool         // the bus may have it
	pace offline.Pace // what the bus said of our speed
	err  error        // nil: the item has left the queue's streams
}

func (r *round) run(ctx context.Context, line <-chan error, watched <-chan error) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		next, err := r.start(ctx, time.Now())
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
			r.lineIs(err, time.Now())
		case res := <-r.results:
			r.settle(res, time.Now())
		case <-r.c.opts.Queue.Changed():
		case <-r.c.nudge:
		case <-timer.C:
		}
	}
}

// start puts ready items in flight and returns when the next one will be ready;
// zero: not before something happens.
func (r *round) start(ctx context.Context, now time.Time) (next time.Time, err error) {
	if err := r.c.opts.Queue.Err(); err != nil {
		return next, err
	}
	if !r.up {
		return next, nil
	}
	if r.c.anybody() { // who waits may stand far behind: look at all
		if next, err = r.launch(ctx, now, next, true); err != nil {
			return next, err
		}
	}
	return r.launch(ctx, now, next, false)
}

// launch puts the ready items in flight that somebody waits for, or all the
// others, and returns when the next one will be ready, or next if that is sooner.
func (r *round) launch(ctx context.Context, now, next time.Time, live bool) (time.Time, error) {
	if r.flying >= r.pace.places(live) {
		return next, nil
	}
	err := r.c.opts.Queue.Heads(func(e queue.Entry) bool {
		j := r.jobs[e.Seq]
		switch {
		case live && !r.c.isLive(e), j != nil && j.flying:
			return true
		case j != nil && now.Before(j.notBefore):
			next = sooner(next, j.notBefore)
			return true
		}
		if at := r.pace.next(now, live); at.After(now) {
			next = sooner(next, at)
			return false
		}
		if j == nil {
			j = &job{ask: e.MaybeSent}
			r.jobs[e.Seq] = j
		}
		r.fly(ctx, now, e, j)
		return r.flying < r.pace.places(live)
	})
	return next, err
}

func (r *round) fly(ctx context.Context, now time.Time, e queue.Entry, j *job) {
	r.pace.begin(now)
	j.flying = true
	r.flying++
	ask := j.ask
	r.workers.Go(func() { r.results <- r.c.deliver(ctx, e, ask) })
}

func (r *round) lineIs(err error, now time.Time) {
	r.c.note(func(s *Stats) { s.Line, s.LineKnown = err, true })
	if err == nil && !r.up {
		r.pace.lineUp(now)
		r.hurry()
	}
	r.up = err == nil
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
func (r *round) settle(res result, now time.Time) {
	r.flying--
	f, isFault := errors.AsType[*offline.Fault](res.err)
	turned := isFault && !f.Sent && errors.Is(f, offline.ErrAgency) // at the door
	if res.err == nil || isFault && f.Status != 0 {
		r.pace.answered(now, res.pace, !turned)
	}
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
	wait := r.pace.backOff(j.tries)
	if isFault && f.RetryAfter > 0 && r.pace.heed {
		wait = asked(f.RetryAfter)
		if !f.Sent {
			r.pace.stayAway(now, wait)
		}
	}
	j.notBefore = now.Add(wait)
	r.c.note(func(s *Stats) {
		s.Retries++
		s.Rate = r.pace.rate
		if turned {
			s.TurnedAway++
		}
	})
}
