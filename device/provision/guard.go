package provision

import (
	"crypto"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"kosk/device/keep"
	"kosk/drivers/keystore"
)

// Guarding the station's key. The rules are:
//   - a key that a keystore.Keeper has made, or has taken over, is in no file;
//   - one that is found in a file is taken over, seen to sign, and only then is the
//     file replaced: at every moment there is a file with which the station works;
//   - what was in a file may have been copied. Moved says so until the next renewal.

// Errors of guarded keys. Compare with errors.Is; Unlock's others are keystore's.
var (
	// ErrLocked says that a keystore guards the key, and Unlock was not called.
	ErrLocked = errors.New("station key is locked")
	// ErrNoKeeper says that a keystore guards the key, and not the one that the
	// configuration names.
	ErrNoKeeper = errors.New("station key is guarded by another keystore")
)

// guarded is a key that knows what to write of itself: a keystore.Key, a locked one.
type guarded interface {
	crypto.Signer
	Guarded() []byte
}

// locked is a guarded key before Unlock.
type locked struct {
	public  *ecdsa.PublicKey
	guarded []byte
}

func (l locked) Public() crypto.PublicKey { return l.public }
func (l locked) Guarded() []byte          { return l.guarded }

func (l locked) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, ErrLocked }

// Unlock returns the station with a key that signs. A key that lies in the file
// needs nothing. Errors: ErrNoKeeper, keystore.ErrState, keystore.ErrForeign.
func (s *Station) Unlock(keys keystore.Store) (*Station, error) {
	l, ok := s.Key.(locked)
	if !ok {
		return s, nil
	}
	keeper, ok := keys.(keystore.Keeper)
	if !ok {
		return nil, ErrNoKeeper
	}
	key, err := keeper.OpenKey(l.guarded)
	if err != nil {
		return nil, fmt.Errorf("station key: %w", err)
	}
	if !l.public.Equal(key.Public()) {
		return nil, fmt.Errorf("station key: %w: it is another certificate's", keystore.ErrForeign)
	}
	return s.with(key), nil
}

// with is the station with the same key in another form.
func (s *Station) with(key crypto.Signer) *Station {
	c := *s
	c.Key, c.Certificate.PrivateKey = key, key
	return &c
}

// A Guard says where the station's key is.
type Guard int

// The guards, from the weakest.
const (
	InFile Guard = iota // in the clear
	Moved               // in the keystore, and was in a file before: until the next renewal
	Inside              // in the keystore, where it was made
)

// Guard says where the key is. Of a locked one the better is believed.
func (s *Station) Guard() Guard {
	switch key := s.Key.(type) {
	case keystore.Key:
		if key.Moved() {
			return Moved
		}
		return Inside
	case locked:
		return Inside
	}
	return InFile
}

// Unlock has the keystore open the wallet's keys, and make the next ones if it is
// a keystore.Keeper. Errors are Station.Unlock's.
func (w *Wallet) Unlock(keys keystore.Store) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	now, err := w.now.Unlock(keys)
	if err != nil {
		return fmt.Errorf("unlock: %w", err)
	}
	w.now, w.keys = now, keys
	return nil
}

// Move takes the keys that lie in files into the keystore, if that can hold any.
// After an error, or a power cut at any moment, they are where they were or in the
// keystore, and the wallet works either way.
func (w *Wallet) Move() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	keeper, ok := w.keys.(keystore.Keeper)
	if !ok {
		return nil
	}
	now, err := w.move(keeper, w.now, File)
	if err != nil {
		return fmt.Errorf("move station key: %w", err)
	}
	w.now = now
	next, err := w.next()
	if errors.Is(err, ErrNoNext) {
		return nil
	}
	if err == nil {
		_, err = w.move(keeper, next, NextFile)
	}
	if err != nil {
		return fmt.Errorf("move next key: %w", err)
	}
	return nil
}

// move is the station after its key, if that lies in the file, was taken over.
func (w *Wallet) move(keeper keystore.Keeper, s *Station, name string) (*Station, error) {
	outside, ok := s.Key.(*ecdsa.PrivateKey)
	if !ok {
		return s, nil
	}
	taken, err := keeper.TakeKey(outside)
	if err != nil {
		return nil, err
	}
	key, err := keeper.OpenKey(taken.Guarded()) // it signs
	if err != nil {
		return nil, err
	}
	moved := s.with(key)
	b, err := moved.bytes()
	if err != nil {
		return nil, err
	}
	return moved, keep.Key(filepath.Join(w.dir, name), b)
}
