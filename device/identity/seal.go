package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
)

// A signed bundle is a JWS in flattened JSON, RFC 7515, 7.2.2, with ES256. Its
// header is always the same, so nothing in it is left to whoever wrote the file.
const header = `{"alg":"ES256","typ":"kosk-trust+json"}`

// ErrKey says that a file is no key to sign or check bundles with: P-256, in PEM.
var ErrKey = errors.New("bad trust key")

// jws is the file of a signed bundle.
type jws struct {
	Payload   string `json:"payload"`
	Protected string `json:"protected"`
	Signature string `json:"signature"`
}

// A seal is a signature and what it was made over; without one it is zero.
type seal struct {
	signed    []byte
	signature []byte // r and s, 32 bytes each, RFC 7518, 3.4
}

// unseal takes a file apart. A file that isn't a signed bundle is its own payload.
func unseal(data []byte) (payload []byte, s seal, err error) {
	var probe struct {
		Payload *string `json:"payload"`
	}
	if err := json.Unmarshal(data, &probe); err != nil || probe.Payload == nil {
		return data, seal{}, nil // decode says what is wrong
	}
	var j jws
	if err := strict(data, &j); err != nil {
		return nil, seal{}, err
	}
	payload, errP := base64.RawURLEncoding.Strict().DecodeString(j.Payload)
	signature, errS := base64.RawURLEncoding.Strict().DecodeString(j.Signature)
	if err := errors.Join(errP, errS); err != nil {
		return nil, seal{}, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	if j.Protected != base64.RawURLEncoding.EncodeToString([]byte(header)) || len(signature) != 64 {
		return nil, seal{}, fmt.Errorf("%w: signed in another way than %s", ErrBundle, header)
	}
	return payload, seal{[]byte(j.Protected + "." + j.Payload), signature}, nil
}

// check asks for a signature with the key, and without a key for none.
func (s seal) check(key *ecdsa.PublicKey) error {
	switch {
	case key == nil && s.signature == nil:
		return nil
	case key == nil:
		return fmt.Errorf("%w: it is signed, and this kiosk has no trust key", ErrBundle)
	case s.signature == nil:
		return fmt.Errorf("%w: %w", ErrBundle, ErrUnsigned)
	}
	sum := sha256.Sum256(s.signed)
	r, t := new(big.Int).SetBytes(s.signature[:32]), new(big.Int).SetBytes(s.signature[32:])
	if !ecdsa.Verify(key, sum[:], r, t) {
		return fmt.Errorf("%w: %w", ErrBundle, ErrUnsigned)
	}
	return nil
}

// sealed signs a payload.
func sealed(payload []byte, key *ecdsa.PrivateKey) ([]byte, error) {
	if key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%w: %s", ErrKey, key.Curve.Params().Name)
	}
	j := jws{
		Payload:   base64.RawURLEncoding.EncodeToString(payload),
		Protected: base64.RawURLEncoding.EncodeToString([]byte(header)),
	}
	sum := sha256.Sum256([]byte(j.Protected + "." + j.Payload))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		return nil, err
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	j.Signature = base64.RawURLEncoding.EncodeToString(signature)
	data, err := json.MarshalIndent(j, "", "  ")
	return append(data, '\n'), err
}

// LoadTrustKey reads the operator's public key: a SubjectPublicKeyInfo of P-256
// in PEM. An empty path is no key, which means development.
func LoadTrustKey(path string) (*ecdsa.PublicKey, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load trust key: %w", err)
	}
	block, rest := pem.Decode(data)
	if block == nil || block.Type != "PUBLIC KEY" || len(bytes.TrimSpace(rest)) != 0 {
		return nil, fmt.Errorf("load trust key: %s: %w: not one public key in pem", path, ErrKey)
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("load trust key: %s: %w: %w", path, ErrKey, err)
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("load trust key: %s: %w: not of p-256", path, ErrKey)
	}
	return key, nil
}
