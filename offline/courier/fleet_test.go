package courier

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kosk/offline"
	"kosk/offline/queue"
)

// The fleet simulation runs the courier itself, many times, on a virtual clock,
// against one bus that has room for so much and no more. The rules of the bus are:
//   - it works off submissions one after the other; more than a second of work it
//     does not take on, and says so with Retry-After; saying so costs a fiftieth
//     of doing it;
//   - it knows no kiosk's backlog. It measures how long its work takes and counts
//     whom it has heard lately, and gives each an equal share of 95 %.

const (
	mostBacklog  = time.Second
	costOfNo     = 0.02
	lately       = 30 * time.Second
	network      = 50 * time.Millisecond
	outage       = 4 * time.Hour
	bodySize     = 64
	liveEvery    = 5 * time.Minute // how often a citizen comes to a kiosk
	givenUpAfter = 2               // ideals
)

// A shape is one simulation.
type shape struct {
	kiosks, each int
	capacity     float64 // submissions per second
	slow         bool    // a quarter of it for five minutes, from the first minute on
	mute         bool    // the bus names no rate
	habits       habits
}

// ideal is how long the bus would take if it never idled.
func (s shape) ideal() time.Duration {
	work := float64(s.kiosks*s.each) / s.capacity
	if s.slow {
		work += 300 * 0.75
	}
	return time.Duration(work * float64(time.Second))
}

// figures are what came of it.
type figures struct {
	Drain   float64 `json:"drain_of_ideal"`
	Rejects float64 `json:"rejects_percent"` // of all submissions that reached the bus
	LiveP99 float64 `json:"live_p99_s"`
	LiveMax float64 `json:"live_max_s"`
	Lives   int     `json:"lives"`
	Drained bool    `json:"drained"`
}

func (f figures) String() string {
	return fmt.Sprintf("drain %.3f of ideal, rejects %.2f %%, live p99 %.1f s, worst %.1f s of %d", f.Drain, f.Rejects, f.LiveP99, f.LiveMax, f.Lives)
}

// A fleetBus is the one bus of all kiosks.
type fleetBus struct {
	shape
	t     *testing.T
	up    chan struct{} // closed when the line returns
	since time.Time     // when it did
	empty chan struct{} // closed when the backlog is drained

	mu       sync.Mutex
	free     time.Time     // when the work that was taken on is done
	cost     time.Duration // of one submission, measured
	heard    []hearing     // in the order of time, not older than lately
	active   map[int]int   // kiosk -> hearings
	applied  map[hearing]bool
	left     int // of the backlog
	sent     int
	rejected int
	drained  time.Time
	live     []time.Duration
}

type hearing struct {
	kiosk int
	seq   uint64
	at    time.Time
}

// work is how long one submission takes now.
func (b *fleetBus) work(now time.Time) time.Duration {
	c := b.capacity
	if at := now.Sub(b.since); b.slow && at >= time.Minute && at < 6*time.Minute {
		c /= 4
	}
	return time.Duration(float64(time.Second) / c)
}

// hint is the rate for each of those who have been heard lately.
func (b *fleetBus) hint(now time.Time, kiosk int) offline.Pace {
	for len(b.heard) > 0 && now.Sub(b.heard[0].at) > lately {
		if k := b.heard[0].kiosk; b.active[k] == 1 {
			delete(b.active, k)
		} else {
			b.active[k]--
		}
		b.heard = b.heard[1:]
	}
	b.heard = append(b.heard, hearing{kiosk: kiosk, at: now})
	b.active[kiosk]++
	if b.mute {
		return offline.Pace{}
	}
	return offline.Pace{Rate: 0.95 / b.cost.Seconds() / float64(len(b.active))}
}

// submit takes a submission on, or not, and says when its answer is there.
func (b *fleetBus) submit(kiosk int, seq uint64) (answer time.Duration, pace offline.Pace, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	work := b.work(now)
	b.sent++
	if b.free.Before(now) {
		b.free = now
	}
	if b.free.Sub(now) > mostBacklog {
		b.rejected++
		b.free = b.free.Add(time.Duration(costOfNo * float64(work)))
		return network, b.hint(now, kiosk), &offline.Fault{Type: "http.503", Status: 503, RetryAfter: 2 * time.Second, Err: offline.ErrAgency}
	}
	b.free = b.free.Add(work)
	b.cost += time.Duration(float64(work-b.cost) * min(1, work.Seconds())) // over the last second
	key := hearing{kiosk: kiosk, seq: seq}
	if b.applied[key] {
		b.t.Errorf("kiosk %d, item %d: applied twice", kiosk, seq)
	}
	b.applied[key] = true
	if seq <= uint64(b.each) {
		if b.left--; b.left == 0 {
			b.drained = b.free
			close(b.empty)
		}
	}
	return b.free.Sub(now) + network, b.hint(now, kiosk), nil
}

// A kioskLine is one kiosk's way to the bus.
type kioskLine struct {
	bus  *fleetBus
	n    int
	mind *memory
}

func (l *kioskLine) Watch(ctx context.Context, seen func(error)) error {
	seen(offline.ErrLineDown)
	select {
	case <-l.bus.up:
		seen(nil)
		<-ctx.Done()
	case <-ctx.Done():
	}
	return nil
}

func (l *kioskLine) Send(ctx context.Context, id, _ string, _ []byte) ([]byte, offline.Pace, error) {
	if !l.mind.isMarked(id) {
		l.bus.t.Errorf("%s is sent and not marked", id)
	}
	answer, pace, err := l.bus.submit(l.n, seqOf(id))
	timer := time.NewTimer(answer)
	defer timer.Stop()
	select {
	case <-timer.C:
		return []byte(id), pace, err
	case <-ctx.Done():
		return nil, offline.Pace{}, &offline.Fault{Type: "line.lost", Sent: true, Err: offline.ErrLineDown}
	}
}

func (l *kioskLine) Status(context.Context, string) (offline.Progress, error) {
	return offline.Progress{}, errors.New("nobody has a reason to ask")
}

func (l *kioskLine) Await(_ context.Context, id string, _ offline.Stage) (offline.Progress, error) {
	return offline.Progress{ID: id, Stage: offline.Done}, nil
}

// memory is an outbox without a disk. Every item is a stream of its own.
type memory struct {
	changed chan struct{}

	mu      sync.Mutex
	pending []uint64 // in the order of Put
	marked  map[uint64]bool
	last    uint64
}

func newMemory(n int) *memory {
	m := &memory{changed: make(chan struct{}, 1), marked: map[uint64]bool{}}
	for range n {
		m.put()
	}
	return m
}

func (m *memory) put() (id string) {
	m.mu.Lock()
	m.last++
	m.pending = append(m.pending, m.last)
	id = entry(m.last).ID
	m.mu.Unlock()
	select {
	case m.changed <- struct{}{}:
	default:
	}
	return id
}

func entry(seq uint64) queue.Entry {
	return queue.Entry{ID: "item-" + strconv.FormatUint(seq, 10), Seq: seq, Size: bodySize}
}

func seqOf(id string) uint64 {
	seq, _ := strconv.ParseUint(strings.TrimPrefix(id, "item-"), 10, 64)
	return seq
}

func (m *memory) isMarked(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.marked[seqOf(id)]
}

func (m *memory) Heads(visit func(queue.Entry) bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, seq := range m.pending {
		if !visit(entry(seq)) {
			break
		}
	}
	return nil
}

var body = make([]byte, bodySize)

func (m *memory) Load(queue.Entry) ([]byte, error) { return body, nil }

func (m *memory) Find(id string) (queue.Found, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	seq := seqOf(id)
	if slices.Contains(m.pending, seq) {
		return queue.Found{Entry: entry(seq), State: queue.Queued}, nil
	}
	return queue.Found{Entry: entry(seq), State: queue.Finished, Receipt: []byte(id)}, nil
}

func (m *memory) Stats() (queue.Stats, error) { return queue.Stats{}, nil }

func (m *memory) Sending(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.marked[seqOf(id)] = true
	return nil
}

func (m *memory) Done(_ context.Context, id string, _ []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	seq := seqOf(id)
	delete(m.marked, seq)
	i := slices.Index(m.pending, seq)
	m.pending = slices.Delete(m.pending, i, i+1)
	return nil
}

func (m *memory) Park(context.Context, string, string) error { return errors.New("nothing is refused") }
func (m *memory) Changed() <-chan struct{}                   { return m.changed }
func (m *memory) Err() error                                 { return nil }

// citizens come to one kiosk by chance, wait for their answer, and tell how long
// that took.
func (b *fleetBus) citizens(ctx context.Context, c *Courier, m *memory) {
	for {
		coming := time.NewTimer(time.Duration(rand.ExpFloat64() * float64(liveEvery)))
		select {
		case <-coming.C:
		case <-ctx.Done():
			coming.Stop()
			return
		}
		came := time.Now()
		err := c.Track(ctx, m.put(), func(p offline.Progress) {
			if p.Stage == offline.Accepted {
				b.mu.Lock()
				b.live = append(b.live, time.Since(came))
				b.mu.Unlock()
			}
		})
		if err != nil {
			b.t.Error(err)
		}
	}
}

// simulate runs one fleet from the end of the outage until its backlog is gone.
func simulate(t *testing.T, s shape) (f figures) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &fleetBus{
			shape: s, t: t, up: make(chan struct{}), empty: make(chan struct{}), left: s.kiosks * s.each,
			active: map[int]int{}, applied: map[hearing]bool{},
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var all, later sync.WaitGroup
		for n := range s.kiosks {
			m := newMemory(s.each)
			c, err := New(Options{
				Queue: m, Bus: &kioskLine{bus: b, n: n, mind: m}, habits: &s.habits,
				Verify: func(id string, _, receipt []byte) error {
					if string(receipt) != id {
						return errors.New("forged")
					}
					return nil
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			all.Go(func() {
				if err := c.Run(ctx); err != nil {
					t.Error(err)
				}
			})
			later.Go(func() {
				<-b.up
				b.citizens(ctx, c, m)
			})
		}
		time.Sleep(outage)
		b.since = time.Now()
		b.cost = b.work(b.since)
		close(b.up)
		limit := time.NewTimer(givenUpAfter * s.ideal())
		select {
		case <-b.empty:
			f.Drained = true
		case <-limit.C:
			b.drained = time.Now()
		}
		limit.Stop()
		cancel()
		all.Wait()
		later.Wait()
		f.Drain = b.drained.Sub(b.since).Seconds() / s.ideal().Seconds()
		f.Rejects = 100 * float64(b.rejected) / float64(b.sent)
		f.Lives = len(b.live)
		slices.Sort(b.live)
		if f.Lives > 0 {
			f.LiveP99, f.LiveMax = b.live[f.Lives*99/100].Seconds(), b.live[f.Lives-1].Seconds()
		}
	})
	return f
}

// whole is the fleet of the promise, 5,000 kiosks and 2,000 submissions a second,
// or as many as are asked for; without a wish a fiftieth of both.
func whole() shape {
	s := shape{kiosks: 100, each: 200, capacity: 40, habits: goodHabits()}
	if n, err := strconv.Atoi(os.Getenv("KOSK_FLEET_KIOSKS")); err == nil && n > 0 {
		s.kiosks, s.capacity = n, float64(n)*0.4
	}
	return s
}

// An outage of four hours is drained in 1.25 times what the bus needs at best, 5 %
// of what it gets is too much for it, and of a hundred citizens who come meanwhile
// ninety-nine wait a minute at most; also when the bus is ill for five minutes.
func TestFleetDrainsAfterAnOutage(t *testing.T) {
	s := whole()
	for _, s.slow = range []bool{false, true} {
		begun := time.Now()
		f := simulate(t, s)
		t.Logf("%d kiosks, slow %t: %v (in %v)", s.kiosks, s.slow, f, time.Since(begun).Round(time.Millisecond))
		if !f.Drained || f.Drain > 1.25 || f.Rejects > 5 || f.LiveP99 > 60 || f.Lives < s.kiosks {
			t.Errorf("slow %t: %v", s.slow, f)
		}
		if path := os.Getenv("KOSK_FLEET_FIGURES"); path != "" && !s.slow {
			b, err := json.Marshal(f)
			if err == nil {
				err = os.WriteFile(path, b, 0o600)
			}
			if err != nil {
				t.Error(err)
			}
		}
	}
}

// Each habit is needed: without it, the fleet breaks a bound. So the simulation
// can fail.
func TestFleetsWithoutHabitsBreakTheBounds(t *testing.T) {
	for _, c := range []struct {
		name   string
		habits habits
	}{
		{"naive", habits{}},
		{"back-off without jitter", habits{grow: true}},
		{"full jitter alone", habits{grow: true, jitter: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := whole()
			s.habits = c.habits
			s.kiosks, s.each, s.capacity = 10, 40, 4
			f := simulate(t, s)
			t.Log(f)
			if f.Drained && f.Drain <= 1.25 && f.Rejects <= 5 && f.LiveP99 <= 60 {
				t.Errorf("does as well: %v", f)
			}
		})
	}
}

// A bus that names no rate is not drowned either, only slower to drain.
func TestAFleetWithoutHintsIsGentle(t *testing.T) {
	s := whole()
	s.mute = true
	f := simulate(t, s)
	t.Log(f)
	if !f.Drained || f.Drain > 1.5 || f.Rejects > 15 || f.LiveP99 > 60 {
		t.Error(f)
	}
}

// BenchmarkFleet prints the figures of the whole fleet. It runs the test in a
// child, because only a test has the virtual clock.
func BenchmarkFleet(b *testing.B) {
	path := b.TempDir() + "/figures"
	ctx, cancel := context.WithTimeout(b.Context(), 8*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestFleetDrainsAfterAnOutage$")
	cmd.Env = append(os.Environ(), "KOSK_FLEET_FIGURES="+path, "KOSK_FLEET_KIOSKS=5000")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, bytes.TrimSpace(out))
	}
	text, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	var f figures
	if err := json.Unmarshal(text, &f); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(f.Drain, "of-ideal")
	b.ReportMetric(f.Rejects, "rejects-%")
	b.ReportMetric(f.LiveP99, "live-p99-s")
	b.ReportMetric(0, "ns/op")
}
