package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"kosk/device/identity"
	"kosk/device/seal/sealtest"
	"kosk/drivers/card/icao"
	"kosk/drivers/card/vcard"
)

// A land is a state that lists its own authority and nobody else's.
type land struct {
	list, cert  []byte // files
	revocations func(this, next time.Time, serials ...int64) []byte
}

func newLand(t *testing.T) land {
	t.Helper()
	must := func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	key := sealtest.Key(t)
	now := time.Now()
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{Country: []string{"AZ"}, CommonName: "csca"}, SubjectKeyId: []byte{1},
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	l := land{cert: must(x509.CreateCertificate(rand.Reader, root, root, &key.PublicKey, key))}
	signer := must(x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{Country: []string{"AZ"}, CommonName: "lists"},
		NotBefore: root.NotBefore, NotAfter: root.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		UnknownExtKeyUsage: []asn1.ObjectIdentifier{{2, 23, 136, 1, 1, 3}},
	}, root, &key.PublicKey, key))
	cert, err := icao.ParseCertificate(signer)
	if err != nil {
		t.Fatal(err)
	}
	content := icao.MakeTLV(0x30, []byte{2, 1, 0}, icao.MakeTLV(0x31, l.cert))
	l.list = must(icao.SignData("2.23.136.1.1.2", content, cert, now.Add(-time.Hour), func(b []byte) ([]byte, error) {
		sum := sha256.Sum256(b)
		return ecdsa.SignASN1(rand.Reader, key, sum[:])
	}))
	l.revocations = func(this, next time.Time, serials ...int64) []byte {
		r := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: this, NextUpdate: next}
		for _, n := range serials {
			r.RevokedCertificateEntries = append(r.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(n), RevocationTime: this})
		}
		return must(x509.CreateRevocationList(rand.Reader, r, root, key))
	}
	return l
}

// Revocation lists come along, in DER or PEM, and the technician sees which of
// them is too old.
func TestBuiltBundleHoldsRevocationLists(t *testing.T) {
	l, dir := newLand(t), t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	now := time.Now()
	fresh := l.revocations(now.Add(-time.Hour), now.Add(time.Hour), 7, 8)
	old := l.revocations(now.AddDate(0, -6, 0), now.Add(-identity.Grace-time.Hour))
	operator := filepath.Join(dir, "operator.pem")
	var out bytes.Buffer
	if err := (trustKeyCommand{Out: operator}).Run(&out); err != nil {
		t.Fatal(err)
	}
	bundle := filepath.Join(dir, "trust.json")
	build := trustBuildCommand{
		Masterlist: file("list.ml", l.list), Root: file("root.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: l.cert})),
		Country: []string{"AZ"}, Key: operator, Out: bundle, Version: 2,
		CRL: []string{file("fresh.crl", fresh), file("old.crl", pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: old}))},
	}
	if err := build.Run(&out); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if err := (trustShowCommand{File: bundle, Key: operator + ".pub"}).Run(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`(?m)^signature +good$`, `(?m)^AZ +anchor `, `(?m)^AZ +list of 2 +\S+ +\S+ *$`, `(?m)^AZ +list of 0 .*too old`} {
		if !regexp.MustCompile(want).Match(out.Bytes()) {
			t.Errorf("no %s in:\n%s", want, out.Bytes())
		}
	}
}

// A bundle may also name the authorities of persons' certificates and those whose
// word is taken for a person; the one must be authorities, the others not.
func TestBuiltBundleHoldsPersonsAndProviders(t *testing.T) {
	l, dir := newLand(t), t.TempDir()
	file := func(name string, ders ...[]byte) string {
		var b []byte
		for _, der := range ders {
			b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	list, bundle, operator := filepath.Join(dir, "list.ml"), filepath.Join(dir, "trust.json"), filepath.Join(dir, "operator.pem")
	if err := os.WriteFile(list, l.list, 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := (trustKeyCommand{Out: operator}).Run(&out); err != nil {
		t.Fatal(err)
	}
	pki, err := vcard.NewPKI()
	if err != nil {
		t.Fatal(err)
	}
	provider := newProvider(t)
	build := trustBuildCommand{
		Masterlist: list, Root: file("root.pem", l.cert), Country: []string{"AZ"}, Key: operator, Out: bundle, Version: 2,
		Persons: []string{file("people.pem", pki.People())}, Providers: []string{file("providers.pem", provider, provider)},
	}
	if err := build.Run(&out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "1 authorities of persons, 2 providers") {
		t.Errorf("said %q", out.String())
	}
	b, _, err := identity.InspectBundle(bundle)
	if err != nil || len(b.Persons) != 1 || !bytes.Equal(b.Persons[0], pki.People()) || len(b.Providers) != 2 {
		t.Fatalf("%v: %d persons, %d providers", err, len(b.Persons), len(b.Providers))
	}
	out.Reset()
	if err := (trustShowCommand{File: bundle, Key: operator + ".pub"}).Run(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`(?m)^persons  `, `(?m)^provider +Test Provider +20`} {
		if !regexp.MustCompile(want).Match(out.Bytes()) {
			t.Errorf("no %s in:\n%s", want, out.Bytes())
		}
	}
	build.Persons, build.Providers = build.Providers, build.Persons
	if err := build.Run(&out); !errors.Is(err, identity.ErrBundle) {
		t.Errorf("exchanged: %v", err)
	}
	build.Persons, build.Providers = nil, []string{operator}
	if err := build.Run(&out); err == nil || strings.Contains(err.Error(), "BEGIN") {
		t.Errorf("a key: %v", err)
	}
	build.Providers = []string{list}
	if err := build.Run(&out); err == nil || !strings.Contains(err.Error(), "no certificate in pem") {
		t.Errorf("no pem: %v", err)
	}
}

// newProvider is a certificate that is no authority's.
func newProvider(t *testing.T) []byte {
	t.Helper()
	key := sealtest.Key(t)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test Provider", Country: []string{"AZ"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
