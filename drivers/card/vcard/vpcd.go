package vcard

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The protocol of the vpcd virtual reader: two bytes of length, then one control
// byte or a command APDU.
const (
	vpcdPort     = 35963
	controlOff   = 0
	controlOn    = 1
	controlReset = 2
	controlATR   = 4
)

// A plug is a card's connection to the reader.
type plug struct {
	card *Card
	log  *slog.Logger
	dial func(context.Context) (*net.TCPConn, error)
	stop context.CancelFunc
	done chan struct{}

	ended time.Time // when the card left; to be read after done

	mu   sync.Mutex
	conn *net.TCPConn // guarded by mu
}

// newPlug connects the card and serves it until pull.
func newPlug(ctx context.Context, c *Card, dial func(context.Context) (*net.TCPConn, error), log *slog.Logger) (*plug, error) {
	ctx, stop := context.WithCancel(ctx)
	conn, err := dial(ctx)
	if err != nil {
		stop()
		return nil, err
	}
	p := &plug{card: c, log: log, dial: dial, stop: stop, done: make(chan struct{}), conn: conn}
	go p.run(ctx)
	return p, nil
}

// pull ends the connection, waits until the card is free, and says when it was.
func (p *plug) pull() time.Time {
	p.stop()
	p.mu.Lock()
	p.conn.Close()
	p.mu.Unlock()
	<-p.done
	return p.ended
}

func (p *plug) run(ctx context.Context) {
	defer close(p.done)
	defer func() { p.ended = time.Now() }()
	defer p.stop()
	for {
		err := p.serve(ctx)
		p.mu.Lock()
		p.conn.Close()
		p.mu.Unlock()
		if !errors.Is(err, errMute) {
			p.log.Debug("card left the reader", "reason", err)
			return
		}
		// The reader threw the mute card out; it still lies in the slot.
		conn, err := p.dial(ctx)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.conn = conn
		p.mu.Unlock()
		if ctx.Err() != nil {
			conn.Close()
			return
		}
	}
}

// errMute ends a connection of a mute card when the reader has powered it.
var errMute = errors.New("card is mute")

// serve answers the reader until the connection or the card ends.
func (p *plug) serve(ctx context.Context) error {
	powered := false
	for {
		message, err := receive(p.conn)
		if err != nil {
			return err
		}
		if len(message) != 1 {
			answer, err := p.card.Transmit(ctx, message)
			if err != nil {
				return err
			}
			if err := send(p.conn, answer); err != nil {
				return err
			}
			continue
		}
		switch message[0] {
		case controlOff, controlOn, controlReset:
			powered = message[0] != controlOff
			p.card.power()
		case controlATR:
			if powered && p.card.profile.Mute {
				return errors.Join(errMute, send(p.conn, nil))
			}
			if err := send(p.conn, p.card.ATR()); err != nil {
				return err
			}
		default:
			return fmt.Errorf("control byte %02X", message[0])
		}
	}
}

// receive reads one message. The acknowledgement has to go out at once: vpcd
// sends length and content apart and waits for it, 40 ms at a time.
func receive(conn *net.TCPConn) ([]byte, error) {
	var head [2]byte
	if err := quickAck(conn); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(head[:]))
	if err := quickAck(conn); err != nil {
		return nil, err
	}
	_, err := io.ReadFull(conn, message)
	return message, err
}

func send(conn *net.TCPConn, message []byte) error {
	out := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(message)), uint16(len(message)))
	_, err := conn.Write(append(out, message...))
	return err
}

func quickAck(conn *net.TCPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
	})
	return errors.Join(err, failed)
}

// dialTime is how long the reader may take to listen.
const dialTime = startTime

// dial connects to the reader, waiting for it to listen.
func (p *process) dial(ctx context.Context) (*net.TCPConn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := p.dialOnce(ctx)
		if err == nil {
			return conn, conn.SetNoDelay(true)
		}
		select {
		case <-tick.C:
		case <-p.ended:
			return nil, fmt.Errorf("dial reader: pcscd ended: %w", err)
		case <-ctx.Done():
			return nil, fmt.Errorf("dial reader: %w", err)
		}
	}
}

func (p *process) dialOnce(ctx context.Context) (*net.TCPConn, error) {
	if !p.private {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp4", fmt.Sprintf("127.0.0.1:%d", p.port))
		if err != nil {
			return nil, err
		}
		return conn.(*net.TCPConn), nil
	}
	var conn *net.TCPConn
	err := inNamespace(p.pid(), func() (err error) {
		conn, err = connectHere(p.port)
		return err
	})
	return conn, err
}

// connectHere connects within the thread's network namespace: a socket belongs
// to the namespace that it was made in, for all its life.
func connectHere(port int) (*net.TCPConn, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "vpcd")
	defer f.Close() // FileConn has its own copy
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, err
	}
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// inNamespace calls do on a thread in the network namespace of a process. The
// thread is thrown away if it does not find back.
func inNamespace(pid int, do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		back, err := visit(pid, do)
		if back {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// visit goes into the network namespace of a process and back. back says whether
// the thread is home again.
func visit(pid int, do func() error) (back bool, err error) {
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return true, err
	}
	defer home.Close()
	there, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return true, err
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return true, err
	}
	err = do()
	return unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil, err
}

// loopbackUp switches on the loopback interface of a new network namespace.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(syscall.IFF_UP | syscall.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}
