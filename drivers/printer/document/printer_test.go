package document

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"kosk/drivers/printer"
	"kosk/drivers/printer/printertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// need skips where a program of Debian's isn't installed.
func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("%s is not installed: build/deps does that", program)
	}
	return path
}

// freePort is a TCP port of this machine that nobody listens at, below those that
// the kernel gives to whoever asks for any: nobody gets it before the printer does.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 15_000 + rand.IntN(15_000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// pagesText is what a stranger, pdftotext, reads on each page file of a folder. A
// file whose end didn't arrive is no page.
func pagesText(t *testing.T, dir string) []string {
	files, err := filepath.Glob(filepath.Join(dir, "*.pdf"))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, file := range files {
		if b, err := os.ReadFile(file); err == nil && !bytes.Contains(b, []byte("%%EOF")) {
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		out, err := exec.CommandContext(ctx, need(t, "pdftotext"), "-layout", file, "-").Output()
		cancel()
		if err != nil {
			t.Errorf("pdftotext %s: %v", filepath.Base(file), err)
		}
		all = append(all, string(out))
	}
	return all
}

// Configuration of the two daemons that ippeveprinter can't begin without, kept
// to this machine's loopback.
const (
	busConfig = `<busconfig><type>system</type><listen>unix:path=%s</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy>
</busconfig>`
	avahiConfig = "[server]\nhost-name=kosk\nuse-ipv4=yes\nuse-ipv6=no\nallow-interfaces=lo\nenable-dbus=yes\n[wide-area]\nenable-wide-area=no\n"
)

// dnssd starts a message bus and avahi of the test's own, and returns the bus's
// address for the environment.
func dnssd(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, need(t, "unshare"), "-m", "sh", "-c", ownRun).CombinedOutput(); err != nil {
		t.Skipf("avahi keeps its files below /run, and gets none of its own here: %v %s", err, out)
	}
	dir := t.TempDir()
	socket, avahi := filepath.Join(dir, "system"), filepath.Join(dir, "avahi.conf")
	if err := errors.Join(
		os.WriteFile(filepath.Join(dir, "bus.conf"), fmt.Appendf(nil, busConfig, socket), 0o600),
		os.WriteFile(avahi, []byte(avahiConfig), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	address := "DBUS_SYSTEM_BUS_ADDRESS=unix:path=" + socket
	child(t, address, "", need(t, "dbus-daemon"), "--nofork", "--config-file="+filepath.Join(dir, "bus.conf"))
	for tick := time.NewTicker(25 * time.Millisecond); ; {
		if _, err := os.Stat(socket); err == nil {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("dbus-daemon doesn't listen")
		}
	}
	child(t, address, "", need(t, "unshare"), "-m", "sh", "-c",
		ownRun+" && exec "+need(t, "avahi-daemon")+" -f "+avahi+" --no-drop-root --no-chroot --no-rlimits")
	return address
}

// ownRun gives avahi a folder of its own, in a mount namespace.
const ownRun = "mkdir -p /run/avahi-daemon && mount -t tmpfs tmpfs /run/avahi-daemon"

// A process is one that the test started.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// child starts a process that is stopped with the test, by its own number, and
// after five minutes in any case.
func child(t *testing.T, env, dir, program string, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	p := &process{exec.CommandContext(ctx, program, args...), make(chan struct{})}
	p.cmd.Env, p.cmd.Dir = append(os.Environ(), env), dir
	if err := p.cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	go func() { defer close(p.ended); _ = p.cmd.Wait() }()
	t.Cleanup(func() {
		cancel()
		<-p.ended
	})
	return p
}

// An ippPrinter is CUPS's own simulation of an IPP Everywhere printer.
type ippPrinter struct {
	t    *testing.T
	bus  string // see dnssd
	port int
	dir  string
	work string // program that takes as long as a page does
	run  *process
}

// start waits until it listens: it ends when avahi isn't ready yet.
func (p *ippPrinter) start() {
	p.t.Helper()
	for range 100 {
		p.run = child(p.t, p.bus, p.dir, need(p.t, "ippeveprinter"), "-n", "localhost", "-p", strconv.Itoa(p.port), "-r", "off",
			"-d", p.dir, "-k", "-f", "application/pdf", "-c", p.work, "kosk")
		for running := true; running; {
			if c, err := net.Dial("tcp", p.address()); err == nil {
				c.Close()
				return
			}
			select {
			case <-p.run.ended:
				running = false
			case <-time.After(25 * time.Millisecond):
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	p.t.Fatal("ippeveprinter doesn't listen")
}

func (p *ippPrinter) address() string { return net.JoinHostPort("localhost", strconv.Itoa(p.port)) }

func (p *ippPrinter) stop() {
	_ = p.run.cmd.Process.Kill()
	<-p.run.ended
}

func (p *ippPrinter) signal(s unix.Signal) { _ = p.run.cmd.Process.Signal(s) }

func openIPP(t *testing.T, bus string) (*ippPrinter, *Printer) {
	t.Helper()
	sim := &ippPrinter{t: t, bus: bus, port: freePort(t), dir: t.TempDir()}
	sim.work = filepath.Join(t.TempDir(), "work")
	if err := os.WriteFile(sim.work, []byte("#!/bin/sh\nexec sleep 0.4\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	sim.start()
	p, err := Open(Options{Address: "ipp://" + sim.address() + "/ipp/print"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return sim, p
}

func TestIPPPrinterPassesTheSuite(t *testing.T) {
	need(t, "pdftotext")
	bus := dnssd(t)
	printertest.Run(t, func(t *testing.T) printertest.Rig {
		sim, p := openIPP(t, bus)
		return printertest.Rig{
			Printer: p,
			Out:     func() []string { return pagesText(t, sim.dir) },
			Begun: func() bool { // of the first page of a test
				files, err := filepath.Glob(filepath.Join(sim.dir, "*.pdf"))
				return err == nil && len(files) > 0
			},
			Unplug: sim.stop,
			Replug: sim.start,
		}
	})
}

func TestFrozenPrinterLeavesThePageUnknown(t *testing.T) {
	sim, p := openIPP(t, dnssd(t))
	sim.signal(unix.SIGSTOP)
	defer sim.signal(unix.SIGCONT)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // drawn is the page, too
	defer cancel()
	outcome, err := p.Print(ctx, certificate())
	if outcome != printer.Failed || !errors.Is(err, printer.ErrMute) {
		t.Errorf("got %v, %v: nothing was sent to it yet", outcome, err)
	}
}

// A pjl is the raw port of a printer that speaks PJL, or only listens.
type pjl struct {
	net.Listener
	mute  bool
	code  string // of INFO STATUS
	pages int

	mu   sync.Mutex
	jobs []string
}

func (p *pjl) serve() {
	for {
		c, err := p.Accept()
		if err != nil {
			return
		}
		p.hear(c)
		c.Close()
	}
}

// hear reads one connection, which must be PJL as it should be.
func (p *pjl) hear(c net.Conn) {
	in := bufio.NewReader(c)
	var job strings.Builder
	name := ""
	for {
		line, err := in.ReadString('\n')
		line = strings.TrimPrefix(line, exit)
		switch {
		case strings.HasPrefix(line, "@PJL INFO STATUS") && !p.mute:
			fmt.Fprintf(c, "@PJL INFO STATUS\r\nCODE=%s\r\nDISPLAY=\"x\"\r\nONLINE=TRUE\r\n\f", p.code)
		case strings.HasPrefix(line, "@PJL JOB NAME="):
			name = strings.Trim(strings.TrimSpace(strings.TrimPrefix(line, "@PJL JOB NAME=")), `"`)
			if !p.mute {
				fmt.Fprintf(c, "@PJL USTATUS JOB\r\nSTART\r\nNAME=%q\r\n\f", name)
			}
		case strings.HasPrefix(line, "@PJL EOJ"):
			p.mu.Lock()
			p.jobs = append(p.jobs, job.String())
			p.mu.Unlock()
			if !p.mute {
				fmt.Fprintf(c, "@PJL USTATUS JOB\r\nEND\r\nNAME=%q\r\nPAGES=%d\r\n\f", name, p.pages)
			}
		case strings.HasPrefix(line, "@PJL"):
		default:
			job.WriteString(strings.ReplaceAll(line, exit+"@PJL\r\n", ""))
		}
		if err != nil {
			return
		}
	}
}

func openRaw(t *testing.T, sim *pjl) *Printer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sim.Listener = l
	done := make(chan struct{})
	go func() { defer close(done); sim.serve() }()
	t.Cleanup(func() { l.Close(); <-done })
	p, err := Open(Options{Address: "socket://" + l.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func TestRawPort(t *testing.T) {
	for _, c := range []struct {
		name string
		sim  *pjl
		want printer.Outcome
		err  error
		jobs int
	}{
		{"one that speaks confirms", &pjl{code: "10001", pages: 1}, printer.Confirmed, nil, 1},
		{"one that only listens is never believed", &pjl{mute: true}, printer.Unknown, printer.ErrMute, 1},
		{"a job without a page failed", &pjl{code: "10001"}, printer.Failed, errJob, 1},
		{"without paper nothing is sent", &pjl{code: "41213"}, printer.Failed, printer.ErrNoPaper, 0},
		{"with a jam nothing is sent", &pjl{code: "42010"}, printer.Failed, printer.ErrJammed, 0},
		{"with an open cover nothing is sent", &pjl{code: "40021"}, printer.Failed, printer.ErrCoverOpen, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := openRaw(t, c.sim)
			outcome, err := p.Print(t.Context(), certificate())
			if outcome != c.want || !errors.Is(err, c.err) {
				t.Errorf("got %v, %v, want %v, %v", outcome, err, c.want, c.err)
			}
			c.sim.mu.Lock()
			defer c.sim.mu.Unlock()
			if len(c.sim.jobs) != c.jobs {
				t.Fatalf("%d jobs", len(c.sim.jobs))
			}
			if c.jobs == 1 && !strings.HasPrefix(c.sim.jobs[0], "%PDF-") {
				t.Errorf("job begins with %.20q", c.sim.jobs[0])
			}
		})
	}
}

func TestNobodyThere(t *testing.T) {
	for _, scheme := range []string{"ipp", "socket"} {
		p, err := Open(Options{Address: fmt.Sprintf("%s://127.0.0.1:%d/x", scheme, freePort(t))})
		if err != nil {
			t.Fatal(err)
		}
		if outcome, err := p.Print(t.Context(), certificate()); outcome != printer.Failed || !errors.Is(err, printer.ErrUnplugged) {
			t.Errorf("%s: %v, %v", scheme, outcome, err)
		}
		_ = p.Close()
		if outcome, err := p.Print(t.Context(), certificate()); outcome != printer.Failed || !errors.Is(err, ErrClosed) {
			t.Errorf("%s, closed: %v, %v", scheme, outcome, err)
		}
	}
	for _, address := range []string{"", "ipp:", "http://x", "socket://", "::"} {
		if _, err := Open(Options{Address: address}); !errors.Is(err, ErrAddress) {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// A garbling peer must not hang or crash the port.
func TestGarbage(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, strings.Repeat("\x00@PJL USTATUS", 2000))
			_, _ = io.Copy(io.Discard, io.LimitReader(c, 100))
			c.Close()
		}
	}()
	for _, scheme := range []string{"ipp", "socket"} {
		p, err := Open(Options{Address: scheme + "://" + l.Addr().String()})
		if err != nil {
			t.Fatal(err)
		}
		if outcome, err := p.Print(t.Context(), certificate()); outcome == printer.Confirmed || err == nil {
			t.Errorf("%s: %v", scheme, outcome)
		}
		_ = p.Close()
	}
	l.Close()
	<-done
}

func TestCodeIsReadBackFromThePage(t *testing.T) {
	pdf, err := Draw(certificate())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "page.pdf")
	if err := os.WriteFile(file, pdf, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := Code(f); err != nil || got != codeOf(certificate()) {
		t.Errorf("got %.40q, %v", got, err)
	}
}
