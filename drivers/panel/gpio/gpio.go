// Package gpio lights lamps at lines of a GPIO chip, through Linux's character
// device (GPIO v2). A lamp is lit while its line is high, or low where it is wired
// so.
//
// The flashing is done here, by whoever runs the panel. Chips are looked for once
// in a process: one that is plugged in later is found by the next start.
package gpio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"periph.io/x/conn/v3/driver/driverreg"
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/host/v3/gpioioctl"

	"kosk/drivers/panel"
)

// again is when a line that refused is tried again.
const again = 2 * time.Second

// Options say what is wired where.
type Options struct {
	Chip      string                // name, label or path of the chip; "": the first that has a line of that name
	Lines     map[panel.Lamp]string // the line's name, or with a Chip its number; "": not wired
	ActiveLow bool                  // a line is low while its lamp is lit
	Log       *slog.Logger
}

// A line is one lamp.
type line struct {
	pin   gpio.PinOut
	flash panel.Flash
	known bool // that the line is as lit says
	lit   bool
	err   error
}

// A Panel is lamps at lines.
type Panel struct {
	low  bool
	log  *slog.Logger
	woke chan struct{} // capacity 1: what is told has changed
	sick atomic.Pointer[error]

	mu     sync.Mutex // held while a line is told, so that lines change one after another
	lines  map[panel.Lamp]*line
	closed bool
}

var _ panel.Panel = (*Panel)(nil)

// Open takes the lines, and makes their lamps dark: an earlier run may have been
// killed. A chip or line that isn't there is panel.ErrUnplugged, one that refuses
// panel.ErrFault.
func Open(o Options) (*Panel, error) {
	if _, err := driverreg.Init(); err != nil {
		return nil, fmt.Errorf("open panel: %w: %w", panel.ErrUnplugged, err)
	}
	return open(o, func(chip, name string) gpio.PinOut { return find(gpioioctl.Chips, chip, name) })
}

// find returns a line of the chips, or nil.
func find(chips []*gpioioctl.GPIOChip, chip, name string) gpio.PinOut {
	for _, c := range chips {
		if chip != "" && !slices.Contains([]string{c.Name(), c.Label(), c.Path()}, chip) {
			continue
		}
		if l := c.ByName(name); l != nil {
			return l
		}
		if l := c.ByName(c.Name() + "-" + name); l != nil { // so periph calls a name that two chips have
			return l
		}
		if n, err := strconv.Atoi(name); err == nil && chip != "" && n >= 0 && n < c.LineCount() {
			return c.ByNumber(n)
		}
	}
	return nil
}

func open(o Options, find func(chip, name string) gpio.PinOut) (*Panel, error) {
	p := &Panel{low: o.ActiveLow, log: o.Log, woke: make(chan struct{}, 1), lines: map[panel.Lamp]*line{}}
	for l, name := range o.Lines {
		if name == "" {
			continue
		}
		pin := find(o.Chip, name)
		if pin == nil {
			return nil, errors.Join(fmt.Errorf("open panel: %w: no line %q on chip %q for %s", panel.ErrUnplugged, name, o.Chip, l), p.Close())
		}
		p.lines[l] = &line{pin: pin}
		if err := p.set(p.lines[l], false); err != nil {
			return nil, errors.Join(fmt.Errorf("open panel: %s at line %q: %w", l, name, err), p.Close())
		}
	}
	return p, nil
}

// Light has a lamp show a pattern.
func (p *Panel) Light(ctx context.Context, l panel.Lamp, pattern panel.Pattern) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if p.closed {
		return fmt.Errorf("%w: closed", panel.ErrUnplugged)
	}
	at, now := p.lines[l], time.Now()
	if at == nil {
		_, err := pattern.Rhythm()
		return err
	}
	if err := at.flash.Show(pattern, now); err != nil {
		return err
	}
	p.turn(at, now)
	select {
	case p.woke <- struct{}{}:
	default:
	}
	return at.err
}

// Run flashes the lamps until ctx ends.
func (p *Panel) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			p.mu.Lock()
			defer p.mu.Unlock()
			_ = p.dark() // Err tells
			return nil
		case <-p.woke:
		case <-timer.C:
		}
		if next := p.turnAll(); next > 0 {
			timer.Reset(next)
		} else {
			timer.Stop()
		}
	}
}

// turnAll brings every line to what it should be now, and says when to do so
// again; 0: not before something is told.
func (p *Panel) turnAll() (next time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, at := range p.lines {
		if d := p.turn(at, time.Now()); d > 0 && (next == 0 || d < next) {
			next = d
		}
	}
	return next
}

// turn is turnAll for one line, under mu.
func (p *Panel) turn(at *line, now time.Time) (next time.Duration) {
	if p.closed {
		return 0
	}
	lit, next := at.flash.At(now)
	if at.known && at.lit == lit {
		return next
	}
	if p.set(at, lit) != nil && (next == 0 || next > again) {
		return again
	}
	return next
}

// dark makes every lamp dark, under mu, whatever flashes.
func (p *Panel) dark() error {
	var errs []error
	for _, at := range p.lines {
		at.flash = panel.Flash{}
		if p.closed {
			continue
		}
		errs = append(errs, p.set(at, false))
	}
	return errors.Join(errs...)
}

// set tells a line. One that refuses is let go of, so that it is asked for anew
// the next time: periph takes it for its own else.
func (p *Panel) set(at *line, lit bool) error {
	err := at.pin.Out(gpio.Level(lit != p.low))
	if at.known, at.lit = err == nil, lit; err != nil {
		err = fmt.Errorf("%w: %w", panel.ErrFault, err)
		release(at.pin)
	}
	if (err == nil) != (at.err == nil) {
		p.log.Warn("lamp", "line", at.pin.Name(), "err", err)
	}
	at.err = err
	p.sum()
	return err
}

// sum lays out what Err says, under mu.
func (p *Panel) sum() {
	var err error
	for _, l := range panel.Lamps() {
		if at := p.lines[l]; err == nil && at != nil && at.err != nil {
			err = fmt.Errorf("%s: %w", l, at.err)
		}
	}
	if p.closed {
		err = fmt.Errorf("%w: closed", panel.ErrUnplugged)
	}
	p.sick.Store(&err)
}

// release gives a line back to the kernel, where a pin can be.
func release(pin gpio.PinOut) {
	if c, ok := pin.(interface{ Close() }); ok {
		c.Close()
	}
}

// Err is what the lines refuse.
func (p *Panel) Err() error {
	if err := p.sick.Load(); err != nil {
		return *err
	}
	return nil
}

// Close makes all lamps dark and gives the lines back.
func (p *Panel) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	err := p.dark()
	p.closed = true
	p.sum()
	for _, at := range p.lines {
		release(at.pin)
	}
	return err
}
