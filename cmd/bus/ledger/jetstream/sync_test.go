package jetstream_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"kosk/cmd/bus/ledger/jetstream"
)

// oneByOne has this test binary append so many entries one after the other, and
// say each when it is acknowledged.
const oneByOne = "LEDGER_ONE_BY_ONE"

func appendOneByOne(ctx context.Context, l *jetstream.Ledger) error {
	for i := range appended {
		if _, _, err := l.Append(ctx, fmt.Sprint("k", i), []byte("body")); err != nil {
			return err
		}
		fmt.Println("acknowledged", i)
	}
	return nil
}

const appended = 20

// in trace: the descriptor is shown with its file.
var syncedBlock = regexp.MustCompile(`(?:fsync|fdatasync)\(\d+<[^>]*/msgs/[^>]*\.blk>`)

// A kill doesn't tell whether the engine syncs, since the system keeps what was
// written. The system calls do: no entry is acknowledged before the file that it is in
// was synced.
func TestEveryEntryIsSyncedBeforeItIsAcknowledged(t *testing.T) {
	trace := filepath.Join(t.TempDir(), "trace")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if words, err := exec.CommandContext(ctx, "strace", "-qq", "-e", "trace=fsync", "true").CombinedOutput(); err != nil {
		t.Skipf("strace may not trace here: %v %s", err, words)
	}
	cmd := exec.CommandContext(ctx, "strace", "-f", "-qq", "-y", "-s", "20", "-e", "trace=fsync,fdatasync,write", "-e", "signal=none", "-o", trace, os.Args[0])
	cmd.Env = append(os.Environ(), "LEDGER_DIR="+filepath.Join(t.TempDir(), "ledger"), oneByOne+"=1")
	if words, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, words)
	}
	b, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	syncs, acks := 0, 0
	begun := map[string]bool{} // by thread: a sync of such a file that has not ended
	for line := range strings.Lines(string(b)) {
		thread, _, _ := strings.Cut(line, " ")
		switch {
		case syncedBlock.MatchString(line) && strings.Contains(line, "<unfinished"):
			begun[thread] = true
		case syncedBlock.MatchString(line), begun[thread] && strings.Contains(line, "sync resumed"):
			delete(begun, thread)
			if strings.HasSuffix(strings.TrimSpace(line), "= 0") {
				syncs++
			}
		case strings.Contains(line, `"acknowledged `):
			if acks++; syncs == 0 {
				t.Errorf("acknowledged unsynced: %s", line)
			}
			syncs = 0
		}
	}
	if acks != appended {
		t.Errorf("%d of %d acknowledgements were seen", acks, appended)
	}
}
