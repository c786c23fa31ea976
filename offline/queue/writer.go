package queue

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"kosk/offline"
)

// One writer commits what waits, as one transaction. The rules are:
//   - no timer: a lone Put pays for its own two syncs and for nothing else;
//   - an operation checks everything before it writes anything, so that one that
//     fails leaves no trace in the transaction that it shares;
//   - the file has blocks on the disk for every page that a commit may write
//     (disk.go), so that a full disk is met before a commit and never in it;
//   - a failed commit has an unknown outcome for everybody in it. Nothing is
//     acknowledged after that, because bbolt's free list and the disk may differ.
const (
	maxBatchOps   = 256
	maxBatchBytes = 4 << 20
)

// An op is one change, handed to the writer.
type op struct {
	apply  func(*view) error
	alone  func() error // instead of apply: work on the file between two commits
	size   int          // bytes of body that it may write
	answer chan error   // one slot
}

// do hands a change to the writer and waits for its outcome. What was never
// handed over is plainly refused; what was, and is not answered before ctx
// ends, is offline.ErrUnknown.
func (q *Queue) do(ctx context.Context, o op) error {
	if q.opts.readOnly {
		return ErrReadOnly
	}
	if q.Err() != nil {
		return ErrStopped
	}
	o.answer = make(chan error, 1)
	select {
	case q.ops <- &o:
	case <-ctx.Done():
		return ctx.Err()
	case <-q.stopped:
		return ErrStopped
	}
	select {
	case err := <-o.answer:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-o.answer: // both at once: what is known counts
		return err
	default:
		return fmt.Errorf("%w: %w", offline.ErrUnknown, ctx.Err())
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
			q.reserve(0)
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
		if batch[0].alone != nil {
			batch[0].answer <- batch[0].alone()
			batch = batch[1:]
			if err := q.Err(); err != nil {
				answer(batch, err)
				return err
			}
			continue
		}
		n, errs, err := q.transact(batch)
		switch {
		case errors.Is(err, berrors.ErrMaxSizeReached) && q.reserve(maxBatchBytes/pageSize+q.pending):
			continue // with more room
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
	var pages int64
	for _, o := range batch {
		pages += pagesFor(min(o.size, maxBatchBytes))
	}
	q.reserve(min(pages, 2*maxBatchBytes/pageSize))
	tx, err := q.db.Begin(true)
	if err != nil {
		return 0, nil, err
	}
	var v *view
	err = guard(func() error {
		v = q.newView(tx)
		for n < len(batch) && v.bytes < maxBatchBytes && batch[n].alone == nil {
			errs = append(errs, batch[n].apply(v))
			n++
			if v.failed != nil {
				return v.failed
			}
		}
		if !v.dirty {
			return nil
		}
		started := time.Now()
		err := tx.Commit()
		q.latency.add(time.Since(started))
		return err
	})
	if err != nil || !v.dirty { // v is nil only with an error
		if e := guard(tx.Rollback); !errors.Is(e, berrors.ErrTxClosed) {
			err = errors.Join(err, e)
		}
	}
	if err != nil {
		return n, nil, err
	}
	ready := q.index.apply(v.changes)
	q.mu.Lock()
	q.tally.delivered += v.tally.delivered
	q.tally.duplicates += v.tally.duplicates
	q.mu.Unlock()
	if ready {
		q.ring()
	}
	return n, errs, q.measure()
}

// ring tells the courier that something may be ready.
func (q *Queue) ring() {
	select {
	case q.changed <- struct{}{}:
	default:
	}
}

// view reads the file.
func (q *Queue) view(read func(*bolt.Tx) error) error {
	q.swap.RLock()
	defer q.swap.RUnlock()
	return guard(func() error { return q.db.View(read) })
}
