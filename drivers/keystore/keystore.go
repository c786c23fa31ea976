// Package keystore is the contract between the kiosk and whatever guards the
// keys that lie on its disk: a TPM where there is one, else a file. What it wraps
// may be stored in the open.
//
// It keeps nothing of what it wraps. Makes live beside it (tpm, file), the suite
// that every make passes in keystoretest.
package keystore

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"errors"
)

// MaxKey is the longest key that can be wrapped, in bytes. Source: TPM 2.0
// Library Part 2, 11.1.13, MAX_SYM_DATA.
const MaxKey = 128

// Errors of keystores. Makes wrap them; compare with errors.Is.
var (
	// ErrState says that the machine is not in the state in which the key was
	// wrapped: other firmware, another boot loader. It never will unwrap here.
	ErrState = errors.New("machine is in another state than when the key was wrapped")
	// ErrForeign says that what is to be unwrapped was not wrapped here, or was changed.
	ErrForeign = errors.New("not wrapped here")
	// ErrNoStore says that there is no keystore where one was looked for.
	ErrNoStore = errors.New("no keystore")
	// ErrKey says that a key is empty or longer than MaxKey, or not on P-256.
	ErrKey = errors.New("key of a wrong length")
)

// A Store wraps keys. It may be used from several goroutines.
type Store interface {
	// Wrap returns the key so that only this Store, on this machine and in its
	// present state, gives it back. Wrapping twice gives two different results.
	Wrap(ctx context.Context, key []byte) ([]byte, error)
	// Unwrap gives back what was wrapped. Errors: ErrState, ErrForeign.
	Unwrap(ctx context.Context, wrapped []byte) ([]byte, error)
	Close() error
}

// A Keeper is a Store that also keeps keys that sign: the private part is in it
// alone, and signs there. Who holds what is stored, and not this machine in the
// state that it was in, can't sign. Like crypto.Signer's, its calls take no
// context: they last as long as the hardware does.
type Keeper interface {
	// NewKey makes a P-256 key, which will never be anywhere else.
	NewKey() (Key, error)
	// TakeKey takes over a key that was made outside; its caller forgets it.
	// Errors: ErrKey.
	TakeKey(key *ecdsa.PrivateKey) (Key, error)
	// OpenKey gives back the key that Guarded was asked of, and has seen it sign.
	// Errors: ErrState, ErrForeign.
	OpenKey(guarded []byte) (Key, error)
}

// A Key is one in a Keeper, of ECDSA on P-256. It signs digests of SHA-256 and
// no others, in ASN.1, until its Keeper is closed. It may be used from several
// goroutines.
type Key interface {
	crypto.Signer
	// Guarded is what OpenKey wants, and may be stored in the open.
	Guarded() []byte
	// Moved says that the key came by TakeKey: copies of it may lie elsewhere.
	Moved() bool
}
