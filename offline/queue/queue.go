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
	"os"
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
	// ErrStopped says that Run has ended: nothing was written. It is an offline.ErrStopped.
	ErrStopped = fmt.Errorf("queue: %w", offline.ErrStopped)
	// ErrReadOnly says that the queue was opened to be read: nothing was written.
	ErrReadOnly = errors.New("queue opened to be read")
	// ErrItem says that an item, or what is asked of it, breaks the contract:
	// nothing was written.
	ErrItem = errors.New("bad item")
)

// Options of a queue. The zero value is usable.
type Options struct {
	MaxSize      int64         // bound of the file in bytes; default 64 MiB, least 1 MiB
	MaxReceipts  int           // receipts kept, the oldest forgotten first; default 1,024
	CompactOver  int64         // a file over so many bytes, and more than half free, is compacted at Open; default 64 MB
	Ballast      int64         // bytes laid aside beside the file, for a disk that others fill; default none
	Salvage      bool          // Open saves what can be saved of a damaged file, and reports; else it is ErrDamaged
	Station      string        // station number, at most 32 bytes, a note of every header
	ClockTrusted func() bool   // whether the wall clock is known to be right; default: never
	LockWait     time.Duration // how long another process may take to let go; default 1 s
	Log          *slog.Logger  // default: discarded

	readOnly bool
	openFile func(string, int, os.FileMode) (*os.File, error) // tests break the file
}

func (o Options) withDefaults() (Options, error) {
	if o.MaxSize == 0 {
		o.MaxSize = 64 << 20
	}
	if o.MaxReceipts == 0 {
		o.MaxReceipts = 1024
	}
	if o.CompactOver == 0 {
		o.CompactOver = 64_000_000
	}
	if o.LockWait == 0 {
		o.LockWait = time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.openFile == nil {
		o.openFile = os.OpenFile
	}
	if o.MaxSize < 1<<20 || o.MaxReceipts < 1 || len(o.Station) > stationSize || o.Ballast < 0 || o.CompactOver < 0 {
		return o, fmt.Errorf("options: size %d, receipts %d, station of %d bytes: out of range", o.MaxSize, o.MaxReceipts, len(o.Station))
	}
	return o, nil
}

var _ offline.Outbox = (*Queue)(nil)

// A Queue is a durable outbox in one file. Its methods may be called from
// several goroutines.
type Queue struct {
	path      string
	opts      Options
	boot      uint64 // how often the file has been opened; the epoch of its data key
	keys      keys
	report    Report
	index     *index
	latency   latency
	ops       chan *op      // unbuffered: what was handed over is carried out
	stopped   chan struct{} // closed when Run has ended
	changed   chan struct{} // one slot: something may be ready to deliver
	room      atomic.Int64  // pages that a Put may still use
	inUse     atomic.Int64  // bytes of the file in use
	freePages atomic.Int64  // pages of the file that are not in use
	full      atomic.Bool   // the disk gave no more

	// The writer's own.
	size    int64 // of the file, all of it with blocks on the disk
	used    int64 // pages
	pending int64 // pages that count as free, and are out of reach while somebody reads an older tree

	swap sync.RWMutex // held to read the file; the writer holds it to exchange the file
	db   *bolt.DB
	file *os.File // db's

	mu     sync.Mutex
	broken error // the commit whose outcome is unknown; never reset
	tally  tally
}

// Err returns the commit error after which the queue acknowledges nothing any
// more, or nil. It is an offline.ErrUnknown: the process must end.
func (q *Queue) Err() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.broken
}

// Report tells what Open met, and did.
func (q *Queue) Report() Report { return q.report }

// Changed receives a value when an item may have become ready to deliver. It
// serves one courier.
func (q *Queue) Changed() <-chan struct{} { return q.changed }

// Room returns nil, or offline.ErrFull when a body of size bytes would not fit:
// into the file's bound, or onto the disk as far as that says.
func (q *Queue) Room(size int) error {
	if size > offline.MaxBody {
		return fmt.Errorf("body of %d bytes: %w", size, ErrItem)
	}
	need := pagesFor(size)
	if need > q.room.Load() {
		return offline.ErrFull
	}
	if free := q.freePages.Load(); need > free && need-free > q.diskRoom() {
		return offline.ErrFull
	}
	return nil
}

// Put stores the item and returns when it is synced. See offline.Outbox. When
// ctx ends before the writer has taken the item, nothing was written; when it
// ends after that, because the disk hangs, the outcome is offline.ErrUnknown.
func (q *Queue) Put(ctx context.Context, item offline.Item) error {
	rec, err := q.newRecord(item)
	if err != nil {
		return fmt.Errorf("put %s: %w", item.ID, err)
	}
	put := func(v *view) error { return v.put(rec, item.Body) }
	if err := q.do(ctx, op{apply: put, size: len(item.Body)}); err != nil {
		return fmt.Errorf("put %s: %w", item.ID, err)
	}
	return nil
}

// Sending makes durable that bytes of the item may reach the bus from now on,
// and counts the attempt. It is called before the first byte leaves.
func (q *Queue) Sending(ctx context.Context, id string) error {
	return q.change(ctx, "mark as sent", id, func(v *view) error { return v.sending(id) })
}

// Done forgets the item's body and keeps the bus's verified receipt instead.
func (q *Queue) Done(ctx context.Context, id string, receipt []byte) error {
	return q.change(ctx, "finish", id, func(v *view) error { return v.done(id, receipt) })
}

// Park takes the item out of its stream, for an operator to look at. The item
// is kept. The next of the stream follows, unless the item's policy is Block.
// offline.ReasonExpired is refused for what may have been sent.
func (q *Queue) Park(ctx context.Context, id, reason string) error {
	return q.change(ctx, "park", id, func(v *view) error { return v.park(id, reason) })
}

func (q *Queue) change(ctx context.Context, what, id string, apply func(*view) error) error {
	if err := q.do(ctx, op{apply: apply}); err != nil {
		return fmt.Errorf("%s %s: %w", what, id, err)
	}
	return nil
}

// Close releases the file. Run must have ended, or never have begun.
func (q *Queue) Close() error {
	if err := q.db.Close(); err != nil {
		return fmt.Errorf("close queue: %w", err)
	}
	return nil
}
