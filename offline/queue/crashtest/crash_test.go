package crashtest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"kosk/offline/queue/gatetest"
)

func TestMain(m *testing.M) {
	obey()
	goleak.VerifyTestMain(m)
}

func needRoot(t *testing.T, gate string) {
	t.Helper()
	if os.Geteuid() != 0 {
		gatetest.Blocked(t, gate, "needs root")
	}
}

func needTool(t *testing.T, gate, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		gatetest.Blocked(t, gate, err.Error())
	}
}

// needTrace is for gates that need ptrace.
func needTrace(t *testing.T, gate string) {
	t.Helper()
	needTool(t, gate, "strace")
	if _, err := tool(t.Context(), "strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=fsync", "true"); err != nil {
		gatetest.Blocked(t, gate, err.Error())
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
const childLimit = 3 * time.Minute

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
