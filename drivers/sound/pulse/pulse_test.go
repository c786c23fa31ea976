package pulse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kosk/drivers/sound"
	"kosk/drivers/sound/soundtest"
	"kosk/drivers/speech"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSink(t *testing.T) {
	d := start(t)
	soundtest.Run(t, soundtest.Make{Paced: true, Open: func(t *testing.T) sound.Sink { return d.open(t) }})
}

func TestWhatIsPlayedIsHeard(t *testing.T) {
	d := start(t)
	s, e := d.open(t), d.listen(t)
	for _, length := range []time.Duration{10 * time.Millisecond, 150 * time.Millisecond, 1500 * time.Millisecond} {
		clip := soundtest.Tone(440, length)
		for i := range clip.Samples { // silence would be taken for the end
			if clip.Samples[i] == 0 {
				clip.Samples[i] = 1
			}
		}
		wrong := fmt.Errorf("not played")
		for try := 0; try < tries && wrong != nil; try++ {
			wrong = hear(t, s, e, clip)
		}
		if wrong != nil {
			t.Errorf("%v: %v", length, wrong)
		}
	}
}

// tries is how often something is tried that a busy machine may spoil, by keeping
// the sound daemon, its listener or us waiting.
const tries = 10

// hear plays a clip, and says what was wrong with what was heard of it.
func hear(t *testing.T, s *Sink, e *ear, clip speech.Clip) error {
	t.Helper()
	e.reset()
	called := time.Now()
	if err := s.Play(t.Context(), clip); err != nil {
		t.Fatal(err)
	}
	returned := time.Now()
	e.settle(t, 200*time.Millisecond)
	first, last := e.times()
	t.Logf("%v: first sample %v after the call, last one %v after the return", clip.Duration(), first.Sub(called), last.Sub(returned))
	if got := e.heard(); !slices.Equal(got, clip.Samples) {
		return fmt.Errorf("heard %d samples, played %d, or they differ", len(got), len(clip.Samples))
	}
	if d := last.Sub(returned); d > 100*time.Millisecond {
		return fmt.Errorf("Play returned %v before the end was heard", d)
	}
	return nil
}

func TestInterruptedMeansSilent(t *testing.T) {
	d := start(t)
	s, e := d.open(t), d.listen(t)
	clip := soundtest.Tone(440, 10*time.Second)
	quick := 0
	for try := 0; try < tries && quick < 3; try++ {
		e.reset()
		ctx, cancel := context.WithCancel(t.Context())
		var cut time.Time
		var cutting sync.WaitGroup
		cutting.Go(func() {
			defer cancel()
			until(t, "a part is heard", func() bool { return len(e.heard()) > 22050/10 })
			cut = time.Now()
		})
		err := s.Play(ctx, clip)
		returned := time.Now()
		cutting.Wait()
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		e.settle(t, 300*time.Millisecond)
		_, last := e.times()
		t.Logf("returned %v after the cut; last sample heard %v after it", returned.Sub(cut), last.Sub(cut))
		if last.Sub(cut) <= 50*time.Millisecond {
			quick++
		}
	}
	if quick < 3 {
		t.Errorf("still heard 50 ms after the cut, in all but %d of %d tries", quick, tries)
	}
}

func TestADaemonThatComesBackIsFound(t *testing.T) {
	d := start(t)
	s := d.open(t)
	clip := soundtest.Tone(440, 20*time.Millisecond)
	if err := s.Play(t.Context(), clip); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(200*time.Millisecond, d.end)
	if err := s.Play(t.Context(), soundtest.Tone(440, 10*time.Second)); !errors.Is(err, sound.ErrNoSink) {
		t.Errorf("the daemon died in mid-clip: %v", err)
	}
	if err := s.Play(t.Context(), clip); !errors.Is(err, sound.ErrNoSink) {
		t.Errorf("no daemon: %v", err)
	}
	d.stop()
	d.run(t)
	if err := s.Play(t.Context(), clip); err != nil {
		t.Errorf("the daemon is back: %v", err)
	}
}

func TestOpenWithoutADaemonIsErrNoSink(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "native"), slog.New(slog.DiscardHandler))
	if !errors.Is(err, sound.ErrNoSink) || s == nil {
		t.Fatalf("got %v, %v", s, err)
	}
	if err := s.Play(t.Context(), soundtest.Tone(440, time.Second)); !errors.Is(err, sound.ErrNoSink) {
		t.Errorf("played to nobody: %v", err)
	}
	if _, err := Open("tcp:127.0.0.1:4713", slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a TCP server was taken")
	}
	t.Setenv("PULSE_SERVER", "")
	t.Setenv("XDG_RUNTIME_DIR", "")
	if s, err := Open("", slog.New(slog.DiscardHandler)); !errors.Is(err, sound.ErrNoSink) || s == nil {
		t.Errorf("without any address: %v, %v", s, err)
	}
}

func TestADaemonThatHangsUpIsErrNoSink(t *testing.T) {
	path := filepath.Join(t.TempDir(), "native")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if c, err := l.Accept(); err == nil {
			c.Close()
		}
	}()
	if _, err := Open(path, slog.New(slog.DiscardHandler)); !errors.Is(err, sound.ErrNoSink) {
		t.Errorf("got %v", err)
	}
	l.Close()
	<-done
}
