// Package paneltest is the suite that every make of panel passes: what a lamp is
// told it shows, never flashing too often, and nothing stays lit behind.
package paneltest

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kosk/drivers/panel"
)

// most is the most flashes of a lamp in any second: WCAG 2.2, 2.3.1.
const most = 3

// A Rig is a panel under test with all its lamps wired and dark, and eyes on them.
type Rig struct {
	Panel panel.Panel
	// Lit says whether a lamp is lit, and how often that has changed. What doesn't
	// flash by itself counts what it was told, and is lit while that isn't Off.
	Lit     func(panel.Lamp) (lit bool, changes int)
	Flashes bool // the lamps are seen to flash
}

// Run checks the duties that the contract states. Time is a bubble's.
func Run(t *testing.T, open func(*testing.T) Rig) {
	for name, test := range map[string]func(*testing.T, *rig){
		"each lamp shows what it is told, and no other does":     patterns,
		"the same again changes nothing":                         again,
		"no orders make a lamp flash too often":                  hasty,
		"a lamp that is not wired is nothing":                    unwired,
		"a pattern that is none is ErrPattern, and shown is not": unheard,
		"when ctx ends all lamps are dark, and stay so":          ending,
		"a panel that is run again lights again":                 rerun,
		"a closed panel is dark, and ErrUnplugged":               closed,
		"several may tell at a time":                             several,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &rig{Rig: open(t), t: t}
				r.run()
				defer r.closes()
				test(t, r)
			})
		})
	}
}

// A rig is a Rig that runs.
type rig struct {
	Rig
	t   *testing.T
	ctx context.Context
	end context.CancelFunc
	ran chan error
}

func (r *rig) run() {
	r.ctx, r.end = context.WithCancel(r.t.Context())
	r.ran = make(chan error, 1)
	go func() { r.ran <- r.Panel.Run(r.ctx) }()
}

// closes ends what is left of a test.
func (r *rig) closes() {
	r.stop()
	if err := r.Panel.Close(); err != nil {
		r.t.Errorf("close: %v", err)
	}
	r.allDark("closed")
}

func (r *rig) stop() {
	r.t.Helper()
	r.end()
	if err := <-r.ran; err != nil {
		r.t.Errorf("run: %v", err)
	}
}

func (r *rig) light(l panel.Lamp, p panel.Pattern) {
	r.t.Helper()
	if err := r.Panel.Light(r.ctx, l, p); err != nil {
		r.t.Fatalf("%s %s: %v", l, p, err)
	}
}

func wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (r *rig) allDark(when string) {
	r.t.Helper()
	for _, l := range panel.Lamps() {
		if lit, _ := r.Lit(l); lit {
			r.t.Errorf("%s: %s is lit", when, l)
		}
	}
}

// watch counts how often a lamp begins to be lit within a time, and for how much
// of it it is lit.
func (r *rig) watch(l panel.Lamp, d time.Duration) (rises []time.Time, lit time.Duration) {
	const step = 5 * time.Millisecond
	was, _ := r.Lit(l)
	for range d / step {
		wait(step)
		is, _ := r.Lit(l)
		if is && !was {
			rises = append(rises, time.Now())
		}
		if was = is; is {
			lit += step
		}
	}
	return rises, lit
}

// inASecond is the most that fell in any second.
func inASecond(rises []time.Time) (n int) {
	for i := range rises {
		j := i
		for j < len(rises) && rises[j].Sub(rises[i]) < time.Second {
			j++
		}
		n = max(n, j-i)
	}
	return n
}

func patterns(t *testing.T, r *rig) {
	for _, l := range panel.Lamps() {
		for p, hz := range map[panel.Pattern]float64{panel.Slow: 0.5, panel.Medium: 1, panel.Quick: 2, panel.Continuous: 0} {
			before := map[panel.Lamp]int{}
			for _, o := range panel.Lamps() {
				_, before[o] = r.Lit(o)
			}
			r.light(l, p)
			rises, lit := r.watch(l, 4*time.Second)
			switch whole := 4*time.Second - lit; {
			case !r.Flashes || p == panel.Continuous:
				if whole > 2*panel.Dwell || len(rises) > 1 {
					t.Errorf("%s %s: lit for %v, begun %d times", l, p, lit, len(rises))
				}
			case len(rises) < int(4*hz)-1 || len(rises) > int(4*hz)+1 || lit < time.Second || whole < time.Second:
				t.Errorf("%s %s: %d flashes in four seconds, lit for %v", l, p, len(rises), lit)
			}
			r.light(l, panel.Off)
			wait(panel.Dwell)
			r.allDark("off after " + string(p))
			for _, o := range panel.Lamps() {
				if _, n := r.Lit(o); o != l && n != before[o] {
					t.Errorf("%s %s: %s changed, too", l, p, o)
				}
			}
		}
	}
}

func again(t *testing.T, r *rig) {
	r.light(panel.CardReader, panel.Off)
	r.light(panel.CardReader, panel.Continuous)
	r.light(panel.CardReader, panel.Continuous)
	wait(time.Second)
	if lit, n := r.Lit(panel.CardReader); !lit || n != 1 {
		t.Errorf("lit %v, changed %d times", lit, n)
	}
	if err := r.Panel.Err(); err != nil {
		t.Error(err)
	}
}

func hasty(t *testing.T, r *rig) {
	if !r.Flashes {
		t.Skip("this make shows orders, and no flashes")
	}
	random := rand.New(rand.NewPCG(1, 2))
	all := []panel.Pattern{panel.Off, panel.Slow, panel.Medium, panel.Quick, panel.Continuous}
	var rises []time.Time
	for range 400 {
		r.light(panel.ReceiptPrinter, all[random.IntN(len(all))])
		more, _ := r.watch(panel.ReceiptPrinter, time.Duration(5+random.IntN(60))*time.Millisecond)
		rises = append(rises, more...)
	}
	if n := inASecond(rises); n > most || len(rises) < 5 {
		t.Errorf("%d flashes in a second, %d altogether", n, len(rises))
	}
}

func unwired(t *testing.T, r *rig) {
	r.light("coinDispenser", panel.Continuous)
	if err := r.Panel.Err(); err != nil {
		t.Error(err)
	}
	if lit, n := r.Lit("coinDispenser"); lit || n > 0 {
		t.Errorf("lit %v, changed %d times", lit, n)
	}
	r.allDark("another lamp")
}

func unheard(t *testing.T, r *rig) {
	if err := r.Panel.Light(r.ctx, panel.CardReader, "strobe"); !errors.Is(err, panel.ErrPattern) {
		t.Errorf("got %v", err)
	}
	wait(time.Second)
	r.allDark("no pattern")
}

func ending(t *testing.T, r *rig) {
	for _, l := range panel.Lamps() {
		r.light(l, panel.Continuous)
	}
	wait(time.Second)
	r.stop()
	r.allDark("ended")
	for _, l := range panel.Lamps() {
		if err := r.Panel.Light(r.ctx, l, panel.Continuous); !errors.Is(err, context.Canceled) {
			t.Errorf("told after the end: %v", err)
		}
	}
	r.allDark("told after the end")
	r.run()
}

func rerun(t *testing.T, r *rig) {
	r.light(panel.CardReader, panel.Continuous)
	r.stop()
	r.run()
	wait(time.Second)
	r.allDark("not told")
	r.light(panel.CardReader, panel.Continuous)
	wait(time.Second)
	if lit, _ := r.Lit(panel.CardReader); !lit {
		t.Error("dark")
	}
}

func closed(t *testing.T, r *rig) {
	r.light(panel.CardReader, panel.Quick)
	r.stop()
	if err := r.Panel.Close(); err != nil {
		t.Error(err)
	}
	r.allDark("closed")
	r.run()
	if err := r.Panel.Light(r.ctx, panel.CardReader, panel.Slow); !errors.Is(err, panel.ErrUnplugged) || !errors.Is(r.Panel.Err(), panel.ErrUnplugged) {
		t.Errorf("got %v, %v", err, r.Panel.Err())
	}
	r.allDark("told when closed")
}

func several(_ *testing.T, r *rig) {
	var all sync.WaitGroup
	for _, l := range panel.Lamps() {
		all.Go(func() {
			for _, p := range []panel.Pattern{panel.Slow, panel.Quick, panel.Continuous, panel.Off} {
				_ = r.Panel.Light(r.ctx, l, p)
				_ = r.Panel.Err()
			}
		})
	}
	all.Wait()
	wait(panel.Dwell)
	r.allDark("off")
}
