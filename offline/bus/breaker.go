package bus

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"kosk/offline"
)

// A breaker keeps us from asking a service that does not answer, each by itself:
// one agency's silence stops no other. The rules are:
//   - five answers in a row that can't be used, or that don't come, open it; a
//     refusal is an answer, and the loss of the line says nothing of a service;
//   - while it is open nothing is sent, and the caller learns for how long;
//   - then one exchange is let through, and decides.
const (
	breakAfter = 5
	openBase   = 2 * time.Second // the first time it is open, at most
	openCap    = 60 * time.Second
)

// A Service is how a service of the bus fares, as seen from here.
type Service struct {
	Name     string        // "submissions", or "lookups/" and a service
	Open     bool          // nothing is sent
	Probing  bool          // one exchange finds out whether it is back
	Failures int           // in a row
	For      time.Duration // how much longer it is open
}

type breakers struct {
	mu sync.Mutex
	of map[string]*breaker
}

type breaker struct {
	failures int
	opened   int // in a row
	until    time.Time
	probing  bool
}

// allow returns for how long nothing may be sent; 0: now it may.
func (b *breakers) allow(name string, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.of[name]
	switch {
	case s == nil || s.opened == 0:
		return 0
	case now.Before(s.until):
		return s.until.Sub(now)
	case s.probing:
		return openBase
	}
	s.probing = true
	return 0
}

// settle takes note of how an exchange that was allowed has gone. ours: it was we
// who ended it.
func (b *breakers) settle(name string, now time.Time, err error, ours bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.of == nil {
		b.of = map[string]*breaker{}
	}
	s := b.of[name]
	if s == nil {
		s = &breaker{}
		b.of[name] = s
	}
	probed := s.probing
	s.probing = false
	switch {
	case ours:
	case !unusable(err):
		if !errors.Is(err, offline.ErrLineDown) && !errors.Is(err, offline.ErrBusIdentity) {
			*s = breaker{}
		}
	case s.opened > 0 && !probed: // began before it opened
	default:
		if s.failures++; s.failures >= breakAfter {
			s.opened++
			bound := min(openCap, openBase<<min(s.opened-1, 10))
			s.until = now.Add(bound/2 + rand.N(bound/2))
		}
	}
}

// unusable reports whether the service did not answer, or not so that it helps.
func unusable(err error) bool {
	f, ok := errors.AsType[*offline.Fault](err)
	return ok && f.Sent && (errors.Is(f, offline.ErrAgency) && f.RetryAfter == 0 || f.Type == "line.timeout")
}

// Services tells how the services fare that have been asked, by name.
func (c *Client) Services() []Service {
	now := time.Now()
	c.breakers.mu.Lock()
	defer c.breakers.mu.Unlock()
	var all []Service
	for name, s := range c.breakers.of {
		left := s.until.Sub(now)
		all = append(all, Service{name, s.opened > 0 && left > 0, s.probing, s.failures, max(0, left)})
	}
	slices.SortFunc(all, func(a, b Service) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// guarded is call behind the breaker of a service.
func (c *Client) guarded(ctx context.Context, name string, r request, parse func(answer) error) error {
	if wait := c.breakers.allow(name, time.Now()); wait > 0 {
		return &offline.Fault{Type: "breaker.open", Message: name, RetryAfter: wait, Err: offline.ErrAgency}
	}
	err := c.call(ctx, r, parse)
	c.breakers.settle(name, time.Now(), err, ctx.Err() != nil)
	return err
}
