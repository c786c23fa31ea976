package identity_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kosk/device/identity"
	"kosk/device/seal/sealtest"
)

// bundleOf is a small bundle that can be signed.
func bundleOf(t *testing.T, version int, development bool) identity.Bundle {
	t.Helper()
	pki, _ := newPKI(t)
	return identity.Bundle{
		Version: version, Issued: time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC), Development: development, Anchors: pki.Bundle(),
	}
}

func writeSigned(t *testing.T, path string, b identity.Bundle, key *ecdsa.PrivateKey) {
	t.Helper()
	if err := identity.WriteSignedBundle(path, b, key); err != nil {
		t.Fatal(err)
	}
}

func TestSignedBundleIsTakenByItsKeyOnly(t *testing.T) {
	key, other := sealtest.Key(t), sealtest.Key(t)
	signed, unsigned, plain := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b"), filepath.Join(t.TempDir(), "c")
	writeSigned(t, signed, bundleOf(t, 7, false), key)
	if err := identity.WriteBundle(unsigned, bundleOf(t, 7, true)); err != nil {
		t.Fatal(err)
	}
	if err := identity.WriteBundle(plain, bundleOf(t, 7, false)); !errors.Is(err, identity.ErrUnsigned) {
		t.Errorf("unsigned and real: written, error %v", err)
	}
	tests := []struct {
		name string
		path string
		key  *ecdsa.PublicKey
		want error
	}{
		{"signed, with its key", signed, &key.PublicKey, nil},
		{"signed, with another key", signed, &other.PublicKey, identity.ErrUnsigned},
		{"signed, at a kiosk without a key", signed, nil, identity.ErrBundle},
		{"unsigned for development, without a key", unsigned, nil, nil},
		{"unsigned for development, at a kiosk with a key", unsigned, &key.PublicKey, identity.ErrUnsigned},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := identity.LoadBundle(tt.path, tt.key)
			if !errors.Is(err, tt.want) || (a == nil) != (tt.want != nil) {
				t.Errorf("error = %v, want %v", err, tt.want)
			}
		})
	}
	real := `{"version":1,"issued":"2026-11-01T08:00:00Z","development":false,"anchors":["MA=="]}`
	if err := os.WriteFile(plain, []byte(real), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := identity.LoadBundle(plain, nil); !errors.Is(err, identity.ErrUnsigned) {
		t.Errorf("unsigned and real: error = %v, want %v", err, identity.ErrUnsigned)
	}
}

// No byte of the file is free, not even the spaces: other characters are no JSON.
func TestFlippedByteSpoilsTheSignedBundle(t *testing.T) {
	key, path := sealtest.Key(t), filepath.Join(t.TempDir(), "trust.json")
	writeSigned(t, path, bundleOf(t, 7, false), key)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		data := bytes.Clone(good)
		data[i] ^= 1
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := identity.LoadBundle(path, &key.PublicKey); !errors.Is(err, identity.ErrBundle) {
			t.Errorf("byte %d, %q: error = %v, want %v", i, good[i], err, identity.ErrBundle)
		}
	}
}

func TestRollBackIsRefused(t *testing.T) {
	key, path := sealtest.Key(t), filepath.Join(t.TempDir(), "trust.json")
	for _, step := range []struct {
		version int
		accept  bool
		want    error
	}{
		{5, false, nil}, // who only looks remembers nothing
		{4, true, nil},
		{6, true, nil},
		{6, true, nil}, // a restart
		{5, true, identity.ErrRollback},
		{5, false, identity.ErrRollback},
		{7, true, nil},
		{6, true, identity.ErrRollback},
	} {
		writeSigned(t, path, bundleOf(t, step.version, false), key)
		load := identity.LoadBundle
		if step.accept {
			load = identity.AcceptBundle
		}
		if _, err := load(path, &key.PublicKey); !errors.Is(err, step.want) {
			t.Errorf("version %d: error = %v, want %v", step.version, err, step.want)
		}
	}
	if err := os.WriteFile(path+".accepted", []byte("?"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := identity.AcceptBundle(path, &key.PublicKey); !errors.Is(err, identity.ErrBundle) {
		t.Errorf("spoilt memory: error = %v, want %v", err, identity.ErrBundle)
	}
}

func TestBundleHasAnAge(t *testing.T) {
	a, err := identity.NewAnchors(bundleOf(t, 1, true))
	if err != nil {
		t.Fatal(err)
	}
	for hours, want := range map[int]int{-5: 0, 0: 0, 23: 0, 24: 1, 24*40 + 5: 40} {
		if got := a.Days(a.Issued.Add(time.Duration(hours) * time.Hour)); got != want {
			t.Errorf("after %d hours: %d days, want %d", hours, got, want)
		}
	}
}

func TestTrustKeyIsOneOfP256(t *testing.T) {
	encode := func(key any) []byte {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	}
	good := sealtest.Key(t)
	long, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key.pem")
	for name, file := range map[string][]byte{
		"another curve": encode(&long.PublicKey), "no pem": []byte("key"), "two keys": append(encode(&good.PublicKey), encode(&good.PublicKey)...),
	} {
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := identity.LoadTrustKey(path); !errors.Is(err, identity.ErrKey) {
			t.Errorf("%s: error = %v, want %v", name, err, identity.ErrKey)
		}
	}
	if err := os.WriteFile(path, encode(&good.PublicKey), 0o600); err != nil {
		t.Fatal(err)
	}
	if key, err := identity.LoadTrustKey(path); err != nil || !key.Equal(&good.PublicKey) {
		t.Errorf("its own key: %v", err)
	}
	if err := identity.WriteSignedBundle(path, bundleOf(t, 1, false), long); !errors.Is(err, identity.ErrKey) {
		t.Errorf("signed with another curve: error = %v, want %v", err, identity.ErrKey)
	}
	if key, err := identity.LoadTrustKey(""); key != nil || err != nil {
		t.Errorf("no path: %v, %v", key, err)
	}
}

func FuzzBundle(f *testing.F) {
	key := sealtest.Key(f)
	path := filepath.Join(f.TempDir(), "trust.json")
	f.Add([]byte(`{"version":1,"issued":"2026-11-01T08:00:00Z","development":true,"anchors":["MA=="]}`))
	f.Add([]byte(`{"payload":"e30","protected":"e30","signature":"e30"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := identity.LoadBundle(path, &key.PublicKey); !errors.Is(err, identity.ErrBundle) {
			t.Errorf("a stranger's bundle: error = %v", err)
		}
		if _, err := identity.LoadBundle(path, nil); err != nil && !errors.Is(err, identity.ErrBundle) {
			t.Errorf("error %v is of no type", err)
		}
	})
}
