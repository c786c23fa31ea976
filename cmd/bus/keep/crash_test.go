package keep

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// pathVariable tells this test binary to be a writer of the file that it names;
// onceVariable, to write once.
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
	for i, end := 0, time.Now().Add(childLimit); time.Now().Before(end); i++ { // whatever becomes of who started it
		if err := File(path, content(i)); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		if os.Getenv(onceVariable) != "" {
			os.Exit(0)
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
			<-said.first
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

// traced runs one File in a child under strace and returns its calls, as
// "name path" for those that concern the folder.
func traced(t *testing.T, path string, more ...string) (calls []string, said string) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), childLimit)
	defer cancel()
	out := filepath.Join(t.TempDir(), "trace")
	args := append([]string{"-f", "-qq", "-y", "-o", out, "-e", "trace=write,fsync,rename,renameat,renameat2"}, more...)
	cmd := exec.CommandContext(ctx, "strace", append(args, os.Args[0])...)
	cmd.Env = append(os.Environ(), pathVariable+"="+path, onceVariable+"=1")
	words, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(out)
	if err != nil {
		t.Skipf("strace may not trace here: %s", words)
	}
	call := regexp.MustCompile(`(write|fsync|rename)(?:at2?)?\(.*?` + regexp.QuoteMeta(filepath.Dir(path)) + `([^>",]*)`)
	for line := range strings.Lines(string(raw)) {
		if m := call.FindStringSubmatch(line); m != nil {
			calls = append(calls, m[1]+" "+m[2])
		}
	}
	return calls, string(words)
}

// TestSyncedInOrder reads from a trace of the system calls what a power cut could
// take: nothing once File has returned.
func TestSyncedInOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	calls, said := traced(t, path)
	want := "write /.file.new, fsync /.file.new, rename /.file.new, fsync "
	if got := strings.Join(calls, ", "); got != want {
		t.Errorf("got %s, want %s\n%s", got, want, said)
	}
}

// TestFailingCalls: a sync or rename that fails is an error, and the former file
// stands, unless only the folder's sync failed.
func TestFailingCalls(t *testing.T) {
	for name, c := range map[string]struct {
		inject, said, want string
	}{
		"sync of the file":   {"fsync:error=EIO:when=1", "sync: ", "former"},
		"sync of the folder": {"fsync:error=EIO:when=2", "sync folder: ", string(content(0))},
		"rename":             {"renameat,renameat2,rename:error=EIO", "rename: ", "former"},
		"write":              {"write:error=ENOSPC:when=1", "write: ", "former"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			if err := File(path, []byte("former")); err != nil {
				t.Fatal(err)
			}
			more := []string{"-e", "inject=" + c.inject}
			if strings.HasPrefix(c.inject, "write") { // only those to the file: of what it says none may fail
				more = append(more, "-P", filepath.Join(filepath.Dir(path), ".file.new"))
			}
			_, said := traced(t, path, more...)
			if !strings.Contains(said, "keep file: "+c.said) {
				t.Errorf("it said %q", said)
			}
			holds(t, path, c.want)
			if left := names(t, filepath.Dir(path)); len(left) != 1 {
				t.Errorf("left: %v", left)
			}
		})
	}
}
