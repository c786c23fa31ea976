package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// A rolling file is one that a program appends lines to for years. The rules are:
//   - it is at most so long; then it becomes name.1, what was that name.2, and so
//     on; the oldest goes;
//   - a line is in one file, whole. What a power cut left of one is ended;
//   - a line is on the disk a second later. To wait for each would wear the disk.
type rolling struct {
	path string
	most int64

	mu   sync.Mutex // guards all below
	file *os.File
	size int64
	due  *time.Timer // nil: all is on the disk
}

const (
	rollAt   = 8 << 20 // bytes
	rollKept = 3       // files besides the one that is written
	rollSync = time.Second
)

// openRolling opens a file that its owner alone may read.
func openRolling(path string, most int64) (*rolling, error) {
	r := &rolling{path: filepath.Clean(path), most: most}
	if err := r.open(); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *rolling) open() error {
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		err = f.Chmod(0o600) // it may have been there
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	size, last := info.Size(), []byte{'\n'}
	if size > 0 {
		if _, err := f.ReadAt(last, size-1); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	if last[0] != '\n' {
		n, err := f.Write([]byte{'\n'})
		if size += int64(n); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	r.file, r.size = f, size
	return nil
}

// Write appends lines.
func (r *rolling) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.size > 0 && r.size+int64(len(b)) > r.most {
		r.roll()
	}
	n, err := r.file.Write(b)
	r.size += int64(n)
	if r.due == nil {
		r.due = time.AfterFunc(rollSync, r.sync)
	}
	return n, err
}

// roll begins the next file. If that can't be had, as on a full disk, it goes on
// with the one that it has.
func (r *rolling) roll() {
	old := r.file
	for n := rollKept; n > 0; n-- {
		from := r.path
		if n > 1 {
			from = fmt.Sprintf("%s.%d", r.path, n-1)
		}
		_ = os.Rename(from, fmt.Sprintf("%s.%d", r.path, n)) // there may be none yet
	}
	if err := r.open(); err != nil {
		r.size = 0 // and is tried again when as much was written
		return
	}
	_ = errors.Join(old.Sync(), old.Close()) // a log has nobody to tell
}

// sync puts what was written on the disk.
func (r *rolling) sync() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.due != nil {
		r.due = nil
		_ = r.file.Sync()
	}
}

// Close puts everything on the disk.
func (r *rolling) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.due != nil {
		r.due.Stop()
		r.due = nil
	}
	return errors.Join(r.file.Sync(), r.file.Close())
}
