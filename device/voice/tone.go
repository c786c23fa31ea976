package voice

import (
	"math"
	"time"

	"kosk/drivers/speech"
)

// A tone is an earcon: a short sound with a meaning. They differ in rhythm, so
// that they are told apart at any pitch and by worn headphones, and none is longer
// than 150 ms.
type tone struct {
	name  string
	notes []note
}

// A note of no frequency is a pause.
type note struct {
	hz   float64
	long time.Duration
}

const ms = time.Millisecond

// The tones.
var (
	tick      = tone{"focus", []note{{880, 20 * ms}}}                               // the focus has moved
	turn      = tone{"scene", []note{{587, 35 * ms}, {0, 10 * ms}, {880, 35 * ms}}} // another scene
	typed     = tone{"typed", []note{{740, 15 * ms}, {0, 20 * ms}, {740, 15 * ms}}} // a character that isn't said
	alarm     = tone{"alert", []note{{440, 40 * ms}, {0, 15 * ms}, {440, 40 * ms}, {0, 15 * ms}, {330, 40 * ms}}}
	plugged   = tone{"headphones", []note{{523, 60 * ms}, {784, 60 * ms}}}
	allTones  = []tone{tick, turn, typed, alarm, plugged}
	toneLevel = 0.35 // of the full scale: beside speech, not above it
)

const toneRate = 22050 // samples a second, as espeak's

// clip makes the sound, each note with soft edges of 3 ms.
func (t tone) clip() speech.Clip {
	var samples []int16
	const edge = 3 * toneRate / 1000
	for _, n := range t.notes {
		count := int(n.long * toneRate / time.Second)
		for i := range count {
			soft := min(1, float64(min(i, count-1-i))/edge)
			samples = append(samples, int16(32767*toneLevel*soft*math.Sin(2*math.Pi*n.hz*float64(i)/toneRate)))
		}
	}
	return speech.Clip{Rate: toneRate, Samples: samples}
}

// The volume has 11 levels 4 dB apart (EN 301 549, 8.2.1: a range of 18 dB, one
// level 12 dB above the lowest); the highest is the clip as it was made.
const (
	volumes     = 11
	usualVolume = 8 // 1 to volumes
	stepDB      = 4
)

// loud returns the clip at a level.
func loud(c speech.Clip, level int) speech.Clip {
	if level >= volumes {
		return c
	}
	gain := math.Pow(10, -stepDB*float64(volumes-level)/20)
	out := make([]int16, len(c.Samples))
	for i, s := range c.Samples {
		out[i] = int16(math.Round(float64(s) * gain))
	}
	return speech.Clip{Rate: c.Rate, Samples: out}
}

// trim takes the silence off the end, all but keep: a synthesiser ends every
// utterance like a sentence, also where one goes on in another language.
func trim(c speech.Clip, keep time.Duration) speech.Clip {
	const silent = 64
	end := len(c.Samples)
	for end > 0 && c.Samples[end-1] < silent && c.Samples[end-1] > -silent {
		end--
	}
	end = min(len(c.Samples), end+int(keep*time.Duration(c.Rate)/time.Second))
	return speech.Clip{Rate: c.Rate, Samples: c.Samples[:end]}
}

// The rates: per cent of the usual one, by synthesis anew, so that the pitch
// stays (VVSG 2.0, 7.1-K.4 to K.7).
var rates = [...]int{50, 75, 100, 125, 150, 175, 200}

const usualRate = 2 // index of 100 in rates
