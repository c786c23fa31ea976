// Package request is one request's life: its id and number, the draft that a
// visit fills, the sealed envelope that only the bus can open, and the signed
// words that come back: receipt, provisional token, certificate.
//
// It stores nothing and sends nothing: Seal gives the bytes for the queue.
// Start at Draft and Seal. Nothing of a person here can be logged, see redact.go.
package request

import (
	"errors"
	"fmt"
	"regexp"
	"time"
)

// Version of the envelope's draft. The bus refuses any other.
const Version = 1

// maxTTL is how long the bus keeps ids: a request may not live longer.
const maxTTL = 400 * 24 * time.Hour

// maxSafeInt is the largest integer that RFC 8785 numbers carry exactly.
const maxSafeInt = 1<<53 - 1

// A ClockState says what the kiosk's clock was worth when a time was taken.
type ClockState string

// The states of the clock.
const (
	ClockTrusted ClockState = "trusted" // set from the bus or NTP
	ClockFloor   ClockState = "floor"   // no better than the last time known before the start
	ClockUnset   ClockState = "unset"   // nothing is known
)

// A Draft is a request as the citizen confirmed it: everything that the bus
// and the agency need, and all that the kiosk will ever know about it.
// Its JSON is that of the envelope; only Seal writes it.
type Draft struct {
	ID               ID
	Station          string // name of the kiosk, as enrolled
	Service          string // id in the catalogue, such as "workplace_cert"
	CatalogueVersion string
	CreatedAt        time.Time // by the kiosk's clock; never trusted alone
	Clock            ClockState
	MonoSeq          uint64 // counts the station's requests within BootID; at most 2^53-1
	BootID           string // changes with every start
	Lang             string // "az", "ru", "en"
	Answers          Answers
	Consent          Consent
	Holder           Holder
	Assurance        string // how sure the kiosk is of the holder, in the catalogue's words
	Evidence         Evidence
	Login            Proof         // how the person was verified; zero when they were not
	CitizenSignature Proof         // over what they saw; zero where the service needs none
	TTL              time.Duration // whole seconds; 0: never expires
}

// Late reports whether the request has outlived its TTL by now. Only a clock that
// had been set when it was made says so.
func (d Draft) Late(now time.Time) bool {
	return d.TTL > 0 && d.Clock == ClockTrusted && now.Sub(d.CreatedAt) > d.TTL
}

// Answers are the values of the form's fields by their ids.
type Answers map[string]string

// A Holder is the person of the card.
type Holder struct {
	FIN            string // 7 characters
	Surname        string
	GivenNames     string
	DocumentNumber string
}

// A Consent is what the citizen agreed to, in the words that were shown. The
// law on personal data asks for the first six.
type Consent struct {
	Person      string // whose data
	Operator    string // who works with it
	Purpose     string
	Operations  string // which data, and what is done with it
	Period      string // for how long, and how consent is taken back
	Deletion    string // when and how the data is deleted
	AgreedAt    time.Time
	TextVersion string // of the words above
}

// Evidence is what the chip said, so that the bus can check for itself. Of the
// three ways to prove a chip's key, those that were not taken are empty.
type Evidence struct {
	Protocol    string            // such as "PACE-ECDH-GM-AES128-P256", empty without a card
	CardAccess  []byte            // EF.CardAccess, ICAO 9303-11, 9.2.1
	COM         []byte            // EF.COM, ICAO 9303-10, 4.6.1; unsigned
	SOD         []byte            // EF.SOD, ICAO 9303-10, 4.7.1
	Groups      map[string][]byte // the data groups read, by name: "DG1"
	AAChallenge []byte            // Active Authentication, ICAO 9303-11, 6.1
	AAResponse  []byte
	CASecret    []byte // Chip Authentication, 6.2: the kiosk's ephemeral key, spent
	CAResponse  []byte // the first answer under the new keys
	MappingKey  []byte // PACE with chip authentication mapping, 4.4.3.5
	MappingData []byte
	Security    []byte // EF.CardSecurity, 9.2.11; only with that mapping
}

// ErrDraft says that a draft lacks what every request must have.
var ErrDraft = errors.New("incomplete draft")

// name of a station, service or member: what X-Road identifiers allow here.
var name = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._=-]{0,63}$`)

// Validate checks what must hold of every draft, whatever its service.
func (d Draft) Validate() error {
	if _, err := ParseID(string(d.ID)); err != nil {
		return fmt.Errorf("%w: %w", ErrDraft, err)
	}
	switch {
	case !name.MatchString(d.Station):
		return fmt.Errorf("%w: station", ErrDraft)
	case !name.MatchString(d.Service):
		return fmt.Errorf("%w: service", ErrDraft)
	case d.CreatedAt.IsZero():
		return fmt.Errorf("%w: created_at", ErrDraft)
	case d.MonoSeq > maxSafeInt:
		return fmt.Errorf("%w: mono_seq", ErrDraft)
	case d.TTL < 0 || d.TTL > maxTTL || d.TTL%time.Second != 0:
		return fmt.Errorf("%w: ttl", ErrDraft)
	case d.Clock != ClockTrusted && d.Clock != ClockFloor && d.Clock != ClockUnset:
		return fmt.Errorf("%w: clock_state", ErrDraft)
	}
	return nil
}
