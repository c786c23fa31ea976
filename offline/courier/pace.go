package courier

import (
	"math"
	"math/rand/v2"
	"time"

	"kosk/offline"
)

const (
	window       = 4                // streams served at once
	firstContact = 30 * time.Second // over how long the first contact after an outage is spread
	mostSpread   = time.Hour        // more is a mistake, or somebody who wants us silent
	retryBase    = time.Second      // bound of the first back-off
	retryCap     = 60 * time.Second // bound of all later ones

	startRate = 4.0         // exchanges a second, as long as nothing is known
	mostRate  = 100.0       // and never more
	leastRate = 1.0 / 60    // nor less
	growth    = 0.02        // more a second, each second, once the bus has had no room
	halveOnce = time.Second // how often a rate is halved at most
)

// habits are what a well-behaved courier does. The fleet simulation takes them
// away one by one, to see that each is needed.
type habits struct {
	spread bool // the first contact after an outage
	jitter bool // back-off
	grow   bool // back-off doubles
	heed   bool // Retry-After and the bus's rate
	paced  bool // a rate of our own
}

func goodHabits() habits {
	return habits{spread: true, jitter: true, grow: true, heed: true, paced: true}
}

// pacer says when the next exchange may begin. It is pure: it is told the time,
// and asks nobody. The rules are:
//   - the first contact after an outage is at a moment by chance, and until the
//     bus has answered it, one exchange at a time is made;
//   - then as many as the window holds, and not faster than the rate;
//   - the bus's word is the rate; without it, the rate grows quickly until the bus
//     has had no room once, then steadily, and is halved when it has none, at most
//     once a second;
//   - when the bus names a time to stay away, nobody comes before;
//   - who waits for an answer at the kiosk need not wait for the first contact, and
//     may borrow one token and one place.
type pacer struct {
	habits

	spread  time.Duration // of the first contact; the bus may lengthen it
	least   time.Duration // what it is without the bus's word
	first   time.Time     // the first contact
	away    time.Time     // the bus asked us not to come before
	probing bool          // no answer since the line returned
	rate    float64       // exchanges a second
	tokens  float64       // exchanges that may begin now; negative: borrowed
	filled  time.Time     // when tokens was reckoned
	halved  time.Time
	careful bool // the bus has had no room once
}

func newPacer(h habits, spread time.Duration, now time.Time) pacer {
	return pacer{habits: h, spread: spread, least: spread, rate: startRate, tokens: 1, filled: now}
}

// lineUp says that the line has returned.
func (p *pacer) lineUp(now time.Time) {
	p.fill(now)
	p.tokens = min(p.tokens, 1)
	p.probing = p.paced
	p.first = now
	if p.habits.spread {
		p.first = now.Add(rand.N(max(1, p.spread)))
	}
}

// places is how many exchanges may be in flight.
func (p *pacer) places(live bool) int {
	n := window
	if p.probing {
		n = 1
	}
	if live {
		n++
	}
	return n
}

// next is when an exchange may begin: now, or before, or later.
func (p *pacer) next(now time.Time, live bool) time.Time {
	at, need := p.away, 0.0
	if !live {
		need = 1
		at = later(at, p.first)
	}
	if !p.paced {
		return at
	}
	p.fill(now)
	if missing := need - p.tokens; missing > 1e-9 {
		at = later(at, now.Add(time.Duration(missing/p.rate*float64(time.Second))+1))
	}
	return at
}

// begin says that an exchange begins. It costs a token on average.
func (p *pacer) begin(now time.Time) {
	p.fill(now)
	cost := 1.0
	if p.jitter { // kiosks that came together once would come together for ever
		cost = 0.5 + rand.Float64()
	}
	p.tokens -= cost
}

// fill adds what the rate has given since, to a second's worth, at least one and
// at most a window.
func (p *pacer) fill(now time.Time) {
	most := min(max(1, p.rate), window)
	p.tokens = min(most, p.tokens+p.rate*max(0, now.Sub(p.filled).Seconds()))
	p.filled = now
}

// answered says that the bus has spoken, well or ill, and how fast it wants us.
func (p *pacer) answered(now time.Time, says offline.Pace, room bool) {
	p.fill(now)
	p.probing = false
	if !p.heed {
		says = offline.Pace{}
	}
	if says.FirstContact > 0 {
		p.spread = min(max(p.least, says.FirstContact), mostSpread)
	}
	switch {
	case says.Rate > 0 && !math.IsInf(says.Rate, 0):
		p.rate = says.Rate
		p.careful = true
	case room && p.careful:
		p.rate += growth / p.rate // a second of successes adds growth
	case room:
		p.rate++
	case now.Sub(p.halved) >= halveOnce:
		p.rate /= 2
		p.halved, p.careful = now, true
	}
	p.rate = min(max(p.rate, leastRate), mostRate)
}

// stayAway keeps everybody away for d, and a little longer by chance, because
// everybody was told the same time.
func (p *pacer) stayAway(now time.Time, d time.Duration) {
	p.away = later(p.away, now.Add(d))
}

// backOff is full jitter: anything up to a bound that doubles with every try.
func (h habits) backOff(tries int) time.Duration {
	bound := retryBase
	if h.grow {
		bound = min(retryCap, retryBase<<min(tries-1, 10))
	}
	if !h.jitter {
		return bound
	}
	return rand.N(bound) + 1
}

// asked is how long to stay away when the bus has named a time: that, and a
// little more by chance, because everybody was told the same.
func asked(d time.Duration) time.Duration { return d + rand.N(min(d/4, retryCap)+1) }

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func sooner(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
