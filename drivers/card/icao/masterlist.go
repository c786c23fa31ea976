package icao

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrRoot says that a master list is not by the state whose root is pinned.
var ErrRoot = errors.New("pinned root does not vouch for it")

const (
	oidMasterList   oid = "2.23.136.1.1.2" // cscaMasterList, ICAO 9303-12, 9
	oidMasterSigner oid = "2.23.136.1.1.3" // purpose of a master list signer, ICAO 9303-12, 7.1.1
)

// A MasterList is one state's word on the certification authorities (CSCA) of
// all states whose documents it takes, ICAO 9303-12, 9.
type MasterList struct {
	Certificates []*Certificate // as listed; some are not self-signed but link an old key to a new one
	Signer       Signer
}

// ParseMasterList reads a CMS file in BER and believes it only when the pinned
// root, the signing state's CSCA, issued the certificate of its signer, for this
// purpose, and both were valid when it was signed, which was before now.
// Nothing of the list is read before that. A certificate that can't be read
// spoils the list: a list that lacks somebody in silence is not the state's word.
// Errors: ErrTLV, ErrSignature, ErrRoot, ErrCertificate, ErrAlgorithm.
func ParseMasterList(ber []byte, root *Certificate, now time.Time) (*MasterList, error) {
	l, err := parseMasterList(ber, root, now)
	if err != nil {
		return nil, fmt.Errorf("master list: %w", err)
	}
	return l, nil
}

func parseMasterList(ber []byte, root *Certificate, now time.Time) (*MasterList, error) {
	signed, err := ParseSignedData(ber)
	if err != nil {
		return nil, err
	}
	if id, err := parseOID(signed.ContentType); err != nil || id != oidMasterList {
		return nil, fmt.Errorf("%w: content is %q", ErrTLV, id)
	}
	signer, err := signed.Verify()
	if err != nil {
		return nil, err
	}
	if err := vouch(root, signer, now); err != nil {
		return nil, err
	}
	all, err := listed(signed.Content)
	if err != nil {
		return nil, err
	}
	return &MasterList{all, signer}, nil
}

// vouch says whether the root stands behind the signer of a list.
func vouch(root *Certificate, s Signer, now time.Time) error {
	if err := s.Certificate.CheckSignatureFrom(root); err != nil {
		return fmt.Errorf("%w: %w", ErrRoot, err)
	}
	switch {
	case !slices.Contains(s.Certificate.purposes, oidMasterSigner):
		return fmt.Errorf("%w: signer is not for master lists", ErrCertificate)
	case s.Time.IsZero():
		return fmt.Errorf("%w: signer does not say when", ErrCertificate)
	case s.Time.After(now):
		return fmt.Errorf("%w: signed in the future, at %s", ErrCertificate, s.Time.Format(time.DateOnly))
	case !s.Certificate.ValidAt(s.Time) || !root.ValidAt(s.Time):
		return fmt.Errorf("%w: was not valid at %s", ErrCertificate, s.Time.Format(time.DateOnly))
	}
	return nil
}

// listed reads CscaMasterList, ICAO 9303-12, 9.
func listed(content []byte) ([]*Certificate, error) {
	body, err := Unwrap(content, tagSeq)
	if err != nil {
		return nil, err
	}
	c := cursor{body}
	if version, err := c.number(); err != nil || version != 0 {
		return nil, errors.Join(fmt.Errorf("%w: version %d", ErrTLV, version), err)
	}
	set, err := c.next(tagSet)
	if err != nil {
		return nil, err
	}
	members, err := Children(set)
	if err != nil {
		return nil, err
	}
	all := make([]*Certificate, 0, len(members))
	for i, m := range members {
		cert, err := ParseCertificate(m.Raw)
		if err != nil {
			return nil, fmt.Errorf("member %d: %w", i, err)
		}
		all = append(all, cert)
	}
	return all, nil
}
