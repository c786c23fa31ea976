// Package seal signs JSON that others keep and check later without asking the
// bus: heads of the message log, the catalogue's manifest, which kiosks check.
//
// The form is a JWS in flattened JSON on one line (RFC 7515, 7.2.2) with ES256,
// and a header that is fixed for each kind of content, so nothing in it is left
// to whoever wrote the bytes. Start at Sign and Open.
package seal

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
)

// ErrSeal says that bytes are no JSON of the wanted kind signed with the key.
var ErrSeal = errors.New("not sealed with this key")

// jws is the outer form.
type jws struct {
	Payload   string `json:"payload"`
	Protected string `json:"protected"`
	Signature string `json:"signature"`
}

var base = base64.RawURLEncoding.Strict()

// protected is the header for a kind of content, such as "kosk-log-head".
func protected(kind string) string {
	return base.EncodeToString([]byte(`{"alg":"ES256","typ":"` + kind + `+json"}`))
}

// Sign seals a payload. The same payload and key give the same bytes (RFC 6979).
func Sign(kind string, payload []byte, key *ecdsa.PrivateKey) ([]byte, error) {
	if key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("sign %s: key is not of p-256", kind)
	}
	j := jws{Payload: base.EncodeToString(payload), Protected: protected(kind)}
	sum := sha256.Sum256([]byte(j.Protected + "." + j.Payload))
	der, err := key.Sign(nil, sum[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", kind, err)
	}
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &rs); err != nil {
		return nil, fmt.Errorf("sign %s: %w", kind, err)
	}
	raw := make([]byte, 64) // RFC 7518, 3.4
	rs.R.FillBytes(raw[:32])
	rs.S.FillBytes(raw[32:])
	j.Signature = base.EncodeToString(raw)
	return json.Marshal(j)
}

// Signature is the signature of what is sealed, in its own text. Together with
// the payload it is the seal: see Join.
func Signature(sealed []byte) (string, error) {
	j, err := read(sealed)
	return j.Signature, err
}

// Join puts payload and signature together. It checks nothing, see Open. What
// Sign sealed comes back byte for byte.
func Join(kind string, payload []byte, signature string) ([]byte, error) {
	return json.Marshal(jws{Payload: base.EncodeToString(payload), Protected: protected(kind), Signature: signature})
}

// Open checks a seal and returns what was sealed, or ErrSeal.
func Open(kind string, sealed []byte, key *ecdsa.PublicKey) ([]byte, error) {
	payload, sum, raw, err := parse(kind, sealed)
	if err != nil {
		return nil, err
	}
	r, s := new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])
	if !ecdsa.Verify(key, sum[:], r, s) {
		return nil, fmt.Errorf("open %s: %w: signature", kind, ErrSeal)
	}
	return payload, nil
}

// Peek returns what was sealed without a look at the signature, or ErrSeal. It is
// for what something else proves, such as a later seal that has the hash of this.
func Peek(kind string, sealed []byte) ([]byte, error) {
	payload, _, _, err := parse(kind, sealed)
	return payload, err
}

// parse reads the form: what was sealed, the hash that is signed, the signature.
func parse(kind string, sealed []byte) (payload []byte, sum [32]byte, signature []byte, err error) {
	j, err := read(sealed)
	if err != nil {
		return nil, sum, nil, fmt.Errorf("open %s: %w", kind, err)
	}
	payload, errP := base.DecodeString(j.Payload)
	signature, errS := base.DecodeString(j.Signature)
	if errP != nil || errS != nil || len(signature) != 64 || j.Protected != protected(kind) {
		return nil, sum, nil, fmt.Errorf("open %s: %w: form", kind, ErrSeal)
	}
	return payload, sha256.Sum256([]byte(j.Protected + "." + j.Payload)), signature, nil
}

// read reads the outer form.
func read(sealed []byte) (j jws, err error) {
	d := json.NewDecoder(bytes.NewReader(sealed))
	d.DisallowUnknownFields()
	if err := d.Decode(&j); err != nil || d.More() {
		return jws{}, fmt.Errorf("%w: form", ErrSeal)
	}
	return j, nil
}
