package server

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// The headers by which the bus paces its stations; both are absent when no limit
// is set. See README.md.
const (
	headerRate         = "X-Kosk-Rate"          // submissions a second that this station may send
	headerFirstContact = "X-Kosk-First-Contact" // seconds over which to spread the first contact after an outage
)

// Figures of pacing.
const (
	burst         = time.Second      // of the limit, that may come at once
	activeFor     = 30 * time.Second // a station counts as sending for so long after its last submission
	shared        = 0.9              // of the limit is given out as rates; the rest is for newcomers
	firstContact  = 30 * time.Second // at least
	contactsShare = 0.5              // of the limit is what first contacts may take
)

// pace admits submissions: a bucket of tokens that fills at a rate.
type pace struct {
	rate float64 // submissions a second; 0: no limit

	mu     sync.Mutex // guards all below
	tokens float64
	filled time.Time
	seen   map[string]time.Time // stations by their last submission
}

func newPace(rate float64) *pace { return &pace{rate: rate, seen: map[string]time.Time{}} }

// admit takes a token, or says after what time it is worth coming again: as long
// as everybody who sends now needs to have their turn.
func (p *pace) admit(station string, now time.Time) (after time.Duration, ok bool) {
	if p.rate <= 0 {
		return 0, true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[station] = now
	full := math.Max(1, p.rate*burst.Seconds())
	if p.filled.IsZero() {
		p.tokens, p.filled = full, now
	}
	p.tokens = math.Min(full, p.tokens+p.rate*now.Sub(p.filled).Seconds())
	p.filled = now
	if p.tokens >= 1 {
		p.tokens--
		return 0, true
	}
	return seconds(math.Max(1, float64(p.active(now))/p.rate)), false
}

func seconds(s float64) time.Duration { return time.Duration(math.Ceil(s)) * time.Second }

// active counts the stations that are sending. The caller holds mu.
func (p *pace) active(now time.Time) int {
	for station, at := range p.seen {
		if now.Sub(at) > activeFor {
			delete(p.seen, station)
		}
	}
	return len(p.seen)
}

// hint tells a station how fast it may send.
func (p *pace) hint(h http.Header, stations int, now time.Time) {
	if p.rate <= 0 {
		return
	}
	p.mu.Lock()
	each := p.rate * shared / float64(max(1, p.active(now)))
	p.mu.Unlock()
	h.Set(headerRate, strconv.FormatFloat(each, 'f', 2, 64))
	spread := math.Max(firstContact.Seconds(), float64(stations)/(p.rate*contactsShare))
	h.Set(headerFirstContact, strconv.Itoa(int(math.Ceil(spread))))
}
