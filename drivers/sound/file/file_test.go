package file

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"kosk/drivers/sound"
	"kosk/drivers/sound/soundtest"
	"kosk/drivers/speech"
	"kosk/drivers/speech/wav"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSink(t *testing.T) {
	for name, pace := range map[string]bool{"at once": false, "paced": true} {
		t.Run(name, func(t *testing.T) {
			soundtest.Run(t, soundtest.Make{Paced: pace, Open: func(t *testing.T) sound.Sink {
				s, err := Open(filepath.Join(t.TempDir(), "heard.wav"), Options{Pace: pace})
				if err != nil {
					t.Fatal(err)
				}
				return s
			}})
		})
	}
}

func heard(t *testing.T, path string) speech.Clip {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c, err := wav.Decode(f, maxSamples)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func open(t *testing.T, opt Options) (*Sink, string) {
	path := filepath.Join(t.TempDir(), "heard.wav")
	s, err := Open(path, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, path
}

func TestTheFileIsValidAfterEveryClip(t *testing.T) {
	s, path := open(t, Options{})
	if n := len(heard(t, path).Samples); n != 0 {
		t.Errorf("%d samples before the first clip", n)
	}
	var want []int16
	for _, hz := range []float64{200, 400, 800} {
		clip := soundtest.Tone(hz, 30*time.Millisecond)
		want = append(want, clip.Samples...)
		if err := s.Play(t.Context(), clip); err != nil {
			t.Fatal(err)
		}
		if got := heard(t, path); got.Rate != sampleRate || !slices.Equal(got.Samples, want) {
			t.Errorf("after %v Hz the file holds %d samples, want %d", hz, len(got.Samples), len(want))
		}
	}
}

func TestAnInterruptedClipIsInTheFileAsFarAsItWasHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, path := open(t, Options{Pace: true})
		clip := soundtest.Tone(440, 5*time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := s.Play(ctx, clip); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if d := heard(t, path).Duration(); d < 20*time.Millisecond || d > 200*time.Millisecond {
			t.Errorf("%v in the file", d)
		}
	})
}

func TestResampleKeepsTheDuration(t *testing.T) {
	for _, rate := range []int{8000, 16000, 44100, 48000} {
		in := speech.Clip{Rate: rate, Samples: make([]int16, rate)}
		for i := range in.Samples {
			in.Samples[i] = 1000
		}
		out := resample(in)
		if len(out) != sampleRate || slices.Min(out) != 1000 || slices.Max(out) != 1000 {
			t.Errorf("a second at %d Hz became %d samples of %d to %d", rate, len(out), slices.Min(out), slices.Max(out))
		}
	}
}

func TestTheFileStartsAnewWhenItIsLong(t *testing.T) {
	s, path := open(t, Options{})
	s.samples = maxSamples - 1 // as after two hours
	clip := soundtest.Tone(440, 10*time.Millisecond)
	if err := s.Play(t.Context(), clip); err != nil {
		t.Fatal(err)
	}
	if got := heard(t, path); !slices.Equal(got.Samples, clip.Samples) {
		t.Errorf("%d samples, want %d", len(got.Samples), len(clip.Samples))
	}
}
