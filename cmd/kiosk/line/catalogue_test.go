package line

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kosk/cmd/bus/server"
	"kosk/device/catalogue"
	"kosk/device/health"
	"kosk/device/provision"
	"kosk/device/seal"
)

// A counter is a kiosk that offers things: at once, or, with somebody there, when
// they have left.
type counter struct {
	mu     sync.Mutex // guards all below
	busy   bool
	now    *catalogue.Catalogue
	coming *catalogue.Catalogue
}

func (c *counter) Vacant() bool { return true }

func (c *counter) Offer(o *catalogue.Catalogue) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.coming = o; !c.busy {
		c.now = o
	}
}

func (c *counter) leaves() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy, c.now = false, c.coming
}

func (c *counter) Offered() *catalogue.Catalogue {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// offering is a catalogue in TOML, with one service that anybody may use.
func offering(version, service string) string {
	const names = `{ az = "a", ru = "b", en = "c" }`
	return strings.NewReplacer("VERSION", version, "SERVICE", service, "NAMES", names).Replace(`version = "VERSION"
[[agency]]
id = "mcht"
name = NAMES
[[service]]
id = "SERVICE"
agency = "mcht"
level = "none"
lookup = "device.status"
register = NAMES
wait = 5
name = NAMES
[[service.fields]]
id = "imei"
type = "imei"
title = NAMES
label = NAMES
hint = NAMES
`)
}

// publish has the bus publish a catalogue.
func (w *world) publish(doc string) {
	w.t.Helper()
	if _, err := server.SetCatalogue(w.reg.Dir(), []byte(doc), w.reg.Keys().Receipt); err != nil {
		w.t.Fatal(err)
	}
}

// serve opens a line and a kiosk that offers what it says.
func (w *world) serve() (*Line, *counter) {
	w.t.Helper()
	l := w.open(nil)
	k := &counter{now: l.Catalogue()}
	l.kiosk = k
	return l, k
}

func (l *Line) part(t *testing.T, name string) health.Part {
	t.Helper()
	for _, p := range l.compose().Parts {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("no part %s", name)
	return health.Part{}
}

// look looks once, and says what came of it.
func look(t *testing.T, l *Line) error {
	t.Helper()
	_, err := l.lookCatalogue(t.Context())
	return err
}

// A new service comes over the line, without a new program: while a person is
// there nothing changes, and from the next one on it is offered, after a restart
// and without a line too. What is older is refused from then on.
func TestANewServiceComesOverTheLine(t *testing.T) {
	w := newWorld(t)
	w.enrol(time.Now())
	l, k := w.serve()
	own := k.Offered()
	if s := l.offered(); s != (health.Catalogue{Version: own.Version, From: "program"}) {
		t.Fatalf("at first: %+v", s)
	}
	if err := look(t, l); err != nil { // the bus has what we have
		t.Fatal(err)
	}
	if k.Offered().Version != own.Version || l.offered().Manifest != 1 {
		t.Errorf("%+v", l.offered())
	}
	k.busy = true
	w.publish(offering("2030.1", "brand_new"))
	for range 3 { // the second and third time nothing has changed
		if err := look(t, l); err != nil {
			t.Fatal(err)
		}
	}
	if s := l.offered(); s.Version != own.Version || s.Next != "2030.1" || s.Manifest != 2 || k.Offered().Service("brand_new") != nil {
		t.Errorf("with somebody there: %+v", s)
	}
	if !strings.HasPrefix(l.larder.path, "v1/catalogue/delta?from=") {
		t.Errorf("got by %s, want the difference", l.larder.path)
	}
	k.leaves()
	if s := l.offered(); s != (health.Catalogue{Version: "2030.1", From: "bus", Manifest: 2}) || k.Offered().Service("brand_new") == nil {
		t.Errorf("for the next one: %+v", s)
	}
	if r := l.compose(); r.Catalogue != "2030.1" || l.part(t, "catalogue").State != stateOnline {
		t.Errorf("told: %s, %+v", r.Catalogue, l.part(t, "catalogue"))
	}

	// The bus is brought back from an old copy of its disk: it publishes version 1.
	rm(t, filepath.Join(w.reg.Dir(), server.CatalogueFile), filepath.Join(w.reg.Dir(), "catalogue", "2.json"))
	for range 2 {
		if err := look(t, l); !errors.Is(err, catalogue.ErrRollback) || k.Offered().Version != "2030.1" {
			t.Errorf("rolled back: %v, offered %s", err, k.Offered().Version)
		}
	}
	p, s := l.part(t, "catalogue"), status(t, l)
	if p.State != stateDegraded || !strings.Contains(p.Cause, "version 1, "+own.Version) || s.Catalogue.Error != p.Cause || s.Catalogue.Version != "2030.1" {
		t.Errorf("told: %+v, %+v", p, s.Catalogue)
	}
	w.publish(offering("2030.1", "other"))
	if err := look(t, l); !errors.Is(err, catalogue.ErrManifest) || k.Offered().Service("brand_new") == nil {
		t.Errorf("other content under the same number: %v", err)
	}
	w.publish(offering("2030.2", "again"))
	if err := look(t, l); err != nil || k.Offered().Service("again") == nil || l.offered().Error != "" {
		t.Errorf("then a newer one: %v", err)
	}
	w.stop()
	if err := look(t, l); !lineTrouble(err) || l.part(t, "catalogue").State != stateOnline {
		t.Errorf("without a line: %v", err)
	}
	if c := reopened(t, w, l); c.Version != "2030.2" || c.Service("again") == nil {
		t.Errorf("after a restart: %s", c.Version)
	}
}

func rm(t *testing.T, paths ...string) {
	t.Helper()
	for _, p := range paths {
		if err := os.Remove(p); err != nil {
			t.Fatal(err)
		}
	}
}

func status(t *testing.T, l *Line) (s health.Status) {
	t.Helper()
	b, err := l.status(t.Context())
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// reopened is what the next start of a kiosk offers.
func reopened(t *testing.T, w *world, l *Line) *catalogue.Catalogue {
	t.Helper()
	other := *w
	other.dir = shortDir(t)
	if err := provision.Save(other.dir, l.Wallet.Station()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{catalogueName, acceptedName} {
		b, err := os.ReadFile(filepath.Join(w.dir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(other.dir, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return other.open(nil).Catalogue()
}

// answers is somebody with the bus's certificate who answers as a test says.
func (w *world) answers(answer http.HandlerFunc) string {
	w.t.Helper()
	cert, err := w.reg.Keys().Server(time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(answer)
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}}
	s.Config.ErrorLog = nil
	s.StartTLS()
	w.t.Cleanup(s.Close)
	return s.URL
}

// sealedText is a catalogue as the bus seals it.
func (w *world) sealedText(version uint64, doc string, key *ecdsa.PrivateKey, change ...func(*catalogue.Manifest)) []byte {
	w.t.Helper()
	c, err := catalogue.Parse(doc)
	if err != nil {
		w.t.Fatal(err)
	}
	m, err := c.Manifest()
	if err != nil {
		w.t.Fatal(err)
	}
	m.Version, m.Issued = version, time.Now().UTC().Truncate(time.Second)
	for _, do := range change {
		do(m)
	}
	b, err := m.Seal(key)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// What the bus didn't seal, what this program doesn't understand, and what doesn't
// come whole changes nothing: not in the kiosk, and not on its disk.
func TestABadCatalogueChangesNothing(t *testing.T) {
	w := newWorld(t)
	key := w.reg.Keys().Receipt
	good, next := w.sealedText(3, offering("2030.1", "good"), key), offering("2030.2", "next")
	var mu sync.Mutex
	body, cut := good, false
	w.url = w.answers(func(rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		rw.Header().Set("Content-Type", "application/json")
		rw.Header().Set("ETag", `"`+sumOf(body)+`"`)
		switch {
		case strings.HasSuffix(r.URL.Path, "/delta"):
			rw.WriteHeader(http.StatusNotFound)
			_, _ = rw.Write([]byte(`{"reason":"unknown_catalogue_version"}`))
		case r.Header.Get("If-None-Match") == `"`+sumOf(body)+`"`:
			rw.WriteHeader(http.StatusNotModified)
		case cut:
			_, _ = rw.Write(body[:len(body)/2])
			rw.(http.Flusher).Flush()
			panic(http.ErrAbortHandler) // the line is cut
		default:
			_, _ = rw.Write(body)
		}
	})
	w.enrol(time.Now())
	l, k := w.serve()
	if err := look(t, l); err != nil || k.Offered().Service("good") == nil {
		t.Fatal(err)
	}
	want := disk(t, w.dir)
	bent := bytes.Replace(w.sealedText(4, next, key), []byte("eyJ"), []byte("eyK"), 1)
	for _, tt := range []struct {
		what string
		body []byte
		cut  bool
		want error // nil: any
	}{
		{"tampered with", bent, false, seal.ErrSeal},
		{"a stranger's", w.sealedText(4, next, newKey(t)), false, seal.ErrSeal},
		{"cut off", w.sealedText(4, next, key), true, nil},
		{"no catalogue", []byte(`{"hello":1}`), false, seal.ErrSeal},
		{"nothing", nil, false, seal.ErrSeal},
		{"older", w.sealedText(2, next, key), false, catalogue.ErrRollback},
		{"older by its own version", w.sealedText(4, offering("2029.9", "next"), key), false, catalogue.ErrRollback},
		{"another under the same number", w.sealedText(3, next, key), false, catalogue.ErrManifest},
		{"of a newer format", w.sealedText(4, next, key, func(m *catalogue.Manifest) { m.Format++ }), false, catalogue.ErrNewer},
		{"with an unknown type of field", w.sealedText(4, next, key, func(m *catalogue.Manifest) {
			m.Services[0]["fields"].([]any)[0].(catalogue.Item)["type"] = "iban"
		}), false, catalogue.ErrNewer},
		{"too long", make([]byte, catalogue.MaxSealed+1), false, catalogue.ErrManifest},
	} {
		mu.Lock()
		body, cut = tt.body, tt.cut
		mu.Unlock()
		for range 2 { // the second time it is known, and still not taken
			err := look(t, l)
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("%s: %v, want %v", tt.what, err, tt.want)
			}
		}
		if k.Offered().Service("good") == nil || l.offered().Manifest != 3 {
			t.Fatalf("%s: is offered: %+v", tt.what, l.offered())
		}
		if p := l.part(t, "catalogue"); (p.State == stateDegraded) != (tt.want != nil) && !tt.cut {
			t.Errorf("%s: told as %+v", tt.what, p)
		}
		if got := disk(t, w.dir); !maps.Equal(got, want) {
			t.Errorf("%s: the disk has changed", tt.what)
		}
	}
	mu.Lock()
	body, cut = w.sealedText(4, next, key, func(m *catalogue.Manifest) { m.Services[0]["colour"] = "blue" }), false
	mu.Unlock()
	if err := look(t, l); err != nil || k.Offered().Service("next") == nil {
		t.Errorf("with a key more: %v", err)
	}
}

// disk is what of the catalogue lies in a folder.
func disk(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "catalogue") {
			b, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			all[e.Name()] = string(b)
		}
	}
	return all
}

// lay makes a folder hold that and nothing else of the catalogue.
func lay(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name := range disk(t, dir) {
		rm(t, filepath.Join(dir, name))
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// The power may go at any moment: before, the old one is offered, after, the new
// one, and the bus's next word is taken either way.
func TestAPowerCutLeavesAGoodCatalogue(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	key := w.reg.Keys().Receipt
	first, second := w.sealedText(1, offering("2030.1", "first"), key), w.sealedText(2, offering("2030.2", "second"), key)
	take := func(b []byte) {
		t.Helper()
		la, _, err := openLarder(dir, &key.PublicKey, quiet)
		if err == nil {
			_, _, err = la.take(b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	with := func(base map[string]string, name, text string) map[string]string {
		all := maps.Clone(base)
		all[name] = text
		return all
	}
	take(first)
	before := disk(t, dir)
	take(second)
	after := disk(t, dir)
	if len(after) != 2 {
		t.Fatalf("left: %v", slices.Collect(maps.Keys(after)))
	}
	renamed := with(before, catalogueName, string(second))
	for _, tt := range []struct {
		what  string
		files map[string]string
		want  string
	}{
		{"before", before, "first"},
		{"the file begun", with(before, "."+catalogueName+".new", ""), "first"},
		{"the file half written", with(before, "."+catalogueName+".new", string(second[:len(second)/2])), "first"},
		{"the file written", with(before, "."+catalogueName+".new", string(second)), "first"},
		{"the file in place", renamed, "second"},
		{"the memory begun", with(renamed, "."+acceptedName+".new", ""), "second"},
		{"the memory half written", with(renamed, "."+acceptedName+".new", after[acceptedName][:20]), "second"},
		{"the memory written", with(renamed, "."+acceptedName+".new", after[acceptedName]), "second"},
		{"after", after, "second"},
	} {
		lay(t, dir, tt.files)
		la, c, err := openLarder(dir, &key.PublicKey, quiet)
		if err != nil || c.Service(catalogue.ServiceID(tt.want)) == nil {
			t.Errorf("%s: %v, want %s", tt.what, err, tt.want)
			continue
		}
		if tt.want == "second" {
			if _, _, err := la.take(first); !errors.Is(err, catalogue.ErrRollback) {
				t.Errorf("%s: back again: %v", tt.what, err)
			}
		}
		if _, _, err := la.take(second); err != nil || la.floor.Version != 2 {
			t.Errorf("%s: not taken: %v", tt.what, err)
		}
	}
}

// What lies in the folder is believed no more than what comes over the line.
func TestAStoredCatalogueIsCheckedAnew(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	key := w.reg.Keys().Receipt
	first, second := w.sealedText(1, offering("2030.1", "first"), key), w.sealedText(2, offering("2030.2", "second"), key)
	la, c, err := openLarder(dir, &key.PublicKey, quiet)
	if err != nil || c != nil {
		t.Fatalf("an empty folder: %v", err)
	}
	if _, _, err := la.take(second); err != nil {
		t.Fatal(err)
	}
	good := disk(t, dir)
	damage := func(name string, do func(string) string) map[string]string {
		all := maps.Clone(good)
		all[name] = do(all[name])
		return all
	}
	half := func(s string) string { return s[:len(s)/2] }
	gone := maps.Clone(good)
	delete(gone, catalogueName)
	for _, tt := range []struct {
		what  string
		files map[string]string
		want  error
		still bool // it is offered
		back  bool // the first is taken from the line
	}{
		{"a damaged file", damage(catalogueName, half), seal.ErrSeal, false, false},
		{"a file with a byte changed", damage(catalogueName, func(s string) string { return strings.Replace(s, "eyJ", "eyK", 1) }), seal.ErrSeal, false, false},
		{"a file that was put back", damage(catalogueName, func(string) string { return string(first) }), catalogue.ErrRollback, false, false},
		{"no file any more", gone, fs.ErrNotExist, false, false},
		{"a damaged memory", damage(acceptedName, half), errStored, true, false},
		{"a memory without a version", damage(acceptedName, func(string) string { return "{}" }), errStored, true, false},
		{"both damaged", map[string]string{catalogueName: "x", acceptedName: "x"}, errStored, false, true},
		{"a huge file", damage(catalogueName, func(s string) string { return s + strings.Repeat(" ", catalogue.MaxSealed) }), errStored, false, false},
	} {
		lay(t, dir, tt.files)
		la, c, err := openLarder(dir, &key.PublicKey, quiet)
		if !errors.Is(err, errStored) || !errors.Is(err, tt.want) || (c != nil) != tt.still {
			t.Errorf("%s: %v, offered %v", tt.what, err, c != nil)
		}
		if _, _, err := la.take(first); errors.Is(err, catalogue.ErrRollback) == tt.back {
			t.Errorf("%s: the older one from the line: %v", tt.what, err)
		}
		if _, _, err := la.take(second); err != nil {
			t.Errorf("%s: the same from the line: %v", tt.what, err)
		}
		if !tt.back && !maps.Equal(disk(t, dir), good) {
			t.Errorf("%s: not mended by the bus", tt.what)
		}
	}

	// A kiosk that was enrolled at another bus begins anew, by that bus's count.
	lay(t, dir, good)
	stranger := newKey(t)
	la, c, err = openLarder(dir, &stranger.PublicKey, quiet)
	if err != nil || c != nil {
		t.Fatalf("another bus's: %v", err)
	}
	if _, _, err := la.take(second); !errors.Is(err, seal.ErrSeal) {
		t.Errorf("the former bus's: %v", err)
	}
	if c, _, err := la.take(w.sealedText(1, offering("2030.1", "theirs"), stranger)); err != nil || c.Service("theirs") == nil {
		t.Errorf("its first: %v", err)
	}
}

// A kiosk with a damaged catalogue offers the program's own, and says so until the
// bus has mended it.
func TestADamagedCatalogueIsTold(t *testing.T) {
	w := newWorld(t)
	w.enrol(time.Now())
	if err := os.WriteFile(filepath.Join(w.dir, catalogueName), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, k := w.serve()
	if p := l.part(t, "catalogue"); p.State != stateDegraded || !strings.Contains(p.Cause, "stored catalogue not used") || k.Offered() != l.opts.Catalogue {
		t.Errorf("%+v", p)
	}
	w.publish(offering("2030.1", "brand_new"))
	if err := look(t, l); err != nil || k.Offered().Service("brand_new") == nil || l.part(t, "catalogue").State != stateOnline {
		t.Errorf("%v, %+v", err, l.part(t, "catalogue"))
	}
}

// A program that carries a newer catalogue than the bus's offers its own; what the
// bus has is kept all the same, and nothing older is taken.
func TestTheProgramsOwnIsOfferedWhileItIsNewer(t *testing.T) {
	w := newWorld(t)
	w.enrol(time.Now())
	w.publish(offering("2030.1", "brand_new"))
	own, err := catalogue.Parse(offering("2030.2", "own"))
	if err != nil {
		t.Fatal(err)
	}
	l := w.open(func(o *Options) { o.Catalogue = own })
	k := &counter{now: l.Catalogue()}
	l.kiosk = k
	if err := look(t, l); err != nil || k.Offered() != own {
		t.Errorf("%v, offered %s", err, k.Offered().Version)
	}
	if s := l.offered(); s.Version != "2030.2" || s.From != "program" || s.Manifest == 0 || s.Next != "" {
		t.Errorf("%+v", s)
	}
	w.publish(offering("2030.3", "newest"))
	if err := look(t, l); err != nil || k.Offered().Service("newest") == nil {
		t.Errorf("%v, offered %s", err, k.Offered().Version)
	}
}

// A full disk costs a kiosk nothing but the newer catalogue.
func TestACatalogueThatCantBeStoredIsNotOffered(t *testing.T) {
	w := newWorld(t)
	w.enrol(time.Now())
	l, k := w.serve()
	if err := look(t, l); err != nil {
		t.Fatal(err)
	}
	w.publish(offering("2030.1", "brand_new"))
	blocked := filepath.Join(w.dir, "."+catalogueName+".new")
	if err := os.Mkdir(blocked, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 { // it is tried again
		lasting, err := l.lookCatalogue(t.Context())
		if err == nil || lasting || k.Offered().Service("brand_new") != nil {
			t.Fatalf("%v, lasting %v", err, lasting)
		}
	}
	rm(t, blocked)
	if err := look(t, l); err != nil || k.Offered().Service("brand_new") == nil {
		t.Errorf("with room again: %v", err)
	}
}

// The part looks by itself, soon after the start.
func TestThePartLooksByItself(t *testing.T) {
	w := newWorld(t)
	w.enrol(time.Now())
	w.publish(offering("2030.1", "brand_new"))
	l, k := w.serve()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w.run(l, k, nil, "catalogue")
	until(t, "the new service", func() bool { return k.Offered().Service("brand_new") != nil || ctx.Err() != nil })
}
