// Package speech is the contract between the kiosk and a speech synthesiser:
// text in one language goes in, sound comes out.
//
// It decides nothing about what is said or to whom: device/voice does. Makes
// live beside it (espeak, mute); speechtest is the suite that they pass.
package speech

import (
	"context"
	"errors"
	"time"
)

// ErrNoVoice says that the synthesiser or the language is missing.
var ErrNoVoice = errors.New("no voice")

// A Lang is a language of speech: a BCP 47 primary tag, "az", "ru" or "en".
type Lang string

// An Utterance is one piece of text in one language, already normalised: no
// figures or signs that a synthesiser would read wrongly.
type Utterance struct {
	Lang Lang
	Text string
	Rate int // per cent of the usual rate, 50 to 200; 0 means 100
}

// A Clip is sound: signed 16-bit samples, one channel.
type Clip struct {
	Rate    int // samples a second
	Samples []int16
}

// Duration is how long the clip sounds.
func (c Clip) Duration() time.Duration {
	if c.Rate <= 0 {
		return 0
	}
	return time.Duration(len(c.Samples)) * time.Second / time.Duration(c.Rate)
}

// A Synthesiser turns text into sound.
type Synthesiser interface {
	// Synthesise returns the whole utterance as sound, or ErrNoVoice, or ctx's
	// error as soon as ctx ends.
	Synthesise(ctx context.Context, u Utterance) (Clip, error)
}
