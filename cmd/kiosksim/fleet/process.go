package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// How long a bus may take: to listen, to end, and to answer a command.
const (
	startWithin = 30 * time.Second
	endWithin   = 10 * time.Second
	look        = 5 * time.Millisecond
)

// A Bus is the program bus, serving from one folder on one port however often
// it is started.
type Bus struct {
	path, dir, port string
	more            []string
	cmd             *exec.Cmd
	done            chan struct{} // closed when cmd has ended
}

// NewBus makes a bus that isn't running, with further flags for its serve.
func NewBus(path, dir string, more ...string) (*Bus, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	return &Bus{path: path, dir: dir, port: port, more: more}, os.MkdirAll(dir, 0o700)
}

// freePort is one below those that the kernel gives to clients: a client that
// knocks at a dead bus's port must not be given that port for itself.
func freePort() (string, error) {
	for range 100 {
		port := strconv.Itoa(15_000 + rand.IntN(15_000))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err == nil {
			return port, l.Close()
		}
	}
	return "", errors.New("no free port")
}

// URL is where the bus is, or will be.
func (b *Bus) URL() string { return "https://127.0.0.1:" + b.port }

// PID is that of the process.
func (b *Bus) PID() int { return b.cmd.Process.Pid }

// Start starts the process and returns when it listens.
func (b *Bus) Start(ctx context.Context) error {
	file := filepath.Join(b.dir, "port")
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	log, err := os.OpenFile(filepath.Join(b.dir, "bus.err"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	args := []string{
		"serve", "--dir", b.dir, "--listen", "127.0.0.1:" + b.port, "--port-file", file, "--log", filepath.Join(b.dir, "bus.log"),
	}
	b.cmd = exec.CommandContext(ctx, b.path, append(args, b.more...)...)
	b.cmd.Stderr = log
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := b.cmd.Start(); err != nil {
		return fmt.Errorf("start bus: %w", err)
	}
	done := make(chan struct{})
	b.done = done
	cmd := b.cmd
	go func() {
		_ = cmd.Wait() // it is killed, or await says that it has ended
		close(done)
	}()
	return b.await(ctx, file)
}

// await returns when the file is there.
func (b *Bus) await(ctx context.Context, file string) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		if _, err := os.Stat(file); err == nil {
			return nil
		}
		select {
		case <-b.done:
			said, _ := os.ReadFile(filepath.Join(b.dir, "bus.err")) // the reason is told without it, too
			return fmt.Errorf("start bus: it ended: %s", lastLine(said))
		case <-ctx.Done():
			return fmt.Errorf("start bus: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

func lastLine(b []byte) []byte {
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return lines[len(lines)-1]
}

// Ended is closed when the process has ended.
func (b *Bus) Ended() <-chan struct{} { return b.done }

// Kill ends the process at once, as a power cut would.
func (b *Bus) Kill() { b.end(syscall.SIGKILL) }

// Stop asks the process to end, and kills it when it doesn't.
func (b *Bus) Stop() { b.end(syscall.SIGTERM) }

func (b *Bus) end(s syscall.Signal) {
	if b.done == nil {
		return
	}
	_ = b.cmd.Process.Signal(s) // it may have ended
	select {
	case <-b.done:
	case <-time.After(endWithin):
		_ = b.cmd.Process.Kill() // it may have ended
		<-b.done
	}
}

// Codes registers stations and returns their one-time codes.
func (b *Bus) Codes(ctx context.Context, stations []string) ([]string, error) {
	out, err := b.command(ctx, append([]string{"station", "add"}, stations...)...)
	if err != nil {
		return nil, err
	}
	codes := strings.Fields(string(out))
	if len(codes) != len(stations) {
		return nil, fmt.Errorf("%d codes for %d stations", len(codes), len(stations))
	}
	return codes, nil
}

// A Status is what the bus counts.
type Status struct {
	Accepted   int `json:"accepted"`   // in the ledger
	Effects    int `json:"effects"`    // decided, and in the ledger
	Duplicates int `json:"duplicates"` // answered again
	Refused    int `json:"refused"`
}

// Status asks the bus.
func (b *Bus) Status(ctx context.Context) (s Status, err error) {
	out, err := b.command(ctx, "status", "--json")
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(out, &s)
}

// VerifyLog checks the message log offline. It fails when anything is wrong in it.
func (b *Bus) VerifyLog(ctx context.Context) error {
	_, err := b.command(ctx, "log", "verify")
	return err
}

// decided returns when everything accepted is decided.
func (b *Bus) decided(ctx context.Context, within time.Duration) (last Status, err error) {
	limit := time.NewTimer(within)
	defer limit.Stop()
	tick := time.NewTicker(10 * look)
	defer tick.Stop()
	for {
		if last, err = b.Status(ctx); err != nil || last.Effects >= last.Accepted {
			return last, err
		}
		select {
		case <-ctx.Done():
			return last, context.Cause(ctx)
		case <-limit.C:
			return last, fmt.Errorf("%d of %d decided after %s; bus: %s", last.Effects, last.Accepted, within, b.complaint())
		case <-tick.C:
		}
	}
}

// complaint is the last error in the bus's log.
func (b *Bus) complaint() (last []byte) {
	log, _ := os.ReadFile(filepath.Join(b.dir, "bus.log")) // without it nothing is known
	for line := range bytes.Lines(log) {
		if bytes.Contains(line, []byte(`"level":"ERROR"`)) {
			last = bytes.TrimSpace(line)
		}
	}
	return last
}

// command runs a short command of the bus to its end and returns what it prints.
func (b *Bus) command(ctx context.Context, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.path, append(args, "--dir", b.dir)...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("bus %s: %w: %s", args[0], err, lastLine(complaint.Bytes()))
	}
	return out, nil
}

// ticks is the kernel's clock for process times: USER_HZ, proc(5).
const ticks = 100

// CPUTime is what a process has used, user and system.
func CPUTime(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest) // from field 3, state, on: proc(5)
	if len(f) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(f))
	}
	user, err := strconv.Atoi(f[11])
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(f[12])
	return time.Duration(user+system) * time.Second / ticks, err
}

// peakMB is the most memory that a process has had at once, in MB: VmHWM, proc(5).
func peakMB(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	f := strings.Fields(rest)
	if len(f) < 1 {
		return 0, fmt.Errorf("/proc/%d/status has no VmHWM", pid)
	}
	kB, err := strconv.ParseFloat(f[0], 64)
	return kB / 1000, err
}

// busyCPUs is how many processes want a processor, on average over the last
// minute: proc(5), loadavg.
func busyCPUs() (float64, error) {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(b), " ")
	return strconv.ParseFloat(first, 64)
}
