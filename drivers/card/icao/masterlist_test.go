package icao_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"kosk/drivers/card/icao"
)

// listDay is a day after the list in testdata was signed.
var listDay = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func germanRoot(t testing.TB) *icao.Certificate {
	t.Helper()
	root, err := icao.ParseCertificate(readFile(t, "masterlist/DE_ROOT_CA_CSCA07.cer"))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// The German list of 2026-05-28 is taken whole: RSA, PSS, named curves and
// explicit parameters.
func TestGermanMasterListLoadsWhole(t *testing.T) {
	begun := time.Now()
	list, err := icao.ParseMasterList(readFile(t, "masterlist/DE_ML_2026-05-28-08-28-45.ml"), germanRoot(t), listDay)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("read and verified in %v", time.Since(begun))
	azerbaijan := 0
	for _, c := range list.Certificates {
		if c.Subject.Country == "AZ" {
			azerbaijan++
		}
	}
	if len(list.Certificates) != 588 || azerbaijan != 3 {
		t.Errorf("%d certificates, %d of them of AZ; want 588 and 3", len(list.Certificates), azerbaijan)
	}
}

// refusals are all the reasons that a list may be refused for.
var refusals = []error{icao.ErrTLV, icao.ErrSignature, icao.ErrRoot, icao.ErrCertificate, icao.ErrAlgorithm}

func typed(err error) bool {
	return slices.ContainsFunc(refusals, func(want error) bool { return errors.Is(err, want) })
}

// Every 4099th byte of the content, and every 29th of what follows, is flipped.
// Certificates that came along for company are nobody's word: a flip there may
// stay without effect, but must not change the list.
func TestFlippedByteSpoilsTheMasterList(t *testing.T) {
	root, file := germanRoot(t), readFile(t, "masterlist/DE_ML_2026-05-28-08-28-45.ml")
	const contentEnd = 899732
	flips, unnoticed := 0, 0
	for i := 0; i < len(file); {
		file[i] ^= 0x55
		list, err := icao.ParseMasterList(file, root, listDay)
		file[i] ^= 0x55
		flips++
		switch {
		case err != nil && !typed(err):
			t.Errorf("byte %d: error %v is of no type", i, err)
		case err == nil && i > 66 && i < contentEnd:
			t.Errorf("byte %d: the flip went unnoticed", i)
		case err == nil:
			unnoticed++
			if len(list.Certificates) != 588 {
				t.Errorf("byte %d: %d certificates", i, len(list.Certificates))
			}
		}
		if i < contentEnd {
			i += 4099
		} else {
			i += 29
		}
	}
	t.Logf("%d bytes flipped; %d flips outside of what is signed had no effect", flips, unnoticed)
}

func TestTruncatedMasterListIsRefused(t *testing.T) {
	root, file := germanRoot(t), readFile(t, "masterlist/DE_ML_2026-05-28-08-28-45.ml")
	for _, n := range []int{0, 1, 60, 4096, len(file) / 2, 899732, len(file) - 71, len(file) - 1} {
		if _, err := icao.ParseMasterList(file[:n], root, listDay); !errors.Is(err, icao.ErrTLV) {
			t.Errorf("first %d bytes: error = %v, want %v", n, err, icao.ErrTLV)
		}
	}
}

// state is a CSCA made for the test, and a master list signer of it.
type state struct {
	root, signer *icao.Certificate
	key          *ecdsa.PrivateKey
}

// newState makes a state whose signer is for this purpose, which may be nil.
func newState(t testing.TB, purpose asn1.ObjectIdentifier) state {
	t.Helper()
	name := pkix.Name{Country: []string{"XX"}, CommonName: "CSCA"}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: name, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: listDay.AddDate(-1, 0, 0), NotAfter: listDay.AddDate(1, 0, 0),
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{Country: []string{"XX"}, CommonName: "lists"}, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: listDay.AddDate(0, -1, 0), NotAfter: listDay.AddDate(0, 1, 0),
	}
	if purpose != nil {
		leaf.UnknownExtKeyUsage = []asn1.ObjectIdentifier{purpose}
	}
	rootKey, key := newKey(t), newKey(t)
	return state{
		root:   certify(t, root, root, &rootKey.PublicKey, rootKey),
		signer: certify(t, leaf, root, &key.PublicKey, rootKey), key: key,
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func certify(t testing.TB, c, issuer *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) *icao.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, issuer, public, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := icao.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// list signs a master list of the state's own root.
func (s state) list(t testing.TB, at time.Time, members ...[]byte) []byte {
	t.Helper()
	content := icao.MakeTLV(0x30, []byte{2, 1, 0}, icao.MakeTLV(0x31, members...))
	list, err := icao.SignData("2.23.136.1.1.2", content, s.signer, at, func(b []byte) ([]byte, error) {
		sum := sha256.Sum256(b)
		return ecdsa.SignASN1(rand.Reader, s.key, sum[:])
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestMasterListIsBelievedOnlyFromThePinnedRoot(t *testing.T) {
	forLists := asn1.ObjectIdentifier{2, 23, 136, 1, 1, 3}
	good, stranger, clerk := newState(t, forLists), newState(t, forLists), newState(t, nil)
	member := good.root.Raw
	tests := []struct {
		name string
		list []byte
		root *icao.Certificate
		want error
	}{
		{"as it should be", good.list(t, listDay, member), good.root, nil},
		{"another root of another name", good.list(t, listDay, member), germanRoot(t), icao.ErrRoot},
		{"another root of the same name", good.list(t, listDay, member), stranger.root, icao.ErrRoot},
		{"another key of the same name", good.list(t, listDay, member), stranger.root, icao.ErrSignature},
		{"signer itself as root", good.list(t, listDay, member), good.signer, icao.ErrRoot},
		{"signer that is not for lists", clerk.list(t, listDay, member), clerk.root, icao.ErrCertificate},
		{"signed in the future", good.list(t, listDay.AddDate(0, 0, 1), member), good.root, icao.ErrCertificate},
		{"signed before the signer was valid", good.list(t, listDay.AddDate(0, -2, 0), member), good.root, icao.ErrCertificate},
		{"a member that is no certificate", good.list(t, listDay, member, []byte{0x30, 0}), good.root, icao.ErrTLV},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			list, err := icao.ParseMasterList(tt.list, tt.root, listDay)
			if !errors.Is(err, tt.want) {
				t.Fatalf("error = %v, want %v", err, tt.want)
			}
			if (list != nil) != (tt.want == nil) {
				t.Error("a list came with the error, or none without")
			}
		})
	}
}

func FuzzMasterList(f *testing.F) {
	s := newState(f, asn1.ObjectIdentifier{2, 23, 136, 1, 1, 3})
	f.Add(s.list(f, listDay, s.root.Raw))
	f.Add(readFile(f, "masterlist/DE_ROOT_CA_CSCA07.cer"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if list, err := icao.ParseMasterList(b, s.root, listDay); err == nil && len(list.Certificates) != 1 {
			t.Errorf("a list of %d was believed", len(list.Certificates))
		} else if err != nil && !typed(err) {
			t.Errorf("error %v is of no type", err)
		}
	})
}
