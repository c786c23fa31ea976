// Package file wraps keys under one that lies in a file of its own, readable by
// its owner alone. It is for machines without a TPM: whoever has the whole disk
// has the keys, and health says so. What it guards against is the queue's file,
// or a copy of it, going astray by itself.
package file

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"kosk/drivers/keystore"
)

const keySize = 32

// A Store is a key in a file.
type Store struct{ aead cipher.AEAD }

var _ keystore.Store = (*Store)(nil)

// Open reads the key, or makes it: synced, before it is used. A file that
// others may read is refused.
func Open(path string) (*Store, error) {
	key, err := load(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = create(path); err == nil {
			key, err = load(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open key file: %w", err)
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("open key file: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("open key file: %w", err)
	}
	return &Store{aead}, nil
}

func load(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 || info.Size() != keySize {
		return nil, fmt.Errorf("%s is %d bytes, mode %v: want %d bytes, for the owner alone", filepath.Base(path), info.Size(), info.Mode(), keySize)
	}
	key := make([]byte, keySize)
	_, err = f.ReadAt(key, 0)
	return key, err
}

// create makes the key under another name first, so that a cut leaves no half of one.
func create(path string) error {
	key := make([]byte, keySize)
	defer clear(key)
	rand.Read(key)                                                            // never fails: crypto/rand
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(key)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Link(f.Name(), path) // and not Rename: another's key is not to be replaced
	}
	if err = errors.Join(err, os.Remove(f.Name())); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Wrap seals the key with AES-256-GCM.
func (s *Store) Wrap(ctx context.Context, key []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(key) == 0 || len(key) > keystore.MaxKey {
		return nil, keystore.ErrKey
	}
	return s.aead.Seal(nil, nil, key, nil), nil
}

// Unwrap opens what Wrap sealed.
func (s *Store) Unwrap(ctx context.Context, wrapped []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	key, err := s.aead.Open(nil, nil, wrapped, nil)
	if err != nil {
		return nil, fmt.Errorf("unwrap: %w", keystore.ErrForeign)
	}
	return key, nil
}

// Close does nothing.
func (s *Store) Close() error { return nil }
