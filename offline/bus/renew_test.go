package bus_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"kosk/offline"
	"kosk/offline/bus"
	"kosk/offline/bus/bustest"
)

var errCut = errors.New("power cut")

// A wallet keeps pairs in memory, and can lose power before or after any of its
// steps has taken effect.
type wallet struct {
	current, next tls.Certificate
	cutAt         string // "before keep", "after keep" ...
}

func (w *wallet) power(at string) error {
	if w.cutAt == at {
		return errCut
	}
	return nil
}

func (w *wallet) Pairs() (tls.Certificate, tls.Certificate, error) { return w.current, w.next, nil }

func (w *wallet) NewKey() (crypto.Signer, error) {
	if err := w.power("before key"); err != nil {
		return nil, err
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

func (w *wallet) Keep(next tls.Certificate) error {
	if err := w.power("before keep"); err != nil {
		return err
	}
	w.next = next
	return w.power("after keep")
}

func (w *wallet) Promote() error {
	if err := w.power("before promote"); err != nil {
		return err
	}
	w.current, w.next = w.next, tls.Certificate{}
	return w.power("after promote")
}

// forced is a clock at which everything that bustest has issued is due.
func forced(t *testing.T) *bus.Clock {
	t.Helper()
	c, err := bus.NewClock(&keptTime{at: time.Now().Add(50 * time.Minute)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

type keptTime struct{ at time.Time }

func (k *keptTime) LoadTime() (time.Time, error) { return k.at, nil }
func (k *keptTime) SaveTime(at time.Time) error  { k.at = at; return nil }

func openAt(t *testing.T, b *bustest.Bus, cert tls.Certificate, clock *bus.Clock) *bus.Client {
	t.Helper()
	conf := b.TLS()
	conf.Certificates = []tls.Certificate{cert}
	c, err := bus.Open(bus.Options{
		URL: b.URL(), Instance: bustest.Instance, Client: bustest.Client, Service: bustest.Service, TLS: conf, Clock: clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Whatever happens at whatever moment, the pair in the wallet is one that the bus
// accepts, and the next step ends the renewal with another key.
func TestARenewalSurvivesACutAnywhere(t *testing.T) {
	for _, cut := range []string{"nowhere", "before key", "before keep", "after keep", "before promote", "after promote", "the answer", "the request", "not approved"} {
		t.Run(cut, func(t *testing.T) {
			b := bustest.Start(t)
			w := &wallet{current: b.TLS().Certificates[0], cutAt: cut}
			switch cut {
			case "the answer":
				b.Script(bustest.Renew, bustest.ApplyAndCut)
			case "the request":
				b.Script(bustest.Renew, bustest.Cut)
			case "not approved":
				b.Script(bustest.Renew, bustest.Busy)
			}
			old := string(w.current.Certificate[0])
			b.SetTime(time.Now().Add(50 * time.Minute))
			first := bus.NewRenewer(openAt(t, b, w.current, forced(t)), w, nil).Step(t.Context())
			if (first == nil) != (cut == "nowhere") {
				t.Errorf("the first step: %v", first)
			}
			w.cutAt = ""
			c := openAt(t, b, w.current, forced(t)) // after the restart
			if _, err := c.Time(t.Context()); err != nil {
				t.Fatalf("the kept pair does not work: %v", err)
			}
			r := bus.NewRenewer(c, w, nil)
			if done := cut == "nowhere" || cut == "after promote"; !done {
				if err := r.Step(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if string(w.current.Certificate[0]) == old || len(w.next.Certificate) > 0 {
				t.Error("not renewed")
			}
			if want := map[string]int{"nowhere": 1, "before key": 1, "after keep": 1, "before promote": 1, "after promote": 1}[cut]; want > 0 && b.Calls(bustest.Renew) != want {
				t.Errorf("%d renewals", b.Calls(bustest.Renew))
			}
			if _, err := c.Time(t.Context()); err != nil {
				t.Errorf("with the new pair: %v", err)
			}
		})
	}
}

func TestARenewalIsNotMadeBeforeItIsDue(t *testing.T) {
	b := bustest.Start(t)
	w := &wallet{current: b.TLS().Certificates[0]}
	r := bus.NewRenewer(openAt(t, b, w.current, nil), w, nil)
	if err := r.Step(t.Context()); err != nil || b.Calls(bustest.Renew) != 0 {
		t.Errorf("%v, %d renewals", err, b.Calls(bustest.Renew))
	}
	s := r.State() // bustest's certificates hold from an hour ago for two hours
	if left := s.NotAfter.Sub(s.Due); left < 29*time.Minute || left > 41*time.Minute {
		t.Errorf("due %v before the end", left)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.Run(ctx); err != nil {
		t.Error(err)
	}
}

func TestARefusedRenewalLeavesTheOldPair(t *testing.T) {
	b := bustest.Start(t)
	b.SetTime(time.Now().Add(50 * time.Minute))
	w := &wallet{current: b.TLS().Certificates[0]}
	c := openAt(t, b, w.current, forced(t))
	b.Script(bustest.Renew, bustest.DeniedNew)
	if err := bus.NewRenewer(c, w, nil).Step(t.Context()); !errors.Is(err, offline.ErrRefused) {
		t.Error(err)
	}
	if _, err := c.Time(t.Context()); err != nil || len(w.next.Certificate) > 0 {
		t.Errorf("%v", err)
	}
}

// The board has no battery: by the system's clock, the bus's certificate has not
// begun. Here it is the other way about, with the same rule: by the floor it has.
func TestCertificatesAreCheckedByTheClock(t *testing.T) {
	b := bustest.Start(t)
	late, err := bus.NewClock(&keptTime{at: time.Now().Add(48 * time.Hour)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := openAt(t, b, b.TLS().Certificates[0], late)
	if _, err := c.Time(t.Context()); !errors.Is(err, offline.ErrBusIdentity) {
		t.Errorf("a certificate that has ended by the floor: %v", err)
	}
	c = openAt(t, b, b.TLS().Certificates[0], nil)
	if c.Clock().State() != bus.ClockFloor {
		t.Error("our own certificate's beginning is no floor")
	}
	if _, err := c.Time(t.Context()); err != nil || c.Clock().State() != bus.ClockTrusted {
		t.Errorf("%v, %v", c.Clock().State(), err)
	}
	b.SetTime(time.Now().AddDate(30, 0, 0))
	if _, err := c.Time(t.Context()); !errors.Is(err, offline.ErrAgency) || c.Clock().Offset().Abs() > time.Minute {
		t.Errorf("a mad bus: %v, %v", err, c.Clock().Offset())
	}
}

func TestReportsGiveWay(t *testing.T) {
	b := bustest.Start(t)
	c := open(t, b, bus.Deadlines{LookUp: 3 * time.Second})
	if err := c.Report(t.Context(), []byte(`{"version":1}`)); err != nil || len(b.Reports()) != 1 {
		t.Errorf("%v, %q", err, b.Reports())
	}
	b.Script(bustest.Report, bustest.ApplyAndHang)
	slow := make(chan error, 1)
	go func() { slow <- c.Report(t.Context(), []byte(`{}`)) }()
	for b.Calls(bustest.Report) < 2 && len(slow) == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := c.Report(t.Context(), []byte(`{}`)); !errors.Is(err, bus.ErrBusy) {
		t.Errorf("a second one: %v", err)
	}
	if err := <-slow; !errors.Is(err, offline.ErrLineDown) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	states, ended := make(chan error, 4), make(chan error, 1)
	go func() { ended <- c.Watch(ctx, func(err error) { states <- err }) }()
	<-states
	b.SetDown(true)
	if err := <-states; !errors.Is(err, offline.ErrLineDown) {
		t.Error(err)
	}
	calls := b.Calls(bustest.Report)
	if err := c.Report(t.Context(), []byte(`{}`)); !errors.Is(err, offline.ErrLineDown) || b.Calls(bustest.Report) != calls {
		t.Errorf("with the line down: %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestFetchAsksOnlyForWhatIsNew(t *testing.T) {
	b := bustest.Start(t)
	c := open(t, b, bus.Deadlines{})
	b.SetPage("catalogue", []byte("one"))
	body, tag, changed, err := c.Fetch(t.Context(), "v1/catalogue", "")
	if err != nil || string(body) != "one" || !changed || tag == "" {
		t.Fatalf("%q %q %t %v", body, tag, changed, err)
	}
	body, again, changed, err := c.Fetch(t.Context(), "v1/catalogue", tag)
	if err != nil || body != nil || changed || again != tag {
		t.Errorf("%q %q %t %v", body, again, changed, err)
	}
	b.SetPage("catalogue", []byte("two"))
	if body, _, changed, err = c.Fetch(t.Context(), "v1/catalogue", tag); err != nil || string(body) != "two" || !changed {
		t.Errorf("%q %t %v", body, changed, err)
	}
	if _, _, _, err := c.Fetch(t.Context(), "v1/trust", ""); !errors.Is(err, offline.ErrRefused) {
		t.Error(err)
	}
	for _, path := range []string{"catalogue", "v1/../x", "https://elsewhere/", "v1/a b", "v1/a\r\nX: y"} {
		if _, _, _, err := c.Fetch(t.Context(), path, ""); err == nil {
			t.Errorf("%q is fetched", path)
		}
	}
}

func TestASubmissionCarriesItsTraceAndLearnsThePace(t *testing.T) {
	b := bustest.Start(t)
	c := open(t, b, bus.Deadlines{})
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	b.SetPace("0.4", "90")
	want := offline.Pace{Rate: 0.4, FirstContact: 90 * time.Second}
	if _, pace, err := c.Send(t.Context(), id, trace, []byte("x")); err != nil || pace != want || b.Trace(id) != trace {
		t.Errorf("%+v, %v, %q", pace, err, b.Trace(id))
	}
	for _, f := range []bustest.Fault{bustest.Busy, bustest.TooMany} {
		b.Script(bustest.Submit, f)
		if _, pace, err := c.Send(t.Context(), id, "", []byte("x")); err == nil || pace != want {
			t.Errorf("%s: %+v, %v", f, pace, err)
		}
	}
	for _, f := range []bustest.Fault{bustest.ApplyAndHalve, bustest.ApplyAndHTML} {
		b.Script(bustest.Submit, f)
		_, err := c.Submit(t.Context(), id, []byte("x"))
		if fault, ok := errors.AsType[*offline.Fault](err); !ok || !fault.Sent {
			t.Errorf("%s: %v", f, err)
		}
	}
}

func TestASilentAgencyStopsNoOther(t *testing.T) {
	b := bustest.Start(t)
	b.Answer("imei", 1)
	c := open(t, b, bus.Deadlines{})
	for range 5 {
		b.Script(bustest.Lookup, bustest.Broken)
	}
	for range 5 {
		if _, err := c.Lookup(t.Context(), "land", 1); !errors.Is(err, offline.ErrAgency) {
			t.Error(err)
		}
	}
	calls := b.Calls(bustest.Lookup)
	_, err := c.Lookup(t.Context(), "land", 1)
	f, ok := errors.AsType[*offline.Fault](err)
	if !ok || f.Type != "breaker.open" || f.RetryAfter <= 0 || f.Sent || b.Calls(bustest.Lookup) != calls {
		t.Errorf("%v, %d calls", err, b.Calls(bustest.Lookup)-calls)
	}
	if _, err := c.Lookup(t.Context(), "imei", 1); err != nil {
		t.Errorf("another service: %v", err)
	}
	if s := c.Services(); len(s) != 2 || !strings.HasSuffix(s[1].Name, "land") || !s[1].Open || s[0].Open {
		t.Errorf("%+v", s)
	}
}
