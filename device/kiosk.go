// Package device is what the kiosk is: the loop that owns the visit, gives it
// events, carries out its effects and shows what comes of it.
//
// The loop is the only goroutine that touches the visit. Effects run beside it
// and report back as events; what belongs to an earlier visit is dropped. What
// may happen is in session, what a person meets in scene, how it is said in
// voice. It knows hardware and the line by their contracts only.
package device

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"errors"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"filippo.io/age"

	"kosk/device/catalogue"
	"kosk/device/health"
	"kosk/device/identity"
	"kosk/device/request"
	"kosk/device/scene"
	"kosk/device/session"
	"kosk/device/voice"
	"kosk/drivers/card"
	"kosk/drivers/panel"
	"kosk/drivers/printer"
	"kosk/offline"
)

// ErrRestart says that the process must end and start again: whether a request
// was stored is unknown, and the queue tells it after a restart.
var ErrRestart = errors.New("storing a request ended in doubt: restart")

// A Signer is this station towards the bus: it signs envelopes and provisional
// slips, and knows for whom they are sealed.
type Signer struct {
	Station   string
	Key       crypto.Signer // P-256; what it signs with may change with a renewal
	Recipient age.Recipient
	Receipts  *ecdsa.PublicKey // of the bus: verifies certificates
	StreamKey []byte
	BootID    string // changes with every start
}

// Parts are what a kiosk is made of. All but the printers, Panel and Doubt must be set.
type Parts struct {
	Kiosk   session.Kiosk
	Reader  card.Reader
	Chip    card.HolderReader
	Anchors *identity.Anchors
	Printer printer.Printer // nil: there is none
	// Document prints certificates as pages; nil: there is no such printer.
	Document printer.Printer
	// Edition is receipt.Edition of what Document draws; nil where there is none.
	Edition func() (string, error)
	// Panel lights the lamps beside the slots, while Run runs; nil: there are none.
	Panel   panel.Panel
	Voice   *voice.Voice
	Outbox  offline.Outbox
	Tracker offline.Tracker
	Lookup  offline.Lookup
	Line    offline.Line
	Signer  Signer
	// Means are the ways to say who one is and to sign, by the catalogue's ids. One
	// that the catalogue has and this has not is said to be out of order.
	Means map[identity.MeansID]identity.Means
	// Doubt is told the id of a request of which it isn't known whether it is
	// stored, beside the loop, before Run ends; may be nil.
	Doubt func(id string)
	Show  func(scene.View) // never blocks
	Log   *slog.Logger

	// Clock tells the time and what it is worth; nil: the system's, worth nothing.
	Clock func() (time.Time, request.ClockState)
	// Health gets the spans of requests and counts trouble; nil: nobody does.
	Health *health.Recorder

	// Ended is told that a visit has ended, and that nothing of it is needed any
	// more; never blocks; nil: nobody is.
	Ended func()

	// Changed is told that a device has changed; nil: nobody is.
	Changed func()

	// Invite is how often the idle kiosk says aloud that it can be used without
	// sight; 0: never.
	Invite time.Duration
}

// A Kiosk is the loop. Make it with New.
type Kiosk struct {
	Parts
	visit  *session.Visit
	number int // of the visit: what comes from an earlier one is dropped

	// end ends everything that runs for the present visit.
	personal context.Context
	end      context.CancelFunc
	withdraw context.CancelFunc // ends what a means is asked for
	unread   context.CancelFunc // ends the reading of a chip
	reading  int                // which one: what an earlier one says is dropped
	readUp   chan struct{}      // closed when the last one has let go of the card

	shown scene.Scene
	focus string
	said  string // the focus at the last view
	ring  bool
	doubt bool // what the queue holds is unknown: end at the end of the visit
	timer *time.Timer
	then  session.Event
	idle  *time.Timer
	seq   uint64
	trace health.Trace // of the request that the person has confirmed

	trust  atomic.Pointer[believed] // whose signatures this visit takes
	next   atomic.Pointer[believed] // whose the next one's will, see Believe
	vacant atomic.Bool

	offer  atomic.Pointer[catalogue.Catalogue] // what is offered
	coming atomic.Pointer[catalogue.Catalogue] // what will be, see Offer
	news   chan struct{}                       // capacity 1: something is coming

	posts   chan post
	inputs  chan scene.Input
	retired chan struct{} // capacity 1, see Retire
	lit     lamps         // as the visit has them
	orders  chan lamps    // capacity 1: what the panel is still to be told
	press   sync.Mutex    // held by whoever speaks to the printer
	desk    sync.Mutex    // to the document printer
	effects sync.WaitGroup
}

// A post is an event on its way to the loop. visit is the visit it belongs to,
// or always.
type post struct {
	visit   int
	reading int // the reading of a chip that it belongs to; 0: none
	event   session.Event
}

const always = -1

// New makes a kiosk with nobody before it.
func New(p Parts) *Kiosk {
	p.Kiosk.Pages = p.Document != nil
	k := &Kiosk{
		Parts: p, visit: session.New(p.Kiosk), posts: make(chan post, 64), inputs: make(chan scene.Input, 64),
		retired: make(chan struct{}, 1), news: make(chan struct{}, 1), orders: make(chan lamps, 1), withdraw: func() {}, unread: func() {}, readUp: closed(), timer: stopped(), idle: stopped(),
	}
	k.trust.Store(&believed{p.Anchors, p.Means})
	k.offer.Store(p.Kiosk.Catalogue)
	return k
}

func closed() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func stopped() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// Input takes one act of the person. It never blocks: what comes faster than a
// hand can move is dropped.
func (k *Kiosk) Input(i scene.Input) {
	select {
	case k.inputs <- i:
	default:
	}
}

// Retire has Run return ErrRestart as soon as nobody is here: the queue can't
// be trusted any more. Until then no request begins. It never blocks.
func (k *Kiosk) Retire() {
	select {
	case k.retired <- struct{}{}:
	default:
	}
}

// Run is the kiosk until ctx ends. It returns ctx's error, or ErrRestart.
func (k *Kiosk) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	k.personal, k.end = context.WithCancel(ctx)
	defer func() {
		cancel()
		k.end()
		k.effects.Wait()
	}()
	k.watch(ctx)
	k.watchPaper(ctx)
	k.lightLamps(ctx)
	k.clearPrinters(ctx)
	k.rearm()
	k.present()
	for {
		if err := k.turn(ctx); err != nil {
			return err
		}
		if k.doubt && k.visit.State == session.Attracting {
			return ErrRestart
		}
	}
}

// turn takes the next thing that happens. A broken program ends the visit and
// not the kiosk.
func (k *Kiosk) turn(ctx context.Context) error {
	defer func() {
		if cause := recover(); cause != nil {
			k.heal(ctx, broken{cause, debug.Stack()})
		}
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case p := <-k.posts:
		if f, ok := p.event.(session.PutFailed); ok && errors.Is(f.Err, offline.ErrUnknown) {
			k.doubt = true
		}
		b, isBroken := p.event.(broken)
		current := (p.visit == always || p.visit == k.number) && (p.reading == 0 || p.reading == k.reading)
		switch {
		case isBroken && current:
			k.heal(ctx, b)
		case isBroken:
			k.Log.Error("broken", "cause", b.cause, "stack", string(b.stack), "visit", p.visit)
		case current:
			k.step(ctx, p.event)
			if session.FromPerson(p.event) { // a card, or a slip, that was moved
				k.rearm()
			}
		}
	case <-k.retired:
		k.doubt = true
	case <-k.news:
		k.adopt() // else the step does, with which a visit begins
	case i := <-k.inputs:
		k.take(ctx, i)
		k.rearm()
	case <-k.timer.C:
		k.step(ctx, k.then)
	case <-k.idle.C:
		k.idled(ctx)
	}
	return nil
}

// broken is what an effect leaves that broke: the event of heal.
type broken struct {
	cause any
	stack []byte
}

// heal ends a visit in which the program broke: it is wiped, and the kiosk meets
// the next person. If that breaks too, the process ends.
func (k *Kiosk) heal(ctx context.Context, b broken) {
	k.Log.Error("broken", "cause", b.cause, "stack", string(b.stack), "visit", k.number)
	machine := k.visit.Kiosk
	k.timer.Stop()
	k.visit = session.Healed(machine)
	k.forget(ctx)
	k.carryOut(ctx, session.Anew{})
	k.rearm()
	k.present()
}

// watch brings the events of the reader and of the line to the loop.
func (k *Kiosk) watch(ctx context.Context) {
	k.run(func() {
		_ = k.Reader.Watch(ctx, func(e card.Event) {
			k.Log.Info("slot", "event", e.Kind.String())
			switch e.Kind {
			case card.MediaInserted:
				k.post(ctx, always, session.CardIn{})
			case card.MediaRemoved:
				k.post(ctx, always, session.CardOut{})
			case card.ReaderReady:
				k.post(ctx, always, session.ReaderCame{})
				k.changed()
			case card.ReaderGone:
				k.post(ctx, always, session.ReaderWent{})
				k.changed()
			}
		})
	})
	k.run(func() {
		_ = k.Line.Watch(ctx, func(err error) {
			k.Log.Info("line", "up", err == nil, "err", err)
			k.post(ctx, always, session.LineChanged{Err: err})
		})
	})
}

// run runs f beside the loop; Run waits for its end.
func (k *Kiosk) run(f func()) { k.effects.Go(f) }

// beside runs f for a visit, as run does. If f breaks, as over a card that nobody
// foresaw, the visit ends and not the kiosk.
func (k *Kiosk) beside(ctx context.Context, visit int, f func()) {
	k.run(func() {
		defer func() {
			if cause := recover(); cause != nil {
				k.post(ctx, visit, broken{cause, debug.Stack()})
			}
		}()
		f()
	})
}

func (k *Kiosk) post(ctx context.Context, visit int, e session.Event) {
	k.send(ctx, post{visit: visit, event: e})
}

func (k *Kiosk) send(ctx context.Context, p post) {
	select {
	case k.posts <- p:
	case <-ctx.Done():
	}
}

// step gives the visit an event, carries out what comes of it, and shows it.
func (k *Kiosk) step(ctx context.Context, e session.Event) {
	k.adopt()
	before, told, patience := k.visit.State, k.visit.Fault.Key, k.patience()
	k.visit.Kiosk.Full = k.doubt || k.Outbox.Room(roomForRequest) != nil
	effects := k.visit.Step(e)
	if k.visit.State != before {
		k.Log.Info("state", "from", string(before), "to", string(k.visit.State), "visit", k.number)
		k.timer.Stop()
	}
	k.trouble(e, before, told)
	for _, effect := range effects {
		k.carryOut(ctx, effect)
	}
	if k.visit.State != before || k.patience() != patience {
		k.rearm()
	}
	k.adopt() // the visit may be over
	k.present()
}

// roomForRequest is more than any request without attachments takes, sealed.
const roomForRequest = 64 << 10

// A patience is how long nothing may happen.
type patience struct {
	warned bool
	time   time.Duration // 0: no limit
}

func (k *Kiosk) patience() patience {
	if k.visit.Warning {
		return patience{true, session.IdleWarning}
	}
	return patience{false, k.visit.Idle()}
}

// rearm starts the idle time anew: after every act of the person, and when the
// visit went on by itself. News of the line is neither. While nobody is here,
// the idle time leads to the voice's invitation.
func (k *Kiosk) rearm() {
	k.idle.Stop()
	p := k.patience()
	if k.visit.State == session.Attracting && !p.warned {
		p.time = k.Invite
	}
	if p.time > 0 {
		k.idle.Reset(p.time)
	}
}

// idled handles the end of the idle time. Speech is no inactivity (EN 301 549,
// 5.1.3.4): while the voice speaks, the time starts anew.
func (k *Kiosk) idled(ctx context.Context) {
	if k.visit.State == session.Attracting && !k.visit.Warning {
		k.Voice.Idle()
		k.rearm()
		return
	}
	if !k.visit.Warning && k.Voice.Busy() {
		k.rearm()
		return
	}
	if k.visit.Warning {
		k.step(ctx, session.IdledOut{})
		return
	}
	k.step(ctx, session.Idled{})
}
