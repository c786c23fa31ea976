package escpos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"kosk/drivers/printer"
	"kosk/drivers/printer/paper"
	"kosk/drivers/serial"
)

// OverMemory lets a printer be opened on a line in memory.
func OverMemory(o Options, p *paper.Paper) Options {
	o.dial = func(_ context.Context, so serial.Options) (wire, error) {
		h, err := p.Dial()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", serial.ErrUnplugged, err)
		}
		return &hostWire{h, so.Baud, so.Stall}, nil
	}
	return o
}

// Overhear is OverMemory; heard is told what goes to the printer, write by write.
func Overhear(o Options, p *paper.Paper, heard func([]byte)) Options {
	o = OverMemory(o, p)
	dial := o.dial
	o.dial = func(ctx context.Context, so serial.Options) (wire, error) {
		w, err := dial(ctx, so)
		if err != nil {
			return nil, err
		}
		return &heardWire{w, heard}, nil
	}
	return o
}

type heardWire struct {
	wire
	heard func([]byte)
}

func (w *heardWire) Write(ctx context.Context, p []byte) (int, error) {
	w.heard(p)
	return w.wire.Write(ctx, p)
}

// ThirtyLines is the receipt of the comparison.
func ThirtyLines() printer.Slip { return thirtyLines() }

// Words are the words of the path's state, part by part.
func (p *Printer) Words() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Split(p.path.String(), ", ")
}

// AllWords are all words of the table.
func AllWords() []string { return words }

// hostWire gives a line in memory the manners of drivers/serial.
type hostWire struct {
	host  *paper.Host
	baud  int
	stall time.Duration
}

func (w *hostWire) Read(p []byte) (int, error) {
	n, err := w.host.Read(p)
	return n, unplugged(err)
}

func (w *hostWire) Write(ctx context.Context, p []byte) (int, error) {
	limited, cancel := context.WithTimeout(ctx, w.Duration(len(p))+w.stall)
	defer cancel()
	n, err := w.host.Write(limited, p)
	switch {
	case err != nil && ctx.Err() != nil:
		return n, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return n, serial.ErrTimeout
	}
	return n, unplugged(err)
}

func (w *hostWire) Duration(n int) time.Duration {
	return time.Duration(n) * 10 * time.Second / time.Duration(w.baud)
}

func (w *hostWire) Discard() error {
	w.host.Discard()
	return nil
}

func (w *hostWire) Close() error { return w.host.Close() }

func unplugged(err error) error {
	if errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("%w: %w", serial.ErrUnplugged, err)
	}
	return err
}
