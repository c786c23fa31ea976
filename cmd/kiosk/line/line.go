// Package line is everything of a kiosk between its loop and its bus, and what a
// technician and the operator see of it: the outbox and its keys, the courier,
// the time, the certificate's renewal, trust bundles and the catalogue from the
// bus, telemetry, and the socket that kioskctl asks.
//
// Open joins the parts, Run runs one that begins with Parts. It decides nothing
// of a visit.
package line

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"time"

	"kosk/device/catalogue"
	"kosk/device/config"
	"kosk/device/health"
	"kosk/device/identity"
	"kosk/device/provision"
	"kosk/device/request"
	"kosk/drivers/all"
	"kosk/drivers/card"
	"kosk/drivers/keystore"
	"kosk/drivers/panel"
	"kosk/drivers/printer"
	"kosk/offline/bus"
	"kosk/offline/control"
	"kosk/offline/courier"
	"kosk/offline/queue"
)

// ballast is laid aside beside the queue, for a disk that others fill.
const ballast = 4 << 20

// skewWarned is how far the system's clock may be off for what it stamps to count.
const skewWarned = 60 * time.Second

// Options of a line. Config, Anchors, Catalogue and Log are required.
type Options struct {
	Config    config.Config
	Anchors   *identity.Anchors
	TrustKey  *ecdsa.PublicKey     // the operator's; nil: bundles come by hand only
	Catalogue *catalogue.Catalogue // that the program carries
	Firmware  string               // version of the program
	Reader    card.Reader          // nil: none to tell of
	Printer   printer.Printer      // nil: there is none
	Panel     panel.Panel          // nil: there is none
	Missing   []health.Part        // what the kiosk has to do without since its start
	Log       *slog.Logger
}

// A Kiosk is what the line must know of the loop.
type Kiosk interface {
	Vacant() bool // nobody is there
	// Offer has another catalogue offered from the next visit on, Offered is the
	// one that is. Neither blocks.
	Offer(*catalogue.Catalogue)
	Offered() *catalogue.Catalogue
}

// A Line is a kiosk's way to its bus.
type Line struct {
	Queue   *queue.Queue
	Courier *courier.Courier
	Client  *bus.Client
	Wallet  *provision.Wallet // signs with the key in use
	Health  *health.Recorder
	Boot    string // names this run

	opts     Options
	clock    *bus.Clock
	renewer  *bus.Renewer
	desk     *control.Desk
	socket   *net.UnixListener // nil: it could not be made
	started  time.Time
	change   chan struct{} // one slot: something is worth telling before the minute is over
	closers  []io.Closer
	shown    []byte    // the certificate, DER; the chores' own, as nightly
	nightly  time.Time // when the queue was last looked at by night
	bundleAt string    // ETag of the bundle that was looked at
	larder   *larder   // the part's own, as catalogue

	mu       sync.Mutex // guards all below
	kiosk    Kiosk
	anchors  *identity.Anchors
	found    map[string]health.Part
	seq      uint64
	reported time.Time
	best     *catalogue.Catalogue // to be offered
	manifest uint64               // version of the bus's that was taken last; 0: none
	untaken  string               // why another one was not
}

// Open opens the outbox, and joins all parts. Nothing runs until Parts are run.
func Open(ctx context.Context, o Options) (*Line, error) {
	l := &Line{
		opts: o, Health: &health.Recorder{}, started: time.Now(), change: make(chan struct{}, 1), anchors: o.Anchors,
		found: map[string]health.Part{}, best: o.Catalogue,
	}
	for _, p := range o.Missing {
		p.Cause = bounded(p.Cause)
		l.found[p.Name] = p
	}
	if err := l.open(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// open opens what lies on the disk, and joins the parts.
func (l *Line) open(ctx context.Context) (err error) {
	boot := make([]byte, 8)
	_, _ = rand.Read(boot) // never fails, see crypto/rand
	l.Boot = hex.EncodeToString(boot)
	state, log := l.opts.Config.State, l.opts.Log
	l.Wallet, err = provision.OpenWallet(state.Dir)
	if errors.Is(err, provision.ErrNotEnrolled) {
		return fmt.Errorf("%w: run kioskctl enrol with --config, or with --dir %s", err, state.Dir)
	}
	if err != nil {
		return err
	}
	if l.clock, err = bus.NewClock(timeFile{filepath.Join(state.Dir, timeName), log}, log); err != nil {
		return err
	}
	if err := l.openCatalogue(); err != nil {
		return err
	}
	keys, err := all.Keystore(state.Keys, state.KeyStore())
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	l.closers = append(l.closers, keys)
	if err := l.unlock(keys); err != nil {
		return err
	}
	if err := l.openQueue(ctx, keys); err != nil {
		return err
	}
	return l.join()
}

// openCatalogue finds what was kept of the bus's. Nothing of it keeps a kiosk from
// starting.
func (l *Line) openCatalogue() error {
	la, c, err := openLarder(l.opts.Config.State.Dir, l.Wallet.Station().ReceiptKey, l.opts.Log)
	if la == nil {
		return err
	}
	l.larder = la
	if err != nil {
		l.opts.Log.Warn("stored catalogue not used", "err", err)
	}
	if c != nil {
		l.offer(c)
	}
	l.judged(err)
	return nil
}

// unlock has what guards the keys open the station's, and take over one that is
// in a file still. A kiosk that can't do the latter works as it did.
func (l *Line) unlock(keys keystore.Store) error {
	before := l.Wallet.Station().Guard()
	err := l.Wallet.Unlock(keys)
	switch {
	case errors.Is(err, keystore.ErrState), errors.Is(err, keystore.ErrForeign):
		return fmt.Errorf("%w: set the machine's firmware back, or get a code with bus station add and run kioskctl enrol --force", err)
	case errors.Is(err, provision.ErrNoKeeper):
		return fmt.Errorf("%w: correct state.keys", err)
	case err != nil:
		return err
	}
	if err := l.Wallet.Move(); err != nil {
		l.opts.Log.Error("station key stays in its file", "err", err)
		l.found["keys"] = health.Part{Name: "keys", State: stateDegraded, Cause: bounded("station key is in a file: " + words(err))}
	} else if now := l.Wallet.Station().Guard(); now != before && now == provision.Moved {
		l.opts.Log.Info("station key moved out of its file")
	}
	return nil
}

// openQueue opens the outbox under keys.
func (l *Line) openQueue(ctx context.Context, keys keystore.Store) (err error) {
	state, log := l.opts.Config.State, l.opts.Log
	l.Queue, err = queue.OpenSealed(ctx, state.Queue(), queue.Options{
		MaxSize: int64(l.opts.Config.Queue.MaxMB) << 20, Ballast: ballast, Salvage: true,
		Station: l.Wallet.Station().Name, ClockTrusted: l.systemTrusted, Log: log,
	}, keys)
	if err != nil {
		return err
	}
	l.closers = append(l.closers, l.Queue)
	if r := l.Queue.Report(); r.Action != "" || r.Sealed > 0 {
		log.Warn("queue opened with loss", "what", r.Action, "items", r.Items, "lost", r.Lost, "notes_sealed", r.Sealed, "aside", r.Aside)
	}
	return nil
}

// join makes client, courier, renewer and desk.
func (l *Line) join() (err error) {
	s, log := l.Wallet.Station(), l.opts.Log
	l.Client, err = bus.Open(bus.Options{
		URL: s.URL, Instance: s.Provider.Instance, Client: s.Client(),
		Service: s.Provider.Service(), TLS: s.TLSConfig(), Clock: l.clock, Log: log,
	})
	if err != nil {
		return err
	}
	l.closers = append(l.closers, closer(l.Client.Close))
	l.Courier, err = courier.New(courier.Options{
		Queue: l.Queue, Bus: tracedBus{l.Client, l.Health}, Log: log, Expired: l.expired,
		Verify: func(id string, body, receipt []byte) error {
			return request.CheckReceipt(receipt, s.ReceiptKey, id, sha256.Sum256(body))
		},
	})
	if err != nil {
		return err
	}
	l.renewer = bus.NewRenewer(l.Client, l.Wallet, log)
	l.desk = &control.Desk{Queue: l.Queue, Status: l.status}
	if p, ok := l.opts.Printer.(printer.Presenter); ok && p.Presents() {
		l.desk.EmptyBin = func() error { l.Changed(); return p.EmptyBin() }
	}
	if l.socket, err = control.Listen(l.opts.Config.State.Socket()); err != nil {
		log.Error("kioskctl can't ask this kiosk", "err", err) // and citizens don't care
		return nil
	}
	l.closers = append(l.closers, closer(func() { _ = l.socket.Close() })) // if it never ran
	return nil
}

// closer makes an io.Closer of a function.
type closer func()

func (c closer) Close() error { c(); return nil }

// Close lets everything go. All parts must have ended.
func (l *Line) Close() error {
	var errs []error
	for i := len(l.closers) - 1; i >= 0; i-- {
		errs = append(errs, l.closers[i].Close())
	}
	return errors.Join(errs...)
}

// Parts are what must run, by name, until ctx ends: each returns nil then. An
// error of "queue" or "courier" means that the process must end. believe is told
// of every newer trust bundle that the bus had.
func (l *Line) Parts(k Kiosk, believe func(*identity.Anchors)) map[string]func(context.Context) error {
	l.mu.Lock()
	l.kiosk = k
	l.mu.Unlock()
	parts := map[string]func(context.Context) error{
		"queue": l.Queue.Run, "courier": l.Courier.Run, "renewal": l.renewer.Run, "chores": l.chores,
		"telemetry": l.tell, "watch": l.watch, "catalogue": l.fetchCatalogue,
	}
	if l.opts.TrustKey != nil {
		parts["trust"] = func(ctx context.Context) error { return l.fetchTrust(ctx, believe) }
	}
	if l.socket != nil {
		s := &control.Server{Desk: l.desk, Log: l.opts.Log}
		parts["control"] = func(ctx context.Context) error {
			if err := s.Run(ctx, l.socket); err != nil {
				l.opts.Log.Error("kioskctl can't ask this kiosk any more", "err", err)
			}
			<-ctx.Done()
			return nil
		}
	}
	return parts
}

// vacant reports whether nobody is there, as far as anybody has said.
func (l *Line) vacant() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kiosk == nil || l.kiosk.Vacant()
}

// Changed says that something happened that the operator should not wait a minute
// for, as at the printer. It never blocks.
func (l *Line) Changed() {
	select {
	case l.change <- struct{}{}:
	default:
	}
}
