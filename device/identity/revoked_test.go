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
	"kosk/device/seal/sealtest"
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

// newCSCA makes an authority; change, where given, has its own and its signer's
// certificate made otherwise.
func newCSCA(t *testing.T, change ...func(root, signer *x509.Certificate)) csca {
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
	a := csca{rootKey: sealtest.Key(t), signerKey: sealtest.Key(t)}
	root, signer := template(rootSerial, "csca", true), template(signerSerial, "signer", false)
	for _, f := range change {
		f(root, signer)
	}
	der, err := x509.CreateCertificate(rand.Reader, root, root, &a.rootKey.PublicKey, a.rootKey)
	if err != nil {
		t.Fatal(err)
	}
	if a.root, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	if der, err = x509.CreateCertificate(rand.Reader, signer, a.root, &a.signerKey.PublicKey, a.rootKey); err != nil {
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

func (a csca) signature(b []byte) ([]byte, error) {
	sum := sha256.Sum256(b)
	return ecdsa.SignASN1(rand.Reader, a.signerKey, sum[:])
}

// trusts is a kiosk that knows the authorities.
func trusts(t *testing.T, all ...csca) *identity.Anchors {
	t.Helper()
	b := identity.Bundle{Version: 1, Issued: time.Now(), Development: true}
	for _, a := range all {
		b.Anchors = append(b.Anchors, a.root.Raw)
	}
	anchors, err := identity.NewAnchors(b)
	if err != nil {
		t.Fatal(err)
	}
	return anchors
}

// sign puts the authority's signer behind a chip's groups.
func (a csca) sign(t *testing.T, chip *card.Chip) *card.Chip {
	t.Helper()
	signed := clone(chip)
	var err error
	if signed.SOD, err = icao.SOD(signed.Groups, a.signer, time.Now(), a.signature); err != nil {
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

// Signer and authority were valid when the document was signed, the signer's key is
// for signatures, and both are of one state.
func TestSignersOfNoWeightAreRefused(t *testing.T) {
	pki, _ := newPKI(t)
	chip := readChip(t, pki, cardtest.Aygun(), vcard.Profile{})
	day := 24 * time.Hour
	now := time.Now()
	tests := []struct {
		name   string
		change func(root, signer *x509.Certificate)
		want   error
	}{
		{"as it should be", func(_, _ *x509.Certificate) {}, nil},
		{"signer was not valid any more", func(_, s *x509.Certificate) { s.NotAfter = now.Add(-day) }, identity.ErrUnknownSigner},
		{"signer was not valid yet", func(_, s *x509.Certificate) { s.NotBefore = now.Add(day) }, identity.ErrUnknownSigner},
		{"authority was not valid any more", func(r, _ *x509.Certificate) { r.NotAfter = now.Add(-day) }, identity.ErrUnknownSigner},
		{"authority was not valid yet", func(r, _ *x509.Certificate) { r.NotBefore = now.Add(day) }, identity.ErrUnknownSigner},
		{"signer's key is for something else", func(_, s *x509.Certificate) { s.KeyUsage = x509.KeyUsageKeyAgreement }, identity.ErrTampered},
		{"authority's key is not for certificates", func(r, _ *x509.Certificate) { r.KeyUsage = x509.KeyUsageCRLSign }, identity.ErrUnknownSigner},
		{"signer of another state", func(_, s *x509.Certificate) { s.Subject.Country = []string{"XX"} }, identity.ErrForeignState},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newCSCA(t, tt.change)
			if _, err := identity.Believe(a.sign(t, chip), trusts(t, a), now); !errors.Is(err, tt.want) {
				t.Errorf("error = %v, want %v", err, tt.want)
			}
		})
	}
}

// The key of chip authentication mapping counts only from a signer who is trusted,
// whoever signed EF.SOD.
func TestStrangersCardSecurityIsRefused(t *testing.T) {
	pki, _ := newPKI(t)
	ours, stranger := newCSCA(t), newCSCA(t)
	chip := ours.sign(t, readChip(t, pki, cardtest.Aygun(), vcard.Profile{Mapping: icao.MappingChip, NoActive: true}))
	original, err := icao.ParseSignedData(chip.CardSecurity)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		by   csca
		want error
	}{"ours": {ours, nil}, "a stranger's": {stranger, identity.ErrUnknownSigner}} {
		if chip.CardSecurity, err = icao.NewCardSecurity(original.Content, c.by.signer, time.Now(), c.by.signature); err != nil {
			t.Fatal(err)
		}
		if _, err := identity.Believe(chip, trusts(t, ours), time.Now()); !errors.Is(err, c.want) {
			t.Errorf("%s: error = %v, want %v", name, err, c.want)
		}
	}
}

// Both groups are signed, and yet they have to be of one person.
func TestNumbersThatDifferAreUnreadable(t *testing.T) {
	pki, _ := newPKI(t)
	a := newCSCA(t)
	chip := readChip(t, pki, cardtest.Aygun(), vcard.Profile{})
	chip.Groups[11] = icao.DG11(icao.Details{Surname: "M", GivenNames: "A", PersonalNumber: "6ARPXK2"})
	if _, err := identity.Believe(a.sign(t, chip), trusts(t, a), time.Now()); !errors.Is(err, identity.ErrUnreadable) {
		t.Errorf("error = %v, want unreadable", err)
	}
}
