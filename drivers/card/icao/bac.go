package icao

import (
	"crypto/cipher"
	"crypto/subtle"
	"errors"
	"fmt"
)

// ErrBAC says that a message of Basic Access Control was not made with the same
// zone, or is none.
var ErrBAC = errors.New("bad basic access control")

// Sizes of Basic Access Control, ICAO 9303-11, 4.3.1.
const (
	BACNonce   = 8  // RND.IFD and RND.IC
	BACKey     = 16 // K.IFD and K.IC
	BACMessage = 2*BACNonce + BACKey + 8
)

// A BAC is one side of Basic Access Control, ICAO 9303-11, 4.3.
type BAC struct{ enc, mac []byte }

// NewBAC takes the secret that PasswordMRZ makes of the zone.
func NewBAC(secret []byte) (*BAC, error) {
	if len(secret) < 16 {
		return nil, fmt.Errorf("%w: secret of %d bytes", ErrBAC, len(secret))
	}
	seed := secret[:16]
	return &BAC{enc: TripleDES.Derive(seed, UseEncryption), mac: TripleDES.Derive(seed, UseMAC)}, nil
}

// Seal makes the message of one side: its nonce, the other's, and its share of the
// key, encrypted and with a MAC.
func (b *BAC) Seal(own, other, key []byte) ([]byte, error) {
	if len(own) != BACNonce || len(other) != BACNonce || len(key) != BACKey {
		return nil, fmt.Errorf("%w: sizes", ErrBAC)
	}
	block, err := TripleDES.block(b.enc)
	if err != nil {
		return nil, err
	}
	out := append(append(append([]byte(nil), own...), other...), key...)
	cipher.NewCBCEncrypter(block, make([]byte, block.BlockSize())).CryptBlocks(out, out)
	sum, err := TripleDES.mac(b.mac, pad(out, block.BlockSize()))
	if err != nil {
		return nil, err
	}
	return append(out, sum...), nil
}

// Open checks the chip's message, which must hold both nonces, and returns the
// chip's share of the key.
func (b *BAC) Open(message, chip, own []byte) ([]byte, error) {
	first, second, key, err := b.open(message)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(first, chip) != 1 || subtle.ConstantTimeCompare(second, own) != 1 {
		return nil, fmt.Errorf("%w: nonces", ErrBAC)
	}
	return key, nil
}

// OpenFirst checks the terminal's message, which must hold the chip's nonce, and
// returns the terminal's nonce and its share of the key.
func (b *BAC) OpenFirst(message, own []byte) (nonce, key []byte, err error) {
	first, second, key, err := b.open(message)
	if err != nil {
		return nil, nil, err
	}
	if subtle.ConstantTimeCompare(second, own) != 1 {
		return nil, nil, fmt.Errorf("%w: nonce", ErrBAC)
	}
	return first, key, nil
}

// open checks the MAC and takes the message apart.
func (b *BAC) open(message []byte) (first, second, key []byte, err error) {
	if len(message) != BACMessage {
		return nil, nil, nil, fmt.Errorf("%w: %d bytes", ErrBAC, len(message))
	}
	body, sum := message[:BACMessage-8], message[BACMessage-8:]
	want, err := TripleDES.mac(b.mac, pad(body, 8))
	if err != nil {
		return nil, nil, nil, err
	}
	if subtle.ConstantTimeCompare(want, sum) != 1 {
		return nil, nil, nil, fmt.Errorf("%w: mac", ErrBAC)
	}
	block, err := TripleDES.block(b.enc)
	if err != nil {
		return nil, nil, nil, err
	}
	plain := make([]byte, len(body))
	cipher.NewCBCDecrypter(block, make([]byte, block.BlockSize())).CryptBlocks(plain, body)
	return plain[:BACNonce], plain[BACNonce : 2*BACNonce], plain[2*BACNonce:], nil
}

// BACSession starts the session of both shares, ICAO 9303-11, 9.8.2: the counter
// begins with the low halves of the nonces, the chip's first.
func BACSession(terminalKey, chipKey, terminalNonce, chipNonce []byte) (*Messaging, error) {
	if len(terminalKey) != BACKey || len(chipKey) != BACKey || len(terminalNonce) != BACNonce || len(chipNonce) != BACNonce {
		return nil, fmt.Errorf("%w: sizes", ErrBAC)
	}
	seed := make([]byte, BACKey)
	subtle.XORBytes(seed, terminalKey, chipKey)
	ssc := append(append([]byte(nil), chipNonce[4:]...), terminalNonce[4:]...)
	return NewMessaging(TripleDES, TripleDES.Derive(seed, UseEncryption), TripleDES.Derive(seed, UseMAC), ssc)
}
