package icao

import (
	"crypto"
	"fmt"
	"math/big"
)

// VerifyActive says whether response proves the key of data group 15 over the
// challenge, ICAO 9303-11, 6.1. group14 names the algorithm for ECDSA keys and may
// be nil: then the answer is taken with SHA-256, as the standard's default curve
// wants, and SHA-1, as chips older than group 14 use.
func VerifyActive(group15, group14, challenge, response []byte) error {
	key, err := ParseDG15(group15)
	if err != nil {
		return err
	}
	if key.RSA() {
		return key.recover(challenge, response)
	}
	candidates := []oid{oidPlain + ".3", oidPlain + ".1"}
	if group14 != nil {
		infos, err := ParseDG14(group14)
		if err != nil {
			return err
		}
		if infos.ActiveAlgorithm != nil {
			id, err := parseOID(infos.ActiveAlgorithm)
			if err != nil {
				return err
			}
			candidates = []oid{id}
		}
	}
	for _, id := range candidates {
		if err = key.Verify(Algorithm{id: id}, 0, challenge, response); err == nil {
			return nil
		}
	}
	return err
}

// trailers of ISO 9796-2, 8.1: which hash was used; BC is SHA-1.
var trailers = map[byte]crypto.Hash{0x38: crypto.SHA224, 0x34: crypto.SHA256, 0x36: crypto.SHA384, 0x35: crypto.SHA512, 0x33: crypto.SHA1}

// recover checks an ISO 9796-2 scheme 1 signature with partial recovery, ICAO
// 9303-11, 6.1.2.2: 6A, what the chip added, the hash over that and the challenge,
// trailer.
func (k *PublicKey) recover(challenge, response []byte) error {
	size := (k.rsa.N.BitLen() + 7) / 8
	if len(response) != size {
		return fmt.Errorf("%w: %d bytes", ErrSignature, len(response))
	}
	s := new(big.Int).SetBytes(response)
	if s.Cmp(k.rsa.N) >= 0 {
		return ErrSignature
	}
	m := new(big.Int).Exp(s, big.NewInt(int64(k.rsa.E)), k.rsa.N)
	f := m.FillBytes(make([]byte, size))
	h, tail := crypto.SHA1, 1
	if f[size-1] == 0xCC {
		h, tail = trailers[f[size-2]], 2
	} else if f[size-1] != 0xBC {
		return ErrSignature
	}
	if h == 0 || f[0] != 0x6A || size < 1+h.Size()+tail {
		return ErrSignature
	}
	m1, sum := f[1:size-h.Size()-tail], f[size-h.Size()-tail:size-tail]
	if string(sum) != string(digest(h, m1, challenge)) {
		return ErrSignature
	}
	return nil
}
