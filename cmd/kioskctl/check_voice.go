package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"kosk/device/identity"
	"kosk/drivers/all"
	"kosk/drivers/sound"
	"kosk/drivers/speech"
)

// words that the synthesiser has to speak, one in each language of the kiosk.
var words = []speech.Utterance{
	{Lang: "az", Text: "Salam"},
	{Lang: "ru", Text: "Здравствуйте"},
	{Lang: "en", Text: "Hello"},
}

// audible is the least peak of a clip that isn't silence: -36 dB of full scale.
const audible = 1 << 9

// voice tests the synthesiser, and the way to the ear with what it said.
func (c *checker) voice(ctx context.Context, tell func(row)) {
	clip, r := c.speech(ctx)
	tell(r)
	if len(clip.Samples) == 0 {
		clip = tone()
	}
	tell(c.sound(ctx, clip))
}

// speech lets the synthesiser say a word in every language and returns the first.
func (c *checker) speech(ctx context.Context) (first speech.Clip, r row) {
	const missing = "install it (apt install espeak-ng), or correct the table speech in the configuration"
	synth, err := all.Speech(c.cfg.Speech.Make, c.cfg.Speech.Path, c.log)
	if err != nil {
		return first, failed("no synthesiser: "+err.Error(), missing)
	}
	begun := time.Now()
	for i, w := range words {
		clip, err := synth.Synthesise(ctx, w)
		if err != nil {
			return first, failed(fmt.Sprintf("a word in %q: %v", w.Lang, err), missing)
		}
		if c.cfg.Speech.Make != "mute" && peak(clip) < audible {
			return first, failed(fmt.Sprintf("a word in %q is silent", w.Lang), "install the voices anew (apt install --reinstall espeak-ng espeak-ng-data)")
		}
		if i == 0 {
			first = clip
		}
	}
	each := float64(time.Since(begun).Milliseconds()) / float64(len(words))
	if c.cfg.Speech.Make == "mute" {
		return speech.Clip{}, warned("this kiosk is mute, by its configuration", `who can't see the screen can't use it: set speech.make to "espeak"`)
	}
	return first, good(fmt.Sprintf("%s speaks az, ru, en; %.0f ms a word", c.cfg.Speech.Make, each)).with("word_ms", each)
}

func peak(c speech.Clip) int {
	p := 0
	for _, s := range c.Samples {
		p = max(p, int(s), -int(s))
	}
	return p
}

// tone is half a second of 440 Hz, for want of a word.
func tone() speech.Clip {
	c := speech.Clip{Rate: 22050, Samples: make([]int16, 22050/2)}
	for i := range c.Samples {
		c.Samples[i] = int16(8000 * math.Sin(2*math.Pi*440*float64(i)/float64(c.Rate)))
	}
	return c
}

// real reports whether the trust bundle is one of real cards. A bundle that can't
// be read is the trust row's affair.
func (c *checker) real() bool {
	key, err := identity.LoadTrustKey(c.cfg.Card.TrustKey)
	if err != nil {
		return false
	}
	anchors, err := identity.LoadBundle(c.cfg.Card.Bundle, key)
	return err == nil && !anchors.Development
}

// sound opens the way to the ear; a deep check plays the clip.
func (c *checker) sound(ctx context.Context, clip speech.Clip) row {
	const mend = "check that PulseAudio runs for the kiosk's user (pactl info), and run the check as that user"
	s := c.cfg.Sound
	if s.Make != "pulse" && c.real() {
		return failed("sound.make is "+strconv.Quote(s.Make)+": what citizens hear would be kept in a file, so the kiosk doesn't start",
			`set sound.make = "pulse"`)
	}
	if s.Make == "file" {
		return c.soundFile(ctx, clip)
	}
	sink, err := all.Sound("pulse", s.Server, "", c.log)
	if err != nil && s.Make == "auto" {
		r := c.soundFile(ctx, clip)
		if r.State != failure {
			r = warned("no sound device answers; "+r.Seen, "who can't see the screen hears nothing: "+mend)
		}
		return r
	}
	if err != nil {
		return failed(err.Error(), mend)
	}
	defer sink.Close()
	if !c.deep {
		return good("PulseAudio answers; nothing was played (--deep plays a word)")
	}
	if err := play(ctx, sink, clip); err != nil {
		return failed("PulseAudio answers; a word can't be played: "+err.Error(), "choose the loudspeaker as default (pactl list short sinks), check its cable")
	}
	return good(fmt.Sprintf("PulseAudio played %.1f s; only you can say whether it was heard", clip.Duration().Seconds()))
}

// play gives the clip twice its time and a little.
func play(ctx context.Context, sink sound.Sink, clip speech.Clip) error {
	ctx, cancel := context.WithTimeout(ctx, 2*clip.Duration()+5*time.Second)
	defer cancel()
	return sink.Play(ctx, clip)
}

// soundFile tests that the file can be written, beside it: the kiosk may have it
// open, and a file of another user would shut the kiosk out.
func (c *checker) soundFile(ctx context.Context, clip speech.Clip) (r row) {
	path := c.cfg.Sound.File
	mend := fmt.Sprintf("make the folder %s writable for the kiosk's user, or correct sound.file", filepath.Dir(path))
	f, err := os.CreateTemp(filepath.Dir(path), ".check-*.wav")
	if err != nil {
		return failed("the sound file can't be written: "+err.Error(), mend)
	}
	defer os.Remove(f.Name())
	if err := f.Close(); err != nil {
		return failed("the sound file can't be written: "+err.Error(), mend)
	}
	sink, err := all.Sound("file", "", f.Name(), c.log)
	if err != nil {
		return failed(err.Error(), mend)
	}
	defer sink.Close()
	if c.deep {
		if err := play(ctx, sink, clip); err != nil {
			return failed("the sound file can't be written: "+err.Error(), mend)
		}
	}
	return good("what would be heard goes to " + path)
}
