package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"kosk/cmd/bus/ledger"
	"kosk/cmd/bus/ledger/jetstream"
	"kosk/cmd/bus/registry"
	"kosk/cmd/bus/server"
	"kosk/device/request"
	"kosk/offline/queue"
)

// asCrew makes this binary a process of kiosks.
const asCrew = "KOSK_FLEET_CREW"

func TestMain(m *testing.M) {
	if os.Getenv(asCrew) != "" {
		if err := Crew(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// kiosks is this binary as a process of kiosks.
func kiosks() Program { return Program{Path: os.Args[0], Env: []string{asCrew + "=1"}} }

// buildBus builds the program bus.
func buildBus(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bus")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "go", "build", "-o", path, "kosk/cmd/bus").CombinedOutput()
	if err != nil {
		t.Fatalf("build bus: %v\n%s", err, out)
	}
	return path
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Figures of a siege.
const (
	crews     = 3
	perCrew   = 5
	eachRate  = 8.0                    // requests a second of a kiosk
	perLife   = 10_000                 // numbers that one life of a crew may use
	longest   = 600 * time.Millisecond // between two kills
	downtime  = 150 * time.Millisecond // of the bus, at most, before it is started again
	drainTime = 5 * time.Minute
)

// A siege is a bus and kiosks that are killed all the time.
type siege struct {
	t       *testing.T
	bus     *Bus
	folders []string
	teams   []*team
	heard   *heard
	lives   uint64 // of crews
	liars   bool   // kiosks that use new ids
	dice    *rand.Rand
	busy    int // kills of the bus
}

func besiege(t *testing.T, liars bool) *siege {
	t.Helper()
	s := &siege{t: t, heard: newHeard(), liars: liars, dice: rand.New(rand.NewPCG(4, 10)), teams: make([]*team, crews)}
	dir := t.TempDir()
	var err error
	s.bus, err = NewBus(buildBus(t), filepath.Join(dir, "bus"))
	must(t, err)
	t.Cleanup(s.bus.Stop)
	s.folders, err = settle(t.Context(), s.bus, dir, crews*perCrew)
	must(t, err)
	for i := range s.teams {
		s.raise(i, false)
	}
	return s
}

// raise starts a process of kiosks. It isn't waited for.
func (s *siege) raise(i int, drain bool) {
	s.t.Helper()
	s.lives++
	o := Order{
		Kiosks: s.folders[i*perCrew : (i+1)*perCrew], First: s.lives * perLife, Rate: eachRate, Spread: 1, Drain: drain, NewIDs: s.liars,
	}
	if drain {
		o.Rate = 0
	}
	var err error
	s.teams[i], err = kiosks().start(s.t.Context(), o, s.heard)
	must(s.t, err)
}

// kill ends one side at a moment by chance, and starts it again.
func (s *siege) kill() {
	s.t.Helper()
	s.rest(time.Duration(s.dice.Int64N(int64(longest))))
	if s.dice.IntN(2) == 0 {
		s.busy++
		s.bus.Kill()
		s.rest(time.Duration(s.dice.Int64N(int64(downtime))))
		must(s.t, s.bus.Start(s.t.Context()))
		return
	}
	i := s.dice.IntN(crews)
	select {
	case <-s.teams[i].done: // it gave up
		s.t.Fatalf("kiosks ended by themselves: %v", s.teams[i].err)
	default:
	}
	s.teams[i].kill()
	s.raise(i, false)
}

func (s *siege) rest(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.t.Context().Done():
	}
}

// deliver lets the kiosks deliver what they hold, and ends everything.
func (s *siege) deliver() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), drainTime)
	defer cancel()
	for i, t := range s.teams {
		t.kill()
		s.raise(i, true)
	}
	for _, t := range s.teams {
		select {
		case <-t.done:
			must(s.t, t.err)
		case <-ctx.Done():
			s.t.Fatal("the kiosks can't deliver what they hold")
		}
	}
	_, err := s.bus.decided(ctx, drainTime)
	must(s.t, err)
	s.bus.Kill()
}

// An effect is a request in the ledger.
type effect struct {
	Promise
	id    string
	entry ledger.Entry
}

// effects reads the ledger from its files: what was accepted, in order, and
// which of it was not decided just once.
func (s *siege) effects() (all []effect, why []string) {
	s.t.Helper()
	ctx := s.t.Context()
	reg, err := registry.Open(s.bus.dir)
	must(s.t, err)
	book, err := jetstream.Open(ctx, jetstream.Config{Dir: filepath.Join(s.bus.dir, "ledger"), Log: slog.New(slog.DiscardHandler)})
	must(s.t, err)
	defer func() { must(s.t, book.Close()) }()
	if _, err := book.Verify(ctx); err != nil {
		why = append(why, fmt.Sprintf("ledger: %v", err))
	}
	open := map[string]int{} // decisions to come, by id
	err = book.Each(ctx, 0, func(e ledger.Entry) error {
		if id, ok := strings.CutPrefix(e.Key, "outcome/"); ok {
			open[id]--
		}
		id, ok := strings.CutPrefix(e.Key, "submission/")
		if !ok {
			return nil
		}
		open[id]++
		_, body, err := book.Get(ctx, e.Key)
		if err != nil {
			return err
		}
		_, sealed, _ := strings.Cut(string(body), "\x00")
		d, err := request.Open([]byte(sealed), reg.Keys().Identity, reg.StationKeys)
		all = append(all, effect{Promise{d.Station, d.MonoSeq}, id, e})
		return err
	})
	if err != nil {
		why = append(why, fmt.Sprintf("ledger: %v", err))
	}
	for id, n := range open {
		if n != 0 {
			why = append(why, fmt.Sprintf("%s has %d decisions too few", id, n))
		}
	}
	return all, why
}

// broken returns what went wrong: lost, doubled, out of order, a chain that
// doesn't hold.
func (s *siege) broken() (why []string) {
	s.t.Helper()
	all, why := s.effects()
	seen, last := map[Promise]string{}, map[string]effect{}
	byID := map[string]effect{}
	for _, e := range all {
		byID[e.id] = e
		if first, twice := seen[e.Promise]; twice {
			why = append(why, fmt.Sprintf("%v took effect as %s and as %s", e.Promise, first, e.id))
			continue
		}
		seen[e.Promise] = e.id
		stream := e.Station + " " + strconv.FormatUint(e.Seq%streams, 10)
		if before, ok := last[stream]; ok && before.Seq > e.Seq {
			why = append(why, fmt.Sprintf("%v took effect after %v of its stream", e.Promise, before.Promise))
		}
		last[stream] = e
	}
	for p := range s.heard.promises {
		if _, ok := seen[p]; !ok {
			why = append(why, fmt.Sprintf("%v was promised and is lost", p))
		}
	}
	if err := s.bus.VerifyLog(s.t.Context()); err != nil {
		why = append(why, fmt.Sprintf("message log: %v", err))
	}
	if s.liars {
		return why
	}
	return append(append(why, s.unheld(byID)...), s.unlogged(byID)...)
}

// unheld returns what the kiosks hold that isn't so: something left over, a
// receipt that isn't the ledger's.
func (s *siege) unheld(byID map[string]effect) (why []string) {
	s.t.Helper()
	reg, err := registry.Open(s.bus.dir)
	must(s.t, err)
	for _, dir := range s.folders {
		q, err := queue.Open(filepath.Join(dir, "queue.db"), queue.Options{})
		must(s.t, err)
		list, err := q.List(queue.Filter{})
		must(s.t, errors.Join(err, q.Close()))
		for _, f := range list {
			r, err := request.VerifyReceipt(f.Receipt, &reg.Keys().Receipt.PublicKey)
			if e := byID[f.ID]; f.State != queue.Finished || err != nil || string(r.ID) != f.ID || r.Seq != e.entry.Seq || r.Previous != e.entry.Previous {
				why = append(why, fmt.Sprintf("%s holds %s in state %v, not as the ledger has it: %v", filepath.Base(dir), f.ID, f.State, err))
			}
		}
	}
	return why
}

// unlogged returns what took effect without an answer in the message log.
func (s *siege) unlogged(byID map[string]effect) (why []string) {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.bus.dir, server.MessageFolder, "2*.jsonl"))
	must(s.t, err)
	answered := map[string]int{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		must(s.t, err)
		for line := range strings.Lines(string(b)) {
			var l struct {
				Entry struct {
					Submission string `json:"submission"`
					Status     int    `json:"status"`
				} `json:"entry"`
			}
			must(s.t, json.Unmarshal([]byte(line), &l))
			if l.Entry.Status == 200 || l.Entry.Status == 201 {
				answered[l.Entry.Submission]++
			}
		}
	}
	again := 0
	for id := range byID {
		switch answered[id] {
		case 0:
			why = append(why, id+" took effect, and the message log knows of no answer")
		case 1:
		default:
			again++
		}
	}
	s.t.Logf("%d of %d were answered more than once: their first answer was lost", again, len(byID))
	return why
}

// tell reports the gate to build/crash.
func (s *siege) tell(gate string, cycles int, control bool, why []string) {
	s.t.Helper()
	text, err := json.Marshal(map[string]any{
		"gate": gate, "cycles": cycles, "violations": len(why), "promises": len(s.heard.promises), "control": control,
	})
	must(s.t, err)
	s.t.Attr("crash", string(text))
	s.t.Logf("%s: %d kills, %d of them of the bus; %d promises, %d violations; %+v",
		gate, cycles, s.busy, len(s.heard.promises), len(why), s.heard.tally)
	switch {
	case len(s.heard.promises) < cycles:
		s.t.Errorf("%s: %d promises in %d kills are no load", gate, len(s.heard.promises), cycles)
	case control && len(why) == 0:
		s.t.Errorf("%s: the gate does not notice", gate)
	case !control && len(why) > 0:
		s.t.Errorf("%s: %s", gate, strings.Join(why[:min(10, len(why))], "\n"))
	}
}

// scale is the number of kills: KOSK_CRASH is "long" for what make crash runs, or a number.
func scale(t *testing.T, short, long int) int {
	t.Helper()
	switch s := os.Getenv("KOSK_CRASH"); s {
	case "":
		return short
	case "long":
		return long
	default:
		n, err := strconv.Atoi(s)
		must(t, err)
		return n
	}
}

// Gate 10: killing the bus, or a process of kiosks, at any moment of a load run
// loses nothing that was acknowledged, and does nothing twice.
func TestGate10KillingEitherSideLosesAndDoublesNothing(t *testing.T) {
	s := besiege(t, false)
	cycles := scale(t, 25, 1000)
	for range cycles {
		s.kill()
	}
	s.deliver()
	s.tell("10.kills", cycles, false, s.broken())
}

func TestGate10NoticesKiosksThatUseNewIDs(t *testing.T) {
	s := besiege(t, true)
	cycles := min(scale(t, 10, 40), 40)
	for range cycles {
		s.kill()
	}
	s.deliver()
	why := s.broken()
	doubled := 0
	for _, w := range why {
		if strings.Contains(w, "took effect as") {
			doubled++
		}
	}
	if doubled == 0 {
		t.Errorf("nothing was doubled: %q", why)
	}
	s.tell("10.kills.control.new-ids", cycles, true, why)
}
