package voice

import (
	"math"
	"testing"
	"time"

	"kosk/drivers/speech"
)

func TestTonesAreShortAndDiffer(t *testing.T) {
	rhythms := map[string]string{}
	for _, tone := range allTones {
		c := tone.clip()
		if d := c.Duration(); d > 150*time.Millisecond || d < 15*time.Millisecond {
			t.Errorf("%s is %v long", tone.name, d)
		}
		if p := peak(c); p < 8000 || p > 16384 {
			t.Errorf("%s: the loudest sample is %d", tone.name, p)
		}
		rhythm := ""
		for _, n := range tone.notes {
			rhythm += n.long.String() + " "
		}
		if other, ok := rhythms[rhythm]; ok {
			t.Errorf("%s and %s have one rhythm", tone.name, other)
		}
		rhythms[rhythm] = tone.name
	}
}

func peak(c speech.Clip) int {
	p := 0
	for _, s := range c.Samples {
		p = max(p, int(s), -int(s))
	}
	return p
}

func rms(c speech.Clip) float64 {
	sum := 0.0
	for _, s := range c.Samples {
		sum += float64(s) * float64(s)
	}
	return math.Sqrt(sum / float64(len(c.Samples)))
}

// EN 301 549, 8.2.1.1 and 8.2.1.2: a range of at least 18 dB, and a level 12 dB
// above the lowest; VVSG 2.0, 7.1-K: no step above 10 dB.
func TestVolumes(t *testing.T) {
	var c speech.Clip
	c.Rate = 22050
	for i := range 22050 {
		c.Samples = append(c.Samples, int16(32767*math.Sin(float64(i)/10)))
	}
	dB := func(level int) float64 { return 20 * math.Log10(rms(loud(c, level))/rms(c)) }
	for level := 2; level <= volumes; level++ {
		if step := dB(level) - dB(level-1); math.Abs(step-4) > 0.2 {
			t.Errorf("level %d is %.2f dB above the one below", level, step)
		}
	}
	if d := dB(volumes) - dB(1); d < 18 {
		t.Errorf("the range is %.1f dB", d)
	}
	if d := dB(4) - dB(1); math.Abs(d-12) > 0.5 {
		t.Errorf("the fourth level is %.1f dB above the lowest", d)
	}
	if p := peak(loud(c, volumes)); p > 32767 {
		t.Errorf("clipped at %d", p)
	}
}

func TestTrimKeepsTheSoundAndALittleMore(t *testing.T) {
	c := speech.Clip{Rate: 1000, Samples: make([]int16, 1000)}
	c.Samples[500] = 1000
	if got := trim(c, 40*ms).Duration(); got != 541*ms {
		t.Errorf("got %v", got)
	}
	if got := trim(speech.Clip{Rate: 1000, Samples: make([]int16, 10)}, 40*ms).Duration(); got != 10*ms {
		t.Errorf("silence: got %v", got)
	}
}
