// Package soundtest is the suite that every sound.Sink passes, and the tones
// that its tests listen for.
package soundtest

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"kosk/drivers/sound"
	"kosk/drivers/speech"
)

// Rate is the sample rate of the suite's clips, and of espeak-ng.
const Rate = 22050

// Tone is a sine of half the full scale.
func Tone(hz float64, d time.Duration) speech.Clip {
	samples := make([]int16, int(d.Seconds()*Rate))
	for i := range samples {
		samples[i] = int16(16384 * math.Sin(2*math.Pi*hz*float64(i)/Rate))
	}
	return speech.Clip{Rate: Rate, Samples: samples}
}

// A Make is a sink under test.
type Make struct {
	Open  func(*testing.T) sound.Sink
	Paced bool // Play takes as long as the clip
}

// Run checks the duties that the contract states.
func Run(t *testing.T, m Make) {
	t.Run("plays to the end", func(t *testing.T) {
		s := open(t, m)
		for range 3 {
			clip := Tone(440, 200*time.Millisecond)
			start := time.Now()
			if err := s.Play(t.Context(), clip); err != nil {
				t.Fatal(err)
			}
			if d := time.Since(start); m.Paced && (d < clip.Duration() || d > clip.Duration()+10*time.Second) {
				t.Errorf("a clip of %v took %v", clip.Duration(), d)
			}
		}
	})
	t.Run("a clip of nothing is nothing", func(t *testing.T) {
		if err := open(t, m).Play(t.Context(), speech.Clip{Rate: Rate}); err != nil {
			t.Error(err)
		}
	})
	t.Run("another sample rate is played too", func(t *testing.T) {
		clip := Tone(440, 50*time.Millisecond)
		clip.Rate = 16000
		if err := open(t, m).Play(t.Context(), clip); err != nil {
			t.Error(err)
		}
	})
	t.Run("a clip without a rate is refused", func(t *testing.T) {
		if err := open(t, m).Play(t.Context(), speech.Clip{Samples: []int16{1}}); err == nil {
			t.Error("no error")
		}
	})
	t.Run("an ended context plays nothing", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := open(t, m).Play(ctx, Tone(440, time.Second)); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	if m.Paced {
		t.Run("the context ends it within 50 ms", func(t *testing.T) { interrupted(t, open(t, m)) })
	}
	t.Run("a closed sink is ErrNoSink", func(t *testing.T) {
		s := open(t, m)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Play(t.Context(), Tone(440, 20*time.Millisecond)); !errors.Is(err, sound.ErrNoSink) {
			t.Errorf("play: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("close again: %v", err)
		}
	})
}

func open(t *testing.T, m Make) sound.Sink {
	t.Helper()
	s := m.Open(t)
	t.Cleanup(func() { s.Close() })
	return s
}

// interrupted ends long clips at different moments, and then plays another. Each is
// tried again when it took long: a busy machine may stop any of them for a while.
func interrupted(t *testing.T, s sound.Sink) {
	const tries, quick = 10, 50 * time.Millisecond
	long := Tone(440, 10*time.Second)
	for _, after := range []time.Duration{1, 10, 30, 100, 200} {
		best := time.Hour
		for try := 0; try < tries && best > quick; try++ {
			best = min(best, ends(t, s, long, after*time.Millisecond))
		}
		if best > quick {
			t.Errorf("after %d ms: returned %v after the context ended", after, best)
		}
	}
	if err := s.Play(t.Context(), Tone(880, 20*time.Millisecond)); err != nil {
		t.Errorf("the next clip: %v", err)
	}
}

// ends plays a clip whose context ends after a while, and returns how much later
// Play did.
func ends(t *testing.T, s sound.Sink, clip speech.Clip, after time.Duration) time.Duration {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var ended time.Time
	timer := time.AfterFunc(after, func() { ended = time.Now(); cancel() })
	defer timer.Stop()
	if err := s.Play(ctx, clip); !errors.Is(err, context.Canceled) {
		t.Fatalf("after %v: %v", after, err)
	}
	return time.Since(ended)
}
