package icao

import (
	"bytes"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"
)

// ErrCertificate says that a certificate may not have made this signature: it is
// no certification authority, or not for this use, or unknown extensions are
// critical in it.
var ErrCertificate = errors.New("certificate not fit")

// A KeyUsage is the bits of RFC 5280, 4.2.1.3, bit 0 leftmost.
type KeyUsage uint16

// The uses that matter here.
const (
	KeyUsageDigitalSignature KeyUsage = 1 << 15
	KeyUsageCommitment       KeyUsage = 1 << 14 // contentCommitment, once nonRepudiation
	KeyUsageCertSign         KeyUsage = 1 << 10
	KeyUsageCRLSign          KeyUsage = 1 << 9
)

// A Name is a distinguished name. Two are the same when they have the same
// attributes in any order: some states write them differently in the
// certificate and in the signature.
type Name struct {
	Raw     []byte
	Country string // capital letters
	key     string
}

// Equal compares without order, case, kind of string or doubled spaces.
func (n Name) Equal(m Name) bool { return n.key == m.key }

const oidCountry oid = "2.5.4.6"

func parseName(t TLV) (Name, error) {
	n := Name{Raw: t.Raw}
	sets, err := Children(t.Value)
	if err != nil {
		return n, err
	}
	var keys []string
	for _, set := range sets {
		all, err := Children(set.Value)
		if err != nil {
			return n, err
		}
		for _, attribute := range all {
			c := cursor{attribute.Value}
			id, err := c.oid()
			if err != nil {
				return n, err
			}
			value, err := c.any()
			if err != nil {
				return n, err
			}
			text := strings.ToUpper(strings.Join(strings.Fields(string(value.Value)), " "))
			if id == oidCountry {
				n.Country = text
			}
			keys = append(keys, string(id)+"="+text)
		}
	}
	sort.Strings(keys)
	n.key = strings.Join(keys, "\x00")
	return n, nil
}

// A Certificate is what signatures are checked with, RFC 5280 and ICAO 9303-12.
type Certificate struct {
	Raw                 []byte
	Serial              []byte // content octets
	Issuer, Subject     Name
	NotBefore, NotAfter time.Time
	PublicKey           *PublicKey
	KeyID               []byte // nil when not given
	CA                  bool
	Usage               KeyUsage // 0 when not given

	tbs       []byte
	algorithm Algorithm
	signature []byte
	critical  oid   // an extension that is critical and unknown here
	purposes  []oid // extended key usage
}

// ValidAt says whether t lies in the certificate's validity.
func (c *Certificate) ValidAt(t time.Time) bool {
	return !t.Before(c.NotBefore) && !t.After(c.NotAfter)
}

// ParseCertificate reads an X.509 certificate. It does not check its signature.
func ParseCertificate(der []byte) (*Certificate, error) {
	c, err := parseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return c, nil
}

func parseCertificate(der []byte) (*Certificate, error) {
	tbs, algorithm, signature, err := parseSigned(der)
	if err != nil {
		return nil, err
	}
	cert := &Certificate{Raw: der, tbs: tbs.Raw, algorithm: algorithm, signature: signature}
	return cert, cert.parseTBS(cursor{tbs.Value})
}

// parseSigned reads what certificates and revocation lists have around them: what
// is signed, how, and the signature. Source: RFC 5280, 4.1 and 5.1.
func parseSigned(der []byte) (tbs TLV, algorithm Algorithm, signature []byte, err error) {
	body, err := Unwrap(der, tagSeq)
	if err != nil {
		return tbs, algorithm, nil, err
	}
	outer := cursor{body}
	if tbs, err = outer.any(); err != nil {
		return tbs, algorithm, nil, err
	}
	if tbs.Tag != tagSeq {
		return tbs, algorithm, nil, fmt.Errorf("%w: tag %X", ErrTLV, tbs.Tag)
	}
	if algorithm, err = outer.algorithm(); err != nil {
		return tbs, algorithm, nil, err
	}
	signature, err = outer.bits()
	return tbs, algorithm, signature, err
}

func (c *Certificate) parseTBS(in cursor) error {
	if _, _, err := in.optional(tagContext0); err != nil { // version
		return err
	}
	var err error
	if c.Serial, err = in.next(tagInt); err != nil {
		return err
	}
	inner, err := in.algorithm()
	if err != nil {
		return err
	}
	if inner.id != c.algorithm.id || !bytes.Equal(inner.params, c.algorithm.params) {
		return fmt.Errorf("%w: two signature algorithms", ErrCertificate)
	}
	if c.Issuer, err = in.name(); err != nil {
		return err
	}
	if err := c.parseValidity(&in); err != nil {
		return err
	}
	if c.Subject, err = in.name(); err != nil {
		return err
	}
	spki, err := in.any()
	if err != nil {
		return err
	}
	if c.PublicKey, err = ParsePublicKey(spki.Raw); err != nil {
		return err
	}
	for !in.done() {
		t, err := in.any()
		if err != nil {
			return err
		}
		if t.Tag == tagContext3 {
			return c.parseExtensions(t.Value)
		}
	}
	return nil
}

func (c *cursor) name() (Name, error) {
	t, err := c.any()
	if err != nil {
		return Name{}, err
	}
	return parseName(t)
}

func (c *Certificate) parseValidity(in *cursor) error {
	v, err := in.into(tagSeq)
	if err != nil {
		return err
	}
	if c.NotBefore, err = v.time(); err != nil {
		return err
	}
	c.NotAfter, err = v.time()
	return err
}

func (c *Certificate) parseExtensions(b []byte) error {
	list, err := Unwrap(b, tagSeq)
	if err != nil {
		return err
	}
	all, err := Children(list)
	if err != nil {
		return err
	}
	for _, t := range all {
		e := cursor{t.Value}
		id, err := e.oid()
		if err != nil {
			return err
		}
		critical, _, err := e.optional(tagBool)
		if err != nil {
			return err
		}
		value, err := e.next(tagOctets)
		if err != nil {
			return err
		}
		known, err := c.extension(id, value)
		if err != nil {
			return err
		}
		if !known && len(critical) == 1 && critical[0] != 0 {
			c.critical = id
		}
	}
	return nil
}

// extension reads what decides whether a key may sign. The authority's key
// identifier does not: the signature tells which key it was, and states are
// careless with it. What the extended key usage is good for is whoever's to say
// that uses the key.
func (c *Certificate) extension(id oid, value []byte) (known bool, err error) {
	v := cursor{value}
	switch id {
	case "2.5.29.14": // subject key identifier
		c.KeyID, err = v.next(tagOctets)
	case "2.5.29.19": // basic constraints
		seq, err := v.into(tagSeq)
		if err != nil {
			return true, err
		}
		ca, _, err := seq.optional(tagBool)
		c.CA = len(ca) == 1 && ca[0] != 0
		return true, err
	case "2.5.29.15": // key usage
		bits, err := v.next(tagBits)
		if err != nil || len(bits) < 2 {
			return true, err
		}
		c.Usage = KeyUsage(bits[1]) << 8
		if len(bits) > 2 {
			c.Usage |= KeyUsage(bits[2])
		}
	case "2.5.29.37": // extended key usage
		c.purposes, err = v.purposes()
	case "2.5.29.32", "2.5.29.35", "2.5.29.16", "2.5.29.17", "2.5.29.18", "2.5.29.31":
	default:
		return false, nil
	}
	return true, err
}

// purposes takes an ExtKeyUsageSyntax, RFC 5280, 4.2.1.12.
func (c *cursor) purposes() ([]oid, error) {
	seq, err := c.into(tagSeq)
	if err != nil {
		return nil, err
	}
	var all []oid
	for !seq.done() {
		id, err := seq.oid()
		if err != nil {
			return nil, err
		}
		all = append(all, id)
	}
	return all, nil
}

// CheckSignatureFrom says whether issuer's key signed the certificate, and may
// have: it is a certification authority's, RFC 5280, 6.1.4 (k) to (n). It does
// not look at dates.
func (c *Certificate) CheckSignatureFrom(issuer *Certificate) error {
	switch {
	case !c.Issuer.Equal(issuer.Subject):
		return fmt.Errorf("%w: issued by another", ErrCertificate)
	case !issuer.CA:
		return fmt.Errorf("%w: issuer is no certification authority", ErrCertificate)
	case issuer.Usage != 0 && issuer.Usage&KeyUsageCertSign == 0:
		return fmt.Errorf("%w: issuer's key is not for certificates", ErrCertificate)
	case issuer.critical != "" || c.critical != "":
		return fmt.Errorf("%w: unknown critical extension", ErrCertificate)
	}
	return issuer.PublicKey.Verify(c.algorithm, 0, c.tbs, c.signature)
}
