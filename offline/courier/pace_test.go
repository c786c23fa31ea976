package courier

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"kosk/offline"
)

// begins returns when n exchanges begin, as early as the pacer lets them, each
// answered at once.
func begins(p *pacer, now time.Time, n int, live bool, says offline.Pace) (at []time.Duration) {
	start := now
	for range n {
		now = later(now, p.next(now, live))
		p.begin(now)
		p.answered(now, says, true)
		at = append(at, now.Sub(start))
	}
	return at
}

// TestPatience holds the figures of the contract between kiosk and bus.
func TestPatience(t *testing.T) {
	if window != 4 || firstContact != 30*time.Second || retryBase != time.Second || retryCap != time.Minute || halveOnce != time.Second {
		t.Errorf("%d at once, first contact over %v, back-off from %v to %v, halved every %v", window, firstContact, retryBase, retryCap, halveOnce)
	}
}

func TestTheBusSaysHowFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(goodHabits(), 0, time.Now())
		p.lineUp(time.Now())
		at := begins(&p, time.Now(), 101, false, offline.Pace{Rate: 0.5})
		if took := at[100]; took < 180*time.Second || took > 220*time.Second {
			t.Errorf("100 at one in two seconds took %v", took)
		}
		for _, rate := range []float64{-1, 0, math.NaN(), math.Inf(1), 1e300, 1e-300} {
			p.answered(time.Now(), offline.Pace{Rate: rate, FirstContact: time.Duration(math.MaxInt64)}, true)
			if !(p.rate >= leastRate && p.rate <= mostRate) || p.spread > mostSpread {
				t.Errorf("rate %v makes %v, spread %v", rate, p.rate, p.spread)
			}
		}
	})
}

func TestFirstContactIsSpreadEvenly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 3000
		thirds := [3]int{}
		for range n {
			p := newPacer(goodHabits(), firstContact, time.Now())
			p.lineUp(time.Now())
			wait := time.Until(p.next(time.Now(), false))
			if wait < 0 || wait > firstContact {
				t.Fatalf("waits %v", wait)
			}
			thirds[min(2, int(3*wait/firstContact))]++
			if wait := time.Until(p.next(time.Now(), true)); wait > 0 {
				t.Fatalf("a citizen waits %v", wait)
			}
		}
		for _, got := range thirds { // expected n/3, deviation 26
			if got < n/3-150 || got > n/3+150 {
				t.Errorf("thirds %v", thirds)
			}
		}
	})
}

func TestTheBusMayLengthenTheFirstContact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(goodHabits(), firstContact, time.Now())
		p.answered(time.Now(), offline.Pace{FirstContact: 10 * time.Minute}, true)
		most := time.Duration(0)
		for range 200 {
			p.lineUp(time.Now())
			most = max(most, time.Until(p.next(time.Now(), false)))
		}
		if most < 8*time.Minute || most > 10*time.Minute {
			t.Errorf("the longest of 200 is %v", most)
		}
		p.answered(time.Now(), offline.Pace{FirstContact: time.Second}, true)
		if p.spread != firstContact {
			t.Errorf("shortened to %v", p.spread)
		}
	})
}

func TestRateIsHalvedAtMostOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Hour)
		p := newPacer(goodHabits(), 0, time.Now())
		p.rate = 8
		for range 10 {
			p.answered(time.Now(), offline.Pace{}, false)
			time.Sleep(100 * time.Millisecond)
		}
		if p.rate != 4 {
			t.Errorf("after ten in a second: %v", p.rate)
		}
		p.answered(time.Now(), offline.Pace{}, false)
		if p.rate != 2 {
			t.Errorf("a second later: %v", p.rate)
		}
		for range 100 { // two a second for 50 s
			p.answered(time.Now(), offline.Pace{}, true)
		}
		if p.rate < 2.5 || p.rate > 3.5 {
			t.Errorf("after 100 successes: %v", p.rate)
		}
	})
}

func TestOneTokenIsBorrowedAndPaidBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(goodHabits(), 0, time.Now())
		p.rate, p.tokens, p.careful = 0.1, 0, true
		now := time.Now()
		if p.next(now, true).After(now) {
			t.Error("a citizen may not borrow")
		}
		p.begin(now)
		if wait := p.next(now, true).Sub(now); wait < 5*time.Second-time.Millisecond {
			t.Errorf("a second one may borrow after %v", wait)
		}
		if wait := p.next(now, false).Sub(now); wait < 15*time.Second-time.Millisecond {
			t.Errorf("the debt is paid after %v", wait)
		}
		p.stayAway(now, time.Minute)
		if wait := p.next(now, true).Sub(now); wait != time.Minute {
			t.Errorf("told to stay away, a citizen waits %v", wait)
		}
	})
}
