package panel

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// most is the most flashes in any second, by WCAG 2.3.1.
const most = 3

// flashes asks a lamp whenever it wants to be asked, and at the moments of act
// besides, and returns when it was lit.
func flashes(f *Flash, from, until time.Time, act func(now time.Time) (next time.Time)) (rises []time.Time) {
	lit, at := f.lit, from
	for at.Before(until) {
		next := act(at)
		is, again := f.At(at)
		if is && !lit {
			rises = append(rises, at)
		}
		lit = is
		if soon := at.Add(again); again > 0 && (next.IsZero() || soon.Before(next)) {
			next = soon
		}
		if next.IsZero() {
			break
		}
		at = next
	}
	return rises
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

func TestPatternsFlashAsOftenAsTheyShould(t *testing.T) {
	start := time.Unix(1e9, 0)
	for p, want := range map[Pattern]int{Off: 0, Slow: 5, Medium: 10, Quick: 20, Continuous: 1} {
		var f Flash
		if err := f.Show(p, start); err != nil {
			t.Fatal(err)
		}
		rises := flashes(&f, start, start.Add(10*time.Second), func(time.Time) time.Time { return time.Time{} })
		if len(rises) != want || inASecond(rises) > most {
			t.Errorf("%s: %d flashes in ten seconds, want %d; at most %d in one", p, len(rises), want, inASecond(rises))
		}
	}
	if len(patterns) != 5 {
		t.Error("a pattern is not tested")
	}
	if err := new(Flash).Show("strobe", start); !errors.Is(err, ErrPattern) {
		t.Errorf("an unknown pattern: %v", err)
	}
}

// Every pattern keeps to the rules by itself, so that Dwell has nothing to do.
func TestPatternsDwell(t *testing.T) {
	for p, r := range patterns {
		if r.Lit > 0 && r.Dark > 0 && (r.Lit < Dwell || r.Dark < Dwell) {
			t.Errorf("%s: %+v", p, r)
		}
	}
	medium, quick := patterns[Medium], patterns[Quick]
	if s := time.Second; float64(s)/float64(medium.Lit+medium.Dark)+float64(s)/float64(quick.Lit+quick.Dark) > most {
		t.Error("Medium and Quick beside each other flash too often")
	}
}

// Whatever is told, however often, and however late it is asked: no lamp flashes
// more than three times in a second, and what was told last is shown.
func TestNoOrderMakesALampFlashTooOften(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := time.Unix(1e9, 0)
		var f Flash
		var last Pattern
		steps := rapid.IntRange(1, 120).Draw(t, "steps")
		end := start.Add(time.Hour)
		rises := flashes(&f, start, end, func(now time.Time) time.Time {
			if steps--; steps < 0 {
				return time.Time{}
			}
			if rapid.Bool().Draw(t, "tell") || steps == 0 {
				last = rapid.SampledFrom([]Pattern{Off, Slow, Medium, Quick, Continuous}).Draw(t, "pattern")
				if steps == 0 { // one that comes to rest
					last = rapid.SampledFrom([]Pattern{Off, Continuous}).Draw(t, "last")
				}
				if err := f.Show(last, now); err != nil {
					t.Fatal(err)
				}
			}
			return now.Add(time.Duration(rapid.IntRange(1, 600).Draw(t, "ms")) * time.Millisecond)
		})
		if n := inASecond(rises); n > most {
			t.Fatalf("%d flashes in a second", n)
		}
		if lit, again := f.At(end); lit != (last == Continuous) || again != 0 {
			t.Fatalf("told %s at last: lit %v, asks again in %v", last, lit, again)
		}
	})
}
