package volatile

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A Remnant is a folder as a cut may have left it.
type Remnant struct {
	Dir string // an ordinary folder, which may be written to

	Cut bool // or do got through

	// Names and Contents say that what wasn't synced is there nevertheless. With
	// both it is what a process leaves that was killed.
	Names, Contents bool
}

// Run has do work in a folder with the files, on a disk that prepare has made ready.
// It skips the test where no disk can be mounted. do must leave no file open.
func Run(t *testing.T, files map[string][]byte, prepare func(*Disk), do func(dir string) error) (*Disk, error) {
	t.Helper()
	d, at := New(files, false), t.TempDir()
	unmount, err := d.Mount(at)
	if err != nil {
		t.Skip("a disk in memory can't be mounted: ", err)
	}
	prepare(d)
	done := do(at)
	if err := unmount(); err != nil {
		t.Fatal(err)
	}
	return d, done
}

// EachCut has do work in a folder with the files again and again. The power is cut
// one change later each time, until there is none to cut. After each, judge looks at
// all that may be left; done is what do has said. It returns how often it was cut.
func EachCut(t *testing.T, files map[string][]byte, do func(dir string) error, judge func(t *testing.T, r Remnant, done error)) (cuts int) {
	t.Helper()
	for ; ; cuts++ {
		d, done := Run(t, files, func(d *Disk) { d.CutAfter(cuts) }, do)
		through := !d.Dead()
		seen := []map[string][]byte{}
		for i, left := range d.Left() {
			if known(seen, left) {
				continue
			}
			seen = append(seen, left)
			r := Remnant{Cut: !through, Names: i >= 2, Contents: i%2 == 1}
			t.Run(fmt.Sprintf("after change %d, unsynced names %v, contents %v", cuts, r.Names, r.Contents), func(t *testing.T) {
				r.Dir = t.TempDir()
				for name, b := range left {
					if err := os.WriteFile(filepath.Join(r.Dir, name), b, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				judge(t, r, done)
			})
		}
		if through {
			return cuts
		}
	}
}

func known(all []map[string][]byte, one map[string][]byte) bool {
	for _, other := range all {
		if maps.EqualFunc(one, other, func(a, b []byte) bool { return string(a) == string(b) }) {
			return true
		}
	}
	return false
}

// EachFailure has do work in a folder with the files again and again. One change
// fails each time, a later one each time, until there is none. After each, judge
// looks at what the folder holds. It returns how often a change failed.
func EachFailure(t *testing.T, files map[string][]byte, errno syscall.Errno, do func(dir string) error, judge func(files map[string][]byte, done error)) (failures int) {
	t.Helper()
	for ; ; failures++ {
		d, done := Run(t, files, func(d *Disk) { d.FailAfter(failures, errno) }, do)
		all := d.Left()
		judge(all[len(all)-1], done)
		if d.Changes() <= failures {
			if done != nil && errors.Is(done, errno) {
				t.Errorf("nothing failed, and it says %v", done)
			}
			return failures
		}
	}
}
