package crashtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kosk/offline"
	"kosk/offline/bus"
	"kosk/offline/bus/bustest"
	"kosk/offline/queue"
	"kosk/offline/queue/gatetest"
)

// timeouts is the share of submissions that the bus applies and never answers.
const timeouts = 0.2

// A lane is one kiosk and its bus. The bus lives in this process, so that it
// remembers what took effect whatever is done to the kiosk.
type lane struct {
	bus      *bustest.Bus
	kiosk    order
	promises *promises
	dice     *rand.Rand
	longer   int // every so many cycles a life is of a second
}

func newLane(t *testing.T, l lie, seed uint64) *lane {
	t.Helper()
	b := bustest.Start(t)
	a, err := addressOf(t.Context(), b)
	must(t, err)
	return &lane{
		bus: b, longer: 100, promises: newPromises(), dice: rand.New(rand.NewPCG(1, seed)),
		kiosk: order{Path: filepath.Join(t.TempDir(), "queue"), Options: kioskLimit, Bus: a, Lie: l},
	}
}

// addressOf collects what a kiosk in another process must know of the bus.
func addressOf(ctx context.Context, b *bustest.Bus) (*address, error) {
	conn, err := (&tls.Dialer{Config: b.TLS()}).DialContext(ctx, "tcp", strings.TrimPrefix(b.URL(), "https://"))
	if err != nil {
		return nil, err
	}
	theirs := conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Raw
	own := b.TLS().Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err := errors.Join(err, conn.Close()); err != nil {
		return nil, err
	}
	a := &address{
		URL: b.URL(), Instance: bustest.Instance, Client: bustest.Client, Service: bustest.Service,
		Bus: theirs, Own: own.Certificate[0], Key: key,
	}
	c, err := bus.Open(bus.Options{URL: a.URL, Instance: a.Instance, Client: a.Client, Service: a.Service, TLS: b.TLS()})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	keys, err := c.Keys(ctx)
	a.Receipts = keys.ReceiptKey
	return a, err
}

// live kills the kiosk so many times, 1 to 40 ms after its first word. Some
// lives are longer, so that it tries again what it tried itself.
func (l *lane) live(ctx context.Context, cycles int) error {
	l.bus.Chance(timeouts, bustest.ApplyAndHang)
	for cycle := range cycles {
		l.kiosk.From = cycle * perCycle
		life := time.Millisecond + time.Duration(l.dice.Int64N(int64(39*time.Millisecond)))
		if cycle%l.longer == l.longer-1 {
			life = time.Second
		}
		if err := l.promises.watch(ctx, l.kiosk, nil, killAfter(life)); err != nil {
			return err
		}
		if len(l.promises.complaints) > 0 {
			return fmt.Errorf("cycle %d: the kiosk gave up: %q", cycle, l.promises.complaints)
		}
		if cycle%200 == 199 && len(l.lost(nil)) > 0 {
			return nil // broken tells
		}
	}
	l.bus.Chance(0, "")
	// On a busy machine answers come too late, and a kiosk waits longer and longer
	// then: a new one comes at once.
	l.kiosk.Drain = true
	for range 20 {
		if err := l.promises.watch(ctx, l.kiosk, nil, killAfter(5*time.Second)); err != nil || l.promises.ended {
			return err
		}
	}
	return fmt.Errorf("the kiosk can't deliver what it holds: %q", l.promises.complaints)
}

// lost returns what the kiosk has promised, and neither the bus nor the queue has.
func (l *lane) lost(found []string) []string {
	applied := map[int]bool{}
	for _, id := range l.bus.Applied() {
		if n, err := numberOf(id); err == nil {
			applied[n] = true
		}
	}
	opts := l.kiosk.Options.options()
	opts.MaxReceipts = kioskReceipts
	q, err := queue.Open(l.kiosk.Path, opts)
	if err != nil {
		return append(found, err.Error())
	}
	for n := range l.promises.stored {
		if applied[n] {
			continue
		}
		if _, err := q.Find(id(n)); err != nil && !errors.Is(err, offline.ErrNotFound) {
			found = append(found, err.Error())
		} else if err != nil {
			found = append(found, fmt.Sprintf("item %d was promised and is lost", n))
		}
	}
	if err := q.Close(); err != nil {
		found = append(found, err.Error())
	}
	return found
}

// broken returns what went wrong: lost, applied twice, out of order.
func (l *lane) broken() []string {
	found := l.lost(nil)
	seen, last := map[int]string{}, map[int]int{}
	for _, id := range l.bus.Applied() {
		n, err := numberOf(id)
		if err != nil {
			found = append(found, fmt.Sprintf("%s took effect and was never put: %v", id, err))
			continue
		}
		if first, twice := seen[n]; twice {
			found = append(found, fmt.Sprintf("item %d took effect as %s and as %s", n, first, id))
			continue
		}
		seen[n] = id
		if before, ok := last[n%streams]; ok && before > n {
			found = append(found, fmt.Sprintf("item %d took effect after %d of its stream", n, before))
		}
		last[n%streams] = n
	}
	return found
}

// Gate 1: kill -9 at any moment, with a bus that times out after applying a fifth
// of what it is sent, loses nothing, doubles nothing and keeps every order.
func TestGate1KillingTheKioskLosesAndDoublesNothing(t *testing.T) {
	const gate = "1.kill"
	const lanes = 2
	all := make([]*lane, lanes)
	ends := make(chan error, lanes)
	cycles := gatetest.Scale(20, 10_000)
	for i := range lanes {
		all[i] = newLane(t, "", uint64(i))
		go func() { ends <- all[i].live(t.Context(), (cycles+lanes-1)/lanes) }()
	}
	var why []string
	for range lanes {
		if err := <-ends; err != nil {
			why = append(why, err.Error())
		}
	}
	promised, effects, submits := 0, 0, 0
	for _, l := range all {
		why = append(why, l.broken()...)
		promised += len(l.promises.stored)
		effects += len(l.bus.Applied())
		submits += l.bus.Calls(bustest.Submit)
	}
	t.Logf("%d effects by %d submissions, %d questions by id", effects, submits, all[0].bus.Calls(bustest.Status)+all[1].bus.Calls(bustest.Status))
	gatetest.Tell(t, gatetest.Result{Gate: gate, Cycles: cycles, Violations: len(why), Promises: promised}, why)
}

func TestGate1NoticesAKioskThatLies(t *testing.T) {
	for name, c := range map[string]struct {
		lie  lie
		word string
	}{
		"promise-before-stored": {lieEarly, "is lost"},
		"new-ids":               {lieIDs, "took effect as"},
		"streams-mixed":         {lieStreams, "of its stream"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// A lie shows only when the kill comes at its moment: it is waited for, a
			// round of lives after the other.
			var why []string
			rounds, tried, promised := 10, 0, 0
			for round := 0; round < rounds && len(why) == 0; round++ {
				l := newLane(t, c.lie, uint64(7+round))
				l.longer = 5
				cycles := min(gatetest.Scale(15, 100), 200)
				must(t, l.live(t.Context(), cycles))
				tried, promised, why = tried+cycles, promised+len(l.promises.stored), l.broken()
			}
			for _, w := range why {
				if !strings.Contains(w, c.word) {
					t.Errorf("another violation: %s", w)
				}
			}
			gatetest.Tell(t, gatetest.Result{Gate: "1.kill.control." + name, Cycles: tried, Violations: len(why), Promises: promised, Control: true, Least: 1}, why)
		})
	}
}
