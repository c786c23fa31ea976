package icao

import (
	"bytes"
	"fmt"
	"math/big"
	"time"
)

// A RevocationList (CRL) names the certificates that their authority has taken
// back, RFC 5280, 5, and ICAO 9303-12, 7.1.4.
type RevocationList struct {
	Raw        []byte
	Issuer     Name
	ThisUpdate time.Time
	NextUpdate time.Time // when the next one is due at the latest

	serials   map[string]bool // as decimal numbers
	tbs       []byte
	algorithm Algorithm
	signature []byte
	critical  oid // an extension that is critical and unknown here
}

// ParseRevocationList reads a CRL in DER. It does not check its signature.
// Errors: ErrTLV, ErrCertificate.
func ParseRevocationList(der []byte) (*RevocationList, error) {
	l, err := parseRevocationList(der)
	if err != nil {
		return nil, fmt.Errorf("revocation list: %w", err)
	}
	return l, nil
}

func parseRevocationList(der []byte) (*RevocationList, error) {
	tbs, algorithm, signature, err := parseSigned(der)
	if err != nil {
		return nil, err
	}
	l := &RevocationList{Raw: der, tbs: tbs.Raw, algorithm: algorithm, signature: signature, serials: make(map[string]bool)}
	return l, l.parseTBS(cursor{tbs.Value})
}

func (l *RevocationList) parseTBS(in cursor) error {
	if _, _, err := in.optional(tagInt); err != nil { // version
		return err
	}
	inner, err := in.algorithm()
	if err != nil {
		return err
	}
	if inner.id != l.algorithm.id || !bytes.Equal(inner.params, l.algorithm.params) {
		return fmt.Errorf("%w: two signature algorithms", ErrCertificate)
	}
	if l.Issuer, err = in.name(); err != nil {
		return err
	}
	if l.ThisUpdate, err = in.time(); err != nil {
		return err
	}
	// ICAO 9303-12, 7.1.4: every list says when the next is due.
	if l.NextUpdate, err = in.time(); err != nil {
		return err
	}
	entries, _, err := in.optional(tagSeq)
	if err != nil {
		return err
	}
	if err := l.addEntries(entries); err != nil {
		return err
	}
	extensions, ok, err := in.optional(tagContext0)
	if err != nil || !ok {
		return err
	}
	list, err := Unwrap(extensions, tagSeq)
	if err != nil {
		return err
	}
	return l.scan(list)
}

func (l *RevocationList) addEntries(entries []byte) error {
	all, err := Children(entries)
	if err != nil {
		return err
	}
	for _, t := range all {
		c := cursor{t.Value}
		serial, err := c.next(tagInt)
		if err != nil {
			return err
		}
		if _, err := c.time(); err != nil { // when it was taken back
			return err
		}
		extensions, _, err := c.optional(tagSeq)
		if err != nil {
			return err
		}
		if err := l.scan(extensions); err != nil {
			return err
		}
		l.serials[decimal(serial)] = true
	}
	return nil
}

// scan looks for critical extensions. Those of delta and indirect lists are: to
// read such a list as a whole one of its issuer would be wrong, RFC 5280, 5.2.
func (l *RevocationList) scan(extensions []byte) error {
	all, err := Children(extensions)
	if err != nil {
		return err
	}
	for _, t := range all {
		c := cursor{t.Value}
		id, err := c.oid()
		if err != nil {
			return err
		}
		critical, _, err := c.optional(tagBool)
		if err != nil {
			return err
		}
		if len(critical) == 1 && critical[0] != 0 {
			l.critical = id
		}
	}
	return nil
}

// decimal writes the content octets of an INTEGER, so that one number is one
// text whatever zeros stand before it.
func decimal(octets []byte) string {
	n := new(big.Int).SetBytes(octets)
	if len(octets) > 0 && octets[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(octets))))
	}
	return n.String()
}

// Len is how many certificates were taken back.
func (l *RevocationList) Len() int { return len(l.serials) }

// Revokes says whether the list names the certificate. The list must be of the
// same issuer; that its signature holds is for CheckSignatureFrom.
func (l *RevocationList) Revokes(c *Certificate) bool {
	return l.Issuer.Equal(c.Issuer) && l.serials[decimal(c.Serial)]
}

// CheckSignatureFrom says whether issuer's key signed the list, and may have,
// RFC 5280, 6.3.3 (f) and (g). It does not look at dates.
func (l *RevocationList) CheckSignatureFrom(issuer *Certificate) error {
	switch {
	case !l.Issuer.Equal(issuer.Subject):
		return fmt.Errorf("%w: list of another", ErrCertificate)
	case !issuer.CA:
		return fmt.Errorf("%w: issuer is no certification authority", ErrCertificate)
	case issuer.Usage != 0 && issuer.Usage&KeyUsageCRLSign == 0:
		return fmt.Errorf("%w: issuer's key is not for revocation lists", ErrCertificate)
	case l.critical != "" || issuer.critical != "":
		return fmt.Errorf("%w: unknown critical extension", ErrCertificate)
	}
	return issuer.PublicKey.Verify(l.algorithm, 0, l.tbs, l.signature)
}
