package panel

import (
	"fmt"
	"time"
)

// The rules of flashing are:
//   - no lamp flashes more than three times in any second (WCAG 2.2, 2.3.1; EN 301
//     549, 11.2.3.1), whatever it is told and however often: Dwell sees to it;
//   - the two quickest patterns that a visit shows beside each other are Medium and
//     Quick: together they are three flashes a second, too.

// A Pattern is how a lamp is lit, in XFS4IoT's words for a flash rate.
type Pattern string

// The patterns.
const (
	Off        Pattern = "off"
	Slow       Pattern = "slow"       // come here
	Medium     Pattern = "medium"     // take this
	Quick      Pattern = "quick"      // you are about to leave something behind
	Continuous Pattern = "continuous" // at work
)

// A Rhythm is a pattern in time: lit first, then dark, and so on.
type Rhythm struct {
	Lit  time.Duration // 0: always dark
	Dark time.Duration // 0, with Lit: always lit
}

// patterns are all there are. A new one is a line here; the tests hold it to the
// rules.
var patterns = map[Pattern]Rhythm{
	Off:        {},
	Slow:       {Lit: 1000 * time.Millisecond, Dark: 1000 * time.Millisecond},
	Medium:     {Lit: 500 * time.Millisecond, Dark: 500 * time.Millisecond},
	Quick:      {Lit: 250 * time.Millisecond, Dark: 250 * time.Millisecond},
	Continuous: {Lit: time.Second},
}

// Rhythm is the pattern in time, or ErrPattern.
func (p Pattern) Rhythm() (Rhythm, error) {
	r, ok := patterns[p]
	if !ok {
		return Rhythm{}, fmt.Errorf("%w: %q", ErrPattern, string(p))
	}
	return r, nil
}

// Dwell is how long a lamp stays lit, or dark, at least: less than a sixth of a
// second, and it could flash four times in one.
const Dwell = 170 * time.Millisecond

// A Flash is one lamp in time, for makes whose lamps know only lit and dark. It
// has no clock and starts nothing; the zero Flash is a dark lamp.
type Flash struct {
	pattern Pattern
	rhythm  Rhythm
	since   time.Time // when the pattern began
	lit     bool
	changed time.Time // when lit did
}

// Show has the lamp show a pattern from now on. The same one again goes on where
// it is. Error: ErrPattern.
func (f *Flash) Show(p Pattern, now time.Time) error {
	r, err := p.Rhythm()
	if err != nil {
		return err
	}
	if p != f.pattern {
		f.pattern, f.rhythm, f.since = p, r, now
	}
	return nil
}

// At says what the lamp is at a moment, and after how long to ask again; 0: not
// before the next Show. Moments must not go back.
func (f *Flash) At(now time.Time) (lit bool, again time.Duration) {
	want, again := f.rhythm.at(now.Sub(f.since))
	if want == f.lit {
		return f.lit, again
	}
	if left := Dwell - now.Sub(f.changed); left > 0 {
		return f.lit, left
	}
	f.lit, f.changed = want, now
	return f.lit, again
}

// at is the rhythm after a time, and how long it stays so; 0: for ever.
func (r Rhythm) at(t time.Duration) (lit bool, stays time.Duration) {
	if r.Lit == 0 || r.Dark == 0 {
		return r.Lit > 0, 0
	}
	t %= r.Lit + r.Dark
	if t < r.Lit {
		return true, r.Lit - t
	}
	return false, r.Lit + r.Dark - t
}
