package server

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kosk/cmd/bus/agency"
	"kosk/cmd/bus/msglog"
	"kosk/cmd/bus/registry"
	"kosk/cmd/bus/stats"
	"kosk/device/catalogue"
	"kosk/device/health"
	"kosk/device/request"
	"kosk/device/seal"
)

const subsystem = "/r1/AZ-TEST/GOV/10001/kiosk"

func (k *kiosk) meta(t *testing.T, path, ref string, into any) {
	t.Helper()
	resp, v := k.ask(http.MethodGet, path, nil)
	if resp.StatusCode != http.StatusOK || resp.Header.Get("X-Road-Error") != "" {
		t.Fatalf("%s: %s %v", path, resp.Status, v)
	}
	if err := describe(t).valid("/components/schemas/"+ref, v); err != nil {
		t.Errorf("%s: %v", path, err)
	}
	decodeInto(t, v, into)
}

func TestListClients(t *testing.T) {
	k := open(t, t.TempDir()).station("KIOSK-001")
	var got clientList
	k.meta(t, "/listClients", "Clients", &got)
	want := []identifier{
		{"MEMBER", "AZ-TEST", "GOV", "10001", "", ""},
		{"SUBSYSTEM", "AZ-TEST", "GOV", "10001", "kiosk", ""},
		{"SUBSYSTEM", "AZ-TEST", "GOV", "10001", "KIOSK-001", ""},
		{"SUBSYSTEM", "AZ-TEST", "GOV", "mlspp", "services", ""},
	}
	for _, w := range want {
		found := false
		for _, m := range got.Member {
			found = found || m.ID == w && m.Name != ""
		}
		if !found {
			t.Errorf("%+v is not listed", w)
		}
	}
	resp, v := k.ask(http.MethodGet, "/listClients?xRoadInstance=FI", nil)
	wantXRoad(t, resp, v, "client.bad_request")
}

func TestMethods(t *testing.T) {
	k := open(t, t.TempDir()).station("KIOSK-001")
	var all, allowed, theirs methodList
	k.meta(t, subsystem+"/listMethods", "Methods", &all)
	k.meta(t, subsystem+"/allowedMethods", "Methods", &allowed)
	if len(all.Service) != 1 || all.Service[0].Service != "intake" || all.Service[0].ServiceType != "OPENAPI" || !cmp.Equal(all.Service[0].Endpoints, Endpoints()) {
		t.Errorf("listMethods: %+v", all)
	}
	if !reflect.DeepEqual(all, allowed) {
		t.Errorf("everything is allowed at first: %+v, and not %+v", allowed, all)
	}
	allowed = methodList{}
	if _, err := k.Registry.Change(func(d *registry.Directory) error {
		d.Rights = []registry.Right{{Client: "GOV/10001/KIOSK-001", Service: "GOV/10001/kiosk/intake", Method: "GET", Path: "/v1/time"}}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	k.meta(t, subsystem+"/allowedMethods", "Methods", &allowed)
	if want := []registry.Endpoint{{Method: "GET", Path: "/v1/time"}}; len(allowed.Service) != 1 || !cmp.Equal(allowed.Service[0].Endpoints, want) {
		t.Errorf("allowedMethods: %+v", allowed)
	}
	k.meta(t, "/r1/AZ-TEST/GOV/mlspp/services/listMethods", "Methods", &theirs)
	if len(theirs.Service) == 0 || theirs.Service[0].ServiceType != "REST" {
		t.Errorf("an agency's: %+v", theirs)
	}
	for path, typ := range map[string]string{
		"/r1/AZ-TEST/GOV/10001/nobody/listMethods":                     "server.serverproxy.unknown_member",
		subsystem + "/listMethods/more":                                "server.serverproxy.unknown_service",
		"/r1/AZ-TEST/GOV/mlspp/services/employment.contract.by-fin/v1": "server.serverproxy.service_disabled",
		"/r1/AZ-TEST/GOV/mlspp/services/no.such/v1":                    "server.serverproxy.unknown_service",
	} {
		resp, v := k.ask(http.MethodGet, path, nil)
		wantXRoad(t, resp, v, typ)
	}
}

func TestGetOpenAPI(t *testing.T) {
	k := open(t, t.TempDir()).station("KIOSK-001")
	resp, err := k.try(http.MethodGet, subsystem+"/getOpenAPI?serviceCode=intake", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got bytes.Buffer
	if _, err := got.ReadFrom(resp.Body); err != nil || !bytes.Equal(got.Bytes(), OpenAPI()) {
		t.Errorf("%s: another document, %v", resp.Status, err)
	}
	for query, typ := range map[string]string{
		"": "client.bad_request", "?serviceCode=none": "server.serverproxy.unknown_service",
	} {
		resp, v := k.ask(http.MethodGet, subsystem+"/getOpenAPI"+query, nil)
		wantXRoad(t, resp, v, typ)
	}
}

func TestRightsAreTakenBackAtOnce(t *testing.T) {
	b := open(t, t.TempDir())
	one, two := b.station("KIOSK-001"), b.station("KIOSK-002")
	if _, err := b.Registry.Change(func(d *registry.Directory) error {
		d.Rights = []registry.Right{
			{Client: "GOV/10001/*", Service: "GOV/10001/kiosk/intake", Method: "*", Path: "/v1/time"},
			{Client: "GOV/10001/KIOSK-002", Service: "GOV/10001/kiosk/intake", Method: "POST", Path: "/v1/lookups/device.status"},
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	question := []byte(`{"imei":"357805023984942"}`)
	resp, v := one.ask(http.MethodPost, base+"/v1/lookups/device.status", question)
	wantXRoad(t, resp, v, "server.serverproxy.access_denied")
	d := draftOf(one, 0)
	resp, v = one.ask(http.MethodPut, path(d), one.seal(d))
	wantXRoad(t, resp, v, "server.serverproxy.access_denied")
	if resp, v := two.ask(http.MethodPost, base+"/v1/lookups/device.status", question); resp.StatusCode != http.StatusOK {
		t.Errorf("who has the right: %s %v", resp.Status, v)
	}
	resp, v = two.ask(http.MethodPost, base+"/v1/lookups/device%2Estatus", question)
	wantXRoad(t, resp, v, "server.serverproxy.access_denied")
	if resp, v := one.ask(http.MethodGet, base+"/v1/time", nil); resp.StatusCode != http.StatusOK {
		t.Errorf("time: %s %v", resp.Status, v)
	}
}

func TestStatusOfMany(t *testing.T) {
	b := open(t, t.TempDir())
	k, other := b.station("KIOSK-001"), b.station("KIOSK-002")
	var sent []request.Draft
	for range 3 {
		d := draftOf(k, 0)
		sent = append(sent, d)
		k.ask(http.MethodPut, path(d), k.seal(d))
		k.ask(http.MethodGet, path(d)+"?wait=20", nil)
	}
	b.decides(3) // who waits for one hears of it before the list has it
	var all, rest changeList
	resp, v := k.ask(http.MethodGet, base+"/v1/submissions?since=0", nil)
	decodeInto(t, v, &all)
	if len(all.Submissions) != 3 || all.Submissions[2].ID != string(sent[2].ID) || all.Submissions[2].State != "done" || all.More {
		t.Fatalf("%s %+v", resp.Status, all)
	}
	tag := resp.Header.Get("ETag")
	_, v = k.ask(http.MethodGet, base+"/v1/submissions?since="+numeral(all.Submissions[0].Seq), nil)
	if decodeInto(t, v, &rest); len(rest.Submissions) != 2 {
		t.Errorf("since the first: %+v", rest)
	}
	_, v = other.ask(http.MethodGet, base+"/v1/submissions", nil)
	if decodeInto(t, v, &rest); len(rest.Submissions) != 0 {
		t.Errorf("another station sees %+v", rest)
	}
	if resp, _ := k.ask(http.MethodGet, base+"/v1/submissions?wait=1", nil, "If-None-Match", tag); resp.StatusCode != http.StatusNotModified {
		t.Errorf("nothing new: %s", resp.Status)
	}
	answered := make(chan changeList, 1)
	go func() {
		_, v := k.ask(http.MethodGet, base+"/v1/submissions?wait=20&since="+numeral(all.Next), nil)
		var got changeList
		decodeInto(t, v, &got)
		answered <- got
	}()
	d := draftOf(k, 1)
	k.ask(http.MethodPut, path(d), k.seal(d))
	if got := <-answered; len(got.Submissions) != 1 || got.Submissions[0].ID != string(d.ID) {
		t.Errorf("long poll: %+v", got)
	}
	if resp, _ := k.ask(http.MethodGet, base+"/v1/submissions?since=x", nil); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("no number: %s", resp.Status)
	}
}

func numeral(n uint64) string { return strings.Trim(seqTag(n), `"`) }

func TestStatusOfManyAfterARestart(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	k := b.station("KIOSK-001")
	d := draftOf(k, 2) // no contract: refused
	k.ask(http.MethodPut, path(d), k.seal(d))
	k.ask(http.MethodGet, path(d)+"?wait=20", nil)
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	again := open(t, dir)
	k.bench = again
	var all changeList
	_, v := k.ask(http.MethodGet, base+"/v1/submissions", nil)
	if decodeInto(t, v, &all); len(all.Submissions) != 1 || all.Submissions[0].State != "refused" || all.Submissions[0].Reason != "no_contract" {
		t.Errorf("%+v", all)
	}
}

// unseal opens what the bus sealed, with the key that it tells.
func unseal(t *testing.T, k *kiosk, kind string, v map[string]any, into any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := seal.Open(kind, b, &k.Registry.Keys().Receipt.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	ref := map[string]string{catalogue.KindManifest: "Manifest", catalogue.KindDelta: "Delta"}[kind]
	var generic any
	if err := json.Unmarshal(payload, &generic); err != nil {
		t.Fatal(err)
	}
	if err := describe(t).valid("/components/schemas/"+ref, generic); err != nil {
		t.Error(err)
	}
	if err := json.Unmarshal(payload, into); err != nil {
		t.Fatal(err)
	}
}

const smallCatalogue = `version = "2026.12"
[[agency]]
id = "mcht"
[agency.name]
az = "a"
ru = "b"
en = "c"
`

func TestCatalogueAndItsDifferences(t *testing.T) {
	dir := t.TempDir()
	k := open(t, dir).station("KIOSK-001")
	resp, v := k.ask(http.MethodGet, base+"/v1/catalogue", nil)
	var first, second catalogue.Manifest
	unseal(t, k, catalogue.KindManifest, v, &first)
	if first.Version != 1 || len(first.Services) < 2 || first.Catalogue == "" {
		t.Fatalf("%+v", first)
	}
	tag := resp.Header.Get("ETag")
	if resp, _ := k.ask(http.MethodGet, base+"/v1/catalogue", nil, "If-None-Match", `"x", `+tag); resp.StatusCode != http.StatusNotModified {
		t.Errorf("known: %s", resp.Status)
	}
	if err := os.WriteFile(filepath.Join(dir, CatalogueFile), []byte(smallCatalogue), 0o600); err != nil {
		t.Fatal(err)
	}
	resp, v = k.ask(http.MethodGet, base+"/v1/catalogue", nil, "If-None-Match", tag)
	unseal(t, k, catalogue.KindManifest, v, &second)
	if second.Version != 2 || len(second.Services) != 0 || resp.Header.Get("ETag") == tag {
		t.Fatalf("%+v", second)
	}
	var d catalogue.Delta
	_, v = k.ask(http.MethodGet, base+"/v1/catalogue/delta?from=1", nil)
	unseal(t, k, catalogue.KindDelta, v, &d)
	if d.From != 1 || d.To != 2 || len(d.Removed.Services) != len(first.Services) || len(d.Set.Agencies) != 1 || len(d.Order.Agencies) != 1 {
		t.Errorf("%+v", d)
	}
	for from, want := range map[string]int{"9": http.StatusNotFound, "": http.StatusBadRequest, "x": http.StatusBadRequest} {
		if resp, _ := k.ask(http.MethodGet, base+"/v1/catalogue/delta?from="+from, nil); resp.StatusCode != want {
			t.Errorf("from %q: %s", from, resp.Status)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, CatalogueFile), []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, v = k.ask(http.MethodGet, base+"/v1/catalogue", nil)
	if unseal(t, k, catalogue.KindManifest, v, &second); second.Version != 2 {
		t.Errorf("a broken file gives version %d", second.Version)
	}
}

// A kiosk that applies a difference has what it would have got whole; and what
// isn't newer is not published.
func TestADifferenceLeadsToTheWhole(t *testing.T) {
	dir := t.TempDir()
	k := open(t, dir).station("KIOSK-001")
	key := k.Registry.Keys().Receipt
	_, v := k.ask(http.MethodGet, base+"/v1/catalogue", nil)
	first, err := catalogue.OpenManifest(rejoined(t, v), &key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := SetCatalogue(dir, []byte(smallCatalogue), key); err != nil || m.Version != 2 {
		t.Fatalf("%+v, %v", m, err)
	}
	_, v = k.ask(http.MethodGet, base+"/v1/catalogue", nil)
	whole := rejoined(t, v)
	resp, v := k.ask(http.MethodGet, base+"/v1/catalogue/delta?from=1", nil)
	got, m, err := catalogue.Apply(first, rejoined(t, v), &key.PublicKey)
	if err != nil || !bytes.Equal(got, whole) || m.Version != 2 {
		t.Fatalf("%v\n%s\n%s", err, got, whole)
	}
	if resp, _ := k.ask(http.MethodGet, base+"/v1/catalogue/delta?from=1", nil, "If-None-Match", resp.Header.Get("ETag")); resp.StatusCode != http.StatusNotModified {
		t.Errorf("the difference again: %s", resp.Status)
	}
	for what, doc := range map[string]string{
		"other words under the same version": strings.Replace(smallCatalogue, `"c"`, `"d"`, 1),
		"an older version":                   strings.Replace(smallCatalogue, "2026.12", "2026.11.9", 1),
	} {
		if _, err := SetCatalogue(dir, []byte(doc), key); !errors.Is(err, catalogue.ErrRollback) {
			t.Errorf("%s: %v", what, err)
		}
		if err := os.WriteFile(filepath.Join(dir, CatalogueFile), []byte(doc), 0o600); err != nil { // not by the command
			t.Fatal(err)
		}
		if _, v = k.ask(http.MethodGet, base+"/v1/catalogue", nil); !bytes.Equal(rejoined(t, v), whole) {
			t.Errorf("%s was published", what)
		}
	}
	if n := strings.Count(k.log.String(), "catalogue not taken"); n != 2 {
		t.Errorf("said %d times, want once each", n)
	}
	if err := k.stop(); err != nil {
		t.Fatal(err)
	}
	k.bench = open(t, dir) // what lies there is refused still, and keeps nobody from starting
	if _, v = k.ask(http.MethodGet, base+"/v1/catalogue", nil); !bytes.Equal(rejoined(t, v), whole) {
		t.Error("after a restart there is another one")
	}
}

// rejoined are the bytes that ask has parsed.
func rejoined(t *testing.T, v map[string]any) []byte {
	t.Helper()
	var sealed struct {
		Payload   string `json:"payload"`
		Protected string `json:"protected"`
		Signature string `json:"signature"`
	}
	decodeInto(t, v, &sealed)
	b, err := json.Marshal(sealed)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A bus that published before there were formats publishes the same file anew.
func TestAManifestOfBeforeThereWereFormats(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"catalogue/1.json": `{"version":1,"issued":"2026-11-22T06:00:00Z","catalogue_version":"2026.12","agencies":[],"services":[]}`,
		CatalogueFile:      smallCatalogue,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	st, err := open(t, dir).Status()
	if err != nil || st.Catalogue != (Published{Version: 2, Catalogue: "2026.12"}) {
		t.Errorf("%+v, %v", st.Catalogue, err)
	}
}

// The catalogue is a right like every other.
func TestWhoMayNotTakeTheCatalogueGetsNone(t *testing.T) {
	b := open(t, t.TempDir())
	k, other := b.station("KIOSK-001"), b.station("KIOSK-002")
	_, err := b.Registry.Change(func(d *registry.Directory) error {
		d.Rights = []registry.Right{{Client: "GOV/10001/KIOSK-001", Service: "GOV/10001/kiosk/intake", Method: "GET", Path: "/v1/catalogue/**"}}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/v1/catalogue", "/v1/catalogue/delta?from=1"} {
		if resp, _ := k.ask(http.MethodGet, base+path, nil); resp.StatusCode != http.StatusOK {
			t.Errorf("%s with the right: %s", path, resp.Status)
		}
		if resp, _ := other.ask(http.MethodGet, base+path, nil); resp.Header.Get("X-Road-Error") != "server.serverproxy.access_denied" {
			t.Errorf("%s without it: %s", path, resp.Status)
		}
	}
}

func TestTheListOfRevocations(t *testing.T) {
	k := open(t, t.TempDir()).station("KIOSK-001")
	read := func(v map[string]any) request.Revocations {
		t.Helper()
		list, err := request.VerifyRevocations(unbase64(t, v["list"]), &k.Registry.Keys().Receipt.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	resp, v := k.ask(http.MethodGet, base+"/v1/revocations", nil)
	tag := resp.Header.Get("ETag")
	if list := read(v); list.Len() != 0 || list.Revoked("12345678903") || tag == "" {
		t.Errorf("%+v, tag %s", list, tag)
	}
	if resp, _ := k.ask(http.MethodGet, base+"/v1/revocations", nil, "If-None-Match", tag); resp.StatusCode != http.StatusNotModified {
		t.Errorf("again: %s", resp.Status)
	}
	if err := k.Registry.Revoke("12345678903", "issued in error", time.Now()); err != nil {
		t.Fatal(err)
	}
	_, v = k.ask(http.MethodGet, base+"/v1/revocations", nil, "If-None-Match", tag)
	if list := read(v); list.Seq != 1 || !list.Revoked("12345678903") || list.Revoked("2") {
		t.Errorf("%+v", list)
	}
	later, err := k.Registry.RevocationList(time.Now().Add(25 * time.Hour))
	if err != nil || later.Seq != 1 || time.Until(later.NextUpdate) < 7*24*time.Hour {
		t.Errorf("a day later: %+v, %v", later, err)
	}
}

func report() health.Report {
	return health.Report{
		Version: health.Version, At: time.Now().UTC(), Boot: "b1", Seq: 1, Firmware: "1.0.0",
		Parts: []health.Part{{Name: "printer", State: "online"}}, Faults: []health.Fault{{Kind: "fault.no_paper", Count: 2}},
		Spans: []health.Span{{Trace: strings.Repeat("a", 32), ID: strings.Repeat("b", 16), Name: "seal", Start: time.Now(), End: time.Now()}},
	}
}

func TestTelemetry(t *testing.T) {
	dir := t.TempDir()
	told := make(chan Telling, 1)
	b := open(t, dir, func(c *Config) { c.Told = func(one Telling) { told <- one } })
	k := b.station("KIOSK-001")
	send := func(r health.Report) *http.Response {
		body, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		resp, _ := k.ask(http.MethodPost, base+"/v1/telemetry", body)
		return resp
	}
	if resp := send(report()); resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	if one := <-told; one.Station != "KIOSK-001" || one.Report.Parts[0].Name != "printer" {
		t.Errorf("%+v", one)
	}
	for name, change := range map[string]func(*health.Report){
		"of another version":            func(r *health.Report) { r.Version = 2 },
		"without a time":                func(r *health.Report) { r.At = time.Time{} },
		"with a long text":              func(r *health.Report) { r.Parts[0].Cause = strings.Repeat("x", 257) },
		"with a bad trace":              func(r *health.Report) { r.Spans[0].Trace = "x" },
		"with less than nothing queued": func(r *health.Report) { r.Queue.Depth = -1 },
		"with commits that end early":   func(r *health.Report) { r.Queue.CommitP99MS = -1 },
	} {
		r := report()
		if change(&r); send(r).StatusCode != http.StatusBadRequest {
			t.Errorf("a report %s is taken", name)
		}
	}
	if b.LastSeen("KIOSK-001").IsZero() || !b.LastSeen("KIOSK-002").IsZero() {
		t.Error("last seen")
	}
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	if all := open(t, dir).Tellings(); len(all) != 1 || all[0].Report.Firmware != "1.0.0" {
		t.Errorf("after a restart: %+v", all)
	}
}

func TestPacing(t *testing.T) {
	k := open(t, t.TempDir(), func(c *Config) { c.Rate = 0.01 }).station("KIOSK-001") // so slow that no machine is slower
	codes := map[int]int{}
	for range 4 {
		d := draftOf(k, 0)
		resp, v := k.ask(http.MethodPut, path(d), k.seal(d))
		codes[resp.StatusCode]++
		if resp.Header.Get(headerRate) != "0.01" || resp.Header.Get(headerFirstContact) != "30" {
			t.Errorf("hints %q, %q", resp.Header.Get(headerRate), resp.Header.Get(headerFirstContact))
		}
		if resp.StatusCode == http.StatusTooManyRequests && (resp.Header.Get("Retry-After") != "100" || v["reason"] != reasonBusy) {
			t.Errorf("too many: %v %v", resp.Header, v)
		}
	}
	if codes[http.StatusCreated] != 1 || codes[http.StatusTooManyRequests] != 3 {
		t.Errorf("%v", codes)
	}
}

func TestPaceIsShared(t *testing.T) {
	p := newPace(10)
	now := time.Now()
	for i := range 30 {
		after, ok := p.admit(string(rune('a'+i)), now)
		if i < 10 != ok || !ok && after < time.Second {
			t.Errorf("station %d: %v, %v", i, after, ok)
		}
	}
	if after, ok := p.admit("z", now); ok || after != 3*time.Second { // 30 stations at 10 a second
		t.Errorf("%v, %v", after, ok)
	}
	if _, ok := p.admit("z", now.Add(100*time.Millisecond)); !ok {
		t.Error("a tenth of a second later one more fits")
	}
	h := http.Header{}
	p.hint(h, 10_000, now.Add(time.Minute))
	if h.Get(headerRate) != "9.00" || h.Get(headerFirstContact) != "2000" {
		t.Errorf("%v", h)
	}
	if p.hint(h, 5, now.Add(time.Minute)); h.Get(headerFirstContact) != "30" {
		t.Errorf("%v", h)
	}
	none := http.Header{}
	if newPace(0).hint(none, 5, now); len(none) != 0 {
		t.Errorf("without a limit: %v", none)
	}
}

// Every message is in the log with its answer, the lost one too, and the log names
// nobody.
func TestMessagesAreLogged(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	k := b.station("KIOSK-001")
	d := draftOf(k, 0)
	k.ask(http.MethodPut, path(d), k.seal(d), "X-Road-Issue", string(d.ID))
	k.ask(http.MethodPost, base+"/v1/lookups/employment.contract.by_fin", []byte(`{"fin":"5ARPXK2"}`), "X-Road-Id", "Aygün, 5ARPXK2")
	if err := b.faults.add(Fault{Name: faultLostAnswer, Service: serviceCode, Times: 1}); err != nil {
		t.Fatal(err)
	}
	lost := draftOf(k, 1)
	if resp, err := k.try(http.MethodPut, path(lost), k.seal(lost)); err == nil {
		resp.Body.Close()
		t.Fatal("the answer was not lost")
	}
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	key := &k.Registry.Keys().Receipt.PublicKey
	folder := filepath.Join(dir, MessageFolder)
	r, err := msglog.Verify(folder, key, nil, nil)
	if err != nil || r.Unsigned != 0 || r.Entries < 3 {
		t.Fatalf("%+v, %v", r, err)
	}
	one, err := msglog.Find(folder, string(d.ID))
	if err != nil || one[0].Status != http.StatusCreated || one[0].LedgerSeq != 1 || one[0].UsedAgency != "mlspp" || one[0].Client != "GOV/10001/KIOSK-001" {
		t.Errorf("%+v, %v", one, err)
	}
	gone, err := msglog.Find(folder, string(lost.ID))
	if err != nil || gone[0].Status != 0 || gone[0].LedgerSeq == 0 {
		t.Errorf("%+v, %v", gone, err)
	}
	err = filepath.WalkDir(dir, func(f string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(f)
		if bytes.Contains(b, []byte("5ARPXK2")) || bytes.Contains(b, []byte("Aygün")) {
			t.Errorf("%s names the person", f)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestABusThatCannotLogDoesNothing(t *testing.T) {
	b := open(t, t.TempDir())
	k := b.station("KIOSK-001")
	b.end = msglog.ErrBroken
	if err := b.messages.Close(); err != nil {
		t.Fatal(err)
	}
	d := draftOf(k, 0)
	sealed := k.seal(d)
	resp, v := k.ask(http.MethodPut, path(d), sealed)
	wantXRoad(t, resp, v, "server.serverproxy.logging_failed")
	_ = b.stop() // it ends by itself; Cleanup looks at why
}

// Who looked at somebody's data is told to them, and to nobody without their FIN.
func TestWhoLookedAtMyData(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	k := b.station("KIOSK-001")
	ask := func(k *kiosk, fin string) (facts struct {
		Data     []request.Datum
		Accesses []access
	},
	) {
		t.Helper()
		resp, v := k.ask(http.MethodPost, base+"/v1/lookups/"+LookupAccessLog, []byte(`{"fin":"`+fin+`"}`))
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s %v", resp.Status, v)
		}
		decodeInto(t, v, &facts)
		return facts
	}
	k.ask(http.MethodPost, base+"/v1/lookups/employment.contract.by_fin", []byte(`{"fin":"5ARPXK2"}`))
	k.ask(http.MethodPost, base+"/v1/lookups/employment.contract.by_fin", []byte(`{"fin":"7HZ2W9C"}`)) // no contract
	d := draftOf(k, 0)
	k.ask(http.MethodPut, path(d), k.seal(d))
	got := ask(k, "5ARPXK2")
	if len(got.Accesses) != 2 || got.Accesses[0].Service != agency.WorkCertificate || got.Accesses[0].Client != "GOV/10001/KIOSK-001" || !got.Accesses[1].Done {
		t.Errorf("%+v", got)
	}
	if got := ask(k, "7HZ2W9C"); len(got.Accesses) != 1 || got.Accesses[0].Done {
		t.Errorf("in vain: %+v", got)
	}
	if got := ask(k, "1QK8M3T"); len(got.Accesses) != 0 || got.Data[0].Value != "0" {
		t.Errorf("nobody looked: %+v", got)
	}
	if resp, v := k.ask(http.MethodPost, base+"/v1/lookups/"+LookupAccessLog, []byte(`{"fin":"x"}`)); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("%s %v", resp.Status, v)
	}
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	k.bench = open(t, dir)
	if got := ask(k, "5ARPXK2"); len(got.Accesses) != 3 || got.Accesses[0].Service != LookupAccessLog {
		t.Errorf("after a restart, with the look of before: %+v", got)
	}
}

func TestUsesAreCountedOnce(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	k := b.station("KIOSK-001")
	d := draftOf(k, 0)
	sealed := k.seal(d)
	for range 3 {
		k.ask(http.MethodPut, path(d), sealed)
	}
	k.ask(http.MethodPost, base+"/v1/lookups/device.status", []byte(`{"imei":"357805023984942"}`))
	k.ask(http.MethodPost, base+"/v1/lookups/device.status", []byte(`{"imei":"1"}`))
	k.ask(http.MethodPost, base+"/v1/lookups/employment.contract.by_fin", []byte(`{"fin":"5ARPXK2"}`)) // fills a form in
	for range 2 {
		if err := b.stop(); err != nil {
			t.Fatal(err)
		}
		m, err := stats.Read(filepath.Join(dir, StatsFolder), stats.MonthOf(time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		tables := m.Tables()
		if tables.Uses != 2 || len(tables.Top) != 2 || tables.Top[0].ID != "imei_check" || tables.Top[1].ID != "workplace_cert" || tables.Top[1].Name != "İş yerinə dair arayış" {
			t.Errorf("%+v", tables)
		}
		b = open(t, dir) // the log is gone through again
	}
}

func TestFurtherFaults(t *testing.T) {
	b := open(t, t.TempDir())
	k := b.station("KIOSK-001")
	set := func(f Fault) {
		t.Helper()
		f.Times = 1
		if err := b.faults.add(f); err != nil {
			t.Fatal(err)
		}
	}
	asOf := func() time.Time {
		t.Helper()
		_, v := k.ask(http.MethodPost, base+"/v1/lookups/device.status", []byte(`{"imei":"357805023984942"}`))
		at, err := time.Parse(time.RFC3339, v["as_of"].(string))
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	set(Fault{Name: faultStale, Service: "device.status", Delay: 48 * time.Hour})
	if age := time.Since(asOf()); age < 47*time.Hour || age > 49*time.Hour {
		t.Errorf("stale by %v", age)
	}
	if age := time.Since(asOf()); age > time.Minute {
		t.Errorf("the fault goes on: %v", age)
	}
	d := draftOf(k, 0)
	set(Fault{Name: faultDuplicate, Service: serviceCode})
	set(Fault{Name: faultDuplicate, Service: agency.WorkCertificate})
	if resp, _ := k.ask(http.MethodPut, path(d), k.seal(d)); resp.StatusCode != http.StatusOK {
		t.Errorf("delivered twice: %s", resp.Status)
	}
	k.ask(http.MethodGet, path(d)+"?wait=20", nil)
	if st, err := b.Status(); err != nil || st.Accepted != 1 || st.Effects != 1 {
		t.Errorf("done twice: %+v, %v", st, err)
	}
	set(Fault{Name: faultStale, Service: serviceCode})
	if _, v := k.ask(http.MethodGet, path(d), nil); v["state"] != "accepted" {
		t.Errorf("stale standing: %v", v)
	}
	if _, v := k.ask(http.MethodGet, path(d), nil); v["state"] != "done" {
		t.Errorf("standing: %v", v)
	}
	set(Fault{Name: faultClockSkew, Delay: -time.Hour})
	_, v := k.ask(http.MethodGet, base+"/v1/time", nil)
	at, err := time.Parse(time.RFC3339, v["time"].(string))
	if behind := time.Since(at); err != nil || behind < 59*time.Minute || behind > 61*time.Minute {
		t.Errorf("clock is behind by %v, %v", behind, err)
	}
}

func TestReenrolment(t *testing.T) {
	b := open(t, t.TempDir())
	k := b.station("KIOSK-001")
	renew := func(c *http.Client, body string) (*http.Response, []byte) {
		t.Helper()
		req, err := http.NewRequest(http.MethodPost, b.url+"/.well-known/est/simplereenroll", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		return send(t, c, req)
	}
	key := newKey(t)
	resp, body := renew(k.client, csr(t, key))
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s", resp.Status, body)
	}
	cert := certsIn(t, body)[0]
	if cert.Subject.CommonName != "KIOSK-001" || cert.Subject.Organization[0] != "AZ-TEST/GOV/10001" {
		t.Errorf("subject %v", cert.Subject)
	}
	fresh := &kiosk{bench: b, name: k.name, key: key, client: b.httpClient(certificate(cert, key))}
	for name, with := range map[string]*kiosk{"old": k, "new": fresh} {
		d := draftOf(with, 0)
		if resp, v := with.ask(http.MethodPut, path(d), with.seal(d)); resp.StatusCode != http.StatusCreated {
			t.Errorf("%s certificate: %s %v", name, resp.Status, v)
		}
	}
	if resp, _ := renew(b.httpClient(), csr(t, key)); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a certificate: %s", resp.Status)
	}
	if resp, _ := renew(k.client, base64.StdEncoding.EncodeToString([]byte("no request"))); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("no request: %s", resp.Status)
	}
	if err := b.Registry.Remove("KIOSK-001", time.Now()); err != nil {
		t.Fatal(err)
	}
	if resp, _ := renew(k.client, csr(t, key)); resp.StatusCode != http.StatusForbidden {
		t.Errorf("after it was removed: %s", resp.Status)
	}
}

func FuzzReadReport(f *testing.F) {
	b, err := json.Marshal(report())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, reason := readReport(b)
		if reason == "" && (r.Version != health.Version || r.Seq == 0) {
			t.Errorf("%+v is taken", r)
		}
	})
}
