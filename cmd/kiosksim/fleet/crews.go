package fleet

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// A Program is how to start a process that runs Crew.
type Program struct {
	Path string
	Args []string
	Env  []string // beside this process's own
}

// A Promise is a request that a kiosk has stored and promised.
type Promise struct {
	Station string
	Seq     uint64
}

// heard is what crews have said, in all their lives.
type heard struct {
	mu       sync.Mutex // guards all below
	promises map[Promise]bool
	waits    []float64 // milliseconds
	tally    Tally
	tallies  int
}

func newHeard() *heard { return &heard{promises: map[Promise]bool{}} }

// A team is one process of kiosks.
type team struct {
	cmd        *exec.Cmd
	words      io.WriteCloser // its standard input: closed, it ends
	held       chan struct{}  // closed when it holds its backlog
	empty      chan struct{}  // closed when its queues are empty
	done       chan struct{}  // closed when it has ended
	err        error          // why; set before done is closed
	complaints bytes.Buffer
}

// start starts a process of kiosks; what it says goes to h.
func (p Program) start(ctx context.Context, o Order, h *heard) (*team, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	t := &team{held: make(chan struct{}), empty: make(chan struct{}), done: make(chan struct{})}
	t.cmd = exec.CommandContext(ctx, p.Path, p.Args...)
	t.cmd.Env = append(os.Environ(), p.Env...)
	t.cmd.Stderr = &t.complaints
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	said, err := t.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if t.words, err = t.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := t.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start kiosks: %w", err)
	}
	_, _ = t.words.Write(append(text, '\n')) // who has died says so below
	go func() {
		defer close(t.done)
		err := t.listen(said, h)
		if ended := t.cmd.Wait(); err == nil && ended != nil {
			err = fmt.Errorf("kiosks: %w: %s", ended, lastLine(t.complaints.Bytes()))
		}
		t.err = err
	}()
	return t, nil
}

// listen takes down what the process says until it ends.
func (t *team) listen(said io.Reader, h *heard) error {
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		line := lines.Text()
		if line == "" {
			continue
		}
		if err := t.note(line[0], line[1:], h); err != nil {
			return fmt.Errorf("kiosks said %q: %w", line, err)
		}
	}
	return nil // a broken pipe is a killed process
}

func (t *team) note(word byte, rest string, h *heard) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch word {
	case saidPromise:
		station, number, _ := strings.Cut(rest, " ")
		seq, err := strconv.ParseUint(number, 10, 64)
		h.promises[Promise{station, seq}] = true
		return err
	case saidWaited:
		ms, err := strconv.ParseFloat(rest, 64)
		h.waits = append(h.waits, ms)
		return err
	case saidTally:
		var one Tally
		err := json.Unmarshal([]byte(rest), &one)
		h.tally.add(one)
		h.tallies++
		return err
	case saidHeld:
		close(t.held)
	case saidEmpty:
		close(t.empty)
	default:
		return fmt.Errorf("no such word")
	}
	return nil
}

// kill ends the process at once, as a power cut would.
func (t *team) kill() {
	_ = t.cmd.Process.Kill() // it may have ended
	<-t.done
}

// stop asks the process to end and returns why it could not, if so.
func (t *team) stop() error {
	_ = t.words.Close() // it may have ended
	<-t.done
	return t.err
}
