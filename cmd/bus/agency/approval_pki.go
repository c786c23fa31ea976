package agency

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"kosk/device/keep"
)

// The keys of the simulated provider: an authority that certifies the keys on
// persons' phones, and a key of its own for its word. They are kept in a file, so
// that a kiosk's trust bundle outlives the bus.

// approvalFile is the file in the bus's folder.
const approvalFile = "approval.json"

// approvalKeys are what the file holds: DER.
type approvalKeys struct {
	Authority    []byte `json:"authority"`
	AuthorityKey []byte `json:"authority_key"` // PKCS#8
	Provider     []byte `json:"provider"`
	ProviderKey  []byte `json:"provider_key"`
}

// issuer is the keys, ready for use.
type issuer struct {
	authority *x509.Certificate
	key       *ecdsa.PrivateKey
	provider  []byte
	word      *ecdsa.PrivateKey
}

func openIssuer(dir string) (*issuer, error) {
	path := filepath.Join(dir, approvalFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if data, err = newApprovalKeys(time.Now()); err != nil {
			return nil, err
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		if err := keep.File(path, data); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	var k approvalKeys
	if err := json.Unmarshal(data, &k); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	i := &issuer{provider: k.Provider}
	if i.authority, err = x509.ParseCertificate(k.Authority); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if i.key, err = parseECKey(k.AuthorityKey); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if i.word, err = parseECKey(k.ProviderKey); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return i, nil
}

func parseECKey(der []byte) (*ecdsa.PrivateKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("no ec key")
	}
	return key, nil
}

// newApprovalKeys makes the file.
func newApprovalKeys(now time.Time) ([]byte, error) {
	ca, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	word, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	name := func(common string) pkix.Name {
		return pkix.Name{Country: []string{"AZ"}, Organization: []string{"Kosk Test"}, CommonName: common}
	}
	top := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: name("Simulated Approval CA"), NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	var k approvalKeys
	if k.Authority, err = x509.CreateCertificate(rand.Reader, top, top, &ca.PublicKey, ca); err != nil {
		return nil, err
	}
	end := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: name("Simulated Provider"), NotBefore: top.NotBefore, NotAfter: top.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if k.Provider, err = x509.CreateCertificate(rand.Reader, end, top, &word.PublicKey, ca); err != nil {
		return nil, err
	}
	if k.AuthorityKey, err = x509.MarshalPKCS8PrivateKey(ca); err != nil {
		return nil, err
	}
	if k.ProviderKey, err = x509.MarshalPKCS8PrivateKey(word); err != nil {
		return nil, err
	}
	return json.MarshalIndent(k, "", "  ")
}

// phone signs a statement with a fresh key of the person's phone, certified for
// the one use.
func (i *issuer) phone(p Person, statement []byte, sign bool, now time.Time) (cert, signature []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 96))
	if err != nil {
		return nil, nil, err
	}
	usage := x509.KeyUsageDigitalSignature
	if sign {
		usage = x509.KeyUsageContentCommitment
	}
	attribute := func(id int, value string) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, id}, Value: value}
	}
	t := &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(3)), NotBefore: now.Add(-time.Minute), NotAfter: now.AddDate(1, 0, 0), KeyUsage: usage,
		Subject: pkix.Name{Country: []string{"AZ"}, ExtraNames: []pkix.AttributeTypeAndValue{
			attribute(4, p.Surname), attribute(42, p.GivenNames), attribute(5, "PNOAZ-"+p.FIN), // EN 319 412-1, 5.1.3
		}},
	}
	if cert, err = x509.CreateCertificate(rand.Reader, t, i.authority, &key.PublicKey, i.key); err != nil {
		return nil, nil, err
	}
	signature, err = plainSignature(key, statement)
	return cert, signature, err
}

// plainSignature is r and s side by side over SHA-256, as tokens make it.
func plainSignature(key *ecdsa.PrivateKey, content []byte) ([]byte, error) {
	sum := sha256.Sum256(content)
	der, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &rs); err != nil {
		return nil, err
	}
	out := make([]byte, 64)
	rs.R.FillBytes(out[:32])
	rs.S.FillBytes(out[32:])
	return out, nil
}
