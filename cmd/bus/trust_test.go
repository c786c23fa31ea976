package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kosk/device/identity"
	"kosk/device/seal/sealtest"
	"kosk/drivers/card/vcard"
)

// A bus that is started with a bundle checks cards with it, and takes a newer one
// over while it serves; an older one and one of another operator it doesn't.
func TestTrustIsTakenOver(t *testing.T) {
	pki, err := vcard.NewPKI()
	if err != nil {
		t.Fatal(err)
	}
	key := sealtest.Key(t)
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	files := t.TempDir()
	public := filepath.Join(files, "trust.pub")
	if err := os.WriteFile(public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	bundle := func(version int, key *ecdsa.PrivateKey) string {
		t.Helper()
		path := filepath.Join(files, "bundle-"+time.Now().Format("150405.000000"))
		if err := identity.WriteSignedBundle(path, identity.Bundle{Version: version, Issued: time.Now(), Anchors: pki.Bundle()}, key); err != nil {
			t.Fatal(err)
		}
		return path
	}
	p := start(t, t.TempDir(), "--trust", bundle(2, key), "--trust-key", public, "--rate", "300")
	defer p.kill()
	if st := p.status(); !st.Evidence.Checked || st.Evidence.Version != 2 || st.Evidence.Development {
		t.Errorf("%+v", st.Evidence)
	}
	set := func(file string) error {
		return trustSet{folder: folder{Dir: p.dir}, File: file}.Run(new(bytes.Buffer))
	}
	if err := set(bundle(1, key)); !errors.Is(err, identity.ErrRollback) {
		t.Errorf("an older one: %v", err)
	}
	other := sealtest.Key(t)
	if err := set(bundle(3, other)); !errors.Is(err, identity.ErrUnsigned) {
		t.Errorf("another operator's: %v", err)
	}
	if err := set(bundle(4, key)); err != nil {
		t.Fatal(err)
	}
	if st := p.status(); st.Evidence.Version != 4 {
		t.Errorf("a newer one: %+v", st.Evidence)
	}
}
