package vcard

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"kosk/drivers/card/icao"
)

// A PKI is a state that issues virtual cards: for every kind of key a
// certification authority and a document signer, and beside them pairs of the same
// names that nobody trusts; and an authority for the certificates of persons. Its
// keys live as long as the process.
type PKI struct {
	trusted        map[icao.KeyKind]authority
	people, nobody people

	mu       sync.Mutex
	stranger map[icao.KeyKind]authority // guarded by mu; made when a card wants them
}

// An authority is one certification authority with its document signer.
type authority struct {
	root   []byte // certificate, DER
	signer *icao.Certificate
	key    *icao.SigningKey
}

// ErrNoKey says that a PKI was made without keys of the kind that a card wants.
var ErrNoKey = errors.New("no key of that kind")

// NewPKI makes fresh keys, on P-256 and of the kinds given. RSA keys take their
// time.
func NewPKI(kinds ...icao.KeyKind) (*PKI, error) {
	p := &PKI{trusted: make(map[icao.KeyKind]authority), stranger: make(map[icao.KeyKind]authority)}
	for _, kind := range append([]icao.KeyKind{icao.KeyP256}, kinds...) {
		if _, made := p.trusted[kind]; made {
			continue
		}
		a, err := newAuthority(kind)
		if err != nil {
			return nil, fmt.Errorf("make pki: %w", err)
		}
		p.trusted[kind] = a
	}
	var err error
	if p.people, err = newPeople(); err != nil {
		return nil, fmt.Errorf("make pki: %w", err)
	}
	if p.nobody, err = newPeople(); err != nil {
		return nil, fmt.Errorf("make pki: %w", err)
	}
	return p, nil
}

// state is who signs a card: one who is trusted, or a stranger of the same name.
func (p *PKI) state(kind icao.KeyKind, stranger bool) (authority, error) {
	a, made := p.trusted[kind]
	if !made {
		return a, fmt.Errorf("%w: %v", ErrNoKey, kind)
	}
	if !stranger {
		return a, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	a, made = p.stranger[kind]
	if made {
		return a, nil
	}
	a, err := newAuthority(kind)
	p.stranger[kind] = a
	return a, err
}

// Bundle is the certificates of the certification authorities, in DER, that
// genuine cards of this PKI lead to.
func (p *PKI) Bundle() [][]byte {
	var all [][]byte
	for _, kind := range icao.KeyKinds() {
		if a, made := p.trusted[kind]; made {
			all = append(all, a.root)
		}
	}
	return all
}

// People is the certificate of the authority, in DER, that the certificates of
// genuine cards' own keys lead to.
func (p *PKI) People() []byte { return p.people.cert.Raw }

func newAuthority(kind icao.KeyKind) (authority, error) {
	rootKey, err := icao.NewSigningKey(kind)
	if err != nil {
		return authority{}, err
	}
	key, err := icao.NewSigningKey(kind)
	if err != nil {
		return authority{}, err
	}
	suffix := ""
	if kind != icao.KeyP256 {
		suffix = " " + kind.String()
	}
	issuer, err := asn1.Marshal(name("Virtual CSCA" + suffix).ToRDNSequence())
	if err != nil {
		return authority{}, err
	}
	subject, err := asn1.Marshal(name("Virtual Document Signer" + suffix).ToRDNSequence())
	if err != nil {
		return authority{}, err
	}
	now := time.Now()
	const certSignAndCRL, digitalSignature = 0x06, 0x80
	t := icao.Template{
		Serial: serial().Bytes(), Issuer: issuer, Subject: issuer, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(12, 0, 0),
		PublicKeyInfo: rootKey.PublicKeyInfo(), CA: true, Usage: certSignAndCRL,
	}
	root, err := rootKey.Certify(t)
	if err != nil {
		return authority{}, err
	}
	t.Serial, t.Subject, t.PublicKeyInfo, t.CA, t.Usage = serial().Bytes(), subject, key.PublicKeyInfo(), false, digitalSignature
	der, err := rootKey.Certify(t)
	if err != nil {
		return authority{}, err
	}
	signer, err := icao.ParseCertificate(der)
	return authority{root: root, signer: signer, key: key}, err
}

func serial() *big.Int {
	n, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 96)) // never fails, says crypto/rand
	return n.Add(n, big.NewInt(1))
}

func name(common string) pkix.Name {
	return pkix.Name{Country: []string{"AZ"}, Organization: []string{"Kosk Test"}, CommonName: common}
}

// people is the authority that certifies the keys of persons' cards.
type people struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newPeople() (people, error) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return people{}, err
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: serial(), Subject: name("Virtual Identity CA"), NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(12, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return people{}, err
	}
	cert, err := x509.ParseCertificate(der)
	return people{cert, key}, err
}

// Attributes of a person's name, X.520, 6.2.4 and 6.2.8.
var (
	oidSurname   = asn1.ObjectIdentifier{2, 5, 4, 4}
	oidGivenName = asn1.ObjectIdentifier{2, 5, 4, 42}
)

// certify makes the certificate of one of a person's keys, as identity cards have
// them: the personal number is the subject's serial number.
func (p people) certify(who Person, key *ecdsa.PublicKey, signature bool) ([]byte, error) {
	unit, usage := "authentication", x509.KeyUsageDigitalSignature|x509.KeyUsageKeyAgreement
	var extended []x509.ExtKeyUsage
	if signature {
		unit, usage = "digital signature", x509.KeyUsageContentCommitment
	} else {
		extended = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	expires := who.Expires
	if limit := p.cert.NotAfter; expires.IsZero() || expires.After(limit) {
		expires = limit
	}
	begins := time.Now().AddDate(0, -1, 0)
	if !begins.Before(expires) {
		begins = expires.AddDate(-10, 0, 0)
	}
	t := &x509.Certificate{
		SerialNumber: serial(), NotBefore: begins, NotAfter: expires, KeyUsage: usage, ExtKeyUsage: extended,
		Subject: pkix.Name{
			Country: []string{"AZ"}, Organization: []string{"Kosk Test"}, OrganizationalUnit: []string{unit},
			SerialNumber: who.FIN, CommonName: who.Surname + "," + who.GivenNames + "," + who.FIN,
			ExtraNames: []pkix.AttributeTypeAndValue{{Type: oidSurname, Value: who.Surname}, {Type: oidGivenName, Value: who.GivenNames}},
		},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, p.cert, key, p.key)
	if err != nil {
		return nil, fmt.Errorf("certify: %w", err)
	}
	return der, nil
}
