package device

import (
	"maps"
	"time"

	"kosk/device/catalogue"
	"kosk/device/health"
	"kosk/device/identity"
	"kosk/device/request"
	"kosk/device/session"
	"kosk/device/text"
	"kosk/drivers/printer"
)

// What the kiosk's machine tells the loop, and is told by it.

// believed is whose signatures are taken, and the means that take them.
type believed struct {
	anchors *identity.Anchors
	means   map[identity.MeansID]identity.Means
}

// Believe has other anchors believed, from the next visit on: never in the
// middle of one. The means must lead to the same anchors. It never blocks.
func (k *Kiosk) Believe(a *identity.Anchors, means map[identity.MeansID]identity.Means) {
	k.next.Store(&believed{a, maps.Clone(means)})
}

// Offer has another catalogue offered, from the next visit on: what a person has
// begun with stays as it is until they have left. It never blocks.
func (k *Kiosk) Offer(c *catalogue.Catalogue) {
	k.coming.Store(c)
	select {
	case k.news <- struct{}{}:
	default: // the loop knows
	}
}

// Offered is the catalogue that is in use.
func (k *Kiosk) Offered() *catalogue.Catalogue { return k.offer.Load() }

// adopt takes what Believe and Offer brought while nobody is here.
func (k *Kiosk) adopt() {
	if k.visit.State != session.Attracting {
		return
	}
	if c := k.coming.Swap(nil); c != nil {
		k.visit.Kiosk.Catalogue = c
		k.offer.Store(c)
		k.Log.Info("catalogue in use", "version", c.Version)
		k.changed()
	}
	if next := k.next.Swap(nil); next != nil {
		k.trust.Store(next)
		k.visit.Kiosk.NoTrust = false // where there was none at the start
		k.Log.Info("trust bundle in use", "version", next.anchors.Version)
	}
}

// Vacant reports whether nobody is here.
func (k *Kiosk) Vacant() bool { return k.vacant.Load() }

// changed tells that a device has changed.
func (k *Kiosk) changed() {
	if k.Changed != nil {
		k.Changed()
	}
}

// clock is the time as well as it is known, and what that is worth.
func (k *Kiosk) clock() (time.Time, request.ClockState) {
	if k.Clock == nil {
		return time.Now(), request.ClockUnset
	}
	return k.Clock()
}

func (k *Kiosk) now() time.Time {
	now, _ := k.clock()
	return now
}

// trouble counts what a person was just told of, by its words' key.
func (k *Kiosk) trouble(e session.Event, before session.State, told text.Key) {
	v := k.visit
	if f := v.Fault.Key; f != "" && (f != told || v.State == session.Failing && before != session.Failing) {
		k.Health.Fault(string(f))
	}
	if p, is := e.(session.SlipPrinted); is && p.Outcome != printer.Confirmed {
		k.Health.Fault(string(v.PrintWord))
	}
}

// kinds of errors in spans: never words, which might tell something of a person.
const (
	kindSeal  = "seal"
	kindStore = "store"
	kindPrint = "print"
)

// kindOf is the kind if there was an error.
func kindOf(err error, kind string) string {
	if err == nil {
		return ""
	}
	return kind
}

// traced runs one step of a request as a span.
func (k *Kiosk) traced(t health.Trace, name, kind string, do func() error) error {
	_, end := k.Health.Begin(t, name)
	err := do()
	end(kindOf(err, kind))
	return err
}
