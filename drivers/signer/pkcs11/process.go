package pkcs11

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"github.com/miekg/pkcs11"
	"golang.org/x/sys/unix"

	"kosk/drivers/signer"
)

// What a process is started for.
const (
	doLoad   = "load"   // nothing more
	doTokens = "tokens" // say which keys there are
	doTries  = "tries"  // say how many tries a PIN has left
	doSign   = "sign"   // log in and sign once
)

// An order goes to the process on its standard input, as one line of JSON; the
// PIN follows, so that no copy of it is made on the way.
type order struct {
	Do     string
	Module string // path
	Prefix string // of the slot's name
	Token  *token `json:",omitempty"`
	Hash   crypto.Hash
	Digest []byte `json:",omitempty"`
	PIN    int    // bytes that follow
}

// An answer comes back in the file answers, as JSON: standard output is the module's
// to write on, and nobody reads it.
type answer struct {
	Tokens    []*token `json:",omitempty"`
	Tries     int      `json:",omitempty"`
	Signature []byte   `json:",omitempty"`
	Error     string   `json:",omitempty"`
	Code      uint     `json:",omitempty"` // what the module said, CKR_
	Fault     int      `json:",omitempty"` // place in faults, from 1
}

// faults are the errors that keep their identity from one process to the other.
var faults = [...]error{signer.ErrNoKeys, errOther, ErrNoModule}

// errBroken says that the module did not do its errand at all: its process ended
// before, or said what nobody understands.
var errBroken = errors.New("pkcs#11 process broke off")

const (
	// errandOf in the environment marks a process that is to do one errand.
	errandOf = "KOSK_PKCS11_ERRAND"
	// answers is the descriptor of the sheet: the first of ExtraFiles.
	answers = 3
	// longestAnswer is far above two certificates.
	longestAnswer = 1 << 18
)

// send has a process do an errand with the module, and ends it when ctx does.
func (o *Opener) send(ctx context.Context, todo order, pin []byte) (answer, error) {
	todo.Module, todo.Prefix, todo.PIN = o.module, o.prefix, len(pin)
	line, err := json.Marshal(todo)
	if err != nil {
		return answer{}, err
	}
	if os.Getenv(errandOf) != "" {
		return answer{}, fmt.Errorf("%w: this program doesn't begin with Main", errBroken)
	}
	said, err := sheet()
	if err != nil {
		return answer{}, err
	}
	defer said.Close()
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Env = append(os.Environ(), errandOf+"="+todo.Do)
	cmd.ExtraFiles = []*os.File{said}
	// It ends with us: with this thread, which therefore must not end before it. What
	// a module has started ends with it, where nobody waits for the errand any more.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return answer{}, err
	}
	_, err = in.Write(append(line, '\n'))
	if err == nil {
		_, err = in.Write(pin)
	}
	err = errors.Join(err, cmd.Wait())
	text, unread := io.ReadAll(io.NewSectionReader(said, 0, longestAnswer+1))
	err = errors.Join(err, unread)
	if ctx.Err() != nil {
		return answer{}, ctx.Err()
	}
	if err != nil {
		return answer{}, fmt.Errorf("%w: %w", errBroken, err)
	}
	return parseAnswer(text)
}

// sheet is a file in memory without a name, for an answer. With a pipe, a module that
// writes more than anybody reads, or leaves a process behind that holds the other end,
// would keep us waiting.
func sheet() (*os.File, error) {
	fd, err := unix.MemfdCreate("answer", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make room for an answer: %w", err)
	}
	return os.NewFile(uintptr(fd), "answer"), nil
}

// parseAnswer returns what a process answered, or the error that it met.
func parseAnswer(said []byte) (answer, error) {
	var a answer
	switch err := json.Unmarshal(said, &a); {
	case len(said) > longestAnswer:
		return answer{}, fmt.Errorf("%w: an answer of more than %d bytes", errBroken, longestAnswer)
	case err != nil:
		return answer{}, fmt.Errorf("%w: %w", errBroken, err)
	case a.Fault < 0 || a.Fault > len(faults):
		return answer{}, fmt.Errorf("%w: fault %d", errBroken, a.Fault)
	case a.Fault > 0:
		return answer{}, fmt.Errorf("%w: %s", faults[a.Fault-1], a.Error)
	case a.Code != 0:
		return answer{}, fmt.Errorf("%s: %w", a.Error, pkcs11.Error(a.Code))
	case a.Error != "":
		return answer{}, fmt.Errorf("%w: %s", errBroken, a.Error)
	}
	for _, t := range a.Tokens {
		if t == nil {
			return answer{}, fmt.Errorf("%w: a token of nothing", errBroken)
		}
	}
	return a, nil
}

// Main does the errand that this process was started for, and says whether there
// was one: the program has nothing else to do then. A program that calls Load calls
// it before anything else.
func Main() (done bool) {
	if os.Getenv(errandOf) == "" {
		return false
	}
	todo, pin, err := readOrder(bufio.NewReader(os.Stdin))
	var a answer
	if err == nil {
		a, err = obey(todo, pin)
	}
	if err != nil {
		a = refusal(err)
	}
	_ = a.write() // whoever waits for it sees that there is none
	return true
}

// readOrder reads an order and the PIN behind it.
func readOrder(in *bufio.Reader) (todo order, pin []byte, err error) {
	line, err := in.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &todo)
	}
	if err != nil {
		return order{}, nil, fmt.Errorf("order: %w", err)
	}
	pin = make([]byte, todo.PIN)
	if _, err := io.ReadFull(in, pin); err != nil {
		return order{}, nil, fmt.Errorf("order: %w", err)
	}
	return todo, pin, nil
}

// refusal is the answer that carries an error.
func refusal(err error) answer {
	a := answer{Error: err.Error()}
	for i, fault := range faults {
		if errors.Is(err, fault) {
			a.Fault = i + 1
		}
	}
	if code, is := errors.AsType[pkcs11.Error](err); is {
		a.Code = uint(code)
	}
	return a
}

// write gives the answer to whoever waits for it.
func (a answer) write() error {
	text, err := json.Marshal(a)
	if err != nil {
		return err
	}
	out := os.NewFile(answers, "answers")
	_, err = io.Copy(out, bytes.NewReader(text))
	return errors.Join(err, out.Close())
}
