package line

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kosk/cmd/bus/agency"
	"kosk/cmd/bus/ledger/jetstream"
	"kosk/cmd/bus/registry"
	"kosk/cmd/bus/server"
	"kosk/device/catalogue"
	"kosk/device/config"
	"kosk/device/identity"
	"kosk/device/provision"
	"kosk/device/request"
	"kosk/drivers/card/vcard"
	"kosk/offline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

const name = "KIOSK-001"

// A world is a real bus on loopback, and the folder of a kiosk.
type world struct {
	t    *testing.T
	reg  *registry.Registry
	bus  *server.Server
	url  string
	dir  string // of the kiosk
	told chan server.Telling
	stop func()
	ends []func() // what runs and is open, to be ended from the last to the first
	pki  *vcard.PKI
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, told: make(chan server.Telling, 16), dir: shortDir(t)}
	dir := t.TempDir()
	var err error
	if w.reg, err = registry.Open(dir); err != nil {
		t.Fatal(err)
	}
	if w.pki, err = vcard.NewPKI(); err != nil {
		t.Fatal(err)
	}
	book, err := jetstream.Open(t.Context(), jetstream.Config{Dir: filepath.Join(dir, "ledger"), Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.bus, err = server.New(ctx, server.Config{
		Registry: w.reg, Ledger: book, Log: quiet, Dialect: server.DialectNew,
		Provider: server.Provider{Instance: "AZ-TEST", Class: "GOV", Member: "10001", Subsystem: "kiosk"},
		Told:     func(one server.Telling) { w.told <- one },
	})
	if err != nil {
		t.Fatal(err)
	}
	kiosks, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	desk, err := server.ListenControl(filepath.Join(shortDir(t), "bus.sock"))
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		if err := w.bus.Run(ctx, kiosks, desk); err != nil {
			t.Errorf("bus: %v", err)
		}
	})
	w.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		if err := book.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(w.stop)
	w.url = "https://" + kiosks.Addr().String()
	return w
}

// shortDir has a name that leaves room for a socket's.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "line")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// enrol makes the folder a kiosk's, as if it had been enrolled at a time.
func (w *world) enrol(at time.Time) *provision.Station {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	code, err := w.reg.Add(name, at)
	if err != nil {
		w.t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		w.t.Fatal(err)
	}
	org := registry.Organisation{Member: "AZ-TEST/GOV/10001", Subsystem: "kiosk"}
	cert, err := w.reg.Enrol(name, strings.Split(code, ".")[1], org, csr, at)
	if err != nil {
		w.t.Fatal(err)
	}
	keys := w.reg.Keys()
	s := &provision.Station{
		Name: name, Key: key, URL: w.url, StreamKey: provision.NewStreamKey(), BusCA: x509.NewCertPool(), BusCACert: keys.CA,
		Certificate: tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key},
		Recipient:   keys.Identity.Recipient(), ReceiptKey: &keys.Receipt.PublicKey,
	}
	s.BusCA.AddCert(keys.CA)
	if s.Provider, err = provision.ProviderOf(cert); err != nil {
		w.t.Fatal(err)
	}
	if err := provision.Save(w.dir, s); err != nil {
		w.t.Fatal(err)
	}
	return s
}

// bundle writes a trust bundle, signed unless key is nil.
func (w *world) bundle(path string, version int, development bool, key *ecdsa.PrivateKey) *identity.Anchors {
	w.t.Helper()
	b := identity.Bundle{Version: version, Issued: time.Now(), Development: development, Anchors: w.pki.Bundle()}
	var err error
	if key == nil {
		err = identity.WriteBundle(path, b)
	} else {
		err = identity.WriteSignedBundle(path, b, key)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	a, err := identity.NewAnchors(b)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// open opens a line in the kiosk's folder.
func (w *world) open(change func(*Options)) *Line {
	w.t.Helper()
	cfg := config.Default()
	cfg.State.Dir, cfg.Queue.MaxMB, cfg.Card.Bundle = w.dir, 8, filepath.Join(w.dir, "trust.json")
	own, err := catalogue.Load()
	if err != nil {
		w.t.Fatal(err)
	}
	o := Options{Config: cfg, Anchors: w.bundle(cfg.Card.Bundle, 3, true, nil), Catalogue: own, Firmware: "v1", Log: quiet}
	if change != nil {
		change(&o)
	}
	l, err := Open(w.t.Context(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	end := sync.OnceFunc(func() {
		if err := l.Close(); err != nil {
			w.t.Error(err)
		}
	})
	w.ends = append(w.ends, end)
	w.t.Cleanup(end)
	return l
}

// here is a kiosk with somebody at it, or nobody.
type here bool

func (h here) Vacant() bool                { return !bool(h) }
func (here) Offer(*catalogue.Catalogue)    {}
func (here) Offered() *catalogue.Catalogue { return &catalogue.Catalogue{Version: "2026-11"} }

// run runs some parts of a line, or all, until the test ends.
func (w *world) run(l *Line, k Kiosk, believe func(*identity.Anchors), names ...string) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for part, run := range l.Parts(k, believe) {
		wanted := len(names) == 0
		for _, n := range names {
			wanted = wanted || n == part
		}
		if wanted {
			all.Go(func() {
				if err := run(ctx); err != nil {
					w.t.Errorf("%s: %v", part, err)
				}
				if ctx.Err() == nil {
					w.t.Errorf("%s ended by itself", part)
				}
			})
		}
	}
	end := sync.OnceFunc(func() { cancel(); all.Wait() })
	w.ends = append(w.ends, end)
	w.t.Cleanup(end)
}

// halt ends what runs, and closes what is open, before the test is over.
func (w *world) halt() {
	for len(w.ends) > 0 {
		last := len(w.ends) - 1
		w.ends[last]()
		w.ends = w.ends[:last]
	}
}

// put stores an envelope that a citizen has agreed to, signed with the key in use.
func (w *world) put(l *Line, trace string) request.ID {
	w.t.Helper()
	return w.putTo(l, offline.Item{Trace: trace}, func(*request.Draft) {})
}

// putTo stores a request that was changed before it was sealed.
func (w *world) putTo(l *Line, item offline.Item, change func(*request.Draft)) request.ID {
	w.t.Helper()
	s, p := l.Wallet.Station(), agency.Population()[0]
	now, clock := l.Now()
	d := request.Draft{
		ID: request.NewID(now), Station: s.Name, Service: agency.WorkCertificate, CatalogueVersion: "2026-11", CreatedAt: now,
		Clock: clock, MonoSeq: 1, BootID: l.Boot, Lang: "az", Answers: request.Answers{"purpose": "planted answer"}, Assurance: "none",
		Holder: request.Holder{FIN: p.FIN, Surname: p.Surname, GivenNames: p.GivenNames, DocumentNumber: p.DocumentNumber},
	}
	change(&d)
	body, err := request.Seal(d, l.Wallet, s.Recipient)
	if err != nil {
		w.t.Fatal(err)
	}
	item.ID, item.Stream, item.Body = string(d.ID), request.Stream(s.StreamKey, p.FIN, d.Service), body
	if err := l.Queue.Put(w.t.Context(), item); err != nil {
		w.t.Fatal(err)
	}
	return d.ID
}

// until waits for something, for a while.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); <-tick.C {
		if holds() {
			return
		}
	}
	t.Fatalf("%s: not within 20 s", what)
}

// nobody looks for planted data of a person in bytes.
func nobody(t *testing.T, where string, b []byte) {
	t.Helper()
	p := agency.Population()[0]
	for _, secret := range []string{p.FIN, p.Surname, p.GivenNames, p.DocumentNumber, "planted"} {
		if strings.Contains(string(b), secret) {
			t.Errorf("a person's data in %s", where)
		}
	}
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func isParked(l *Line, id request.ID) bool {
	f, err := l.Queue.Show(string(id))
	return err == nil && f.Reason != "" && !errors.Is(err, offline.ErrNotFound)
}
