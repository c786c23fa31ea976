package server

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kosk/cmd/bus/agency"
	"kosk/cmd/bus/ledger"
	"kosk/cmd/bus/ledger/jetstream"
	"kosk/cmd/bus/registry"
	"kosk/device/request"
	"kosk/offline"
	"kosk/offline/bus"
)

var provider = Provider{Instance: "AZ-TEST", Class: "GOV", Member: "10001", Subsystem: "kiosk"}

// A bench is a bus on the loopback with one enrolled station.
type bench struct {
	*Server
	t    testing.TB
	url  string
	log  *lockedBuffer
	sock string
	stop func() error
	end  error // what Run is expected to return
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

func open(t testing.TB, dir string, change ...func(*Config)) *bench {
	t.Helper()
	reg, err := registry.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	book, err := jetstream.Open(t.Context(), jetstream.Config{Dir: filepath.Join(dir, "ledger"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	log := &lockedBuffer{}
	c := Config{
		Registry: reg, Ledger: book, Log: slog.New(slog.NewJSONHandler(log, nil)),
		Provider: provider, Dialect: DialectNew,
	}
	for _, do := range change {
		do(&c)
	}
	s, err := New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sock := filepath.Join(dir, "bus.sock")
	control, err := ListenControl(sock)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, l, control) }()
	b := &bench{Server: s, t: t, url: "https://" + l.Addr().String(), log: log, sock: sock}
	b.stop = sync.OnceValue(func() error {
		cancel()
		err := <-ended
		if e := book.Close(); err == nil {
			err = e
		}
		return err
	})
	t.Cleanup(func() {
		if err := b.stop(); !errors.Is(err, b.end) {
			t.Errorf("bus ended with %v, want %v", err, b.end)
		}
	})
	return b
}

// A kiosk is a plain HTTP client of the bus: nothing of ours but the sealing.
type kiosk struct {
	*bench
	name   string
	key    *ecdsa.PrivateKey
	client *http.Client
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (b *bench) httpClient(certs ...tls.Certificate) *http.Client {
	tr := &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: b.Registry.Keys().Pool(), Certificates: certs, MinVersion: tls.VersionTLS13,
	}, MaxIdleConnsPerHost: 64}
	b.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 30 * time.Second}
}

func certificate(cert *x509.Certificate, key *ecdsa.PrivateKey) tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

func csr(t testing.TB, key crypto.Signer) string {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

// enroll posts a certificate request as EST wants it.
func (b *bench) enroll(code, body string) (*http.Response, []byte) {
	b.t.Helper()
	fp := strings.LastIndexByte(code, '.')
	sep := strings.LastIndexByte(code[:fp], '.')
	req, err := http.NewRequest(http.MethodPost, b.url+"/.well-known/est/simpleenroll", strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.SetBasicAuth(code[:sep], code[sep+1:fp])
	req.Header.Set("Content-Type", "application/pkcs10")
	return send(b.t, b.httpClient(), req)
}

func send(t testing.TB, c *http.Client, req *http.Request) (*http.Response, []byte) {
	t.Helper()
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

// certsIn reads a certs-only answer, independently of how it was written.
func certsIn(t testing.TB, body []byte) []*x509.Certificate {
	t.Helper()
	der, err := base64.StdEncoding.DecodeString(string(body))
	if err != nil {
		t.Fatalf("answer is not base64: %v", err)
	}
	var outer struct {
		OID     asn1.ObjectIdentifier
		Content struct {
			Version      int
			Algorithms   []asn1.RawValue `asn1:"set"`
			Content      asn1.RawValue
			Certificates asn1.RawValue   `asn1:"optional,tag:0"`
			Signers      []asn1.RawValue `asn1:"set"`
		} `asn1:"explicit,tag:0"`
	}
	if rest, err := asn1.Unmarshal(der, &outer); err != nil || len(rest) > 0 {
		t.Fatalf("answer is no cms: %v, %d bytes left", err, len(rest))
	}
	certs, err := x509.ParseCertificates(outer.Content.Certificates.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return certs
}

func (b *bench) station(name string) *kiosk {
	b.t.Helper()
	code, err := b.Registry.Add(name, time.Now())
	if err != nil {
		b.t.Fatal(err)
	}
	key := newKey(b.t)
	resp, body := b.enroll(code, csr(b.t, key))
	if resp.StatusCode != http.StatusOK {
		b.t.Fatalf("enrol: %s: %s", resp.Status, body)
	}
	cert := certsIn(b.t, body)[0]
	return &kiosk{bench: b, name: name, key: key, client: b.httpClient(tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key})}
}

const base = "/r1/AZ-TEST/GOV/10001/kiosk/intake"

// ask sends one message. The answer's body must be JSON unless it is empty.
func (k *kiosk) ask(method, path string, body []byte, header ...string) (*http.Response, map[string]any) {
	k.t.Helper()
	resp, err := k.try(method, path, body, header...)
	if err != nil {
		k.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		k.t.Fatal(err)
	}
	own, intake := strings.CutPrefix(path, base)
	if intake && !bytes.HasPrefix(b, []byte(`["unexpected"]`)) { // the fault wrong-schema
		if err := describe(k.t).check(method, own, resp, b); err != nil {
			k.t.Error(err)
		}
	}
	var v map[string]any
	if len(b) > 0 {
		if err := json.Unmarshal(b, &v); err != nil {
			v = map[string]any{"not an object": string(b)}
		}
	}
	return resp, v
}

func (k *kiosk) try(method, path string, body []byte, header ...string) (*http.Response, error) {
	k.t.Helper()
	req, err := http.NewRequest(method, k.url+path, bytes.NewReader(body))
	if err != nil {
		k.t.Fatal(err)
	}
	req.Header.Set("X-Road-Client", "AZ-TEST/GOV/10001/"+k.name)
	req.Header.Set("X-Road-Id", "29f4d1a2-0001-4000-8000-000000000001")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return k.client.Do(req)
}

func draftOf(k *kiosk, person int) request.Draft {
	now := time.Now()
	p := agency.Population()[person]
	return request.Draft{
		ID: request.NewID(now), Station: k.name, Service: agency.WorkCertificate, CatalogueVersion: "1",
		CreatedAt: now, Clock: request.ClockTrusted, MonoSeq: 1, BootID: "boot", Lang: "az",
		Answers: request.Answers{"purpose": "bank"},
		Holder:  request.Holder{FIN: p.FIN, Surname: p.Surname, GivenNames: p.GivenNames, DocumentNumber: p.DocumentNumber},
	}
}

func (k *kiosk) seal(d request.Draft) []byte {
	k.t.Helper()
	b, err := request.Seal(d, k.key, k.Registry.Keys().Identity.Recipient())
	if err != nil {
		k.t.Fatal(err)
	}
	return b
}

func path(d request.Draft) string { return base + "/v1/submissions/" + string(d.ID) }

func TestCertificateFromRequestToOutcome(t *testing.T) {
	k := open(t, t.TempDir()).station("KIOSK-001")
	d := draftOf(k, 0)
	sealed := k.seal(d)
	resp, v := k.ask(http.MethodPut, path(d), sealed, "Content-Type", "application/octet-stream")
	if resp.StatusCode != http.StatusCreated || v["state"] != "accepted" {
		t.Fatalf("first: %s %v", resp.Status, v)
	}
	if got := resp.Header.Get("X-Road-Id"); got != "29f4d1a2-0001-4000-8000-000000000001" {
		t.Errorf("X-Road-Id %q is not echoed", got)
	}
	for _, h := range []string{"X-Road-Request-Id", "X-Road-Request-Hash", "X-Road-Service", "X-Road-Client"} {
		if resp.Header.Get(h) == "" {
			t.Errorf("answer has no %s", h)
		}
	}
	if resp.Header.Get("X-Road-Error") != "" {
		t.Error("a provider's answer has X-Road-Error")
	}
	receipt := unbase64(t, v["receipt"])
	key := &k.Registry.Keys().Receipt.PublicKey
	if err := request.CheckReceipt(receipt, key, string(d.ID), sha256.Sum256(sealed)); err != nil {
		t.Fatal(err)
	}
	resp, again := k.ask(http.MethodPut, path(d), sealed)
	if resp.StatusCode != http.StatusOK || again["receipt"] != v["receipt"] {
		t.Fatalf("again: %s, same receipt: %v", resp.Status, again["receipt"] == v["receipt"])
	}

	resp, v = k.ask(http.MethodGet, path(d)+"?wait=20", nil)
	if resp.StatusCode != http.StatusOK || v["state"] != "done" {
		t.Fatalf("outcome: %s %v", resp.Status, v)
	}
	b, err := json.Marshal(v["outcome"])
	if err != nil {
		t.Fatal(err)
	}
	var o request.Outcome
	if err := json.Unmarshal(b, &o); err != nil {
		t.Fatal(err)
	}
	c, err := request.VerifyCertificate(o.Token, key, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(o); err != nil || o.Number != d.ID.Number() {
		t.Errorf("certificate %q for request %q: %v", o.Number, d.ID.Number(), err)
	}
	if len(o.Token) > 230 {
		t.Errorf("token has %d bytes, want at most 230", len(o.Token))
	}
	t.Logf("token %d bytes, receipt %d bytes, envelope %d bytes", len(o.Token), len(receipt), len(sealed))
	if o.Data[1].Value != "“Xəzər Gəmiçilik” ASC" || o.Data[1].Register != "employment_contracts" {
		t.Errorf("employer is %q of %q", o.Data[1].Value, o.Data[1].Register)
	}
	for _, personal := range []string{d.Holder.FIN, d.Holder.Surname, d.Holder.DocumentNumber, "Gəmiçilik"} {
		if strings.Contains(k.log.String(), personal) {
			t.Errorf("log holds %q", personal)
		}
	}
}

func unbase64(t testing.TB, v any) []byte {
	t.Helper()
	s, _ := v.(string)
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(b) == 0 {
		t.Fatalf("no base64: %q", s)
	}
	return b
}

// A ttl ends what never came, by a clock that was right; what came in time stays taken.
func TestATTLEndsOnlyWhatNeverCame(t *testing.T) {
	k := open(t, t.TempDir()).station("KIOSK-001")
	put := func(change func(*request.Draft)) []byte {
		t.Helper()
		d := draftOf(k, 0)
		change(&d)
		sealed := k.seal(d)
		if resp, v := k.ask(http.MethodPut, path(d), sealed); resp.StatusCode != http.StatusCreated {
			t.Fatalf("%s %v", resp.Status, v)
		}
		return sealed
	}
	put(func(d *request.Draft) { d.TTL, d.CreatedAt = 30*24*time.Hour, d.CreatedAt.Add(-29*24*time.Hour) })
	put(func(d *request.Draft) { d.CreatedAt = d.CreatedAt.Add(-31 * 24 * time.Hour) }) // it has none
	put(func(d *request.Draft) {
		d.TTL, d.CreatedAt, d.Clock = time.Hour, d.CreatedAt.Add(-31*24*time.Hour), request.ClockFloor
	})
	var d request.Draft
	sealed := put(func(own *request.Draft) { own.TTL = 5 * time.Second; d = *own })
	tick := time.NewTimer(time.Until(d.CreatedAt.Add(d.TTL + 50*time.Millisecond)))
	<-tick.C
	if resp, v := k.ask(http.MethodPut, path(d), sealed); resp.StatusCode != http.StatusOK {
		t.Errorf("again, after its ttl: %s %v", resp.Status, v)
	}
}

func TestRefusedByTheAgency(t *testing.T) {
	b := open(t, t.TempDir())
	k := b.station("KIOSK-001")
	tests := []struct {
		name, want string
		change     func(*request.Draft)
	}{
		{"a person without a contract", "no_contract", func(d *request.Draft) { d.Holder = draftOf(k, 2).Holder }},
		{"nobody knows the person", "unknown_person", func(d *request.Draft) { d.Holder.FIN = "0000000" }},
		{"another card than the register's", "holder_mismatch", func(d *request.Draft) { d.Holder.DocumentNumber = "AA0000000" }},
		{"a service that no agency has", "unknown_service", func(d *request.Draft) { d.Service = "nothing" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := draftOf(k, 0)
			tt.change(&d)
			k.ask(http.MethodPut, path(d), k.seal(d))
			_, v := k.ask(http.MethodGet, path(d)+"?wait=20", nil)
			if v["state"] != "refused" || v["reason"] != tt.want {
				t.Errorf("got %v %v, want refused %s", v["state"], v["reason"], tt.want)
			}
		})
	}
}

func TestEnvelopesThatAreNotAccepted(t *testing.T) {
	b := open(t, t.TempDir())
	k, other := b.station("KIOSK-001"), b.station("KIOSK-002")
	d := draftOf(k, 0)
	good := k.seal(d)
	foreign := d
	foreign.Station = other.name
	moved := draftOf(k, 0)
	late := d
	late.TTL, late.CreatedAt = 30*24*time.Hour, d.CreatedAt.Add(-31*24*time.Hour)
	stranger := &kiosk{bench: b, name: k.name, key: newKey(t)}
	nobody := d
	nobody.Station = "KIOSK-404"
	tests := []struct {
		name   string
		path   string
		body   []byte
		status int
		reason string
	}{
		{"not sealed at all", path(d), []byte("hello"), 400, "bad_envelope"},
		{"changed on its way", path(d), append(bytes.Clone(good[:len(good)-1]), good[len(good)-1]^1), 400, "bad_envelope"},
		{"signed by another key", path(d), stranger.seal(d), 400, "bad_signature"},
		{"another station's", path(d), other.seal(foreign), 400, "wrong_station"},
		{"an unknown station's", path(d), k.seal(nobody), 400, "bad_signature"},
		{"under another id", path(moved), good, 400, "wrong_id"},
		{"an id in lower case", strings.ToLower(path(d)), good, 500, ""},
		{"after its ttl", path(d), k.seal(late), 400, "too_late"},
		{"after its ttl, again", path(d), k.seal(late), 400, "too_late"},
		{"not an id", base + "/v1/submissions/17", good, 400, "bad_id"},
		{"over five mebibytes", path(d), make([]byte, request.MaxSealed+1), 413, "too_large"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp, v := k.ask(http.MethodPut, tt.path, tt.body)
			if resp.StatusCode != tt.status || tt.reason != "" && v["reason"] != tt.reason {
				t.Errorf("got %s %v, want %d %s", resp.Status, v, tt.status, tt.reason)
			}
		})
	}
	if resp, _ := k.ask(http.MethodGet, path(d), nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("after refusals the id is %s, want 404", resp.Status)
	}
	if st, err := k.Status(); err != nil || st.Accepted != 0 || st.Effects != 0 {
		t.Errorf("accepted %d, effects %d, want none: %v", st.Accepted, st.Effects, err)
	}
}

func TestSameIDOtherContent(t *testing.T) {
	k := open(t, t.TempDir()).station("KIOSK-001")
	d := draftOf(k, 0)
	k.ask(http.MethodPut, path(d), k.seal(d))
	resp, v := k.ask(http.MethodPut, path(d), k.seal(d)) // sealed anew: other bytes
	if resp.StatusCode != http.StatusUnprocessableEntity || v["reason"] != "other_content" {
		t.Errorf("got %s %v, want 422 other_content", resp.Status, v)
	}
}

func TestOnlyItsOwnStationMayRead(t *testing.T) {
	b := open(t, t.TempDir())
	k, other := b.station("KIOSK-001"), b.station("KIOSK-002")
	d := draftOf(k, 0)
	sealed := k.seal(d)
	k.ask(http.MethodPut, path(d), sealed)
	if resp, v := other.ask(http.MethodGet, path(d), nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("another station reads %s %v", resp.Status, v)
	}
	if resp, v := other.ask(http.MethodPut, path(d), sealed); resp.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("another station sends the same bytes: %s %v, want 422", resp.Status, v)
	}
}

func TestOnceUnderConcurrentIdenticalPuts(t *testing.T) {
	k := open(t, t.TempDir()).station("KIOSK-001")
	const requests, senders = 10, 8
	var wg sync.WaitGroup
	var mu sync.Mutex
	created := map[request.ID]int{}
	receipts := map[request.ID]map[any]bool{}
	for range requests {
		d := draftOf(k, 0)
		sealed := k.seal(d)
		mu.Lock()
		receipts[d.ID] = map[any]bool{}
		mu.Unlock()
		for range senders {
			wg.Go(func() {
				for {
					resp, v := k.ask(http.MethodPut, path(d), sealed)
					if resp.StatusCode == http.StatusConflict && resp.Header.Get("Retry-After") != "" {
						continue
					}
					mu.Lock()
					defer mu.Unlock()
					receipts[d.ID][v["receipt"]] = true
					if resp.StatusCode == http.StatusCreated {
						created[d.ID]++
					} else if resp.StatusCode != http.StatusOK {
						t.Errorf("%s %v", resp.Status, v)
					}
					return
				}
			})
		}
	}
	wg.Wait()
	for id, all := range receipts {
		if created[id] != 1 || len(all) != 1 {
			t.Errorf("%s was created %d times, with %d receipts", id, created[id], len(all))
		}
		k.ask(http.MethodGet, base+"/v1/submissions/"+string(id)+"?wait=20", nil)
	}
	st, err := k.Status()
	if err != nil || st.Accepted != requests || st.Effects != requests || st.Duplicates != requests*(senders-1) {
		t.Errorf("accepted %d, effects %d, duplicates %d: %v", st.Accepted, st.Effects, st.Duplicates, err)
	}
}

func TestLostAnswerThenAgain(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	k := b.station("KIOSK-001")
	d := draftOf(k, 0)
	sealed := k.seal(d)
	control := Control{Socket: b.sock}
	if _, err := control.SetFault(t.Context(), Fault{Name: "lost-answer", Service: "intake", Times: 2}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if resp, err := k.try(http.MethodPut, path(d), sealed); err == nil {
			t.Fatalf("the answer came: %s", resp.Status)
		}
	}
	resp, first := k.ask(http.MethodGet, path(d)+"?wait=20", nil)
	if resp.StatusCode != http.StatusOK || first["state"] != "done" {
		t.Fatalf("asked by id: %s %v", resp.Status, first)
	}
	resp, v := k.ask(http.MethodPut, path(d), sealed)
	if resp.StatusCode != http.StatusOK || v["receipt"] != first["receipt"] {
		t.Fatalf("sent again: %s %v", resp.Status, v)
	}
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}

	k.bench = open(t, dir) // what counts outlives the process
	resp, v = k.ask(http.MethodPut, path(d), sealed)
	if resp.StatusCode != http.StatusOK || v["receipt"] != first["receipt"] {
		t.Fatalf("after a restart: %s, same receipt: %v", resp.Status, v["receipt"] == first["receipt"])
	}
	if st, err := k.Status(); err != nil || st.Accepted != 1 || st.Effects != 1 {
		t.Errorf("accepted %d, effects %d: %v", st.Accepted, st.Effects, err)
	}
}

func TestWhoMayTalk(t *testing.T) {
	b := open(t, t.TempDir())
	k := b.station("KIOSK-001")
	t.Run("no certificate", func(t *testing.T) {
		none := &kiosk{bench: b, name: k.name, client: b.httpClient()}
		resp, v := none.ask(http.MethodGet, base+"/v1/time", nil)
		wantXRoad(t, resp, v, "server.clientproxy.ssl_authentication_failed")
	})
	t.Run("a certificate of another bus", func(t *testing.T) {
		foreign := open(t, t.TempDir()).station(k.name)
		tr := foreign.client.Transport.(*http.Transport)
		wrong := &kiosk{bench: b, name: k.name, client: b.httpClient(tr.TLSClientConfig.Certificates...)}
		if resp, err := wrong.try(http.MethodGet, base+"/v1/time", nil); err == nil {
			t.Errorf("it was let in: %s", resp.Status)
		}
	})
	t.Run("another station in X-Road-Client", func(t *testing.T) {
		resp, v := k.ask(http.MethodGet, base+"/v1/time", nil, "X-Road-Client", "AZ-TEST/GOV/10001/KIOSK-002")
		wantXRoad(t, resp, v, "server.clientproxy.invalid_client_identifier")
	})
	t.Run("no X-Road-Client", func(t *testing.T) {
		resp, v := k.ask(http.MethodGet, base+"/v1/time", nil, "X-Road-Client", "")
		wantXRoad(t, resp, v, "client.bad_request")
	})
	t.Run("a percent-encoded X-Road-Client", func(t *testing.T) {
		resp, _ := k.ask(http.MethodGet, base+"/v1/time", nil, "X-Road-Client", "AZ%2DTEST/GOV/10001/KIOSK%2D001")
		if resp.StatusCode != http.StatusOK {
			t.Errorf("got %s", resp.Status)
		}
	})
	t.Run("another member", func(t *testing.T) {
		resp, v := k.ask(http.MethodGet, "/r1/AZ-TEST/GOV/10002/kiosk/intake/v1/time", nil)
		wantXRoad(t, resp, v, "server.serverproxy.unknown_member")
	})
	t.Run("another service", func(t *testing.T) {
		resp, v := k.ask(http.MethodGet, "/r1/AZ-TEST/GOV/10001/kiosk/outtake/v1/time", nil)
		wantXRoad(t, resp, v, "server.serverproxy.unknown_service")
	})
	t.Run("an unknown call is the provider's answer", func(t *testing.T) {
		resp, v := k.ask(http.MethodGet, base+"/v1/nothing", nil)
		if resp.StatusCode != http.StatusNotFound || resp.Header.Get("X-Road-Error") != "" || v["reason"] != "unknown_call" {
			t.Errorf("got %s %v", resp.Status, v)
		}
	})
	t.Run("a removed station", func(t *testing.T) {
		gone := b.station("KIOSK-009")
		if err := b.Registry.Remove("KIOSK-009", time.Now()); err != nil {
			t.Fatal(err)
		}
		resp, v := gone.ask(http.MethodGet, base+"/v1/time", nil)
		wantXRoad(t, resp, v, "server.serverproxy.access_denied")
	})
}

func wantXRoad(t *testing.T, resp *http.Response, v map[string]any, typ string) {
	t.Helper()
	if got := resp.Header.Get("X-Road-Error"); got != typ || v["type"] != typ || v["message"] == "" {
		t.Errorf("got %s X-Road-Error %q, body %v, want %q", resp.Status, got, v, typ)
	}
}

func TestDialects(t *testing.T) {
	for typ, want := range map[string]string{
		errAccessDenied:  "server.serverproxy.access_denied",
		errAuthenticate:  "server.clientproxy.ssl_authentication_failed",
		errServiceFailed: "server.serverproxy.service_failed.http_error",
		errBadRequest:    "client.bad_request",
		errClientID:      "server.clientproxy.invalid_client_identifier",
	} {
		if got := DialectNew.spell(typ); got != want {
			t.Errorf("%s: got %s, want %s", typ, got, want)
		}
		if got := DialectOld.spell(typ); got != typ {
			t.Errorf("%s in the old dialect is %s", typ, got)
		}
	}
}

// A bus of before 7.8 answers in its own spelling, and a kiosk takes both for the
// same refusal.
func TestAnOlderBus(t *testing.T) {
	for dialect, want := range map[Dialect]string{DialectOld: "Server.ServerProxy.AccessDenied", DialectNew: "server.serverproxy.access_denied"} {
		b := open(t, t.TempDir(), func(c *Config) { c.Dialect = dialect })
		k := b.station("KIOSK-001")
		if err := b.faults.add(Fault{Name: faultRefuse, Times: 2}); err != nil {
			t.Fatal(err)
		}
		d := draftOf(k, 0)
		resp, v := k.ask(http.MethodPut, path(d), k.seal(d))
		wantXRoad(t, resp, v, want)
		c, err := bus.Open(bus.Options{
			URL: k.url, Instance: provider.Instance, Client: "AZ-TEST/GOV/10001/KIOSK-001", Service: "GOV/10001/kiosk/intake",
			TLS: k.client.Transport.(*http.Transport).TLSClientConfig,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, err = c.Submit(t.Context(), string(d.ID), k.seal(d))
		f, ok := errors.AsType[*offline.Fault](err)
		if !ok || !errors.Is(err, offline.ErrRefused) || f.Sent || f.Type != "server.serverproxy.accessdenied" {
			t.Errorf("%s: %v", dialect, err)
		}
	}
}

// What opening an envelope says is told by the contract's reasons; what is not the
// envelope's fault by none.
func TestEveryObjectionHasItsReason(t *testing.T) {
	disk := errors.New("disk")
	for err, want := range map[error]string{
		request.ErrVersion: "unknown_version", request.ErrSignature: "bad_signature", request.ErrStation: "bad_signature",
		registry.ErrUnknown: "bad_signature", request.ErrSealed: "bad_envelope", request.ErrEnvelope: "bad_envelope",
		request.ErrDraft: "bad_envelope", disk: "",
	} {
		reason, left := objection(&message{recorder: &recorder{}}, "", request.Draft{}, fmt.Errorf("open: %w", err))
		if reason != want || errors.Is(left, disk) != (want == "") {
			t.Errorf("%v: %q, %v; want %q", err, reason, left, want)
		}
	}
}

// An id is an idempotency key for as long as a request may live.
func TestTheLedgerOutlivesEveryRequest(t *testing.T) {
	d := request.Draft{ID: request.NewID(time.Now()), Station: "K", Service: "s", CreatedAt: time.Now(), Clock: request.ClockTrusted, TTL: ledger.Retention}
	if err := d.Validate(); err != nil || ledger.Retention != 400*24*time.Hour {
		t.Errorf("kept for %v: %v", ledger.Retention, err)
	}
	if d.TTL += time.Second; d.Validate() == nil {
		t.Error("a request outlives the ledger")
	}
}

func TestLookups(t *testing.T) {
	k := open(t, t.TempDir()).station("KIOSK-001")
	tests := []struct {
		name, service, question string
		status                  int
		want                    string // in the answer
	}{
		{"a contract", agency.ContractByFIN, `{"fin":"5ARPXK2"}`, 200, `"value":"“Xəzər Gəmiçilik” ASC"`},
		{"no contract", agency.ContractByFIN, `{"fin":"7HZ2W9C"}`, 404, `"reason":"no_contract"`},
		{"nobody", agency.ContractByFIN, `{"fin":"0000000"}`, 404, `"reason":"unknown_person"`},
		{"not a fin", agency.ContractByFIN, `{"fin":"OIL"}`, 400, `"reason":"bad_fin"`},
		{"a registered device", agency.DeviceStatus, `{"imei":"490154203237518"}`, 200, `"value":"registered"`},
		{"a blocked device", agency.DeviceStatus, `{"imei":"357805023984942"}`, 200, `"value":"blocked"`},
		{"a device that nobody knows", agency.DeviceStatus, `{"imei":"000000000000000"}`, 200, `"value":"not_registered"`},
		{"a wrong check digit", agency.DeviceStatus, `{"imei":"490154203237519"}`, 400, `"reason":"bad_imei"`},
		{"no json", agency.DeviceStatus, `imei`, 400, `"reason":"bad_question"`},
		{"no such service", "weather", `{}`, 404, `"reason":"unknown_service"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp, err := k.try(http.MethodPost, base+"/v1/lookups/"+tt.service, []byte(tt.question))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != tt.status || !strings.Contains(string(b), tt.want) {
				t.Errorf("got %s %s %v, want %d %s", resp.Status, b, err, tt.status, tt.want)
			}
		})
	}
}

func TestFaults(t *testing.T) {
	b := open(t, t.TempDir())
	k := b.station("KIOSK-001")
	control := Control{Socket: b.sock}
	set := func(t *testing.T, f Fault) {
		t.Helper()
		if _, err := control.SetFault(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := control.ClearFaults(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		})
	}
	imei := []byte(`{"imei":"490154203237518"}`)
	t.Run("a service that is down, and no other", func(t *testing.T) {
		set(t, Fault{Name: "down", Service: agency.ContractByFIN})
		resp, v := k.ask(http.MethodPost, base+"/v1/lookups/"+agency.ContractByFIN, []byte(`{"fin":"5ARPXK2"}`))
		wantXRoad(t, resp, v, "server.serverproxy.service_failed.http_error")
		if resp, v := k.ask(http.MethodPost, base+"/v1/lookups/"+agency.DeviceStatus, imei); resp.StatusCode != http.StatusOK {
			t.Errorf("the other: %s %v", resp.Status, v)
		}
	})
	t.Run("refused once", func(t *testing.T) {
		set(t, Fault{Name: "refuse", Times: 1})
		resp, v := k.ask(http.MethodPost, base+"/v1/lookups/"+agency.DeviceStatus, imei)
		wantXRoad(t, resp, v, "server.serverproxy.access_denied")
		if resp, _ := k.ask(http.MethodPost, base+"/v1/lookups/"+agency.DeviceStatus, imei); resp.StatusCode != http.StatusOK {
			t.Errorf("second time: %s", resp.Status)
		}
	})
	t.Run("wrong schema", func(t *testing.T) {
		set(t, Fault{Name: "wrong-schema"})
		if _, v := k.ask(http.MethodPost, base+"/v1/lookups/"+agency.DeviceStatus, imei); v["data"] != nil || v["not an object"] == nil {
			t.Errorf("got %v", v)
		}
	})
	t.Run("slow", func(t *testing.T) {
		set(t, Fault{Name: "slow", Delay: 200 * time.Millisecond})
		start := time.Now()
		k.ask(http.MethodPost, base+"/v1/lookups/"+agency.DeviceStatus, imei)
		if d := time.Since(start); d < 200*time.Millisecond {
			t.Errorf("answered after %v", d)
		}
	})
	t.Run("a stranger's certificate, and then ours again", func(t *testing.T) {
		set(t, Fault{Name: "wrong-certificate"})
		if resp, err := k.try(http.MethodGet, base+"/v1/time", nil); err == nil {
			t.Errorf("the kiosk spoke to a stranger: %s", resp.Status)
		}
		if err := control.ClearFaults(t.Context()); err != nil {
			t.Fatal(err)
		}
		if resp, _ := k.ask(http.MethodGet, base+"/v1/time", nil); resp.StatusCode != http.StatusOK {
			t.Errorf("got %s", resp.Status)
		}
	})
	t.Run("an agency that is down holds its requests until it is up", func(t *testing.T) {
		set(t, Fault{Name: "down", Service: agency.WorkCertificate})
		d := draftOf(k, 0)
		k.ask(http.MethodPut, path(d), k.seal(d))
		if _, v := k.ask(http.MethodGet, path(d)+"?wait=1", nil); v["state"] != "in_work" && v["state"] != "accepted" {
			t.Errorf("got %v", v["state"])
		}
		if err := control.ClearFaults(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, v := k.ask(http.MethodGet, path(d)+"?wait=20", nil); v["state"] != "done" {
			t.Errorf("got %v", v["state"])
		}
	})
	t.Run("a name that there isn't", func(t *testing.T) {
		if _, err := control.SetFault(t.Context(), Fault{Name: "rain"}); err == nil {
			t.Error("it was set")
		}
	})
}

func TestLongPollByETag(t *testing.T) {
	b := open(t, t.TempDir())
	k := b.station("KIOSK-001")
	control := Control{Socket: b.sock}
	if _, err := control.SetFault(t.Context(), Fault{Name: "down", Service: agency.WorkCertificate}); err != nil {
		t.Fatal(err)
	}
	d := draftOf(k, 0)
	k.ask(http.MethodPut, path(d), k.seal(d))
	var tag string
	for tag != `"in_work"` { // reached without waiting for anybody
		resp, _ := k.ask(http.MethodGet, path(d), nil)
		tag = resp.Header.Get("ETag")
	}
	resp, _ := k.ask(http.MethodGet, path(d)+"?wait=1", nil, "If-None-Match", tag)
	if resp.StatusCode != http.StatusNotModified {
		t.Errorf("nothing changed: %s", resp.Status)
	}
	if err := control.ClearFaults(t.Context()); err != nil {
		t.Fatal(err)
	}
	resp, v := k.ask(http.MethodGet, path(d)+"?wait=20", nil, "If-None-Match", tag)
	if resp.StatusCode != http.StatusOK || v["state"] != "done" {
		t.Errorf("it changed: %s %v", resp.Status, v)
	}
}

// Nobody waits longer than 25 seconds, whatever they ask.
func TestNoPollIsTooLong(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 0, "1": time.Second, "25": 25 * time.Second, "26": 25 * time.Second, "65535": 25 * time.Second} {
		if got, ok := waitOf(text); got != want || !ok {
			t.Errorf("%q waits %v, %v; want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"-1", "1.5", "65536", "x"} {
		if _, ok := waitOf(text); ok {
			t.Errorf("%q is a time", text)
		}
	}
}

func TestEnrolment(t *testing.T) {
	b := open(t, t.TempDir())
	t.Run("ca certificate is the one of the code", func(t *testing.T) {
		code, err := b.Registry.Add("KIOSK-010", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		resp, err := b.httpClient().Get(b.url + "/.well-known/est/cacerts")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(certsIn(t, body)[0].Raw)
		if fp := code[strings.LastIndexByte(code, '.')+1:]; hex.EncodeToString(sum[:16]) != fp {
			t.Errorf("fingerprint %s, code says %s", hex.EncodeToString(sum[:16]), fp)
		}
	})
	t.Run("a code works once", func(t *testing.T) {
		code, err := b.Registry.Add("KIOSK-011", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if resp, body := b.enroll(code, csr(t, newKey(t))); resp.StatusCode != http.StatusOK {
			t.Fatalf("first: %s %s", resp.Status, body)
		}
		resp, _ := b.enroll(code, csr(t, newKey(t)))
		if resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("second: %s", resp.Status)
		}
	})
	t.Run("for a day", func(t *testing.T) {
		code, err := b.Registry.Add("KIOSK-012", time.Now().Add(-registry.CodeLife-time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		if resp, _ := b.enroll(code, csr(t, newKey(t))); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("a day later: %s", resp.Status)
		}
	})
	t.Run("not with another station's name", func(t *testing.T) {
		code, err := b.Registry.Add("KIOSK-013", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if resp, _ := b.enroll(strings.Replace(code, "013", "014", 1), csr(t, newKey(t))); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("got %s", resp.Status)
		}
	})
	t.Run("a bad request doesn't spend the code", func(t *testing.T) {
		code, err := b.Registry.Add("KIOSK-015", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		for _, body := range []string{"%%%", base64.StdEncoding.EncodeToString([]byte("csr")), csr(t, p384)} {
			if resp, _ := b.enroll(code, body); resp.StatusCode != http.StatusBadRequest {
				t.Errorf("got %s", resp.Status)
			}
		}
		if resp, _ := b.enroll(code, csr(t, newKey(t))); resp.StatusCode != http.StatusOK {
			t.Errorf("got %s", resp.Status)
		}
	})
	t.Run("a request sealed with the old key is accepted after a new enrolment", func(t *testing.T) {
		old := b.station("KIOSK-016")
		d := draftOf(old, 0)
		sealed := old.seal(d)
		k := b.station("KIOSK-016")
		if resp, v := k.ask(http.MethodPut, path(d), sealed); resp.StatusCode != http.StatusCreated {
			t.Errorf("got %s %v", resp.Status, v)
		}
	})
}

// slowLedger is a ledger whose appends are in the hands of a test.
type slowLedger struct {
	ledger.Ledger
	came chan struct{}
	give chan error
}

func (l *slowLedger) Append(ctx context.Context, key string, body []byte) (ledger.Entry, bool, error) {
	if strings.HasPrefix(key, outcomePrefix) {
		return l.Ledger.Append(ctx, key, body)
	}
	l.came <- struct{}{}
	if err := <-l.give; err != nil {
		return ledger.Entry{}, false, err
	}
	return l.Ledger.Append(ctx, key, body)
}

func openSlow(t *testing.T) (*bench, *slowLedger) {
	t.Helper()
	slow := &slowLedger{came: make(chan struct{}), give: make(chan error)}
	return open(t, t.TempDir(), func(c *Config) {
		slow.Ledger = c.Ledger
		c.Ledger = slow
	}), slow
}

func TestInFlight(t *testing.T) {
	b, slow := openSlow(t)
	k := b.station("KIOSK-001")
	d := draftOf(k, 0)
	sealed := k.seal(d)
	first := make(chan int, 1)
	go func() {
		resp, _ := k.ask(http.MethodPut, path(d), sealed)
		first <- resp.StatusCode
	}()
	<-slow.came
	for _, method := range []string{http.MethodPut, http.MethodGet} {
		resp, v := k.ask(method, path(d), sealed)
		if resp.StatusCode != http.StatusConflict || v["reason"] != "in_flight" || resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s meanwhile: %s %v, want 409 in_flight", method, resp.Status, v)
		}
	}
	slow.give <- nil
	if got := <-first; got != http.StatusCreated {
		t.Errorf("first: %d", got)
	}
}

func TestABusThatCannotWriteEnds(t *testing.T) {
	b, slow := openSlow(t)
	b.end = ledger.ErrUnknown
	k := b.station("KIOSK-001")
	d := draftOf(k, 0)
	go func() {
		<-slow.came
		slow.give <- ledger.ErrUnknown
	}()
	resp, v := k.ask(http.MethodPut, path(d), k.seal(d))
	wantXRoad(t, resp, v, "server.serverproxy.internal_error")
	if err := b.stop(); !errors.Is(err, ledger.ErrUnknown) {
		t.Errorf("it ended with %v", err)
	}
}

func TestTooManyAtOnce(t *testing.T) {
	k := open(t, t.TempDir()).station("KIOSK-001")
	d := draftOf(k, 0)
	for range cap(k.submitting) {
		k.submitting <- struct{}{}
	}
	resp, v := k.ask(http.MethodPut, path(d), k.seal(d))
	if resp.StatusCode != http.StatusTooManyRequests || v["reason"] != "busy" || resp.Header.Get("Retry-After") == "" {
		t.Errorf("got %s %v, want 429 busy", resp.Status, v)
	}
}

// BenchmarkSubmissions measures what one kiosk with 32 connections gets through:
// mutual TLS, signature, decryption, synced ledger, receipt.
func BenchmarkSubmissions(b *testing.B) {
	k := open(b, b.TempDir()).station("KIOSK-001")
	drafts := make([]request.Draft, b.N)
	sealed := make([][]byte, b.N)
	for i := range drafts {
		drafts[i] = draftOf(k, 0)
		sealed[i] = k.seal(drafts[i])
	}
	b.ResetTimer()
	var next atomic.Int64
	var senders sync.WaitGroup
	for range 32 {
		senders.Go(func() {
			for i := int(next.Add(1)) - 1; i < b.N; i = int(next.Add(1)) - 1 {
				if resp, v := k.ask(http.MethodPut, path(drafts[i]), sealed[i]); resp.StatusCode != http.StatusCreated {
					b.Errorf("%s %v", resp.Status, v)
				}
			}
		})
	}
	senders.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "submissions/s")
}
