package queue

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
)

// wasteful reports whether the file is large and mostly free.
func (q *Queue) wasteful() bool { return q.size > q.opts.CompactOver && q.used < q.size/pageSize/2 }

// Compact writes the file anew, without its free pages, if it is over
// Options.CompactOver and more than half free; done says whether it was. It is
// for the night: puts and acknowledgements wait meanwhile.
func (q *Queue) Compact(ctx context.Context) (done bool, err error) {
	err = q.do(ctx, op{alone: func() error {
		if !q.wasteful() {
			return nil
		}
		var err error
		done, err = q.compact()
		return err
	}})
	if err != nil {
		return false, fmt.Errorf("compact: %w", err)
	}
	return done, nil
}

// compact copies to another file, which is synced, opened, counted, and only
// then takes the place of this one. It belongs to the writer. A failure before
// that leaves everything as it was; one after it breaks the queue.
func (q *Queue) compact() (done bool, err error) {
	temp := q.path + ".new"
	high, err := q.copyTo(temp)
	if err == nil {
		err = settle(temp, high, min(q.bound(), max(firstSize, high+headroom*pageSize)))
	}
	if err == nil {
		err = checkFile(temp, q.opts.LockWait)
	}
	if err != nil {
		return false, errors.Join(err, os.Remove(temp))
	}
	q.swap.Lock()
	defer q.swap.Unlock()
	old, oldFile, oldSize := q.db, q.file, q.size
	err = q.openFile(temp)
	if err == nil {
		if err = q.sameIn(q.db); err != nil {
			err = errors.Join(err, q.db.Close())
		}
	}
	if err == nil {
		if err = os.Rename(temp, q.path); err != nil {
			err = errors.Join(err, q.db.Close())
		}
	}
	if err != nil {
		q.db, q.file, q.size = old, oldFile, oldSize
		return false, errors.Join(err, os.Remove(temp))
	}
	// From here on the name leads to the new file. Should the directory not be
	// synced, the old one may come back after a cut, without what follows.
	if err := errors.Join(syncDir(filepath.Dir(q.path)), old.Close(), q.measure()); err != nil {
		return true, q.breakDown(err)
	}
	q.opts.Log.Info("queue compacted", "from", oldSize, "to", q.size)
	return true, nil
}

// copyTo copies what is live.
func (q *Queue) copyTo(temp string) (high int64, err error) {
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, err
	}
	to, err := bolt.Open(temp, 0o600, q.opts.settings())
	if err != nil {
		return 0, err
	}
	to.NoSync, to.AllocSize = true, growStep
	err = guard(func() error { return bolt.Compact(to, q.db, 1<<20) })
	if err == nil {
		err = to.View(func(tx *bolt.Tx) error { high = tx.Size(); return nil })
	}
	return high, errors.Join(err, to.Close())
}

// sameIn counts what is in a copy.
func (q *Queue) sameIn(db *bolt.DB) error {
	return guard(func() error {
		return db.View(func(tx *bolt.Tx) error {
			x, _, err := audit(tx, &q.keys)
			if err == nil && x.count != q.index.count {
				err = damage("copy holds %+v, not %+v", x.count, q.index.count)
			}
			return err
		})
	})
}
