package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"kosk/offline"
)

// The rules of the socket are:
//   - one question and one answer for each connection, each one JSON value;
//   - only root and the kiosk's own user are answered: the file's mode says so, and
//     the kernel is asked who it is;
//   - who is slow is hung up on, and few are heard at a time.

const (
	patience    = 30 * time.Second
	maxQuestion = 64 << 10                       // bytes
	maxAnswer   = 2*offline.MaxBody + (16 << 20) // bytes: a body in base64, or a long list
	atOnce      = 4
)

// Errors of asking. Compare with errors.Is.
var (
	// ErrNotRunning says that no kiosk answers at the socket.
	ErrNotRunning = errors.New("the kiosk doesn't run")
	// ErrHungUp says that the kiosk ended meanwhile, or doesn't answer this user.
	ErrHungUp = errors.New("the kiosk hung up: it answers root and its own user only")
)

// Listen makes the socket, for its owner only, in place of one that an earlier
// process left. The caller must be sure that none answers there.
func Listen(path string) (*net.UnixListener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listen: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("listen: %w", err), l.Close())
	}
	return l, nil
}

// A Server answers at a socket.
type Server struct {
	Desk *Desk
	Log  *slog.Logger

	allowed func(uid uint32) bool // nil: root and this process's user
}

// Run answers until ctx ends, and returns nil then. It closes l.
func (s *Server) Run(ctx context.Context, l *net.UnixListener) error {
	var all sync.WaitGroup
	defer all.Wait()
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	places := make(chan struct{}, atOnce)
	for {
		c, err := l.AcceptUnix()
		if ctx.Err() != nil {
			if err == nil {
				_ = c.Close()
			}
			return nil
		}
		if err != nil {
			return errors.Join(fmt.Errorf("accept: %w", err), l.Close())
		}
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			_ = c.Close()
			continue
		}
		all.Go(func() {
			defer func() { <-places }()
			s.answer(ctx, c)
		})
	}
}

// answer hears one question.
func (s *Server) answer(ctx context.Context, c *net.UnixConn) {
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_ = c.SetDeadline(time.Now().Add(patience))
	uid, err := peer(c)
	if err != nil || !s.lets(uid) {
		s.Log.Warn("control refused", "uid", uid, "err", err)
		return
	}
	var q Request
	if err := json.NewDecoder(io.LimitReader(c, maxQuestion)).Decode(&q); err != nil {
		_ = json.NewEncoder(c).Encode(refused(fmt.Errorf("not json: %w", ErrQuestion)))
		return
	}
	r := s.Desk.Do(ctx, q)
	s.Log.Info("control", "verb", string(q.Verb), "uid", uid, "ok", r.Error == "")
	_ = json.NewEncoder(c).Encode(r) // who has gone doesn't hear it
}

func (s *Server) lets(uid uint32) bool {
	if s.allowed != nil {
		return s.allowed(uid)
	}
	return uid == 0 || int(uid) == os.Geteuid()
}

// peer asks the kernel whose process is at the other end.
func peer(c *net.UnixConn) (uid uint32, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var ucred *syscall.Ucred
	var asked error
	if err := raw.Control(func(fd uintptr) {
		ucred, asked = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if asked != nil {
		return 0, asked
	}
	return ucred.Uid, nil
}

// Ask asks the kiosk that runs. Errors: ErrNotRunning, ErrHungUp,
// those of the answer, and those of the system, such as fs.ErrPermission.
func Ask(ctx context.Context, socket string, q Request) (Response, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return Response{}, ErrNotRunning
	}
	if err != nil {
		return Response{}, fmt.Errorf("ask the kiosk: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if err := json.NewEncoder(conn).Encode(q); err != nil && !errors.Is(err, syscall.EPIPE) {
		return Response{}, fmt.Errorf("ask the kiosk: %w", err)
	}
	var r Response
	err = json.NewDecoder(io.LimitReader(conn, maxAnswer)).Decode(&r)
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET):
		return Response{}, ErrHungUp
	case err != nil:
		return Response{}, fmt.Errorf("the kiosk's answer: %w", err)
	}
	return r, r.Err()
}
