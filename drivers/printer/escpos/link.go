package escpos

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"kosk/drivers/printer"
	"kosk/drivers/serial"
)

// A link is one plugging of the line: it lives from open to unplug. Its reader
// is the only goroutine of this package.
type link struct {
	line   wire
	events chan event
	gone   chan struct{} // closed when the reader has ended
	err    error         // why; read after gone
	watch  func(event)   // sees every event that is taken; nil for nobody
	stir   chan<- struct{}
	asking atomic.Bool // what comes now may be an answer

	witness witness // of the printer at its end
}

// A wire is what a link needs of a line.
type wire interface {
	Read(p []byte) (int, error)
	Write(ctx context.Context, p []byte) (int, error)
	Duration(n int) time.Duration // of n bytes on the line
	Discard() error               // drops what isn't sent yet
	Close() error
}

// dialler opens a line, and waits for it until ctx ends.
type dialler func(ctx context.Context, o serial.Options) (wire, error)

func dialSerial(ctx context.Context, o serial.Options) (wire, error) {
	l, err := serial.Await(ctx, o)
	if err != nil {
		return nil, err // and not a nil of its type
	}
	return l, nil
}

// newLink starts the line's reader, which stirs whoever watches when the
// printer speaks by itself. The caller must hang up.
func newLink(line wire, custom bool, stir chan<- struct{}) *link {
	l := &link{line: line, events: make(chan event, 256), gone: make(chan struct{}), stir: stir}
	go l.read(&sorter{custom: custom})
	return l
}

// read sorts bytes into events until the line ends. What nobody waits for is
// dropped: all that is asked is asked again when it matters.
func (l *link) read(s *sorter) {
	defer nudge(l.stir)
	defer close(l.gone)
	buf := make([]byte, 256)
	for {
		n, err := l.line.Read(buf)
		for _, b := range buf[:n] {
			if e, ok := s.next(b); ok {
				select {
				case l.events <- e:
				default:
				}
				if e.kind == autoStatus || e.kind == customReply && !l.asking.Load() {
					nudge(l.stir)
				}
			}
		}
		if err != nil {
			l.err = err
			return
		}
	}
}

// nudge wakes whoever waits on c, once.
func nudge(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// hangUp closes the line and waits for the reader.
func (l *link) hangUp() error {
	err := l.line.Close()
	<-l.gone
	return err
}

// up reports whether the reader still reads.
func (l *link) up() bool {
	select {
	case <-l.gone:
		return false
	default:
		return true
	}
}

// forget drops events that nobody asked for.
func (l *link) forget() {
	for {
		select {
		case <-l.events:
		default:
			return
		}
	}
}

// await hands events to want until it is content or says what is wrong. Nothing
// said within the time is ErrMute, a line that ends ErrUnplugged.
func (l *link) await(ctx context.Context, patience time.Duration, want func(event) (bool, error)) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case e := <-l.events:
			if l.watch != nil {
				l.watch(e)
			}
			if done, err := want(e); done || err != nil {
				return err
			}
		case <-l.gone:
			return lineError(l.err)
		case <-timer.C:
			return printer.ErrMute
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// ask sends a command and waits for the answer of a kind.
func (l *link) ask(ctx context.Context, command []byte, patience time.Duration, k kind) (event, error) {
	l.asking.Store(true)
	defer l.asking.Store(false)
	if _, err := l.line.Write(ctx, command); err != nil {
		return event{}, lineError(err)
	}
	var answer event
	err := l.await(ctx, patience, func(e event) (bool, error) {
		if e.kind == k {
			answer = e
		}
		return e.kind == k, nil
	})
	return answer, err
}

// lineError puts a line's error into the words of the contract.
func lineError(err error) error {
	switch {
	case errors.Is(err, serial.ErrUnplugged), errors.Is(err, serial.ErrBusy), errors.Is(err, serial.ErrDenied):
		return fmt.Errorf("%w: %w", printer.ErrUnplugged, err)
	case errors.Is(err, serial.ErrTimeout):
		return fmt.Errorf("%w: %w", printer.ErrMute, err)
	}
	return err
}
