package bus

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A keeper keeps one time in memory.
type keeper struct {
	at    time.Time
	saves int
	err   error
}

func (k *keeper) LoadTime() (time.Time, error) { return k.at, k.err }

func (k *keeper) SaveTime(at time.Time) error {
	k.at = at
	k.saves++
	return k.err
}

// In a bubble the system's clock stands at 1 January 2000, like that of a board
// without a battery.
func TestAClockWithoutABattery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &keeper{at: time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)}
		last := k.at
		var log strings.Builder
		c, err := NewClock(k, newLog(&log))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if got := c.Now(); c.State() != ClockFloor || !got.Equal(last.Add(time.Hour)) {
			t.Errorf("%v, %v", c.State(), got)
		}
		truth := last.Add(48 * time.Hour)
		asked := time.Now()
		time.Sleep(2 * time.Second)
		if err := c.set(truth, asked, time.Now(), nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		want := truth.Add(time.Hour + time.Second)
		if got := c.Now(); c.State() != ClockTrusted || !got.Equal(want) || c.Offset() != time.Until(want) {
			t.Errorf("%v, %v, %v behind", c.State(), got, c.Offset())
		}
		if k.saves != 1 || !strings.Contains(log.String(), "clock is off") {
			t.Errorf("%d saves, log %q", k.saves, log.String())
		}
		if err := c.set(last, time.Now(), time.Now(), nil); !errors.Is(err, errTime) {
			t.Errorf("a time long gone: %v", err)
		}
		cert := &x509.Certificate{NotBefore: last, NotAfter: truth.Add(24 * time.Hour)}
		if err := c.set(truth.AddDate(50, 0, 0), time.Now(), time.Now(), cert); !errors.Is(err, errTime) {
			t.Errorf("a time after the bus's own end: %v", err)
		}
		for range 100 { // the flash is spared
			time.Sleep(30 * time.Second)
			if err := c.set(c.Now(), time.Now(), time.Now(), cert); err != nil {
				t.Fatal(err)
			}
		}
		if k.saves < 4 || k.saves > 8 {
			t.Errorf("%d saves in 50 minutes", k.saves)
		}
	})
}

// A clock that is off by more than a minute is warned of once, and once it is right again.
func TestSkewIsWarnedOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		c, err := NewClock(nil, newLog(&log))
		if err != nil {
			t.Fatal(err)
		}
		at := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
		time.Sleep(time.Until(at))
		for _, tt := range []struct {
			off  time.Duration
			want string // in the log
		}{
			{0, ""}, {60 * time.Second, ""}, {61 * time.Second, "clock is off"}, {62 * time.Second, ""}, {59 * time.Second, "clock is right"},
		} {
			log.Reset()
			if err := c.set(time.Now().Add(tt.off), time.Now(), time.Now(), nil); err != nil {
				t.Fatal(err)
			}
			if got := log.String(); (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
				t.Errorf("off by %v: %q, want %q", tt.off, got, tt.want)
			}
		}
	})
}

func TestAClockThatIsRight(t *testing.T) {
	c, err := NewClock(nil, nil)
	if err != nil || c.State() != ClockUnknown || c.Offset().Abs() > time.Second {
		t.Errorf("%v, %v, %v", c.State(), c.Offset(), err)
	}
	c.raise(time.Now().Add(-time.Hour))
	if off := c.Offset().Abs(); c.State() != ClockFloor || off > time.Second {
		t.Errorf("%v, %v", c.State(), off)
	}
	if _, err := NewClock(&keeper{err: errors.New("disk")}, nil); err == nil {
		t.Error("a keeper that fails is not told")
	}
}
