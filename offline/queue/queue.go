// Package queue keeps sealed requests on disk until the bus has acknowledged
// them. It survives a power cut at any moment: see README.md for how, and
// crash_test.go for the proof.
//
// The queue does not know what a request is. It stores bytes under an id
// chosen by the caller; storing the same id twice is storing it once. Start
// with Open and Run; Put waits until Run has synced the item.
package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"

	"kosk/offline"
)

// Errors of the queue, beside those of package offline.
var (
	// ErrDamaged says that the file, or a record in it, is not what was written.
	ErrDamaged = errors.New("damaged")
	// ErrInUse says that another process holds the file.
	ErrInUse = errors.New("in use by another process")
	// ErrStopped says that Run has ended: nothing was written.
	ErrStopped = errors.New("queue stopped")
	// ErrItem says that an item breaks the contract: nothing was written.
	ErrItem = errors.New("bad item")
)

// Options of a queue. The zero value is usable.
type Options struct {
	MaxSize     int64         // bound of the file in bytes; default 64 MiB, least 1 MiB
	MaxReceipts int           // receipts kept, the oldest forgotten first; default 1,024
	Station     string        // station number, at most 32 bytes, written into every header
	LockWait    time.Duration // how long another process may take to let go; default 1 s
	Log         *slog.Logger  // default: discarded
}

func (o Options) withDefaults() (Options, error) {
	if o.MaxSize == 0 {
		o.MaxSize = 64 << 20
	}
	if o.MaxReceipts == 0 {
		o.MaxReceipts = 1024
	}
	if o.LockWait == 0 {
		o.LockWait = time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxSize < 1<<20 || o.MaxReceipts < 1 || len(o.Station) > stationSize {
		return o, fmt.Errorf("options: size %d, receipts %d, station of %d bytes: out of range", o.MaxSize, o.MaxReceipts, len(o.Station))
	}
	return o, nil
}

var _ offline.Outbox = (*Queue)(nil)

// A Queue is a durable outbox in one file. Its methods may be called from
// several goroutines.
type Queue struct {
	db      *bolt.DB
	opts    Options
	boot    uint64        // how often the file has been opened
	ops     chan *op      // unbuffered: what was handed over is carried out
	stopped chan struct{} // closed when Run has ended
	changed chan struct{} // one slot: something may be ready to deliver
	room    atomic.Int64  // pages that a Put may still use

	mu     sync.Mutex
	broken error // the commit whose outcome is unknown; never reset
	depth  Stats // counters, kept by the writer
}

// Stats counts what the queue holds.
type Stats struct {
	Queued   int       // items that the bus has not acknowledged
	Parked   int       // items that need an operator
	Receipts int       // receipts kept
	Bytes    int64     // sealed bytes of queued and parked items
	Room     int64     // the longest body that still fits, in bytes
	Oldest   time.Time // when the oldest queued item was put; zero: none
}

// Err returns the commit error after which the queue acknowledges nothing any
// more, or nil. It is an offline.ErrUnknown: the process must end.
func (q *Queue) Err() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.broken
}

// Changed receives a value when an item may have become ready to deliver. It
// serves one courier.
func (q *Queue) Changed() <-chan struct{} { return q.changed }

// Room returns nil, or offline.ErrFull when a body of size bytes would not fit.
func (q *Queue) Room(size int) error {
	if size > offline.MaxBody {
		return fmt.Errorf("body of %d bytes: %w", size, ErrItem)
	}
	if pagesFor(size) > q.room.Load() {
		return offline.ErrFull
	}
	return nil
}

// Put stores the item and returns when it is synced. See offline.Outbox; ctx is
// heeded only until the writer has taken the item, because what was handed
// over has an outcome that the caller must learn.
func (q *Queue) Put(ctx context.Context, item offline.Item) error {
	rec, err := q.newRecord(item)
	if err != nil {
		return fmt.Errorf("put %s: %w", item.ID, err)
	}
	if err := q.do(ctx, func(tx *bolt.Tx, v *view) error { return v.put(tx, rec, item.Body) }); err != nil {
		return fmt.Errorf("put %s: %w", item.ID, err)
	}
	return nil
}

// Sending makes durable that bytes of the item may reach the bus from now on,
// and counts the attempt. It is called before the first byte leaves.
func (q *Queue) Sending(ctx context.Context, id string) error {
	if err := q.do(ctx, func(tx *bolt.Tx, v *view) error { return v.sending(tx, id) }); err != nil {
		return fmt.Errorf("mark %s as sent: %w", id, err)
	}
	return nil
}

// Done forgets the item's body and keeps the bus's verified receipt instead.
func (q *Queue) Done(ctx context.Context, id string, receipt []byte) error {
	if err := q.do(ctx, func(tx *bolt.Tx, v *view) error { return v.done(tx, id, receipt) }); err != nil {
		return fmt.Errorf("finish %s: %w", id, err)
	}
	return nil
}

// Park takes the item out of its stream, for an operator to look at. The item
// is kept, and the next of the stream follows.
func (q *Queue) Park(ctx context.Context, id, reason string) error {
	if err := q.do(ctx, func(tx *bolt.Tx, v *view) error { return v.park(tx, id, reason) }); err != nil {
		return fmt.Errorf("park %s: %w", id, err)
	}
	return nil
}

// Stats counts what is there.
func (q *Queue) Stats() (Stats, error) {
	q.mu.Lock()
	s := q.depth
	q.mu.Unlock()
	s.Room = max(0, q.room.Load()-overheadPages) * chunksPerPage * chunkSize
	var err error
	s.Oldest, err = q.oldest()
	return s, err
}

// Close releases the file. Run must have ended, or never have begun.
func (q *Queue) Close() error {
	if err := q.db.Close(); err != nil {
		return fmt.Errorf("close queue: %w", err)
	}
	return nil
}
