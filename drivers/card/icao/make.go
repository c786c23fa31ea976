//lint:file-ignore SA1019 Points of brainpool curves are encoded by crypto/elliptic.

package icao

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"math/big"
	"time"

	"github.com/ProtonMail/go-crypto/brainpool"
)

// A KeyKind is a kind of key that states sign with, or that chips prove. The zero
// KeyKind is ECDSA on P-256.
type KeyKind int

// The kinds that are met in the field. All of them sign with SHA-256. Explicit
// ones spell their curve out in place of naming it.
const (
	KeyP256 KeyKind = iota
	KeyP384
	KeyP521
	KeyBrainpool256
	KeyBrainpool384
	KeyBrainpool512
	KeyP256Explicit
	KeyBrainpool256Explicit
	KeyBrainpool384Explicit
	KeyRSA
	KeyPSS
)

// keyKinds is what each kind is, in the order of the constants.
var keyKinds = []struct {
	name     string
	curve    func() elliptic.Curve // nil for RSA
	explicit bool
}{
	{"P-256", elliptic.P256, false},
	{"P-384", elliptic.P384, false},
	{"P-521", elliptic.P521, false},
	{"brainpoolP256r1", brainpool.P256r1, false},
	{"brainpoolP384r1", brainpool.P384r1, false},
	{"brainpoolP512r1", brainpool.P512r1, false},
	{"P-256 explicit", elliptic.P256, true},
	{"brainpoolP256r1 explicit", brainpool.P256r1, true},
	{"brainpoolP384r1 explicit", brainpool.P384r1, true},
	{"RSA", nil, false},
	{"RSA-PSS", nil, false},
}

// KeyKinds lists all kinds.
func KeyKinds() []KeyKind {
	all := make([]KeyKind, len(keyKinds))
	for i := range all {
		all[i] = KeyKind(i)
	}
	return all
}

func (k KeyKind) String() string {
	if k < 0 || int(k) >= len(keyKinds) {
		return fmt.Sprintf("KeyKind(%d)", int(k))
	}
	return keyKinds[k].name
}

// A SigningKey makes what is checked elsewhere in this package: certificates,
// signed data, and proofs of a chip's key. It is for virtual cards and tests: it
// is plain memory.
type SigningKey struct {
	kind KeyKind
	ec   *ecdsa.PrivateKey
	rsa  *rsa.PrivateKey
}

// rsaBits is the length of the RSA keys made here.
const rsaBits = 2048

// NewSigningKey makes a fresh key.
func NewSigningKey(kind KeyKind) (*SigningKey, error) {
	if kind < 0 || int(kind) >= len(keyKinds) {
		return nil, fmt.Errorf("%w: %v", ErrAlgorithm, kind)
	}
	k := &SigningKey{kind: kind}
	var err error
	if curve := keyKinds[kind].curve; curve != nil {
		k.ec, err = ecdsa.GenerateKey(curve(), rand.Reader)
	} else {
		k.rsa, err = rsa.GenerateKey(rand.Reader, rsaBits)
	}
	return k, err
}

// bits encodes a BIT STRING of whole bytes.
func bitString(b []byte) []byte { return MakeTLV(tagBits, []byte{0}, b) }

// point is the public key as the bits of a SubjectPublicKeyInfo have it.
func (k *SigningKey) point() []byte {
	if k.rsa != nil {
		e := binary.BigEndian.AppendUint32(nil, uint32(k.rsa.E))
		return MakeTLV(tagSeq, integer(k.rsa.N.Bytes()), integer(e))
	}
	return elliptic.Marshal(k.ec.Curve, k.ec.X, k.ec.Y)
}

// PublicKeyInfo is the SubjectPublicKeyInfo, RFC 5280, 4.1.2.7.
func (k *SigningKey) PublicKeyInfo() []byte {
	if k.rsa != nil {
		null := MakeTLV(0x05)
		return MakeTLV(tagSeq, MakeTLV(tagSeq, MakeTLV(tagOID, oidRSA.encode()), null), bitString(k.point()))
	}
	var params []byte
	for id, curve := range namedCurves {
		if curve() == k.ec.Curve {
			params = MakeTLV(tagOID, id.encode())
		}
	}
	if keyKinds[k.kind].explicit {
		params = explicitParameters(k.ec.Curve)
	}
	return MakeTLV(tagSeq, MakeTLV(tagSeq, MakeTLV(tagOID, oidECPublicKey.encode()), params), bitString(k.point()))
}

// explicitParameters is SpecifiedECDomain, X9.62.
func explicitParameters(curve elliptic.Curve) []byte {
	p := curve.Params()
	a, b := coefficients(p)
	field := func(n *big.Int) []byte { return MakeTLV(tagOctets, n.FillBytes(make([]byte, (p.BitSize+7)/8))) }
	return MakeTLV(tagSeq, MakeTLV(tagInt, []byte{1}),
		MakeTLV(tagSeq, MakeTLV(tagOID, oidPrimeField.encode()), integer(p.P.Bytes())),
		MakeTLV(tagSeq, field(a), field(b)),
		MakeTLV(tagOctets, elliptic.Marshal(curve, p.Gx, p.Gy)), integer(p.N.Bytes()), MakeTLV(tagInt, []byte{1}))
}

// Algorithm is the AlgorithmIdentifier of the key's signatures.
func (k *SigningKey) Algorithm() []byte {
	const sha256ID, sha256RSA, ecdsaSHA256 oid = "2.16.840.1.101.3.4.2.1", "1.2.840.113549.1.1.11", "1.2.840.10045.4.3.2"
	null := MakeTLV(0x05)
	switch {
	case k.kind == KeyPSS:
		hash := MakeTLV(tagSeq, MakeTLV(tagOID, sha256ID.encode()), null)
		mask := MakeTLV(tagSeq, MakeTLV(tagOID, oidMGF1.encode()), hash)
		return MakeTLV(tagSeq, MakeTLV(tagOID, oidPSS.encode()), MakeTLV(tagSeq,
			MakeTLV(tagContext0, hash), MakeTLV(tagContext1, mask), MakeTLV(tagContext2, MakeTLV(tagInt, []byte{32}))))
	case k.rsa != nil:
		return MakeTLV(tagSeq, MakeTLV(tagOID, sha256RSA.encode()), null)
	}
	return MakeTLV(tagSeq, MakeTLV(tagOID, ecdsaSHA256.encode()))
}

// Sign is a SignFunc.
func (k *SigningKey) Sign(content []byte) ([]byte, error) {
	sum := digest(crypto.SHA256, content)
	switch {
	case k.kind == KeyPSS:
		return rsa.SignPSS(rand.Reader, k.rsa, crypto.SHA256, sum, &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256})
	case k.rsa != nil:
		return rsa.SignPKCS1v15(rand.Reader, k.rsa, crypto.SHA256, sum)
	}
	return ecdsa.SignASN1(rand.Reader, k.ec, sum)
}

// Prove is a chip's answer to Active Authentication, ICAO 9303-11, 6.1.2: r and s
// side by side, or ISO 9796-2 scheme 1 with as much of the message inside as there
// is room.
func (k *SigningKey) Prove(challenge []byte) ([]byte, error) {
	if k.rsa == nil {
		r, s, err := ecdsa.Sign(rand.Reader, k.ec, digest(crypto.SHA256, challenge))
		if err != nil {
			return nil, err
		}
		size := (k.ec.Params().N.BitLen() + 7) / 8
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...), nil
	}
	const trailer = 2 // 34 CC: SHA-256
	f := make([]byte, k.rsa.Size())
	f[0] = 0x6A
	m1 := f[1 : len(f)-crypto.SHA256.Size()-trailer]
	if _, err := rand.Read(m1); err != nil {
		return nil, err
	}
	copy(f[1+len(m1):], digest(crypto.SHA256, m1, challenge))
	copy(f[len(f)-trailer:], []byte{0x34, 0xCC})
	s := new(big.Int).Exp(new(big.Int).SetBytes(f), k.rsa.D, k.rsa.N)
	return s.FillBytes(f), nil
}

// DG14 builds data group 14 of a chip that proves this key: for RSA it need not
// name the algorithm of Active Authentication, ICAO 9303-11, 9.2.4.
func (k *SigningKey) DG14(pace []PACEInfo, more ...[]byte) []byte {
	if k.rsa != nil {
		return MakeTLV(tagDG14, Infos(pace, more...))
	}
	return DG14(pace, more...)
}

// A Template is what a certificate says.
type Template struct {
	Serial              []byte // content octets of a positive INTEGER
	Issuer, Subject     []byte // Name, DER
	NotBefore, NotAfter time.Time
	PublicKeyInfo       []byte
	CA                  bool
	Usage               byte     // first byte of the KeyUsage bits, RFC 5280, 4.2.1.3
	Extensions          [][]byte // more of them, DER
}

// Certify makes a certificate, signed with this key.
func (k *SigningKey) Certify(t Template) ([]byte, error) {
	const oidKeyUsage, oidBasic, oidKeyID oid = "2.5.29.15", "2.5.29.19", "2.5.29.14"
	yes := MakeTLV(0x01, []byte{0xFF})
	when := func(at time.Time) []byte { return MakeTLV(0x18, []byte(at.UTC().Format("20060102150405Z"))) }
	if t.NotAfter.Year() < 2050 {
		when = func(at time.Time) []byte { return MakeTLV(tagUTCTime, []byte(at.UTC().Format("060102150405Z"))) }
	}
	id := sha1.Sum(t.PublicKeyInfo)
	exts := MakeTLV(tagSeq, MakeTLV(tagOID, oidKeyUsage.encode()), yes, MakeTLV(tagOctets, MakeTLV(tagBits, []byte{0, t.Usage})))
	exts = AppendTLV(exts, tagSeq, MakeTLV(tagOID, oidKeyID.encode()), MakeTLV(tagOctets, MakeTLV(tagOctets, id[:])))
	if t.CA {
		exts = AppendTLV(exts, tagSeq, MakeTLV(tagOID, oidBasic.encode()), yes, MakeTLV(tagOctets, MakeTLV(tagSeq, yes)))
	}
	for _, e := range t.Extensions {
		exts = append(exts, e...)
	}
	tbs := MakeTLV(tagSeq, MakeTLV(tagContext0, MakeTLV(tagInt, []byte{2})), integer(t.Serial), k.Algorithm(),
		t.Issuer, MakeTLV(tagSeq, when(t.NotBefore), when(t.NotAfter)), t.Subject, t.PublicKeyInfo,
		MakeTLV(tagContext3, MakeTLV(tagSeq, exts)))
	signature, err := k.Sign(tbs)
	if err != nil {
		return nil, fmt.Errorf("certify: %w", err)
	}
	return MakeTLV(tagSeq, tbs, k.Algorithm(), bitString(signature)), nil
}
