package keep

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// What a file held stays on the disk when its name is gone, so a file with a key
// is overwritten. On a file system that writes in place, as ext4 does, that is the
// end of it; what a flash drive keeps of its own accord, nobody here can reach. So
// nothing depends on it: an error of it is none.

// Remove removes a file with a key, if it is there, and overwrites what it held. A
// power cut may bring the name back, but not the key.
func Remove(path string) error {
	old := outgoing(path)
	defer old.close()
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", filepath.Base(path), err)
	}
	old.overwrite()
	return nil
}

// ReadKey reads a file that Key may replace meanwhile. With os.ReadFile one could
// have opened the former file, and read it when it is overwritten already: as long
// as it has its name, it isn't.
func ReadKey(path string) ([]byte, error) {
	for {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(f)
		read, err2 := f.Stat()
		if err := errors.Join(err, err2, f.Close()); err != nil {
			return nil, err
		}
		named, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if os.SameFile(read, named) {
			return b, nil
		}
	}
}

// A scrap is a file that is about to lose its only name; nil: it isn't.
type scrap struct {
	f    *os.File
	size int64
}

// outgoing opens the file while it has its name.
func outgoing(path string) scrap {
	f, err := os.OpenFile(path, os.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return scrap{}
	}
	s := scrapOf(f)
	if s.f == nil {
		_ = f.Close() // nothing was written
	}
	return s
}

// scrapOf is an open file that has one name. With another one it is also
// somebody else's.
func scrapOf(f *os.File) scrap {
	var info unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &info); err != nil || info.Nlink != 1 || info.Mode&unix.S_IFMT != unix.S_IFREG {
		return scrap{}
	}
	return scrap{f, info.Size}
}

// overwrite ends what the file held. Call it when its name is durably gone.
func (s scrap) overwrite() {
	if s.f == nil {
		return
	}
	if _, err := s.f.WriteAt(make([]byte, s.size), 0); err == nil {
		_ = s.f.Sync()
	}
}

func (s scrap) close() {
	if s.f != nil {
		_ = s.f.Close() // what counts was synced
	}
}
