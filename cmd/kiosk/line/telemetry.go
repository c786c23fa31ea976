package line

import (
	"context"
	"encoding/json"
	"errors"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"time"

	"kosk/device/health"
	"kosk/device/provision"
	"kosk/drivers/card"
	"kosk/drivers/panel"
	"kosk/drivers/printer"
	"kosk/offline"
	"kosk/offline/bus"
	"kosk/offline/control"
	"kosk/offline/queue"
)

// A kiosk tells the bus of itself every minute, and soon when something changes.
// The rules are:
//   - nothing in it speaks of a person: states, counts, times, random ids;
//   - it gives way to requests, and what could not be told is told later: spans
//     and counts are given back, states are looked at anew;
//   - a change is told after a wait of its own, so that a fleet whose line comes
//     back doesn't speak at once;
//   - a printer is asked only while nobody is there.

const (
	tellEvery  = time.Minute
	tellFirst  = 10 * time.Second
	tellApart  = 10 * time.Second // between two reports, at least
	lookWithin = 5 * time.Second  // for a part to answer
	maxWords   = 200              // bytes of a cause
)

// The states of parts, in XFS4IoT's words.
const (
	stateOnline   = "online"
	stateOffline  = "offline"
	stateNoDevice = "noDevice"
	stateError    = "hardwareError"
	stateDegraded = "degraded"
)

// tell reports until ctx ends.
func (l *Line) tell(ctx context.Context) error {
	next := time.Now().Add(mathrand.N(tellFirst))
	timer := time.NewTimer(time.Until(next))
	defer timer.Stop()
	last := time.Time{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			l.look(ctx)
			l.report(ctx)
			last = time.Now()
			next = last.Add(tellEvery - tellEvery/20 + mathrand.N(tellEvery/10))
		case <-l.change: // never later than it would have been
			soon := time.Now().Add(max(mathrand.N(tellApart), time.Until(last.Add(tellApart))))
			if soon.Before(next) {
				next = soon
			}
		}
		timer.Reset(time.Until(next))
	}
}

// report sends one report.
func (l *Line) report(ctx context.Context) {
	spans, faults := l.Health.Take()
	r := l.compose()
	r.Spans, r.Faults = spans, faults
	l.mu.Lock()
	l.seq++
	r.Seq = l.seq
	l.mu.Unlock()
	b, err := json.Marshal(r)
	if err == nil {
		err = l.Client.Report(ctx, b)
	}
	if err != nil {
		l.Health.GiveBack(spans, faults)
		if ctx.Err() == nil && !errors.Is(err, offline.ErrLineDown) { // that is said by the line itself
			l.opts.Log.Warn("not reported", "err", err)
		}
		return
	}
	l.mu.Lock()
	l.reported = time.Now()
	l.mu.Unlock()
}

// compose puts together how the kiosk stands.
func (l *Line) compose() health.Report {
	a, now := l.trusted(), l.clock.Now()
	r := health.Report{
		Version: health.Version, At: now.UTC(), Boot: l.Boot, Uptime: int64(time.Since(l.started) / time.Second),
		Firmware: l.opts.Firmware, Catalogue: l.offered().Version, Key: l.keyGuard(),
		Trust: health.Trust{Version: int64(a.Version), IssuedAt: a.Issued.UTC(), Development: a.Development},
		Paper: health.Paper{State: printer.PaperUnknown.String()},
	}
	s, err := l.Courier.Stats()
	if err == nil {
		r.Queue = l.outbox(s.Queue)
	}
	if p, ok := l.opts.Printer.(printer.Supplier); ok {
		r.Paper = paperOf(p.Supply())
	}
	l.mu.Lock()
	for _, p := range l.found {
		r.Parts = append(r.Parts, p)
	}
	l.mu.Unlock()
	r.Parts = append(r.Parts, l.linePart(s.LineKnown, s.Line), l.clockPart(), l.certificatePart(), l.queuePart(s.Queue, err))
	slices.SortFunc(r.Parts, func(a, b health.Part) int { return strings.Compare(a.Name, b.Name) })
	return r
}

// keyGuard says what guards the station's key.
func (l *Line) keyGuard() string {
	switch l.Wallet.Station().Guard() {
	case provision.Inside:
		return l.opts.Config.State.Keys
	case provision.Moved:
		return "moved"
	}
	return "file"
}

func (l *Line) outbox(s queue.Stats) health.Queue {
	q := health.Queue{
		Depth: s.Queued, Bytes: s.FileBytes, Bound: s.Bound, Parked: s.Parked, OldestS: map[string]int64{},
		Key: l.opts.Config.State.Keys, Delivered: s.Delivered, Duplicates: s.Duplicates,
		CommitP50MS: float64(s.CommitP50) / float64(time.Millisecond), CommitP99MS: float64(s.CommitP99) / float64(time.Millisecond),
	}
	for class, at := range s.OldestOf {
		if s.Class[class] > 0 && !at.IsZero() {
			q.OldestS[control.Class(offline.Class(class))] = max(0, int64(time.Since(at)/time.Second)) // by the clock that stamped it
		}
	}
	return q
}

func paperOf(s printer.Supply) health.Paper {
	return health.Paper{
		State: s.Paper.String(), LeftMM: max(0, s.LeftMM), EmptyInS: max(0, int64(s.EmptyIn/time.Second)), Retracted: s.Retracted,
	}
}

func (l *Line) linePart(known bool, err error) health.Part {
	p := health.Part{Name: "line", State: stateOnline}
	switch {
	case !known:
		p.State = stateOffline
	case err != nil:
		p.State, p.Cause = stateOffline, words(err)
	}
	return p
}

func (l *Line) clockPart() health.Part {
	p := health.Part{Name: "clock", State: stateOnline}
	switch state := l.clock.State(); {
	case state != bus.ClockTrusted:
		p.State, p.Cause = stateDegraded, state.String()
	case !l.systemTrusted():
		p.State, p.Cause = stateDegraded, "system clock is off by "+l.clock.Offset().Round(time.Second).String()
	}
	return p
}

func (l *Line) certificatePart() health.Part {
	return partOf("certificate", l.renewer.State().Err)
}

// queuePart is how the disk serves the queue.
func (l *Line) queuePart(s queue.Stats, err error) health.Part {
	p, r := health.Part{Name: "disk", State: stateOnline}, l.Queue.Report()
	if err == nil {
		err = l.Queue.Err()
	}
	switch {
	case err != nil:
		p.State, p.Cause = stateError, words(err)
	case s.DiskFull:
		p.State, p.Cause = stateDegraded, "disk full"
	case r.Action != "":
		p.State, p.Cause = stateDegraded, "queue "+r.Action
	case r.Sealed > 0:
		p.State, p.Cause = stateDegraded, "notes of earlier starts can't be read: their key is gone"
	}
	return p
}

// look asks the parts that must be asked.
func (l *Line) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	if r, ok := l.opts.Reader.(card.Looker); ok {
		_, err := r.Look(ctx)
		l.notice(readerPart(err))
	}
	if p := l.opts.Panel; p != nil {
		l.notice(lampsPart(p.Err()))
	}
	if l.opts.Printer == nil || !l.vacant() {
		return
	}
	s, err := l.opts.Printer.Status(ctx)
	if err == nil {
		err = s.Err()
	}
	l.notice(printerPart(err))
}

func readerPart(err error) health.Part {
	switch {
	case err == nil:
		return health.Part{Name: "card", State: stateOnline}
	case errors.Is(err, card.ErrNoReader):
		return health.Part{Name: "card", State: stateNoDevice, Cause: words(err)}
	}
	return health.Part{Name: "card", State: stateError, Cause: words(err)}
}

func lampsPart(err error) health.Part {
	switch {
	case err == nil:
		return health.Part{Name: "lamps", State: stateOnline}
	case errors.Is(err, panel.ErrUnplugged):
		return health.Part{Name: "lamps", State: stateNoDevice, Cause: words(err)}
	}
	return health.Part{Name: "lamps", State: stateError, Cause: words(err)}
}

func printerPart(err error) health.Part {
	p := health.Part{Name: "printer", State: stateOnline}
	switch {
	case err == nil:
		return p
	case errors.Is(err, printer.ErrUnplugged):
		p.State = stateNoDevice
	case errors.Is(err, printer.ErrMute), errors.Is(err, printer.ErrOffline):
		p.State = stateOffline
	case errors.Is(err, printer.ErrNoPaper), errors.Is(err, printer.ErrCoverOpen):
		p.State = stateDegraded
	default:
		p.State = stateError
	}
	p.Cause = words(err)
	return p
}

// notice takes note of how a part stands.
func (l *Line) notice(p health.Part) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.found[p.Name] = p
}

// words are an error's, bounded.
func words(err error) string { return bounded(err.Error()) }

func bounded(s string) string {
	if len(s) > maxWords {
		s = strings.ToValidUTF8(s[:maxWords], "")
	}
	return s
}

// watch has changes of the line told soon. Those of devices come by Changed.
func (l *Line) watch(ctx context.Context) error {
	return l.Client.Watch(ctx, func(error) { l.Changed() })
}

// status is what kioskctl shows.
func (l *Line) status(ctx context.Context) (json.RawMessage, error) {
	l.look(ctx)
	c := l.renewer.State()
	s := health.Status{
		Station: l.Wallet.Station().Name, Vacant: l.vacant(), Report: l.compose(),
		Clock:       health.Clock{State: l.clock.State().String(), OffsetMS: l.clock.Offset().Milliseconds()},
		Certificate: health.Certificate{NotAfter: c.NotAfter, Due: c.Due, Failures: c.Failures},
		Rescue:      l.Queue.Report().Action, TrustFrom: "file", Catalogue: l.offered(),
	}
	if c.Err != nil {
		s.Certificate.Error = words(c.Err)
	}
	if l.opts.TrustKey != nil {
		s.TrustFrom = "bus"
	}
	l.mu.Lock()
	s.Reported = l.reported.UTC()
	l.mu.Unlock()
	return json.Marshal(s)
}
