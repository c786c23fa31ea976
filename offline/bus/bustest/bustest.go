// Package bustest is a small bus in the test's own process, with mutual TLS,
// certificates made at start, and scripted faults.
//
// It checks what it is sent, and that every scripted fault was met. It is not
// the reference bus (cmd/bus): it holds submissions in memory and knows no
// agencies; a test says how a submission ends.
package bustest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// What the bus is called.
const (
	Instance = "AZ-TEST"
	Client   = "AZ-TEST/GOV/KIOSKS/ST-0001"
	Service  = "GOV/BUS/kiosk/intake"
	Station  = "ST-0001"
	base     = "/r1/AZ-TEST/GOV/BUS/kiosk/intake/v1/"
)

// A Call is a kind of exchange that faults are scripted for.
type Call string

// The calls.
const (
	Submit Call = "submit"
	Status Call = "status"
	Lookup Call = "lookup"
	Time   Call = "time"
	Keys   Call = "keys"
	Report Call = "report"
	Fetch  Call = "fetch"
	Renew  Call = "renew"
)

// A Fault is one way in which an exchange goes wrong. The name says whether a
// submission has taken effect.
type Fault string

// The faults.
const (
	Cut             Fault = "cut"               // the connection breaks; nothing applied
	ApplyAndCut     Fault = "apply and cut"     // applied; the answer is lost
	ApplyAndHang    Fault = "apply and hang"    // applied; no answer until the client gives up
	ApplyAndGarble  Fault = "apply and garble"  // applied; the answer is not JSON
	ApplyAndForge   Fault = "apply and forge"   // applied; the receipt is not ours
	ApplyAndMisname Fault = "apply and misname" // applied; the answer is to another message
	Busy            Fault = "busy"              // 503 with Retry-After: 2
	TooMany         Fault = "too many"          // 429 with Retry-After: 2
	InFlight        Fault = "in flight"         // 409
	Conflict        Fault = "conflict"          // 422
	Broken          Fault = "broken"            // the provider's own 500
	Redirect        Fault = "redirect"          // 302 to elsewhere
	DeniedOld       Fault = "denied, to 7.7"    // Server.ServerProxy.AccessDenied
	DeniedNew       Fault = "denied, from 7.8"  // server.serverproxy.access_denied
	FailedOld       Fault = "failed, to 7.7"    // Server.ServerProxy.ServiceFailed.HttpError
	FailedNew       Fault = "failed, from 7.8"  // server.serverproxy.network_error
	Maintenance     Fault = "maintenance"       // server.clientproxy.maintenance_mode
	ApplyAndHalve   Fault = "apply and halve"   // applied; half the answer, then the connection breaks
	ApplyAndHTML    Fault = "apply and html"    // applied; a good answer that says it is HTML
	ProviderRefuses Fault = "provider refuses"  // 403 {"reason":"not_entitled"}, no X-Road-Error
)

// A Bus is a running bus.
type Bus struct {
	t        testing.TB
	pki      *pki
	listener *listener
	receipts ed25519.PrivateKey

	mu      sync.Mutex
	script  map[Call][]Fault
	chance  float64
	chanced Fault
	dice    *rand.Rand
	ids     map[string]bool // X-Road-Ids seen
	held    map[string]*submission
	order   []string
	calls   map[Call]int
	answers map[string]any    // look-ups
	traces  map[string]string // id -> traceparent
	pages   map[string][]byte // what Fetch finds, by path below v1/
	reports [][]byte
	pace    [2]string // X-Kosk-Rate, X-Kosk-First-Contact; empty: not sent
	time    time.Time // what the bus believes; zero: the truth
	secret  string    // of the one-time code; empty: used up
}

type submission struct {
	sum     [sha256.Size]byte
	receipt []byte
	state   string
	outcome json.RawMessage
	reason  string
	version int
	changed chan struct{}
}

// Start runs a bus until the test ends.
func Start(t testing.TB) *Bus {
	t.Helper()
	p, err := newPKI()
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &Bus{
		t: t, pki: p, receipts: key,
		script: map[Call][]Fault{}, ids: map[string]bool{}, held: map[string]*submission{},
		calls: map[Call]int{}, answers: map[string]any{}, traces: map[string]string{}, pages: map[string][]byte{}, secret: "ABCDEFGH234567AA",
		dice: rand.New(rand.NewPCG(1, 2)),
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.listener = &listener{Listener: tcp, open: map[net.Conn]bool{}}
	server := &http.Server{
		Handler:           b.routes(),
		ErrorLog:          log.New(discard{}, "", 0),
		ReadHeaderTimeout: 10 * time.Second,
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(tls.NewListener(b.listener, b.tlsConfig())) }()
	t.Cleanup(func() {
		server.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("bus: %v", err)
		}
		b.checkScript()
	})
	return b
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// URL is where the bus listens.
func (b *Bus) URL() string { return "https://" + b.listener.Addr().String() }

// Code is the one-time code for Station. It works once.
func (b *Bus) Code() string {
	sum := sha256.Sum256(b.pki.ca.Raw)
	return fmt.Sprintf("%s.%s.%x", Station, b.secret, sum[:16])
}

// TLS is a station's configuration.
func (b *Bus) TLS() *tls.Config {
	return &tls.Config{RootCAs: b.pki.pool(), Certificates: []tls.Certificate{b.pki.station}}
}

// ServerTLS is the bus's own configuration, for a test that answers by itself.
func (b *Bus) ServerTLS() *tls.Config { return b.tlsConfig() }

// Script makes the next calls of a kind go wrong, one fault each.
func (b *Bus) Script(call Call, faults ...Fault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.script[call] = append(b.script[call], faults...)
}

// Chance makes a share p of the submissions go wrong, always the same ones.
func (b *Bus) Chance(p float64, f Fault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.chance, b.chanced = p, f
}

// SetDown cuts the line, or joins it again.
func (b *Bus) SetDown(down bool) { b.listener.setDown(down) }

// SetImpostor puts a server in the bus's place that has another certificate.
func (b *Bus) SetImpostor(on bool) {
	b.pki.setImpostor(on)
	b.listener.cut()
}

// Answer sets what a look-up service answers.
func (b *Bus) Answer(service string, answer any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answers[service] = answer
}

// SetPage sets what stands below v1/, such as "catalogue".
func (b *Bus) SetPage(path string, body []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pages[path] = body
}

// SetPace sets the headers X-Kosk-Rate and X-Kosk-First-Contact of answers to
// submissions; empty: none.
func (b *Bus) SetPace(rate, firstContact string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pace = [2]string{rate, firstContact}
}

// SetTime sets what the bus believes; zero: the truth.
func (b *Bus) SetTime(at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.time = at
}

// Reports returns the telemetry that arrived.
func (b *Bus) Reports() [][]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([][]byte(nil), b.reports...)
}

// Trace returns the traceparent that a submission came with.
func (b *Bus) Trace(id string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.traces[id]
}

// CutIdle ends all connections, as a bus does that starts anew.
func (b *Bus) CutIdle() { b.listener.cut() }

// Finish ends a submission with the agency's outcome.
func (b *Bus) Finish(id string, outcome json.RawMessage) { b.end(id, "done", outcome, "") }

// Refuse ends a submission with the agency's no.
func (b *Bus) Refuse(id, reason string) { b.end(id, "refused", nil, reason) }

// Work says that the agency has begun.
func (b *Bus) Work(id string) { b.end(id, "in_work", nil, "") }

func (b *Bus) end(id, state string, outcome json.RawMessage, reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.held[id]
	if s == nil {
		b.t.Errorf("bus: %s ends and was never submitted", id)
		return
	}
	s.state, s.outcome, s.reason = state, outcome, reason
	s.version++
	close(s.changed)
	s.changed = make(chan struct{})
}

// Applied returns the ids that took effect, in that order. Each took effect once:
// a second time, or with another body, is an error of the test.
func (b *Bus) Applied() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.order...)
}

// Calls returns how many calls of a kind arrived.
func (b *Bus) Calls(call Call) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls[call]
}

// Verify checks a receipt: the bus's signature over id and the body's hash.
func (b *Bus) Verify(id string, body, receipt []byte) error {
	if !ed25519.Verify(b.receipts.Public().(ed25519.PublicKey), signed(id, sha256.Sum256(body)), receipt) {
		return errors.New("receipt is not the bus's")
	}
	return nil
}

func signed(id string, sum [sha256.Size]byte) []byte { return append([]byte(id), sum[:]...) }

// fault draws what goes wrong with this call; empty: nothing.
func (b *Bus) fault(call Call) Fault {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls[call]++
	if s := b.script[call]; len(s) > 0 {
		b.script[call] = s[1:]
		return s[0]
	}
	if call == Submit && b.chance > 0 && b.dice.Float64() < b.chance {
		return b.chanced
	}
	return ""
}

func (b *Bus) checkScript() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for call, left := range b.script {
		if len(left) > 0 {
			b.t.Errorf("bus: %s: faults never met: %q", call, left)
		}
	}
}
