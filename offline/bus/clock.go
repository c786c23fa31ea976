package bus

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// The kiosk's clock is not trusted, the bus's is. The rules are:
//   - until the bus has been asked, the last known time is the floor: it is later
//     than that for certain, whatever the system says;
//   - certificates are checked by that, so that the first contact works although
//     the system believes in 1970;
//   - from then on time is the bus's, carried on by a clock that nobody can set;
//   - a time outside the bus's own certificate, or before the floor, is not believed.

const (
	skewWarned = 60 * time.Second
	keepEvery  = 10 * time.Minute // how often the floor is stored, for the flash's sake
)

var errTime = errors.New("time not believable")

// A ClockState says how far a clock can be trusted.
type ClockState int

// The states of a clock.
const (
	ClockUnknown ClockState = iota // the system's, as it is
	ClockFloor                     // not earlier than a time that was known once
	ClockTrusted                   // the bus's
)

func (s ClockState) String() string {
	switch s {
	case ClockUnknown:
		return "unknown"
	case ClockFloor:
		return "floor"
	case ClockTrusted:
		return "trusted"
	}
	return fmt.Sprintf("ClockState(%d)", int(s))
}

// A TimeKeeper keeps the last known time where a power cut does not reach it.
type TimeKeeper interface {
	LoadTime() (time.Time, error) // zero: none is kept
	SaveTime(at time.Time) error
}

// A Clock knows the time from the bus. Its methods may be called from several
// goroutines.
type Clock struct {
	keeper TimeKeeper
	log    *slog.Logger

	mu     sync.Mutex
	state  ClockState
	at     time.Time // the time, or the floor of it, when read was taken
	read   time.Time // with its monotonic reading
	kept   time.Time
	skewed bool
}

// NewClock begins with what the keeper kept; nil: nothing is kept.
func NewClock(keeper TimeKeeper, log *slog.Logger) (*Clock, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &Clock{keeper: keeper, log: log}
	if keeper == nil {
		return c, nil
	}
	at, err := keeper.LoadTime()
	if err != nil {
		return nil, fmt.Errorf("load time: %w", err)
	}
	c.kept = at
	c.raise(at)
	return c, nil
}

// raise says that it is later than at.
func (c *Clock) raise(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == ClockTrusted || at.IsZero() || c.state == ClockFloor && at.Before(c.at.Add(time.Since(c.read))) {
		return
	}
	c.state, c.at, c.read = ClockFloor, at.Round(0), time.Now()
}

// Now is the time as well as it is known.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now(time.Now())
}

func (c *Clock) now(system time.Time) time.Time {
	if c.state == ClockUnknown {
		return system
	}
	at := c.at.Add(system.Sub(c.read))
	if c.state == ClockFloor && system.Round(0).After(at) {
		return system.Round(0)
	}
	return at
}

// State says how far Now can be trusted.
func (c *Clock) State() ClockState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// Offset is how far the system's clock is behind Now; negative: ahead.
func (c *Clock) Offset() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	system := time.Now()
	return c.now(system).Sub(system.Round(0))
}

// set takes the bus's time, which it told between asked and answered.
func (c *Clock) set(told, asked, answered time.Time, cert *x509.Certificate) error {
	if cert != nil && (told.Before(cert.NotBefore) || told.After(cert.NotAfter)) {
		return fmt.Errorf("%v is outside the bus's certificate: %w", told, errTime)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	told = told.Round(0).Add(answered.Sub(asked) / 2)
	if c.state != ClockUnknown && told.Before(c.at.Add(-skewWarned)) {
		return fmt.Errorf("%v is before %v: %w", told, c.at, errTime)
	}
	c.state, c.at, c.read = ClockTrusted, told, answered
	off := told.Sub(answered.Round(0))
	if skewed := off.Abs() > skewWarned; skewed != c.skewed {
		c.skewed = skewed
		if skewed {
			c.log.Warn("clock is off", "behind", off)
		} else {
			c.log.Info("clock is right")
		}
	}
	if c.keeper != nil && told.Sub(c.kept) >= keepEvery {
		if err := c.keeper.SaveTime(told); err != nil {
			c.log.Warn("time not kept", "err", err)
		} else {
			c.kept = told
		}
	}
	return nil
}

// Clock is what certificates are checked by.
func (c *Client) Clock() *Clock { return c.opts.Clock }

// Time asks the bus for its time, and sets the Clock by it.
func (c *Client) Time(ctx context.Context) (at time.Time, err error) {
	var asked time.Time
	err = c.call(ctx, request{method: http.MethodGet, path: "/v1/time", within: c.opts.Deadlines.LookUp, begun: &asked}, func(a answer) (err error) {
		if at, err = parseTime(a.body); err != nil {
			return err
		}
		return c.opts.Clock.set(at, asked, time.Now(), a.peer)
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("ask the time: %w", err)
	}
	return at, nil
}

func parseTime(b []byte) (time.Time, error) {
	var t struct {
		Time time.Time `json:"time"`
	}
	if err := json.Unmarshal(b, &t); err != nil {
		return time.Time{}, err
	}
	if t.Time.Year() < 2020 || t.Time.Year() > 9999 {
		return time.Time{}, errors.New("no time in it")
	}
	return t.Time, nil
}
