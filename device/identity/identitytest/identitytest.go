// Package identitytest makes persons' certificates and cards with keys, for the
// tests of what believes them.
package identitytest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"sync"
	"time"

	"kosk/drivers/card"
	"kosk/drivers/signer"
)

// An Authority issues persons' certificates.
type Authority struct {
	Certificate []byte // DER
	key         *ecdsa.PrivateKey
	cert        *x509.Certificate
	from        time.Time
}

// NewAuthority makes one whose certificates are valid around now.
func NewAuthority(name string, now time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	a := &Authority{key: key, from: now.Add(-24 * time.Hour)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{Country: []string{"AZ"}, CommonName: name},
		NotBefore: a.from, NotAfter: now.AddDate(5, 0, 0), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if a.Certificate, err = x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key); err != nil {
		return nil, err
	}
	a.cert, err = x509.ParseCertificate(a.Certificate)
	return a, err
}

// Issue makes a certificate for a person's key; change spoils it, nil doesn't.
func (a *Authority) Issue(key crypto.PublicKey, surname, given, number string, usage x509.KeyUsage, change func(*x509.Certificate)) ([]byte, error) {
	name := func(id int, value string) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, id}, Value: value}
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: a.from, NotAfter: a.from.AddDate(3, 0, 0), KeyUsage: usage,
		Subject: pkix.Name{Country: []string{"AZ"}, ExtraNames: []pkix.AttributeTypeAndValue{name(4, surname), name(42, given), name(5, number)}},
	}
	if change != nil {
		change(template)
	}
	return x509.CreateCertificate(rand.Reader, template, a.cert, key, a.key)
}

// Keys are a card's keys: an Opener, and the Signer that it opens. It checks what
// it is asked, keeps its tries, and zeroes the PIN.
type Keys struct {
	Certs map[signer.Key][]byte
	PINs  map[signer.Key]string

	mu      sync.Mutex
	Tries   map[signer.Key]int // left, at most 3
	Pad     bool
	Err     error      // of the next Open
	Signing signer.Key // whose PIN was last taken
	open    bool
	Broken  []string           // what was done wrong
	Spent   map[signer.Key]int // signatures
	keys    map[signer.Key]crypto.Signer
}

// NewKeys makes a person's card: an EC key to log in, an RSA key to sign.
func NewKeys(a *Authority, surname, given, number string) (*Keys, error) {
	ec, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return nil, err
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	k := &Keys{
		PINs:  map[signer.Key]string{signer.Authentication: "8642", signer.Signature: "97531"},
		Tries: map[signer.Key]int{signer.Authentication: 3, signer.Signature: 3}, Spent: map[signer.Key]int{},
		keys: map[signer.Key]crypto.Signer{signer.Authentication: ec, signer.Signature: rs}, Certs: map[signer.Key][]byte{},
	}
	for key, usage := range map[signer.Key]x509.KeyUsage{
		signer.Authentication: x509.KeyUsageDigitalSignature, signer.Signature: x509.KeyUsageContentCommitment,
	} {
		if k.Certs[key], err = a.Issue(k.keys[key].Public(), surname, given, number, usage, nil); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// Open implements signer.Opener.
func (k *Keys) Open(context.Context) (signer.Signer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.open {
		k.Broken = append(k.Broken, "opened twice")
	}
	if k.Err != nil {
		return nil, k.Err
	}
	k.open = true
	return k, nil
}

// PIN implements signer.Signer.
func (k *Keys) PIN(_ context.Context, key signer.Key) (signer.PIN, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return signer.PIN{Tries: k.Tries[key], Min: 4, Max: 12, Pad: k.Pad}, nil
}

// Certificate implements signer.Signer.
func (k *Keys) Certificate(_ context.Context, key signer.Key) ([]byte, error) {
	if k.Certs[key] == nil {
		return nil, signer.ErrNoKeys
	}
	return bytes.Clone(k.Certs[key]), nil
}

// Sign implements signer.Signer.
func (k *Keys) Sign(ctx context.Context, key signer.Key, pin []byte, hash crypto.Hash, digest []byte) ([]byte, error) {
	defer clear(pin)
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return nil, card.ErrRemoved
	case k.Pad != (pin == nil):
		k.Broken = append(k.Broken, "a pin beside the pad, or none without")
	case k.Tries[key] == 0:
		return nil, signer.ErrBlocked
	case k.Tries[key] == 1:
		return nil, signer.ErrLastTry
	case !k.Pad && string(pin) != k.PINs[key]:
		k.Tries[key]--
		return nil, &signer.PINError{Tries: k.Tries[key]}
	}
	k.Tries[key] = 3
	k.Spent[key]++
	k.Signing = key
	der, err := k.keys[key].Sign(rand.Reader, digest, hash)
	if pub, ok := k.keys[key].Public().(*ecdsa.PublicKey); ok && err == nil {
		return Plain(pub, der)
	}
	return der, err
}

// Close implements signer.Signer.
func (k *Keys) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.open = false
	return nil
}

// Plain writes an EC signature as tokens do: r and s of equal length.
func Plain(key *ecdsa.PublicKey, der []byte) ([]byte, error) {
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &rs); err != nil {
		return nil, err
	}
	size := (key.Curve.Params().N.BitLen() + 7) / 8
	out := make([]byte, 2*size)
	rs.R.FillBytes(out[:size])
	rs.S.FillBytes(out[size:])
	return out, nil
}
