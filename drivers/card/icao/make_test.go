package icao_test

import (
	"context"
	"crypto/x509/pkix"
	"encoding/asn1"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kosk/drivers/card/icao"
)

// The certificates made here have to be good for openssl, which had no part in
// them. It reads keys with explicit parameters, and refuses them in chains.
func TestCertificatesOfAllKindsVerifyElsewhere(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skipf("skipped: %v", err)
	}
	for _, kind := range icao.KeyKinds() {
		t.Run(kind.String(), func(t *testing.T) {
			root, leaf := chain(t, kind)
			dir := t.TempDir()
			run := func(args ...string) string {
				t.Helper()
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				cmd := exec.CommandContext(ctx, openssl, args...)
				cmd.Dir = dir
				out, _ := cmd.CombinedOutput() // its words are looked at
				return string(out)
			}
			for name, der := range map[string][]byte{"root": root, "leaf": leaf} {
				if err := os.WriteFile(filepath.Join(dir, name+".der"), der, 0o600); err != nil {
					t.Fatal(err)
				}
				run("x509", "-inform", "DER", "-in", name+".der", "-out", name+".pem")
			}
			want := "leaf.pem: OK"
			if strings.Contains(kind.String(), "explicit") {
				want = "explicit ECC parameters"
			}
			if out := run("verify", "-check_ss_sig", "-CAfile", "root.pem", "leaf.pem"); !strings.Contains(out, want) {
				t.Errorf("openssl verify: %s", out)
			}
		})
	}
}

// chain makes an authority of a kind, and a certificate by it. Both have to be
// read back here, too.
func chain(t *testing.T, kind icao.KeyKind) (root, leaf []byte) {
	t.Helper()
	name := func(common string) []byte {
		der, err := asn1.Marshal(pkix.Name{Country: []string{"AZ"}, CommonName: common}.ToRDNSequence())
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	var keys [2]*icao.SigningKey
	for i := range keys {
		var err error
		if keys[i], err = icao.NewSigningKey(kind); err != nil {
			t.Fatal(err)
		}
	}
	made := icao.Template{
		Serial: []byte{1}, Issuer: name("root"), Subject: name("root"), NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().AddDate(1, 0, 0),
		PublicKeyInfo: keys[0].PublicKeyInfo(), CA: true, Usage: 0x06,
	}
	var certs [2]*icao.Certificate
	for i := range certs {
		der, err := keys[0].Certify(made)
		if err != nil {
			t.Fatal(err)
		}
		if certs[i], err = icao.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
		if err := certs[i].CheckSignatureFrom(certs[0]); err != nil {
			t.Error(err)
		}
		made.Serial, made.Subject, made.PublicKeyInfo, made.CA, made.Usage = []byte{2}, name("leaf"), keys[1].PublicKeyInfo(), false, 0x80
	}
	return certs[0].Raw, certs[1].Raw
}

// A chip's proof is believed with its own group 15 only, whatever the key.
func TestChipsProveKeysOfAllKinds(t *testing.T) {
	challenge := []byte("12345678")
	for _, kind := range icao.KeyKinds() {
		key, err := icao.NewSigningKey(kind)
		if err != nil {
			t.Fatal(err)
		}
		proof, err := key.Prove(challenge)
		if err != nil {
			t.Fatal(err)
		}
		group15 := icao.DG15(key.PublicKeyInfo())
		if err := icao.VerifyActive(group15, nil, challenge, proof); err != nil {
			t.Errorf("%v: %v", kind, err)
		}
		if err := icao.VerifyActive(group15, nil, []byte("87654321"), proof); err == nil {
			t.Errorf("%v: another challenge was proved", kind)
		}
	}
}
