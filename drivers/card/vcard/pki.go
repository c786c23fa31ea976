package vcard

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"time"

	"kosk/drivers/card/icao"
)

// A PKI is a state that issues virtual cards: a certification authority and a
// document signer, and beside them a pair of the same names that nobody trusts.
// Its keys live as long as the process.
type PKI struct {
	trusted, stranger authority
}

// An authority is one certification authority with its document signer.
type authority struct {
	root   []byte // certificate, DER
	signer *icao.Certificate
	key    *ecdsa.PrivateKey
}

// NewPKI makes fresh keys on P-256.
func NewPKI() (*PKI, error) {
	trusted, err := newAuthority()
	if err != nil {
		return nil, fmt.Errorf("make pki: %w", err)
	}
	stranger, err := newAuthority()
	if err != nil {
		return nil, fmt.Errorf("make pki: %w", err)
	}
	return &PKI{trusted: trusted, stranger: stranger}, nil
}

// Bundle is the certificates of the certification authorities, in DER, that
// genuine cards of this PKI lead to.
func (p *PKI) Bundle() [][]byte { return [][]byte{p.trusted.root} }

func newAuthority() (authority, error) {
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, err
	}
	root := template("Virtual CSCA")
	root.IsCA, root.BasicConstraintsValid = true, true
	root.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, &rootKey.PublicKey, rootKey)
	if err != nil {
		return authority{}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, err
	}
	signer := template("Virtual Document Signer")
	signer.KeyUsage = x509.KeyUsageDigitalSignature
	signerDER, err := x509.CreateCertificate(rand.Reader, signer, root, &key.PublicKey, rootKey)
	if err != nil {
		return authority{}, err
	}
	cert, err := icao.ParseCertificate(signerDER)
	return authority{root: rootDER, signer: cert, key: key}, err
}

func template(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 96))
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{Country: []string{"AZ"}, Organization: []string{"Kosk Test"}, CommonName: name},
		NotBefore:    now.AddDate(-1, 0, 0),
		NotAfter:     now.AddDate(12, 0, 0),
	}
}

// sign is a document signer's signature: ECDSA with SHA-256, in DER.
func (a authority) sign(content []byte) ([]byte, error) {
	sum := sha256.Sum256(content)
	return ecdsa.SignASN1(rand.Reader, a.key, sum[:])
}
