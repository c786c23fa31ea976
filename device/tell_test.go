package device_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"kosk/device/catalogue"
	"kosk/device/health"
	"kosk/device/identity"
	"kosk/device/request"
	"kosk/device/session"
)

// A request is traced from its confirmation to its slip, and nothing of the
// person is in the trace.
func TestARequestIsTraced(t *testing.T) {
	visit(t, func(w *world) {
		rec := &health.Recorder{}
		w.kiosk.Health = rec
		bus := time.Now().Add(10 * time.Minute)
		w.kiosk.Clock = func() (time.Time, request.ClockState) { return bus, request.ClockTrusted }
		w.at(session.Attracting)
		if !w.kiosk.Vacant() {
			t.Error("nobody is there, and the kiosk thinks so")
		}
		w.toConsent()
		if w.kiosk.Vacant() {
			t.Error("somebody is there")
		}
		w.touch("next")
		w.wait(5 * time.Second)
		d := w.outbox.draft()
		if d.Clock != request.ClockTrusted || d.CreatedAt.Sub(bus).Abs() > time.Second {
			t.Errorf("made at %v by a clock that is %s", d.CreatedAt, d.Clock)
		}
		w.touch("finish")
		w.toAttract()
		spans, _ := rec.Take()
		parents := map[string]string{}
		for _, s := range spans {
			if s.Trace != spans[0].Trace || s.Error != "" || s.End.Before(s.Start) {
				t.Errorf("%+v", s)
			}
			parents[s.Name] = s.Parent
			if s.Name == "confirm" {
				parents["root"] = s.ID
			}
		}
		if len(spans) != 4 || parents["confirm"] != "" || parents["seal"] != parents["root"] || parents["store"] != parents["root"] || parents["print"] != parents["root"] {
			t.Errorf("spans %+v", spans)
		}
		b, err := json.Marshal(spans)
		check(t, err)
		for _, own := range []string{"5ARPXK2", "Aygün", "Məmmədova", "AA1234567", d.ID.Number(), string(d.ID)} {
			if strings.Contains(string(b), own) {
				t.Errorf("the trace holds %q", own)
			}
		}
		w.keepsSecrets(d)
	})
}

// What a person was told of is counted by the words' key.
func TestTroubleIsCounted(t *testing.T) {
	visit(t, func(w *world) {
		rec := &health.Recorder{}
		w.kiosk.Health = rec
		w.toCAN()
		w.types("111111")
		w.wait(5 * time.Second)
		if _, faults := rec.Take(); len(faults) != 1 || faults[0] != (health.Fault{Kind: "fault.wrong_can", Count: 1}) {
			t.Errorf("%v", faults)
		}
	})
}

// Other anchors are believed from the next visit on, and not in the middle of one.
func TestAnchorsChangeBetweenVisits(t *testing.T) {
	visit(t, func(w *world) {
		means := map[identity.MeansID]identity.Means{}
		nobody := &identity.Anchors{Version: 2}
		w.toCAN()
		w.kiosk.Believe(nobody, means)
		w.types(can)
		w.wait(5 * time.Second)
		w.at(session.Choosing) // this visit's card is believed still
		w.pull()
		w.wait(time.Minute)
		w.at(session.Attracting)
		w.toCAN()
		w.types(can)
		w.wait(5 * time.Second)
		w.at(session.Failing)
	})
}

// Another catalogue is offered from the next visit on; a request is made under the
// one that its person saw, whatever came meanwhile.
func TestTheCatalogueChangesBetweenVisits(t *testing.T) {
	visit(t, func(w *world) {
		old := w.kiosk.Offered()
		fresh := *old
		fresh.Version = "2030.1"
		fresh.Services = nil // the certificate is gone, and something else is there
		for _, s := range old.Services {
			if s.Level == catalogue.Anyone {
				s.ID = "brand_new"
				fresh.Services = append(fresh.Services, s)
			}
		}
		w.toConsent()
		w.kiosk.Offer(&fresh)
		w.wait(time.Second)
		w.at(session.Consenting)
		w.touch("next")
		w.wait(5 * time.Second)
		if d := w.outbox.draft(); d.CatalogueVersion != old.Version || d.Consent.TextVersion != old.Version || w.kiosk.Offered() != old {
			t.Errorf("the request is made under %s, and %s is offered", d.CatalogueVersion, w.kiosk.Offered().Version)
		}
		w.touch("finish")
		w.toAttract()
		if w.kiosk.Offered() != &fresh { // nobody had to touch anything
			t.Error("the kiosk is empty, and offers what it did")
		}
		w.touch("lang.en")
		home := w.at(session.Home).Scene
		if home.Find("service.brand_new") == nil || home.Find("service.workplace_cert") != nil {
			t.Errorf("offered: %+v", home)
		}
	})
	visit(t, func(w *world) { // at an empty kiosk at once
		fresh := *w.kiosk.Offered()
		told := 0
		w.kiosk.Changed = func() { told++ }
		w.kiosk.Offer(&fresh)
		w.wait(time.Millisecond)
		if w.kiosk.Offered() != &fresh || told != 1 {
			t.Errorf("offered %v, told %d times", w.kiosk.Offered() == &fresh, told)
		}
	})
}
