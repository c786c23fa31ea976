package ledgertest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kosk/cmd/bus/ledger"
)

// writers is how many append at once in a writer process: enough for batches.
const writers = 24

// Write appends from many goroutines, as the process that the suite Crash kills.
// It prints a line for every entry once its append has returned, and ends when in
// does or an append fails.
func Write(ctx context.Context, l ledger.Ledger, round string, in io.Reader, out io.Writer) error {
	ctx, end := context.WithCancelCause(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, in) // whatever ends it
		end(io.EOF)
	}()
	var mu sync.Mutex
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				key := fmt.Sprintf("%s/%d/%d", round, w, i)
				e, created, err := l.Append(ctx, key, bodyOf(key))
				mu.Lock()
				switch {
				case errors.Is(err, ledger.ErrUnavailable), ctx.Err() != nil:
					// it is not stored, or nobody has heard of it
				case err != nil:
					end(err)
				case !created:
					end(fmt.Errorf("%s was there already", key))
				default:
					fmt.Fprintln(out, key, e.Seq)
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if err := context.Cause(ctx); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// bodyOf is the body that Write appends under a key: some short, some long.
func bodyOf(key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return bytes.Repeat([]byte(key), 1+int(sum[0])*2)
}

// A Crash is the suite of what a ledger must survive: what was acknowledged is
// there and where it was said to be, nothing is there twice, and the chain holds.
type Crash struct {
	Rounds int
	Env    []string // tells this test binary to be a writer, see Write
	Open   Open
	// Harm does damage while the writer runs. What it has started it has ended
	// when it returns; the writer may be dead then. acked returns at once with how
	// many appends have been acknowledged in this round.
	Harm func(t *testing.T, round int, writer *os.Process, acked func() int)
	// May are errors that the writer may end with in such a round.
	May []error
}

// Kill is the harm that kills the writer at a random moment.
func Kill(t *testing.T, _ int, writer *os.Process, acked func() int) {
	t.Helper()
	Until(t, func() bool { return acked() > 0 })
	pause(t, time.Duration(rand.IntN(200))*time.Millisecond)
	if err := writer.Kill(); err != nil {
		t.Fatal(err)
	}
}

// pause lets time pass in other processes.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// Until waits, for a minute, until something is so.
func Until(t *testing.T, so func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !so(); pause(t, 5*time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain")
		}
	}
}

// Run does the rounds.
func (c Crash) Run(t *testing.T) {
	acked := map[string]uint64{}
	for round := range c.Rounds {
		fresh := c.round(t, round)
		for key, seq := range fresh {
			if _, ok := acked[key]; ok {
				t.Fatalf("round %d: %s was created twice", round, key)
			}
			acked[key] = seq
		}
		c.check(t, round, acked, fresh)
		if t.Failed() {
			return
		}
	}
	if len(acked) < c.Rounds*5 {
		t.Errorf("only %d appends were acknowledged: the test saw nothing", len(acked))
	}
	t.Logf("%d rounds, %d acknowledged, 0 lost, 0 twice", c.Rounds, len(acked))
}

// round runs one writer and returns what it was told to be stored, and where.
func (c Crash) round(t *testing.T, round int) map[string]uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(append(os.Environ(), c.Env...), fmt.Sprint("LEDGER_ROUND=", round))
	var said bytes.Buffer
	cmd.Stderr = &said
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	acked := map[string]uint64{}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			key, place, _ := strings.Cut(lines.Text(), " ")
			if seq, err := strconv.ParseUint(place, 10, 64); err == nil { // the last line may be cut
				mu.Lock()
				acked[key] = seq
				mu.Unlock()
			}
		}
	}()
	c.Harm(t, round, cmd.Process, func() int { mu.Lock(); defer mu.Unlock(); return len(acked) })
	_ = in.Close() // it may be dead
	<-read
	err = cmd.Wait()
	if ctx.Err() != nil {
		t.Fatalf("round %d: the writer hung: %s", round, said.String())
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() && !c.may(said.String()) {
		t.Fatalf("round %d: the writer ended: %s", round, said.String())
	}
	return acked
}

// may reports whether a writer may end with these words.
func (c Crash) may(said string) bool {
	return slices.ContainsFunc(c.May, func(err error) bool { return strings.Contains(said, err.Error()) })
}

// check opens the ledger and compares it with what was acknowledged: bodies of
// the last round only, and of a sample of the earlier ones.
func (c Crash) check(t *testing.T, round int, acked, fresh map[string]uint64) {
	t.Helper()
	l := c.Open(t)
	defer func() {
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	held, keys := map[string]uint64{}, 0
	err := l.Each(t.Context(), 0, func(e ledger.Entry) error { // checks the chain and that no place is empty
		held[e.Key] = e.Seq
		keys++
		return nil
	})
	if err != nil || len(held) != keys {
		t.Fatalf("round %d: %d entries under %d keys: %v", round, keys, len(held), err)
	}
	for key, seq := range acked {
		if held[key] != seq {
			t.Fatalf("round %d: %s was acknowledged at %d and is at %d", round, key, seq, held[key])
		}
	}
	sample := slices.Collect(maps.Keys(acked))
	sample = append(sample[:min(len(sample), 100)], slices.Collect(maps.Keys(fresh))...)
	for _, key := range sample {
		if _, body, err := l.Get(t.Context(), key); err != nil || !bytes.Equal(body, bodyOf(key)) {
			t.Fatalf("round %d: %s: %d bytes, %v", round, key, len(body), err)
		}
	}
	if _, created, err := l.Append(t.Context(), fmt.Sprint("check/", round), nil); err != nil || !created {
		t.Fatalf("round %d: the ledger takes no more: %v", round, err)
	}
}
