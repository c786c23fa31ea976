package identity

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"kosk/drivers/card/icao"
)

// The rules for means are:
//
//  1. A means signs the very bytes that it is given, the statement. Nobody's bare
//     yes counts: not a card's, not the bus's.
//  2. The statement is fresh and names its use, station and request, so that a
//     proof is good for one thing, once. device/request makes it.
//  3. The signature is by a key whose certificate an authority of persons issued
//     for this use: login keys don't sign requests, nor the other way round. Only
//     a means without a key of the person's own takes a provider's word, which
//     the provider signs together with the statement's hash.
//  4. Where a card was read, the proof is of the card's holder.

// Why somebody is not believed to be here, beside the errors of Believe.
var (
	// ErrProof says that a proof doesn't fit what was to be proved.
	ErrProof = errors.New("proof does not hold")
	// ErrOtherPerson says that the proof is of somebody else than the card.
	ErrOtherPerson = errors.New("proof of another person")
	// ErrDeclined says that the person said no on the phone.
	ErrDeclined = errors.New("declined on the phone")
	// ErrLapsed says that nothing was said on the phone in time.
	ErrLapsed = errors.New("approval lapsed")
	// ErrCredentials says that the provider knows nobody with what was typed.
	ErrCredentials = errors.New("wrong credentials")
	// ErrLocked says that the provider takes no more tries for a while.
	ErrLocked = errors.New("credentials locked")
	// ErrNoMeans says that the kiosk has no such means.
	ErrNoMeans = errors.New("no such means of identification")
)

// A MeansID names a means: "card", "sima", "imza", "code".
type MeansID string

// A Use is what a proof is for.
type Use string

// The uses.
const (
	Login Use = "login" // to say who is here
	Sign  Use = "sign"  // to agree to what was seen
)

// A Claim is what a means is asked to prove.
type Claim struct {
	Use       Use
	Statement []byte // what is signed, see package request
	FIN       string // of the card's holder; "" when no card was read
}

// Typed is what the person typed for a means, by the field's id. Whoever is given
// it zeroes it.
type Typed map[string][]byte

// Zero overwrites all of it.
func (t Typed) Zero() {
	for _, b := range t {
		clear(b)
	}
}

// typedHidden is all that a log gets of what was typed.
const typedHidden = "typed"

// Format implements fmt.Formatter, for all verbs and flags.
func (Typed) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, typedHidden) }

// String implements fmt.Stringer.
func (Typed) String() string { return typedHidden }

// LogValue implements slog.LogValuer.
func (Typed) LogValue() slog.Value { return slog.StringValue(typedHidden) }

// MarshalJSON implements json.Marshaler.
func (Typed) MarshalJSON() ([]byte, error) { return json.Marshal(typedHidden) }

// A Prompt is what the person compares, or takes a picture of, while the kiosk
// waits for the phone.
type Prompt struct {
	Code string // four digits that both sides show
	QR   string // what the QR code says; "" for none
}

// A Means is a way to say who one is and to sign: a means of electronic
// identification, eIDAS article 3. It may be used by one person at a time.
type Means interface {
	// Prove has the claim signed. It calls show, when there is something to show,
	// and zeroes what was typed. What it returns has been checked with Check.
	// Errors: those above, of drivers/signer, drivers/card and offline.
	Prove(ctx context.Context, c Claim, typed Typed, show func(Prompt)) (Proof, error)
}

// A Proof is a signature over a statement, for whoever wants to check it again.
type Proof struct {
	Means       MeansID
	Statement   []byte
	Certificate []byte // DER: of the person's key, or of the provider's
	Signature   []byte // as tokens make it, SHA-256: PKCS#11, 2.3
	Word        []byte // JSON: what a provider says of the person; nil with a person's own key
}

// Format implements fmt.Formatter: the word "proof", for all verbs and flags.
func (Proof) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "proof") }

// LogValue implements slog.LogValuer.
func (Proof) LogValue() slog.Value { return slog.StringValue("proof") }

// MarshalJSON implements json.Marshaler.
func (Proof) MarshalJSON() ([]byte, error) { return json.Marshal("proof") }

// A Word is what a provider says of a person who has no key of their own. Its
// bytes are what the provider signs.
type Word struct {
	Statement      []byte `json:"statement"` // SHA-256
	Use            Use    `json:"use"`
	FIN            string `json:"fin"`
	Surname        string `json:"surname"`
	GivenNames     string `json:"given_names"`
	DocumentNumber string `json:"document_number"`
}

// Check says whose proof it is. Errors: ErrProof, ErrUnknownSigner, ErrRevoked,
// ErrStale, ErrExpired, ErrUnreadable.
func (p Proof) Check(use Use, anchors *Anchors, now time.Time) (Subject, error) {
	s, err := p.check(use, anchors, now)
	if err != nil {
		return Subject{}, fmt.Errorf("check proof: %w", err)
	}
	return s, nil
}

func (p Proof) check(use Use, anchors *Anchors, now time.Time) (Subject, error) {
	cert, err := icao.ParseCertificate(p.Certificate)
	if err != nil {
		return Subject{}, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	if p.Word != nil {
		return p.takeWord(cert, use, anchors, now)
	}
	if err := anchors.trustPerson(cert, use, now); err != nil {
		return Subject{}, err
	}
	if err := cert.PublicKey.VerifyToken(crypto.SHA256, p.Statement, p.Signature); err != nil {
		return Subject{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	return subjectOf(cert)
}

// takeWord believes a provider that the bundle names, and for logins only: who
// has no key signs nothing.
func (p Proof) takeWord(cert *icao.Certificate, use Use, anchors *Anchors, now time.Time) (Subject, error) {
	if use != Login || !anchors.provider(cert) {
		return Subject{}, fmt.Errorf("%w: provider", ErrUnknownSigner)
	}
	if !cert.ValidAt(now) {
		return Subject{}, fmt.Errorf("%w: provider's certificate", ErrExpired)
	}
	if err := cert.PublicKey.VerifyToken(crypto.SHA256, p.Word, p.Signature); err != nil {
		return Subject{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	var w Word
	if err := json.Unmarshal(p.Word, &w); err != nil {
		return Subject{}, fmt.Errorf("%w: provider's word", ErrUnreadable) // json's own words may quote it
	}
	sum := sha256.Sum256(p.Statement)
	if w.Use != use || string(w.Statement) != string(sum[:]) {
		return Subject{}, fmt.Errorf("%w: of another statement", ErrProof)
	}
	fin, err := icao.ParseFIN(w.FIN)
	if err != nil {
		return Subject{}, fmt.Errorf("%w: its number", ErrUnreadable)
	}
	return Subject{fin, title(w.Surname), title(w.GivenNames), w.DocumentNumber}, nil
}

// provider says whether the bundle names the certificate as a provider's.
func (a *Anchors) provider(cert *icao.Certificate) bool {
	for _, p := range a.providers {
		if string(p.Raw) == string(cert.Raw) {
			return true
		}
	}
	return false
}

// fits checks a proof for the claim that it was made for.
func fits(p Proof, c Claim, anchors *Anchors) (Proof, error) {
	s, err := p.Check(c.Use, anchors, time.Now())
	switch {
	case err != nil:
		return Proof{}, err
	case c.FIN != "" && s.FIN != c.FIN:
		return Proof{}, ErrOtherPerson
	}
	return p, nil
}

// ControlCode is four digits of the statement's hash that kiosk and phone both
// show: who approves what another kiosk asked for sees that they differ. It is
// worked out on each side. Source: the mobile-ID control code, of the hash's
// first 6 and last 7 bits.
func ControlCode(statement []byte) string {
	sum := sha256.Sum256(statement)
	first, last := uint16(sum[0]>>2), binary.BigEndian.Uint16(sum[30:])&0x7F
	return fmt.Sprintf("%04d", first<<7|last)
}

// NewHolder is a person who came without a card.
func (s Subject) NewHolder(level Assurance) Holder {
	return Holder{
		FIN: s.FIN, Surname: s.Surname, GivenNames: s.GivenNames, DocumentNumber: s.DocumentNumber,
		IssuingState: home.zone, Assurance: level,
	}
}
