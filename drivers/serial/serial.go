// Package serial is a line to a device that can be unplugged, can stop reading
// and can come back: every write has a deadline, Close never hangs, and errors
// say which of these it was. Start at Open.
//
// github.com/tarm/serial opens and configures the port; reading and writing go
// through a second descriptor of the same port, since tarm's own Close hangs
// behind a blocked Read or Write and its time-outs look like an unplugged line.
package serial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/tarm/serial"
	"golang.org/x/sys/unix"
)

// Errors of a line. Compare with errors.Is.
var (
	ErrUnplugged = errors.New("line unplugged")   // the port is gone, or was never there
	ErrTimeout   = errors.New("line stalled")     // the other side takes no bytes
	ErrBusy      = errors.New("line in use")      // another program holds the port
	ErrDenied    = errors.New("line not allowed") // the port's owner is somebody else
)

// A Flow is how the other side says "wait".
type Flow string

// The flow controls.
const (
	NoFlow  Flow = "none"
	XonXoff Flow = "xonxoff" // never with a device whose answers can hold 11h or 13h
	RtsCts  Flow = "rtscts"
)

// Options say which port, and how it is driven.
type Options struct {
	Path  string
	Baud  int           // 8 data bits, no parity, 1 stop bit
	Flow  Flow          // "" is NoFlow
	Stall time.Duration // how long the other side may take no bytes; 0 is one second
}

// chunk is how many bytes get one deadline: small enough to notice a stall
// early, large enough to keep the line busy.
const chunk = 256

// Arguments of TCXONC, tcflow(3).
const (
	tcooff = 0
	tcoon  = 1
)

// A Line is an open port. Read may be called by one goroutine while another
// one writes; Close may be called by any.
type Line struct {
	file  *os.File
	baud  int
	stall time.Duration

	writing sync.Mutex // one Write at a time
	once    sync.Once
	closed  error
}

// Open opens the port raw, at the speed given, for this process alone. What
// had been received before is dropped. A port that isn't there is ErrUnplugged.
func Open(o Options) (*Line, error) {
	if o.Stall == 0 {
		o.Stall = time.Second
	}
	port, err := serial.OpenPort(&serial.Config{Name: o.Path, Baud: o.Baud, ReadTimeout: 100 * time.Millisecond})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", o.Path, kind(err))
	}
	// The port stays configured while one descriptor of it is open, so tarm's
	// goes as soon as ours is there.
	defer port.Close()
	file, err := os.OpenFile(o.Path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s again: %w", o.Path, kind(err))
	}
	l := &Line{file: file, baud: o.Baud, stall: o.Stall}
	if err := l.prepare(o.Flow); err != nil {
		l.Close()
		return nil, fmt.Errorf("prepare %s: %w", o.Path, kind(err))
	}
	return l, nil
}

// prepare takes the port for this process, sets its flow control and drops
// what it holds.
func (l *Line) prepare(flow Flow) error {
	if err := l.file.SetDeadline(time.Time{}); err != nil {
		return err // a file that knows no deadlines is no line
	}
	return l.control(func(fd int) error {
		if err := unix.IoctlSetInt(fd, unix.TIOCEXCL, 0); err != nil {
			return err
		}
		t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			return err
		}
		t.Iflag &^= unix.IXON | unix.IXOFF | unix.IXANY
		t.Cflag &^= unix.CRTSCTS
		switch flow {
		case "", NoFlow:
		case XonXoff:
			t.Iflag |= unix.IXON // IXOFF would set XOFF bytes among our own data
			t.Cc[unix.VSTART], t.Cc[unix.VSTOP] = 0x11, 0x13
		case RtsCts:
			t.Cflag |= unix.CRTSCTS
		default:
			return fmt.Errorf("flow control %q: unknown", flow)
		}
		if err := unix.IoctlSetTermios(fd, unix.TCSETS, t); err != nil {
			return err
		}
		return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIOFLUSH)
	})
}

// Read waits for bytes. It ends with ErrUnplugged when the port goes, and with
// os.ErrClosed after Close.
func (l *Line) Read(p []byte) (int, error) {
	n, err := l.file.Read(p)
	if err != nil {
		return n, kind(err)
	}
	return n, nil
}

// Write hands p to the line and returns how many bytes it took. They count as
// gone, also when an error follows: ErrTimeout when the other side took none
// for longer than the line's own time and the stall allowed, ErrUnplugged, or
// the context's error. That all were taken doesn't say that any has arrived.
func (l *Line) Write(ctx context.Context, p []byte) (int, error) {
	l.writing.Lock()
	defer l.writing.Unlock()
	stop := context.AfterFunc(ctx, func() { l.file.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	sent := 0
	for sent < len(p) {
		part := p[sent:min(sent+chunk, len(p))]
		// The kernel may still hold up to a page of earlier bytes: those are
		// paid for by the stall budget, which starts anew with each chunk.
		if err := l.file.SetWriteDeadline(time.Now().Add(l.Duration(len(part)) + l.stall)); err != nil {
			return sent, kind(err)
		}
		if err := ctx.Err(); err != nil {
			return sent, err // cancelled before the deadline above was set anew
		}
		n, err := l.file.Write(part)
		sent += n
		if err != nil {
			if ctx.Err() != nil {
				return sent, ctx.Err()
			}
			return sent, kind(err)
		}
	}
	return sent, nil
}

// Duration is how long n bytes are on the line: ten bits each.
func (l *Line) Duration(n int) time.Duration {
	return time.Duration(n) * 10 * time.Second / time.Duration(l.baud)
}

// Discard drops what the kernel still holds to send, and ends a stop that an
// XOFF began, so that a real-time command can reach a device that is busy.
func (l *Line) Discard() error {
	err := l.control(func(fd int) error {
		if err := unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCOFLUSH); err != nil {
			return err
		}
		// The kernel starts only what it was itself told to stop: an XOFF's stop
		// is made its own first.
		if err := unix.IoctlSetInt(fd, unix.TCXONC, tcooff); err != nil {
			return err
		}
		return unix.IoctlSetInt(fd, unix.TCXONC, tcoon)
	})
	if err != nil {
		return kind(err)
	}
	return nil
}

// Close gives the port back at once: bytes not yet sent are dropped, a blocked
// Read or Write ends.
func (l *Line) Close() error {
	l.once.Do(func() {
		// Without the flush the kernel may wait 30 s for a device that takes nothing.
		_ = l.control(func(fd int) error {
			_ = unix.IoctlSetInt(fd, unix.TIOCNXCL, 0)
			return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCOFLUSH)
		})
		l.closed = l.file.Close()
	})
	return l.closed
}

// control runs f on the descriptor, without making it blocking as Fd would.
func (l *Line) control(f func(fd int) error) error {
	raw, err := l.file.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// Await opens the port, trying again with growing pauses (100 ms up to 2 s)
// for as long as it isn't there or is busy. The path should be one that stays:
// /dev/serial/by-path/...
func Await(ctx context.Context, o Options) (*Line, error) {
	pause := 100 * time.Millisecond
	for {
		l, err := Open(o)
		if err == nil || !errors.Is(err, ErrUnplugged) && !errors.Is(err, ErrBusy) {
			return l, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("%w (%w)", err, ctx.Err())
		case <-timer.C:
		}
		pause = min(2*pause, 2*time.Second)
	}
}

// kind wraps an error of the kernel in the line's own.
func kind(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrTimeout
	case errors.Is(err, os.ErrClosed):
		return err
	case errors.Is(err, io.EOF), // read after a hang-up
		errors.Is(err, syscall.EIO), errors.Is(err, syscall.ENXIO), errors.Is(err, syscall.ENODEV),
		errors.Is(err, syscall.EPIPE), errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w: %w", ErrUnplugged, err)
	case errors.Is(err, syscall.EBUSY):
		return fmt.Errorf("%w: %w", ErrBusy, err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w: %w", ErrDenied, err)
	}
	return err
}
