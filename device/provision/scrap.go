package provision

import "os"

// What a file held stays on the disk when its name is gone, so a file with a key
// is overwritten first. On a file system that writes in place, as ext4 does, that
// is the end of it; what a flash drive keeps of its own accord, nobody here can
// reach. So nothing depends on it: an error of it is none.

// A scrap is a file that is about to lose its name.
type scrap struct{ f *os.File }

// outgoing opens the file while it has its name.
func outgoing(path string) scrap {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return scrap{}
	}
	return scrap{f}
}

// overwrite ends what the file held. Call it when its name is durably gone.
func (s scrap) overwrite() {
	if s.f == nil {
		return
	}
	info, err := s.f.Stat()
	if err != nil {
		return
	}
	if _, err := s.f.WriteAt(make([]byte, info.Size()), 0); err == nil {
		_ = s.f.Sync()
	}
}

func (s scrap) close() {
	if s.f != nil {
		_ = s.f.Close()
	}
}

// scrapped removes a file and what it held.
func scrapped(path string) error {
	s := outgoing(path)
	defer s.close()
	if err := os.Remove(path); err != nil {
		return err
	}
	s.overwrite()
	return nil
}
