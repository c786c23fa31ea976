package server

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"kosk/cmd/bus/agency"
	"kosk/device/identity"
	"kosk/device/request"
	"kosk/drivers/card/icao"
	"kosk/drivers/card/vcard"
)

// A csca is a state's authority that can take its signer's certificate back.
type csca struct {
	root              *x509.Certificate
	signer            *icao.Certificate
	rootKey, signedBy *ecdsa.PrivateKey
}

const signerSerial = 300

func newCSCA(t *testing.T, country string) csca {
	t.Helper()
	template := func(serial int64, use x509.KeyUsage) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{Country: []string{country}, CommonName: big.NewInt(serial).String()},
			NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().AddDate(5, 0, 0), KeyUsage: use,
		}
	}
	c := csca{rootKey: newKey(t), signedBy: newKey(t)}
	root := template(1, x509.KeyUsageCertSign|x509.KeyUsageCRLSign)
	root.IsCA, root.BasicConstraintsValid = true, true
	der, err := x509.CreateCertificate(rand.Reader, root, root, &c.rootKey.PublicKey, c.rootKey)
	if err != nil {
		t.Fatal(err)
	}
	if c.root, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	der, err = x509.CreateCertificate(rand.Reader, template(signerSerial, x509.KeyUsageDigitalSignature), c.root, &c.signedBy.PublicKey, c.rootKey)
	if err != nil {
		t.Fatal(err)
	}
	if c.signer, err = icao.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c
}

// list is a revocation list that is followed by another one at next.
func (c csca) list(t *testing.T, next time.Time, serials ...int64) []byte {
	t.Helper()
	r := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: next.AddDate(0, -1, 0), NextUpdate: next}
	for _, n := range serials {
		r.RevokedCertificateEntries = append(r.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(n), RevocationTime: r.ThisUpdate})
	}
	der, err := x509.CreateRevocationList(rand.Reader, r, c.root, c.rootKey)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// What the signer's own state says of it reaches the kiosk: a signer that was
// taken back is refused for good; a list that is too old is the bus's fault, and
// the kiosk is asked to come again.
func TestEvidenceBySignersThatAreNotGood(t *testing.T) {
	now := time.Now()
	for name, tt := range map[string]struct {
		country string
		list    func(c csca) []byte
		status  int
		reason  string
	}{
		"a good one":               {"AZ", func(c csca) []byte { return c.list(t, now.AddDate(0, 0, 1)) }, http.StatusCreated, ""},
		"taken back":               {"AZ", func(c csca) []byte { return c.list(t, now.AddDate(0, 0, 1), signerSerial) }, http.StatusBadRequest, reasonEvidenceRevoked},
		"of another state":         {"XX", func(c csca) []byte { return c.list(t, now.AddDate(0, 0, 1)) }, http.StatusBadRequest, reasonEvidenceForeign},
		"and a list of long since": {"AZ", func(c csca) []byte { return c.list(t, now.Add(-identity.Grace-time.Hour)) }, http.StatusServiceUnavailable, reasonEvidenceStale},
	} {
		t.Run(name, func(t *testing.T) {
			c, phones := newCSCA(t, tt.country), newPhones(t)
			b := open(t, t.TempDir(), func(o *Config) { o.Approvals = phones })
			person, word := phones.Trust()
			path := filepath.Join(t.TempDir(), "trust.json")
			err := identity.WriteBundle(path, identity.Bundle{
				Version: 1, Issued: now, Development: true, Anchors: [][]byte{c.root.Raw}, Revocations: [][]byte{tt.list(c)},
				Persons: [][]byte{person}, Providers: [][]byte{word},
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.Registry.SetTrust(path, nil); err != nil {
				t.Fatal(err)
			}
			chip := newIssuer(t, 1, phones).read(t, vcard.Profile{})
			chip.SOD, err = icao.SOD(chip.Groups, c.signer, now, func(b []byte) ([]byte, error) {
				sum := sha256.Sum256(b)
				return ecdsa.SignASN1(rand.Reader, c.signedBy, sum[:])
			})
			if err != nil {
				t.Fatal(err)
			}
			k := b.station("KIOSK-001")
			d := draftOf(k, 0)
			d.Assurance, d.Evidence, d.Login = "genuine", request.EvidenceOf(chip), k.login(agency.Population()[0], request.UseLogin)
			resp, v := k.ask(http.MethodPut, base+"/v1/submissions/"+string(d.ID), k.seal(d))
			if resp.StatusCode != tt.status || tt.reason != "" && v["reason"] != tt.reason {
				t.Errorf("%s %v, want %d %s", resp.Status, v, tt.status, tt.reason)
			}
			if again := resp.Header.Get("Retry-After") != ""; again != (tt.status == http.StatusServiceUnavailable) {
				t.Errorf("asked to come again: %v", again)
			}
		})
	}
}
