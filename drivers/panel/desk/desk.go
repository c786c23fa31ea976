// Package desk stands in for a panel where there is none, on a desk and in tests:
// what each lamp is told is a line in a file, as JSON.
package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"kosk/drivers/panel"
)

// A Change is one line: a lamp that shows another pattern than before.
type Change struct {
	T       time.Time     `json:"t"`
	Lamp    panel.Lamp    `json:"lamp"`
	Pattern panel.Pattern `json:"pattern"`
}

// A Panel writes to one file.
type Panel struct {
	mu    sync.Mutex
	f     *os.File                     // nil when closed
	shows map[panel.Lamp]panel.Pattern // a lamp that isn't in it there is not

	sick atomic.Pointer[error]
}

var _ panel.Panel = (*Panel)(nil)

// Open appends to a file, which it makes where there is none. Every lamp is dark
// at first.
func Open(path string) (*Panel, error) {
	f, err := os.OpenFile(filepath.Clean(path), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open panel: %w", err)
	}
	p := &Panel{f: f, shows: map[panel.Lamp]panel.Pattern{}}
	for _, l := range panel.Lamps() {
		p.shows[l] = panel.Off
	}
	return p, nil
}

// Light writes a line, if that changes anything.
func (p *Panel) Light(ctx context.Context, l panel.Lamp, pattern panel.Pattern) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := pattern.Rhythm(); err != nil {
		return err
	}
	return p.light(l, pattern)
}

// light is Light under mu.
func (p *Panel) light(l panel.Lamp, pattern panel.Pattern) error {
	if p.f == nil {
		return fmt.Errorf("%w: closed", panel.ErrUnplugged)
	}
	if was, ok := p.shows[l]; !ok || was == pattern {
		return nil
	}
	b, err := json.Marshal(Change{time.Now().UTC(), l, pattern})
	if err == nil {
		_, err = p.f.Write(append(b, '\n'))
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", panel.ErrFault, err)
		p.sick.Store(&err)
		return err
	}
	p.sick.Store(nil)
	p.shows[l] = pattern
	return nil
}

// Run waits for ctx: a file doesn't flash.
func (p *Panel) Run(ctx context.Context) error {
	<-ctx.Done()
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.dark() // Err tells
	return nil
}

// dark is what a panel leaves behind, under mu.
func (p *Panel) dark() error {
	var errs []error
	for _, l := range panel.Lamps() {
		errs = append(errs, p.light(l, panel.Off))
	}
	return errors.Join(errs...)
}

// Err is what the last line failed with.
func (p *Panel) Err() error {
	if err := p.sick.Load(); err != nil {
		return *err
	}
	return nil
}

// Close makes all lamps dark and ends the file.
func (p *Panel) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.f == nil {
		return nil
	}
	err, over := errors.Join(p.dark(), p.f.Close()), fmt.Errorf("%w: closed", panel.ErrUnplugged)
	p.f = nil
	p.sick.Store(&over)
	return err
}
