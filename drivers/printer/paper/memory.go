package paper

import (
	"context"
	"io"
	"os"
	"sync"
)

// memory is a line without a system behind it, so that many printers can be run
// through many troubles, with a clock that jumps (testing/synctest).
type memory struct {
	down, up chan []byte // to the printer, and from it
	closed   chan struct{}
	once     sync.Once
	rest     []byte // of what the printer reads
}

func newMemory() *memory {
	return &memory{down: make(chan []byte, 2), up: make(chan []byte, 64), closed: make(chan struct{})}
}

func (m *memory) Read(p []byte) (int, error) {
	if len(m.rest) == 0 {
		select {
		case m.rest = <-m.down:
		case <-m.closed:
			return 0, io.EOF
		}
	}
	n := copy(p, m.rest)
	m.rest = m.rest[n:]
	return n, nil
}

func (m *memory) Write(b []byte) {
	select {
	case m.up <- append([]byte(nil), b...):
	default:
	}
}

func (m *memory) Release() {}

func (m *memory) Close() { m.once.Do(func() { close(m.closed) }) }

// A Host is the other end of a line in memory. A line that was unplugged ends
// with io.EOF, one that was closed with os.ErrClosed.
type Host struct {
	line *memory
	shut chan struct{}
	once sync.Once
	rest []byte
}

// Dial takes the host's end of the line of a printer opened with Memory. While
// it is unplugged that is os.ErrNotExist.
func (p *Paper) Dial() (*Host, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.plug == nil {
		return nil, os.ErrNotExist
	}
	line, ok := p.plug.port.(*memory)
	if !ok {
		return nil, os.ErrInvalid
	}
	h := &Host{line: line, shut: make(chan struct{})}
	for { // answers to somebody else
		select {
		case <-line.up:
			continue
		default:
		}
		return h, nil
	}
}

func (h *Host) Read(p []byte) (int, error) {
	if len(h.rest) == 0 {
		select {
		case h.rest = <-h.line.up:
		case <-h.line.closed:
			return 0, io.EOF
		case <-h.shut:
			return 0, os.ErrClosed
		}
	}
	n := copy(p, h.rest)
	h.rest = h.rest[n:]
	return n, nil
}

// Write hands bytes over in pieces as a serial driver does; it says how many
// were taken when ctx ends it.
func (h *Host) Write(ctx context.Context, p []byte) (int, error) {
	const piece = 64
	for at := 0; at < len(p); at += piece {
		select {
		case <-h.line.closed:
			return at, io.EOF
		case <-h.shut:
			return at, os.ErrClosed
		default:
		}
		select {
		case h.line.down <- append([]byte(nil), p[at:min(at+piece, len(p))]...):
		case <-h.line.closed:
			return at, io.EOF
		case <-h.shut:
			return at, os.ErrClosed
		case <-ctx.Done():
			return at, ctx.Err()
		}
	}
	return len(p), nil
}

// Discard drops what the printer hasn't read yet.
func (h *Host) Discard() {
	for {
		select {
		case <-h.line.down:
			continue
		default:
		}
		return
	}
}

// Close gives the line back.
func (h *Host) Close() error {
	h.once.Do(func() { close(h.shut) })
	return nil
}
