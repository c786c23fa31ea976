package queue

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kosk/offline"
)

// Tests that need a process of their own run this test binary again, with the
// work that it is to do and the file that it is to do it on.
const (
	childWork = "KOSK_QUEUE_WORK"
	childPath = "KOSK_QUEUE_PATH"
)

var children = map[string]func(path string){
	"puts": childPuts, "hold": childHold, "limited": childLimited, "through": childThrough,
}

// child is this test binary, about to do the work. It ends with ctx.
func child(ctx context.Context, work, path string, env ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^$")
	cmd.Env = append(append(os.Environ(), childWork+"="+work, childPath+"="+path), env...)
	return cmd
}

// stop ends a child that has met an error.
func stop(what string, err error) {
	if err != nil {
		fmt.Println("!", what, err)
		os.Exit(1)
	}
}

// begin opens the queue in a child and runs it.
func begin(path string, o Options) *Queue {
	q, err := Open(path, o)
	stop("open", err)
	go q.Run(context.Background())
	return q
}

// A cost is what the puts of a queue in use cost the disk.
type cost struct {
	syncs   float64 // fdatasync a commit
	written float64 // bytes written for each byte of body
}

const tracedPuts = 240

// childPuts wears the queue in, and then puts, between two marks in its trace.
func childPuts(path string) {
	size, _ := strconv.Atoi(os.Getenv("SIZE"))
	producers, _ := strconv.Atoi(os.Getenv("PRODUCERS"))
	q := begin(path, Options{MaxSize: 256 << 20})
	var t quiet
	from := worn(&t, q, size)
	before, _ := q.Stats()
	fmt.Println("from here")
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			for n := p; n < tracedPuts; n += producers {
				stop("put", q.Put(context.Background(), offline.Item{ID: id(from + n), Stream: fmt.Sprint(n), Body: make([]byte, size)}))
			}
		})
	}
	wg.Wait()
	after, _ := q.Stats()
	fmt.Println("to there")
	fmt.Println("commits", after.Commits-before.Commits)
}

// quiet is a testing.TB for a child: it ends the process at the first error.
type quiet struct{ testing.TB }

func (quiet) Error(args ...any)       { stop("worn", fmt.Errorf("%v", args)) }
func (quiet) Context() context.Context { return context.Background() }

var (
	wrote  = regexp.MustCompile(`pwrite64.*= (\d+)$`)
	synced = regexp.MustCompile(`fdatasync\(`)
)

// traced has a child put under strace, and counts.
func traced(t testing.TB, size, producers int) cost {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed")
	}
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 120*time.Second)
	defer cancel()
	cmd := child(ctx, "puts", filepath.Join(dir, "queue"), fmt.Sprint("SIZE=", size), fmt.Sprint("PRODUCERS=", producers))
	cmd.Args = append([]string{strace, "-f", "-qq", "-s", "20", "-e", "trace=pwrite64,fdatasync,fsync,ftruncate,write", "-e", "signal=none", "-o", filepath.Join(dir, "trace")}, os.Args[0], "-test.run=^$")
	cmd.Path = strace
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("child: %v: %s", err, out)
	}
	_, said, ok := strings.Cut(string(out), "commits ")
	commits, err := strconv.Atoi(strings.TrimSpace(said))
	if !ok || err != nil || commits == 0 {
		t.Fatalf("child said %q", out)
	}
	trace, err := os.ReadFile(filepath.Join(dir, "trace"))
	must(t, err)
	_, trace, _ = bytes.Cut(trace, []byte("from here"))
	trace, _, ok = bytes.Cut(trace, []byte("to there"))
	if !ok {
		t.Fatal("the trace has no marks")
	}
	var syncs, bytesOut int
	for lines := bufio.NewScanner(bytes.NewReader(trace)); lines.Scan(); {
		line := lines.Text()
		if synced.MatchString(line) {
			syncs++
		}
		if m := wrote.FindStringSubmatch(line); m != nil {
			n, _ := strconv.Atoi(m[1])
			bytesOut += n
		}
	}
	return cost{float64(syncs) / float64(commits), float64(bytesOut) / float64(tracedPuts*size)}
}

func TestACommitIsTwoSyncsAndFewBytes(t *testing.T) {
	for _, c := range []struct {
		size, producers int
		most            float64
	}{{2048, 1, 16}, {2048, 8, 6}, {65536, 1, 1.6}} {
		t.Run(fmt.Sprintf("%d bytes, %d producers", c.size, c.producers), func(t *testing.T) {
			got := traced(t, c.size, c.producers)
			t.Logf("%.2f syncs a commit, %.2f bytes written for each byte", got.syncs, got.written)
			if got.syncs != 2 || got.written > c.most || got.written < 1 {
				t.Errorf("want exactly 2, and at most %v", c.most)
			}
		})
	}
}

// childHold holds the queue with planted notes, says so, and waits to be killed.
func childHold(path string) {
	q := begin(path, Options{Station: os.Getenv("STATION")})
	_ = q
	select {}
}

func childLimited(path string) {}

func childThrough(path string) {}
