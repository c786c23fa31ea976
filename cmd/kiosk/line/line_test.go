package line

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kosk/device/health"
	"kosk/device/identity"
	"kosk/device/provision"
	"kosk/device/request"
	"kosk/device/session"
	"kosk/device/text"
	"kosk/drivers/keystore"
	"kosk/drivers/keystore/tpm/swtpm"
	"kosk/offline"
	"kosk/offline/bus"
	"kosk/offline/control"
	"kosk/offline/queue"
)

// A request that was signed before the renewal is taken after it, by the new
// certificate, and so is one signed with the new key.
func TestARequestOutlivesTheRenewalOfItsKey(t *testing.T) {
	w := newWorld(t)
	s := w.enrol(time.Now().Add(-2 * 365 * 24 * time.Hour * 8 / 10)) // two thirds are over for certain
	l := w.open(nil)
	w.run(l, here(false), nil, "queue")
	before := w.put(l, "")
	if err := l.renewer.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.Key.(*ecdsa.PrivateKey).Equal(l.Wallet.Station().Key) {
		t.Fatal("nothing was renewed")
	}
	after := w.put(l, "")
	w.run(l, here(false), nil, "courier", "chores", "watch", "renewal")
	for _, id := range []request.ID{before, after} {
		delivered(t, l, id)
	}
	loaded, err := provision.Load(w.dir)
	if err != nil || s.Key.(*ecdsa.PrivateKey).Equal(loaded.Key) {
		t.Errorf("on the disk: %v", err)
	}
	if c := l.renewer.State(); c.NotAfter.Before(time.Now().Add(365 * 24 * time.Hour)) {
		t.Errorf("holds until %v", c.NotAfter)
	}
}

// A report tells what the operator needs, and nothing of a person.
func TestTelemetryTellsNothingOfAPerson(t *testing.T) {
	w := newWorld(t)
	w.enrol(time.Now())
	l := w.open(nil)
	trace := health.NewTrace()
	w.run(l, here(false), nil)
	id := w.put(l, trace.Parent())
	l.Health.Fault("fault.no_paper")
	delivered(t, l, id)
	l.Changed()
	var got health.Report
	until(t, "a report with the span", func() bool {
		select {
		case one := <-w.told:
			nobody(t, "telemetry", marshal(t, one))
			if got.Boot != "" && one.Report.Seq != got.Seq+1 {
				t.Errorf("report %d after %d", one.Report.Seq, got.Seq)
			}
			got = one.Report
			l.Changed()
		default:
		}
		return len(got.Spans) > 0
	})
	sp := got.Spans[0]
	if sp.Name != "deliver" || !strings.Contains(trace.Parent(), sp.Trace) || !strings.Contains(trace.Parent(), sp.Parent) || sp.Error != "" {
		t.Errorf("span %+v of %s", sp, trace.Parent())
	}
	if got.Boot != l.Boot || got.Firmware != "v1" || got.Catalogue != "2026-11" || got.Trust.Version != 3 || !got.Trust.Development ||
		got.Key != "file" || got.Queue.Key != "file" || got.Queue.Bound != 8<<20 || got.Queue.Bytes == 0 ||
		got.Queue.Delivered != 1 || got.Queue.Duplicates != 0 || got.Queue.CommitP50MS <= 0 || got.Queue.CommitP99MS < got.Queue.CommitP50MS || got.Paper.State != "unknown" {
		t.Errorf("%+v", got)
	}
	states := map[string]string{}
	for _, p := range got.Parts {
		states[p.Name] = p.State
	}
	for _, name := range []string{"line", "clock", "certificate", "disk"} {
		if states[name] != "online" {
			t.Errorf("%s is %q", name, states[name])
		}
	}
	until(t, "the bus's answer", func() bool { // it told us before it answered
		l.mu.Lock()
		defer l.mu.Unlock()
		return !l.reported.IsZero()
	})
	r, err := control.Ask(t.Context(), l.opts.Config.State.Socket(), control.Request{Verb: control.Status})
	if err != nil {
		t.Fatal(err)
	}
	nobody(t, "status", r.Status)
	var s health.Status
	if err := json.Unmarshal(r.Status, &s); err != nil || s.Station != name || !s.Vacant || s.Clock.State != "trusted" || s.Reported.IsZero() ||
		s.TrustFrom != "file" || s.Certificate.NotAfter.IsZero() {
		t.Errorf("%v, %+v", err, s)
	}
}

// delivered waits for the bus's receipt as a citizen does: for others the courier
// takes its time after an outage.
func delivered(t *testing.T, l *Line, id request.ID) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := l.Courier.Track(ctx, string(id), func(p offline.Progress) {
		if p.Stage != offline.Stored {
			cancel()
		}
	}); err != nil {
		t.Error(err)
	}
	if f, err := l.Queue.Show(string(id)); err != nil || f.State != queue.Finished {
		t.Fatalf("%s isn't delivered: %v, %s", id, err, f.State)
	}
}

// What could not be told is told when the line is back.
func TestWhatCouldNotBeToldIsKept(t *testing.T) {
	w := newWorld(t)
	w.enrol(time.Now())
	l := w.open(nil)
	w.stop()
	l.Health.Fault("fault.mute")
	l.report(t.Context())
	if _, faults := l.Health.Take(); len(faults) != 1 || !l.reported.IsZero() {
		t.Errorf("%v", faults)
	}
}

// The bundle is the operator's; the bus is only a messenger.
func TestTrustBundlesFromTheBus(t *testing.T) {
	w := newWorld(t)
	w.enrol(time.Now())
	operator, stranger := newKey(t), newKey(t)
	path := filepath.Join(w.dir, "trust.json")
	l := w.open(func(o *Options) {
		o.TrustKey = &operator.PublicKey
		w.bundle(path, 4, false, operator)
		var err error
		if o.Anchors, err = identity.AcceptBundle(path, o.TrustKey); err != nil {
			t.Fatal(err)
		}
	})
	var believed []int
	believe := func(a *identity.Anchors) { believed = append(believed, a.Version) }
	offer := filepath.Join(t.TempDir(), "offer.json")
	look := func(version int, development bool, key *ecdsa.PrivateKey) error {
		w.bundle(offer, version, development, key)
		b, err := os.ReadFile(offer)
		if err != nil {
			t.Fatal(err)
		}
		a, err := l.takeTrust(b)
		if a != nil {
			believe(a)
		}
		return err
	}
	for what, tt := range map[string]struct {
		err  error
		want error
	}{
		"a stranger's":                 {look(9, false, stranger), identity.ErrUnsigned},
		"nobody's":                     {look(9, true, nil), identity.ErrUnsigned},
		"older":                        {look(3, false, operator), identity.ErrRollback},
		"for development":              {look(9, true, operator), errKind},
		"the one in use, as it stands": {look(4, false, operator), nil},
	} {
		if !errors.Is(tt.err, tt.want) {
			t.Errorf("%s: %v, want %v", what, tt.err, tt.want)
		}
	}
	if _, err := l.takeTrust([]byte("no bundle")); !errors.Is(err, identity.ErrBundle) {
		t.Errorf("no bundle: %v", err)
	}
	if len(believed) != 0 {
		t.Fatalf("believed %v", believed)
	}
	w.bundle(offer, 5, false, operator)
	if _, err := w.reg.SetTrust(offer, &operator.PublicKey); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time nothing has changed
		if err := l.lookTrust(t.Context(), believe); err != nil {
			t.Fatal(err)
		}
	}
	if len(believed) != 1 || believed[0] != 5 || l.compose().Trust.Version != 5 {
		t.Errorf("believed %v", believed)
	}
	if a, err := identity.AcceptBundle(path, &operator.PublicKey); err != nil || a.Version != 5 {
		t.Errorf("at the next start: %v", err)
	}
	if err := look(4, false, operator); !errors.Is(err, identity.ErrRollback) {
		t.Errorf("back to the former one: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(w.dir, "*trust.json*")); len(left) != 2 { // with what was accepted
		t.Errorf("left: %q", left)
	}
	if _, has := l.Parts(here(false), nil)["trust"]; !has {
		t.Error("nobody looks for bundles")
	}
	if _, has := w2open(t, w, l)["trust"]; has {
		t.Error("a kiosk without a trust key takes bundles from the line")
	}
}

// w2open are the parts of a kiosk without a trust key.
func w2open(t *testing.T, w *world, l *Line) map[string]func(context.Context) error {
	t.Helper()
	other := *w
	other.dir = shortDir(t)
	if err := provision.Save(other.dir, l.Wallet.Station()); err != nil {
		t.Fatal(err)
	}
	return other.open(nil).Parts(here(false), nil)
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// What expired while the line was down is said so; but only times that the bus
// stands behind say what has expired.
func TestExpiryWithoutALine(t *testing.T) {
	w := newWorld(t)
	w.enrol(time.Now())
	l := w.open(nil)
	w.run(l, here(false), nil, "queue")
	put := func(id string, ttl time.Duration) request.ID {
		if err := l.Queue.Put(t.Context(), offline.Item{ID: id, Stream: id, TTL: ttl, Body: []byte("sealed")}); err != nil {
			t.Fatal(err)
		}
		return request.ID(id)
	}
	unsure := put("01K9ZZZZZZZZZZZZZZZZZZZZZ1", time.Millisecond)
	if _, err := l.Client.Time(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.stop()
	sure, fresh := put("01K9ZZZZZZZZZZZZZZZZZZZZZ2", time.Millisecond), put("01K9ZZZZZZZZZZZZZZZZZZZZZ3", time.Hour)
	until(t, "expiry", func() bool { l.expire(t.Context()); return isParked(l, sure) })
	if f, err := l.Queue.Show(string(sure)); err != nil || f.Reason != offline.ReasonExpired {
		t.Errorf("%v, %q", err, f.Reason)
	}
	if isParked(l, unsure) || isParked(l, fresh) {
		t.Error("parked what may be good")
	}
	saysWhy(t, offline.ReasonExpired)
	if r := l.compose(); r.Queue.Parked != 1 || r.Queue.Depth != 2 {
		t.Errorf("telemetry tells %+v", r.Queue)
	}
}

// saysWhy wants words for a reason in every language.
func saysWhy(t *testing.T, reason string) {
	t.Helper()
	key, ok := session.RefusalTitle(reason)
	for _, lang := range text.Langs {
		if !ok || text.In(lang, key).String() == "" {
			t.Errorf("%s has no words in %s", reason, lang)
		}
	}
}

// What the bus gets after its time, it refuses for good: the kiosk parks it, though
// it was sent, and tells why.
func TestTheBusRefusesWhatComesTooLate(t *testing.T) {
	w := newWorld(t)
	w.enrol(time.Now())
	l := w.open(nil)
	w.run(l, here(false), nil, "queue", "courier")
	id := w.putTo(l, offline.Item{}, func(d *request.Draft) {
		d.Clock, d.TTL, d.CreatedAt = request.ClockTrusted, time.Hour, d.CreatedAt.Add(-2*time.Hour)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var told offline.Progress
	if err := l.Courier.Track(ctx, string(id), func(p offline.Progress) { told = p }); err != nil {
		t.Error(err)
	}
	f, err := l.Queue.Show(string(id))
	if err != nil || f.State != queue.Parked || f.Reason != "too_late" || !f.MaybeSent || told.Stage != offline.Refused || told.Reason != f.Reason {
		t.Errorf("%v, %v for %q, sent %v; told %v for %q", err, f.State, f.Reason, f.MaybeSent, told.Stage, told.Reason)
	}
	saysWhy(t, f.Reason)
}

// The outbox has what its promises need: room laid aside for a disk that others
// fill, notes that say whose it was, and nothing of them in the open.
func TestTheOutboxOfAKiosk(t *testing.T) {
	w := newWorld(t)
	w.enrol(time.Now())
	l := w.open(nil)
	w.run(l, here(false), nil, "queue")
	path := l.opts.Config.State.Queue()
	if info, err := os.Stat(path + ".ballast"); err != nil || info.Size() != ballast {
		t.Errorf("room laid aside: %v", err)
	}
	trace := health.NewTrace().Parent()
	f, err := l.Queue.Show(string(w.put(l, trace)))
	if err != nil || f.Station() != name || f.Trace != trace || f.Sealed {
		t.Errorf("of %q, %+v, %v", f.Station(), f, err)
	}
	s, err := l.Queue.Stats()
	if err != nil || s.Bound != int64(l.opts.Config.Queue.MaxMB)<<20 {
		t.Errorf("bound %d, %v", s.Bound, err)
	}
	file, err := os.ReadFile(path)
	if err != nil || bytes.Contains(file, []byte(name)) || bytes.Contains(file, []byte(trace)) {
		t.Errorf("notes can be read in the file: %v", err)
	}
	nobody(t, "the queue's file", file)
}

func TestTheQueueIsCompactedByNightWhenNobodyIsThere(t *testing.T) {
	w := newWorld(t)
	w.enrol(time.Now())
	l := w.open(nil)
	w.run(l, here(false), nil, "queue")
	day := time.Date(2026, 11, 22, 12, 0, 0, 0, time.Local)
	night := day.Add(15 * time.Hour)
	for _, tt := range []struct {
		what string
		k    Kiosk
		at   time.Time
		want bool
	}{
		{"by day", here(false), day, false},
		{"with somebody there", here(true), night, false},
		{"at night", here(false), night, true},
		{"again in that night", here(false), night.Add(time.Hour), false},
		{"in the next night", here(false), night.Add(24 * time.Hour), true},
	} {
		l.kiosk = tt.k
		last := l.nightly
		l.compact(t.Context(), tt.at)
		if did := l.nightly != last; did != tt.want {
			t.Errorf("%s: %v", tt.what, did)
		}
	}
}

func TestTheLastKnownTimeIsAFloor(t *testing.T) {
	w := newWorld(t)
	w.enrol(time.Now())
	later := time.Now().Add(48 * time.Hour).Truncate(time.Second)
	f := timeFile{filepath.Join(w.dir, timeName), quiet}
	if at, err := f.LoadTime(); err != nil || !at.IsZero() {
		t.Errorf("at first: %v, %v", at, err)
	}
	if err := f.SaveTime(later); err != nil {
		t.Fatal(err)
	}
	if at, err := f.LoadTime(); err != nil || !at.Equal(later) {
		t.Errorf("%v, %v", at, err)
	}
	l := w.open(nil)
	if now, state := l.Now(); state != request.ClockFloor || now.Before(later) || l.systemTrusted() {
		t.Errorf("%v, %s", now, state)
	}
	if err := os.WriteFile(f.path, []byte("soon\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if at, err := f.LoadTime(); err != nil || !at.IsZero() {
		t.Errorf("damaged: %v, %v", at, err)
	}
}

func TestTimeFromTheBusIsKept(t *testing.T) {
	w := newWorld(t)
	w.enrol(time.Now())
	l := w.open(nil)
	if _, state := l.Now(); state == request.ClockTrusted {
		t.Error("trusted without having asked")
	}
	if _, err := l.Client.Time(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, state := l.Now(); state != request.ClockTrusted || l.clock.State() != bus.ClockTrusted {
		t.Errorf("%s", state)
	}
	if at, err := (timeFile{filepath.Join(w.dir, timeName), quiet}).LoadTime(); err != nil || time.Since(at).Abs() > time.Minute {
		t.Errorf("kept %v, %v", at, err)
	}
}

// A kiosk whose key was in a file works with it in the TPM: by the old certificate,
// while it is renewed, and after a start. Then the key is one of the TPM's own.
func TestAKioskMovesItsKeyIntoTheTPM(t *testing.T) {
	w, machine := newWorld(t), swtpm.Start(t)
	w.enrol(time.Now().Add(-2 * 365 * 24 * time.Hour * 8 / 10))
	guarded := func(o *Options) { o.Config.State.Keys, o.Config.State.KeysPath = "tpm", machine.Path }
	guard := func(l *Line, want string) {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(w.dir, provision.File))
		if got := l.compose().Key; got != want || err != nil || bytes.Contains(b, []byte("PRIVATE")) {
			t.Errorf("guarded by %q, not %q; in the file: %v", got, want, bytes.Contains(b, []byte("PRIVATE")))
		}
	}
	l := w.open(guarded)
	guard(l, "moved")
	w.run(l, here(false), nil, "queue", "courier", "chores", "watch")
	before := w.put(l, "")
	delivered(t, l, before)
	if err := l.renewer.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	guard(l, "tpm")
	delivered(t, l, w.put(l, ""))
	w.halt()

	l = w.open(guarded)
	guard(l, "tpm")
	w.run(l, here(false), nil, "queue", "courier", "chores", "watch")
	delivered(t, l, w.put(l, ""))
	w.halt()

	o := l.opts
	o.Config.State.Keys, o.Config.State.KeysPath = "file", ""
	if _, err := Open(t.Context(), o); !errors.Is(err, provision.ErrNoKeeper) || !strings.Contains(err.Error(), "state.keys") {
		t.Errorf("configured for a file: %v", err)
	}
	machine.Extend(t, 7)
	if _, err := Open(t.Context(), l.opts); !errors.Is(err, keystore.ErrState) || !strings.Contains(err.Error(), "kioskctl enrol --force") {
		t.Errorf("started in another state: %v", err)
	}
}

func TestAKioskWithoutItsKeysDoesNotStart(t *testing.T) {
	w := newWorld(t)
	w.enrol(time.Now())
	cfg := w.open(nil).opts
	cfg.Config.State.Keys, cfg.Config.State.KeysPath = "tpm", filepath.Join(w.dir, "none")
	if _, err := Open(t.Context(), cfg); !errors.Is(err, keystore.ErrNoStore) {
		t.Errorf("no tpm: %v", err)
	}
	cfg.Config.State.Dir = t.TempDir()
	if _, err := Open(t.Context(), cfg); !errors.Is(err, provision.ErrNotEnrolled) || !strings.Contains(err.Error(), "kioskctl enrol") {
		t.Errorf("not enrolled: %v", err)
	}
}
