package icao

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"math/big"
	"testing"
)

// recoverable makes the signature of a chip with an RSA key: ISO 9796-2 scheme 1,
// with as much of the message inside as there is room.
func recoverable(t *testing.T, key *rsa.PrivateKey, h crypto.Hash, trailer, challenge []byte) []byte {
	t.Helper()
	f := make([]byte, key.Size())
	f[0] = 0x6A
	m1 := f[1 : len(f)-h.Size()-len(trailer)]
	if _, err := rand.Read(m1); err != nil {
		t.Fatal(err)
	}
	copy(f[1+len(m1):], digest(h, m1, challenge))
	copy(f[len(f)-len(trailer):], trailer)
	s := new(big.Int).Exp(new(big.Int).SetBytes(f), key.D, key.N)
	return s.FillBytes(make([]byte, key.Size()))
}

func TestActiveAuthenticationWithRSA(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	group15, challenge := DG15(spki), []byte("12345678")
	tests := []struct {
		name    string
		hash    crypto.Hash
		trailer []byte
	}{
		{"SHA-1", crypto.SHA1, []byte{0xBC}},
		{"SHA-1 by number", crypto.SHA1, []byte{0x33, 0xCC}},
		{"SHA-256", crypto.SHA256, []byte{0x34, 0xCC}},
		{"SHA-512", crypto.SHA512, []byte{0x35, 0xCC}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			answer := recoverable(t, key, tt.hash, tt.trailer, challenge)
			if err := VerifyActive(group15, nil, challenge, answer); err != nil {
				t.Error(err)
			}
			if err := VerifyActive(group15, nil, []byte("87654321"), answer); !errors.Is(err, ErrSignature) {
				t.Errorf("another challenge: error = %v", err)
			}
			answer[100] ^= 1
			if err := VerifyActive(group15, nil, challenge, answer); !errors.Is(err, ErrSignature) {
				t.Errorf("changed answer: error = %v", err)
			}
		})
	}
}
