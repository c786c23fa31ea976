package console

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"kosk/cmd/bus/agency"
	"kosk/cmd/bus/ledger/jetstream"
	"kosk/cmd/bus/registry"
	"kosk/cmd/bus/server"
	"kosk/cmd/bus/stats"
	"kosk/device/health"
	"kosk/device/request"
)

const (
	password = "correct horse battery staple"
	base     = "/r1/AZ-TEST/GOV/10001/kiosk/intake"
)

// A bench is a bus with its console on the loopback.
type bench struct {
	*Console
	t        *testing.T
	dir      string
	bus      string // URLs
	url      string
	log      *lockedBuffer
	stations map[string]*http.Client
	keys     map[string]*ecdsa.PrivateKey
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func open(t *testing.T) *bench {
	t.Helper()
	dir := t.TempDir()
	b := &bench{t: t, dir: dir, log: &lockedBuffer{}, stations: map[string]*http.Client{}, keys: map[string]*ecdsa.PrivateKey{}}
	reg := must(registry.Open(dir))(t)
	book := must(jetstream.Open(t.Context(), jetstream.Config{Dir: filepath.Join(dir, "ledger"), Log: slog.New(slog.DiscardHandler)}))(t)
	log := slog.New(slog.NewJSONHandler(b.log, nil))
	bus := must(server.New(t.Context(), server.Config{
		Registry: reg, Ledger: book, Log: log, Dialect: server.DialectNew,
		Provider: server.Provider{Instance: "AZ-TEST", Class: "GOV", Member: "10001", Subsystem: "kiosk"},
	}))(t)
	b.Console = must(New(Config{Bus: bus, Registry: reg, Log: log}))(t)
	kiosks := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	control := must(server.ListenControl(filepath.Join(dir, "bus.sock")))(t)
	page := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	b.bus, b.url = "https://"+kiosks.Addr().String(), "https://"+page.Addr().String()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 2)
	go func() { ended <- bus.Run(ctx, kiosks, control) }()
	go func() { ended <- b.Run(ctx, page) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, <-ended, book.Close()); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(filepath.Join(dir, "operators.json"), must(operators())(t), 0o600); err != nil {
		t.Fatal(err)
	}
	return b
}

// operators is a file with one of each role: a password takes long to hash.
var operators = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "kosk-console-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	reg, err := registry.Open(dir)
	if err != nil {
		return nil, err
	}
	err = errors.Join(reg.AddOperator("nigar", registry.RoleOperator, password, time.Now()),
		reg.AddOperator("rauf", registry.RoleAuditor, password, time.Now()))
	b, errRead := os.ReadFile(filepath.Join(dir, "operators.json"))
	return b, errors.Join(err, errRead)
})

func (b *bench) client(certs ...tls.Certificate) *http.Client {
	b.t.Helper()
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: b.Registry.Keys().Pool(), Certificates: certs, MinVersion: tls.VersionTLS13}}
	b.t.Cleanup(tr.CloseIdleConnections)
	jar := must(cookiejar.New(nil))(b.t)
	return &http.Client{
		Transport: tr, Timeout: 30 * time.Second, Jar: jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// station enrols a kiosk.
func (b *bench) station(name string) {
	b.t.Helper()
	code := must(b.Registry.Add(name, time.Now()))(b.t)
	rest := strings.TrimPrefix(code, name+".")
	secret, _, _ := strings.Cut(rest, ".")
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(b.t)
	csr := must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key))(b.t)
	org := registry.Organisation{Member: "AZ-TEST/GOV/10001", Subsystem: "kiosk"}
	cert := must(b.Registry.Enrol(name, secret, org, csr, time.Now()))(b.t)
	b.keys[name] = key
	b.stations[name] = b.client(tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key})
}

// ask sends a message as a station.
func (b *bench) ask(station, method, path string, body []byte, header ...string) (int, []byte) {
	b.t.Helper()
	req := must(http.NewRequestWithContext(b.t.Context(), method, b.bus+base+path, bytes.NewReader(body)))(b.t)
	req.Header.Set("X-Road-Client", "AZ-TEST/GOV/10001/"+station)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp := must(b.stations[station].Do(req))(b.t)
	defer resp.Body.Close()
	return resp.StatusCode, must(io.ReadAll(resp.Body))(b.t)
}

// tell sends a station's report.
func (b *bench) tell(station string, r health.Report) {
	b.t.Helper()
	if status, answer := b.ask(station, http.MethodPost, "/v1/telemetry", must(json.Marshal(r))(b.t)); status != http.StatusOK {
		b.t.Fatalf("telemetry of %s: %d %s", station, status, answer)
	}
}

// well is the report of a kiosk that nothing ails.
func well() health.Report {
	return health.Report{
		Version: health.Version, At: time.Now().UTC(), Boot: "7f3a", Seq: 12, Uptime: 93784, Firmware: "1.4.0", Catalogue: "7",
		Trust: health.Trust{Version: 3, IssuedAt: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)},
		Queue: health.Queue{Bytes: 3 << 20, Bound: 256 << 20, Key: "tpm"},
		Paper: health.Paper{State: "full"},
		Parts: []health.Part{
			{Name: "card", State: "online"},
			{Name: "printer", State: "online"},
			{Name: "line", State: "online"},
			{Name: "sound", State: "online"},
			{Name: "disk", State: "online"},
			{Name: "clock", State: "online"},
		},
	}
}

// fleet are five kiosks, from the worst to one in order.
func (b *bench) fleet() {
	b.t.Helper()
	stopped, low, parked, behind := well(), well(), well(), well()
	stopped.Paper = health.Paper{State: "out", Retracted: 1}
	stopped.Queue.Depth, stopped.Queue.OldestS = 41, map[string]int64{"waiting": 5400, "today": 7000}
	stopped.Parts[1] = health.Part{Name: "printer", State: "hardwareError", Cause: "paper end sensor open"}
	stopped.Faults = []health.Fault{{Kind: "fault.no_paper", Count: 7}, {Kind: "fault.printer", Count: 1}}
	low.Paper = health.Paper{State: "low", LeftMM: 2900, EmptyInS: 5000}
	parked.Queue.Depth, parked.Queue.Parked, parked.Queue.OldestS = 3, 2, map[string]int64{"today": 30000}
	behind.Firmware, behind.Catalogue = "1.3.2", "6"
	for name, r := range map[string]health.Report{
		"ASAN-BAKU-5-KIOSK-01": stopped, "ASAN-GANJA-KIOSK-02": low, "ASAN-SHEKI-KIOSK-01": parked, "DOST-BAKU-KIOSK-03": behind,
		"ASAN-BAKU-1-KIOSK-04": well(), "ASAN-BAKU-1-KIOSK-05": well(),
	} {
		b.station(name)
		b.tell(name, r)
	}
	if _, err := b.Registry.Add("ASAN-LANKARAN-KIOSK-01", time.Now()); err != nil {
		b.t.Fatal(err)
	}
}

// submit sends a request and waits for its outcome. It returns its id and draft.
func (b *bench) submit(station string, person int) (string, agency.Person) {
	b.t.Helper()
	p := agency.Population()[person]
	d := request.Draft{
		ID: request.NewID(time.Now()), Station: station, Service: agency.WorkCertificate, CatalogueVersion: "1",
		CreatedAt: time.Now(), Clock: request.ClockTrusted, Lang: "az", Answers: request.Answers{"purpose": "bank"},
		Holder: request.Holder{FIN: p.FIN, Surname: p.Surname, GivenNames: p.GivenNames, DocumentNumber: p.DocumentNumber},
	}
	sealed := must(request.Seal(d, b.keys[station], b.Registry.Keys().Identity.Recipient()))(b.t)
	path := "/v1/submissions/" + string(d.ID)
	// What a careless client might write into headers is a person's as well.
	if status, answer := b.ask(station, http.MethodPut, path, sealed, "X-Road-Issue", p.FIN, "X-Road-Id", p.FIN, "X-Road-Userid", "AZ"+p.FIN); status != http.StatusCreated {
		b.t.Fatalf("submit: %d %s", status, answer)
	}
	if status, answer := b.ask(station, http.MethodGet, path+"?wait=20", nil); status != http.StatusOK {
		b.t.Fatalf("outcome: %d %s", status, answer)
	}
	return string(d.ID), p
}

// december puts the bulletin's month in, and two made ones before it.
func (b *bench) december() stats.Month {
	b.t.Helper()
	m := must(stats.Parse(must(os.ReadFile("../stats/testdata/2014-12.json"))(b.t)))(b.t)
	dir := filepath.Join(b.dir, server.StatsFolder)
	for month, of := range map[string]uint64{"2014-12": 1, "2014-11": 2, "2014-09": 3} {
		other := must(stats.Parse(must(json.Marshal(m))(b.t)))(b.t)
		other.Month = month
		for i := range other.Agencies {
			for j := range other.Agencies[i].Services {
				other.Agencies[i].Services[j].Uses /= of
			}
		}
		if err := stats.Import(dir, other); err != nil {
			b.t.Fatal(err)
		}
	}
	return m
}

// A visitor is a browser without a screen.
type visitor struct {
	*bench
	*http.Client
}

func (b *bench) visitor() *visitor { return &visitor{b, b.client()} }

// signedInAs is a visitor with a session.
func (b *bench) signedInAs(name string) *visitor {
	b.t.Helper()
	v := b.visitor()
	if resp, _ := v.post("/login", url.Values{"name": {name}, "password": {password}}); resp.StatusCode != http.StatusSeeOther {
		b.t.Fatalf("login: %s", resp.Status)
	}
	return v
}

func (v *visitor) do(req *http.Request) (*http.Response, string) {
	v.t.Helper()
	resp := must(v.Do(req))(v.t)
	defer resp.Body.Close()
	return resp, string(must(io.ReadAll(resp.Body))(v.t))
}

func (v *visitor) get(path string) (*http.Response, string) {
	v.t.Helper()
	return v.do(must(http.NewRequestWithContext(v.t.Context(), http.MethodGet, v.url+path, nil))(v.t))
}

func (v *visitor) post(path string, form url.Values, header ...string) (*http.Response, string) {
	v.t.Helper()
	req := must(http.NewRequestWithContext(v.t.Context(), http.MethodPost, v.url+path, strings.NewReader(form.Encode())))(v.t)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return v.do(req)
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// csrf is the token of a visitor's forms.
func (v *visitor) csrf() string {
	v.t.Helper()
	_, body := v.get("/")
	m := csrfField.FindStringSubmatch(body)
	if m == nil {
		v.t.Fatalf("no token on the page: %s", body)
	}
	return m[1]
}

func (v *visitor) cookie() *http.Cookie {
	v.t.Helper()
	at := must(url.Parse(v.url))(v.t)
	for _, c := range v.Jar.Cookies(at) {
		if c.Name == cookieName {
			return c
		}
	}
	v.t.Fatal("no session cookie")
	return nil
}
