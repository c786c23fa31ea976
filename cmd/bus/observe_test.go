package main

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"kosk/cmd/bus/agency"
	"kosk/device/health"
)

// A receiver is an OTLP collector that keeps what it gets.
type receiver struct {
	*httptest.Server
	t *testing.T

	mu    sync.Mutex // guards both below
	raw   bytes.Buffer
	spans []received
}

// A received span, with the service that sent it.
type received struct {
	*otlp.Span
	service string
}

func (r received) id() string     { return hex.EncodeToString(r.SpanId) }
func (r received) parent() string { return hex.EncodeToString(r.ParentSpanId) }
func (r received) trace() string  { return hex.EncodeToString(r.TraceId) }

func (r received) attribute(key string) string {
	for _, a := range r.Attributes {
		if a.Key == key {
			return a.Value.GetStringValue()
		}
	}
	return ""
}

func receive(t *testing.T) *receiver {
	r := &receiver{t: t}
	r.Server = httptest.NewServer(http.HandlerFunc(r.take))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) take(w http.ResponseWriter, req *http.Request) {
	body := io.Reader(req.Body)
	if req.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			r.t.Error(err)
			return
		}
		body = z
	}
	b, err := io.ReadAll(body)
	var sent collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(b, &sent)
	}
	if err != nil || req.URL.Path != "/v1/traces" {
		r.t.Errorf("%s: %v", req.URL.Path, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.raw.Write(b)
	for _, rs := range sent.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				r.spans = append(r.spans, received{s, rs.Resource.Attributes[0].Value.GetStringValue()})
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// find waits for the span of a name, and of an id where one is given.
func (r *receiver) find(name string, fits func(received) bool) received {
	r.t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		r.mu.Lock()
		spans := slices.Clone(r.spans)
		r.mu.Unlock()
		if i := slices.IndexFunc(spans, func(s received) bool { return s.Name == name && fits(s) }); i >= 0 {
			return spans[i]
		}
		select {
		case <-deadline.C:
			r.t.Fatalf("no span %q came: %v", name, spans)
		case <-tick.C:
		}
	}
}

// client is what a station's own program speaks HTTP with.
func (e *enrolled) client(t *testing.T) *http.Client {
	t.Helper()
	conf, err := e.got.TLS(e.key)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{TLSClientConfig: conf}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: time.Minute}
}

func (e *enrolled) ask(t *testing.T, p *process, method, path string, body []byte, header ...string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, p.url+"/r1/AZ-TEST/GOV/10001/kiosk/intake"+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Road-Client", "AZ-TEST/GOV/10001/KIOSK-001")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := e.client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body) // only the status counts
	return resp.StatusCode
}

// report is what a kiosk tells of one request's life.
func report(trace string, spans map[string][2]string) []byte {
	start := time.Now().Add(-time.Second).UTC()
	r := health.Report{
		Version: health.Version, At: start, Boot: "1", Seq: 1, Firmware: "1.4.0", Catalogue: "7",
		Queue: health.Queue{Depth: 4, Parked: 1, Bytes: 64, Bound: 256, OldestS: map[string]int64{"waiting": 61, "of my own": 5, "of mine": 9}, Delivered: 7, Duplicates: 2, CommitP50MS: 1.5, CommitP99MS: 250},
		Paper: health.Paper{State: "low"}, Parts: []health.Part{{Name: "printer", State: "degraded"}, {Name: "card", State: "online"}},
	}
	for name, ids := range spans {
		r.Spans = append(r.Spans, health.Span{Trace: trace, ID: ids[0], Parent: ids[1], Name: name, Start: start, End: start.Add(20 * time.Millisecond)})
	}
	b, _ := json.Marshal(r) // of our own making
	return b
}

// TestOneTraceFromConfirmToReceipt sends a request as a kiosk does, and the spans of
// its life with the next report.
func TestOneTraceFromConfirmToReceipt(t *testing.T) {
	out := receive(t)
	p := start(t, t.TempDir(), "--otlp", out.URL)
	defer p.kill()
	e := enrol(t, p)
	const (
		trace                       = "4bf92f3577b34da6a3ce929d0e0e4736"
		confirm, seal, store        = "00f067aa0ba902b7", "00f067aa0ba902b8", "00f067aa0ba902b9"
		deliver, printing, unsought = "00f067aa0ba902ba", "00f067aa0ba902bb", "00f067aa0ba902bc"
	)
	s := e.newRequest(t)
	person := agency.Population()[0]
	path := "/v1/submissions/" + string(s.id)
	if got := e.ask(t, p, http.MethodPut, path, s.body, "Traceparent", "00-"+trace+"-"+deliver+"-01", "X-Road-Issue", person.FIN, "X-Road-Userid", "AZ"+person.FIN); got != http.StatusCreated {
		t.Fatalf("submit: %d", got)
	}
	if got := e.ask(t, p, http.MethodGet, path+"?wait=20", nil, "Traceparent", "00-"+trace+"-"+unsought+"-00"); got != http.StatusOK {
		t.Fatalf("outcome: %d", got)
	}
	question, _ := json.Marshal(map[string]string{"fin": person.FIN})
	e.ask(t, p, http.MethodPost, "/v1/lookups/employment.contract.by_fin", question)
	told := report(trace, map[string][2]string{
		"confirm": {confirm, ""}, "seal": {seal, confirm}, "store": {store, confirm}, "deliver": {deliver, confirm}, "print": {printing, confirm},
		person.Surname: {unsought, confirm}, // a name is no step
	})
	if got := e.ask(t, p, http.MethodPost, "/v1/telemetry", told); got != http.StatusOK {
		t.Fatalf("telemetry: %d", got)
	}
	inTrace := func(s received) bool { return s.trace() == trace }
	call := out.find("submit", inTrace)
	for _, want := range []struct {
		name, id, parent, service string
	}{
		{"confirm", confirm, "", "kosk-kiosk"},
		{"seal", seal, confirm, "kosk-kiosk"},
		{"store", store, confirm, "kosk-kiosk"},
		{"deliver", deliver, confirm, "kosk-kiosk"},
		{"print", printing, confirm, "kosk-kiosk"},
		{"step", unsought, confirm, "kosk-kiosk"},
		{"submit", call.id(), deliver, "kosk-bus"},
		{"receipt", "", call.id(), "kosk-bus"},
		{"work", "", call.id(), "kosk-bus"},
		{"ledger append", "", call.id(), "kosk-bus"},
		{"ledger append", "", out.find("work", inTrace).id(), "kosk-bus"},
	} {
		got := out.find(want.name, func(s received) bool { return inTrace(s) && s.parent() == want.parent })
		if want.id != "" && got.id() != want.id || got.service != want.service {
			t.Errorf("%s: id %s of %s, want %s of %s", want.name, got.id(), got.service, want.id, want.service)
		}
		if got.service == "kosk-bus" && got.attribute("kosk.submission") != string(s.id) {
			t.Errorf("%s: submission %q", want.name, got.attribute("kosk.submission"))
		}
		if got.EndTimeUnixNano < got.StartTimeUnixNano || got.Status.GetCode() == otlp.Status_STATUS_CODE_ERROR {
			t.Errorf("%s: from %d to %d, %v", want.name, got.StartTimeUnixNano, got.EndTimeUnixNano, got.Status)
		}
	}
	if call.attribute("kosk.answer") != "created" || call.attribute("kosk.station") != "KIOSK-001" || call.Kind != otlp.Span_SPAN_KIND_SERVER {
		t.Errorf("submit: %v", call)
	}
	lookup := out.find("lookup employment.contract.by_fin", func(received) bool { return true })
	if lookup.trace() == trace || lookup.parent() != "" {
		t.Errorf("a call without a traceparent is in trace %s", lookup.trace())
	}
	out.mu.Lock()
	defer out.mu.Unlock()
	if slices.ContainsFunc(out.spans, func(s received) bool { return s.Name == "standing" && s.trace() == trace }) {
		t.Error("a call that its kiosk did not sample was sent")
	}
	for _, secret := range []string{person.FIN, person.Surname, person.GivenNames, person.DocumentNumber} {
		if bytes.Contains(out.raw.Bytes(), []byte(secret)) {
			t.Errorf("the traces hold %q", secret)
		}
	}
}

var address = regexp.MustCompile(`"msg":"serving (console|metrics)","address":"([^"]+)"`)

// addresses reads from its log where a bus serves page and figures.
func (p *process) addresses() map[string]string {
	p.t.Helper()
	found := map[string]string{}
	deadline := time.Now().Add(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for len(found) < 2 && time.Now().Before(deadline) {
		<-tick.C
		b, err := os.ReadFile(filepath.Join(p.dir, "bus.log"))
		if err != nil {
			p.t.Fatal(err)
		}
		for _, m := range address.FindAllStringSubmatch(string(b), -1) {
			found[m[1]] = m[2]
		}
	}
	return found
}

func TestMetricsAndConsoleOfAServingBus(t *testing.T) {
	p := start(t, t.TempDir(), "--console", "127.0.0.1:0", "--metrics", "127.0.0.1:0")
	defer p.kill()
	e := enrol(t, p)
	s := e.newRequest(t)
	path := "/v1/submissions/" + string(s.id)
	for _, want := range []int{http.StatusCreated, http.StatusOK} {
		if got := e.ask(t, p, http.MethodPut, path, s.body); got != want {
			t.Fatalf("submit: %d, want %d", got, want)
		}
	}
	e.ask(t, p, http.MethodPut, "/v1/submissions/"+string(e.newRequest(t).id), []byte("no envelope"))
	e.ask(t, p, http.MethodGet, path+"?wait=20", nil)
	e.ask(t, p, http.MethodPost, "/v1/telemetry", report("", nil))
	at := p.addresses()

	resp, err := http.Get("http://" + at["metrics"] + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for name, f := range families {
		for _, m := range f.Metric {
			key := name
			for _, l := range m.Label {
				key += " " + l.GetName() + "=" + l.GetValue()
			}
			got[key] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	for key, want := range map[string]float64{
		"kosk_bus_submissions_total class=created": 1, "kosk_bus_submissions_total class=ok": 1, "kosk_bus_submissions_total class=bad_envelope": 1,
		"kosk_bus_call_seconds call=submit": 3, "kosk_bus_ledger_append_seconds result=created": 2, "kosk_bus_submissions_in_flight": 0,
		"kosk_bus_work state=waiting": 0, "kosk_bus_work state=working": 0, "kosk_bus_ledger_submissions": 1, "kosk_bus_ledger_decisions": 1,
		"kosk_bus_enrolments_total call=est.simpleenroll class=ok": 1, "kosk_bus_stations": 1, "kosk_bus_kiosks_without_gauges": 0,
		"kosk_kiosk_queue_depth station=KIOSK-001": 4, "kosk_kiosk_queue_parked station=KIOSK-001": 1, "kosk_kiosk_queue_used_ratio station=KIOSK-001": .25,
		"kosk_kiosk_queue_delivered_total station=KIOSK-001": 7, "kosk_kiosk_queue_duplicates_total station=KIOSK-001": 2,
		"kosk_kiosk_queue_commit_seconds quantile=0.5 station=KIOSK-001": .0015, "kosk_kiosk_queue_commit_seconds quantile=0.99 station=KIOSK-001": .25,
		"kosk_kiosk_queue_oldest_seconds class=waiting station=KIOSK-001": 61, "kosk_kiosk_queue_oldest_seconds class=other station=KIOSK-001": 9,
		"kosk_kiosk_paper_state state=low station=KIOSK-001": 1, "kosk_kiosk_parts_not_online station=KIOSK-001": 1,
	} {
		if v, ok := got[key]; !ok || v != want {
			t.Errorf("%s is %v (there: %v), want %v", key, v, ok, want)
		}
	}
	for _, key := range []string{"kosk_bus_message_log_seq", "process_resident_memory_bytes", "go_goroutines"} {
		if got[key] < 1 {
			t.Errorf("%s is %v", key, got[key])
		}
	}
	person := agency.Population()[0]
	for _, secret := range []string{person.FIN, person.Surname, string(s.id)} {
		if strings.Contains(string(text), secret) {
			t.Errorf("the figures hold %q", secret)
		}
	}
	p.seeConsole(at["console"], e)
}

// seeConsole opens the login page with nothing but the bus's CA.
func (p *process) seeConsole(address string, e *enrolled) {
	p.t.Helper()
	conf, err := e.got.TLS(e.key)
	if err != nil {
		p.t.Fatal(err)
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: conf.RootCAs, MinVersion: tls.VersionTLS13}}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr, Timeout: time.Minute}
	resp, err := client.Get("https://" + address + "/")
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || !bytes.Contains(body, []byte("<h1>Sign in</h1>")) {
		p.t.Errorf("login page: %v %s", err, body)
	}
}
