package keep

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// names lists a folder.
func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// holds checks the content of a file.
func holds(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s holds %.40q, %v, want %.40q", filepath.Base(path), got, err, want)
	}
}

// kinds are the four ways to replace a file.
var kinds = map[string]struct {
	write func(path string, content []byte) error
	mode  fs.FileMode
}{
	"file":    {File, 0o600},
	"public":  {Public, 0o644},
	"key":     {Key, 0o600},
	"passing": {Passing, 0o600},
}

func TestReplace(t *testing.T) {
	defer unix.Umask(unix.Umask(0o027))
	for name, c := range kinds {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			for _, content := range []string{"first", "", "a longer one than the first", "short"} {
				if err := c.write(path, []byte(content)); err != nil {
					t.Fatal(err)
				}
				holds(t, path, content)
			}
			if info, err := os.Stat(path); err != nil || info.Mode() != c.mode {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			if left := names(t, filepath.Dir(path)); !slices.Equal(left, []string{"file"}) {
				t.Errorf("left: %v", left)
			}
		})
	}
}

func TestAPathWithoutAFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := File("file", []byte("x")); err != nil {
		t.Fatal(err)
	}
	holds(t, "file", "x")
}

// TestWhatACrashLeavesIsNotWrittenTo: it may be somebody else's by now.
func TestWhatACrashLeavesIsNotWrittenTo(t *testing.T) {
	dir := t.TempDir()
	path, copied := filepath.Join(dir, "file"), filepath.Join(t.TempDir(), "backup")
	for name, c := range kinds {
		if err := os.WriteFile(beside(path), []byte("left"), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Link(beside(path), copied); err != nil {
			t.Fatal(err)
		}
		if err := c.write(path, []byte("new")); err != nil {
			t.Fatal(err)
		}
		holds(t, copied, "left")
		holds(t, path, "new")
		if info, err := os.Stat(path); err != nil || info.Mode() != c.mode {
			t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
		}
		if err := os.Remove(copied); err != nil {
			t.Fatal(err)
		}
	}
	if left := names(t, dir); !slices.Equal(left, []string{"file"}) {
		t.Errorf("left: %v", left)
	}
}

// TestFailures: after an error the former file stands, and nothing beside it.
func TestFailures(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "folder")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := File(folder, []byte("x")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a folder: %v", err)
	}
	if err := File(filepath.Join(dir, "none", "file"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in no folder: %v", err)
	}
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), filepath.Join(dir, ".file.new")); err != nil {
		t.Fatal(err)
	}
	if err := File(filepath.Join(dir, "file"), []byte("x")); !errors.Is(err, unix.ELOOP) {
		t.Errorf("through a link that somebody has laid: %v", err)
	}
	if left := names(t, dir); !slices.Equal(left, []string{".file.new", "folder"}) {
		t.Errorf("left: %v", left)
	}
	for name, c := range kinds {
		target, link := filepath.Join(folder, "target"), filepath.Join(folder, name)
		if err := errors.Join(os.WriteFile(target, []byte("theirs"), 0o600), os.Symlink(target, link)); err != nil {
			t.Fatal(err)
		}
		if err := c.write(link, []byte("ours")); err != nil {
			t.Errorf("%s in the place of a link: %v", name, err)
		}
		holds(t, target, "theirs")
		holds(t, link, "ours")
	}
}

// TestAFolderThatCantBeWritten says so, and nothing changes in it.
func TestAFolderThatCantBeWritten(t *testing.T) {
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=64k,mode=0700"); err != nil {
		t.Skip("a disk can only be mounted by root")
	}
	defer func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	path := filepath.Join(disk, "file")
	if err := Key(path, []byte("former")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", disk, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	for name, c := range kinds {
		if err := c.write(path, []byte("new")); !errors.Is(err, unix.EROFS) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Remove(path); !errors.Is(err, unix.EROFS) {
		t.Errorf("remove: %v", err)
	}
	if err := Succeed(path, filepath.Join(disk, "other")); !errors.Is(err, unix.EROFS) || errors.Is(err, ErrUnsettled) {
		t.Errorf("succeed: %v", err)
	}
	holds(t, path, "former")
}

// TestFullDisk: what doesn't fit leaves the former file and takes no room.
func TestFullDisk(t *testing.T) {
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=256k,mode=0700"); err != nil {
		t.Skip("a small disk can only be mounted by root")
	}
	defer func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	path := filepath.Join(disk, "file")
	if err := File(path, []byte("former")); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := File(path, make([]byte, 1<<20)); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("got %v", err)
		}
	}
	holds(t, path, "former")
	if left := names(t, disk); !slices.Equal(left, []string{"file"}) {
		t.Errorf("left: %v", left)
	}
	if err := File(path, []byte("new")); err != nil {
		t.Error(err)
	}
}

// TestManyWriters: who reads while many write sees one of their contents, whole.
func TestManyWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	content := func(i int) []byte { return bytes.Repeat([]byte{byte('a' + i)}, 5000+i*1000) }
	if err := File(path, content(0)); err != nil {
		t.Fatal(err)
	}
	var writers, reader sync.WaitGroup
	over := make(chan struct{})
	for i := range 6 {
		writers.Go(func() {
			for range 10 {
				if err := []func(string, []byte) error{Passing, Key, Public}[i%3](path, content(i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	seen := 0
	reader.Go(func() {
		for open := true; open; seen++ {
			select {
			case <-over:
				open = false
			default:
			}
			b, err := ReadKey(path)
			if err != nil || len(b) == 0 || !bytes.Equal(b, content(int(b[0]-'a'))) {
				t.Errorf("%d bytes, %v", len(b), err)
			}
		}
	})
	writers.Wait()
	close(over)
	reader.Wait()
	if left := names(t, filepath.Dir(path)); !slices.Equal(left, []string{"file"}) {
		t.Errorf("left: %v", left)
	}
	t.Logf("read %d times", seen)
}

// BenchmarkReplace tells what the forms cost: 2 KB, as a station's file. The names
// come again after fifty.
func BenchmarkReplace(b *testing.B) {
	content := make([]byte, 2000)
	for name, c := range kinds {
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir()
			for i := 0; b.Loop(); i++ {
				if err := c.write(filepath.Join(dir, fmt.Sprint(i%50)), content); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestRootLeavesFilesToTheFoldersOwner is for an operator who adds a station as
// root beside a bus that is another user's.
func TestRootLeavesFilesToTheFoldersOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	const nobody = 65534
	dir := t.TempDir()
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "file")
	for range 2 { // a new one, and one that is replaced
		for name, c := range kinds {
			if err := c.write(path, []byte("content")); err != nil {
				t.Fatal(err)
			}
			var got unix.Stat_t
			if err := unix.Stat(path, &got); err != nil || got.Uid != nobody || got.Gid != nobody || fs.FileMode(got.Mode&0o777) != c.mode {
				t.Errorf("%s: %v: owner %d, group %d, mode %o", name, err, got.Uid, got.Gid, got.Mode)
			}
		}
	}
	f, err := create(beside(path)) // and from the first moment
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &got); err != nil || got.Uid != nobody || got.Gid != nobody {
		t.Errorf("%v: the new file is %d's", err, got.Uid)
	}
	if own := filepath.Join(t.TempDir(), "file"); File(own, nil) != nil || unix.Stat(own, &got) != nil || got.Uid != 0 {
		t.Errorf("root is still %d", got.Uid)
	}
}
