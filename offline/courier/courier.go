// Package courier carries items from the queue to the bus: in order within a
// stream, several streams at once, with patience, and each to effect once.
//
// It knows no request and no HTTP: what it sends is opaque, and how an attempt
// went is told by *offline.Fault. Start with New and Run. While somebody is
// interested in an item (Track), it also fetches the outcome. How fast it comes
// stands in pace.go, what it tries when in round.go; fleet_test.go is the proof
// that thousands of it do not drown a bus.
package courier

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"kosk/offline"
	"kosk/offline/queue"
)

// An Outbox is what the courier needs of *queue.Queue.
type Outbox interface {
	Shelf
	Ledger
	// Changed receives a value when an item may have become ready to deliver.
	Changed() <-chan struct{}
	// Err returns why nothing is acknowledged any more, or nil.
	Err() error
}

// A Shelf is where items are looked at.
type Shelf interface {
	// Heads calls visit with the first item of every stream, the most pressing
	// first, until visit returns false. visit must not call the queue.
	Heads(visit func(queue.Entry) bool) error
	// Load returns an item's body; queue.ErrDamaged: it is not what was stored.
	Load(e queue.Entry) ([]byte, error)
	// Find tells where an id stands; offline.ErrNotFound: nowhere.
	Find(id string) (queue.Found, error)
	// Stats counts what is there.
	Stats() (queue.Stats, error)
}

// A Ledger is where it is written down how items fare. What it has returned nil
// for survives a power cut.
type Ledger interface {
	// Sending says that bytes of the item may reach the bus from now on.
	Sending(ctx context.Context, id string) error
	// Done forgets the body and keeps the verified receipt.
	Done(ctx context.Context, id string, receipt []byte) error
	// Park sets the item aside, and its stream with it if that is the item's policy.
	Park(ctx context.Context, id, reason string) error
}

// A Bus is what the courier needs of *bus.Client.
type Bus interface {
	offline.Line
	// Send hands the body over, once, and returns the receipt and how fast the bus
	// wants us to come; the latter also with an error. A *offline.Fault says whether
	// the body may have arrived. trace is a traceparent, or empty.
	Send(ctx context.Context, id, trace string, body []byte) (receipt []byte, pace offline.Pace, err error)
	// Status asks how far the item has come; offline.ErrNotFound: it never arrived.
	Status(ctx context.Context, id string) (offline.Progress, error)
	// Await is Status that waits a while for the item to leave a stage.
	Await(ctx context.Context, id string, after offline.Stage) (offline.Progress, error)
}

// Options of a courier. Queue, Bus and Verify are required.
type Options struct {
	Queue Outbox
	Bus   Bus
	// Verify returns nil if the receipt is the bus's word for that very body. An
	// item is forgotten only after that.
	Verify func(id string, body, receipt []byte) error
	// Expired says that an item has outlived its TTL, by a clock that is right.
	// Default: nothing expires, since nobody vouches for the system's clock.
	Expired func(e queue.Entry) bool
	// FirstContact is over how long the first contact after an outage is spread, if
	// the bus does not ask for more. Default 30 s.
	FirstContact time.Duration
	Log          *slog.Logger // default: discarded

	habits *habits // default: all of them
}

// A Courier carries items and tells how they fare.
type Courier struct {
	opts  Options
	nudge chan struct{} // one slot: somebody waits for an item since now

	mu      sync.Mutex
	stats   Stats
	waited  map[string]int // undelivered items -> how many wait for them
	changed chan struct{}  // closed when an item or the line changes
}

// Stats tells how deliveries have gone since the start.
type Stats struct {
	Queue      queue.Stats
	Line       error   // nil, offline.ErrLineDown or offline.ErrBusIdentity
	LineKnown  bool    // the line has been looked at
	Delivered  int     // receipts verified
	Recovered  int     // of these: found at the bus by asking, not sent again
	Parked     int     // items that need an operator
	Retries    int     // attempts that did not end the matter
	TurnedAway int     // of these: the bus had no room
	Unverified int     // receipts that were not the bus's
	Rate       float64 // exchanges a second that we allow ourselves
}

// New makes a courier that does nothing until Run.
func New(o Options) (*Courier, error) {
	if o.Queue == nil || o.Bus == nil || o.Verify == nil {
		return nil, errors.New("new courier: queue, bus or verify is missing")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Expired == nil {
		o.Expired = func(queue.Entry) bool { return false }
	}
	if o.FirstContact == 0 {
		o.FirstContact = firstContact
	}
	if o.habits == nil {
		h := goodHabits()
		o.habits = &h
	}
	return &Courier{opts: o, changed: make(chan struct{}), waited: map[string]int{}, nudge: make(chan struct{}, 1)}, nil
}

// Stats tells how it goes.
func (c *Courier) Stats() (Stats, error) {
	q, err := c.opts.Queue.Stats()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Queue = q
	return s, err
}

// note changes the counters and wakes those who track.
func (c *Courier) note(change func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.stats)
	close(c.changed)
	c.changed = make(chan struct{})
}

// news returns a channel that is closed at the next change.
func (c *Courier) news() (<-chan struct{}, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed, c.stats.Line
}

// wait notes that somebody waits for an undelivered item, until done is called.
func (c *Courier) wait(id string) (done func()) {
	add := func(n int) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.waited[id] += n; c.waited[id] == 0 {
			delete(c.waited, id)
		}
	}
	add(1)
	select {
	case c.nudge <- struct{}{}:
	default:
	}
	return sync.OnceFunc(func() { add(-1) })
}

// isLive reports whether a citizen stands there and waits for that very item;
// anybody, whether that goes for any item.
func (c *Courier) isLive(e queue.Entry) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return e.Class == offline.Waiting && c.waited[e.ID] > 0
}

func (c *Courier) anybody() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.waited) > 0
}

// Run delivers until ctx ends, and returns nil then. Another error is the
// queue's, and means that the process must end. It may be called once.
func (c *Courier) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	line := make(chan error)
	var all sync.WaitGroup
	watched := make(chan error, 1)
	all.Go(func() {
		watched <- c.opts.Bus.Watch(ctx, func(err error) {
			select {
			case line <- err:
			case <-ctx.Done():
			}
		})
	})
	r := &round{
		c: c, jobs: map[uint64]*job{}, results: make(chan result, window+1), workers: &all,
		pace: newPacer(*c.opts.habits, c.opts.FirstContact, time.Now()),
	}
	err := r.run(ctx, line, watched)
	cancel()
	all.Wait()
	if err != nil {
		return fmt.Errorf("courier: %w", err)
	}
	return nil
}
