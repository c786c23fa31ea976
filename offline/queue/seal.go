package queue

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
)

// A Wrapper guards the data keys under which notes and receipts lie in the
// file: a TPM, or a file of its own. What Wrap gives may be stored in the open.
// drivers/keystore has makes of it.
type Wrapper interface {
	Wrap(ctx context.Context, key []byte) ([]byte, error)
	Unwrap(ctx context.Context, wrapped []byte) ([]byte, error)
}

const (
	keySize  = 32      // AES-256
	sealSize = 12 + 16 // nonce and tag
)

// errNoKey says that there is no key to seal under, or nobody to unwrap it.
var errNoKey = errors.New("no data key")

// keys are the data keys by epoch, which is the number of the file's opening.
// A fresh one is made at every opening; older ones serve to read. It doesn't
// change once the queue is open.
type keys map[uint64]cipher.AEAD

// newKey makes a data key.
func newKey() []byte {
	key := make([]byte, keySize)
	rand.Read(key) // never fails: crypto/rand
	return key
}

// add takes the key of an epoch in, and wipes it.
func (k keys) add(epoch uint64, key []byte) error {
	defer clear(key)
	if len(key) != keySize {
		return fmt.Errorf("data key of %d bytes", len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	// The nonce is random and not the sequence number: a transaction that is done
	// again gives the same number to another item.
	k[epoch], err = cipher.NewGCMWithRandomNonce(block)
	return err
}

func (k *keys) seal(epoch uint64, plain, data []byte) ([]byte, error) {
	aead, ok := (*k)[epoch]
	if !ok {
		return nil, errNoKey
	}
	return aead.Seal(nil, nil, plain, data), nil
}

// open returns what was sealed; known is false when the key is not to be had.
func (k *keys) open(epoch uint64, sealed, data []byte) (plain []byte, known bool, err error) {
	aead, ok := (*k)[epoch]
	if !ok {
		return nil, false, nil
	}
	plain, err = aead.Open(nil, nil, sealed, data)
	return plain, true, err
}
