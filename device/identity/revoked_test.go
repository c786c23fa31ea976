package identity_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"maps"
	"math/big"
	"slices"
	"testing"
	"time"

	"kosk/device/identity"
	"kosk/drivers/card"
	"kosk/drivers/card/cardtest"
	"kosk/drivers/card/icao"
	"kosk/drivers/card/vcard"
)

// A csca is an authority that can take its signer's certificate back.
type csca struct {
	root      *x509.Certificate
	rootKey   *ecdsa.PrivateKey
	signer    *icao.Certificate
	signerKey *ecdsa.PrivateKey
}

const rootSerial, signerSerial = 1, 300

func newCSCA(t *testing.T) csca {
	t.Helper()
	template := func(serial int64, name string, ca bool) *x509.Certificate {
		c := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{Country: []string{"AZ"}, CommonName: name},
			NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().AddDate(5, 0, 0),
			IsCA: ca, BasicConstraintsValid: ca, KeyUsage: x509.KeyUsageDigitalSignature,
		}
		if ca {
			c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
		}
		return c
	}
	a := csca{rootKey: newTrustKey(t), signerKey: newTrustKey(t)}
	root := template(rootSerial, "csca", true)
	der, err := x509.CreateCertificate(rand.Reader, root, root, &a.rootKey.PublicKey, a.rootKey)
	if err != nil {
		t.Fatal(err)
	}
	if a.root, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	if der, err = x509.CreateCertificate(rand.Reader, template(signerSerial, "signer", false), a.root, &a.signerKey.PublicKey, a.rootKey); err != nil {
		t.Fatal(err)
	}
	if a.signer, err = icao.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

// revoke issues a list that names these numbers.
func (a csca) revoke(t *testing.T, this, next time.Time, serials ...int64) []byte {
	t.Helper()
	r := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: this, NextUpdate: next}
	for _, n := range serials {
		r.RevokedCertificateEntries = append(r.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: big.NewInt(n), RevocationTime: this})
	}
	der, err := x509.CreateRevocationList(rand.Reader, r, a.root, a.rootKey)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// sign puts the authority's signer behind a chip's groups.
func (a csca) sign(t *testing.T, chip *card.Chip) *card.Chip {
	t.Helper()
	signed := clone(chip)
	var err error
	signed.SOD, err = icao.SOD(signed.Groups, a.signer, time.Now(), func(b []byte) ([]byte, error) {
		sum := sha256.Sum256(b)
		return ecdsa.SignASN1(rand.Reader, a.signerKey, sum[:])
	})
	if err != nil {
		t.Fatal(err)
	}
	signed.COM = icao.COM(slices.Sorted(maps.Keys(signed.Groups))...)
	return signed
}

func TestRevokedSignerIsNotBelieved(t *testing.T) {
	pki, _ := newPKI(t)
	a := newCSCA(t)
	chip := a.sign(t, readChip(t, pki, cardtest.Aygun(), vcard.Profile{}))
	now := time.Now()
	this, day := now.Add(-60*24*time.Hour), 24*time.Hour
	soon := now.Add(day)
	stale := now.Add(-identity.Grace - time.Hour)
	tests := []struct {
		name  string
		lists [][]byte
		want  error
	}{
		{"no list", nil, nil},
		{"list without the signer", [][]byte{a.revoke(t, this, soon, 2, 299)}, nil},
		{"list with the signer", [][]byte{a.revoke(t, this, soon, 2, signerSerial)}, identity.ErrRevoked},
		{"list with the authority itself", [][]byte{a.revoke(t, this, soon, rootSerial)}, identity.ErrRevoked},
		{"next list overdue, within the grace", [][]byte{a.revoke(t, this, now.Add(-identity.Grace+time.Hour))}, nil},
		{"next list overdue for longer", [][]byte{a.revoke(t, this, stale)}, identity.ErrStale},
		{"old list with the signer", [][]byte{a.revoke(t, this, stale, signerSerial)}, identity.ErrRevoked},
		{"old list beside a fresh one", [][]byte{a.revoke(t, this, stale), a.revoke(t, this, soon)}, nil},
		{"old list with the signer beside a fresh one", [][]byte{a.revoke(t, this, soon), a.revoke(t, this, stale, signerSerial)}, identity.ErrRevoked},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			anchors, err := identity.NewAnchors(identity.Bundle{
				Version: 1, Issued: now, Development: true, Anchors: [][]byte{a.root.Raw}, Revocations: tt.lists,
			})
			if err != nil {
				t.Fatal(err)
			}
			h, err := identity.Believe(chip, anchors, now)
			if !errors.Is(err, tt.want) {
				t.Errorf("error = %v, want %v", err, tt.want)
			}
			if (h == identity.Holder{}) != (tt.want != nil) {
				t.Error("a holder came with the error, or none without")
			}
		})
	}
}

func TestStrangersRevocationListSpoilsTheBundle(t *testing.T) {
	a, namesake := newCSCA(t), newCSCA(t)
	now := time.Now()
	for name, list := range map[string][]byte{
		"of a namesake": namesake.revoke(t, now, now.Add(time.Hour), signerSerial),
		"of nobody":     {0x30, 0},
	} {
		_, err := identity.NewAnchors(identity.Bundle{
			Version: 1, Issued: now, Development: true, Anchors: [][]byte{a.root.Raw}, Revocations: [][]byte{list},
		})
		if !errors.Is(err, identity.ErrBundle) {
			t.Errorf("%s: error = %v, want %v", name, err, identity.ErrBundle)
		}
	}
}
