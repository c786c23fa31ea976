// Package voice reads scenes aloud: what is said, when, on which route, and what
// is cut. It knows scenes and words, and neither the screen nor the session.
//
// Start at Voice: the loop of device calls it and is never kept waiting; Run owns
// all state. The rules stand at the top of speaker.go, how a node is said in
// node.go, and what a phrase sounds like in package say.
package voice

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"

	"kosk/device/scene"
	"kosk/device/text"
	"kosk/drivers/sound"
	"kosk/drivers/speech"
)

// Options are a Voice's parts. All are needed.
type Options struct {
	Synth  speech.Synthesiser
	Sink   sound.Sink
	Log    io.Writer    // the speech log: JSON lines, see Entry
	Logger *slog.Logger // faults of the parts; never words
}

// A Voice speaks for one kiosk. Its methods may be called from any goroutine,
// before Run too, and return at once; what they ask for is done in order by Run.
// A scene that was handed over must not be changed afterwards.
type Voice struct {
	opt     Options
	enabled atomic.Bool
	spoken  atomic.Int64
	busy    atomic.Bool
	over    chan struct{} // closed when Run has returned

	bell chan struct{} // capacity 1: mail has come
	mu   sync.Mutex
	mail []func(*speaker)
}

// New returns a Voice that is off, on the loudspeaker, at the usual rate and volume.
func New(opt Options) *Voice {
	return &Voice{opt: opt, over: make(chan struct{}), bell: make(chan struct{}, 1)}
}

// ErrStopped says that Run has returned.
var ErrStopped = errors.New("voice has stopped")

// Run speaks until ctx ends, and returns when nothing sounds any more. It is
// called once.
func (v *Voice) Run(ctx context.Context) error {
	defer close(v.over)
	s := newSpeaker(v)
	defer s.end()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-v.bell:
			for _, do := range v.take() {
				do(s)
			}
		case <-s.started():
			s.begun()
		case err := <-s.done():
			s.finished(err)
		case m := <-s.ahead.result:
			s.ahead.keep(m)
		case <-s.wait.C:
			s.waiting()
		}
		s.next(ctx)
		v.busy.Store(s.speaks())
	}
}

// post leaves an order for Run. When Run has returned nobody would take it.
func (v *Voice) post(do func(*speaker)) {
	select {
	case <-v.over:
		return
	default:
	}
	v.mu.Lock()
	v.mail = append(v.mail, do)
	v.mu.Unlock()
	select {
	case v.bell <- struct{}{}:
	default:
	}
}

func (v *Voice) take() []func(*speaker) {
	v.mu.Lock()
	defer v.mu.Unlock()
	mail := v.mail
	v.mail = nil
	return mail
}

// Enable turns the voice on or off. On, it says how to move and reads the last
// scene; off, it says that it is off and then nothing more. While it is off
// nothing sounds but the invitation of Idle.
func (v *Voice) Enable(on bool) {
	if v.enabled.Swap(on) == on {
		return
	}
	v.post(func(s *speaker) { s.enable(on) })
}

// Enabled reports whether the voice is on.
func (v *Voice) Enabled() bool { return v.enabled.Load() }

// Headphones tells whether the jack is in: only then private words are said.
// Pulling it out silences all but what must be heard, and keeps the loudspeaker
// to alerts until the person presses a key again.
func (v *Voice) Headphones(in bool) { v.post(func(s *speaker) { s.headphones(in) }) }

// Reset ends a visit: what must be heard is still said; all else is silenced and
// forgotten, the voice is off, on the loudspeaker, at the usual rate and volume.
// If the jack is still in, Headphones has to be called again.
func (v *Voice) Reset() {
	v.enabled.Store(false)
	v.post((*speaker).reset)
}

// Forget wipes the sound that is kept ready and the private words that are still
// unsaid: the person they belong to has left, though the scene may stay a while.
func (v *Voice) Forget() { v.post((*speaker).forget) }

// Heed says that what must be heard was done: it stops at once, and is not said
// on. It is called before the scene that follows.
func (v *Voice) Heed() { v.post((*speaker).heed) }

// Scene shows a new scene: says what must be heard, then title, eyebrow, lead,
// alerts and the node that has the focus. The same scene made anew (same id,
// language and title) says only what is new in it, and cuts nothing if nothing is.
func (v *Voice) Scene(sc scene.Scene, focus string) {
	v.post(func(s *speaker) { s.scene(sc, focus) })
}

// Focus moved to the node: says its name, role, state, value and hint.
func (v *Voice) Focus(sc scene.Scene, id string) { v.post(func(s *speaker) { s.focus(sc, id) }) }

// Status is news without focus: said when nothing else is. Only the latest one
// that is still unsaid is said.
func (v *Voice) Status(words text.Words) { v.post(func(s *speaker) { s.status(words) }) }

// Echo answers a typed character with its name; with a tone alone if it is
// secret, or private on the loudspeaker.
func (v *Voice) Echo(r rune, secret bool) { v.post(func(s *speaker) { s.echo(r, secret) }) }

// Command obeys Repeat, Pause, Hush, WhereAmI, Louder, Quieter, Faster, Slower
// and answers Erase; any other one cuts speech, as every key does.
func (v *Voice) Command(c scene.Command, sc scene.Scene, focus string) {
	v.post(func(s *speaker) { s.command(c, sc, focus) })
}

// Idle says the invitation of the attract screen, with the voice off too and on
// the loudspeaker: the prompts, or the house's own in every language. How often
// is the caller's affair.
func (v *Voice) Idle(prompts ...text.Words) { v.post(func(s *speaker) { s.idle(prompts) }) }

// Spoken counts the utterances that have sounded, tones not among them.
func (v *Voice) Spoken() int { return int(v.spoken.Load()) }

// Busy reports whether something is being said: speech is no inactivity
// (EN 301 549, 5.1.3.4).
func (v *Voice) Busy() bool { return v.busy.Load() }

// Quiet returns when nothing is left to say, ctx's error when it ends before, or
// ErrStopped when Run has returned.
func (v *Voice) Quiet(ctx context.Context) error {
	quiet := make(chan struct{})
	v.post(func(s *speaker) { s.listeners = append(s.listeners, quiet) })
	select {
	case <-quiet:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-v.over:
		return ErrStopped
	}
}
