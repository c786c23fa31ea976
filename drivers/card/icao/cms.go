package icao

import (
	"bytes"
	"crypto"
	"crypto/subtle"
	"fmt"
	"time"
)

const (
	oidSignedData    oid = "1.2.840.113549.1.7.2"
	oidContentType   oid = "1.2.840.113549.1.9.3"
	oidMessageDigest oid = "1.2.840.113549.1.9.4"
	oidSigningTime   oid = "1.2.840.113549.1.9.5"
)

// A SignedData is signed content with the certificates that came along, RFC 5652, 5.
type SignedData struct {
	ContentType  []byte // content octets of the object identifier
	Content      []byte
	Certificates []*Certificate
	signers      []signerInfo
}

type signerInfo struct {
	issuer    Name
	serial    []byte
	keyID     []byte
	digest    Algorithm
	attrs     []byte // encoded as the SET OF that is signed; nil when there are none
	contentID []byte
	hash      []byte
	time      time.Time
	algorithm Algorithm
	signature []byte
}

// ParseSignedData reads a ContentInfo of signed data in BER, with content inside.
// Certificates of a kind not spoken here are left out: some of a master list
// may be, and the signer's absence shows when the signature is checked.
func ParseSignedData(ber []byte) (*SignedData, error) {
	s, err := parseSignedData(ber)
	if err != nil {
		return nil, fmt.Errorf("signed data: %w", err)
	}
	return s, nil
}

func parseSignedData(ber []byte) (*SignedData, error) {
	der, err := Definite(ber)
	if err != nil {
		return nil, err
	}
	body, err := Unwrap(der, tagSeq)
	if err != nil {
		return nil, err
	}
	outer := cursor{body}
	if id, err := outer.oid(); err != nil || id != oidSignedData {
		return nil, fmt.Errorf("%w: content is %q", ErrTLV, id)
	}
	wrapped, err := outer.into(tagContext0)
	if err != nil {
		return nil, err
	}
	c, err := wrapped.into(tagSeq)
	if err != nil {
		return nil, err
	}
	return readSignedData(&c)
}

func readSignedData(c *cursor) (*SignedData, error) {
	if _, err := c.number(); err != nil { // version
		return nil, err
	}
	if _, err := c.next(tagSet); err != nil { // digest algorithms
		return nil, err
	}
	s := new(SignedData)
	content, err := c.into(tagSeq)
	if err != nil {
		return nil, err
	}
	if s.ContentType, err = content.next(tagOID); err != nil {
		return nil, err
	}
	explicit, err := content.into(tagContext0)
	if err != nil {
		return nil, err
	}
	if s.Content, err = explicit.next(tagOctets); err != nil {
		return nil, err
	}
	certs, _, err := c.optional(tagContext0)
	if err != nil {
		return nil, err
	}
	if err := s.addCertificates(certs); err != nil {
		return nil, err
	}
	if _, _, err := c.optional(tagContext1); err != nil { // revocation lists
		return nil, err
	}
	set, err := c.next(tagSet)
	if err != nil {
		return nil, err
	}
	return s, s.addSigners(set)
}

func (s *SignedData) addCertificates(certs []byte) error {
	all, err := Children(certs)
	if err != nil {
		return err
	}
	for _, t := range all {
		if cert, err := ParseCertificate(t.Raw); err == nil {
			s.Certificates = append(s.Certificates, cert)
		}
	}
	return nil
}

func (s *SignedData) addSigners(set []byte) error {
	all, err := Children(set)
	if err != nil {
		return err
	}
	if len(all) == 0 || len(all) > 16 {
		return fmt.Errorf("%w: %d signers", ErrTLV, len(all))
	}
	for _, t := range all {
		info, err := parseSigner(cursor{t.Value})
		if err != nil {
			return err
		}
		s.signers = append(s.signers, info)
	}
	return nil
}

func parseSigner(c cursor) (info signerInfo, err error) {
	if _, err = c.number(); err != nil { // version
		return info, err
	}
	if err = info.parseID(&c); err != nil {
		return info, err
	}
	if info.digest, err = c.algorithm(); err != nil {
		return info, err
	}
	attrs, ok, err := c.optional(tagContext0)
	if err != nil {
		return info, err
	}
	if ok {
		if err = info.parseAttributes(attrs); err != nil {
			return info, err
		}
	}
	if info.algorithm, err = c.algorithm(); err != nil {
		return info, err
	}
	info.signature, err = c.next(tagOctets)
	return info, err
}

func (info *signerInfo) parseID(c *cursor) error {
	t, err := c.any()
	if err != nil {
		return err
	}
	if t.Tag == tagImplicit0 {
		info.keyID = t.Value
		return nil
	}
	in := cursor{t.Value}
	if info.issuer, err = in.name(); err != nil {
		return err
	}
	info.serial, err = in.next(tagInt)
	return err
}

// parseAttributes reads the signed attributes; the signature is counted over
// them with the tag of a SET, RFC 5652, 5.4.
func (info *signerInfo) parseAttributes(attrs []byte) error {
	info.attrs = MakeTLV(tagSet, attrs)
	all, err := Children(attrs)
	if err != nil {
		return err
	}
	for _, t := range all {
		c := cursor{t.Value}
		id, err := c.oid()
		if err != nil {
			return err
		}
		values, err := c.into(tagSet)
		if err != nil {
			return err
		}
		switch id {
		case oidContentType:
			if info.contentID != nil {
				return fmt.Errorf("%w: attribute twice", ErrTLV)
			}
			info.contentID, err = values.next(tagOID)
		case oidMessageDigest:
			if info.hash != nil {
				return fmt.Errorf("%w: attribute twice", ErrTLV)
			}
			info.hash, err = values.next(tagOctets)
		case oidSigningTime:
			info.time, err = values.time()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// A Signer is who signed, and when by its own word; Time is zero when not said.
type Signer struct {
	Certificate *Certificate
	Time        time.Time
}

// Verify checks every signature with the certificates that came along, and
// returns the first signer. It does not say whether the signer is believed.
func (s *SignedData) Verify() (Signer, error) {
	var first Signer
	for i, info := range s.signers {
		cert := s.find(info)
		if cert == nil {
			return Signer{}, fmt.Errorf("%w: signer's certificate is not there", ErrCertificate)
		}
		if err := info.verify(cert, s); err != nil {
			return Signer{}, err
		}
		if i == 0 {
			first = Signer{cert, info.time}
		}
	}
	return first, nil
}

func (s *SignedData) find(info signerInfo) *Certificate {
	for _, c := range s.Certificates {
		if info.keyID != nil && bytes.Equal(info.keyID, c.KeyID) {
			return c
		}
		if info.keyID == nil && bytes.Equal(info.serial, c.Serial) && info.issuer.Equal(c.Issuer) {
			return c
		}
	}
	return nil
}

func (info *signerInfo) verify(cert *Certificate, s *SignedData) error {
	if cert.Usage != 0 && cert.Usage&KeyUsageDigitalSignature == 0 {
		return fmt.Errorf("%w: signer's key is not for documents", ErrCertificate)
	}
	h, err := info.digest.hash()
	if err != nil {
		return err
	}
	signed := s.Content
	if info.attrs != nil {
		if !bytes.Equal(info.contentID, s.ContentType) {
			return fmt.Errorf("%w: of another kind of content", ErrSignature)
		}
		if subtle.ConstantTimeCompare(info.hash, digest(h, s.Content)) != 1 {
			return fmt.Errorf("%w: of other content", ErrSignature)
		}
		signed = info.attrs
	}
	return cert.PublicKey.Verify(info.algorithm, h, signed, info.signature)
}

// SignFunc signs content with a certificate's key, in the way in which that
// certificate itself was signed: its issuer's key is of the same kind.
type SignFunc func(content []byte) ([]byte, error)

// SignData builds signed data with one signer, whose certificate goes along;
// hashes are SHA-256. It is what a document signer does.
func SignData(contentType string, content []byte, cert *Certificate, at time.Time, sign SignFunc) ([]byte, error) {
	const sha256ID oid = "2.16.840.1.101.3.4.2.1"
	kind := MakeTLV(tagOID, oid(contentType).encode())
	hashID := MakeTLV(tagSeq, MakeTLV(tagOID, sha256ID.encode()))
	attribute := func(id oid, value []byte) []byte {
		return MakeTLV(tagSeq, MakeTLV(tagOID, id.encode()), MakeTLV(tagSet, value))
	}
	attrs := bytes.Join([][]byte{
		attribute(oidContentType, kind),
		attribute(oidSigningTime, MakeTLV(tagUTCTime, []byte(at.UTC().Format("060102150405Z")))),
		attribute(oidMessageDigest, MakeTLV(tagOctets, digest(crypto.SHA256, content))),
	}, nil)
	signature, err := sign(MakeTLV(tagSet, attrs))
	if err != nil {
		return nil, err
	}
	info := MakeTLV(tagSeq, MakeTLV(tagInt, []byte{1}),
		MakeTLV(tagSeq, cert.Issuer.Raw, MakeTLV(tagInt, cert.Serial)), hashID,
		MakeTLV(tagContext0, attrs), MakeTLV(tagSeq, MakeTLV(tagOID, cert.algorithm.id.encode()), cert.algorithm.params), MakeTLV(tagOctets, signature))
	data := MakeTLV(tagSeq, MakeTLV(tagInt, []byte{3}), MakeTLV(tagSet, hashID),
		MakeTLV(tagSeq, kind, MakeTLV(tagContext0, MakeTLV(tagOctets, content))),
		MakeTLV(tagContext0, cert.Raw), MakeTLV(tagSet, info))
	return MakeTLV(tagSeq, MakeTLV(tagOID, oidSignedData.encode()), MakeTLV(tagContext0, data)), nil
}
