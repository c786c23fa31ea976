// Package identity turns what a chip says into a holder that we believe: it
// checks the state's signature, the hashes of what was read, the chip's own key,
// the expiry, and says how far each has brought us.
//
// It does no I/O but for loading its trust anchors. How a chip is read is
// drivers/card/eid's. Start at Believe.
package identity

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"kosk/drivers/card"
)

// Why a chip is not believed. Believe wraps them; compare with errors.Is.
var (
	// ErrTampered says that data are not those that the state signed.
	ErrTampered = errors.New("card data were tampered with")
	// ErrClone says that the chip did not prove a key which the state signed.
	ErrClone = errors.New("chip is a copy")
	// ErrUnknownSigner says that no trust anchor leads to the signer.
	ErrUnknownSigner = errors.New("signer is not known")
	// ErrRevoked says that the state has taken the signer's certificate back.
	ErrRevoked = errors.New("signer was revoked")
	// ErrStale says that the state's revocation list is too old to tell.
	ErrStale = errors.New("revocation list is too old")
	// ErrExpired says that the document's last day is over.
	ErrExpired = errors.New("document has expired")
	// ErrForeignState says that another state issued the document, or that one
	// state's document bears another's signature.
	ErrForeignState = errors.New("document of another state")
	// ErrUnreadable says that the chip's data are no ICAO 9303 structures.
	ErrUnreadable = errors.New("card data are not readable")
)

// An Assurance is how far a holder is believed. Each level holds all below it.
type Assurance int

// The levels.
const (
	// Read: the chip says so.
	Read Assurance = iota + 1
	// Authentic: the state signed it.
	Authentic
	// Genuine: and the chip is the one that the state issued.
	Genuine
	// HolderVerified: and the person knows its secret.
	HolderVerified
)

// String is the level's name in configuration and on the wire.
func (a Assurance) String() string {
	switch a {
	case Read:
		return "read"
	case Authentic:
		return "authentic"
	case Genuine:
		return "genuine"
	case HolderVerified:
		return "holder_verified"
	}
	return fmt.Sprintf("assurance(%d)", int(a))
}

// ParseAssurance reads a level's name.
func ParseAssurance(name string) (Assurance, error) {
	for a := Read; a <= HolderVerified; a++ {
		if a.String() == name {
			return a, nil
		}
	}
	return 0, fmt.Errorf("no such assurance: %q", name)
}

// A Holder is the person that a document was issued to. It cannot be logged,
// printed or marshalled by accident: every such way gives the word "holder".
type Holder struct {
	FIN            string // seven characters
	Surname        string // in the holder's own letters, such as "Məmmədova"
	GivenNames     string
	BirthDate      time.Time // midnight UTC
	Sex            byte      // 'F', 'M', or 0 when the document doesn't say
	DocumentNumber string
	Expires        time.Time // the last day of validity; zero when there is none
	IssuingState   string    // three letters, ICAO 9303-3, 5
	Assurance      Assurance
	Evidence       *card.Chip // what all this was read from
}

// hidden is all that a log, a debugger's print or an encoder gets.
const hidden = "holder"

// String implements fmt.Stringer.
func (Holder) String() string { return hidden }

// GoString implements fmt.GoStringer.
func (Holder) GoString() string { return hidden }

// Format implements fmt.Formatter, for all verbs and flags.
func (Holder) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// LogValue implements slog.LogValuer.
func (Holder) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalJSON implements json.Marshaler, which slog's JSON handler uses for
// holders inside other values.
func (Holder) MarshalJSON() ([]byte, error) { return json.Marshal(hidden) }

// MarshalText implements encoding.TextMarshaler, which slog's text handler uses.
func (Holder) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// bullets hide how long the rest is.
const bullets = "•••••••"

// MaskedFIN is the number as others may see it: "5•••••2".
func (h Holder) MaskedFIN() string {
	if len(h.FIN) < 2 {
		return bullets
	}
	return h.FIN[:1] + strings.Repeat("•", len(h.FIN)-2) + h.FIN[len(h.FIN)-1:]
}

// MaskedName is the name as others may see it: "Aygün M•••••••". The number of
// dots is always the same.
func (h Holder) MaskedName() string {
	given, _, _ := strings.Cut(h.GivenNames, " ")
	first, size := utf8.DecodeRuneInString(h.Surname)
	if size == 0 {
		return strings.TrimSpace(given + " " + bullets)
	}
	return strings.TrimSpace(given + " " + string(first) + bullets)
}

// particles of patronymics are written small: "Rauf qızı", "Rauf oğlu".
var particles = map[string]bool{"qızı": true, "oğlu": true}

// title writes a name in capitals the way that Azerbaijani writes names: i and ı
// are two letters, and so are İ and I.
func title(name string) string {
	words := strings.Fields(strings.ToLowerSpecial(unicode.AzeriCase, name))
	for i, w := range words {
		if i > 0 && particles[w] {
			continue
		}
		parts := strings.Split(w, "-")
		for j, p := range parts {
			first, size := utf8.DecodeRuneInString(p)
			if size > 0 {
				parts[j] = string(unicode.AzeriCase.ToTitle(first)) + p[size:]
			}
		}
		words[i] = strings.Join(parts, "-")
	}
	return strings.Join(words, " ")
}
