package registry

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var intake = []Endpoint{{"GET", "/v1/time"}, {"PUT", "/v1/submissions/*"}, {"POST", "/v1/lookups/*"}}

func openDirectory(t *testing.T) (*Registry, string) {
	t.Helper()
	dir := t.TempDir()
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.EnsureDirectory("10001", "kiosk", intake, "1.0.0"); err != nil {
		t.Fatal(err)
	}
	return r, filepath.Join(dir, directoryFile)
}

func TestDefaultDirectoryIsSafeEverywhere(t *testing.T) {
	d, err := Default("10001", "kiosk", intake, "1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	warnings, err := d.Check()
	if err != nil || len(warnings) > 0 {
		t.Errorf("warnings %v, %v", warnings, err)
	}
	if len(d.Members) != 53 { // 52 agencies of the facts and the bus
		t.Errorf("%d members", len(d.Members))
	}
	s := d.Find("GOV/mlspp/services/employment.contract.by-fin")
	if s == nil || s.Disabled == "" || len(s.Names) != 3 {
		t.Errorf("employment contracts: %+v", s)
	}
}

func TestIdentifiers(t *testing.T) {
	for part, want := range map[string]struct{ warns, refused bool }{
		"KIOSK-001": {}, "employment.contract": {}, "a'(b)+,=?": {},
		"by_fin": {warns: true}, "köşk": {warns: true}, "a b": {warns: true},
		"": {refused: true}, "..": {refused: true}, "a/b": {refused: true}, "a%b": {refused: true}, "a\x00": {refused: true}, "a:b": {refused: true},
	} {
		warning, err := CheckIdentifier(part)
		if (warning != "") != want.warns || errors.Is(err, ErrIdentifier) != want.refused {
			t.Errorf("%q: warning %q, error %v", part, warning, err)
		}
	}
}

func TestRights(t *testing.T) {
	d := &Directory{Rights: []Right{
		{"GOV/1/*", "GOV/1/kiosk/intake", "GET", "/v1/time"},
		{"GOV/1/K1", "GOV/1/kiosk/intake", "*", "/v1/lookups/*"},
		{"GOV/1/K2", "GOV/1/kiosk/intake", "PUT", "/**"},
	}}
	tests := []struct {
		client, method, path string
		want                 bool
	}{
		{"GOV/1/K1", "GET", "/v1/time", true},
		{"GOV/1/K1/x", "GET", "/v1/time", false},
		{"GOV/1", "GET", "/v1/time", false},
		{"GOV/2/K1", "GET", "/v1/time", false},
		{"GOV/1/K1", "POST", "/v1/time", false},
		{"GOV/1/K1", "POST", "/v1/lookups/device.status", true},
		{"GOV/1/K1", "POST", "/v1/lookups/a/b", false},
		{"GOV/1/K1", "POST", "/v1/lookups", false},
		{"GOV/1/K2", "PUT", "/v1/submissions/1", true},
		{"GOV/1/K2", "PUT", "/", true},
		{"GOV/1/K2", "POST", "/v1/lookups/device.status", false},
	}
	for _, tt := range tests {
		if got := d.Allows(tt.client, "GOV/1/kiosk/intake", tt.method, tt.path); got != tt.want {
			t.Errorf("%s %s %s: %v, want %v", tt.client, tt.method, tt.path, got, tt.want)
		}
	}
	if d.Allows("GOV/1/K2", "GOV/1/kiosk/other", "PUT", "/x") {
		t.Error("a right reaches another service")
	}
}

func TestChangesAreSeenAtOnceAndDamageIsNot(t *testing.T) {
	r, path := openDirectory(t)
	beside, err := Open(filepath.Dir(path)) // as a command does
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Directory(); err != nil {
		t.Fatal(err)
	}
	warnings, err := beside.Change(func(d *Directory) error {
		d.Members = append(d.Members, Member{Class: "COM", Code: "bank_1", Name: "Bank"})
		return nil
	})
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "bank_1") {
		t.Fatalf("warnings %v, %v", warnings, err)
	}
	d, err := r.Directory()
	if err != nil || d.Members[len(d.Members)-1].Code != "bank_1" {
		t.Fatalf("the change isn't seen: %v", err)
	}
	_, err = beside.Change(func(d *Directory) error {
		d.Rights = append(d.Rights, Right{"GOV/1/x", "GOV/1/no/such", "*", "/**"})
		return nil
	})
	if !errors.Is(err, ErrDirectory) {
		t.Errorf("a right that leads nowhere: %v", err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	last, err := r.Directory()
	if !errors.Is(err, ErrDirectory) || !cmp.Equal(last, d) {
		t.Errorf("a damaged file: %v, and the last good directory is lost", err)
	}
}

func TestAnOlderDirectoryIsBroughtUpToDate(t *testing.T) {
	r, _ := openDirectory(t)
	if _, err := r.Change(func(d *Directory) error { d.Rights = nil; return nil }); err != nil {
		t.Fatal(err)
	}
	more := append(slices.Clone(intake), Endpoint{"GET", "/v1/keys"})
	if err := r.EnsureDirectory("10001", "kiosk", more, "1.1.0"); err != nil {
		t.Fatal(err)
	}
	d, err := r.Directory()
	if err != nil {
		t.Fatal(err)
	}
	s := d.Find("GOV/10001/kiosk/intake")
	if s.Version != "1.1.0" || !slices.Equal(s.Endpoints, more) || len(d.Rights) != 0 {
		t.Errorf("%+v, rights %v", s, d.Rights)
	}
	if err := r.EnsureDirectory("10002", "kiosk", more, "1.1.0"); err != nil {
		t.Fatal(err)
	}
	if d, err = r.Directory(); err != nil || !d.Allows("GOV/10002/K1", "GOV/10002/kiosk/intake", "GET", "/v1/keys") {
		t.Errorf("another member of the bus: %v", err)
	}
}

func TestSecretsStay(t *testing.T) {
	r, _ := openDirectory(t)
	one, err := r.Secret("access")
	if err != nil {
		t.Fatal(err)
	}
	other, err := Open(r.Dir())
	if err != nil {
		t.Fatal(err)
	}
	two, err := other.Secret("access")
	if err != nil || string(one) != string(two) || len(one) != 32 {
		t.Errorf("%d bytes, %v", len(two), err)
	}
	if three, err := r.Secret("messages"); err != nil || string(three) == string(one) {
		t.Errorf("two names share a secret: %v", err)
	}
}

func FuzzParseDirectory(f *testing.F) {
	f.Add([]byte(`{"members":[{"class":"GOV","code":"1","subsystems":["k"]}],"services":[{"provider":"GOV/1/k","code":"i"}],` +
		`"rights":[{"client":"GOV/1/*","service":"GOV/1/k/i","method":"*","path":"/**"}]}`))
	f.Fuzz(func(_ *testing.T, b []byte) {
		d, err := parseDirectory(b)
		if err != nil {
			return
		}
		start := worked()
		d.Allows("GOV/1/k", "GOV/1/k/i", "GET", "/a/b/c")
		if worked()-start > time.Second {
			panic("matching takes for ever")
		}
	})
}

// worked is the processor time of this process: a busy machine doesn't lengthen it.
func worked() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
