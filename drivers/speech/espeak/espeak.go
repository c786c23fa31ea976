// Package espeak speaks Azerbaijani, Russian and English with espeak-ng, as a
// child process for every utterance: text on its standard input, a WAV from its
// standard output.
//
// A child, and not a library, so that espeak's licence (GPL-3) stays outside of
// our binary and a hung voice can be killed. A cold one takes 15 to 30 ms.
package espeak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
	"unicode"

	"kosk/drivers/speech"
	"kosk/drivers/speech/wav"
)

// The bounds of one utterance. What is longer is broken, not long.
const (
	deadline   = 10 * time.Second // a second of speech takes about 5 ms
	maxText    = 8 << 10          // bytes
	maxSeconds = 5 * 60
	maxRate    = 22050 // samples a second, espeak's own
	maxStderr  = 512   // bytes kept of its complaints
)

// A Synth is one installed espeak-ng.
type Synth struct {
	path string
	log  *slog.Logger
}

var _ speech.Synthesiser = (*Synth)(nil)

// Open finds espeak-ng: path is a file, or a name to be looked up in PATH. It
// returns speech.ErrNoVoice when there is none.
func Open(path string, log *slog.Logger) (*Synth, error) {
	found, err := exec.LookPath(path)
	if err != nil {
		return nil, fmt.Errorf("open espeak: %w: %w", speech.ErrNoVoice, err)
	}
	return &Synth{path: found, log: log}, nil
}

// Synthesise runs one child. The log gets sizes and times, never the text.
func (s *Synth) Synthesise(ctx context.Context, u speech.Utterance) (speech.Clip, error) {
	v, ok := voices[u.Lang]
	if !ok {
		return speech.Clip{}, fmt.Errorf("espeak: language %q: %w", u.Lang, speech.ErrNoVoice)
	}
	text := clean(u.Text)
	if len(text) > maxText {
		return speech.Clip{}, fmt.Errorf("espeak: %d bytes of text, %d allowed", len(text), maxText)
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	start := time.Now()
	clip, err := s.run(ctx, v.args(u.Rate), text)
	if err != nil {
		return speech.Clip{}, fmt.Errorf("espeak %s: %w", u.Lang, err)
	}
	s.log.Debug("utterance synthesised", "lang", u.Lang, "bytes", len(text), "sounds", clip.Duration(), "took", time.Since(start))
	return clip, nil
}

// noSound has the child leave the sound server alone: with --stdout, too, it
// makes folders for it in the home folder and in /tmp, which nobody removes.
const noSound = "PULSE_SERVER=unix:/dev/null"

func (s *Synth) run(ctx context.Context, args []string, text string) (speech.Clip, error) {
	cmd := exec.CommandContext(ctx, s.path, args...)
	cmd.Env = append(os.Environ(), noSound)
	cmd.Stdin = strings.NewReader(text + "\n")
	cmd.WaitDelay = time.Second // of a killed child whose pipes stay open
	out, complaints := &limited{max: wav.HeaderSize + 2*maxRate*maxSeconds}, &limited{max: maxStderr}
	cmd.Stdout, cmd.Stderr = out, complaints
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return speech.Clip{}, ctx.Err()
	case bytes.Contains(complaints.b.Bytes(), []byte("voice does not exist")):
		return speech.Clip{}, speech.ErrNoVoice
	case out.full: // and the child was ended by the pipe closed in its face
		return speech.Clip{}, errFull
	case err != nil:
		return speech.Clip{}, fmt.Errorf("%w: %s", err, bytes.TrimSpace(complaints.b.Bytes()))
	case out.b.Len() == 0: // nothing in the text is sounded
		return speech.Clip{Rate: maxRate}, nil
	}
	return wav.Decode(&out.b, maxRate*maxSeconds)
}

// limited keeps at most max bytes of what a child writes, and refuses more. It
// doesn't embed its buffer: io.Copy would go past Write through ReadFrom.
type limited struct {
	b    bytes.Buffer
	max  int
	full bool
}

var errFull = errors.New("child wrote too much")

func (l *limited) Write(b []byte) (int, error) {
	if l.b.Len()+len(b) > l.max {
		l.full = true
		return 0, errFull
	}
	return l.b.Write(b)
}

// clean takes out what espeak obeys instead of reading: [[phonemes]] and
// control characters, among them the line ends that its -l option acts on.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '[' || r == ']' || r == unicode.ReplacementChar || unicode.IsControl(r):
			return ' '
		}
		return r
	}, text)
}

// A voice is espeak's name for a language and how its pace was measured.
type voice struct {
	name  string
	paces []pace
}

// A pace gives the options that reach a percentage of the usual rate.
type pace struct{ percent, speed, gap int }

// The usual rate is 125 words a minute (VVSG 2.0, 7.1-K.4). espeak's own -s
// doesn't count words of these languages, so the paces were measured: words a
// minute of the text in rate_test.go, silence at its end left out. Under -s 80
// espeak doesn't get slower; there a gap between words (-g, 10 ms) does it.
var voices = map[speech.Lang]voice{
	"az": {"az", []pace{{50, 98, 0}, {75, 140, 0}, {100, 182, 0}, {125, 224, 0}, {150, 278, 0}, {175, 338, 0}, {200, 410, 0}}},
	"ru": {"ru", []pace{{50, 80, 10}, {75, 80, 0}, {100, 134, 0}, {125, 188, 0}, {150, 260, 0}, {175, 356, 0}, {200, 422, 0}}},
	"en": {"en-gb", []pace{{50, 80, 11}, {75, 81, 1}, {100, 102, 0}, {125, 134, 0}, {150, 164, 0}, {175, 194, 0}, {200, 224, 0}}},
}

// args are the child's arguments for a rate in per cent of the usual one.
func (v voice) args(percent int) []string {
	p := v.at(percent)
	return []string{"-v", v.name, "-s", strconv.Itoa(p.speed), "-g", strconv.Itoa(p.gap), "-b", "1", "--stdin", "--stdout"}
}

// at interpolates between the measured paces.
func (v voice) at(percent int) pace {
	if percent == 0 {
		percent = 100
	}
	first, last := v.paces[0], v.paces[len(v.paces)-1]
	percent = min(max(percent, first.percent), last.percent)
	for i, b := range v.paces[1:] {
		if percent <= b.percent {
			a := v.paces[i]
			part := func(x, y int) int { return x + (y-x)*(percent-a.percent)/(b.percent-a.percent) }
			return pace{percent, part(a.speed, b.speed), part(a.gap, b.gap)}
		}
	}
	return last
}
