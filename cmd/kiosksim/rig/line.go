package rig

import (
	"context"
	"io"
	"net"
	"sync"
)

// A Line is the wire between kiosk and bus: it carries bytes, and can be cut.
type Line struct {
	to   string
	port string

	mu       sync.Mutex
	listener net.Listener // nil while cut
	conns    map[net.Conn]bool
	running  sync.WaitGroup
}

// openLine carries from a free port on loopback to the address.
func openLine(to string) (*Line, error) {
	l := &Line{to: to, conns: map[net.Conn]bool{}, port: "0"}
	if err := l.Restore(); err != nil {
		return nil, err
	}
	_, l.port, _ = net.SplitHostPort(l.listener.Addr().String())
	return l, nil
}

// URL is what the kiosk calls.
func (l *Line) URL() string { return "https://127.0.0.1:" + l.port }

// Restore mends the line; a whole one stays as it is.
func (l *Line) Restore() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listener != nil {
		return nil
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+l.port)
	if err != nil {
		return err
	}
	l.listener = listener
	l.running.Go(func() { l.serve(listener) })
	return nil
}

// Cut breaks what is under way and lets nothing new through.
func (l *Line) Cut() {
	l.mu.Lock()
	if l.listener != nil {
		_ = l.listener.Close()
		l.listener = nil
	}
	for c := range l.conns {
		_ = c.Close()
	}
	l.mu.Unlock()
	l.running.Wait()
}

func (l *Line) serve(listener net.Listener) {
	for {
		near, err := listener.Accept()
		if err != nil {
			return
		}
		l.running.Go(func() { l.carry(near) })
	}
}

func (l *Line) carry(near net.Conn) {
	defer near.Close()
	far, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", l.to)
	if err != nil {
		return
	}
	defer far.Close()
	if !l.hold(near, far) {
		return
	}
	defer l.release(near, far)
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(far, near); _ = far.Close() })
	both.Go(func() { _, _ = io.Copy(near, far); _ = near.Close() })
	both.Wait()
}

// hold remembers connections, so that Cut can break them. It reports whether
// the line is still whole.
func (l *Line) hold(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		l.conns[c] = true
	}
	return l.listener != nil
}

func (l *Line) release(conns ...net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		delete(l.conns, c)
	}
}
