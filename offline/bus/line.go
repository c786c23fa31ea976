package bus

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"kosk/offline"
)

// How often the line is probed. While it is up, the kernel looks after it, see
// transport.go. While it is down, a probe costs the bus nothing, and the citizen
// waits for its success: so it comes often, at moments by chance, because all
// kiosks lose a bus at the same time.
const (
	probeUp   = 30 * time.Second
	probeBase = time.Second
	probeCap  = 10 * time.Second
	suspicion = 500 * time.Millisecond // within which a suspicion is followed
)

// line is what is known of the line. One watcher at a time probes for all.
type line struct {
	prober  chan struct{} // one slot: held by the watcher that probes
	suspect chan struct{} // one slot: an exchange went badly, look at once

	mu      sync.Mutex
	known   bool
	state   error         // nil, offline.ErrLineDown or offline.ErrBusIdentity
	changed chan struct{} // closed when state changes
}

func (l *line) init() {
	l.prober, l.suspect, l.changed = make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{})
}

func (l *line) now() (known bool, changed <-chan struct{}, state error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.known, l.changed, l.state
}

func (l *line) set(state error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known && l.state == state {
		return
	}
	l.known, l.state = true, state
	close(l.changed)
	l.changed = make(chan struct{})
}

// learn draws a conclusion from an exchange: an answer of any kind means that
// the line is up, a loss means that it should be looked at.
func (l *line) learn(err error) {
	if stateOf(err) == nil {
		l.set(nil)
		return
	}
	l.suspicious()
}

// ended draws a conclusion from a connection's end: if it was silence, the line is
// down until a probe says otherwise.
func (l *line) ended(err error) {
	if errors.Is(err, syscall.ETIMEDOUT) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) {
		l.set(offline.ErrLineDown)
	}
	l.suspicious()
}

// suspicious says that the line should be looked at.
func (l *line) suspicious() {
	select {
	case l.suspect <- struct{}{}:
	default:
	}
}

// stateOf is what an exchange's end says of the line.
func stateOf(err error) error {
	for _, state := range []error{offline.ErrBusIdentity, offline.ErrLineDown} {
		if errors.Is(err, state) {
			return state
		}
	}
	return nil
}

// Watch implements offline.Line. While it runs it asks the bus for the time now
// and then, sooner when an exchange has failed, and returns nil when ctx ends.
func (c *Client) Watch(ctx context.Context, seen func(err error)) error {
	l := &c.line
	var told bool
	var last error
	prober := l.prober // nil once it is ours
	probe := time.NewTimer(0)
	probe.Stop()
	var suspect <-chan struct{}
	failures := 0
	defer func() {
		if prober == nil {
			<-l.prober
		}
	}()
	for {
		known, changed, state := l.now()
		if known && (!told || state != last) {
			told, last = true, state
			if prober == nil { // one line for all watchers
				c.opts.Log.Info("line", "err", state)
			}
			seen(state)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			continue
		case prober <- struct{}{}:
			prober, suspect = nil, l.suspect
		case <-suspect:
			probe.Reset(rand.N(suspicion) + 1)
			continue
		case <-probe.C:
		}
		failures = c.probe(ctx, failures)
		probe.Reset(nextProbe(failures))
	}
}

// probe looks at the line and returns the number of failures in a row.
func (c *Client) probe(ctx context.Context, failures int) int {
	_, err := c.Time(ctx)
	if ctx.Err() != nil {
		return failures
	}
	select { // our own failure is no new suspicion
	case <-c.line.suspect:
	default:
	}
	state := stateOf(err)
	c.line.set(state)
	if state == nil {
		return 0
	}
	return failures + 1
}

// nextProbe is full jitter: anything up to a bound that doubles.
func nextProbe(failures int) time.Duration {
	if failures == 0 {
		return probeUp
	}
	bound := min(probeCap, probeBase<<min(failures, 10))
	return rand.N(bound) + 1
}
