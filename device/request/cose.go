package request

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"
)

// The signed words (receipt, certificate, provisional) are COSE_Sign1, tagged,
// ES256 (RFC 9052, 4.2). The protected header holds the algorithm and the key's
// id; the payload is a CBOR map with small integer keys in deterministic
// encoding (RFC 8949, 4.2.1), whose key 1 is the kind, so that no word can be
// taken for one of another kind although one key signs two of them.

// Errors of signed words. Compare with errors.Is.
var (
	// ErrToken says that the bytes are no signed word of the kind asked for.
	ErrToken = errors.New("malformed token")
	// ErrKey says that another key signed: it may still be genuine.
	ErrKey = errors.New("signed by another key")
	// ErrAltered says that the signature doesn't fit the content.
	ErrAltered = errors.New("altered or forged")
	// ErrExpired says that a genuine certificate's time is over.
	ErrExpired = errors.New("expired")
	// ErrOther says that a genuine word is about something else.
	ErrOther = errors.New("about another request")
)

// A kind is key 1 of every payload.
type kind int

const (
	kindReceipt     kind = 1
	kindCertificate kind = 2
	kindProvisional kind = 3
	kindRevocations kind = 4
	kindApplication kind = 5 // a certificatePayload
)

const (
	maxToken    = 1024
	keyIDLength = 8
)

// KeyID is the name of a public key in signed words: the first 8 bytes of the
// SHA-256 of its SubjectPublicKeyInfo.
func KeyID(key *ecdsa.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(der)
	return sum[:keyIDLength], nil
}

// steady signs the same digest with the same bytes, as RFC 6979 does: a word
// that is made again after a crash is the same word.
type steady struct{ crypto.Signer }

func (s steady) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	if key, ok := s.Signer.(*ecdsa.PrivateKey); ok {
		return key.Sign(nil, digest, crypto.SHA256)
	}
	return s.Signer.Sign(rand.Reader, digest, crypto.SHA256)
}

// sign1 signs payload, a struct with integer keys.
func sign1(payload any, key crypto.Signer) ([]byte, error) {
	public, ok := key.Public().(*ecdsa.PublicKey)
	if !ok {
		return nil, errors.New("not an ecdsa key")
	}
	id, err := KeyID(public)
	if err != nil {
		return nil, err
	}
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		return nil, err
	}
	content, err := mode.Marshal(payload)
	if err != nil {
		return nil, err
	}
	signer, err := cose.NewSigner(cose.AlgorithmES256, steady{key})
	if err != nil {
		return nil, err
	}
	headers := cose.Headers{Protected: cose.ProtectedHeader{
		cose.HeaderLabelAlgorithm: cose.AlgorithmES256,
		cose.HeaderLabelKeyID:     id,
	}}
	return cose.Sign1(rand.Reader, signer, headers, content, nil)
}

// verify1 checks token against key and reads its payload into out.
func verify1(token []byte, key *ecdsa.PublicKey, out any) error {
	return verifyLong(token, maxToken, key, out)
}

// verifyLong is verify1 for what may have up to limit bytes.
func verifyLong(token []byte, limit int, key *ecdsa.PublicKey, out any) error {
	if len(token) > limit {
		return ErrToken
	}
	var msg cose.Sign1Message
	if err := msg.UnmarshalCBOR(token); err != nil {
		return ErrToken
	}
	want, err := KeyID(key)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKey, err)
	}
	id, ok := msg.Headers.Protected[cose.HeaderLabelKeyID].([]byte)
	if !ok {
		return ErrToken
	}
	if !bytes.Equal(id, want) {
		return ErrKey
	}
	verifier, err := cose.NewVerifier(cose.AlgorithmES256, key)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKey, err)
	}
	if err := msg.Verify(nil, verifier); err != nil {
		return ErrAltered
	}
	mode, err := cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF, MaxNestedLevels: 4}.DecMode()
	if err != nil {
		return err
	}
	if err := mode.Unmarshal(msg.Payload, out); err != nil {
		return ErrToken
	}
	return nil
}
