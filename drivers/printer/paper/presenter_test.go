package paper

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestCitizenTakesASlipBackByItself is GS R 1 n of the PPU-700's manual: five
// seconds after the cut if nobody says otherwise, and again after ESC @.
func TestCitizenTakesASlipBackByItself(t *testing.T) {
	for said, want := range map[string]time.Duration{
		"":                    5 * time.Second,
		"\x1dR1\x02":          2 * time.Second,
		"\x1dR1\x00":          0,
		"\x1dR1\x00\x1b@":     5 * time.Second,
		"\x1dR1\x02\x1dR\x30": 2 * time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			p, err := Open(Options{Model: PPU700(), Memory: true})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			host, err := p.Dial()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := host.Write(t.Context(), []byte(said+"ink\n\x1dVA\x00")); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if want > 0 {
				time.Sleep(want - time.Millisecond)
			} else {
				time.Sleep(time.Hour)
			}
			if !p.AtSlot() || p.Retracted() != 0 {
				t.Errorf("%q: it isn't held out", said)
			}
			time.Sleep(2 * time.Millisecond)
			if back := p.Retracted() == 1; back != (want > 0) || p.AtSlot() == back {
				t.Errorf("%q: taken back is %v", said, back)
			}
		})
	}
}
