// Package pulse plays through a PulseAudio (or PipeWire) daemon on its native
// protocol, over a unix socket.
//
// It stands on the protocol half of jfreymuth/pulse and keeps its own streams.
// The library's streams drain too early, race with their own callbacks, and wait
// for ever when the daemon goes away in the middle of a clip.
package pulse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"kosk/drivers/sound"
	"kosk/drivers/speech"
)

// A Sink plays through one daemon. A daemon that went away is looked for again
// with the next clip.
type Sink struct {
	path string
	log  *slog.Logger

	turn sync.Mutex // held while a clip plays, so that clips don't mix

	mu     sync.Mutex
	conn   *conn // nil until connected
	closed bool
}

var _ sound.Sink = (*Sink)(nil)

// Open connects to a daemon: server is "unix:/path", "/path", or "" for the one
// that PULSE_SERVER and XDG_RUNTIME_DIR name. When nobody answers there it
// returns sound.ErrNoSink and a sink all the same: the daemon is looked for with
// every clip. Any other error comes without a sink.
func Open(server string, log *slog.Logger) (*Sink, error) {
	path, err := socket(server)
	s := &Sink{path: path, log: log}
	switch {
	case errors.Is(err, sound.ErrNoSink):
		return s, fmt.Errorf("open pulse: %w", err)
	case err != nil:
		return nil, fmt.Errorf("open pulse: %w", err)
	}
	if _, err := s.connect(); err != nil {
		return s, fmt.Errorf("open pulse: %w", err)
	}
	return s, nil
}

// connect returns the standing connection, or a new one.
func (s *Sink) connect() (*conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fmt.Errorf("closed: %w", sound.ErrNoSink)
	}
	if s.conn != nil && s.conn.alive() {
		return s.conn, nil
	}
	cookie, err := readCookie() // anew: the daemon makes it at its own first start
	if err != nil {
		return nil, fmt.Errorf("%w: %w", sound.ErrNoSink, err)
	}
	c, err := dial(s.path, cookie)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", sound.ErrNoSink, err)
	}
	s.log.Info("sound daemon connected", "socket", s.path)
	s.conn = c
	return c, nil
}

// Play plays the clip as a stream of its own.
func (s *Sink) Play(ctx context.Context, clip speech.Clip) error {
	if clip.Rate <= 0 {
		return fmt.Errorf("pulse: clip of %d samples a second", clip.Rate)
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	c, err := s.connect()
	if err != nil {
		return fmt.Errorf("pulse: %w", err)
	}
	if len(clip.Samples) == 0 {
		return nil
	}
	err = c.play(ctx, clip)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errStream):
		return fmt.Errorf("pulse: %w", err)
	}
	c.close()
	s.log.Warn("sound daemon lost", "error", err)
	return fmt.Errorf("pulse: %w: %w", sound.ErrNoSink, err)
}

// Close drops the connection; a clip that is playing ends with an error.
func (s *Sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.conn != nil {
		s.conn.close()
		s.conn = nil
	}
	return nil
}
