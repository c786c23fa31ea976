package courier_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"kosk/offline"
	"kosk/offline/courier"
	"kosk/offline/queue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ offline.Tracker = (*courier.Courier)(nil)

func id(n int) string { return fmt.Sprintf("01JDTEST%018d", n) }

func item(n int, stream string) offline.Item {
	return offline.Item{ID: id(n), Stream: stream, Body: fmt.Appendf(nil, "body %d", n)}
}

// A fakeBus holds submissions in memory and checks that what may have arrived is
// marked on disk. say decides how an exchange ends; it runs under the lock.
type fakeBus struct {
	t      *testing.T
	queue  *queue.Queue
	line   chan error
	spread time.Duration // of the first contact; 0: next to none

	mu       sync.Mutex
	say      func(call, id string) (apply bool, err error)
	pace     offline.Pace
	work     time.Duration // how long a submission takes
	held     map[string][]byte
	outcome  map[string]offline.Progress
	log      []string
	at       []time.Time
	inFlight int
	most     int
}

func (b *fakeBus) Watch(ctx context.Context, seen func(error)) error {
	seen(nil)
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-b.line:
			seen(err)
		}
	}
}

func (b *fakeBus) exchange(call, id string) (bool, error) {
	b.log = append(b.log, call+" "+id[len(id)-1:])
	b.at = append(b.at, time.Now())
	if b.say == nil {
		return true, nil
	}
	return b.say(call, id)
}

func receipt(id string, body []byte) []byte { return []byte("receipt " + id + string(body)) }

func (b *fakeBus) Send(ctx context.Context, id, _ string, body []byte) ([]byte, offline.Pace, error) {
	if f, err := b.queue.Find(id); err != nil || !f.MaybeSent || f.Attempts == 0 {
		b.t.Errorf("%s is sent and not marked: %+v, %v", id, f, err)
	}
	b.mu.Lock()
	b.inFlight++
	b.most = max(b.most, b.inFlight)
	b.mu.Unlock()
	select {
	case <-time.After(b.work):
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inFlight--
	apply, err := b.exchange("put", id)
	if old, ok := b.held[id]; apply && ok && !bytes.Equal(old, body) {
		b.t.Errorf("%s came again with another body", id)
	}
	if apply {
		b.held[id] = body
	}
	return receipt(id, body), b.pace, err
}

func (b *fakeBus) Status(_ context.Context, id string) (offline.Progress, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, err := b.exchange("ask", id); err != nil {
		return offline.Progress{}, err
	}
	return b.progress(id)
}

func (b *fakeBus) progress(id string) (offline.Progress, error) {
	body, ok := b.held[id]
	if !ok {
		return offline.Progress{}, &offline.Fault{Type: "http.404", Status: 404, Err: offline.ErrNotFound}
	}
	p := b.outcome[id]
	p.ID, p.Receipt = id, receipt(id, body)
	if p.Stage == 0 {
		p.Stage = offline.Accepted
	}
	return p, nil
}

func (b *fakeBus) Await(ctx context.Context, id string, after offline.Stage) (offline.Progress, error) {
	for end := time.Now().Add(25 * time.Second); ; {
		b.mu.Lock()
		p, err := b.progress(id)
		if b.say != nil && err == nil {
			_, err = b.say("await", id)
		}
		b.mu.Unlock()
		if err != nil || p.Stage != after || !time.Now().Before(end) {
			return p, err
		}
		select {
		case <-ctx.Done():
			return p, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (b *fakeBus) finish(id string, p offline.Progress) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.outcome[id] = p
}

func (b *fakeBus) calls() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.log)
}

func (b *fakeBus) times() []time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.at)
}

// A kiosk is a queue, a courier and a bus.
type kiosk struct {
	t    *testing.T
	path string
	q    *queue.Queue
	c    *courier.Courier
	bus  *fakeBus
	stop func()
}

func verify(id string, body, got []byte) error {
	if !bytes.Equal(got, receipt(id, body)) {
		return errors.New("forged")
	}
	return nil
}

func start(t *testing.T, path string, b *fakeBus) *kiosk {
	t.Helper()
	q, err := queue.Open(path, queue.Options{MaxSize: 4 << 20, ClockTrusted: func() bool { return true }})
	must(t, err)
	b.t, b.queue, b.line = t, q, make(chan error)
	if b.spread == 0 {
		b.spread = 1
	}
	if b.held == nil {
		b.held, b.outcome = map[string][]byte{}, map[string]offline.Progress{}
	}
	c, err := courier.New(courier.Options{
		Queue: q, Bus: b, Verify: verify, FirstContact: b.spread,
		Expired: func(e queue.Entry) bool { return e.Expired(time.Now()) },
	})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { must(t, q.Run(ctx)) })
	all.Go(func() { must(t, c.Run(ctx)) })
	stop := sync.OnceFunc(func() { cancel(); all.Wait(); must(t, q.Close()) })
	return &kiosk{t, path, q, c, b, stop}
}

func (k *kiosk) put(items ...offline.Item) {
	k.t.Helper()
	for _, i := range items {
		must(k.t, k.q.Put(k.t.Context(), i))
	}
}

func (k *kiosk) state(n int) queue.Found {
	k.t.Helper()
	f, err := k.q.Find(id(n))
	must(k.t, err)
	return f
}

func (k *kiosk) want(calls ...string) {
	k.t.Helper()
	if d := cmp.Diff(calls, k.bus.calls()); d != "" {
		k.t.Errorf("calls: %s", d)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// inBubble runs a kiosk on the bubble's clock.
func inBubble(t *testing.T, b *fakeBus, test func(t *testing.T, k *kiosk)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "queue")
	synctest.Test(t, func(t *testing.T) {
		k := start(t, path, b)
		defer k.stop()
		test(t, k)
	})
}

// once says err to the first exchange of a kind, and yes to all others.
func once(kind string, apply bool, err error) func(string, string) (bool, error) {
	done := false
	return func(call, _ string) (bool, error) {
		if call != kind || done {
			return true, nil
		}
		done = true
		return apply, err
	}
}

func fault(err error, sent bool) *offline.Fault {
	return &offline.Fault{Type: "test", Err: err, Sent: sent}
}

func TestStreamsAreInOrderAndSideBySide(t *testing.T) {
	inBubble(t, &fakeBus{work: time.Second}, func(t *testing.T, k *kiosk) {
		last := map[string]int{}
		k.bus.say = func(_, id string) (bool, error) {
			var n int
			fmt.Sscanf(id[20:], "%d", &n)
			stream := fmt.Sprint(n % 6)
			if n < last[stream] {
				t.Errorf("%d after %d", n, last[stream])
			}
			last[stream] = n
			return true, nil
		}
		for n := range 24 {
			k.put(item(n, fmt.Sprint(n%6)))
		}
		begin := time.Now()
		for len(k.bus.calls()) < 24 {
			time.Sleep(time.Second)
		}
		if took := time.Since(begin); took > 9*time.Second || k.bus.most != 4 {
			t.Errorf("took %v, %d side by side", took, k.bus.most)
		}
	})
}

func TestAnUnknownOutcomeIsAskedFor(t *testing.T) {
	for _, c := range []struct {
		name string
		say  func(string, string) (bool, error)
		want []string
		rec  int
	}{
		{"applied, answer lost", once("put", true, fault(offline.ErrLineDown, true)), []string{"put 1", "ask 1"}, 1},
		{"not applied", once("put", false, fault(offline.ErrAgency, true)), []string{"put 1", "ask 1", "put 1"}, 0},
		{"never left", once("put", false, fault(offline.ErrLineDown, false)), []string{"put 1", "put 1"}, 0},
		{"error of no class", once("put", true, errors.New("?")), []string{"put 1", "ask 1"}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, &fakeBus{say: c.say}, func(t *testing.T, k *kiosk) {
				k.put(item(1, "s"))
				time.Sleep(5 * time.Second)
				k.want(c.want...)
				s, err := k.c.Stats()
				must(t, err)
				if f := k.state(1); f.State != queue.Finished || s.Delivered != 1 || s.Recovered != c.rec || s.Retries != 1 {
					t.Errorf("%+v, %+v", f, s)
				}
			})
		})
	}
}

func TestAfterARestartWhatMayHaveArrivedIsAskedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue")
	synctest.Test(t, func(t *testing.T) {
		b := &fakeBus{say: func(string, string) (bool, error) { return true, fault(offline.ErrLineDown, true) }}
		k := start(t, path, b)
		k.put(item(1, "s"))
		synctest.Wait()
		k.stop()
		b.say, b.log = nil, nil
		k = start(t, path, b)
		defer k.stop()
		time.Sleep(time.Second)
		k.want("ask 1")
		if f := k.state(1); f.State != queue.Finished || !bytes.Equal(f.Receipt, receipt(id(1), []byte("body 1"))) {
			t.Errorf("%+v", f)
		}
	})
}

func TestWhatIsRefusedIsParkedAndTheStreamGoesOn(t *testing.T) {
	agency := fault(offline.ErrRefused, false)
	agency.Reason = "not_entitled"
	for reason, err := range map[string]error{
		offline.ReasonBus:      fault(offline.ErrRefused, false),
		offline.ReasonConflict: fault(offline.ErrConflict, false),
		"not_entitled":         agency,
	} {
		t.Run(reason, func(t *testing.T) {
			inBubble(t, &fakeBus{say: once("put", false, err)}, func(t *testing.T, k *kiosk) {
				k.put(item(1, "s"), item(2, "s"))
				time.Sleep(5 * time.Second)
				k.want("put 1", "put 2")
				if f := k.state(1); f.State != queue.Parked || f.Reason != reason {
					t.Errorf("%+v", f)
				}
				if f := k.state(2); f.State != queue.Finished {
					t.Errorf("%+v", f)
				}
			})
		})
	}
}

func TestBackOffIsBoundedAndGrows(t *testing.T) {
	say := func(string, string) (bool, error) { return false, fault(offline.ErrAgency, false) }
	inBubble(t, &fakeBus{say: say}, func(t *testing.T, k *kiosk) {
		k.put(item(1, "s"))
		time.Sleep(20 * time.Minute)
		at := k.bus.times()
		for i := 1; i < len(at); i++ {
			if gap, bound := at[i].Sub(at[i-1]), min(60*time.Second, time.Second<<min(i-1, 6)); gap > bound+time.Millisecond {
				t.Errorf("try %d after %v, over %v", i, gap, bound)
			}
		}
		if len(at) < 20 || len(at) > 120 {
			t.Errorf("%d tries in 20 minutes", len(at))
		}
	})
}

func TestRetryAfterHoldsEverything(t *testing.T) {
	f := fault(offline.ErrAgency, false)
	f.RetryAfter = 40 * time.Second
	inBubble(t, &fakeBus{say: once("put", false, f)}, func(t *testing.T, k *kiosk) {
		k.put(item(1, "a"))
		synctest.Wait()
		k.put(item(2, "b"))
		time.Sleep(39 * time.Second)
		k.want("put 1")
		time.Sleep(15 * time.Second)
		if n := len(k.bus.calls()); n != 3 {
			t.Errorf("calls %v", k.bus.calls())
		}
	})
}

func TestRetryAfterOfAnItemInFlightHoldsItAlone(t *testing.T) {
	f := fault(offline.ErrAgency, true)
	f.RetryAfter = 40 * time.Second
	inBubble(t, &fakeBus{say: once("put", false, f)}, func(t *testing.T, k *kiosk) {
		k.put(item(1, "a"))
		synctest.Wait()
		k.put(item(2, "b"))
		time.Sleep(39 * time.Second)
		k.want("put 1", "put 2")
		time.Sleep(15 * time.Second)
		k.want("put 1", "put 2", "ask 1", "put 1")
	})
}

func TestNothingIsTriedWithoutALineAndAtOnceWithIt(t *testing.T) {
	for _, down := range []error{offline.ErrLineDown, offline.ErrBusIdentity} {
		t.Run(down.Error(), func(t *testing.T) {
			inBubble(t, &fakeBus{}, func(t *testing.T, k *kiosk) {
				synctest.Wait()
				k.bus.line <- down
				synctest.Wait()
				k.put(item(1, "s"))
				time.Sleep(time.Hour)
				k.want([]string(nil)...)
				if s, _ := k.c.Stats(); !errors.Is(s.Line, down) || s.Queue.Queued != 1 {
					t.Errorf("%+v", s)
				}
				k.bus.line <- nil
				back := time.Now()
				synctest.Wait()
				k.want("put 1")
				if waited := k.bus.times()[0].Sub(back); waited > 0 {
					t.Errorf("waited %v", waited)
				}
			})
		})
	}
}

func TestTheReturnOfTheLineEndsBackOff(t *testing.T) {
	broken := true
	say := func(string, string) (bool, error) {
		if broken {
			return false, fault(offline.ErrLineDown, false)
		}
		return true, nil
	}
	inBubble(t, &fakeBus{say: say}, func(t *testing.T, k *kiosk) {
		k.put(item(1, "s"))
		time.Sleep(10 * time.Minute)
		k.bus.line <- offline.ErrLineDown
		synctest.Wait()
		k.bus.mu.Lock()
		broken, k.bus.log = false, nil
		k.bus.mu.Unlock()
		k.bus.line <- nil
		synctest.Wait()
		k.want("put 1")
	})
}

func TestAForgedReceiptEndsNothing(t *testing.T) {
	b := &fakeBus{
		held:    map[string][]byte{id(1): []byte("not what we sent")},
		outcome: map[string]offline.Progress{},
		say:     once("put", false, fault(offline.ErrAgency, true)),
	}
	inBubble(t, b, func(t *testing.T, k *kiosk) {
		k.put(item(1, "s"))
		time.Sleep(3 * time.Minute)
		s, err := k.c.Stats()
		must(t, err)
		if f := k.state(1); f.State != queue.Queued || s.Unverified == 0 || s.Delivered != 0 {
			t.Errorf("%+v, %+v", f, s)
		}
	})
}

func TestExpiry(t *testing.T) {
	short := item(1, "a")
	short.TTL = time.Minute
	inBubble(t, &fakeBus{}, func(t *testing.T, k *kiosk) {
		synctest.Wait()
		k.bus.line <- offline.ErrLineDown
		synctest.Wait()
		sent := item(2, "b")
		sent.TTL = time.Minute
		k.put(short, sent)
		must(t, k.q.Sending(t.Context(), id(2)))
		time.Sleep(time.Hour)
		k.bus.line <- nil
		time.Sleep(time.Second)
		if f := k.state(1); f.State != queue.Parked || f.Reason != offline.ReasonExpired {
			t.Errorf("never sent: %+v", f)
		}
		if f := k.state(2); f.State != queue.Finished {
			t.Errorf("may have been sent: %+v", f)
		}
		k.want("ask 2", "put 2")
	})
}

func TestADamagedBodyIsParkedAndNotSent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue")
	synctest.Test(t, func(t *testing.T) {
		b := &fakeBus{say: func(string, string) (bool, error) { return false, fault(offline.ErrAgency, false) }}
		k := start(t, path, b)
		k.put(item(1, "s"))
		synctest.Wait()
		k.stop()
		file, err := os.ReadFile(path)
		must(t, err)
		must(t, os.WriteFile(path, bytes.ReplaceAll(file, []byte("body 1"), []byte("body X")), 0o600))
		b.log = nil
		k = start(t, path, b)
		defer k.stop()
		synctest.Wait()
		if f := k.state(1); f.State != queue.Parked || f.Reason != offline.ReasonDamaged {
			t.Errorf("%+v", f)
		}
		k.want([]string(nil)...)
	})
}

func TestTrackTellsEveryStageOnce(t *testing.T) {
	inBubble(t, &fakeBus{}, func(t *testing.T, k *kiosk) {
		synctest.Wait()
		k.bus.line <- offline.ErrLineDown
		synctest.Wait()
		k.put(item(1, "s"))
		var got []offline.Progress
		ended := make(chan error, 1)
		go func() {
			ended <- k.c.Track(t.Context(), id(1), func(p offline.Progress) { got = append(got, p) })
		}()
		time.Sleep(time.Minute)
		k.bus.line <- nil
		time.Sleep(2 * time.Minute)
		k.bus.finish(id(1), offline.Progress{Stage: offline.Done, Outcome: json.RawMessage(`{}`)})
		must(t, <-ended)
		r := receipt(id(1), []byte("body 1"))
		want := []offline.Progress{
			{ID: id(1), Stage: offline.Stored},
			{ID: id(1), Stage: offline.Accepted, Receipt: r},
			{ID: id(1), Stage: offline.Done, Receipt: r, Outcome: json.RawMessage(`{}`)},
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	})
}

func TestTrackEnds(t *testing.T) {
	say := func(call, id string) (bool, error) {
		if call == "put" && id[25] == '1' {
			return false, fault(offline.ErrRefused, false)
		}
		return true, nil
	}
	inBubble(t, &fakeBus{say: say}, func(t *testing.T, k *kiosk) {
		k.put(item(1, "a"), item(2, "b"))
		time.Sleep(time.Minute)
		k.bus.finish(id(2), offline.Progress{Stage: offline.Refused, Reason: "not_entitled"})
		var got []string
		seen := func(p offline.Progress) { got = append(got, fmt.Sprint(p.Stage, " ", p.Reason)) }
		must(t, k.c.Track(t.Context(), id(1), seen))
		must(t, k.c.Track(t.Context(), id(2), seen))
		if d := cmp.Diff([]string{"refused bus_refused", "accepted ", "refused not_entitled"}, got); d != "" {
			t.Error(d)
		}
		if err := k.c.Track(t.Context(), id(9), seen); !errors.Is(err, offline.ErrNotFound) {
			t.Errorf("an id that nobody knows: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		k.put(item(3, "c"))
		must(t, k.c.Track(ctx, id(3), seen))
		if ctx.Err() == nil {
			t.Error("ended by itself")
		}
	})
}

func TestTrackOutlastsALostLine(t *testing.T) {
	failures := 0
	say := func(call, _ string) (bool, error) {
		if call == "await" && failures < 3 {
			failures++
			return false, fault(offline.ErrLineDown, true)
		}
		return true, nil
	}
	inBubble(t, &fakeBus{say: say}, func(t *testing.T, k *kiosk) {
		k.put(item(1, "s"))
		time.AfterFunc(time.Minute, func() { k.bus.finish(id(1), offline.Progress{Stage: offline.Done}) })
		last := offline.Progress{}
		must(t, k.c.Track(t.Context(), id(1), func(p offline.Progress) { last = p }))
		if last.Stage != offline.Done || failures != 3 {
			t.Errorf("%+v after %d failures", last, failures)
		}
	})
}

func TestAfterAnOutageOnlyACitizenGoesAtOnce(t *testing.T) {
	inBubble(t, &fakeBus{spread: 30 * time.Second}, func(t *testing.T, k *kiosk) {
		synctest.Wait()
		k.bus.line <- offline.ErrLineDown
		synctest.Wait()
		for n := range 20 {
			k.put(item(n, fmt.Sprint(n)))
		}
		time.Sleep(4 * time.Hour)
		k.bus.line <- nil
		back := time.Now()
		synctest.Wait()
		k.put(item(20, "live"))
		done := make(chan error, 1)
		go func() {
			done <- k.c.Track(t.Context(), id(20), func(offline.Progress) {})
		}()
		synctest.Wait()
		calls, at := k.bus.calls(), k.bus.times()
		if len(calls) == 0 || calls[0] != "put 0" || at[0].Sub(back) > 0 {
			t.Errorf("calls %v at %v", calls, at)
		}
		if f := k.state(20); f.State != queue.Finished {
			t.Errorf("the citizen's: %+v", f)
		}
		k.bus.finish(id(20), offline.Progress{Stage: offline.Done})
		must(t, <-done)
		time.Sleep(time.Minute)
		if n := len(k.bus.calls()); n != 21 {
			t.Errorf("%d calls", n)
		}
	})
}

// What a bus or an agency may say, and what then happens: one row a class.
func TestEveryClassOfFaultLeadsToItsAction(t *testing.T) {
	for _, err := range []error{offline.ErrLineDown, offline.ErrBusIdentity, offline.ErrAgency, offline.ErrRefused, offline.ErrConflict} {
		for _, sent := range []bool{false, true} {
			for _, status := range []int{0, 400, 500} {
				for _, after := range []time.Duration{0, 5 * time.Second} {
					final := errors.Is(err, offline.ErrRefused) || errors.Is(err, offline.ErrConflict)
					if final && sent { // a final answer has an outcome
						continue
					}
					want, state := []string{"put 1", "put 1"}, queue.Finished
					switch {
					case final:
						want, state = want[:1], queue.Parked
					case sent:
						want = []string{"put 1", "ask 1", "put 1"}
					}
					f := &offline.Fault{Type: "test", Status: status, Err: err, Sent: sent, RetryAfter: after}
					t.Run(fmt.Sprint(f, sent, after), func(t *testing.T) {
						inBubble(t, &fakeBus{say: once("put", false, f)}, func(t *testing.T, k *kiosk) {
							k.put(item(1, "s"))
							time.Sleep(time.Minute)
							k.want(want...)
							if f := k.state(1); f.State != state {
								t.Errorf("%+v", f)
							}
							if at := k.bus.times(); len(at) > 1 && at[1].Sub(at[0]) < after {
								t.Errorf("came again after %v", at[1].Sub(at[0]))
							}
						})
					})
				}
			}
		}
	}
}
