// Package keystore is the contract between the kiosk and whatever guards the
// keys that lie on its disk: a TPM where there is one, else a file. What it wraps
// may be stored in the open.
//
// It keeps nothing of what it wraps. Makes live beside it (tpm, file), the suite
// that every make passes in keystoretest.
package keystore

import (
	"context"
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
	// ErrKey says that a key is empty or longer than MaxKey.
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
