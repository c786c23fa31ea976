package vcard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Driver is the virtual reader's driver of Debian's package vsmartcard-vpcd.
const Driver = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so"

const daemon = "pcscd"

// ErrNoDaemon says that pcscd or its virtual reader is not installed, or that it
// may not have a mount namespace.
var ErrNoDaemon = errors.New("no pcscd with a virtual reader")

// Installed says whether a Slot can be opened here; the error tells what is
// missing: a program, or, in most containers, the right to mount.
func Installed(ctx context.Context) error {
	if _, err := exec.LookPath(daemon); err != nil {
		return fmt.Errorf("%w: %w", ErrNoDaemon, err)
	}
	if _, err := os.Stat(Driver); err != nil {
		return fmt.Errorf("%w: %w", ErrNoDaemon, err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	try := exec.CommandContext(ctx, "mount", "-t", "tmpfs", "tmpfs", "/run")
	try.SysProcAttr = isolated(os.Geteuid() == 0)
	if out, err := try.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: no mount namespace of its own: %w %s", ErrNoDaemon, err, bytes.TrimSpace(out))
	}
	return nil
}

// A Slot is a private pcscd with a virtual reader that cards are put into. The
// machine's own pcscd and readers are not touched: the daemon sees an empty
// /run/pcscd and no drivers for real readers, in a mount namespace of its own.
//
// The virtual reader listens on all addresses, so that with the right to it the
// daemon gets a network namespace of its own too, where there is nothing but its
// own loopback. Without that right, as an ordinary user, it listens on a free
// port of the machine.
//
// A Slot runs until Close or until its context ends. Its methods may be called
// from several goroutines.
type Slot struct {
	ctx  context.Context // of the daemon: it must not outlive its owner
	stop context.CancelFunc
	dir  string
	opts SlotOptions
	log  *slog.Logger

	mu     sync.Mutex
	daemon *process  // guarded by mu; nil when killed
	card   *Card     // guarded by mu; nil when the slot is empty
	plug   *plug     // guarded by mu; the card's connection to the reader
	left   time.Time // guarded by mu; when the last card left
}

// startTime is how long pcscd may take to be there, on a machine that is busy.
const startTime = time.Minute

// SlotOptions are what the daemon of a Slot is started with. The zero value is
// the virtual reader as it is installed.
type SlotOptions struct {
	Driver string       // of the reader, a path; "": Driver
	Env    []string     // "NAME=value", for the driver
	Log    *slog.Logger // nil: none
}

// OpenSlot starts the daemon and returns when it answers. dir is for its socket
// and settings: a folder that may be used again by a later Slot, whose socket
// then has the same name, and short enough for the name of a socket.
func OpenSlot(ctx context.Context, dir string, o SlotOptions) (*Slot, error) {
	if err := Installed(ctx); err != nil {
		return nil, fmt.Errorf("open slot: %w", err)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Driver == "" {
		o.Driver = Driver
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open slot: %w", err)
	}
	s := &Slot{dir: dir, opts: o, log: o.Log}
	if len(s.Socket()) > 100 {
		return nil, fmt.Errorf("open slot: %s is too long for a socket", s.Socket())
	}
	for _, d := range []string{s.runDir(), s.configDir()} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, fmt.Errorf("open slot: %w", err)
		}
	}
	s.ctx, s.stop = context.WithCancel(ctx)
	if err := s.StartDaemon(); err != nil {
		s.stop()
		return nil, fmt.Errorf("open slot: %w", err)
	}
	return s, nil
}

func (s *Slot) runDir() string    { return filepath.Join(s.dir, "run") }
func (s *Slot) configDir() string { return filepath.Join(s.dir, "reader") }

// Socket is what PCSCLITE_CSOCK_NAME has to be for clients of this daemon. It
// stays the same when the daemon is killed and started. The client library reads
// the variable once in a process, at its first call.
func (s *Slot) Socket() string { return filepath.Join(s.runDir(), "pcscd.comm") }

// StartDaemon starts the daemon after KillDaemon or after its own end, and puts the card that lies in
// the slot before it again.
func (s *Slot) StartDaemon() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.daemon != nil && !s.daemon.over() {
		return nil
	}
	s.disconnect()
	p, err := s.start()
	if err != nil {
		return fmt.Errorf("start pcscd: %w", err)
	}
	s.daemon = p
	s.log.Info("pcscd started", "pid", p.pid())
	if s.card == nil {
		return nil
	}
	return s.connect()
}

// KillDaemon kills the daemon as a crash would. The card stays in the slot.
func (s *Slot) KillDaemon() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.daemon == nil {
		return nil
	}
	s.daemon.kill()
	s.log.Info("pcscd killed", "pid", s.daemon.pid())
	s.daemon = nil
	s.disconnect()
	return nil
}

// swapTime is the least time between a card that leaves and the next one. pcscd
// looks at the slot every 0.4 s: of a swap that is quicker it sees neither the
// removal nor the insertion, and keeps the slot in a state between. No hand is as
// quick.
const swapTime = 700 * time.Millisecond

// Insert puts a card into the slot, in place of one that is there, and not sooner
// than a hand could. pcscd sees it within its polling time, 0.4 seconds.
func (s *Slot) Insert(c *Card) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disconnect()
	s.card = nil
	if err := s.awaitEmpty(); err != nil {
		return fmt.Errorf("insert card: %w", err)
	}
	c.reset()
	s.card = c
	if s.daemon == nil {
		return nil
	}
	return s.connect()
}

// awaitEmpty waits until the daemon has seen that the last card left. The caller
// holds mu.
func (s *Slot) awaitEmpty() error {
	timer := time.NewTimer(time.Until(s.left.Add(swapTime)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// Remove pulls the card out.
func (s *Slot) Remove() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disconnect()
	s.card = nil
	return nil
}

// Close pulls the card out and ends the daemon. It returns when both are gone.
func (s *Slot) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disconnect()
	s.card = nil
	if s.daemon != nil {
		s.daemon.kill()
		s.daemon = nil
	}
	s.stop()
	return nil
}

// connect gives the card a connection to the reader; disconnect ends it and
// waits until the card has let go. The caller holds mu.
func (s *Slot) connect() error {
	p, err := newPlug(s.ctx, s.card, s.daemon.dial, s.log)
	if err != nil {
		return fmt.Errorf("insert card: %w", err)
	}
	s.plug = p
	return nil
}

func (s *Slot) disconnect() {
	if s.plug != nil {
		s.left = s.plug.pull()
		s.plug = nil
	}
}

// A process is one life of the daemon.
type process struct {
	cmd     *exec.Cmd
	ended   chan struct{}
	port    int
	private bool // it has a network namespace of its own
}

// script prepares the daemon's mounts and becomes the daemon. $1 is the folder
// for its socket, $2 its settings. Bundles are drivers of real readers.
const script = `set -e
[ -d /run/pcscd ] || { mount -t tmpfs tmpfs /run; mkdir /run/pcscd; }
mount --bind "$1" /run/pcscd
for b in /usr/lib/pcsc/drivers/*.bundle; do [ ! -d "$b" ] || mount -t tmpfs tmpfs "$b"; done
exec pcscd --foreground --config "$2"`

// start starts the daemon and waits until it answers. The caller holds mu.
func (s *Slot) start() (*process, error) {
	p := &process{ended: make(chan struct{}), private: os.Geteuid() == 0, port: vpcdPort}
	if !p.private {
		port, err := freePorts()
		if err != nil {
			return nil, err
		}
		p.port = port
	}
	if err := s.configure(p.port); err != nil {
		return nil, err
	}
	p.cmd = exec.CommandContext(s.ctx, "sh", "-c", script, "sh", s.runDir(), s.configDir())
	p.cmd.SysProcAttr = isolated(p.private)
	p.cmd.Env = append(os.Environ(), s.opts.Env...)
	out, err := os.Create(filepath.Join(s.dir, "pcscd.log"))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.run(); err != nil {
		return nil, err
	}
	if err := s.await(p); err != nil {
		p.kill()
		tail, _ := os.ReadFile(out.Name())
		return nil, fmt.Errorf("%w: %s", err, strings.TrimSpace(string(tail[max(0, len(tail)-400):])))
	}
	if p.private {
		if err := inNamespace(p.pid(), loopbackUp); err != nil {
			p.kill()
			return nil, fmt.Errorf("switch loopback on: %w", err)
		}
	}
	return p, nil
}

// configure writes the reader's settings and clears what an earlier life left.
func (s *Slot) configure(port int) error {
	for _, name := range []string{"pcscd.comm", "pcscd.pid"} {
		if err := os.Remove(filepath.Join(s.runDir(), name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	text := fmt.Sprintf("FRIENDLYNAME \"Virtual PCD\"\nDEVICENAME /dev/null:0x%X\nLIBPATH %s\nCHANNELID 0x%X\n", port, s.opts.Driver, port)
	return os.WriteFile(filepath.Join(s.configDir(), "vpcd"), []byte(text), 0o644)
}

// isolated gives the daemon namespaces of its own and has the kernel kill it
// when its parent dies.
func isolated(private bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Cloneflags: syscall.CLONE_NEWNS}
	if private {
		a.Cloneflags |= syscall.CLONE_NEWNET
		return a
	}
	a.Cloneflags |= syscall.CLONE_NEWUSER
	a.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
	a.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	return a
}

// run starts the process from a thread that lives as long as it does: the kernel
// counts the death of that thread as the parent's.
func (p *process) run() error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.ended)
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // it ends by our own kill
		}
	}()
	return <-started
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// over says whether the process has ended.
func (p *process) over() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// kill ends the process by its own id and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // an error says that it has ended already
	<-p.ended
}

// await returns when the daemon answers on its socket.
func (s *Slot) await(p *process) error {
	deadline := time.NewTimer(startTime)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := net.Dial("unix", s.Socket()); err == nil {
			return c.Close()
		}
		select {
		case <-tick.C:
		case <-p.ended:
			return errors.New("pcscd ended at once")
		case <-deadline.C:
			return errors.New("pcscd does not answer")
		case <-s.ctx.Done():
			return s.ctx.Err()
		}
	}
}

// freePorts finds two ports side by side, as the reader has two slots.
func freePorts() (int, error) {
	for range 50 {
		a, err := net.Listen("tcp4", "0.0.0.0:0")
		if err != nil {
			return 0, err
		}
		port := a.Addr().(*net.TCPAddr).Port
		b, err := net.Listen("tcp4", fmt.Sprintf("0.0.0.0:%d", port+1))
		a.Close()
		if err == nil {
			b.Close()
			return port, nil
		}
	}
	return 0, errors.New("no two free ports side by side")
}
