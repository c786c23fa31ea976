package health

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// How much a Recorder keeps while nobody fetches it: a kiosk may be without a
// line for days. Of spans the oldest go first; of kinds of trouble the newest
// are counted together.
const (
	maxSpans    = 512
	reportSpans = 128 // in one report, which the bus bounds
	maxKinds    = 64
	otherKinds  = "other"
)

// A Trace is where a request stands in its trace: it is made when a person
// confirms, and has nothing to do with who they are. The zero value is none.
type Trace struct{ id, span string }

// NewTrace begins a trace with random ids, and names its first span.
func NewTrace() Trace { return Trace{randomHex(16), randomHex(8)} }

// randomHex gives random bytes, which are not all zero but once in 2^64.
func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails, see crypto/rand
	return hex.EncodeToString(b)
}

// ParseTrace reads a traceparent. What isn't one is no trace.
func ParseTrace(parent string) Trace {
	f := strings.Split(parent, "-")
	if len(f) != 4 || f[0] != "00" || !isHex(f[1], 32) || !isHex(f[2], 16) || !isHex(f[3], 2) ||
		strings.Trim(f[1], "0") == "" || strings.Trim(f[2], "0") == "" {
		return Trace{}
	}
	return Trace{f[1], f[2]}
}

// isHex says whether s is n hexadecimal digits, in small letters.
func isHex(s string, n int) bool { return len(s) == n && strings.Trim(s, "0123456789abcdef") == "" }

// Parent is the traceparent for what this span causes, sampled; "" for none. W3C
// Trace Context, 3.2.
func (t Trace) Parent() string {
	if t.id == "" {
		return ""
	}
	return "00-" + t.id + "-" + t.span + "-01"
}

// A Recorder keeps spans and counts trouble until a report takes them. Its
// methods may be called from several goroutines; those of a nil one do nothing.
type Recorder struct {
	mu     sync.Mutex
	spans  []Span
	faults map[string]int
}

// Begin begins a span under the one where t stands; end ends it and records it
// with a kind of error, or "". within is the trace for what the span causes.
func (r *Recorder) Begin(t Trace, name string) (within Trace, end func(kind string)) {
	if r == nil || t.id == "" {
		return t, func(string) {}
	}
	return r.begin(Trace{t.id, randomHex(8)}, t.span, name)
}

// Root begins the first span of a trace.
func (r *Recorder) Root(t Trace, name string) (end func(kind string)) {
	if r == nil || t.id == "" {
		return func(string) {}
	}
	_, end = r.begin(t, "", name)
	return end
}

func (r *Recorder) begin(t Trace, parent, name string) (Trace, func(string)) {
	start := time.Now()
	var once sync.Once
	return t, func(kind string) {
		once.Do(func() { r.record(spanOf(t, parent, name, start, kind)) })
	}
}

// spanOf is a span that ends now.
func spanOf(t Trace, parent, name string, start time.Time, kind string) Span {
	took := time.Since(start) // by the monotonic clock: no end lies before its start
	at := start.UTC().Round(0)
	return Span{t.id, t.span, parent, name, at, at.Add(took), kind}
}

func (r *Recorder) record(s Span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spans = append(r.spans, s)
	if over := len(r.spans) - maxSpans; over > 0 {
		r.spans = slices.Delete(r.spans, 0, over)
	}
}

// Fault counts trouble of a kind: an error's text key. "" is none.
func (r *Recorder) Fault(kind string) {
	if r == nil || kind == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count(kind, 1)
}

func (r *Recorder) count(kind string, n int) {
	if r.faults == nil {
		r.faults = map[string]int{}
	}
	if _, known := r.faults[kind]; !known && len(r.faults) >= maxKinds {
		kind = otherKinds
	}
	r.faults[kind] += n
}

// Take takes what has been recorded: as many of the oldest spans as a report may
// hold, and the faults in the order of their kinds. Who can't deliver it gives it
// back.
func (r *Recorder) Take() (spans []Span, faults []Fault) {
	if r == nil {
		return nil, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, kind := range slices.SortedFunc(maps.Keys(r.faults), cmp.Compare) {
		faults = append(faults, Fault{kind, r.faults[kind]})
	}
	n := min(len(r.spans), reportSpans)
	spans, r.spans, r.faults = slices.Clone(r.spans[:n]), slices.Delete(r.spans, 0, n), nil
	return spans, faults
}

// GiveBack returns what Take took and nobody got.
func (r *Recorder) GiveBack(spans []Span, faults []Fault) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range faults {
		r.count(f.Kind, f.Count)
	}
	r.spans = append(spans, r.spans...)
	if over := len(r.spans) - maxSpans; over > 0 {
		r.spans = slices.Delete(r.spans, 0, over)
	}
}
