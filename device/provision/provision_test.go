package provision

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"kosk/device/seal/sealtest"
)

func newStation(t testing.TB) *Station {
	t.Helper()
	key := sealtest.Key(t)
	cert := selfSigned(t, key)
	bus, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &Station{
		Name: "KIOSK-001", Key: key, Certificate: tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key},
		BusCA: pool, BusCACert: cert, URL: "https://127.0.0.1:7443",
		Provider:  Provider{Instance: "AZ-TEST", Class: "GOV", Member: "10001", Subsystem: "kiosk"},
		Recipient: bus.Recipient(), ReceiptKey: &sealtest.Key(t).PublicKey, StreamKey: NewStreamKey(),
	}
}

func selfSigned(t testing.TB, key crypto.Signer) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		Subject: pkix.Name{CommonName: "KIOSK-001", Organization: []string{"AZ-TEST/GOV/10001"}, OrganizationalUnit: []string{"kiosk"}},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestLoadGivesWhatWasSaved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	want := newStation(t)
	for range 2 { // saving over an old one is saving
		if err := Save(dir, want); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != want.Name || got.URL != want.URL || got.Provider != want.Provider ||
		!got.Key.(*ecdsa.PrivateKey).Equal(want.Key) || !got.ReceiptKey.Equal(want.ReceiptKey) || !got.BusCA.Equal(want.BusCA) ||
		!bytes.Equal(got.StreamKey, want.StreamKey) || fmt.Sprint(got.Recipient) != fmt.Sprint(want.Recipient) {
		t.Error("the station came back changed")
	}
	if got.Client() != "AZ-TEST/GOV/10001/KIOSK-001" || got.Provider.Base() != "/r1/AZ-TEST/GOV/10001/kiosk/intake" {
		t.Errorf("client %s, base %s", got.Client(), got.Provider.Base())
	}
	if c := got.TLSConfig(); c.MinVersion != tls.VersionTLS13 || len(c.Certificates) != 1 || !c.RootCAs.Equal(want.BusCA) || c.InsecureSkipVerify {
		t.Error("tls configuration")
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Fatalf("folder holds %d files: %v", len(files), err)
	}
	if info, err := files[0].Info(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v: %v", info.Mode(), err)
	}
	if p, err := ProviderOf(got.BusCACert); err != nil || p != want.Provider {
		t.Errorf("provider of the certificate: %+v %v", p, err)
	}
}

func TestWhatCannotBeLoaded(t *testing.T) {
	if _, err := Load(t.TempDir()); !errors.Is(err, ErrNotEnrolled) {
		t.Errorf("an empty folder: %v, want ErrNotEnrolled", err)
	}
	dir := t.TempDir()
	if err := Save(dir, newStation(t)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, File)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(whole, &fields); err != nil {
		t.Fatal(err)
	}
	for name := range fields {
		t.Run("without "+name, func(t *testing.T) {
			less := map[string]any{}
			for k, v := range fields {
				if k != name {
					less[k] = v
				}
			}
			b, err := json.Marshal(less)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parse(b); err == nil {
				t.Error("it loads")
			}
		})
	}
	if err := os.WriteFile(path, whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); !errors.Is(err, ErrDamaged) {
		t.Errorf("half a file: %v, want ErrDamaged", err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); !errors.Is(err, ErrExposed) {
		t.Errorf("readable by the group: %v, want ErrExposed", err)
	}
}

func TestSaveRefusesHalfAStation(t *testing.T) {
	for name, change := range map[string]func(*Station){
		"key":         func(s *Station) { s.Key = nil },
		"another key": func(s *Station) { s.Key = sealtest.Key(t) },
		"name":        func(s *Station) { s.Name = "a/b" },
		"stream key":  func(s *Station) { s.StreamKey = nil },
		"url":         func(s *Station) { s.URL = "http://bus" },
		"recipient":   func(s *Station) { s.Recipient = nil },
	} {
		t.Run(name, func(t *testing.T) {
			dir, s := t.TempDir(), newStation(t)
			change(s)
			if err := Save(dir, s); err == nil {
				t.Error("it was saved")
			}
			if _, err := Load(dir); !errors.Is(err, ErrNotEnrolled) {
				t.Errorf("then Load says %v", err)
			}
		})
	}
}

func TestKeysCannotBePrinted(t *testing.T) {
	s := newStation(t)
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("m", "s", s, "in", struct{ S *Station }{s})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		fmt.Fprintf(&out, verb+"\n", s)
		fmt.Fprintf(&out, verb+"\n", []Station{*s})
	}
	secret, err := s.Key.(*ecdsa.PrivateKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	d := new(big.Int).SetBytes(secret)
	for _, word := range []string{d.String(), hex.EncodeToString(secret), hex.EncodeToString(s.StreamKey), "StreamKey"} {
		if strings.Contains(out.String(), word) {
			t.Errorf("%.12s... comes out", word)
		}
	}
}
