package crashtest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	obey()
	goleak.VerifyTestMain(m)
}

// scaleVariable is "long" for what make crash runs, or a number of cycles for
// every gate; else the short form is run.
const scaleVariable = "KOSK_CRASH"

func scale(short, long int) int {
	switch s := os.Getenv(scaleVariable); s {
	case "":
		return short
	case "long":
		return long
	default:
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			panic(scaleVariable + " is neither long nor a number")
		}
		return n
	}
}

// A result is one line of the report. build/crash reads it from the attribute
// "crash" of a test.
type result struct {
	Gate       string `json:"gate"` // "3.replay"; of a control "3.replay.control.no-sync"
	Cycles     int    `json:"cycles"`
	Violations int    `json:"violations"`
	Control    bool   `json:"control,omitempty"` // must be violated
	Promises   int    `json:"promises,omitempty"`
	Blocked    string `json:"blocked,omitempty"` // why it could not be run
	least      int    // violations of a control in a hundred cycles; 0 means 10
}

// tell reports a gate, and fails the test if it is violated, or if a control is
// violated too seldom.
func tell(t *testing.T, r result, why []string) {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Attr("crash", string(text))
	t.Logf("%s: %d cycles, %d promises, %d violations", r.Gate, r.Cycles, r.Promises, r.Violations)
	if r.least == 0 {
		r.least = 10
	}
	switch {
	case r.Cycles == 0:
		t.Errorf("%s: nothing was tried", r.Gate)
	case r.Control && r.Violations*100 < r.Cycles*r.least:
		t.Errorf("%s: the gate does not notice", r.Gate)
	case !r.Control && r.Violations > 0:
		t.Errorf("%s: %s", r.Gate, strings.Join(why[:min(10, len(why))], "\n"))
	}
}

// blocked skips a gate that can't be run here.
func blocked(t *testing.T, gate, reason string) {
	t.Helper()
	text, err := json.Marshal(result{Gate: gate, Blocked: reason})
	if err != nil {
		t.Fatal(err)
	}
	t.Attr("crash", string(text))
	t.Skip(gate + " can't be run: " + reason)
}

func needRoot(t *testing.T, gate string) {
	t.Helper()
	if os.Geteuid() != 0 {
		blocked(t, gate, "needs root")
	}
}

func needTool(t *testing.T, gate, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		blocked(t, gate, err.Error())
	}
}

// needTrace is for gates that need ptrace.
func needTrace(t *testing.T, gate string) {
	t.Helper()
	needTool(t, gate, "strace")
	if _, err := tool(t.Context(), "strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=fsync", "true"); err != nil {
		blocked(t, gate, err.Error())
	}
}

// memoryFolder is a folder in memory where there is one: states of disks are
// written whole, and wear no real one.
func memoryFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "kosk-crash-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	return dir
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// childLimit is the deadline of one child.
const childLimit = 30 * time.Second

// watch starts a child and takes down what it promises, until it ends. after is
// called once, with how to kill it, when it has said its first word.
func (p *promises) watch(ctx context.Context, o order, below []string, after func(kill func() error)) error {
	ctx, cancel := context.WithTimeout(ctx, childLimit)
	defer cancel()
	cmd, err := o.command(ctx, below...)
	if err != nil {
		return err
	}
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines, said := bufio.NewScanner(out), 0
	for ; lines.Scan(); said++ {
		if err := p.note(lines.Text()); err != nil {
			return errors.Join(err, cmd.Process.Kill(), ended(cmd))
		}
		if said == 0 && after != nil {
			after(cmd.Process.Kill)
		}
	}
	err = ended(cmd)
	if ctx.Err() != nil {
		return errors.Join(ctx.Err(), errors.New("child hangs"), err)
	}
	if strings.Contains(complaint.String(), "panic") || strings.Contains(complaint.String(), "fatal error") {
		return errors.New(complaint.String())
	}
	return nil
}

// ended waits for a child. That it was killed, or gave up, is what was wanted.
func ended(cmd *exec.Cmd) error {
	err := cmd.Wait()
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil
	}
	return err
}

// killAfter kills with SIGKILL, a moment after the first word.
func killAfter(d time.Duration) func(func() error) {
	return func(kill func() error) { time.AfterFunc(d, func() { kill() }) } //nolint:errcheck // it may have ended
}

// write puts files into an empty folder.
func write(dir string, files map[string][]byte) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// minded sees to it that nothing stays mounted at a path, even if this process
// is ended in the middle: by another one, which outlives it and then ends.
func minded(t *testing.T, at string) {
	t.Helper()
	cmd, err := order{Mind: at}.command(context.WithoutCancel(t.Context()))
	must(t, err)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // what ends a group must not end it
	here, err := cmd.StdinPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		must(t, errors.Join(here.Close(), cmd.Wait()))
		b, err := os.ReadFile("/proc/mounts")
		must(t, err)
		if strings.Contains(string(b), at) {
			t.Errorf("something is still mounted at %s", at)
		}
	})
}
