package bus

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
)

var (
	oidData       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
)

// contentInfo is CMS's outermost shell. Source: RFC 5652, 3.
type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content asn1.RawValue `asn1:"explicit,tag:0"`
}

// certsOnly is a SignedData that signs nothing. Source: RFC 5652, 5.1; RFC 5272, 4.1.
type certsOnly struct {
	Version      int
	Digests      asn1.RawValue // SET, empty
	Encapsulated struct {
		Type asn1.ObjectIdentifier
	}
	Certificates asn1.RawValue `asn1:"optional,tag:0"`
	CRLs         asn1.RawValue `asn1:"optional,tag:1"`
	Signers      asn1.RawValue // SET, empty
}

// parseCertsOnly returns the certificates of a certs-only PKCS#7 in DER. Source:
// RFC 7030, 4.1.3. At least one; the answer has no order of its own.
func parseCertsOnly(der []byte) ([]*x509.Certificate, error) {
	var shell contentInfo
	if rest, err := asn1.Unmarshal(der, &shell); err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("pkcs7: content info: %d bytes over: %w", len(rest), orEnd(err))
	}
	if !shell.Type.Equal(oidSignedData) {
		return nil, fmt.Errorf("pkcs7: is %v, not signed data", shell.Type)
	}
	var data certsOnly
	if rest, err := asn1.Unmarshal(shell.Content.Bytes, &data); err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("pkcs7: signed data: %d bytes over: %w", len(rest), orEnd(err))
	}
	if !data.Encapsulated.Type.Equal(oidData) || len(data.Signers.Bytes) > 0 {
		return nil, errors.New("pkcs7: is not certs-only")
	}
	certs, err := x509.ParseCertificates(data.Certificates.Bytes)
	if err != nil {
		return nil, fmt.Errorf("pkcs7: %w", err)
	}
	if len(certs) == 0 {
		return nil, errors.New("pkcs7: no certificates")
	}
	return certs, nil
}

func orEnd(err error) error {
	if err == nil {
		return errors.New("trailing data")
	}
	return err
}
