package icao_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"

	"kosk/drivers/card/icao"
)

// lists is an authority that takes certificates back.
type lists struct {
	root *icao.Certificate
	std  *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newLists(t testing.TB, usage x509.KeyUsage) lists {
	t.Helper()
	key := newKey(t)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{Country: []string{"XX"}, CommonName: "CSCA"}, SubjectKeyId: []byte{1},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: usage, NotBefore: listDay.AddDate(-1, 0, 0), NotAfter: listDay.AddDate(1, 0, 0),
	}
	root := certify(t, c, c, &key.PublicKey, key)
	std, err := x509.ParseCertificate(root.Raw)
	if err != nil {
		t.Fatal(err)
	}
	// Go's own maker asks for the usage that a test may leave out.
	std.KeyUsage |= x509.KeyUsageCRLSign
	return lists{root, std, key}
}

func (l lists) issue(t testing.TB, extra []pkix.Extension, serials ...int64) []byte {
	t.Helper()
	r := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: listDay, NextUpdate: listDay.AddDate(0, 0, 30), ExtraExtensions: extra}
	for _, n := range serials {
		r.RevokedCertificateEntries = append(r.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: big.NewInt(n), RevocationTime: listDay, ReasonCode: 1,
		})
	}
	der, err := x509.CreateRevocationList(rand.Reader, r, l.std, l.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// leaf is a certificate of the authority with this number.
func (l lists) leaf(t testing.TB, serial int64) *icao.Certificate {
	t.Helper()
	key := newKey(t)
	return certify(t, &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{Country: []string{"XX"}, CommonName: "signer"},
		NotBefore: listDay, NotAfter: listDay.AddDate(1, 0, 0),
	}, l.std, &key.PublicKey, l.key)
}

func TestRevocationListNamesItsCertificatesOnly(t *testing.T) {
	of := newLists(t, x509.KeyUsageCertSign|x509.KeyUsageCRLSign)
	list, err := icao.ParseRevocationList(of.issue(t, nil, 7, 128, 1<<40))
	if err != nil {
		t.Fatal(err)
	}
	if err := list.CheckSignatureFrom(of.root); err != nil {
		t.Error(err)
	}
	if list.Len() != 3 || !list.ThisUpdate.Equal(listDay) || !list.NextUpdate.Equal(listDay.AddDate(0, 0, 30)) {
		t.Errorf("%d entries, %v to %v", list.Len(), list.ThisUpdate, list.NextUpdate)
	}
	for serial, want := range map[int64]bool{7: true, 128: true, 1 << 40: true, 8: false, 127: false} {
		if got := list.Revokes(of.leaf(t, serial)); got != want {
			t.Errorf("number %d taken back: %v, want %v", serial, got, want)
		}
	}
	other := newState(t, nil) // its signer has number 2
	if l, err := icao.ParseRevocationList(of.issue(t, nil, 1, 2)); err != nil || !l.Revokes(of.root) || !l.Revokes(other.signer) {
		t.Errorf("a namesake's certificate: %v", err)
	}
	if l, err := icao.ParseRevocationList(of.issue(t, nil, 1229)); err != nil || l.Revokes(germanRoot(t)) {
		t.Errorf("another issuer's certificate of the same number was taken back: %v", err)
	}
}

func TestRevocationListMustBeItsIssuersOwn(t *testing.T) {
	both := x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	of, namesake, clerk := newLists(t, both), newLists(t, both), newLists(t, x509.KeyUsageCertSign)
	delta := []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}}
	tests := []struct {
		name   string
		list   []byte
		issuer *icao.Certificate
		want   error
	}{
		{"its own", of.issue(t, nil), of.root, nil},
		{"another of the same name", of.issue(t, nil), namesake.root, icao.ErrSignature},
		{"another name", of.issue(t, nil), germanRoot(t), icao.ErrCertificate},
		{"no certification authority", of.issue(t, nil), namesake.leaf(t, 2), icao.ErrCertificate},
		{"key that may not sign lists", clerk.issue(t, nil), clerk.root, icao.ErrCertificate},
		{"a delta list", of.issue(t, delta), of.root, icao.ErrCertificate},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, err := icao.ParseRevocationList(tt.list)
			if err != nil {
				t.Fatal(err)
			}
			if err := l.CheckSignatureFrom(tt.issuer); !errors.Is(err, tt.want) {
				t.Errorf("error = %v, want %v", err, tt.want)
			}
		})
	}
}

func TestFlippedByteSpoilsTheRevocationList(t *testing.T) {
	of := newLists(t, x509.KeyUsageCertSign|x509.KeyUsageCRLSign)
	good := of.issue(t, nil, 7, 8)
	for i := range good {
		der := bytes.Clone(good)
		der[i] ^= 0x55
		l, err := icao.ParseRevocationList(der)
		if err == nil {
			err = l.CheckSignatureFrom(of.root)
		}
		if err == nil || !typed(err) {
			t.Errorf("byte %d: error = %v", i, err)
		}
	}
}

func FuzzRevocationList(f *testing.F) {
	of := newLists(f, x509.KeyUsageCertSign|x509.KeyUsageCRLSign)
	f.Add(of.issue(f, nil))
	f.Add(of.issue(f, nil, 7, 8))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := icao.ParseRevocationList(b)
		if err != nil {
			if !typed(err) {
				t.Errorf("error %v is of no type", err)
			}
			return
		}
		_ = l.Revokes(of.root)
		_ = l.CheckSignatureFrom(of.root)
	})
}
