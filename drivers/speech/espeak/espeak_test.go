package espeak

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kosk/drivers/speech"
	"kosk/drivers/speech/speechtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB) *Synth {
	s, err := Open("espeak-ng", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("%v (build/deps installs espeak-ng)", err)
	}
	return s
}

func TestSynthesiser(t *testing.T) {
	speechtest.Run(t, func(t *testing.T) speech.Synthesiser { return open(t) })
}

func TestOpenWithoutEspeakIsErrNoVoice(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "espeak-ng"), slog.New(slog.DiscardHandler)); !errors.Is(err, speech.ErrNoVoice) {
		t.Errorf("got %v", err)
	}
}

func TestSpeechIsHeard(t *testing.T) {
	for lang, text := range speechtest.Sentences {
		c, err := open(t).Synthesise(t.Context(), speech.Utterance{Lang: lang, Text: text})
		if err != nil {
			t.Fatal(err)
		}
		if p := peak(c); p < 8000 {
			t.Errorf("%s: the loudest sample is %d", lang, p)
		}
	}
}

func TestAnUtteranceLeavesNothingBehind(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_RUNTIME_DIR", "")
	if err := os.Unsetenv("XDG_RUNTIME_DIR"); err != nil { // as of a service; Setenv sets it back
		t.Fatal(err)
	}
	if _, err := open(t).Synthesise(t.Context(), speech.Utterance{Lang: "az", Text: "salam"}); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(home); err != nil || len(left) > 0 {
		t.Errorf("left in the home folder: %v, %v", left, err)
	}
}

func peak(c speech.Clip) int {
	p := 0
	for _, s := range c.Samples {
		p = max(p, int(s), -int(s))
	}
	return p
}

func TestTextIsReadAndNotObeyed(t *testing.T) {
	s := open(t)
	say := func(text string) time.Duration {
		c, err := s.Synthesise(t.Context(), speech.Utterance{Lang: "en", Text: text})
		if err != nil {
			t.Fatal(err)
		}
		return c.Duration()
	}
	if a, b := say("card [[D@m'i:kju:]] card"), say("card D@m'i:kju: card"); a != b {
		t.Errorf("phonemes in brackets take %v, the letters %v", a, b)
	}
	if d := say("\x00\x01\x1b[2J card"); d < 200*time.Millisecond {
		t.Errorf("after control characters: %v", d)
	}
}

// child makes a program that stands in for a broken espeak-ng.
func child(t *testing.T, script string) *Synth {
	path := filepath.Join(t.TempDir(), "espeak-ng")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestABrokenEspeakIsAnError(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"it exits with a complaint": {"cat >/dev/null; echo no phoneme data >&2; exit 1", "no phoneme data"},
		"it writes no WAV":          {"cat >/dev/null; echo hello", "not a 16-bit mono WAV"},
		"its voice is missing":      {"cat >/dev/null; echo 'Error: The specified espeak-ng voice does not exist.' >&2; exit 1", "no voice"},
		"it never stops writing":    {"exec cat /dev/zero", "too much"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := child(t, c.script).Synthesise(t.Context(), speech.Utterance{Lang: "az", Text: "salam"})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestAHungEspeakIsKilled(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := child(t, "exec tail -f /dev/null").Synthesise(ctx, speech.Utterance{Lang: "az", Text: "salam"})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("took %v", d)
	}
}

func TestLongTextIsRefused(t *testing.T) {
	_, err := open(t).Synthesise(t.Context(), speech.Utterance{Lang: "az", Text: strings.Repeat("a", maxText+1)})
	if err == nil || !strings.Contains(err.Error(), "bytes of text") {
		t.Errorf("got %v", err)
	}
}

func BenchmarkSynthesise(b *testing.B) {
	s := open(b)
	for lang, text := range speechtest.Sentences {
		b.Run(string(lang), func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Synthesise(b.Context(), speech.Utterance{Lang: lang, Text: text}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
