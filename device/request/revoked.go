package request

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"
)

// Revocations is the bus's signed list of certificates that hold no longer. It
// holds hashes of their numbers: a number leads to its line, a line to no person.
type Revocations struct {
	Seq        uint64    // grows with every list; an older one is a roll-back
	IssuedAt   time.Time // whole seconds
	NextUpdate time.Time // whole seconds; after it the list is too old to tell
	marks      [][]byte  // sorted
}

// markLength is how much of a number's SHA-256 stands on the list, in bytes.
const markLength = 8

// maxRevocations is the longest list, in bytes: 500,000 certificates.
const maxRevocations = 5 << 20

type revocationsPayload struct {
	Kind       kind   `cbor:"1,keyasint"`
	Seq        uint64 `cbor:"2,keyasint"`
	IssuedAt   int64  `cbor:"3,keyasint"` // seconds since 1970
	NextUpdate int64  `cbor:"4,keyasint"`
	Marks      []byte `cbor:"5,keyasint"` // sorted, 8 bytes each
}

// Revoke adds the number of a certificate to the list.
func (r *Revocations) Revoke(number string) {
	m := mark(number)
	i, found := slices.BinarySearchFunc(r.marks, m, bytes.Compare)
	if !found {
		r.marks = slices.Insert(r.marks, i, m)
	}
}

// Revoked reports whether the certificate with the number is on the list.
func (r *Revocations) Revoked(number string) bool {
	_, found := slices.BinarySearchFunc(r.marks, mark(number), bytes.Compare)
	return found
}

// Len is the number of certificates on the list.
func (r *Revocations) Len() int { return len(r.marks) }

func mark(number string) []byte {
	sum := sha256.Sum256([]byte(number))
	return sum[:markLength]
}

// SignRevocations signs the list with the bus's receipt key.
func SignRevocations(r Revocations, key crypto.Signer) ([]byte, error) {
	b, err := sign1(revocationsPayload{
		Kind: kindRevocations, Seq: r.Seq, IssuedAt: r.IssuedAt.Unix(), NextUpdate: r.NextUpdate.Unix(),
		Marks: bytes.Join(r.marks, nil),
	}, key)
	if err != nil {
		return nil, fmt.Errorf("sign revocations: %w", err)
	}
	return b, nil
}

// VerifyRevocations checks the list's signature and reads it. Whether it is
// recent enough is for the caller. Errors: ErrToken, ErrKey, ErrAltered.
func VerifyRevocations(b []byte, key *ecdsa.PublicKey) (Revocations, error) {
	var p revocationsPayload
	if err := verifyLong(b, maxRevocations, key, &p); err != nil {
		return Revocations{}, fmt.Errorf("verify revocations: %w", err)
	}
	marks := slices.Collect(slices.Chunk(p.Marks, markLength))
	if p.Kind != kindRevocations || len(p.Marks)%markLength != 0 || !slices.IsSortedFunc(marks, bytes.Compare) {
		return Revocations{}, fmt.Errorf("verify revocations: %w", ErrToken)
	}
	return Revocations{
		Seq: p.Seq, IssuedAt: time.Unix(p.IssuedAt, 0).UTC(), NextUpdate: time.Unix(p.NextUpdate, 0).UTC(), marks: marks,
	}, nil
}
