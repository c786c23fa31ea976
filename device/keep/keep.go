// Package keep replaces small files as a whole: who reads one, at any moment and
// after a crash, finds the former content or the new one, never a part.
//
// It is for what is written once in a while and must be there: keys, registers,
// counts, bundles. It is no log and no store; those sync what they append
// themselves. Start at File. Public is for what other users read, Key for what must
// not outlive its file, Passing for the few that a power cut may take.
package keep

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// The rules are:
//
//   - The new content goes into ".NAME.new" beside the file, which is then renamed
//     over it. The name is always the same: what a crash leaves behind goes with the
//     next write, and there is never more than one. It is removed and made again, and
//     never written to: it may have got another name, another owner, other rights.
//   - Who writes holds a lock on the new file, so that two, in one process or in
//     several, come one after the other, and the later one's content stays.
//   - Neither name is followed if it is a link: a link in the file's place is
//     replaced, one in the new file's place is refused.
//   - What root writes belongs to whom the folder belongs to, from the first moment:
//     an operator's command must not shut the bus or the kiosk out, even if it is
//     killed.
//   - After an error the former file stands and nothing is left beside it, but for
//     ErrUnsettled.
//
// A power cut leaves:
//
//	in the midst of         the file    beside it, until the next write or Sweep
//	write, sync             former      nothing, or a part of the new one
//	rename, sync folder     either      nothing, or the whole new one
//	overwriting a key       new         nothing
//	afterwards              new         nothing
//
// Without the sync of the file the rename could be on the disk before the content
// is, and the file be empty; without that of the folder the former one could come
// back after the caller has told of the new one.

// ErrUnsettled says that the new file is in its place, but a power cut may still
// bring the former one back: the folder couldn't be synced. Compare with errors.Is.
var ErrUnsettled = errors.New("not settled")

// A form is what the four kinds of files differ in.
type form struct {
	mode    fs.FileMode
	durable bool // it is synced
	secret  bool // what it held before is overwritten
}

// File replaces the file, readable by its owner only. After nil the new content
// survives a power cut.
func File(path string, content []byte) error {
	return form{mode: 0o600, durable: true}.replace(path, content)
}

// Public is File for what every user may read, whatever the umask says.
func Public(path string, content []byte) error {
	return form{mode: 0o644, durable: true}.replace(path, content)
}

// Key is File for a file with a key in the clear. When the new one is safe, what
// the former one held is overwritten, as far as a file system lets that be done:
// see Remove. One that has several names is left as it is. Read it by ReadKey, and
// call Sweep at the start.
func Key(path string, content []byte) error {
	return form{mode: 0o600, durable: true, secret: true}.replace(path, content)
}

// Passing replaces a file, readable by its owner only, and syncs nothing. It
// outlives the process; after a power cut the file may be the former one, the new
// one, empty or missing. It is for what soon comes again and is checked when it is
// read.
func Passing(path string, content []byte) error {
	return form{mode: 0o600}.replace(path, content)
}

// replace takes the steps.
func (w form) replace(path string, content []byte) (err error) {
	name, temp := filepath.Base(path), beside(path)
	defer func() {
		if err != nil {
			err = fmt.Errorf("keep %s: %w", name, err)
		}
	}()
	var dir folder
	if w.durable { // opened first: what can't be opened can't be synced later
		if dir, err = openFolder(path); err != nil {
			return err
		}
		defer dir.Close()
	}
	f, err := take(temp, w.secret)
	if err != nil {
		return err
	}
	defer f.Close() // releases the lock, after everything; what counts was synced
	var old scrap
	if w.secret {
		old = outgoing(path)
		defer old.close()
	}
	for _, step := range []struct {
		name string
		skip bool
		do   func() error
	}{
		{"mode", w.mode == made, func() error { return f.Chmod(w.mode) }},
		{"write", false, func() error { _, err := f.Write(content); return err }},
		{"sync", !w.durable, f.Sync},
		{"rename", false, func() error { return os.Rename(temp, path) }},
	} {
		if step.skip {
			continue
		}
		if err := step.do(); err != nil {
			_ = discard(f, temp, w.secret) // the first error counts
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	if w.durable {
		if err := dir.settle(); err != nil {
			return err
		}
	}
	old.overwrite()
	return nil
}

// Succeed lets next, which File or Key has written into the same folder, take the
// place of the file, in one step. What the file held is overwritten, as by Key.
// After nil it survives a power cut; after an error that isn't ErrUnsettled nothing
// has changed.
func Succeed(next, path string) error {
	if filepath.Dir(next) != filepath.Dir(path) {
		return fmt.Errorf("keep %s: %s lies in another folder", filepath.Base(path), next)
	}
	dir, err := openFolder(path)
	if err != nil {
		return fmt.Errorf("keep %s: %w", filepath.Base(path), err)
	}
	defer dir.Close()
	old := outgoing(path)
	defer old.close()
	if err = os.Rename(next, path); err == nil {
		err = dir.settle()
	}
	if err != nil {
		return fmt.Errorf("keep %s: %w", filepath.Base(path), err)
	}
	old.overwrite()
	return nil
}

// Sweep removes and overwrites what a crash has left beside a Key. It waits for
// whoever writes there now.
func Sweep(path string) error {
	if err := sweep(beside(path), true); err != nil {
		return fmt.Errorf("sweep beside %s: %w", filepath.Base(path), err)
	}
	return nil
}

// made is the mode in which a new file is made.
const made fs.FileMode = 0o600

// beside is the name of the new file.
func beside(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
}

// take makes the new file, after it has waited until nobody else writes there.
func take(temp string, secret bool) (*os.File, error) {
	for {
		f, err := create(temp)
		if errors.Is(err, fs.ErrExist) {
			if err := sweep(temp, secret); err != nil {
				return nil, err
			}
			continue
		}
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

// create makes the new file. Root makes it with the rights of the folder's owner,
// who need not be able to get to the folder.
func create(temp string) (f *os.File, err error) {
	const flags = os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if os.Geteuid() != 0 {
		return os.OpenFile(temp, flags, made)
	}
	dir, err := os.OpenRoot(filepath.Dir(temp))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	info, err := dir.Stat(".")
	if err != nil {
		return nil, err
	}
	open := func() error {
		f, err = dir.OpenFile(filepath.Base(temp), flags, made)
		return err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && owner.Uid != 0 {
		err = as(int(owner.Uid), int(owner.Gid), open)
	} else {
		err = open()
	}
	return f, err
}

// as does something with a user's rights to files.
func as(uid, gid int, do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and not unlocked: the thread, which is the owner's now, ends with this
		err := become(uid, gid)
		if err == nil {
			err = do()
		}
		done <- err
	}()
	return <-done
}

// become gives this thread the rights to files of a user. The kernel doesn't say
// that it refuses, so it is asked: see setfsuid(2).
func become(uid, gid int) error {
	const asked = -1 // nobody's number, which changes nothing
	for _, call := range []struct {
		set func(int) (int, error)
		id  int
	}{{unix.SetfsgidRetGid, gid}, {unix.SetfsuidRetUid, uid}} {
		_, _ = call.set(call.id)
		if now, err := call.set(asked); err != nil || now != call.id {
			return fmt.Errorf("become user %d, group %d: %w", uid, gid, fs.ErrPermission)
		}
	}
	return nil
}

// sweep waits until nobody writes to the new file, and removes it.
func sweep(temp string, secret bool) error {
	f, err := os.OpenFile(temp, os.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	left, err := locked(f, temp)
	if err != nil || !left {
		return err
	}
	return discard(f, temp, secret)
}

// discard removes the new file, on which it has the lock.
func discard(f *os.File, temp string, secret bool) error {
	if !secret {
		return os.Remove(temp)
	}
	left := scrapOf(f)
	if err := os.Remove(temp); err != nil {
		return err
	}
	left.overwrite()
	return nil
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
			return false, &fs.PathError{Op: "flock", Path: name, Err: err}
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

// A folder is open to be synced.
type folder struct{ *os.File }

// openFolder opens the folder of a file.
func openFolder(path string) (folder, error) {
	f, err := os.Open(filepath.Dir(path))
	return folder{f}, err
}

// settle makes a rename in the folder durable.
func (f folder) settle() error {
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync folder: %w: %w", ErrUnsettled, err)
	}
	return nil
}
