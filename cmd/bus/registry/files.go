package registry

import (
	"errors"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// A reading is what a file held when it was last read.
type reading[T any] struct {
	mu    sync.Mutex // guards all below
	value *T         // nil: it never was
	file  os.FileInfo
}

// now is what the file holds, which is read again when it is another one than the
// last time: who replaces it makes a new one. With an error the last good value
// comes along, if there was one.
func (r *reading[T]) now(path string, read func(path string) (*T, error)) (*T, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	file, err := os.Stat(path)
	if err != nil {
		return r.value, err
	}
	if r.value != nil && os.SameFile(file, r.file) && file.Size() == r.file.Size() && file.ModTime().Equal(r.file.ModTime()) {
		return r.value, nil
	}
	value, err := read(path)
	if err != nil {
		return r.value, err
	}
	r.value, r.file = value, file
	return value, nil
}

// locked runs do while no other process or goroutine does so in this folder.
func (r *Registry) locked(do func() error) error {
	f, err := os.OpenFile(filepath.Join(r.dir, "registry.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close() // releases the lock
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return err
	}
	return do()
}
