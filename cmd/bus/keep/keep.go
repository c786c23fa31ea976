// Package keep replaces small files as a whole: who reads one, at any moment and
// after a crash, finds the former content or the new one, never a part.
//
// It is for what is written once in a while and must be there: keys, registers,
// counts. It is no log and no store; those sync what they append themselves.
// Start at File; Passing is for the few that a power cut may take.
package keep

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// The rules are:
//
//   - The new content goes into ".NAME.new" beside the file, which is then renamed
//     over it. The name is always the same: what a crash leaves behind is taken
//     over by the next one who writes, and there is never more than one.
//   - Who writes holds a lock on the new file, so that two, in one process or in
//     several, come one after the other, and the later one's content stays.
//   - What root writes belongs to whom the folder belongs to: an operator's command
//     must not shut the bus out.
//   - After an error the former file stands and nothing is left beside it, but for
//     one: when the folder couldn't be synced, the new file stands there, and a
//     power cut may still take it back.

// File replaces the file, readable by its owner only. After nil the new content
// survives a power cut: the file is synced before the rename, the folder after it.
func File(path string, content []byte) error {
	return replace(path, content, 0o600, durable, uncut)
}

// Passing replaces a file of the given mode and syncs nothing. It outlives the
// process; after a power cut the file may be the former one, the new one, empty or
// missing. It is for what nobody needs then, or what soon comes again and is
// checked when it is read.
func Passing(path string, content []byte, mode fs.FileMode) error {
	return replace(path, content, mode, passing, uncut)
}

// A form says what is synced.
type form bool

const (
	durable form = true
	passing form = false
)

// uncut is what lets replace take all of its steps.
func uncut(string) error { return nil }

// replace takes the steps. before is asked at each; what it refuses is the end of
// the process, which cleans nothing up.
func replace(path string, content []byte, mode fs.FileMode, synced form, before func(step string) error) error {
	dir, name := filepath.Split(path)
	temp := filepath.Join(dir, "."+name+".new")
	f, err := take(temp)
	if err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	defer f.Close() // releases the lock, after everything; what counts was synced
	for _, step := range []struct {
		name string
		of   form
		do   func() error
	}{
		{"empty", passing, func() error { return errors.Join(f.Truncate(0), f.Chmod(mode), leave(f, dir)) }},
		{"write", passing, func() error { _, err := f.Write(content); return err }},
		{"sync", durable, f.Sync},
		{"rename", passing, func() error { return os.Rename(temp, path) }},
		{"sync folder", durable, func() error { return syncFolder(dir) }},
	} {
		if step.of == durable && synced == passing {
			continue
		}
		if err := before(step.name); err != nil {
			return err
		}
		if err := step.do(); err != nil {
			if step.name != "sync folder" { // by then another may write there
				_ = os.Remove(temp) // the first error counts
			}
			return fmt.Errorf("keep %s: %s: %w", name, step.name, err)
		}
	}
	return nil
}

// take opens the new file, or the one that a crash has left, and waits until
// nobody else writes to it.
func take(temp string) (*os.File, error) {
	for {
		f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		mine, err := locked(f, temp)
		if mine {
			return f, nil
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
	}
}

// leave gives root's file to the folder's owner.
func leave(f *os.File, dir string) error {
	var folder unix.Stat_t
	if err := unix.Stat(filepath.Clean(dir), &folder); err != nil {
		return &fs.PathError{Op: "stat", Path: dir, Err: err}
	}
	if os.Geteuid() != 0 || folder.Uid == 0 {
		return nil
	}
	return f.Chown(int(folder.Uid), int(folder.Gid))
}

// locked locks the file and says whether it still has its name: who had the lock
// before has most often renamed it.
func locked(f *os.File, name string) (bool, error) {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EINTR) {
			return false, err
		}
	}
	held, err := f.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(held, named), err
}

// syncFolder makes a rename durable.
func syncFolder(dir string) error {
	d, err := os.Open(filepath.Clean(dir)) // Clean makes "." of ""
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
