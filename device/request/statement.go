package request

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"time"

	"github.com/gowebpki/jcs"
)

// A statement is what a person's key signs, so that its signature is good for one
// thing, once: it names its use, the station, a fresh nonce, and, to sign, the
// request and every line of what was on the screen, in the language that it was
// read in. What is signed is its canonical JSON (RFC 8785).

// ErrStatement says that a proof's statement is not about the request that it
// came with, or is none.
var ErrStatement = errors.New("statement of another request")

// The uses of statements: identity.Use in the envelope's words.
const (
	UseLogin = "login"
	UseSign  = "sign"
)

// A Line is one line that was shown: a label, its value and its source.
type Line struct {
	ID    string // of the scene and node: "review/datum.name"
	Name  string
	Value string
	Hint  string
}

// A Statement is what is signed.
type Statement struct {
	Use     string
	Station string
	Nonce   []byte    // 16 bytes
	At      time.Time // by the kiosk's clock
	Request ID        // to sign: the request, its service, the language, and
	Service string
	Lang    string
	Answers map[string]string // as in the draft
	Shown   []Line
}

// NewStatement is a fresh statement of a station.
func NewStatement(use, station string, now time.Time) Statement {
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce) // never fails, see crypto/rand
	return Statement{Use: use, Station: station, Nonce: nonce, At: now.UTC().Truncate(time.Second)}
}

// Bytes are what is signed.
func (s Statement) Bytes() ([]byte, error) {
	w := wireStatement{
		Version: Version, Use: s.Use, Station: s.Station, Nonce: s.Nonce, At: s.At, Request: s.Request, Service: s.Service,
		Lang: s.Lang, Answers: s.Answers,
	}
	for _, l := range s.Shown {
		w.Shown = append(w.Shown, wireLine(l))
	}
	b, err := json.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("statement: %w", err)
	}
	if b, err = jcs.Transform(b); err != nil {
		return nil, fmt.Errorf("statement: %w", err)
	}
	return b, nil
}

// wireStatement is a statement as it is signed.
type wireStatement struct {
	Version int               `json:"v"`
	Use     string            `json:"use"`
	Station string            `json:"station"`
	Nonce   []byte            `json:"nonce"`
	At      time.Time         `json:"at"`
	Request ID                `json:"request,omitempty"`
	Service string            `json:"service,omitempty"`
	Lang    string            `json:"lang,omitempty"`
	Answers map[string]string `json:"answers,omitempty"`
	Shown   []wireLine        `json:"shown,omitempty"`
}

type wireLine struct {
	ID    string `json:"id"`
	Name  string `json:"name,omitempty"`
	Value string `json:"value,omitempty"`
	Hint  string `json:"hint,omitempty"`
}

// ParseStatement reads what Bytes wrote: anything else is refused, so that what
// is signed has one reading. Errors: ErrVersion, ErrStatement.
func ParseStatement(b []byte) (Statement, error) {
	var w wireStatement
	if json.Unmarshal(b, &w) != nil {
		return Statement{}, fmt.Errorf("parse statement: %w", ErrStatement)
	}
	if w.Version != Version {
		return Statement{}, fmt.Errorf("parse statement: %w: %d", ErrVersion, w.Version)
	}
	s := Statement{
		Use: w.Use, Station: w.Station, Nonce: w.Nonce, At: w.At, Request: w.Request, Service: w.Service,
		Lang: w.Lang, Answers: w.Answers,
	}
	for _, l := range w.Shown {
		s.Shown = append(s.Shown, Line(l))
	}
	if again, err := s.Bytes(); err != nil || !bytes.Equal(again, b) || len(s.Nonce) != 16 {
		return Statement{}, fmt.Errorf("parse statement: %w: not canonical", ErrStatement)
	}
	return s, nil
}

// A Proof is a person's signature over a statement. Its fields are those of
// identity.Proof.
type Proof struct {
	Means       string
	Statement   []byte
	Certificate []byte
	Signature   []byte
	Word        []byte
}

// loginLife is how long before a request its login may lie: longer than any visit.
const loginLife = 12 * time.Hour

// CheckProofs says whether the draft's proofs are about it and hold. verify checks
// a proof's signature and certificate for a use, and returns the FIN of whose it
// is; signed says that the service needs a signature, verified that it needs a
// login. Errors: ErrStatement, ErrSignature, ErrVersion, and those of verify.
func (d Draft) CheckProofs(verified, signed bool, verify func(use string, p Proof) (fin string, err error)) error {
	for _, c := range []struct {
		use   string
		proof Proof
		needs bool
	}{{UseLogin, d.Login, verified}, {UseSign, d.CitizenSignature, signed}} {
		if c.proof.Means == "" && !c.needs {
			continue
		}
		if err := d.checkProof(c.use, c.proof, verify); err != nil {
			return fmt.Errorf("check %s: %w", c.use, err)
		}
	}
	return nil
}

func (d Draft) checkProof(use string, p Proof, verify func(string, Proof) (string, error)) error {
	if p.Means == "" {
		return fmt.Errorf("%w: there is none", ErrSignature)
	}
	s, err := ParseStatement(p.Statement)
	if err != nil {
		return err
	}
	age := d.CreatedAt.Sub(s.At)
	switch {
	case s.Use != use || s.Station != d.Station:
		return fmt.Errorf("%w: its use or station", ErrStatement)
	case age < -time.Minute || age > loginLife:
		return fmt.Errorf("%w: its time", ErrStatement)
	case use == UseSign && (s.Request != d.ID || s.Service != d.Service || s.Lang != d.Lang || !maps.Equal(s.Answers, d.Answers)):
		return fmt.Errorf("%w: its content", ErrStatement)
	case use == UseSign && !s.shows(d.Consent):
		return fmt.Errorf("%w: its consent", ErrStatement)
	}
	fin, err := verify(use, p)
	if err != nil {
		return err
	}
	if fin != d.Holder.FIN {
		return fmt.Errorf("%w: of another person", ErrSignature)
	}
	return nil
}

// shows says whether the words of the consent stood on the consent's lines.
func (s Statement) shows(c Consent) bool {
	shown := map[string]string{}
	for _, l := range s.Shown {
		shown[l.ID] = l.Value
	}
	for item, v := range map[string]string{
		"person": c.Person, "operator": c.Operator, "purpose": c.Purpose, "operations": c.Operations, "period": c.Period, "deletion": c.Deletion,
	} {
		if v == "" || shown["consent/consent."+item] != v {
			return false
		}
	}
	return true
}

const hiddenStatement = "statement"

// Format writes the word "statement" for every verb.
func (Statement) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, hiddenStatement) }

// LogValue is the word "statement".
func (Statement) LogValue() slog.Value { return slog.StringValue(hiddenStatement) }

// MarshalJSON is the word "statement": only Bytes writes one.
func (Statement) MarshalJSON() ([]byte, error) { return json.Marshal(hiddenStatement) }

// Format writes the word "line" for every verb.
func (Line) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "line") }

// MarshalJSON is the word "line": only Bytes writes one.
func (Line) MarshalJSON() ([]byte, error) { return json.Marshal("line") }

// LogValue is the word "line".
func (Line) LogValue() slog.Value { return slog.StringValue("line") }

// Format writes the word "proof" for every verb.
func (Proof) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "proof") }

// LogValue is the word "proof".
func (Proof) LogValue() slog.Value { return slog.StringValue("proof") }

// MarshalJSON is the word "proof": only Seal writes one.
func (Proof) MarshalJSON() ([]byte, error) { return json.Marshal("proof") }
