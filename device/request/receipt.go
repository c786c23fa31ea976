package request

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
)

// A Receipt is the bus's signed word that it holds a request. The kiosk
// forgets a request only after it has verified one.
type Receipt struct {
	ID         ID
	Hash       [32]byte // SHA-256 of the sealed envelope
	Seq        uint64   // place in the bus's ledger, from 1
	ReceivedAt time.Time
	Previous   [32]byte // hash of the ledger's entry before this one
}

type receiptPayload struct {
	Kind       kind   `cbor:"1,keyasint"`
	ID         []byte `cbor:"2,keyasint"` // the ULID's 16 bytes
	Hash       []byte `cbor:"3,keyasint"`
	Seq        uint64 `cbor:"4,keyasint"`
	ReceivedAt int64  `cbor:"5,keyasint"` // milliseconds since 1970
	Previous   []byte `cbor:"6,keyasint"`
}

// SignReceipt signs r with the bus's receipt key (P-256). The same receipt and
// key give the same bytes.
func SignReceipt(r Receipt, key crypto.Signer) ([]byte, error) {
	id, err := ulid.ParseStrict(string(r.ID))
	if err != nil {
		return nil, fmt.Errorf("sign receipt: %w", ErrID)
	}
	b, err := sign1(receiptPayload{
		Kind: kindReceipt, ID: id[:], Hash: r.Hash[:], Seq: r.Seq,
		ReceivedAt: r.ReceivedAt.UnixMilli(), Previous: r.Previous[:],
	}, key)
	if err != nil {
		return nil, fmt.Errorf("sign receipt: %w", err)
	}
	return b, nil
}

// VerifyReceipt checks a receipt's signature and reads it. Errors: ErrToken,
// ErrKey, ErrAltered.
func VerifyReceipt(b []byte, key *ecdsa.PublicKey) (Receipt, error) {
	var p receiptPayload
	if err := verify1(b, key, &p); err != nil {
		return Receipt{}, fmt.Errorf("verify receipt: %w", err)
	}
	var id ulid.ULID
	if p.Kind != kindReceipt || len(p.ID) != len(id) || len(p.Hash) != sha256.Size || len(p.Previous) != sha256.Size {
		return Receipt{}, fmt.Errorf("verify receipt: %w", ErrToken)
	}
	copy(id[:], p.ID)
	return Receipt{
		ID: ID(id.String()), Hash: [32]byte(p.Hash), Seq: p.Seq,
		ReceivedAt: time.UnixMilli(p.ReceivedAt).UTC(), Previous: [32]byte(p.Previous),
	}, nil
}

// CheckReceipt says whether b is the bus's receipt for the envelope with this
// id and SHA-256: the one check after which a request may be forgotten. It
// takes an id as a string since the queue knows no other.
// Errors: those of VerifyReceipt, and ErrOther.
func CheckReceipt(b []byte, key *ecdsa.PublicKey, id string, hash [32]byte) error {
	r, err := VerifyReceipt(b, key)
	if err != nil {
		return err
	}
	if string(r.ID) != id || r.Hash != hash {
		return fmt.Errorf("verify receipt: %w", ErrOther)
	}
	return nil
}
