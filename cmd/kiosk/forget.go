package main

import (
	"context"
	"runtime/debug"
	"time"
)

// When a visit has ended, some still have what they were given of the person: Go
// what nobody refers to any more (it overwrites what it frees, by GODEBUG in
// wanted), idle connections the last answer in their buffers, Fyne the texts that
// it has shown. A forgetter sees to it that they forget.
type forgetter struct {
	ended   chan struct{} // holds one when a visit has ended
	let     func()        // lets idle connections go
	repaint func()        // has Fyne look for what it need not keep
}

const (
	// fyneKeeps is how long Fyne keeps what it doesn't show any more, FYNE_CACHE in
	// wanted. With ten seconds or less an idle kiosk would go through all that it
	// shows with every frame.
	fyneKeeps = 20 * time.Second
	// fyneSlack is at least how long after that, and after a frame, it really looks.
	fyneSlack = 12 * time.Second
)

func newForgetter(let func()) *forgetter {
	return &forgetter{ended: make(chan struct{}, 1), let: let, repaint: func() {}}
}

// visitEnded tells that nothing of the visit is needed any more. It never blocks.
func (f *forgetter) visitEnded() {
	select {
	case f.ended <- struct{}{}:
	default: // it is told already
	}
}

// run clears up after every visit at once, and again when Fyne's time is over.
func (f *forgetter) run(ctx context.Context) error {
	later := time.NewTimer(0)
	later.Stop()
	repainted := false
	for {
		select {
		case <-f.ended:
			f.let()
			wipe()
			repainted = false
			later.Reset(fyneKeeps + fyneSlack)
		case <-later.C:
			if !repainted {
				f.repaint()
				repainted = true
				later.Reset(fyneSlack)
				continue
			}
			f.let()
			wipe()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// wipe has what nobody refers to freed. What is in pools is let go by the second
// collection after its last use, see sync.Pool.
func wipe() {
	for range 3 {
		debug.FreeOSMemory()
	}
}
