package pulse

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// A daemon is a real pulseaudio of the test's own, with a null sink for a sound
// card and no way to any other. The sink takes nothing back (norewinds): what it
// has rendered is heard, as on a simple sound card, and its monitor is exact.
type daemon struct {
	dir    string
	socket string
	env    []string
	cmd    *exec.Cmd
	end    func() // kills it, and waits
}

// start runs a daemon that ends, at the latest, with the test.
func start(t *testing.T) *daemon {
	t.Helper()
	dir := t.TempDir()
	d := &daemon{dir: dir, socket: filepath.Join(dir, "native")}
	d.env = []string{
		"HOME=" + dir, "XDG_RUNTIME_DIR=" + dir, "PULSE_RUNTIME_PATH=" + dir, "PULSE_STATE_PATH=" + dir,
		"PATH=" + os.Getenv("PATH"), "PULSE_SERVER=unix:" + d.socket, "LC_ALL=C.UTF-8",
	}
	d.run(t)
	return d
}

func (d *daemon) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	d.cmd = exec.CommandContext(ctx, "pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1",
		"--high-priority=no", "--realtime=no", "--log-target=stderr", "--log-level=error",
		"-L", "module-null-sink sink_name=kiosk format=s16le channels=1 rate=22050 norewinds=1",
		"-L", "module-native-protocol-unix auth-anonymous=1 socket="+d.socket)
	d.cmd.Env = d.env
	out, err := os.Create(filepath.Join(d.dir, "pulseaudio.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	d.cmd.Stdout, d.cmd.Stderr = out, out
	if err := d.cmd.Start(); err != nil {
		t.Fatalf("%v (build/deps installs pulseaudio)", err)
	}
	cmd := d.cmd
	d.end = sync.OnceFunc(func() { cancel(); cmd.Wait() })
	t.Cleanup(d.end)
	t.Cleanup(func() {
		if t.Failed() {
			b, _ := os.ReadFile(out.Name())
			t.Logf("pulseaudio: %s", b)
		}
	})
	until(t, "the daemon answers", func() bool {
		c, err := dial(d.socket, make([]byte, cookieSize))
		if err != nil {
			return false
		}
		c.close()
		return true
	})
}

// stop kills the daemon, as a crash would.
func (d *daemon) stop() {
	d.end()
	os.Remove(d.socket)
}

// until waits for something to become true.
func until(t *testing.T, what string, true func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.After(time.Minute)
	for !true() {
		select {
		case <-tick.C:
		case <-end:
			t.Errorf("waited in vain: %s", what)
			return
		}
	}
}

func (d *daemon) open(t testing.TB) *Sink {
	t.Helper()
	s, err := Open("unix:"+d.socket, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// An ear is parec on the null sink's monitor: what was played, and when it came.
type ear struct {
	mu      sync.Mutex
	samples []int16
	loud    time.Time // when the last sample that wasn't silence came
	first   time.Time // when the first one did, after reset
}

// listen starts an ear, and waits until it hears (silence, first).
func (d *daemon) listen(t *testing.T) *ear {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	cmd := exec.CommandContext(ctx, "parec", "--device=kiosk.monitor", "--format=s16le", "--channels=1", "--rate=22050", "--raw",
		"--latency-msec=5", "--process-time-msec=5")
	cmd.Env = d.env
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v (build/deps installs pulseaudio-utils)", err)
	}
	e := &ear{}
	done := make(chan struct{})
	go func() { e.hear(out); close(done) }()
	t.Cleanup(func() { cancel(); <-done; cmd.Wait() })
	until(t, "parec records", func() bool { e.mu.Lock(); defer e.mu.Unlock(); return len(e.samples) > 0 })
	return e
}

func (e *ear) hear(r io.Reader) {
	b := make([]byte, 2)
	in := bufio.NewReader(r)
	for {
		if _, err := io.ReadFull(in, b); err != nil {
			return
		}
		v := int16(uint16(b[0]) | uint16(b[1])<<8)
		e.mu.Lock()
		e.samples = append(e.samples, v)
		if v != 0 {
			e.loud = time.Now()
			if e.first.IsZero() {
				e.first = e.loud
			}
		}
		e.mu.Unlock()
	}
}

// reset forgets what was heard.
func (e *ear) reset() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.samples, e.loud, e.first = e.samples[:0], time.Time{}, time.Time{}
}

// heard returns the samples from the first to the last that isn't silence.
func (e *ear) heard() []int16 {
	e.mu.Lock()
	defer e.mu.Unlock()
	loud := func(v int16) bool { return v != 0 }
	from := slices.IndexFunc(e.samples, loud)
	if from < 0 {
		return nil
	}
	to := len(e.samples)
	for e.samples[to-1] == 0 {
		to--
	}
	return slices.Clone(e.samples[from:to])
}

func (e *ear) times() (first, last time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.first, e.loud
}

// settle waits until the ear has heard something, and then silence for a while.
func (e *ear) settle(t *testing.T, d time.Duration) {
	t.Helper()
	until(t, "silence", func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		n := len(e.samples) - int(d*22050/time.Second)
		return n > 0 && !e.loud.IsZero() && !slices.ContainsFunc(e.samples[n:], func(v int16) bool { return v != 0 })
	})
}
