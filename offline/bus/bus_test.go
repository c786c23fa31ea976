package bus_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"kosk/offline"
	"kosk/offline/bus"
	"kosk/offline/bus/bustest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const id = "01JDTEST000000000000000001"

var (
	_ offline.Lookup = (*bus.Client)(nil)
	_ offline.Line   = (*bus.Client)(nil)
)

func open(t *testing.T, b *bustest.Bus, d bus.Deadlines) *bus.Client {
	t.Helper()
	c, err := bus.Open(bus.Options{
		URL: b.URL(), Instance: bustest.Instance, Client: bustest.Client, Service: bustest.Service,
		TLS: b.TLS(), Deadlines: d,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestASubmissionIsAcceptedOnceWithTheSameReceipt(t *testing.T) {
	b := bustest.Start(t)
	c, body := open(t, b, bus.Deadlines{}), []byte("sealed")
	first, err := c.Submit(t.Context(), id, body)
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.Submit(t.Context(), id, body)
	if err != nil || string(first) != string(again) {
		t.Errorf("again: %x, %v; first %x", again, err, first)
	}
	if err := b.Verify(id, body, first); err != nil {
		t.Error(err)
	}
	if d := cmp.Diff([]string{id}, b.Applied()); d != "" {
		t.Error(d)
	}
}

func TestEveryFaultHasItsClass(t *testing.T) {
	for _, c := range []struct {
		fault   bustest.Fault
		want    error
		sent    bool
		retry   time.Duration
		typ     string
		applied bool
	}{
		{bustest.Cut, offline.ErrLineDown, true, 0, "line.lost", false},
		{bustest.ApplyAndCut, offline.ErrLineDown, true, 0, "line.lost", true},
		{bustest.ApplyAndHang, offline.ErrLineDown, true, 0, "line.timeout", true},
		{bustest.ApplyAndGarble, offline.ErrAgency, true, 0, "answer.malformed", true},
		{bustest.ApplyAndMisname, offline.ErrAgency, true, 0, "answer.malformed", true},
		{bustest.Busy, offline.ErrAgency, false, 2 * time.Second, "http.503", false},
		{bustest.TooMany, offline.ErrAgency, false, 2 * time.Second, "http.429", false},
		{bustest.InFlight, offline.ErrAgency, true, 0, "inflight", false},
		{bustest.Conflict, offline.ErrConflict, false, 0, "conflict", false},
		{bustest.Broken, offline.ErrAgency, true, 0, "http.500", false},
		{bustest.Redirect, offline.ErrAgency, true, 0, "http.302", false},
		{bustest.DeniedOld, offline.ErrRefused, false, 0, "server.serverproxy.accessdenied", false},
		{bustest.DeniedNew, offline.ErrRefused, false, 0, "server.serverproxy.accessdenied", false},
		{bustest.FailedOld, offline.ErrAgency, true, 0, "server.serverproxy.servicefailed.httperror", false},
		{bustest.FailedNew, offline.ErrAgency, true, 0, "server.serverproxy.networkerror", false},
		{bustest.Maintenance, offline.ErrLineDown, false, 0, "server.clientproxy.maintenancemode", false},
		{bustest.ProviderRefuses, offline.ErrRefused, false, 0, "http.403", false},
	} {
		t.Run(string(c.fault), func(t *testing.T) {
			b := bustest.Start(t)
			b.Script(bustest.Submit, c.fault)
			d := bus.Deadlines{}
			if c.fault == bustest.ApplyAndHang {
				d.Answer = 2 * time.Second
			}
			_, err := open(t, b, d).Submit(t.Context(), id, []byte("sealed"))
			var f *offline.Fault
			if !errors.Is(err, c.want) || !errors.As(err, &f) {
				t.Fatalf("error %v", err)
			}
			if f.Sent != c.sent || f.RetryAfter != c.retry || f.Type != c.typ {
				t.Errorf("fault %+v", f)
			}
			if (len(b.Applied()) == 1) != c.applied {
				t.Errorf("applied %v", b.Applied())
			}
			if c.fault == bustest.ProviderRefuses && f.Reason != "not_entitled" {
				t.Errorf("reason %q", f.Reason)
			}
		})
	}
}

// What is printed of a fault is logged: it names the reason and no words.
func TestAFaultReadsAsAPath(t *testing.T) {
	for want, f := range map[string]*offline.Fault{
		"line.dial: line down":                        {Type: "line.dial", Err: offline.ErrLineDown},
		"http.403 (http 403): not_entitled: refused":  {Type: "http.403", Status: 403, Reason: "not_entitled", Message: "AYGÜN", Err: offline.ErrRefused},
		"server.x (http 500): agency does not answer": {Type: "server.x", Status: 500, Err: offline.ErrAgency},
	} {
		if got := f.Error(); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

func TestNothingWasSentWhenNoConnectionStood(t *testing.T) {
	b := bustest.Start(t)
	c := open(t, b, bus.Deadlines{})
	for _, s := range []struct {
		name string
		set  func(bool)
		want error
		not  error
	}{
		{"line down", b.SetDown, offline.ErrLineDown, offline.ErrBusIdentity},
		{"impostor", b.SetImpostor, offline.ErrBusIdentity, offline.ErrLineDown},
	} {
		s.set(true)
		_, err := c.Submit(t.Context(), id, []byte("sealed"))
		var f *offline.Fault
		if !errors.Is(err, s.want) || errors.Is(err, s.not) || !errors.As(err, &f) || f.Sent {
			t.Errorf("%s: %v", s.name, err)
		}
		s.set(false)
	}
	if len(b.Applied()) != 0 {
		t.Errorf("applied %v", b.Applied())
	}
}

func TestStatusFollowsASubmission(t *testing.T) {
	b := bustest.Start(t)
	c := open(t, b, bus.Deadlines{})
	if _, err := c.Status(t.Context(), id); !errors.Is(err, offline.ErrNotFound) {
		t.Errorf("before: %v", err)
	}
	receipt, err := c.Submit(t.Context(), id, []byte("sealed"))
	if err != nil {
		t.Fatal(err)
	}
	b.Work(id)
	want := offline.Progress{ID: id, Stage: offline.Accepted, Receipt: receipt}
	got, err := c.Status(t.Context(), id)
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
	time.AfterFunc(50*time.Millisecond, func() { b.Finish(id, json.RawMessage(`{"n":1}`)) })
	start := time.Now()
	want.Stage, want.Outcome = offline.Done, json.RawMessage(`{"n":1}`)
	got, err = c.Await(t.Context(), id, offline.Accepted)
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("the outcome took %v", took)
	}
	b.Refuse(id, "not_entitled")
	if got, err = c.Status(t.Context(), id); err != nil || got.Stage != offline.Refused || got.Reason != "not_entitled" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestLookUps(t *testing.T) {
	b := bustest.Start(t)
	b.Answer("imei", map[string]string{"state": "registered"})
	c, hasty := open(t, b, bus.Deadlines{LookUp: time.Minute}), open(t, b, bus.Deadlines{LookUp: 2 * time.Second})
	got, err := c.Lookup(t.Context(), "imei", map[string]string{"imei": "1"})
	if err != nil || strings.TrimSpace(string(got)) != `{"state":"registered"}` {
		t.Errorf("%s, %v", got, err)
	}
	for _, f := range []struct {
		fault bustest.Fault
		want  error
	}{
		{bustest.Cut, offline.ErrLineDown},
		{bustest.ApplyAndHang, offline.ErrLineDown},
		{bustest.ApplyAndGarble, offline.ErrAgency},
		{bustest.FailedNew, offline.ErrAgency},
		{bustest.Broken, offline.ErrAgency},
		{bustest.Busy, offline.ErrAgency},
		{bustest.DeniedOld, offline.ErrRefused},
		{bustest.ProviderRefuses, offline.ErrRefused},
	} {
		b.Script(bustest.Lookup, f.fault)
		asks := c
		if f.fault == bustest.ApplyAndHang {
			asks = hasty
		}
		if _, err := asks.Lookup(t.Context(), "imei", 1); !errors.Is(err, f.want) {
			t.Errorf("%s: %v", f.fault, err)
		}
	}
	if _, err := c.Lookup(t.Context(), "nothing", 1); !errors.Is(err, offline.ErrRefused) {
		t.Errorf("unknown look-up: %v", err)
	}
}

func TestTimeAndKeys(t *testing.T) {
	c := open(t, bustest.Start(t), bus.Deadlines{})
	at, err := c.Time(t.Context())
	if err != nil || time.Since(at).Abs() > time.Minute {
		t.Errorf("time %v, %v", at, err)
	}
	k, err := c.Keys(t.Context())
	if err != nil || k.Recipient != "age1pqexample" || len(k.ReceiptKey) == 0 || k.Instance != bustest.Instance || k.NotAfter.IsZero() {
		t.Errorf("keys %+v, %v", k, err)
	}
}

func TestWatchTellsEveryChangeOfTheLine(t *testing.T) {
	b := bustest.Start(t)
	c := open(t, b, bus.Deadlines{})
	ctx, cancel := context.WithCancel(t.Context())
	states := [2]chan error{make(chan error, 8), make(chan error, 8)}
	ended := make(chan error, 2)
	for _, s := range states {
		go func() { ended <- c.Watch(ctx, func(err error) { s <- err }) }()
	}
	expect := func(want error) {
		t.Helper()
		for i, s := range states {
			select {
			case got := <-s:
				if got != want {
					t.Fatalf("watcher %d: %v, not %v", i, got, want)
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("watcher %d: no news of %v", i, want)
			}
		}
	}
	expect(nil)
	b.SetDown(true)
	if _, err := c.Submit(ctx, id, []byte("x")); err == nil { // wakes the watcher
		t.Error("submitted without a line")
	}
	expect(offline.ErrLineDown)
	b.SetImpostor(true)
	b.SetDown(false)
	expect(offline.ErrBusIdentity)
	b.SetImpostor(false)
	expect(nil)
	if n := b.Calls(bustest.Time); n > 4 {
		t.Errorf("%d probes for two watchers", n)
	}
	cancel()
	for range states {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestOpenRefusesWhatCannotWork(t *testing.T) {
	b := bustest.Start(t)
	good := bus.Options{URL: b.URL(), Instance: "AZ-TEST", Client: bustest.Client, Service: bustest.Service, TLS: b.TLS()}
	for name, change := range map[string]func(*bus.Options){
		"plain http":          func(o *bus.Options) { o.URL = "http://bus" },
		"path in the url":     func(o *bus.Options) { o.URL = "https://bus/x" },
		"client of two parts": func(o *bus.Options) { o.Client = "AZ/GOV" },
		"service of 3 parts":  func(o *bus.Options) { o.Service = "GOV/BUS/intake" },
		"empty part":          func(o *bus.Options) { o.Service = "GOV//kiosk/intake" },
		"no certificate":      func(o *bus.Options) { o.TLS = nil },
	} {
		o := good
		change(&o)
		if _, err := bus.Open(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestEnrol(t *testing.T) {
	b := bustest.Start(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	code := b.Code()
	enrol := func(code string) (bus.Enrolled, error) {
		return bus.Enrol(t.Context(), bus.Enrolment{URL: b.URL(), Code: code, Key: key})
	}
	wrongPrint := code[:len(code)-1] + map[bool]string{true: "1", false: "0"}[code[len(code)-1] == '0']
	for _, c := range []struct {
		name, code string
		want       error
	}{
		{"mistyped", "x.y", bus.ErrCode},
		{"fingerprint of another ca", wrongPrint, offline.ErrBusIdentity},
		{"wrong secret", strings.Replace(code, ".ABC", ".ABD", 1), offline.ErrRefused},
	} {
		if _, err := enrol(c.code); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	b.SetImpostor(true) // it passes the true ca on, and has no certificate under it
	if _, err := enrol(code); !errors.Is(err, offline.ErrBusIdentity) {
		t.Errorf("impostor: %v", err)
	}
	b.SetImpostor(false)

	got, err := enrol(code)
	if err != nil {
		t.Fatal(err)
	}
	conf, err := got.TLS(key)
	if err != nil || got.Station != bustest.Station {
		t.Fatalf("%s, %v", got.Station, err)
	}
	c, err := bus.Open(bus.Options{URL: b.URL(), Instance: bustest.Instance, Client: bustest.Client, Service: bustest.Service, TLS: conf})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Keys(t.Context()); err != nil {
		t.Errorf("with the new certificate: %v", err)
	}
	if _, err := enrol(code); !errors.Is(err, offline.ErrRefused) {
		t.Errorf("a code that was used: %v", err)
	}
}
