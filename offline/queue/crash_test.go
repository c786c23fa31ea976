package queue

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// The crash test runs this test binary again as a writer, kills it at a random
// moment, and opens what it left. What the writer has said to be stored must be
// there, whole, once, and in order. KOSK_CRASH_CYCLES sets the number of cycles.
// All other cuts are in package crashtest, which sees the queue from outside.
const (
	crashWriter = "KOSK_CRASH_WRITER" // path of the queue: be the writer
	crashCycles = "KOSK_CRASH_CYCLES"
	// crashReceipts is more than two cycles finish, so that none is forgotten before it is looked for.
	crashReceipts = 10_000
)

// writeUntilKilled puts and finishes items for ever, and prints "+n" and "-n"
// once it is acknowledged that item n is stored, or finished.
func writeUntilKilled(path string) {
	ctx := context.Background()
	q, err := Open(path, Options{MaxSize: 64 << 20, MaxReceipts: crashReceipts})
	if err != nil {
		fmt.Println("!", err)
		os.Exit(1)
	}
	go q.Run(ctx)
	start, err := strconv.Atoi(os.Getenv(crashWriter + "_FROM"))
	if err != nil {
		fmt.Println("!", err)
		os.Exit(1)
	}
	var next atomic.Int64
	next.Store(int64(start))
	for w := range 4 {
		go func() {
			for {
				n := int(next.Add(1))
				if err := q.Put(ctx, item(n, fmt.Sprint(w), 500+n%5000)); err != nil {
					fmt.Println("!", err)
					os.Exit(1)
				}
				fmt.Printf("+%d\n", n)
				if n%3 == 0 {
					continue
				}
				if err := q.Done(ctx, id(n), []byte("receipt")); err != nil {
					fmt.Println("!", err)
					os.Exit(1)
				}
				fmt.Printf("-%d\n", n)
			}
		}()
	}
	select {}
}

func TestWhatWasAcknowledgedSurvivesSIGKILL(t *testing.T) {
	cycles := 15
	if s := os.Getenv(crashCycles); s != "" {
		cycles, _ = strconv.Atoi(s)
	}
	if testing.Short() {
		cycles = 10
	}
	path := filepath.Join(t.TempDir(), "queue")
	stored, finished, from, lines := map[int]bool{}, map[int]bool{}, 0, 0
	for cycle := range cycles {
		older := stored
		stored = map[int]bool{}
		said := crash(t, path, from, time.Duration(rand.IntN(80))*time.Millisecond)
		for _, line := range said {
			n, err := strconv.Atoi(line[1:])
			if err != nil || line[0] == '!' {
				t.Fatalf("cycle %d: writer: %s", cycle, line)
			}
			lines++
			if line[0] == '+' {
				stored[n] = true
			} else {
				finished[n] = true
			}
		}
		if len(stored) == 0 {
			t.Fatalf("cycle %d: the writer did nothing", cycle)
		}
		from = compare(t, path, stored, finished)
		for n := range stored {
			finished[n] = true // compare has finished all
		}
		compare(t, path, older, finished)
		if t.Failed() {
			t.Fatalf("cycle %d of %d", cycle, cycles)
		}
	}
	if len(finished) == 0 {
		t.Error("nothing was finished")
	}
	t.Logf("%d cycles, %d acknowledgements, none lost", cycles, lines)
}

// crash runs the writer, kills it after some acknowledgements and a moment, and
// returns what it said.
func crash(t *testing.T, path string, from int, after time.Duration) (said []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), crashWriter+"="+path, fmt.Sprintf("%s_FROM=%d", crashWriter, from))
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	var kill *time.Timer
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said = append(said, lines.Text())
		if kill == nil {
			kill = time.AfterFunc(after, func() { cmd.Process.Kill() })
		}
	}
	cmd.Wait()
	if ctx.Err() != nil {
		t.Fatalf("writer hangs: %v", said)
	}
	return said
}

// compare holds the file against what was acknowledged, empties the queue so that
// it stays small, and returns the highest item seen.
func compare(t *testing.T, path string, stored, finished map[int]bool) (highest int) {
	t.Helper()
	q, stop := running(t, path, Options{MaxSize: 64 << 20, MaxReceipts: crashReceipts})
	defer stop()
	for n := range stored {
		f, err := q.Find(id(n))
		switch {
		case err != nil:
			t.Errorf("item %d was acknowledged and is gone: %v", n, err)
		case finished[n] && f.State != Finished:
			t.Errorf("item %d was finished and is not: %v", n, f.State)
		case f.State == Queued:
			if body, err := q.Load(f.Entry); err != nil || !bytes.Equal(body, item(n, "", 500+n%5000).Body) {
				t.Errorf("item %d: %v", n, err)
			}
		}
		highest = max(highest, n)
	}
	seen := map[string]bool{}
	for ids := heads(t, q); len(ids) > 0; ids = heads(t, q) {
		for _, id := range ids {
			if seen[id] {
				t.Errorf("item %s is there twice", id)
			}
			seen[id] = true
			must(t, q.Done(t.Context(), id, []byte("receipt")))
		}
	}
	return highest + 10
}
