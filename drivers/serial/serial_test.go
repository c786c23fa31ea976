package serial_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/creack/pty"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"kosk/drivers/serial"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A peer is the other end of a line, behind a path that stays.
type peer struct {
	master, slave *os.File
	link          string
}

func plug(t *testing.T, link string) *peer {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(link)
	if err := os.Symlink(slave.Name(), link); err != nil {
		t.Fatal(err)
	}
	p := &peer{master: master, slave: slave, link: link}
	t.Cleanup(p.unplug)
	return p
}

func (p *peer) unplug() {
	os.Remove(p.link)
	p.slave.Close()
	p.master.Close()
}

func open(t *testing.T, o serial.Options) *serial.Line {
	t.Helper()
	l, err := serial.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func options(t *testing.T) serial.Options {
	return serial.Options{Path: filepath.Join(t.TempDir(), "line"), Baud: 115200, Stall: 200 * time.Millisecond}
}

func TestAllBytesPassBothWays(t *testing.T) {
	for _, flow := range []serial.Flow{serial.NoFlow, serial.RtsCts} {
		o := options(t)
		o.Flow = flow
		p := plug(t, o.Path)
		l := open(t, o)
		every := make([]byte, 256)
		for i := range every {
			every[i] = byte(i)
		}
		if n, err := l.Write(t.Context(), every); n != 256 || err != nil {
			t.Fatalf("%s: write: %d, %v", flow, n, err)
		}
		got := make([]byte, 256)
		if _, err := io.ReadFull(p.master, got); err != nil || !bytes.Equal(got, every) {
			t.Fatalf("%s: peer got % X, %v", flow, got, err)
		}
		if _, err := p.master.Write(every); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(l, got); err != nil || !bytes.Equal(got, every) {
			t.Fatalf("%s: line got % X, %v", flow, got, err)
		}
	}
}

func TestAStalledPeerEndsTheWriteAndKeepsTheCount(t *testing.T) {
	o := options(t)
	p := plug(t, o.Path)
	l := open(t, o)
	start := time.Now()
	n, err := l.Write(t.Context(), make([]byte, 1<<20))
	if !errors.Is(err, serial.ErrTimeout) {
		t.Fatalf("write: %d, %v, want a time-out", n, err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("the write took %v", took)
	}
	got := 0
	buf := make([]byte, 1<<16)
	for got < n {
		k, err := p.master.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got += k
	}
	if got != n {
		t.Errorf("the write said %d bytes, the peer got %d", n, got)
	}
}

func TestASlowPeerIsWaitedFor(t *testing.T) {
	o := options(t)
	o.Stall = 2 * time.Second // a busy machine's pause is no stall
	p := plug(t, o.Path)
	l := open(t, o)
	const size = 40_000
	done := make(chan int)
	go func() {
		got, buf := 0, make([]byte, 500)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for got < size {
			<-tick.C
			n, err := p.master.Read(buf)
			if err != nil {
				break
			}
			got += n
		}
		done <- got
	}()
	n, err := l.Write(t.Context(), make([]byte, size))
	if n != size || err != nil {
		p.unplug()
		t.Errorf("write: %d, %v", n, err)
	}
	if got := <-done; got != size {
		t.Errorf("the peer got %d bytes", got)
	}
}

func TestUnpluggedInMidWrite(t *testing.T) {
	o := options(t)
	o.Stall = 5 * time.Second
	p := plug(t, o.Path)
	l := open(t, o)
	timer := time.AfterFunc(50*time.Millisecond, p.unplug)
	defer timer.Stop()
	start := time.Now()
	_, err := l.Write(t.Context(), make([]byte, 1<<20))
	if !errors.Is(err, serial.ErrUnplugged) {
		t.Errorf("write: %v, want unplugged", err)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("the write took %v", took)
	}
	if _, err := l.Read(make([]byte, 1)); !errors.Is(err, serial.ErrUnplugged) {
		t.Errorf("read: %v, want unplugged", err)
	}
}

func TestACancelledWriteEnds(t *testing.T) {
	o := options(t)
	o.Stall = 10 * time.Second
	plug(t, o.Path)
	l := open(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := l.Write(ctx, make([]byte, 1<<20)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("write: %v", err)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("the write took %v", took)
	}
}

func TestCloseEndsABlockedReadAndWriteAtOnce(t *testing.T) {
	o := options(t)
	o.Stall = 10 * time.Second
	plug(t, o.Path)
	l := open(t, o)
	ended := make(chan error, 2)
	go func() { _, err := l.Read(make([]byte, 1)); ended <- err }()
	go func() { _, err := l.Write(context.Background(), make([]byte, 1<<20)); ended <- err }()
	timer := time.NewTimer(50 * time.Millisecond)
	<-timer.C
	start := time.Now()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := <-ended; !errors.Is(err, os.ErrClosed) {
			t.Errorf("ended with %v, want closed", err)
		}
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("close took %v", took)
	}
}

func TestReplugged(t *testing.T) {
	o := options(t)
	if _, err := serial.Open(o); !errors.Is(err, serial.ErrUnplugged) {
		t.Fatalf("open: %v, want unplugged", err)
	}
	p := plug(t, o.Path)
	open(t, o)
	p.unplug()
	back := make(chan *peer, 1)
	timer := time.AfterFunc(150*time.Millisecond, func() { back <- plug(t, o.Path) })
	defer timer.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	l, err := serial.Await(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Write(ctx, []byte("salam")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull((<-back).master, got); err != nil || string(got) != "salam" {
		t.Errorf("peer got %q, %v", got, err)
	}
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := serial.Await(ctx, options(t))
	if !errors.Is(err, serial.ErrUnplugged) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("await: %v", err)
	}
}

func TestXoffStopsTheLineAndDiscardFreesIt(t *testing.T) {
	o := options(t)
	o.Flow = serial.XonXoff
	p := plug(t, o.Path)
	l := open(t, o)
	if _, err := p.master.Write([]byte{0x13}); err != nil { // XOFF
		t.Fatal(err)
	}
	sent, err := 0, error(nil)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for sent < 1000 && err == nil { // the XOFF is on its way for a moment
		<-tick.C
		var n int
		n, err = l.Write(t.Context(), []byte("."))
		sent += n
	}
	if !errors.Is(err, serial.ErrTimeout) {
		t.Fatalf("write after XOFF: %d, %v, want a time-out", sent, err)
	}
	if err := l.Discard(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Write(t.Context(), []byte("free")); err != nil {
		t.Fatalf("write after discard: %v", err)
	}
	got := make([]byte, sent+4)
	if _, err := io.ReadFull(p.master, got); err != nil || string(got[sent:]) != "free" {
		t.Errorf("peer got %q, %v", got, err)
	}
}

func TestThePortIsTakenAndGivenBack(t *testing.T) {
	o := options(t)
	p := plug(t, o.Path)
	l := open(t, o)
	if !exclusive(t, p.slave) {
		t.Error("an open line is not exclusive")
	}
	l.Close()
	if exclusive(t, p.slave) {
		t.Error("a closed line is still exclusive")
	}
}

func exclusive(t *testing.T, f *os.File) bool {
	t.Helper()
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	held := 0
	raw.Control(func(fd uintptr) { held, err = unix.IoctlGetInt(int(fd), unix.TIOCGEXCL) })
	if err != nil {
		t.Fatal(err)
	}
	return held != 0
}

func TestWrongSettingsAreRefused(t *testing.T) {
	o := options(t)
	plug(t, o.Path)
	for _, wrong := range []serial.Options{
		{Path: o.Path, Baud: 12345},
		{Path: o.Path, Baud: 9600, Flow: "sometimes"},
		{Path: "/dev/null", Baud: 9600},
	} {
		if l, err := serial.Open(wrong); err == nil {
			l.Close()
			t.Errorf("%+v was opened", wrong)
		}
	}
}

// A chunk may take its own time on the line, and the stall beyond that: at 1200
// baud 256 bytes are two seconds, so a peer that stops reading is noticed then.
func TestAChunkHasTheLinesOwnTimeAndTheStall(t *testing.T) {
	o := options(t)
	o.Baud = 1200
	plug(t, o.Path)
	l := open(t, o)
	own := 256 * 10 * time.Second / 1200
	if got := l.Duration(256); got != own {
		t.Errorf("256 bytes take %v, want %v", got, own)
	}
	start := time.Now()
	if _, err := l.Write(t.Context(), make([]byte, 1<<20)); !errors.Is(err, serial.ErrTimeout) {
		t.Fatalf("write: %v, want a time-out", err)
	}
	if took := time.Since(start); took < own+o.Stall || took > own+o.Stall+5*time.Second {
		t.Errorf("the stall was noticed after %v, want %v", took, own+o.Stall)
	}
}

// XON and XOFF are only taken out of what is received where they mean that:
// Custom's raw status holds the same bytes.
func TestXonAndXoffPassWhereTheyAreData(t *testing.T) {
	for _, flow := range []serial.Flow{"", serial.NoFlow, serial.RtsCts} {
		o := options(t)
		o.Flow = flow
		p := plug(t, o.Path)
		l := open(t, o)
		status := []byte{0x10, 0x0F, 0x11, 0x13, 0x13, 0x11}
		if _, err := p.master.Write(status); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(status))
		if _, err := io.ReadFull(l, got); err != nil || !bytes.Equal(got, status) {
			t.Errorf("%q: got % X, %v", flow, got, err)
		}
		if _, err := l.Write(t.Context(), []byte("on")); err != nil {
			t.Errorf("%q: a 13h stopped the line: %v", flow, err)
		}
	}
}
