// Package speechtest is the suite that every speech.Synthesiser passes.
package speechtest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"kosk/drivers/speech"
)

// Sentences has one sentence a language.
var Sentences = map[speech.Lang]string{
	"az": "Şəxsiyyət vəsiqənizi oxucuya qoyun.",
	"ru": "Приложите удостоверение личности к считывателю.",
	"en": "Place your identity card on the reader.",
}

// Run checks the duties that the contract states. open returns a synthesiser
// that has az, ru and en.
func Run(t *testing.T, open func(*testing.T) speech.Synthesiser) {
	for lang, text := range Sentences {
		t.Run("speaks "+string(lang), func(t *testing.T) {
			c := synthesise(t, open(t), speech.Utterance{Lang: lang, Text: text})
			if c.Rate < 8000 || c.Duration() < time.Second || c.Duration() > 8*time.Second {
				t.Errorf("%d samples a second, %v long", c.Rate, c.Duration())
			}
		})
		t.Run("keeps to the rate in "+string(lang), func(t *testing.T) { rates(t, open(t), lang, text) })
	}
	t.Run("an unknown language is ErrNoVoice", func(t *testing.T) {
		_, err := open(t).Synthesise(t.Context(), speech.Utterance{Lang: "tlh", Text: "nuqneH"})
		if !errors.Is(err, speech.ErrNoVoice) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("nothing to say is no error", func(t *testing.T) {
		for _, text := range []string{"", " ", "…", "-"} {
			if _, err := open(t).Synthesise(t.Context(), speech.Utterance{Lang: "az", Text: text}); err != nil {
				t.Errorf("%q: %v", text, err)
			}
		}
	})
	t.Run("the context ends it", func(t *testing.T) { ended(t, open(t)) })
	t.Run("several at a time", func(t *testing.T) {
		s := open(t)
		var wg sync.WaitGroup
		for lang, text := range Sentences {
			wg.Go(func() {
				if _, err := s.Synthesise(t.Context(), speech.Utterance{Lang: lang, Text: text}); err != nil {
					t.Errorf("%s: %v", lang, err)
				}
			})
		}
		wg.Wait()
	})
}

func synthesise(t *testing.T, s speech.Synthesiser, u speech.Utterance) speech.Clip {
	t.Helper()
	c, err := s.Synthesise(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// rates checks that the seven steps get shorter, that 0 is 100, and that what
// is out of bounds is the nearest step.
func rates(t *testing.T, s speech.Synthesiser, lang speech.Lang, text string) {
	at := func(rate int) time.Duration {
		return synthesise(t, s, speech.Utterance{Lang: lang, Text: text, Rate: rate}).Duration()
	}
	before := at(1)
	if d := at(50); d != before {
		t.Errorf("rate 1 takes %v, rate 50 %v", before, d)
	}
	for _, rate := range []int{75, 100, 125, 150, 175, 200} {
		d := at(rate)
		if d >= before {
			t.Errorf("rate %d takes %v, the step below it %v", rate, d, before)
		}
		before = d
	}
	if d := at(1000); d != before {
		t.Errorf("rate 1000 takes %v, rate 200 %v", d, before)
	}
	if zero, usual := at(0), at(100); zero != usual {
		t.Errorf("rate 0 takes %v, rate 100 %v", zero, usual)
	}
}

func ended(t *testing.T, s speech.Synthesiser) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	start := time.Now()
	_, err := s.Synthesise(ctx, speech.Utterance{Lang: "az", Text: strings.Repeat(Sentences["az"]+" ", 50)})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if d := time.Since(start); d > 500*time.Millisecond {
		t.Errorf("took %v", d)
	}
}
