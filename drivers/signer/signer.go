// Package signer is the contract between the kiosk and the keys of a person's
// own card: one that says who is here (PIN1) and one that signs (PIN2). Terms are
// those of PKCS#11 v2.40 and of EN 419212.
//
// It believes nothing: whether a certificate is the holder's, and trusted, is for
// device/identity. Makes live beside it (pkcs11), the suite that every make
// passes in signertest.
package signer

import (
	"context"
	"crypto"
	"errors"
	"fmt"
)

// Errors of signers. Makes wrap them; compare with errors.Is. What befalls the
// card itself (removed, mute, no reader) is reported with the errors of
// drivers/card.
var (
	// ErrWrongPIN says that the card refused the PIN. See *PINError.
	ErrWrongPIN = errors.New("wrong pin")
	// ErrBlocked says that no try is left: the issuer's office unblocks it.
	ErrBlocked = errors.New("pin blocked")
	// ErrLastTry says that one try is left, which is the holder's own: nothing
	// was sent to the card.
	ErrLastTry = errors.New("last try of the pin is not spent here")
	// ErrPINLength says that the PIN is too short or too long, or not of digits:
	// nothing was sent to the card.
	ErrPINLength = errors.New("pin of a wrong length")
	// ErrCancelled says that the person pressed cancel on the reader's pad, or let
	// its time pass.
	ErrCancelled = errors.New("pin entry cancelled")
	// ErrNoKeys says that the card holds no such key.
	ErrNoKeys = errors.New("card holds no such key")
)

// A PINError is a refused PIN, with what is left.
type PINError struct {
	Tries int // left; never negative
}

func (e *PINError) Error() string { return fmt.Sprintf("wrong pin, %d tries left", e.Tries) }

// Unwrap is ErrWrongPIN.
func (e *PINError) Unwrap() error { return ErrWrongPIN }

// A Key is one of the two keys of a person's card.
type Key int

// The keys, each behind a PIN of its own.
const (
	Authentication Key = iota + 1 // PIN1: says that its holder is here
	Signature                     // PIN2: signs what its holder has seen
)

func (k Key) String() string {
	switch k {
	case Authentication:
		return "authentication"
	case Signature:
		return "signature"
	}
	return fmt.Sprintf("Key(%d)", int(k))
}

// A PIN is what a card says of the PIN before a key.
type PIN struct {
	Tries    int  // left before it blocks
	Min, Max int  // digits
	Pad      bool // it is typed on the reader's own pad, and never comes here
}

// A Signer is the keys of the card that lies in the slot, from Open to Close. When
// that card is there no more, or another one is, its methods end with
// card.ErrRemoved.
type Signer interface {
	// PIN asks the card about the PIN of a key. It spends no try.
	PIN(ctx context.Context, key Key) (PIN, error)
	// Certificate returns the certificate of a key, X.509 in DER. It needs no PIN.
	Certificate(ctx context.Context, key Key) ([]byte, error)
	// Sign verifies the PIN and signs a digest that was made with hash: PKCS#1
	// v1.5 for an RSA key, r and s of equal length for an EC key (PKCS#11 2.3.1).
	// pin is digits, and nil where the reader's pad is used; Sign leaves it zeroed.
	// The card is asked for the tries left first, and its last one is not spent:
	// ErrLastTry. The PIN holds for this one signature: afterwards the card has
	// forgotten it. When ctx ends, Sign returns at once; whether the PIN was still
	// sent is then not known.
	Sign(ctx context.Context, key Key, pin []byte, hash crypto.Hash, digest []byte) ([]byte, error)
	// Close forgets the PIN and lets the card go.
	Close() error
}

// An Opener finds the keys of the card in the slot. The card must not be open
// otherwise.
type Opener interface {
	// Open errors: card.ErrNoReader, card.ErrNoCard, card.ErrMute, ErrNoKeys.
	Open(ctx context.Context) (Signer, error)
}
