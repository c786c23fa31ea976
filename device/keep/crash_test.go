package keep

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"kosk/offline/queue/crashtest/volatile"
)

// pathVariable tells this test binary to be a writer of the file that it names;
// onceVariable, to write once, as a file of that kind.
const (
	pathVariable = "KEEP_PATH"
	onceVariable = "KEEP_ONCE"
)

// childLimit is the deadline of a writer.
const childLimit = 3 * time.Minute

func TestMain(m *testing.M) {
	path := os.Getenv(pathVariable)
	if path == "" {
		os.Exit(m.Run())
	}
	if kind := os.Getenv(onceVariable); kind != "" {
		if err := kinds[kind].write(path, content(0)); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	for i, end := 0, time.Now().Add(childLimit); time.Now().Before(end); i++ { // whatever becomes of who started it
		if err := File(path, content(i)); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(i) // one write: it is acknowledged
	}
}

// content number i: all of its bytes say so.
func content(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 1+i%7*3000) }

// TestKilled kills writers at random moments: the file is whole and no older than
// what was acknowledged, and what they leave does not grow.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	written := 0
	for round := range 12 {
		ctx, cancel := context.WithTimeout(t.Context(), childLimit)
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.Env = append(os.Environ(), pathVariable+"="+path)
		said := words{first: make(chan struct{})}
		cmd.Stdout = &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if round%2 == 1 { // on a busy machine the others may all be killed before they write
			select {
			case <-said.first:
			case <-ctx.Done():
			}
		}
		<-time.After(time.Duration(10+rand.IntN(80)) * time.Millisecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
			t.Fatalf("it wasn't killed: %v %s", err, said.all.String())
		}
		cancel()
		acked := strings.Count(said.all.String(), "\n")
		written += acked
		got, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) && written == 0 {
			continue // killed before its first
		}
		if i := acked - 1; err != nil || acked > 0 && !bytes.Equal(got, content(i)) && !bytes.Equal(got, content(i+1)) {
			t.Fatalf("after %d acknowledged: %d bytes, %v", acked, len(got), err)
		}
		if left := names(t, dir); len(left) > 2 {
			t.Errorf("left: %v", left)
		}
	}
	if written == 0 {
		t.Error("nothing was written: the test saw nothing")
	}
	if err := File(path, []byte("next")); err != nil {
		t.Fatal(err)
	}
	if left := names(t, dir); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
	t.Logf("%d acknowledged", written)
}

// words are what a writer says; first is closed with its first.
type words struct {
	all   bytes.Buffer
	once  sync.Once
	first chan struct{}
}

func (w *words) Write(b []byte) (int, error) {
	defer w.once.Do(func() { close(w.first) })
	return w.all.Write(b)
}

// traced replaces a file in a child under strace and returns its calls, as
// "name path" for those that concern the folder.
func traced(t *testing.T, kind, path string, more ...string) (calls []string, said string) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), childLimit)
	defer cancel()
	out := filepath.Join(t.TempDir(), "trace")
	args := append([]string{"-f", "-qq", "-y", "-o", out, "-e", "trace=write,pwrite64,fsync,rename,renameat,renameat2"}, more...)
	cmd := exec.CommandContext(ctx, "strace", append(args, os.Args[0])...)
	cmd.Env = append(os.Environ(), pathVariable+"="+path, onceVariable+"="+kind)
	words, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(out)
	if err != nil {
		t.Skipf("strace may not trace here: %s", words)
	}
	call := regexp.MustCompile(`p?(write|fsync|rename)(?:64|at2?)?\(.*?` + regexp.QuoteMeta(filepath.Dir(path)) + `([^>",]*)`)
	for line := range strings.Lines(string(raw)) {
		if m := call.FindStringSubmatch(line); m != nil {
			calls = append(calls, m[1]+" "+m[2])
		}
	}
	return calls, string(words)
}

// TestSyncedInOrder reads from a trace of the system calls what a power cut could
// take: of what was synced nothing, once the call has returned. No kind syncs more.
func TestSyncedInOrder(t *testing.T) {
	const durable = "write /.file.new, fsync /.file.new, rename /.file.new, fsync "
	for kind, want := range map[string]string{
		"file":    durable,
		"public":  durable,
		"key":     durable + ", write /file, fsync /file",
		"passing": "write /.file.new, rename /.file.new",
	} {
		t.Run(kind, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			if err := File(path, []byte("former")); err != nil {
				t.Fatal(err)
			}
			calls, said := traced(t, kind, path)
			// strace names a file that has lost its name by the one that it had.
			if got := strings.ReplaceAll(strings.Join(calls, ", "), "(deleted)", ""); got != want {
				t.Errorf("got %s, want %s\n%s", got, want, said)
			}
		})
	}
}

// TestPowerCut cuts the power at every change that a call makes.
func TestPowerCut(t *testing.T) {
	files := map[string][]byte{"file": []byte("former")}
	for kind, cuts := range map[string]int{ // what each changes: made, written, synced, renamed, synced
		"file": 5, "public": 6, "key": 7, "passing": 3,
	} {
		t.Run(kind, func(t *testing.T) {
			write := kinds[kind].write
			got := volatile.EachCut(t, files, func(dir string) error { return write(filepath.Join(dir, "file"), []byte("new")) },
				func(t *testing.T, r volatile.Remnant, done error) {
					path := filepath.Join(r.Dir, "file")
					b, err := os.ReadFile(path)
					switch {
					case kind == "passing" && !(r.Names && r.Contents): // nothing was promised
					case done == nil && string(b) != "new":
						t.Errorf("what it has stored is lost: %q, %v", b, err)
					case string(b) != "former" && string(b) != "new":
						t.Errorf("left %q, %v", b, err)
					}
					if err := write(path, []byte("next")); err != nil {
						t.Error(err)
					}
					holds(t, path, "next")
					if left := names(t, r.Dir); !slices.Equal(left, []string{"file"}) {
						t.Errorf("left: %v", left)
					}
				})
			if got != cuts {
				t.Errorf("cut %d times, want %d", got, cuts)
			}
		})
	}
}

// TestPowerCutInSucceed: at every moment one of the two is there, whole.
func TestPowerCutInSucceed(t *testing.T) {
	files := map[string][]byte{"file": []byte("former"), "next": []byte("new")}
	cuts := volatile.EachCut(t, files, func(dir string) error {
		return Succeed(filepath.Join(dir, "next"), filepath.Join(dir, "file"))
	}, func(t *testing.T, r volatile.Remnant, done error) {
		b, err := os.ReadFile(filepath.Join(r.Dir, "file"))
		_, next := os.Stat(filepath.Join(r.Dir, "next"))
		if string(b) != "new" && (done == nil || string(b) != "former" || next != nil) {
			t.Errorf("after %v: %q, %v, next %v", done, b, err, next)
		}
	})
	if cuts != 4 { // renamed, synced, overwritten, synced
		t.Errorf("cut %d times", cuts)
	}
}

// TestPowerCutInRemove: what it has removed doesn't come back with what it held.
func TestPowerCutInRemove(t *testing.T) {
	for name, remove := range map[string]func(path string) error{
		"file":      Remove,
		".file.new": func(path string) error { return Sweep(filepath.Join(filepath.Dir(path), "file")) },
	} {
		cuts := volatile.EachCut(t, map[string][]byte{name: []byte("former")}, func(dir string) error { return remove(filepath.Join(dir, name)) },
			func(t *testing.T, r volatile.Remnant, done error) {
				b, err := os.ReadFile(filepath.Join(r.Dir, name))
				if !r.Cut && string(b) == "former" || done != nil && !r.Cut {
					t.Errorf("%s is back: %v, after %v", name, err, done)
				}
			})
		if cuts != 3 { // removed, overwritten, synced
			t.Errorf("%s was cut %d times", name, cuts)
		}
	}
}

// TestEachChangeFails: after an error the former file stands, unless only the
// folder's sync failed, and nothing is left beside it.
func TestEachChangeFails(t *testing.T) {
	for kind, c := range kinds {
		for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EIO} {
			unsettled := 0
			volatile.EachFailure(t, map[string][]byte{"file": []byte("former")}, errno, func(dir string) error {
				return c.write(filepath.Join(dir, "file"), []byte("new"))
			}, func(files map[string][]byte, done error) {
				want := "new"
				switch {
				case errors.Is(done, ErrUnsettled):
					unsettled++
				case done != nil:
					want = "former"
				}
				if done != nil && !errors.Is(done, errno) || string(files["file"]) != want || len(files) != 1 {
					t.Errorf("%s: after %v: %q", kind, done, files)
				}
			})
			if want := 1; kind != "passing" && unsettled != want {
				t.Errorf("%s: not settled %d times", kind, unsettled)
			}
		}
	}
}

// TestAKeyIsOverwritten: what a file with a key held is gone from where it was.
func TestAKeyIsOverwritten(t *testing.T) {
	dir := t.TempDir()
	path, next := filepath.Join(dir, "file"), filepath.Join(dir, "next")
	for name, c := range map[string]struct {
		of string
		do func() error
	}{
		"replaced":  {path, func() error { return Key(path, []byte("new")) }},
		"succeeded": {path, func() error { return errors.Join(Key(next, []byte("new")), Succeed(next, path)) }},
		"removed":   {path, func() error { return Remove(path) }},
		"swept":     {beside(path), func() error { return Sweep(path) }},
		"left":      {beside(path), func() error { return Key(path, []byte("new")) }},
	} {
		if err := os.WriteFile(c.of, []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(c.of)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := c.do(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if b, err := io.ReadAll(f); err != nil || string(b) != "\x00\x00\x00\x00\x00\x00" {
			t.Errorf("%s: it holds %q, %v", name, b, err)
		}
	}
	if err := errors.Join(os.WriteFile(path, []byte("secret"), 0o600), os.Link(path, next), Key(path, []byte("new"))); err != nil {
		t.Fatal(err)
	}
	holds(t, next, "secret") // it is somebody else's too
	if err := errors.Join(Remove(path), Remove(path), Sweep(path), Sweep(path)); err != nil {
		t.Errorf("what isn't there: %v", err)
	}
}
