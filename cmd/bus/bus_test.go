package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/rogpeppe/go-internal/testscript"

	"kosk/cmd/bus/agency"
	"kosk/cmd/bus/msglog"
	"kosk/cmd/bus/registry"
	"kosk/cmd/bus/server"
	"kosk/device/request"
	"kosk/offline"
	"kosk/offline/bus"
)

// TestMain runs the binary as the command bus for the scripts, and for
// TestKilledBus when it is told to.
func TestMain(m *testing.M) {
	if os.Getenv("BUS_AS_COMMAND") != "" {
		main()
	}
	testscript.Main(m, map[string]func(){"bus": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:  "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"waitfile": waitFile, "envelope": makeEnvelope},
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", "atexit_sleep_ms=0") // else every command takes a second
			months, err := filepath.Abs("stats/testdata")
			env.Setenv("MONTHS", months)
			return err
		},
	})
}

// makeEnvelope seals a request of the first person of the population: envelope
// FILE ID reads the station's key from key.pem and the bus's from its folder.
func makeEnvelope(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: envelope FILE ID")
	}
	block, _ := pem.Decode([]byte(ts.ReadFile("key.pem")))
	if block == nil {
		ts.Fatalf("key.pem: no key")
	}
	key, err := x509.ParseECPrivateKey(block.Bytes)
	ts.Check(err)
	reg, err := registry.Open(ts.MkAbs("bus"))
	ts.Check(err)
	p := agency.Population()[0]
	sealed, err := request.Seal(request.Draft{
		ID: request.ID(args[1]), Station: "KIOSK-001", Service: agency.WorkCertificate, CatalogueVersion: "1",
		CreatedAt: time.Now(), Clock: request.ClockTrusted, MonoSeq: 1, BootID: "boot", Lang: "az",
		Answers: request.Answers{"purpose": "bank"},
		Holder:  request.Holder{FIN: p.FIN, Surname: p.Surname, GivenNames: p.GivenNames, DocumentNumber: p.DocumentNumber},
	}, key, reg.Keys().Identity.Recipient())
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), sealed, 0o600))
}

// waitFile waits until a file is there.
func waitFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waitfile path")
	}
	if err := appears(ts.MkAbs(args[0])); err != nil {
		ts.Fatalf("%v", err)
	}
}

func appears(path string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s did not appear", filepath.Base(path))
		case <-tick.C:
		}
	}
}

// A process is a bus of its own, to be killed.
type process struct {
	t   *testing.T
	dir string
	cmd *exec.Cmd
	url string
	err bytes.Buffer
}

func start(t *testing.T, dir string, more ...string) *process {
	t.Helper()
	port := filepath.Join(t.TempDir(), "port")
	args := append([]string{
		"serve", "--dir", dir, "--listen", "127.0.0.1:0", "--port-file", port, "--log", filepath.Join(dir, "bus.log"),
	}, more...)
	p := &process{t: t, dir: dir, cmd: exec.CommandContext(t.Context(), os.Args[0], args...)}
	p.cmd.Env = append(os.Environ(), "BUS_AS_COMMAND=1")
	p.cmd.Stderr = &p.err
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := appears(port); err != nil {
		p.kill()
		t.Fatalf("%v: %s", err, &p.err)
	}
	b, err := os.ReadFile(port)
	if err != nil {
		t.Fatal(err)
	}
	p.url = "https://127.0.0.1:" + strings.TrimSpace(string(b))
	return p
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may be gone
	_ = p.cmd.Wait()         // it was killed
}

func (p *process) status() server.Status {
	p.t.Helper()
	st, err := server.Control{Socket: filepath.Join(p.dir, "bus.sock")}.Status(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	return st
}

// enrolled is a station with the project's own client.
type enrolled struct {
	key       *ecdsa.PrivateKey
	got       bus.Enrolled
	recipient age.Recipient
	receipt   *ecdsa.PublicKey
}

func enrol(t *testing.T, p *process) *enrolled {
	t.Helper()
	reg, err := registry.Open(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	code, err := reg.Add("KIOSK-001", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	e := &enrolled{}
	if e.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if e.got, err = bus.Enrol(t.Context(), bus.Enrolment{URL: p.url, Code: code, Key: e.key}); err != nil {
		t.Fatal(err)
	}
	keys, err := e.open(t, p).Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if e.recipient, err = age.ParseHybridRecipient(keys.Recipient); err != nil {
		t.Fatal(err)
	}
	public, err := x509.ParsePKIXPublicKey(keys.ReceiptKey)
	if err != nil {
		t.Fatal(err)
	}
	e.receipt = public.(*ecdsa.PublicKey)
	return e
}

func (e *enrolled) open(t *testing.T, p *process) *bus.Client {
	t.Helper()
	conf, err := e.got.TLS(e.key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := bus.Open(bus.Options{
		URL: p.url, Instance: "AZ-TEST", Client: "AZ-TEST/GOV/10001/KIOSK-001", Service: "GOV/10001/kiosk/intake",
		TLS: conf, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// A sent request and what came back for it.
type sent struct {
	id      request.ID
	body    []byte
	receipt []byte
}

func (e *enrolled) newRequest(t *testing.T) *sent {
	t.Helper()
	p := agency.Population()[0]
	d := request.Draft{
		ID: request.NewID(time.Now()), Station: "KIOSK-001", Service: agency.WorkCertificate, CreatedAt: time.Now(),
		Clock: request.ClockTrusted, Holder: request.Holder{FIN: p.FIN, DocumentNumber: p.DocumentNumber},
	}
	body, err := request.Seal(d, e.key, e.recipient)
	if err != nil {
		t.Fatal(err)
	}
	return &sent{id: d.ID, body: body}
}

// TestKilledBus kills the bus with SIGKILL while four senders deliver, starts
// it again, and delivers what has no receipt once more.
func TestKilledBus(t *testing.T) {
	const rounds, perRound = 6, 24
	dir := t.TempDir()
	p := start(t, dir)
	e := enrol(t, p)
	var all []*sent
	for round := range rounds {
		for range perRound {
			all = append(all, e.newRequest(t))
		}
		e.deliver(t, p, all, mrand.IntN(perRound))
		p.kill()
		p = start(t, dir)
		t.Logf("round %d: %d of %d have receipts", round, receipts(all), len(all))
	}
	e.deliver(t, p, all, -1)
	line := e.open(t, p)
	for _, s := range all {
		if err := request.CheckReceipt(s.receipt, e.receipt, string(s.id), sha256.Sum256(s.body)); err != nil {
			t.Fatalf("%s: %v", s.id, err)
		}
		again, err := line.Submit(t.Context(), string(s.id), s.body)
		if err != nil || !bytes.Equal(again, s.receipt) {
			t.Fatalf("%s again: %v, same receipt: %v", s.id, err, bytes.Equal(again, s.receipt))
		}
		progress, err := line.Await(t.Context(), string(s.id), offline.Accepted)
		for err == nil && progress.Stage != offline.Done {
			progress, err = line.Await(t.Context(), string(s.id), progress.Stage)
		}
		if err != nil {
			t.Fatalf("%s: %v", s.id, err)
		}
	}
	p.kill()
	checkMessages(t, dir, all)
	p = start(t, dir)
	defer p.kill()
	if st := p.status(); st.Accepted != int64(len(all)) || st.Effects != int64(len(all)) {
		t.Errorf("accepted %d, effects %d, want %d of each", st.Accepted, st.Effects, len(all))
	}
}

// checkMessages holds the message log of a bus that was killed over and over
// against what it answered: an entry is written before its answer leaves.
func checkMessages(t *testing.T, dir string, all []*sent) {
	t.Helper()
	reg, err := registry.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(dir, server.MessageFolder)
	r, err := msglog.Verify(folder, &reg.Keys().Receipt.PublicKey, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		answered := func(e msglog.Entry) bool { return e.Status == 200 || e.Status == 201 }
		if entries, err := msglog.Find(folder, string(s.id)); err != nil || !slices.ContainsFunc(entries, answered) {
			t.Errorf("%s has a receipt, and the log knows of none: %v", s.id, err)
		}
	}
	t.Logf("message log: %d entries, %d heads", r.Entries, r.Heads)
}

// deliver sends what has no receipt, and kills the bus after so many receipts.
func (e *enrolled) deliver(t *testing.T, p *process, all []*sent, killAfter int) {
	t.Helper()
	line := e.open(t, p)
	work := make(chan *sent)
	var mu sync.Mutex
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for s := range work {
				receipt, err := line.Submit(t.Context(), string(s.id), s.body)
				mu.Lock()
				if err == nil {
					s.receipt = receipt
					if killAfter == 0 {
						_ = p.cmd.Process.Kill() // it may be gone
					}
					killAfter--
				} else if errors.Is(err, offline.ErrRefused) {
					t.Errorf("%s: %v", s.id, err)
				}
				mu.Unlock()
			}
		})
	}
	for _, s := range all {
		if s.receipt == nil {
			work <- s
		}
	}
	close(work)
	senders.Wait()
}

func receipts(all []*sent) (n int) {
	for _, s := range all {
		if s.receipt != nil {
			n++
		}
	}
	return n
}
