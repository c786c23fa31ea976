package voice

import (
	"context"
	"slices"
	"time"

	"kosk/drivers/speech"
)

// cacheLength bounds the sound that is kept ready: some sentences.
const cacheLength = time.Minute

// ahead makes sound before it is needed, one utterance at a time, and keeps what
// it made until it is crowded out or the visit ends.
type ahead struct {
	synth  speech.Synthesiser
	clips  map[speech.Utterance]speech.Clip
	order  []speech.Utterance // oldest first
	length time.Duration      // of all clips

	result chan made // nil when nothing is being made
	doing  speech.Utterance
	cancel context.CancelFunc
}

type made struct {
	of   speech.Utterance
	clip speech.Clip
	err  error
}

// want makes the sound of u, unless it is there or being made. Something else
// that is being made is given up if u is needed now, and goes on if it may be.
func (a *ahead) want(ctx context.Context, u speech.Utterance, now bool) {
	if _, ok := a.clips[u]; ok || a.making(u) {
		return
	}
	if a.result != nil {
		if now {
			a.cancel()
		}
		return
	}
	ctx, a.cancel = context.WithCancel(ctx)
	result := make(chan made, 1)
	a.result, a.doing = result, u
	go func() {
		clip, err := a.synth.Synthesise(ctx, u)
		result <- made{u, clip, err}
	}()
}

// making reports whether u is being made.
func (a *ahead) making(u speech.Utterance) bool { return a.result != nil && a.doing == u }

// keep takes what was made. What could not be made is tried again, and told of,
// when it is to be heard.
func (a *ahead) keep(m made) {
	a.cancel()
	a.result = nil
	if _, ok := a.clips[m.of]; ok || m.err != nil || m.clip.Duration() > cacheLength {
		return
	}
	a.clips[m.of] = m.clip
	a.order = append(a.order, m.of)
	a.length += m.clip.Duration()
	for a.length > cacheLength {
		a.length -= a.clips[a.order[0]].Duration()
		delete(a.clips, a.order[0])
		a.order = slices.Delete(a.order, 0, 1)
	}
}

// forget wipes all: the words of a visit end with it.
func (a *ahead) forget() {
	if a.result != nil {
		a.cancel()
		<-a.result
		a.result = nil
	}
	for _, c := range a.clips {
		clear(c.Samples)
	}
	clear(a.clips)
	a.order, a.length = nil, 0
}
