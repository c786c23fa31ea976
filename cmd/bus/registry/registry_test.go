package registry

import (
	"crypto/rand"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kosk/device/seal/sealtest"
)

var (
	org = Organisation{Member: "AZ-TEST/GOV/10001", Subsystem: "kiosk"}
	now = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
)

func openAt(t *testing.T, dir string) *Registry {
	t.Helper()
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func csr(t *testing.T) []byte {
	t.Helper()
	key := sealtest.Key(t)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// add registers a station and returns its code's secret.
func add(t *testing.T, r *Registry, name string) string {
	t.Helper()
	code, err := r.Add(name, now)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(strings.TrimPrefix(code, name+"."), ".")
	if len(parts) != 2 || parts[1] != r.Keys().Fingerprint() || len(parts[1]) != 32 {
		t.Fatalf("code %s", code)
	}
	return parts[0]
}

func TestKeysAreMadeOnceAndAreOnlyTheOwners(t *testing.T) {
	dir := t.TempDir()
	var fingerprints sync.Map
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			r, err := Open(dir)
			if err != nil {
				t.Error(err)
				return
			}
			fingerprints.Store(r.Keys().Fingerprint(), true)
		})
	}
	wg.Wait()
	n := 0
	fingerprints.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d authorities were made", n)
	}
	add(t, openAt(t, dir), "KIOSK-001")
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 && path != dir {
			t.Errorf("%s has mode %v", d.Name(), info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, keysFile), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil {
		t.Error("damaged keys open")
	}
}

func TestACodeIsSpentOnceUnderARace(t *testing.T) {
	dir := t.TempDir()
	secret := add(t, openAt(t, dir), "KIOSK-001")
	var issued atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		r, request := openAt(t, dir), csr(t) // as if in processes of their own
		wg.Go(func() {
			cert, err := r.Enrol("KIOSK-001", secret, org, request, now)
			if err == nil {
				issued.Add(1)
				if name, ok := r.Holds(cert); !ok || name != "KIOSK-001" {
					t.Errorf("holds: %s %v", name, ok)
				}
			} else if !errors.Is(err, ErrCode) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if issued.Load() != 1 {
		t.Errorf("%d certificates for one code", issued.Load())
	}
}

func TestEnrolRefuses(t *testing.T) {
	r := openAt(t, t.TempDir())
	secret := add(t, r, "KIOSK-001")
	for _, tt := range []struct {
		name, station, secret string
		csr                   []byte
		at                    time.Time
		want                  error
	}{
		{"a wrong secret", "KIOSK-001", secret + "A", csr(t), now, ErrCode},
		{"no secret", "KIOSK-001", "", csr(t), now, ErrCode},
		{"an unknown station", "KIOSK-002", secret, csr(t), now, ErrCode},
		{"a name with a path", "../keys", secret, csr(t), now, ErrCode},
		{"too late", "KIOSK-001", secret, csr(t), now.Add(CodeLife + time.Second), ErrCode},
		{"not a request", "KIOSK-001", secret, []byte("x"), now, ErrCSR},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := r.Enrol(tt.station, tt.secret, org, tt.csr, tt.at); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	if _, err := r.Enrol("KIOSK-001", secret, org, csr(t), now.Add(CodeLife)); err != nil {
		t.Errorf("at the last moment: %v", err)
	}
}

func TestOldAndNewCertificateOverlapUntilRemoved(t *testing.T) {
	r := openAt(t, t.TempDir())
	var certs []*x509.Certificate
	for range 2 {
		cert, err := r.Enrol("KIOSK-001", add(t, r, "KIOSK-001"), org, csr(t), now)
		if err != nil {
			t.Fatal(err)
		}
		certs = append(certs, cert)
	}
	for i, c := range certs {
		if _, ok := r.Holds(c); !ok {
			t.Errorf("certificate %d isn't held", i)
		}
	}
	if err := r.Remove("KIOSK-001", now); err != nil {
		t.Fatal(err)
	}
	for i, c := range certs {
		if _, ok := r.Holds(c); ok {
			t.Errorf("certificate %d is held after removal", i)
		}
	}
	if keys, err := r.StationKeys("KIOSK-001"); err != nil || len(keys) != 2 {
		t.Errorf("keys for what it had sent: %d %v", len(keys), err)
	}
	if _, err := r.Enrol("KIOSK-001", add(t, r, "KIOSK-001"), org, csr(t), now); err != nil {
		t.Errorf("let in again: %v", err)
	}
	if _, ok := r.Holds(certs[0]); ok {
		t.Error("a removed certificate came back")
	}
}

func TestNames(t *testing.T) {
	r := openAt(t, t.TempDir())
	for _, bad := range []string{"", ".", "..", "a/b", "köşk", "a_b", "-a", strings.Repeat("a", 65)} {
		if _, err := r.Add(bad, now); !errors.Is(err, ErrName) {
			t.Errorf("%q: %v, want ErrName", bad, err)
		}
	}
	for _, good := range []string{"KIOSK-001", "1", "a.b=c-d"} {
		add(t, r, good)
	}
	if all, err := r.Stations(); err != nil || len(all) != 3 {
		t.Errorf("stations: %d %v", len(all), err)
	}
}

// TestAStationThatRenewsInALoop: it gets no more certificates than it may hold,
// until some are over; and none of those that it has is lost.
func TestAStationThatRenewsInALoop(t *testing.T) {
	r := openAt(t, t.TempDir())
	first, err := r.Enrol("KIOSK-001", add(t, r, "KIOSK-001"), org, csr(t), now)
	if err != nil {
		t.Fatal(err)
	}
	request, last := csr(t), first
	for i := range maxHeld + 1 {
		cert, err := r.Renew(first, org, request, now.Add(time.Duration(i)*time.Hour))
		switch {
		case i < maxHeld-1 && err != nil, i >= maxHeld-1 && !errors.Is(err, ErrTooMany):
			t.Fatalf("renewal %d: %v", i+1, err)
		case err == nil:
			last = cert
		}
	}
	if _, ok := r.Holds(first); !ok {
		t.Error("the first isn't held any more")
	}
	if _, err := r.Renew(last, org, request, first.NotAfter.Add(time.Minute)); err != nil {
		t.Errorf("when the first is over: %v", err)
	}
}
