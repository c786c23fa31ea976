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

func TestReplace(t *testing.T) {
	for name, c := range map[string]struct {
		write func(path string, content []byte) error
		mode  fs.FileMode
	}{
		"durable": {File, 0o600},
		"passing": {func(path string, b []byte) error { return Passing(path, b, 0o644) }, 0o644},
	} {
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

// TestEndedAtEachStep: wherever the process ends, the file is the former or the
// new one, and the next writer takes over what was left.
func TestEndedAtEachStep(t *testing.T) {
	dead := errors.New("dead")
	for _, synced := range []form{durable, passing} {
		for _, last := range []string{"empty", "write", "sync", "rename", "sync folder"} {
			path := filepath.Join(t.TempDir(), "file")
			if err := File(path, []byte("former")); err != nil {
				t.Fatal(err)
			}
			err := replace(path, []byte("new, and longer than what comes next"), 0o600, synced, func(step string) error {
				if step == last {
					return dead
				}
				return nil
			})
			want := "former"
			if last == "sync folder" || err == nil { // err is nil when there is no such step
				want = "new, and longer than what comes next"
			}
			if err != nil && !errors.Is(err, dead) || err == nil && (synced == durable || last != "sync" && last != "sync folder") {
				t.Errorf("before %s: %v", last, err)
			}
			holds(t, path, want)
			if err := File(path, []byte("next")); err != nil {
				t.Errorf("after an end before %s: %v", last, err)
			}
			holds(t, path, "next")
			if left := names(t, filepath.Dir(path)); !slices.Equal(left, []string{"file"}) {
				t.Errorf("after an end before %s: %v", last, left)
			}
		}
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
			for range 20 {
				if err := Passing(path, content(i), 0o600); err != nil {
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
			b, err := os.ReadFile(path)
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

// BenchmarkReplace tells what the durable form costs: 2 KB, as a station's file.
func BenchmarkReplace(b *testing.B) {
	content := make([]byte, 2000)
	for name, write := range map[string]func(string) error{
		"durable": func(path string) error { return File(path, content) },
		"passing": func(path string) error { return Passing(path, content, 0o600) },
	} {
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir()
			for i := range b.N {
				if err := write(filepath.Join(dir, fmt.Sprint(i%50))); err != nil {
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
		if err := File(path, []byte("content")); err != nil {
			t.Fatal(err)
		}
		var got unix.Stat_t
		if err := unix.Stat(path, &got); err != nil || got.Uid != nobody || got.Gid != nobody || got.Mode&0o777 != 0o600 {
			t.Errorf("%v: owner %d, group %d, mode %o", err, got.Uid, got.Gid, got.Mode)
		}
	}
}
