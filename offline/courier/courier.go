// Package courier carries items from the queue to the bus: in order within a
// stream, several streams at once, with patience, and each to effect once.
//
// It knows no request and no HTTP: what it sends is opaque, and how an attempt
// went is told by *offline.Fault. Start with New and Run. While somebody is
// interested in an item (Track), it also fetches the outcome.
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

const (
	window    = 4                // streams served at once
	retryBase = time.Second      // bound of the first back-off
	retryCap  = 60 * time.Second // bound of all later ones
)

// A Bus is what the courier needs of *bus.Client.
type Bus interface {
	offline.Line
	// Submit hands the body over, once. A *offline.Fault says whether it may have arrived.
	Submit(ctx context.Context, id string, body []byte) (receipt []byte, err error)
	// Status asks how far the item has come; offline.ErrNotFound: it never arrived.
	Status(ctx context.Context, id string) (offline.Progress, error)
	// Await is Status that waits a while for the item to leave a stage.
	Await(ctx context.Context, id string, after offline.Stage) (offline.Progress, error)
}

// Options of a courier. All but Log are required.
type Options struct {
	Queue *queue.Queue
	Bus   Bus
	// Verify returns nil if the receipt is the bus's word for that very body. An
	// item is forgotten only after that.
	Verify func(id string, body, receipt []byte) error
	Log    *slog.Logger
}

// A Courier carries items and tells how they fare.
type Courier struct {
	opts Options

	mu      sync.Mutex
	stats   Stats
	changed chan struct{} // closed when an item or the line changes
}

// Stats tells how deliveries have gone since the start.
type Stats struct {
	Queue      queue.Stats
	Line       error // nil, offline.ErrLineDown or offline.ErrBusIdentity
	LineKnown  bool  // the line has been looked at
	Delivered  int   // receipts verified
	Recovered  int   // of these: found at the bus by asking, not sent again
	Parked     int   // items that need an operator
	Retries    int   // attempts that did not end the matter
	Unverified int   // receipts that were not the bus's
}

// New makes a courier that does nothing until Run.
func New(o Options) (*Courier, error) {
	if o.Queue == nil || o.Bus == nil || o.Verify == nil {
		return nil, errors.New("new courier: queue, bus or verify is missing")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Courier{opts: o, changed: make(chan struct{})}, nil
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
	r := &round{c: c, jobs: map[uint64]*job{}, results: make(chan result, window), workers: &all}
	err := r.run(ctx, line, watched)
	cancel()
	all.Wait()
	if err != nil {
		return fmt.Errorf("courier: %w", err)
	}
	return nil
}
