// Package stage is a person's eyes and hands at the kiosk's window: an X server
// without a display, pictures of it, and touches and keys as real X events. It
// sees what the window shows and does what a hand can do; it has no other way in.
package stage

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// A Server is an X server without a display (Xvfb), on a free number.
type Server struct {
	Display string // ":99"
	cmd     *exec.Cmd
	done    chan error
}

// startTime is how long the server may take to be there.
const startTime = time.Minute

// Serve starts an X server of w by h pixels, until ctx ends or Close.
func Serve(ctx context.Context, w, h int) (*Server, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer read.Close()
	cmd := exec.CommandContext(ctx, "Xvfb", "-displayfd", "3", "-screen", "0", fmt.Sprintf("%dx%dx24", w, h),
		"-nolisten", "tcp", "-noreset", "-ac")
	cmd.ExtraFiles = []*os.File{write}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = cmd.Start()
	_ = write.Close()
	if err != nil {
		return nil, fmt.Errorf("start Xvfb: %w", err)
	}
	s := &Server{cmd: cmd, done: make(chan error, 1)}
	go func() { s.done <- cmd.Wait() }()
	_ = read.SetReadDeadline(time.Now().Add(startTime))
	line, err := bufio.NewReader(read).ReadString('\n')
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("start Xvfb: %w", err)
	}
	s.Display = ":" + strings.TrimSpace(line)
	return s, nil
}

// Close ends the server.
func (s *Server) Close() {
	_ = s.cmd.Process.Kill()
	<-s.done
}
