package registry

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"kosk/device/keep"
)

// A file that was replaced is read again, even if size and time are the same, and
// one that wasn't is not.
func TestAReplacedFileIsReadAgain(t *testing.T) {
	path, reads := filepath.Join(t.TempDir(), "file"), 0
	var r reading[string]
	var bad error
	now := func() (string, error) {
		v, err := r.now(path, func(path string) (*string, error) {
			reads++
			b, err := os.ReadFile(path)
			s := string(b)
			return &s, errors.Join(err, bad)
		})
		if v == nil {
			return "", err
		}
		return *v, err
	}
	if v, err := now(); v != "" || !errors.Is(err, fs.ErrNotExist) || reads != 0 {
		t.Errorf("none: %q, %v", v, err)
	}
	for i, content := range []string{"one", "two"} {
		if err := keep.File(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if r.file != nil {
			if err := os.Chtimes(path, r.file.ModTime(), r.file.ModTime()); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 {
			if v, err := now(); v != content || err != nil || reads != i+1 {
				t.Errorf("%q, %v, read %d times", v, err, reads)
			}
		}
	}
	bad = errors.New("bad")
	if err := keep.File(path, []byte("bad")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // and again, until it is good
		if v, err := now(); v != "two" || !errors.Is(err, bad) {
			t.Errorf("a bad one: %q, %v", v, err)
		}
	}
	if reads != 4 {
		t.Errorf("read %d times", reads)
	}
}
