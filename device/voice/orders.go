package voice

import (
	"slices"

	"kosk/device/scene"
	"kosk/device/text"
	"kosk/device/voice/say"
)

// What the methods of Voice ask for, done by Run.

func (s *speaker) enable(on bool) {
	s.cut(mustHear)
	s.held, s.paused = false, false
	if !on {
		if s.on {
			s.add(s.phrase(alert, text.In(s.lang(), "voice.off")))
		}
		s.on = false
		return
	}
	s.on, s.eyebrow = true, ""
	s.add(s.phrase(navigation, text.In(s.lang(), "voice.on")))
	s.open()
}

// open reads the scene from its beginning. What must be heard isn't repeated on
// demand: it would hold up the person's keys again.
func (s *speaker) open() {
	s.last = nil
	for _, m := range opening(&s.shown, s.at, s.eyebrow) {
		if m.class != mustHear {
			s.last = append(s.last, m)
		}
		if !(s.held && m.class < alert) && !s.pending(m) {
			s.add(m)
		}
	}
}

// phrase is a message of the voice's own.
func (s *speaker) phrase(c class, words text.Words) message {
	return message{class: c, scene: s.shown.ID, words: some(words)}
}

func (s *speaker) headphones(in bool) {
	if in == s.jack {
		return
	}
	s.cut(mustHear)
	s.jack = in
	if !in {
		s.held = s.on
		s.drop(func(u utterance) bool { return u.private })
		if s.cur != nil && s.cur.private {
			s.cur.cut, s.cur.again = true, false
			s.cur.cancel()
		}
		return
	}
	if !s.on {
		return
	}
	s.held, s.paused = false, false
	hello := s.phrase(navigation, text.In(s.lang(), "voice.headphones"))
	hello.tone = plugged
	s.add(hello)
	if n := s.shown.Find(s.at); n != nil {
		s.last = []message{focused(&s.shown, n)}
		s.add(s.last...)
	}
}

func (s *speaker) reset() {
	s.cut(mustHear)
	s.on, s.jack, s.held, s.paused = false, false, false, false
	s.drop(func(u utterance) bool { return u.private })
	s.volume, s.rate = usualVolume, usualRate
	s.shown, s.at, s.last, s.eyebrow = scene.Scene{}, "", nil, ""
	s.wait.Stop()
	s.ahead.forget()
}

func (s *speaker) forget() {
	s.drop(func(u utterance) bool { return u.private })
	if s.cur != nil && s.cur.private {
		s.cur.cut, s.cur.again = true, false
		s.cur.cancel()
	}
	s.last, s.eyebrow = nil, ""
	s.ahead.forget()
}

// heed silences what must be heard, and the scene's own words that wait behind it.
func (s *speaker) heed() {
	s.cut(mustHear + 1)
	s.shown.MustHear = nil
}

// show notes where the person is. A scene without a language is Azerbaijani.
func (s *speaker) show(sc scene.Scene, focus string) {
	if sc.Lang == "" {
		sc.Lang = text.Az
	}
	s.shown, s.at = sc, focus
}

func (s *speaker) scene(sc scene.Scene, focus string) {
	old, was := s.shown, s.at
	s.show(sc, focus)
	anew := same(&old, &s.shown)
	if !anew {
		s.wait.Stop()
		if sc.Kind == scene.Waiting {
			s.wait.Reset(firstWait)
		}
	}
	switch {
	case !s.on && anew:
		return
	case !s.on:
		s.cut(mustHear)
		return
	case anew:
		s.update(&old, was)
		return
	}
	s.paused = false
	s.cut(mustHear)
	if !s.held {
		s.add(message{class: navigation, scene: sc.ID, tone: turn})
	}
	s.open()
}

// same reports whether b is a made anew: the person is still where she was.
func same(a, b *scene.Scene) bool {
	title := func(s *scene.Scene) string {
		if n := s.Role(scene.Title); n != nil {
			return n.Name.String()
		}
		return ""
	}
	return a.ID == b.ID && a.Kind == b.Kind && a.Lang == b.Lang && title(a) == title(b)
}

// pending reports whether a message that must be heard is being said already:
// the scene after next may repeat it.
func (s *speaker) pending(m message) bool {
	if m.class != mustHear {
		return false
	}
	all := s.queue
	if s.cur != nil && !s.cur.cut {
		all = append([]utterance{s.cur.utterance}, all...)
	}
	for _, u := range s.render(m) {
		if slices.ContainsFunc(all, func(o utterance) bool { return o.class == mustHear && o.part == u.part }) {
			return true
		}
	}
	return false
}

// update says what is new in a scene made anew.
func (s *speaker) update(old *scene.Scene, was string) {
	sc := &s.shown
	if !sc.MustHear.Empty() && sc.MustHear.String() != old.MustHear.String() {
		s.add(message{class: mustHear, scene: sc.ID, words: some(sc.MustHear)})
	}
	for i := range sc.Nodes {
		n := &sc.Nodes[i]
		before := old.Find(n.ID)
		changed := before == nil || before.Name.String() != n.Name.String() || before.Value.String() != n.Value.String()
		switch {
		case changed && isAlert(n):
			s.paused = false
			s.cut(alert)
			s.add(alertOf(sc, n))
		case changed && !private(n) && (n.Role == scene.Note || n.Role == scene.Progress && before != nil):
			s.news(message{class: status, scene: sc.ID, node: n.ID, private: private(n), words: some(n.Name, n.Value)})
		}
	}
	n := sc.Find(s.at)
	if n == nil || s.held || isAlert(n) {
		return
	}
	before := old.Find(s.at)
	if s.at != was || before == nil || before.Selected != n.Selected || before.Unavailable != n.Unavailable {
		s.cut(alert)
		s.last = []message{focused(sc, n)}
		s.add(s.last...)
	}
}

func (s *speaker) focus(sc scene.Scene, id string) {
	s.show(sc, id)
	if !s.key() {
		return
	}
	if n := s.shown.Find(id); n != nil {
		m := focused(&s.shown, n)
		s.last = []message{m}
		m.tone = tick
		s.add(m)
	}
}

// key cuts speech, as any key does, and reports whether the voice is on.
func (s *speaker) key() bool {
	s.cut(mustHear)
	s.held, s.paused = false, false
	return s.on
}

func (s *speaker) status(words text.Words) {
	s.news(message{class: status, scene: s.shown.ID, private: personal(words), words: some(words)})
}

// news replaces what is still unsaid of older news.
func (s *speaker) news(m message) {
	if !s.on || s.held {
		return
	}
	s.drop(func(u utterance) bool { return u.class == status })
	s.add(m)
}

func (s *speaker) echo(r rune, secret bool) {
	if !s.key() {
		return
	}
	m := message{class: navigation, scene: s.shown.ID, node: s.at, typed: true}
	field := s.shown.Role(scene.Field)
	m.private = s.jack || field != nil && private(field) // what is told to headphones stays in them
	if secret || m.private && !s.jack {
		m.tone, m.private = typed, false
	} else {
		m.words = some(say.Rune(s.lang(), r))
	}
	s.add(m)
}

func (s *speaker) command(c scene.Command, sc scene.Scene, focus string) {
	s.show(sc, focus)
	if c == scene.Pause && s.on {
		s.pause()
		return
	}
	rest := s.unsaid()
	if !s.key() {
		return
	}
	switch c {
	case scene.Repeat:
		s.add(s.last...)
	case scene.WhereAmI:
		s.last = s.whereabouts()
		s.add(s.last...)
	case scene.Erase:
		s.add(s.phrase(navigation, text.In(s.lang(), "voice.erased")))
	case scene.Louder, scene.Quieter:
		s.volume = s.turned(&volumeKnob, s.volume, c == scene.Louder)
		s.resume(rest)
	case scene.Faster, scene.Slower:
		s.rate = s.turned(&rateKnob, s.rate, c == scene.Faster)
		s.resume(rest)
	}
}

// pause stops in the middle of an utterance, or goes on with its beginning.
func (s *speaker) pause() {
	s.held = false
	s.paused = !s.paused
	if s.paused && s.cur != nil && s.cur.class < mustHear {
		s.cur.cut, s.cur.again = true, true
		s.cur.cancel()
	}
}

// unsaid returns what a key would cut, from the current utterance on.
func (s *speaker) unsaid() []utterance {
	var rest []utterance
	if s.cur != nil && s.cur.class < mustHear && !s.cur.cut {
		rest = append(rest, s.cur.utterance)
	}
	for _, u := range s.queue {
		if u.class < mustHear {
			rest = append(rest, u)
		}
	}
	return rest
}

// resume goes on with what a change of volume or rate has cut.
func (s *speaker) resume(rest []utterance) {
	for _, u := range rest {
		if u.tone.name != "" || u.scene != s.shown.ID {
			continue
		}
		s.enqueue(s.place(u.class), u)
	}
}

// A knob is a setting that is turned by keys.
type knob struct {
	key         text.Key
	least, most int
	shown       func(int) int
}

var (
	volumeKnob = knob{"voice.volume", 1, volumes, func(n int) int { return n }}
	rateKnob   = knob{"voice.rate", 0, len(rates) - 1, func(n int) int { return rates[n] }}
)

// turned says and returns the new value. The feedback has no scene, so that it is
// not resumed by the next turn.
func (s *speaker) turned(k *knob, value int, up bool) int {
	next, limit := value-1, text.Key("voice.least")
	if up {
		next, limit = value+1, "voice.most"
	}
	m := message{class: navigation}
	if next < k.least || next > k.most {
		next = value
		m.words = some(text.In(s.lang(), limit))
	} else {
		m.words = some(text.In(s.lang(), k.key, text.Arg{Name: "n", Words: figure(s.lang(), k.shown(next))}))
	}
	s.add(m)
	return next
}

// whereabouts is the answer to WhereAmI: title, service, step, focus.
func (s *speaker) whereabouts() []message {
	sc := &s.shown
	out := []message{s.phrase(navigation, text.In(s.lang(), "voice.here"))}
	for _, role := range []scene.Role{scene.Title, scene.Eyebrow, scene.Step} {
		if n := sc.Role(role); n != nil {
			out = append(out, message{class: navigation, scene: sc.ID, node: n.ID, private: private(n), words: some(n.Name, n.Value)})
		}
	}
	if n := sc.Find(s.at); n != nil && n.Role != scene.Title && n.Role != scene.Step {
		out = append(out, focused(sc, n))
	}
	return out
}

func (s *speaker) idle(prompts []text.Words) {
	if s.on || s.cur != nil || len(s.queue) > 0 {
		return
	}
	if len(prompts) == 0 {
		for _, lang := range text.Langs {
			prompts = append(prompts, text.In(lang, "voice.invite"))
		}
	}
	for _, p := range prompts {
		s.add(message{class: status, scene: s.shown.ID, private: personal(p), words: some(p)})
	}
}

// waiting says that something takes its time, unless something is said anyway.
func (s *speaker) waiting() {
	s.wait.Reset(laterWait)
	if s.cur == nil && len(s.queue) == 0 {
		s.news(s.phrase(status, text.In(s.lang(), "voice.wait")))
	}
}
