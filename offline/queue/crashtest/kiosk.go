package crashtest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"kosk/offline"
	"kosk/offline/bus"
	"kosk/offline/courier"
	"kosk/offline/queue"
)

const (
	streams    = 12 // of a kiosk's items
	putters    = 4  // goroutines that put; each serves streams of its own
	mostQueued = 50 // more are not put, so that the bus keeps up
	look       = 2 * time.Millisecond
	answerSoon = 40 * time.Millisecond // a bus that says nothing for so long has timed out
	perCycle   = 10_000                // numbers that one life of the kiosk may use
	maxSalt    = 1_000_000
	kioskLimit = size(4 << 20)

	kioskReceipts = 256
)

// An address is what a kiosk must know of the bus in another process.
type address struct {
	URL, Instance, Client, Service string
	Bus                            []byte // the bus's certificate, DER
	Own                            []byte // ours, DER
	Key                            []byte // ours, PKCS#8
	Receipts                       []byte // key of its receipts, SubjectPublicKeyInfo
}

// open makes the client of a kiosk.
func (a *address) open() (*bus.Client, error) {
	cert, err := x509.ParseCertificate(a.Bus)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(a.Key)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return bus.Open(bus.Options{
		URL: a.URL, Instance: a.Instance, Client: a.Client, Service: a.Service,
		TLS:       &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{{Certificate: [][]byte{a.Own}, PrivateKey: key}}},
		Deadlines: bus.Deadlines{Connect: 5 * time.Second, Answer: answerSoon, LookUp: 5 * time.Second},
	})
}

// verify checks a receipt of package bustest: its signature over id and body.
func (a *address) verify(id string, body, receipt []byte) error {
	key, err := x509.ParsePKIXPublicKey(a.Receipts)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	if pub, ok := key.(ed25519.PublicKey); !ok || !ed25519.Verify(pub, append([]byte(id), sum[:]...), receipt) {
		return errors.New("receipt is not the bus's")
	}
	return nil
}

// serve is a kiosk from start to end: queue, courier, the line, and citizens.
func (o order) serve() error {
	opts := o.Options.options()
	opts.MaxReceipts = kioskReceipts // the bus remembers what took effect
	q, err := queue.Open(o.Path, opts)
	if err != nil {
		return err
	}
	client, err := o.Bus.open()
	if err != nil {
		return err
	}
	// After every cut the kiosk comes at once: a life is too short to wait.
	wiring := courier.Options{Queue: q, Bus: client, Verify: o.Bus.verify, FirstContact: time.Millisecond}
	if o.Lie == lieIDs {
		wiring.Bus = forgetful{client}
		wiring.Verify = func(string, []byte, []byte) error { return nil } // it is signed for the other id
	}
	c, err := courier.New(wiring)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	ends := make(chan error, 2+putters)
	all.Go(func() { ends <- q.Run(ctx) })
	all.Go(func() { ends <- c.Run(ctx) })
	if o.Drain {
		all.Go(func() { ends <- drain(ctx, q) })
	} else {
		for w := range putters {
			all.Go(func() { ends <- o.citizens(ctx, q, w) })
		}
	}
	if s, err := q.Stats(); err == nil && s.Queued >= mostQueued {
		say("=") // it may take long until there is room for a promise
	}
	err = <-ends
	cancel()
	all.Wait()
	client.Close()
	return errors.Join(err, q.Close())
}

// citizens put items for ever, in the order of their numbers within a stream.
func (o order) citizens(ctx context.Context, q *queue.Queue, w int) error {
	for n := o.From + (w-o.From%putters+putters)%putters; ctx.Err() == nil; n += putters {
		if err := waitFor(ctx, q, func(s queue.Stats) bool { return s.Queued < mostQueued }); err != nil {
			return err
		}
		i := item(n, fmt.Sprint(n%streams))
		if o.Lie == lieStreams {
			i.Stream = fmt.Sprint(n)
			i.Class = offline.Class(n / streams % 2) // so that every second one overtakes
		}
		if o.Lie == lieEarly {
			say("+%d", n)
		}
		if err := q.Put(ctx, i); err != nil {
			return err
		}
		if o.Lie != lieEarly {
			say("+%d", n)
		}
	}
	return nil
}

// drain returns when nothing is queued any more.
func drain(ctx context.Context, q *queue.Queue) error {
	say("=")
	return waitFor(ctx, q, func(s queue.Stats) bool { return s.Queued == 0 })
}

func waitFor(ctx context.Context, q *queue.Queue, ready func(queue.Stats) bool) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		s, err := q.Stats()
		if err != nil || ready(s) {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// forgetful is a line on which every attempt has an id of its own, and which
// remembers none: what a courier must never do.
type forgetful struct{ *bus.Client }

func (f forgetful) Send(ctx context.Context, id, trace string, body []byte) ([]byte, offline.Pace, error) {
	var b [8]byte
	rand.Read(b[:])
	salt := binary.LittleEndian.Uint64(b[:]) % maxSalt
	return f.Client.Send(ctx, fmt.Sprintf("%s%06d%s", id[:8], salt, id[14:]), trace, body)
}

func (f forgetful) Status(context.Context, string) (offline.Progress, error) {
	return offline.Progress{}, offline.ErrNotFound
}
