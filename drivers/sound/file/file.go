// Package file is a sound sink that writes what would be heard to a WAV file:
// for machines without a sound device, and for tests that listen.
//
// The file is valid at every moment: samples are written before the header that
// counts them. What was interrupted is in the file as far as it was heard.
package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"kosk/drivers/sound"
	"kosk/drivers/speech"
	"kosk/drivers/speech/wav"
)

// sampleRate is that of the file; clips of another rate are resampled.
const sampleRate = 22050

// slice is what a paced sink writes at a time, and so the most that is in the
// file of a clip after it was interrupted.
const slice = 20 * time.Millisecond

// maxSamples is when the file starts anew: two hours, so that a kiosk that was
// left without a sound device doesn't fill its disk.
const maxSamples = 2 * 60 * 60 * sampleRate

// Options say how a Sink plays.
type Options struct {
	Pace bool // Play takes as long as the clip sounds; else it returns at once
}

// A Sink writes to one file.
type Sink struct {
	opt Options

	mu      sync.Mutex // held while a clip plays, so that clips don't mix
	f       *os.File   // nil when closed
	samples int
}

var _ sound.Sink = (*Sink)(nil)

// Open makes the file anew.
func Open(path string, opt Options) (*Sink, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open sound file: %w", err)
	}
	s := &Sink{opt: opt, f: f}
	if err := s.head(); err != nil {
		f.Close()
		return nil, fmt.Errorf("open sound file: %w", err)
	}
	return s, nil
}

// Play appends the clip.
func (s *Sink) Play(ctx context.Context, clip speech.Clip) error {
	if clip.Rate <= 0 {
		return fmt.Errorf("sound file: clip of %d samples a second", clip.Rate)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.f == nil {
		return fmt.Errorf("sound file: closed: %w", sound.ErrNoSink)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	samples := resample(clip)
	if !s.opt.Pace {
		return s.write(samples)
	}
	return s.pace(ctx, samples)
}

// pace writes a slice, waits for as long as it sounds, and so on. It counts from
// the start of the clip, so that late timers don't add up.
func (s *Sink) pace(ctx context.Context, samples []int16) error {
	const n = int(slice * sampleRate / time.Second)
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for done := 0; done < len(samples); {
		next := min(done+n, len(samples))
		if err := s.write(samples[done:next]); err != nil {
			return err
		}
		done = next
		timer.Reset(time.Until(start.Add(time.Duration(done) * time.Second / sampleRate)))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
	}
	return nil
}

func (s *Sink) write(samples []int16) error {
	if s.samples+len(samples) > maxSamples {
		s.samples = 0
		if err := errors.Join(s.head(), s.f.Truncate(wav.HeaderSize)); err != nil {
			return fmt.Errorf("sound file: start anew: %w", err)
		}
	}
	at := int64(wav.HeaderSize + 2*s.samples)
	if _, err := s.f.WriteAt(wav.Append(nil, samples), at); err != nil {
		return fmt.Errorf("sound file: %w", err)
	}
	s.samples += len(samples)
	return s.head()
}

func (s *Sink) head() error {
	h := wav.Header(sampleRate, s.samples)
	if _, err := s.f.WriteAt(h[:], 0); err != nil {
		return fmt.Errorf("sound file: header: %w", err)
	}
	return nil
}

// resample brings a clip to the file's rate, on straight lines between samples.
func resample(c speech.Clip) []int16 {
	if c.Rate == sampleRate || len(c.Samples) == 0 {
		return c.Samples
	}
	out := make([]int16, len(c.Samples)*sampleRate/c.Rate)
	for i := range out {
		at := float64(i) * float64(c.Rate) / sampleRate
		a := int(at)
		b := min(a+1, len(c.Samples)-1)
		part := at - float64(a)
		out[i] = int16(float64(c.Samples[a])*(1-part) + float64(c.Samples[b])*part)
	}
	return out
}

// Close ends the file, after a clip that is playing.
func (s *Sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.f == nil {
		return nil
	}
	err := s.f.Close()
	s.f = nil
	return err
}
