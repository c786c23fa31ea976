// Package mute is a synthesiser that makes silence, as long as the speech would
// be: for a kiosk without a voice, whose pace and speech log stay the same.
package mute

import (
	"context"
	"fmt"
	"time"
	"unicode/utf8"

	"kosk/drivers/speech"
)

const (
	sampleRate = 22050
	perRune    = 80 * time.Millisecond // 125 words a minute of six letters
)

// A Synth says nothing.
type Synth struct{}

var _ speech.Synthesiser = Synth{}

// New returns a Synth.
func New() Synth { return Synth{} }

// Synthesise returns silence. It knows az, ru and en.
func (Synth) Synthesise(ctx context.Context, u speech.Utterance) (speech.Clip, error) {
	if err := ctx.Err(); err != nil {
		return speech.Clip{}, err
	}
	switch u.Lang {
	case "az", "ru", "en":
	default:
		return speech.Clip{}, fmt.Errorf("mute: language %q: %w", u.Lang, speech.ErrNoVoice)
	}
	percent := u.Rate
	if percent == 0 {
		percent = 100
	}
	percent = min(max(percent, 50), 200)
	d := time.Duration(utf8.RuneCountInString(u.Text)) * perRune * 100 / time.Duration(percent)
	return speech.Clip{Rate: sampleRate, Samples: make([]int16, d*sampleRate/time.Second)}, nil
}
