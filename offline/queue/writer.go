package queue

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"kosk/offline"
)

// One writer commits what waits, as one transaction. The rules are:
//   - no timer: a lone Put pays for its own two syncs and for nothing else;
//   - an operation checks everything before it writes anything, so that one that
//     fails leaves no trace in the transaction that it shares;
//   - a failed commit has an unknown outcome for everybody in it. Nothing is
//     acknowledged after that, because bbolt's free list and the disk may differ.
const (
	maxBatchOps   = 256
	maxBatchBytes = 4 << 20
)

// An op is one change, handed to the writer.
type op struct {
	apply  func(*bolt.Tx, *view) error
	answer chan error // one slot
}

// do hands a change to the writer and waits for its outcome.
func (q *Queue) do(ctx context.Context, apply func(*bolt.Tx, *view) error) error {
	if err := q.Err(); err != nil {
		return err
	}
	o := &op{apply: apply, answer: make(chan error, 1)}
	select {
	case q.ops <- o:
		return <-o.answer
	case <-ctx.Done():
		return ctx.Err()
	case <-q.stopped:
		if err := q.Err(); err != nil {
			return err
		}
		return ErrStopped
	}
}

// Run commits what is put until ctx ends, and returns nil then. It returns the
// error of a commit whose outcome is unknown; the process must end. It may be
// called once.
func (q *Queue) Run(ctx context.Context) error {
	defer close(q.stopped)
	for {
		select {
		case <-ctx.Done():
			return nil
		case first := <-q.ops:
			if err := q.commit(q.gather(first)); err != nil {
				q.opts.Log.Error("commit of unknown outcome", "err", err)
				return err
			}
		}
	}
}

// gather takes whatever waits beside first. Producers that were just answered
// get one chance to come back before the next sync begins.
func (q *Queue) gather(first *op) []*op {
	batch := []*op{first}
	yielded := false
	for len(batch) < maxBatchOps {
		select {
		case o := <-q.ops:
			batch = append(batch, o)
			continue
		default:
		}
		if yielded {
			break
		}
		yielded = true
		runtime.Gosched()
	}
	return batch
}

// commit carries out the batch and answers everyone in it. Its error is sticky.
func (q *Queue) commit(batch []*op) error {
	for len(batch) > 0 {
		n, errs, err := q.transact(batch)
		switch {
		case errors.Is(err, berrors.ErrMaxSizeReached) && n > 1:
			// Acknowledgements must not fail for a Put that shares their commit.
			if err := q.oneByOne(batch[:n]); err != nil {
				answer(batch[n:], err)
				return err
			}
		case errors.Is(err, berrors.ErrMaxSizeReached):
			batch[0].answer <- offline.ErrFull
		case err != nil:
			err = q.breakDown(err)
			answer(batch, err)
			return err
		default:
			for i, o := range batch[:n] {
				o.answer <- errs[i]
			}
		}
		batch = batch[n:]
	}
	return nil
}

func (q *Queue) oneByOne(batch []*op) error {
	for i := range batch {
		if err := q.commit(batch[i : i+1]); err != nil {
			answer(batch[i+1:], err)
			return err
		}
	}
	return nil
}

func answer(batch []*op, err error) {
	for _, o := range batch {
		o.answer <- err
	}
}

func (q *Queue) breakDown(err error) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.broken = fmt.Errorf("commit: %w: %w", offline.ErrUnknown, err)
	return q.broken
}

// transact commits the first n operations of the batch: as many as their bytes
// allow. A nil error means that they are synced; berrors.ErrMaxSizeReached that
// nothing was written; any other error that nobody knows.
func (q *Queue) transact(batch []*op) (n int, errs []error, err error) {
	tx, err := q.db.Begin(true)
	if err != nil {
		return 0, nil, err
	}
	v := &view{q: q, room: q.room.Load(), depth: q.counters()}
	for n < len(batch) && v.bytes < maxBatchBytes {
		errs = append(errs, batch[n].apply(tx, v))
		n++
		if v.failed != nil {
			return n, nil, errors.Join(v.failed, tx.Rollback())
		}
	}
	if !v.dirty {
		return n, errs, tx.Rollback()
	}
	if err := tx.Commit(); err != nil {
		return n, nil, err
	}
	q.mu.Lock()
	q.depth = v.depth
	q.mu.Unlock()
	if v.ready {
		q.ring()
	}
	return n, errs, q.measure()
}

func (q *Queue) counters() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.depth
}

// ring tells the courier that something may be ready.
func (q *Queue) ring() {
	select {
	case q.changed <- struct{}{}:
	default:
	}
}

// measure computes the room that is left: pages below nine tenths of what bbolt
// may grow to. The last tenth belongs to acknowledgements, which need a few
// fresh pages before they can free many.
func (q *Queue) measure() error {
	var high int64
	if err := q.db.View(func(tx *bolt.Tx) error {
		high = tx.Size() / pageSize
		return nil
	}); err != nil {
		return err
	}
	s := q.db.Stats()
	used := high - int64(s.FreePageN+s.PendingPageN)
	limit := (q.opts.MaxSize - int64(q.db.AllocSize)) / pageSize * 9 / 10
	q.room.Store(limit - used)
	return nil
}
