package crashtest

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"kosk/offline"
	"kosk/offline/queue"
)

// orderVariable holds the order of a child, as JSON: the test's own binary is
// started again with it.
const orderVariable = "KOSK_CRASH_ORDER"

// No child lives longer, whatever becomes of the test that started it.
const longestLife = 60 * time.Second

// A lie is how a kiosk breaks its promises, so that a gate can be seen to notice.
type lie string

const (
	lieEarly   lie = "promise before stored" // it acknowledges, and puts then
	lieDeaf    lie = "errors unheard"        // it acknowledges whatever Put has said
	lieIDs     lie = "new ids"               // it sends again under another id
	lieStreams lie = "streams mixed"         // it puts items of one stream into many
)

// An order tells a child what to do.
type order struct {
	Path    string
	From    int  // number of the first item
	Puts    int  // items per writer; 0: for ever
	Options size // of the queue
	Lie     lie
	Bus     *address // be a whole kiosk with a courier; nil: be a writer
	Look    bool     // of a writer: open, close, and nothing else
	Compact bool     // of a writer: compact at once, if the queue is one that does
	Sealed  bool     // of a writer: its data keys are wrapped
	Mind    string   // unmount what is mounted here when the parent is gone; nothing else
	Drain   bool     // of a kiosk: put nothing, and end when the queue is empty
}

// size is the bound of a queue's file. Small ones make small crash states.
type size int64

// options of a queue in which no receipt is forgotten while a gate looks for it.
func (s size) options() queue.Options {
	return queue.Options{MaxSize: int64(s), MaxReceipts: 1 << 20, LockWait: 5 * time.Second}
}

// command starts this binary as a child, below another program if one is named.
func (o order) command(ctx context.Context, below ...string) (*exec.Cmd, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := append(below, self)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	// Signals for preemption would double the stops of a traced child.
	cmd.Env = append(os.Environ(), orderVariable+"="+string(text), "GODEBUG=asyncpreemptoff=1")
	return cmd, nil
}

// obey does what the environment orders, if it does, and ends the process then.
func obey() {
	text := os.Getenv(orderVariable)
	if text == "" {
		return
	}
	var o order
	err := json.Unmarshal([]byte(text), &o)
	if o.Mind == "" {
		time.AfterFunc(longestLife, func() { syscall.Kill(os.Getpid(), syscall.SIGKILL) }) //nolint:errcheck
	}
	switch {
	case err != nil:
	case o.Mind != "":
		err = o.mind()
	case o.Bus != nil:
		err = o.serve()
	default:
		err = o.write()
	}
	if err != nil {
		say("!%v", err)
		os.Exit(1)
	}
	say(".")
	os.Exit(0)
}

// say is one write of one line, so that a trace shows when it was said.
func say(format string, args ...any) {
	if _, err := fmt.Printf(format+"\n", args...); err != nil {
		os.Exit(1) // nobody listens any more
	}
}

// mind waits for the end of its input, which is the end of the parent however it
// came, and takes away a mount that the parent could not.
func (o order) mind() error {
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	if err := unix.Unmount(o.Mind, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

// write opens the queue and puts, acknowledges and parks items.
func (o order) write() error {
	runtime.LockOSThread() // strace counts the calls of each thread by themselves
	opts := o.Options.options()
	if o.Compact {
		compacting(&opts)
	}
	q, err := open(context.Background(), o.Path, opts, o.Sealed)
	if err != nil {
		return err
	}
	say("=")
	if o.Look {
		return q.Close()
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			if err := o.put(ctx, q, w); err != nil {
				say("!%v", err)
			}
		})
	}
	go func() {
		all.Wait()
		cancel()
	}()
	err = q.Run(ctx)
	all.Wait()
	return errors.Join(err, q.Close())
}

// open opens the queue, with its data keys wrapped or bare.
func open(ctx context.Context, path string, o queue.Options, sealed bool) (*queue.Queue, error) {
	if !sealed {
		return queue.Open(path, o)
	}
	block, err := aes.NewCipher([]byte("a key that outlives every power cut")[:32])
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return queue.OpenSealed(ctx, path, o, safe{aead})
}

// A safe wraps data keys. Its own key is always to be had.
type safe struct{ aead cipher.AEAD }

func (s safe) Wrap(_ context.Context, key []byte) ([]byte, error) {
	return s.aead.Seal(nil, nil, key, nil), nil
}

func (s safe) Unwrap(_ context.Context, wrapped []byte) ([]byte, error) {
	return s.aead.Open(nil, nil, wrapped, nil)
}

// put is what one writer does. It ends at the first error, and when the queue is full.
func (o order) put(ctx context.Context, q *queue.Queue, w int) error {
	first := o.From + (w-o.From%writers+writers)%writers
	for i := 0; o.Puts == 0 || i < o.Puts; i++ {
		n := first + i*writers
		if o.Lie == lieEarly {
			say("+%d", n)
		}
		err := q.Put(ctx, item(n, fmt.Sprint(w)))
		switch {
		case o.Lie == lieDeaf:
			say("+%d", n)
			continue
		case errors.Is(err, offline.ErrFull):
			return nil
		case err != nil:
			return err
		case o.Lie == "":
			say("+%d", n)
		}
		if err := fulfil(ctx, q, n); err != nil {
			return err
		}
	}
	return nil
}

// fulfil gives item n the end that its number tells.
func fulfil(ctx context.Context, q *queue.Queue, n int) error {
	switch n % fates {
	case fateDone, fateDone2:
		if err := q.Sending(ctx, id(n)); err != nil {
			return err
		}
		if err := q.Done(ctx, id(n), []byte("receipt of the bus")); err != nil {
			return err
		}
		say("-%d", n)
	case fatePark:
		if err := q.Park(ctx, id(n), offline.ReasonConflict); err != nil {
			return err
		}
		say("*%d", n)
	}
	return nil
}

// compactOver has the queue compact a file over so many bytes when it opens it.
const compactOver = 1 << 20

// compacting sets when the queue compacts.
func compacting(o *queue.Options) { o.CompactOver = compactOver }
