package pcsc_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"kosk/drivers/card"
	"kosk/drivers/card/cardtest"
	"kosk/drivers/card/eid"
	"kosk/drivers/card/pcsc"
	"kosk/drivers/card/vcard"
)

// long says whether the tests are to take every case and 1,000 insertions, for
// some twenty minutes, with KOSK_LONG=1.
func long() bool { return os.Getenv("KOSK_LONG") != "" }

// A counter is a kiosk's side of the slot: a Watch, and what it tells.
type counter struct {
	t      *testing.T
	slot   *vcard.Slot
	pki    *vcard.PKI
	reader *pcsc.Reader
	events chan card.Event
	silent bool // what lies in the slot
}

func openCounter(t *testing.T) *counter {
	t.Helper()
	return counterAt(t, cardtest.Slot(t))
}

func counterAt(t *testing.T, slot *vcard.Slot) *counter {
	t.Helper()
	c := &counter{t: t, slot: slot, events: make(chan card.Event, 100)}
	var err error
	if c.pki, err = vcard.NewPKI(); err != nil {
		t.Fatal(err)
	}
	if c.reader, err = pcsc.Open("", nil); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = c.reader.Watch(ctx, func(e card.Event) { c.events <- e })
	}()
	t.Cleanup(func() { stop(); <-done })
	c.await(card.ReaderReady)
	return c
}

// await passes over events until one of a kind comes.
func (c *counter) await(kind card.EventKind) {
	c.t.Helper()
	limit := time.After(time.Minute)
	for {
		select {
		case e := <-c.events:
			if e.Kind == kind {
				return
			}
		case <-limit:
			c.t.Fatalf("no %v", kind)
		}
	}
}

func (c *counter) put(p vcard.Profile) {
	c.t.Helper()
	c.silent = p.Silent
	insert(c.t, c.slot, c.pki, p)
	c.await(card.MediaInserted)
}

func (c *counter) takeOut() {
	c.t.Helper()
	if err := c.slot.Remove(); err != nil {
		c.t.Fatal(err)
	}
	c.await(card.MediaRemoved)
}

// read reads what lies in the slot; wrap, when not nil, comes between.
func (c *counter) read(wrap func(card.Card) card.Card) (*card.Chip, error) {
	within := time.Minute
	if c.silent { // it never answers
		within = 5 * time.Second
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), within)
	defer cancel()
	conn, err := c.reader.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if wrap != nil {
		conn = wrap(conn)
	}
	return eid.New(nil).ReadHolder(ctx, conn, "123456", nil)
}

// visit puts a card in, reads it and takes it out.
func (c *counter) visit(p vcard.Profile) error {
	c.t.Helper()
	c.put(p)
	_, err := c.read(nil)
	c.takeOut()
	return err
}

// typed says whether an error is one of the contract's.
func typed(err error) bool {
	for _, known := range []error{
		card.ErrNoReader, card.ErrNoCard, card.ErrRemoved, card.ErrMute, card.ErrForeign, card.ErrWrongCAN, card.ErrWantsMRZ, card.ErrProtocol,
		context.DeadlineExceeded,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	var status *card.StatusError
	return errors.As(err, &status)
}

// steps is how many commands a whole read takes.
func (c *counter) steps(p vcard.Profile) int {
	c.t.Helper()
	c.put(p)
	chip, err := c.read(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	c.takeOut()
	return chip.APDUs
}

// ways are the profiles whose every command is tried: one, or all with KOSK_LONG.
func ways() map[string]vcard.Profile {
	all := map[string]vcard.Profile{"active authentication": {}}
	if long() {
		all["short APDUs"] = vcard.Profile{ShortOnly: true}
		all["chip authentication"] = vcard.Profile{ChipAuth: true, NoActive: true}
	}
	return all
}

func TestCardPulledOutAtEveryCommand(t *testing.T) {
	for name, p := range ways() {
		t.Run(name, func(t *testing.T) {
			c := openCounter(t)
			steps := c.steps(p)
			for n := 1; n < steps; n++ {
				p.RemovedAfter = n
				if err := c.visit(p); !errors.Is(err, card.ErrRemoved) {
					t.Errorf("pulled out after %d of %d commands: %v", n, steps, err)
				}
			}
			p.RemovedAfter = 0
			if err := c.visit(p); err != nil {
				t.Errorf("the next visit: %v", err)
			}
		})
	}
}

// A killer kills the daemon before one command.
type killer struct {
	card.Card
	slot *vcard.Slot
	left int
	err  error
}

func (k *killer) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	if k.left == 0 {
		k.err = k.slot.KillDaemon()
	}
	k.left--
	return k.Card.Transmit(ctx, command)
}

func TestDaemonKilledAtEveryCommand(t *testing.T) {
	for name, p := range ways() {
		t.Run(name, func(t *testing.T) {
			c := openCounter(t)
			steps := c.steps(p)
			c.put(p)
			for n := range steps {
				k := &killer{slot: c.slot, left: n}
				_, err := c.read(func(inner card.Card) card.Card { k.Card = inner; return k })
				if !errors.Is(err, card.ErrNoReader) && !errors.Is(err, card.ErrRemoved) || k.err != nil {
					t.Errorf("killed before command %d: %v, %v", n, err, k.err)
				}
				c.await(card.ReaderGone)
				if _, err := c.read(nil); !errors.Is(err, card.ErrNoService) {
					t.Errorf("no daemon: %v", err)
				}
				if err := c.slot.StartDaemon(); err != nil {
					t.Fatal(err)
				}
				c.await(card.MediaInserted)
				if _, err := c.read(nil); err != nil {
					t.Errorf("after the daemon came back: %v", err)
				}
			}
		})
	}
}

// loose pulls the reader's plug before a command.
type loose struct {
	card.Card
	left   int
	unplug func() error
	err    error
}

func (l *loose) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	if l.left == 0 {
		l.err = l.unplug()
	}
	l.left--
	return l.Card.Transmit(ctx, command)
}

// The reader alone goes and comes back, while the daemon lives: with a card in
// mid-read, and without one.
func TestReaderUnplugged(t *testing.T) {
	slot, unplug, plug := cardtest.LooseSlot(t)
	c := counterAt(t, slot)
	back := func() {
		t.Helper()
		if err := plug(); err != nil {
			t.Fatal(err)
		}
		c.await(card.ReaderReady)
	}
	commands := []int{9}
	if long() {
		commands = []int{0, 3, 9, 12, 14}
	}
	for _, n := range commands {
		c.put(vcard.Profile{})
		l := &loose{unplug: unplug, left: n}
		_, err := c.read(func(inner card.Card) card.Card { l.Card = inner; return l })
		if !errors.Is(err, card.ErrNoReader) && !errors.Is(err, card.ErrRemoved) && !errors.Is(err, card.ErrMute) || l.err != nil {
			t.Errorf("unplugged before command %d: %v, %v", n, err, l.err)
		}
		c.await(card.MediaRemoved)
		c.await(card.ReaderGone)
		if _, err := c.read(nil); !errors.Is(err, card.ErrNoReader) {
			t.Errorf("while it is unplugged: %v", err)
		}
		c.quiet()
		if err := slot.Remove(); err != nil {
			t.Fatal(err)
		}
		back()
		if err := c.visit(vcard.Profile{}); err != nil {
			t.Errorf("the next visit: %v", err)
		}
	}
	if err := unplug(); err != nil {
		t.Fatal(err)
	}
	c.await(card.ReaderGone)
	c.quiet()
	back()
	if err := c.visit(vcard.Profile{}); err != nil {
		t.Errorf("after it was unplugged without a card: %v", err)
	}
	c.put(vcard.Profile{Mute: true})
	if err := unplug(); err != nil {
		t.Fatal(err)
	}
	c.await(card.ReaderGone)
	back()
	c.await(card.MediaInserted) // the mute card is still there
}

// quiet fails when anything is told within two seconds.
func (c *counter) quiet() {
	c.t.Helper()
	select {
	case e := <-c.events:
		c.t.Errorf("%v is told of a reader that isn't there", e.Kind)
	case <-time.After(2 * time.Second):
	}
}

// held is what this process and the daemon hold.
type held struct{ goroutines, files, daemonFiles, daemonThreads int }

func count(t *testing.T, dir string) int {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// holds counts. The daemon's process is the one whose id it left beside its socket.
func holds(t *testing.T) held {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(filepath.Dir(os.Getenv("PCSCLITE_CSOCK_NAME")), "pcscd.pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.Trim(string(b), "\n\x00"))
	if err != nil {
		t.Fatal(err)
	}
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	return held{
		runtime.NumGoroutine(), count(t, "/proc/self/fd"), count(t, filepath.Join(proc, "fd")), count(t, filepath.Join(proc, "task")),
	}
}

// most says whether no number is greater than in b.
func (a held) most(b held) bool {
	return a.goroutines <= b.goroutines && a.files <= b.files && a.daemonFiles <= b.daemonFiles && a.daemonThreads <= b.daemonThreads
}

// Insertions by the hundred, good cards and bad, leave nothing behind: no
// goroutine and no file here, no file and no thread in the daemon.
func TestInsertionsLeaveNothingBehind(t *testing.T) {
	c := openCounter(t)
	bad := []vcard.Profile{
		{RemovedAfter: 1},
		{RemovedAfter: 5},
		{RemovedAfter: 12},
		{Mute: true},
		{Random: 1},
		{Random: 7},
		{Other: true},
		{NoSigning: true},
		{ShortOnly: true},
		{ChipAuth: true},
	}
	insertions := 10
	if long() {
		insertions = 1000
	}
	const warm = 4
	var before held
	begun := time.Now()
	for n := range insertions + warm {
		p := vcard.Profile{}
		if n%2 == 1 {
			p = bad[n/2%len(bad)]
		}
		err := c.visit(p)
		if good := n%2 == 0; good && err != nil || !good && err != nil && !typed(err) {
			t.Errorf("insertion %d, %+v: %v", n, p, err)
		}
		if n == warm-1 {
			before = holds(t)
		}
		if n%100 == 0 {
			t.Logf("after %d: %+v", n, holds(t))
		}
	}
	after := holds(t)
	for limit := time.Now().Add(time.Minute); !after.most(before) && time.Now().Before(limit); after = holds(t) {
		runtime.Gosched()
		<-time.After(50 * time.Millisecond)
	}
	t.Logf("%d insertions in %v: before %+v, after %+v", insertions, time.Since(begun).Round(time.Second), before, after)
	if !after.most(before) {
		t.Errorf("something is left: before %+v, after %+v", before, after)
	}
}

// No command waits for an acknowledgement on the way to the virtual reader: that
// would be 40 ms each, which the figures would have for the card's own.
func TestCommandsTakeNoTimeOnTheWay(t *testing.T) {
	c := openCounter(t)
	c.put(vcard.Profile{})
	best := time.Hour
	for range 5 { // a busy machine is no slow reader
		chip, err := c.read(nil)
		if err != nil {
			t.Fatal(err)
		}
		best = min(best, chip.Took/time.Duration(chip.APDUs))
	}
	if best > 20*time.Millisecond {
		t.Errorf("a command takes %v", best)
	}
}

func TestNoReaderAndOtherCards(t *testing.T) {
	c := openCounter(t)
	tests := []struct {
		name    string
		profile vcard.Profile
		want    error
	}{
		{"a card of another kind", vcard.Profile{Other: true}, card.ErrForeign},
		{"mute", vcard.Profile{Mute: true}, card.ErrMute},
		{"silent", vcard.Profile{Silent: true}, context.DeadlineExceeded},
		{"good", vcard.Profile{}, nil},
	}
	for _, tt := range tests {
		if err := c.visit(tt.profile); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if err := c.visit(vcard.Profile{}); err != nil {
			t.Errorf("after %s: %v", tt.name, err)
		}
	}
	nowhere, err := pcsc.Open("No Such Reader", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nowhere.Connect(t.Context()); !errors.Is(err, card.ErrNoReader) {
		t.Errorf("no reader: %v", err)
	}
}
