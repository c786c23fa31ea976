package request

import (
	"bytes"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"
	"github.com/gowebpki/jcs"
)

// MaxSealed is the longest sealed envelope: more can't pass a security server's log.
const MaxSealed = 5 << 20

// Errors of sealing and opening. Compare with errors.Is.
var (
	// ErrTooLong says that a sealed envelope is over MaxSealed.
	ErrTooLong = errors.New("envelope over 5 MiB")
	// ErrSealed says that the bytes were not sealed for this identity, or were changed.
	ErrSealed = errors.New("not sealed for us")
	// ErrEnvelope says that what was sealed is no envelope.
	ErrEnvelope = errors.New("malformed envelope")
	// ErrSignature says that the signature is not by a key of the station named.
	ErrSignature = errors.New("wrong signature")
	// ErrStation says that the draft names another station than the signer.
	ErrStation = errors.New("signed by another station")
)

// envelope is what is encrypted: the draft as canonical JSON (RFC 8785) and a
// JWS in compact form with its payload detached (RFC 7515, appendix F), ES256.
// The JWS header's kid is the station's name.
type envelope struct {
	Draft json.RawMessage `json:"draft"`
	JWS   string          `json:"jws"`
}

const jwsType = "kosk-request+jws"

// Seal signs the draft with the station's key (P-256) and encrypts it to the
// bus: nobody but the bus can read the result, this kiosk included. Sealing
// twice gives different bytes, so seal once and keep what came out.
func Seal(d Draft, key crypto.Signer, to age.Recipient) ([]byte, error) {
	if err := d.Validate(); err != nil {
		return nil, fmt.Errorf("seal request: %w", err)
	}
	payload, err := d.canonical()
	if err != nil {
		return nil, fmt.Errorf("seal request: %w", err)
	}
	jws, err := signDetached(payload, key, d.Station)
	if err != nil {
		return nil, fmt.Errorf("seal request: sign: %w", err)
	}
	plain, err := json.Marshal(envelope{Draft: payload, JWS: jws})
	if err != nil {
		return nil, fmt.Errorf("seal request: %w", err)
	}
	sealed, err := encrypt(plain, to)
	if err != nil {
		return nil, fmt.Errorf("seal request: encrypt: %w", err)
	}
	if len(sealed) > MaxSealed {
		return nil, fmt.Errorf("seal request: %w", ErrTooLong)
	}
	return sealed, nil
}

func signDetached(payload []byte, key crypto.Signer, station string) (string, error) {
	opts := new(jose.SignerOptions).WithType(jwsType).WithHeader("kid", station)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: cryptosigner.Opaque(key)}, opts)
	if err != nil {
		return "", err
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return jws.DetachedCompactSerialize()
}

func encrypt(plain []byte, to age.Recipient) ([]byte, error) {
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Open decrypts a sealed envelope, checks that a key of the station it names
// signed it, and returns the draft. stationKeys returns the keys that a station
// may have signed with, the newest first: a request may have waited in the
// kiosk while its key was renewed.
//
// Errors: ErrTooLong, ErrSealed, ErrEnvelope, ErrSignature, ErrStation,
// ErrVersion, ErrDraft, and those of stationKeys.
func Open(sealed []byte, identity age.Identity, stationKeys func(station string) ([]crypto.PublicKey, error)) (Draft, error) {
	plain, err := decrypt(sealed, identity)
	if err != nil {
		return Draft{}, fmt.Errorf("open request: %w", err)
	}
	payload, station, err := verify(plain, stationKeys)
	if err != nil {
		return Draft{}, fmt.Errorf("open request: %w", err)
	}
	d, err := parseDraft(payload)
	if err != nil {
		return Draft{}, fmt.Errorf("open request: %w", err)
	}
	if d.Station != station {
		return Draft{}, fmt.Errorf("open request: %w", ErrStation)
	}
	return d, nil
}

// decrypt never returns what age said: it may quote the header of foreign bytes.
func decrypt(sealed []byte, identity age.Identity) ([]byte, error) {
	if len(sealed) > MaxSealed {
		return nil, ErrTooLong
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), identity)
	if err != nil {
		return nil, ErrSealed
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

// verify returns the signed payload and the station that signed it.
func verify(plain []byte, stationKeys func(string) ([]crypto.PublicKey, error)) ([]byte, string, error) {
	var e envelope
	if err := json.Unmarshal(plain, &e); err != nil || len(e.Draft) == 0 {
		return nil, "", ErrEnvelope
	}
	payload, err := jcs.Transform(e.Draft)
	if err != nil {
		return nil, "", fmt.Errorf("%w: not canonical", ErrEnvelope)
	}
	jws, err := jose.ParseDetached(e.JWS, payload, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil || len(jws.Signatures) != 1 {
		return nil, "", fmt.Errorf("%w: jws", ErrEnvelope)
	}
	head := jws.Signatures[0].Protected
	if typ, _ := head.ExtraHeaders[jose.HeaderType].(string); typ != jwsType {
		return nil, "", fmt.Errorf("%w: type of the jws", ErrEnvelope)
	}
	keys, err := stationKeys(head.KeyID)
	if err != nil {
		return nil, "", err
	}
	for _, key := range keys {
		if err := jws.DetachedVerify(payload, key); err == nil {
			return payload, head.KeyID, nil
		}
	}
	return nil, "", ErrSignature
}
