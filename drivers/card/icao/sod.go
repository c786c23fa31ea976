package icao

import (
	"crypto"
	"crypto/subtle"
	"errors"
	"fmt"
	"sort"
	"time"
)

// ErrHash says that a data group is not the one that was signed.
var ErrHash = errors.New("wrong hash")

const oidLDSSecurityObject oid = "2.23.136.1.1.1"

// A SecurityObject is EF.SOD: the hash of every group, signed by the state,
// ICAO 9303-10, 4.6.2.
type SecurityObject struct {
	hash   crypto.Hash
	hashes map[int][]byte
	signed *SignedData
}

// ParseSOD reads an EF.SOD. It checks no signature: call Verify.
func ParseSOD(file []byte) (*SecurityObject, error) {
	s, err := parseSOD(file)
	if err != nil {
		return nil, fmt.Errorf("ef.sod: %w", err)
	}
	return s, nil
}

func parseSOD(file []byte) (*SecurityObject, error) {
	body, err := Unwrap(file, tagSOD)
	if err != nil {
		return nil, err
	}
	signed, err := ParseSignedData(body)
	if err != nil {
		return nil, err
	}
	if id, err := parseOID(signed.ContentType); err != nil || id != oidLDSSecurityObject {
		return nil, fmt.Errorf("%w: content is %q", ErrTLV, id)
	}
	seq, err := Unwrap(signed.Content, tagSeq)
	if err != nil {
		return nil, err
	}
	c := cursor{seq}
	if _, err := c.number(); err != nil { // version
		return nil, err
	}
	algorithm, err := c.algorithm()
	if err != nil {
		return nil, err
	}
	s := &SecurityObject{hashes: make(map[int][]byte), signed: signed}
	if s.hash, err = algorithm.hash(); err != nil {
		return nil, err
	}
	list, err := c.next(tagSeq)
	if err != nil {
		return nil, err
	}
	return s, s.addHashes(list)
}

func (s *SecurityObject) addHashes(list []byte) error {
	all, err := Children(list)
	if err != nil {
		return err
	}
	for _, t := range all {
		c := cursor{t.Value}
		group, err := c.number()
		if err != nil {
			return err
		}
		sum, err := c.next(tagOctets)
		if err != nil {
			return err
		}
		if GroupTag(group) == 0 || s.hashes[group] != nil || len(sum) != s.hash.Size() {
			return fmt.Errorf("%w: hash of group %d", ErrTLV, group)
		}
		s.hashes[group] = sum
	}
	return nil
}

// Groups lists the groups that exist, by the state's word, in order.
func (s *SecurityObject) Groups() []int {
	var all []int
	for g := range s.hashes {
		all = append(all, g)
	}
	sort.Ints(all)
	return all
}

// Has says whether the state signed such a group.
func (s *SecurityObject) Has(group int) bool { return s.hashes[group] != nil }

// Verify checks the signature with the certificate that came along.
func (s *SecurityObject) Verify() (Signer, error) {
	signer, err := s.signed.Verify()
	if err != nil {
		return Signer{}, fmt.Errorf("ef.sod: %w", err)
	}
	return signer, nil
}

// Check says whether a group's file is the one that was signed.
func (s *SecurityObject) Check(group int, file []byte) error {
	if subtle.ConstantTimeCompare(s.hashes[group], digest(s.hash, file)) != 1 {
		return fmt.Errorf("data group %d: %w", group, ErrHash)
	}
	return nil
}

// SOD builds an EF.SOD with SHA-256 over these groups' files.
func SOD(groups map[int][]byte, cert *Certificate, at time.Time, sign SignFunc) ([]byte, error) {
	var order []int
	for g := range groups {
		order = append(order, g)
	}
	sort.Ints(order)
	var list []byte
	for _, g := range order {
		list = AppendTLV(list, tagSeq, MakeTLV(tagInt, []byte{byte(g)}), MakeTLV(tagOctets, digest(crypto.SHA256, groups[g])))
	}
	const sha256ID oid = "2.16.840.1.101.3.4.2.1"
	content := MakeTLV(tagSeq, MakeTLV(tagInt, []byte{0}),
		MakeTLV(tagSeq, MakeTLV(tagOID, sha256ID.encode())), MakeTLV(tagSeq, list))
	signed, err := SignData(string(oidLDSSecurityObject), content, cert, at, sign)
	if err != nil {
		return nil, err
	}
	return MakeTLV(tagSOD, signed), nil
}
