//lint:file-ignore SA1019 The mappings of PACE and brainpool need the points of crypto/elliptic.

package icao

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"math/big"

	"github.com/ProtonMail/go-crypto/brainpool"
)

// Errors of signatures and keys.
var (
	// ErrSignature says that a signature does not fit key and content.
	ErrSignature = errors.New("wrong signature")
	// ErrAlgorithm says that a key or signature is of a kind not spoken here.
	ErrAlgorithm = errors.New("unknown algorithm")
)

const (
	oidRSA         oid = "1.2.840.113549.1.1.1"
	oidMGF1        oid = "1.2.840.113549.1.1.8"
	oidPSS         oid = "1.2.840.113549.1.1.10"
	oidECPublicKey oid = "1.2.840.10045.2.1"
	oidPrimeField  oid = "1.2.840.10045.1.1"
	// oidStandardized is a key on a curve of ICAO 9303-11, 9.5.1, by its number.
	oidStandardized oid = "0.4.0.127.0.7.1.2"
)

var hashes = map[oid]crypto.Hash{
	"1.3.14.3.2.26":          crypto.SHA1,
	"2.16.840.1.101.3.4.2.4": crypto.SHA224,
	"2.16.840.1.101.3.4.2.1": crypto.SHA256,
	"2.16.840.1.101.3.4.2.2": crypto.SHA384,
	"2.16.840.1.101.3.4.2.3": crypto.SHA512,
}

// signatures names the algorithms that carry their hash; PSS carries it in its
// parameters.
var signatures = map[oid]struct {
	hash  crypto.Hash
	ec    bool
	plain bool // r and s side by side, BSI TR-03111, 5.2.1
}{
	"1.2.840.113549.1.1.5":  {hash: crypto.SHA1},
	"1.2.840.113549.1.1.14": {hash: crypto.SHA224},
	"1.2.840.113549.1.1.11": {hash: crypto.SHA256},
	"1.2.840.113549.1.1.12": {hash: crypto.SHA384},
	"1.2.840.113549.1.1.13": {hash: crypto.SHA512},
	"1.2.840.10045.4.1":     {hash: crypto.SHA1, ec: true},
	"1.2.840.10045.4.3.1":   {hash: crypto.SHA224, ec: true},
	"1.2.840.10045.4.3.2":   {hash: crypto.SHA256, ec: true},
	"1.2.840.10045.4.3.3":   {hash: crypto.SHA384, ec: true},
	"1.2.840.10045.4.3.4":   {hash: crypto.SHA512, ec: true},
	oidPlain + ".1":         {hash: crypto.SHA1, ec: true, plain: true},
	oidPlain + ".2":         {hash: crypto.SHA224, ec: true, plain: true},
	oidPlain + ".3":         {hash: crypto.SHA256, ec: true, plain: true},
	oidPlain + ".4":         {hash: crypto.SHA384, ec: true, plain: true},
	oidPlain + ".5":         {hash: crypto.SHA512, ec: true, plain: true},
}

var namedCurves = map[oid]func() elliptic.Curve{
	"1.3.132.0.33":          elliptic.P224,
	"1.2.840.10045.3.1.7":   elliptic.P256,
	"1.3.132.0.34":          elliptic.P384,
	"1.3.132.0.35":          elliptic.P521,
	"1.3.36.3.3.2.8.1.1.7":  brainpool.P256r1,
	"1.3.36.3.3.2.8.1.1.11": brainpool.P384r1,
	"1.3.36.3.3.2.8.1.1.13": brainpool.P512r1,
}

// brainpoolA is the coefficient a of the random brainpool curves, RFC 5639, 3,
// which elliptic.CurveParams has no field for; the NIST curves have p-3.
var brainpoolA = map[string]string{
	"brainpoolP256r1": "7D5A0975FC2C3057EEF67530417AFFE7FB8055C126DC5C6CE94A4B44F330B5D9",
	"brainpoolP384r1": "7BC382C63D8C150C3C72080ACE05AFA0C2BEA28E4FB22787139165EFBA91F90F8AA5814A503AD4EB04A8C7DD22CE2826",
	"brainpoolP512r1": "7830A3318B603B89E2327145AC234CC594CBDD8D3DF91610A83441CAEA9863BC2DED5D5AA8253AA10A2EF1C98B9AC8B57F1117A72BF2C7B9E7C1AC4D77FC94CA",
}

// A PublicKey is an RSA key, or a point on one of the curves spoken here.
type PublicKey struct {
	rsa *rsa.PublicKey
	ec  *ecdsa.PublicKey
}

// RSA says whether it is an RSA key.
func (k *PublicKey) RSA() bool { return k.rsa != nil }

// ParsePublicKey reads a SubjectPublicKeyInfo, RFC 5280, 4.1.2.7.
func ParsePublicKey(der []byte) (*PublicKey, error) {
	body, err := Unwrap(der, tagSeq)
	if err != nil {
		return nil, err
	}
	c := cursor{body}
	algorithm, err := c.into(tagSeq)
	if err != nil {
		return nil, err
	}
	id, err := algorithm.oid()
	if err != nil {
		return nil, err
	}
	bits, err := c.bits()
	if err != nil {
		return nil, err
	}
	switch id {
	case oidRSA, oidPSS:
		return parseRSA(bits)
	case oidECPublicKey:
		curve, err := parseCurve(algorithm)
		if err != nil {
			return nil, err
		}
		return parsePoint(curve, bits)
	case oidStandardized:
		number, err := algorithm.number()
		if err != nil {
			return nil, err
		}
		c, known := standardCurves[number]
		if !known {
			return nil, fmt.Errorf("%w: domain parameters %d", ErrAlgorithm, number)
		}
		return parsePoint(c.curve(), bits)
	}
	return nil, fmt.Errorf("%w: key %s", ErrAlgorithm, id)
}

func parsePoint(curve elliptic.Curve, bits []byte) (*PublicKey, error) {
	x, y := elliptic.Unmarshal(curve, bits)
	if x == nil {
		return nil, fmt.Errorf("%w: point is not on the curve", ErrAlgorithm)
	}
	return &PublicKey{ec: &ecdsa.PublicKey{Curve: curve, X: x, Y: y}}, nil
}

func parseRSA(bits []byte) (*PublicKey, error) {
	body, err := Unwrap(bits, tagSeq)
	if err != nil {
		return nil, err
	}
	c := cursor{body}
	n, err := c.positive()
	if err != nil {
		return nil, err
	}
	e, err := c.number()
	if err != nil {
		return nil, err
	}
	if n.BitLen() < 1024 || n.BitLen() > 8192 || e < 3 || e&1 == 0 {
		return nil, fmt.Errorf("%w: rsa key of %d bits", ErrAlgorithm, n.BitLen())
	}
	return &PublicKey{rsa: &rsa.PublicKey{N: n, E: e}}, nil
}

// parseCurve reads ECParameters, RFC 5480, 2.1.1: a name, or explicit parameters
// that must be those of a known curve. Others are refused: whoever chooses the
// parameters can choose them weak.
func parseCurve(algorithm cursor) (elliptic.Curve, error) {
	if name, ok, err := algorithm.optional(tagOID); err != nil {
		return nil, err
	} else if ok {
		id, err := parseOID(name)
		if err != nil {
			return nil, err
		}
		if curve, known := namedCurves[id]; known {
			return curve(), nil
		}
		return nil, fmt.Errorf("%w: curve %s", ErrAlgorithm, id)
	}
	e, err := parseExplicit(algorithm)
	if err != nil {
		return nil, err
	}
	for _, known := range namedCurves {
		if curve := known(); e.equal(curve) {
			return curve, nil
		}
	}
	return nil, fmt.Errorf("%w: explicit curve", ErrAlgorithm)
}

// explicit is SpecifiedECDomain over a prime field, X9.62.
type explicit struct {
	p, a, b, n *big.Int
	base       []byte
	cofactor   int
}

func parseExplicit(algorithm cursor) (e explicit, err error) {
	c, err := algorithm.into(tagSeq)
	if err != nil {
		return e, err
	}
	if _, err = c.number(); err != nil {
		return e, err
	}
	fieldID, err := c.into(tagSeq)
	if err != nil {
		return e, err
	}
	if id, err := fieldID.oid(); err != nil || id != oidPrimeField {
		return e, fmt.Errorf("%w: field %s", ErrAlgorithm, id)
	}
	if e.p, err = fieldID.positive(); err != nil {
		return e, err
	}
	curve, err := c.into(tagSeq)
	if err != nil {
		return e, err
	}
	a, errA := curve.next(tagOctets)
	b, errB := curve.next(tagOctets)
	base, errG := c.next(tagOctets)
	n, errN := c.positive()
	if err := errors.Join(errA, errB, errG, errN); err != nil {
		return e, err
	}
	e.a, e.b, e.n, e.base, e.cofactor = new(big.Int).SetBytes(a), new(big.Int).SetBytes(b), n, base, 1
	if !c.done() {
		e.cofactor, err = c.number()
	}
	return e, err
}

func (e explicit) equal(curve elliptic.Curve) bool {
	p := curve.Params()
	a, b := coefficients(p)
	if e.p.Cmp(p.P) != 0 || e.a.Cmp(a) != 0 || e.b.Cmp(b) != 0 || e.n.Cmp(p.N) != 0 || e.cofactor != 1 {
		return false
	}
	return bytes.Equal(e.base, elliptic.Marshal(curve, p.Gx, p.Gy)) ||
		bytes.Equal(e.base, elliptic.MarshalCompressed(curve, p.Gx, p.Gy))
}

// coefficients gives a and b of y² = x³ + ax + b. b follows from the generator,
// since the brainpool package does not tell it.
func coefficients(p *elliptic.CurveParams) (a, b *big.Int) {
	a = new(big.Int).Sub(p.P, big.NewInt(3))
	if hex, ok := brainpoolA[p.Name]; ok {
		a.SetString(hex, 16)
	}
	x := new(big.Int).Mul(p.Gx, p.Gx)
	x.Add(x, a).Mul(x, p.Gx)
	b = new(big.Int).Mul(p.Gy, p.Gy)
	return a, b.Sub(b, x).Mod(b, p.P)
}

// An Algorithm is an AlgorithmIdentifier: its object identifier and parameters.
type Algorithm struct {
	id     oid
	params []byte
}

func (c *cursor) algorithm() (Algorithm, error) {
	body, err := c.into(tagSeq)
	if err != nil {
		return Algorithm{}, err
	}
	id, err := body.oid()
	return Algorithm{id, body.rest}, err
}

func (a Algorithm) hash() (crypto.Hash, error) {
	if h, ok := hashes[a.id]; ok {
		return h, nil
	}
	return 0, fmt.Errorf("%w: hash %s", ErrAlgorithm, a.id)
}

// makers are the hashes that hashes and signatures name.
var makers = map[crypto.Hash]func() hash.Hash{
	crypto.SHA1: sha1.New, crypto.SHA224: sha256.New224, crypto.SHA256: sha256.New,
	crypto.SHA384: sha512.New384, crypto.SHA512: sha512.New,
}

func digest(h crypto.Hash, parts ...[]byte) []byte {
	d := makers[h]()
	for _, p := range parts {
		d.Write(p)
	}
	return d.Sum(nil)
}

// Verify checks a signature over content. digestAlgorithm is the hash that stands
// beside it, for identifiers such as rsaEncryption that name none; it may be 0.
func (k *PublicKey) Verify(a Algorithm, digestAlgorithm crypto.Hash, content, signature []byte) error {
	if a.id == oidPSS {
		return k.verifyPSS(a, content, signature)
	}
	s, known := signatures[a.id]
	if !known && digestAlgorithm != 0 {
		s.hash, s.ec = digestAlgorithm, a.id == oidECPublicKey
		known = a.id == oidRSA || s.ec
	}
	switch {
	case !known:
		return fmt.Errorf("%w: signature %s", ErrAlgorithm, a.id)
	case s.ec && k.ec != nil && s.plain:
		return k.verifyPlain(s.hash, content, signature)
	case s.ec && k.ec != nil:
		if ecdsa.VerifyASN1(k.ec, digest(s.hash, content), signature) {
			return nil
		}
	case !s.ec && k.rsa != nil:
		if rsa.VerifyPKCS1v15(k.rsa, s.hash, digest(s.hash, content), signature) == nil {
			return nil
		}
	default:
		return fmt.Errorf("%w: signature %s with another kind of key", ErrAlgorithm, a.id)
	}
	return ErrSignature
}

// verifyPlain checks r and s side by side.
func (k *PublicKey) verifyPlain(h crypto.Hash, content, signature []byte) error {
	size := (k.ec.Params().N.BitLen() + 7) / 8
	if len(signature) != 2*size {
		return fmt.Errorf("%w: %d bytes", ErrSignature, len(signature))
	}
	der := MakeTLV(tagSeq, integer(signature[:size]), integer(signature[size:]))
	if !ecdsa.VerifyASN1(k.ec, digest(h, content), der) {
		return ErrSignature
	}
	return nil
}

// integer encodes big-endian bytes as an INTEGER that isn't negative.
func integer(b []byte) []byte {
	b = bytes.TrimLeft(b, "\x00")
	if len(b) == 0 || b[0]&0x80 != 0 {
		b = append([]byte{0}, b...)
	}
	return MakeTLV(tagInt, b)
}

// verifyPSS checks RSASSA-PSS with the parameters of RFC 4055, 3.1.
func (k *PublicKey) verifyPSS(a Algorithm, content, signature []byte) error {
	if k.rsa == nil {
		return fmt.Errorf("%w: pss with another kind of key", ErrAlgorithm)
	}
	h, salt, err := parsePSS(a.params)
	if err != nil {
		return err
	}
	opts := &rsa.PSSOptions{SaltLength: salt, Hash: h}
	if rsa.VerifyPSS(k.rsa, h, digest(h, content), signature, opts) != nil {
		return ErrSignature
	}
	return nil
}

// parsePSS reads hash and salt length. The mask must be made with the same hash,
// as RFC 4055 recommends and every state does.
func parsePSS(params []byte) (h crypto.Hash, salt int, err error) {
	h, salt = crypto.SHA1, 20
	mask := crypto.SHA1
	body, err := Unwrap(params, tagSeq)
	if err != nil {
		return 0, 0, err
	}
	all, err := Children(body)
	if err != nil {
		return 0, 0, err
	}
	for _, t := range all {
		c := cursor{t.Value}
		switch t.Tag {
		case tagContext0:
			var a Algorithm
			if a, err = c.algorithm(); err == nil {
				h, err = a.hash()
			}
		case tagContext1:
			mask, err = c.maskHash()
		case tagContext2:
			salt, err = c.number()
		case tagContext3:
			var trailer int
			if trailer, err = c.number(); err == nil && trailer != 1 {
				err = fmt.Errorf("%w: pss trailer", ErrAlgorithm)
			}
		default:
			err = fmt.Errorf("%w: pss parameter %X", ErrTLV, t.Tag)
		}
		if err != nil {
			return 0, 0, err
		}
	}
	if mask != h || salt > 512 || salt == 0 {
		return 0, 0, fmt.Errorf("%w: pss with another mask or no salt", ErrAlgorithm)
	}
	return h, salt, nil
}

func (c *cursor) maskHash() (crypto.Hash, error) {
	mgf, err := c.algorithm()
	if err != nil {
		return 0, err
	}
	if mgf.id != oidMGF1 {
		return 0, fmt.Errorf("%w: mask %s", ErrAlgorithm, mgf.id)
	}
	inner := cursor{mgf.params}
	a, err := inner.algorithm()
	if err != nil {
		return 0, err
	}
	return a.hash()
}
