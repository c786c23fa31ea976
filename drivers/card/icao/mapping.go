//lint:file-ignore SA1019 The mappings of PACE and brainpool need the points of crypto/elliptic.

package icao

import (
	"crypto/cipher"
	"encoding/hex"
	"fmt"
	"math/big"
)

// integratedConstants are c0 and c1 of the pseudo-random function, ICAO 9303-11,
// 4.4.3.3.2, by the length of the nonce in bytes.
var integratedConstants = map[int][2]string{
	16: {"a668892a7c41e3ca739f40b057d85904", "a4e136ac725f738b01c1f60217c188ad"},
	32: {
		"d463d65234124ef7897054986dca0a174e28df758cbaa03f240616414d5a1676",
		"54bd7255f0aaf831bec3423fcf39d69b6cbf066677d0faae5aadd99df8e53517",
	},
}

// keySize is the length of the cipher's keys in bytes.
func (c Cipher) keySize() int {
	switch c {
	case AES192:
		return 24
	case AES256:
		return 32
	}
	return 16
}

// NonceSize is how many bytes the chip's nonce has: with integrated mapping the
// least multiple of the block that is no shorter than the key, ICAO 9303-11,
// 4.4.3.2.
func (s Suite) NonceSize() int { return (s.Info.Cipher.keySize() + 15) / 16 * 16 }

// TerminalNonceSize is the length of the terminal's nonce in integrated mapping:
// that of a key, ICAO 9303-11, 4.4.3.3.2.
func (s Suite) TerminalNonceSize() int { return s.Info.Cipher.keySize() }

// MapIntegrated is step 2 with integrated mapping: both nonces make a number,
// which a point is made of, ICAO 9303-11, 4.4.3.3.2. ours is the terminal's nonce,
// sent in the clear.
func (s Suite) MapIntegrated(nonce, ours []byte) (Generator, error) {
	if len(nonce) != s.NonceSize() || len(ours) != s.TerminalNonceSize() {
		return Generator{}, fmt.Errorf("%w: nonces of %d and %d bytes", ErrPACE, len(nonce), len(ours))
	}
	t, err := s.pseudoRandom(nonce, ours)
	if err != nil {
		return Generator{}, err
	}
	return s.encodePoint(t)
}

// pseudoRandom is Rp of ICAO 9303-11, 4.4.3.3.2: k0 = E(t, s), then x = E(k, c1)
// and k = E(k, c0), until there are 64 bits more than the prime has.
func (s Suite) pseudoRandom(nonce, ours []byte) (*big.Int, error) {
	constants, known := integratedConstants[len(nonce)]
	if !known {
		return nil, fmt.Errorf("%w: nonce of %d bytes", ErrPACE, len(nonce))
	}
	c0, err0 := hex.DecodeString(constants[0])
	c1, err1 := hex.DecodeString(constants[1])
	if err0 != nil || err1 != nil {
		return nil, fmt.Errorf("%w: constants", ErrPACE)
	}
	key, err := s.chain(ours, nonce)
	if err != nil {
		return nil, err
	}
	p := s.curve.Params().P
	var out []byte
	for len(out)*8 < p.BitLen()+64 {
		x, err := s.chain(key, c1)
		if err != nil {
			return nil, err
		}
		out = append(out, x...)
		if key, err = s.chain(key, c0); err != nil {
			return nil, err
		}
	}
	t := new(big.Int).SetBytes(out)
	return t.Mod(t, p), nil
}

// chain encrypts whole blocks with a zero vector; a key that is too long is cut.
func (s Suite) chain(key, data []byte) ([]byte, error) {
	b, err := s.Info.Cipher.block(key[:s.Info.Cipher.keySize()])
	if err != nil {
		return nil, err
	}
	out := make([]byte, len(data))
	cipher.NewCBCEncrypter(b, make([]byte, b.BlockSize())).CryptBlocks(out, data)
	return out, nil
}

// encodePoint is ICAO 9303-11, appendix B.2: a number to a point of a curve whose
// prime is 3 mod 4 and whose cofactor is 1, as all of standardCurves are. Which of
// the two candidates is taken doesn't show in the time: both are computed.
func (s Suite) encodePoint(t *big.Int) (Generator, error) {
	params := s.curve.Params()
	p := params.P
	a, b := coefficients(params)
	mul := func(x, y *big.Int) *big.Int { z := new(big.Int).Mul(x, y); return z.Mod(z, p) }
	add := func(x, y *big.Int) *big.Int { z := new(big.Int).Add(x, y); return z.Mod(z, p) }
	neg := func(x *big.Int) *big.Int { z := new(big.Int).Neg(x); return z.Mod(z, p) }
	alpha := neg(mul(t, t))
	inverse := new(big.Int).ModInverse(add(alpha, mul(alpha, alpha)), p)
	if inverse == nil {
		return Generator{}, fmt.Errorf("%w: nonces make no point", ErrPACE)
	}
	x2 := mul(mul(neg(b), new(big.Int).ModInverse(a, p)), add(big.NewInt(1), inverse))
	x3 := mul(alpha, x2)
	h2 := add(add(mul(mul(x2, x2), x2), mul(a, x2)), b)
	u := mul(mul(mul(t, t), t), h2)
	// p-1-(p+1)/4
	e := new(big.Int).Rsh(new(big.Int).Add(p, big.NewInt(1)), 2)
	e.Sub(new(big.Int).Sub(p, big.NewInt(1)), e)
	root := new(big.Int).Exp(h2, e, p)
	x, y := x3, mul(root, u)
	if mul(mul(root, root), h2).Cmp(big.NewInt(1)) == 0 {
		x, y = x2, mul(root, h2)
	}
	if !s.curve.IsOnCurve(x, y) {
		return Generator{}, fmt.Errorf("%w: nonces make no point", ErrPACE)
	}
	return Generator{x, y}, nil
}

// chipDataVector is the initialization vector of the chip authentication data: all
// ones, encrypted, ICAO 9303-11, 4.4.3.5.
func chipDataVector(b cipher.Block) []byte {
	iv := make([]byte, b.BlockSize())
	for i := range iv {
		iv[i] = 0xFF
	}
	b.Encrypt(iv, iv)
	return iv
}

// SealChipData is the chip's step 4 of chip authentication mapping.
func (s Suite) SealChipData(enc, data []byte) ([]byte, error) {
	b, err := s.Info.Cipher.block(enc)
	if err != nil {
		return nil, err
	}
	out := pad(data, b.BlockSize())
	cipher.NewCBCEncrypter(b, chipDataVector(b)).CryptBlocks(out, out)
	return out, nil
}

// OpenChipData is the terminal's step 4 of chip authentication mapping: what
// VerifyMapping wants.
func (s Suite) OpenChipData(enc, sealed []byte) ([]byte, error) {
	b, err := s.Info.Cipher.block(enc)
	if err != nil {
		return nil, err
	}
	if len(sealed) == 0 || len(sealed)%b.BlockSize() != 0 {
		return nil, fmt.Errorf("%w: chip authentication data of %d bytes", ErrPACE, len(sealed))
	}
	out := make([]byte, len(sealed))
	cipher.NewCBCDecrypter(b, chipDataVector(b)).CryptBlocks(out, sealed)
	return unpad(out)
}
