package voice

import (
	"context"
	"errors"
	"slices"
	"time"

	"kosk/device/scene"
	"kosk/device/text"
	"kosk/device/voice/say"
	"kosk/drivers/speech"
)

// The rules are:
//   - any key, and any new scene, cuts what is said, but for what must be heard: that
//     ends when it is heeded;
//   - an alert cuts in; a status waits until all else was said;
//   - private words are said through headphones only. On the loudspeaker a
//     sentence that says so stands for them; when the jack is pulled they stop;
//   - nothing sounds with the voice off but the invitation, and what was begun
//     as must-hear before it was turned off;
//   - two things never sound at once;
//   - the name of the service is said on the first of its scenes, and again only
//     where somebody asks: on every one it would keep from the question.

// A class says what may cut an utterance: each is cut by those above it.
type class int

const (
	status class = iota
	navigation
	alert
	mustHear
)

func (c class) String() string {
	return [...]string{"status", "navigation", "alert", "must-hear"}[c]
}

// A message is words of one node, or of none, as they come from a scene.
type message struct {
	class   class
	scene   string
	node    string
	private bool
	typed   bool         // names or repeats what is typed: nothing of it goes into the log
	words   []text.Words // sentences
	open    []text.Words // of a private message, what everybody may hear
	tone    tone         // sounds before the words
}

// An utterance is what sounds at one time: a tone, or text of one voice.
type utterance struct {
	id       int
	class    class
	scene    string
	node     string
	part     say.Part
	private  bool
	typed    bool
	withheld bool
	tone     tone
}

// A job is the utterance that is being made or heard.
type job struct {
	utterance
	cancel  context.CancelFunc
	started chan struct{} // closed when it begins to sound
	done    chan error
	begun   bool
	cut     bool
	again   bool // paused: to be said again
}

// When a person is told that something takes its time.
const (
	firstWait = time.Second
	laterWait = 10 * time.Second
)

// A speaker is the state of a voice. Only Run touches it.
type speaker struct {
	v       *Voice
	journal journal
	ahead   ahead
	wait    *time.Timer
	fault   string // the last one told of

	on     bool
	jack   bool // headphones are in
	held   bool // the jack was pulled: quiet until a key is pressed
	paused bool
	volume int // 1 to volumes
	rate   int // index of rates

	shown     scene.Scene
	at        string    // the focus
	last      []message // for Repeat
	eyebrow   string    // the last one that was begun
	queue     []utterance
	cur       *job
	ids       int
	listeners []chan struct{} // of Quiet
}

func newSpeaker(v *Voice) *speaker {
	s := &speaker{
		v:       v,
		journal: journal{w: v.opt.Log, log: v.opt.Logger},
		ahead:   ahead{synth: v.opt.Synth, clips: map[speech.Utterance]speech.Clip{}},
		wait:    time.NewTimer(time.Hour),
		volume:  usualVolume, rate: usualRate,
	}
	s.wait.Stop()
	return s
}

// end waits until nothing sounds, after ctx has ended.
func (s *speaker) end() {
	s.wait.Stop()
	if s.cur != nil {
		s.finished(<-s.cur.done)
	}
	s.drop(func(utterance) bool { return true })
	s.ahead.forget()
}

func (s *speaker) started() <-chan struct{} {
	if s.cur == nil || s.cur.begun {
		return nil
	}
	return s.cur.started
}

func (s *speaker) done() <-chan error {
	if s.cur == nil {
		return nil
	}
	return s.cur.done
}

func (s *speaker) lang() text.Lang {
	if s.shown.Lang == "" {
		return text.Az
	}
	return s.shown.Lang
}

func (s *speaker) route() string {
	if s.jack {
		return onHeadphones
	}
	return onSpeaker
}

// add puts messages where their class has its place in the queue.
func (s *speaker) add(messages ...message) {
	for _, m := range messages {
		for _, u := range s.render(m) {
			at := s.place(u.class)
			if u.withheld && u.tone.name == "" && at > 0 && s.queue[at-1].withheld && s.queue[at-1].tone.name == "" {
				continue // once for neighbours is enough
			}
			s.enqueue(at, u)
		}
	}
}

func (s *speaker) enqueue(at int, u utterance) {
	s.ids++
	u.id = s.ids
	s.queue = slices.Insert(s.queue, at, u)
	s.journal.write(&u, isQueued, s.route())
}

// place is behind the last of what must be heard for what must be heard, before
// the first status for all that isn't one, and else the end.
func (s *speaker) place(c class) int {
	before := func(u utterance) bool { return false }
	switch c {
	case mustHear:
		before = func(u utterance) bool { return u.class != mustHear }
	case navigation, alert:
		before = func(u utterance) bool { return u.class == status }
	}
	if i := slices.IndexFunc(s.queue, before); i >= 0 {
		return i
	}
	return len(s.queue)
}

// render makes the utterances of a message for the route as it is now.
func (s *speaker) render(m message) []utterance {
	base := utterance{class: m.class, scene: m.scene, node: m.node, private: m.private, typed: m.typed}
	words := m.words
	if m.private && !s.jack && len(words) > 0 {
		base.private, base.withheld = false, true
		words = some(text.In(s.lang(), "voice.private"))
	}
	var out []utterance
	if m.tone.name != "" {
		u := base
		u.tone = m.tone
		out = append(out, u)
	}
	if base.withheld {
		plain := base
		plain.withheld, plain.typed = false, false
		out = append(out, spoken(plain, m.open)...)
	}
	return append(out, spoken(base, words)...)
}

// spoken are words as utterances like u.
func spoken(u utterance, words []text.Words) (out []utterance) {
	for _, w := range words {
		for _, p := range say.Parts(w) {
			u.part = p
			out = append(out, u)
		}
	}
	return out
}

// cut silences what is of a lower class than keep, and takes it off the queue.
func (s *speaker) cut(keep class) {
	if s.cur != nil && s.cur.class < keep {
		s.cur.cut, s.cur.again = true, false
		s.cur.cancel()
	}
	s.drop(func(u utterance) bool { return u.class < keep })
}

// drop takes utterances off the queue.
func (s *speaker) drop(which func(utterance) bool) {
	s.queue = slices.DeleteFunc(s.queue, func(u utterance) bool {
		if which(u) {
			s.journal.write(&u, isInterrupted, s.route())
			return true
		}
		return false
	})
}

// speaks reports whether something sounds or is to be said.
func (s *speaker) speaks() bool { return s.cur != nil || len(s.queue) > 0 }

// next starts what is to be heard now, and has made what may be heard then.
func (s *speaker) next(ctx context.Context) {
	for s.cur == nil && len(s.queue) > 0 && (!s.paused || s.queue[0].class == mustHear) {
		u := s.queue[0]
		if s.ahead.making(s.order(u)) {
			return // with the sound the turn comes again
		}
		s.queue = slices.Delete(s.queue, 0, 1)
		if u.private && !s.jack {
			s.journal.write(&u, isInterrupted, s.route())
			continue
		}
		s.start(ctx, u)
	}
	if s.cur == nil && len(s.queue) == 0 {
		for _, l := range s.listeners {
			close(l)
		}
		s.listeners = nil
	}
	s.prepare(ctx)
}

func (s *speaker) start(ctx context.Context, u utterance) {
	ctx, cancel := context.WithCancel(ctx)
	j := &job{utterance: u, cancel: cancel, started: make(chan struct{}), done: make(chan error, 1)}
	s.cur = j
	order := s.order(u)
	clip, ready := s.ahead.clips[order]
	if u.tone.name != "" {
		clip, ready = u.tone.clip(), true
	}
	level, opt := s.volume, s.v.opt
	clip.Samples = slices.Clone(clip.Samples) // the kept one may be wiped meanwhile
	go func() {
		if !ready {
			var err error
			if clip, err = opt.Synth.Synthesise(ctx, order); err != nil {
				j.done <- err
				return
			}
		}
		if u.tone.name == "" && !u.part.Ends {
			clip = trim(clip, 40*ms)
		}
		clip = loud(clip, level)
		if ctx.Err() == nil {
			close(j.started)
		}
		j.done <- opt.Sink.Play(ctx, clip)
	}()
}

func (s *speaker) order(u utterance) speech.Utterance {
	return speech.Utterance{Lang: speech.Lang(u.part.Lang), Text: u.part.Text, Rate: rates[s.rate]}
}

// prepare has the next utterance made; when there is none, the one that a step
// forward would lead to.
func (s *speaker) prepare(ctx context.Context) {
	if s.cur == nil || !s.on {
		return
	}
	for _, u := range s.queue {
		if u.tone.name == "" && !(u.private && !s.jack) {
			s.ahead.want(ctx, s.order(u), true)
			return
		}
	}
	n := s.shown.Find(s.shown.Move(s.at, 1, true))
	if n == nil || s.at == "" {
		return
	}
	if all := s.render(focused(&s.shown, n)); len(all) > 0 {
		s.ahead.want(ctx, s.order(all[0]), false)
	}
}

// begun notes that the current utterance is heard.
func (s *speaker) begun() {
	s.cur.begun = true
	if n := s.shown.Role(scene.Eyebrow); n != nil && n.ID == s.cur.node && s.shown.ID == s.cur.scene {
		s.eyebrow = n.Name.String()
	}
	s.journal.write(&s.cur.utterance, isStarted, s.route())
	if s.cur.tone.name == "" {
		s.v.spoken.Add(1)
	}
}

// finished notes how the current utterance ended.
func (s *speaker) finished(err error) {
	select {
	case <-s.started():
		s.begun()
	default:
	}
	j := s.cur
	s.cur = nil
	j.cancel()
	switch {
	case err == nil:
		s.fault = ""
		s.journal.write(&j.utterance, isFinished, s.route())
	case j.cut || errors.Is(err, context.Canceled):
		s.journal.write(&j.utterance, isInterrupted, s.route())
	default:
		s.journal.write(&j.utterance, isFailed, s.route())
		if err.Error() != s.fault {
			s.fault = err.Error()
			s.v.opt.Logger.Error("utterance failed", "error", err)
		}
	}
	if j.again && err != nil {
		s.queue = slices.Insert(s.queue, 0, j.utterance)
		s.journal.write(&j.utterance, isQueued, s.route())
	}
}
