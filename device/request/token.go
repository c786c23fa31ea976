package request

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/gowebpki/jcs"
)

// An Outcome is the agency's answer to a request. It is personal: the kiosk
// holds it in memory for the visit only.
type Outcome struct {
	Kind       string    `json:"kind"` // "certificate", "application"
	Number     string    `json:"number"`
	Service    string    `json:"service"`
	IssuedAt   time.Time `json:"issued_at"`
	ValidUntil time.Time `json:"valid_until"` // of an application: the day by which it is answered
	Data       []Datum   `json:"data"`
	Token      []byte    `json:"token"` // a Certificate; base64 in JSON
}

// The kinds of outcomes.
const (
	KindCertificate = "certificate" // printed, and good until its day
	KindApplication = "application" // registered: an agency goes on working on it
)

// A Datum is one line of an outcome, with the register that it comes from.
type Datum struct {
	ID       string `json:"id"`
	Value    string `json:"value"`
	Lang     string `json:"lang,omitempty"` // of the value, where it has one
	Register string `json:"register,omitempty"`
}

// HashData is what a certificate's token binds: SHA-256 of the data as
// canonical JSON (RFC 8785).
func HashData(data []Datum) ([32]byte, error) {
	b, err := json.Marshal(data)
	if err != nil {
		return [32]byte{}, err
	}
	if b, err = jcs.Transform(b); err != nil {
		return [32]byte{}, err
	}
	return sha256.Sum256(b), nil
}

// A Certificate is what the QR code of a certificate says, signed by the bus, or
// the code of an application that was registered. It names its holder only by a
// mask.
type Certificate struct {
	Kind       string // as the outcome's; "" is a certificate
	Number     string
	Service    string
	IssuedAt   time.Time // whole seconds
	ValidUntil time.Time // as the outcome's
	Holder     string    // see MaskName
	Hash       [32]byte  // see HashData
}

type certificatePayload struct {
	Kind       kind   `cbor:"1,keyasint"`
	Number     string `cbor:"2,keyasint"`
	Service    string `cbor:"3,keyasint"`
	IssuedAt   int64  `cbor:"4,keyasint"` // seconds since 1970
	ValidUntil int64  `cbor:"5,keyasint"`
	Holder     string `cbor:"6,keyasint"`
	Hash       []byte `cbor:"7,keyasint"`
}

// SignCertificate signs c with the bus's receipt key.
func SignCertificate(c Certificate, key crypto.Signer) ([]byte, error) {
	k := kindCertificate
	if c.Kind == KindApplication {
		k = kindApplication
	}
	b, err := sign1(certificatePayload{
		Kind: k, Number: c.Number, Service: c.Service,
		IssuedAt: c.IssuedAt.Unix(), ValidUntil: c.ValidUntil.Unix(), Holder: c.Holder, Hash: c.Hash[:],
	}, key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	return b, nil
}

// VerifyCertificate checks the token of a certificate or an application and reads
// it. With ErrExpired the certificate is returned as well: it is genuine; an
// application doesn't expire. Other errors: ErrToken, ErrKey, ErrAltered.
func VerifyCertificate(b []byte, key *ecdsa.PublicKey, now time.Time) (Certificate, error) {
	var p certificatePayload
	if err := verify1(b, key, &p); err != nil {
		return Certificate{}, fmt.Errorf("verify certificate: %w", err)
	}
	name, ok := map[kind]string{kindCertificate: KindCertificate, kindApplication: KindApplication}[p.Kind]
	if !ok || len(p.Hash) != sha256.Size {
		return Certificate{}, fmt.Errorf("verify certificate: %w", ErrToken)
	}
	c := Certificate{
		Kind: name, Number: p.Number, Service: p.Service, IssuedAt: time.Unix(p.IssuedAt, 0).UTC(),
		ValidUntil: time.Unix(p.ValidUntil, 0).UTC(), Holder: p.Holder, Hash: [32]byte(p.Hash),
	}
	if c.Kind == KindCertificate && now.After(c.ValidUntil) {
		return c, fmt.Errorf("verify certificate: %w", ErrExpired)
	}
	return c, nil
}

// Check says whether the outcome is the one that the certificate was signed
// for: nil, or ErrOther.
func (c Certificate) Check(o Outcome) error {
	sum, err := HashData(o.Data)
	if err != nil || !bytes.Equal(sum[:], c.Hash[:]) || o.Kind != cmp.Or(c.Kind, KindCertificate) || o.Number != c.Number || o.Service != c.Service ||
		o.IssuedAt.Unix() != c.IssuedAt.Unix() || o.ValidUntil.Unix() != c.ValidUntil.Unix() {
		return fmt.Errorf("check certificate: %w", ErrOther)
	}
	return nil
}

// MaskName shows enough of a name for its bearer to be recognised by somebody
// who has the identity card in hand: "AY*** MƏ***". A part of up to two letters
// shows one.
func MaskName(givenNames, surname string) string {
	mask := func(s string) string {
		r := []rune(s)
		return string(r[:min(len(r), 1+min(1, len(r)/3))]) + "***"
	}
	return strings.TrimSpace(mask(givenNames) + " " + mask(surname))
}

// A Provisional is what the QR code of a provisional slip says: this station
// keeps the request and will deliver it.
type Provisional struct {
	Number    string
	Service   string
	Station   string
	CreatedAt time.Time // whole seconds, by the kiosk's clock
}

type provisionalPayload struct {
	Kind      kind   `cbor:"1,keyasint"`
	Number    string `cbor:"2,keyasint"`
	Service   string `cbor:"3,keyasint"`
	Station   string `cbor:"4,keyasint"`
	CreatedAt int64  `cbor:"5,keyasint"` // seconds since 1970
}

// SignProvisional signs p with the station's key.
func SignProvisional(p Provisional, key crypto.Signer) ([]byte, error) {
	b, err := sign1(provisionalPayload{
		Kind: kindProvisional, Number: p.Number, Service: p.Service, Station: p.Station, CreatedAt: p.CreatedAt.Unix(),
	}, key)
	if err != nil {
		return nil, fmt.Errorf("sign provisional: %w", err)
	}
	return b, nil
}

// VerifyProvisional checks a provisional token with the key of the station.
// Errors: ErrToken, ErrKey, ErrAltered.
func VerifyProvisional(b []byte, key *ecdsa.PublicKey) (Provisional, error) {
	var p provisionalPayload
	if err := verify1(b, key, &p); err != nil {
		return Provisional{}, fmt.Errorf("verify provisional: %w", err)
	}
	if p.Kind != kindProvisional {
		return Provisional{}, fmt.Errorf("verify provisional: %w", ErrToken)
	}
	return Provisional{
		Number: p.Number, Service: p.Service, Station: p.Station, CreatedAt: time.Unix(p.CreatedAt, 0).UTC(),
	}, nil
}

// Stream is the name of the queue's stream for one person and service: a keyed
// hash, so that the queue file names nobody. 32 hex digits.
func Stream(key []byte, fin, service string) string {
	mac := hmac.New(sha256.New, key)
	for _, part := range []string{fin, service} {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(part)))
		mac.Write(n[:])
		mac.Write([]byte(part))
	}
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
