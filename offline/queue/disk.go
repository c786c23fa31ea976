package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// The file is extended here and never by bbolt. The rules are:
//   - it grows by writing zeros and syncing them, between commits: every page
//     that bbolt may take has its block on the disk, so that a commit never meets a
//     full disk, and its syncs move no metadata;
//   - bbolt's own bound is the file's present length, so that it refuses cleanly
//     what has no block yet;
//   - no zeros are written in pieces over zeroPiece: Linux from 6.16 on caches what one write
//     gave to ext4 as one folio, and looks at every block of it at each later write of a page;
//   - when the disk gives no more, the ballast goes, and then puts are refused.
//     Acknowledgements live on the tenth of the file that puts may not use.
const (
	firstSize = 1 << 20 // of a new file
	growStep  = 1 << 20
	zeroPiece = 64 << 10
	headroom  = 64 // pages that are kept free, so that a lone Put needn't wait for growth
)

// reserve sees to it that want pages, and some, can be taken, and reports
// whether the file has grown. What the disk refuses is no error: the room shrinks.
func (q *Queue) reserve(want int64) bool {
	free := q.size/pageSize - q.used
	if free >= want+headroom || q.size >= q.bound() {
		return false
	}
	size := min(q.bound(), q.size+max(growStep, (want+headroom-free)*pageSize))
	err := extend(q.file, q.size, size)
	if isFull(err) && q.dropBallast() {
		err = extend(q.file, q.size, size)
	}
	if err != nil {
		if q.setFull(true) {
			q.opts.Log.Warn("no room on the disk", "err", err)
		}
		return false
	}
	q.setFull(false)
	q.resize(size)
	return true
}

// bound is the file's, in whole pages.
func (q *Queue) bound() int64 { return q.opts.MaxSize / pageSize * pageSize }

func (q *Queue) resize(size int64) {
	q.size = size
	q.db.MaxSize = int(size)
	q.room.Store(q.roomIn(size))
}

// setFull notes whether the disk is full, and reports whether that is new.
func (q *Queue) setFull(full bool) bool { return q.full.Swap(full) != full }

// roomIn is the number of pages that puts may still take, with the file at size
// now. The last tenth belongs to acknowledgements, which need a few fresh pages
// before they can free many.
func (q *Queue) roomIn(size int64) int64 {
	limit := q.bound()
	if q.full.Load() {
		limit = size
	}
	return limit/pageSize*9/10 - q.used
}

// extend writes zeros from length from to length to. A file that could not be
// extended wholly is as long as before.
func extend(f *os.File, from, to int64) error {
	zeros := make([]byte, min(zeroPiece, to-from))
	for at := from; at < to; at += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), to-at)], at); err != nil {
			return errors.Join(fmt.Errorf("extend: %w", err), f.Truncate(from))
		}
	}
	return f.Sync()
}

// isFull reports whether the system has no room for a file.
func isFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG)
}

// measure computes the room that is left.
func (q *Queue) measure() error {
	var high int64
	if err := q.db.View(func(tx *bolt.Tx) error {
		high = tx.Size() / pageSize
		return nil
	}); err != nil {
		return err
	}
	s := q.db.Stats()
	q.pending = int64(s.PendingPageN)
	q.used = high - int64(s.FreePageN) - q.pending
	q.inUse.Store(q.used * pageSize)
	q.freePages.Store(q.size/pageSize - q.used)
	q.room.Store(q.roomIn(q.size))
	return nil
}

// diskRoom is how many pages the disk would still give, as far as it says.
func (q *Queue) diskRoom() int64 {
	var s unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(q.path), &s); err != nil {
		return 1 << 40 // then the Put will tell
	}
	return int64(s.Bavail) * s.Bsize / pageSize
}

func ballastOf(path string) string { return path + ".ballast" }

// makeBallast lays room aside on the disk, which others may fill. Without room
// for it there is none.
func (q *Queue) makeBallast() error {
	path := ballastOf(q.path)
	if q.opts.Ballast == 0 {
		return nil
	}
	if info, err := os.Stat(path); err == nil && info.Size() == q.opts.Ballast {
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(extend(f, 0, q.opts.Ballast), f.Close())
	if isFull(err) {
		q.opts.Log.Warn("no room for the ballast", "err", err)
		return os.Remove(path)
	}
	return err
}

// dropBallast gives the room back, and reports whether there was some.
func (q *Queue) dropBallast() bool {
	err := os.Remove(ballastOf(q.path))
	if err == nil {
		q.opts.Log.Warn("disk full: ballast dropped")
	} else if !errors.Is(err, fs.ErrNotExist) {
		q.opts.Log.Warn("ballast stays", "err", err)
	}
	return err == nil
}

// guard runs what reads the map. A file that was truncated under it, or a disk
// that doesn't give a page, is a fault of memory, and ErrDamaged here.
func guard(read func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		if fault, ok := r.(interface{ Addr() uintptr }); ok {
			err = damage("no page at %#x", fault.Addr())
			return
		}
		panic(r)
	}()
	return read()
}
