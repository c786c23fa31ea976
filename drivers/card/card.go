// Package card is the contract between the kiosk and a chip card reader: events
// of the slot, command and response of one card, and what a chip says of its
// holder. Terms are those of ISO 7816-4, ICAO 9303 and XFS4IoT.
//
// It talks to no hardware. Makes live beside it (pcsc), the reader of ICAO 9303
// chips in eid, the virtual card in vcard, the suite that every make passes in
// cardtest.
package card

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// Errors of readers and cards. Makes wrap them; compare with errors.Is.
var (
	// ErrNoReader says that there is no reader, or that the service which owns it is gone.
	ErrNoReader = errors.New("no card reader")
	// ErrNoService says that the service which owns the readers is gone: an ErrNoReader, too.
	ErrNoService = fmt.Errorf("%w: card service does not run", ErrNoReader)
	// ErrNoCard says that the slot is empty.
	ErrNoCard = errors.New("no card")
	// ErrRemoved says that the card left while it was spoken to.
	ErrRemoved = errors.New("card removed")
	// ErrMute says that a card lies in the slot and does not answer: it lies the wrong way, or is broken.
	ErrMute = errors.New("card does not answer")
	// ErrForeign says that the card is no ICAO 9303 chip.
	ErrForeign = errors.New("not an identity card")
	// ErrWrongCAN says that the chip refused the card access number.
	ErrWrongCAN = errors.New("wrong card access number")
	// ErrWrongMRZ says that the chip refused what the machine readable zone says.
	ErrWrongMRZ = errors.New("wrong machine readable zone")
	// ErrWantsMRZ says that the chip doesn't open with the card access number, but
	// with what the machine readable zone says.
	ErrWantsMRZ = errors.New("chip opens by its machine readable zone")
	// ErrProtocol says that the card broke the protocol: a bad length, a bad MAC, a bad structure.
	ErrProtocol = errors.New("card broke the protocol")
)

// A StatusError is a status word other than 9000 that ended a command.
type StatusError struct {
	SW uint16 // SW1 in the high byte, SW2 in the low one: ISO 7816-4, 5.6
}

func (e *StatusError) Error() string { return fmt.Sprintf("status %04X", e.SW) }

// An EventKind is what happened at the slot, in XFS4IoT's words.
type EventKind int

// The events of a slot.
const (
	ReaderReady EventKind = iota + 1
	ReaderGone
	MediaInserted
	MediaRemoved
)

func (k EventKind) String() string {
	switch k {
	case ReaderReady:
		return "ReaderReady"
	case ReaderGone:
		return "ReaderGone"
	case MediaInserted:
		return "MediaInserted"
	case MediaRemoved:
		return "MediaRemoved"
	}
	return fmt.Sprintf("EventKind(%d)", int(k))
}

// An Event is one change at the slot.
type Event struct {
	Kind   EventKind
	Reader string // the reader's name as its service gives it
	ATR    []byte // answer to reset, ISO 7816-3; only with MediaInserted, may be empty for a mute card
}

// A Reader is a slot that a person puts a card into.
type Reader interface {
	// Watch calls seen for every change at the slot, from the state at its start
	// on, until ctx ends. It survives the loss of the reader and of its service,
	// and returns only ctx's error.
	Watch(ctx context.Context, seen func(Event)) error
	// Connect opens the card in the slot for exclusive use.
	Connect(ctx context.Context) (Card, error)
}

// A Slot is what a reader's slot holds.
type Slot struct {
	Reader string // the reader's name as its service gives it
	Card   bool   // a card lies in it
	Mute   bool   // the card does not answer
}

// A Looker is a Reader that says at once what its slot holds and leaves the card
// alone: for self-tests, also beside a kiosk that runs.
type Looker interface {
	// Look returns what is there now. Errors: ErrNoService, ErrNoReader, ctx's.
	Look(ctx context.Context) (Slot, error)
}

// A Card is one card, from Connect to Close.
type Card interface {
	// Transmit sends a command APDU and returns the response with its status
	// word (two bytes at least). It never interprets the status word.
	Transmit(ctx context.Context, command []byte) ([]byte, error)
	// ATR is the answer to reset.
	ATR() []byte
	// Close resets the card and lets it go.
	Close() error
}

// A Sizer is a Card that knows how long an APDU its reader can carry.
type Sizer interface {
	// MaxTransceive is the longest command or response in bytes, 0 when unknown.
	MaxTransceive() int
}

// A HolderReader reads what a chip says of its holder. It believes nothing:
// device/identity does that.
type HolderReader interface {
	// ReadHolder opens the chip with its card access number and reads it. It
	// calls early, when it is not nil, with DG1 as soon as that is read.
	ReadHolder(ctx context.Context, c Card, can string, early func(dg1 []byte)) (*Chip, error)
	// ReadHolderByZone is ReadHolder with what the machine readable zone says.
	ReadHolderByZone(ctx context.Context, c Card, z Zone, early func(dg1 []byte)) (*Chip, error)
}

// A Zone is what opens a chip of all that its machine readable zone says,
// ICAO 9303-11, 4.3.2.
type Zone struct {
	Number         string // of the document: A to Z and digits, without fillers and check digit
	Birth, Expires time.Time
}

// Format keeps a zone out of logs and prints, for all verbs and flags.
func (Zone) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hiddenZone) }

// LogValue implements slog.LogValuer.
func (Zone) LogValue() slog.Value { return slog.StringValue(hiddenZone) }

// MarshalText keeps a zone out of encoders.
func (Zone) MarshalText() ([]byte, error) { return []byte(hiddenZone), nil }

const hiddenZone = "zone"

// A Chip is all that was read from an ICAO 9303 chip, not yet believed.
type Chip struct {
	CardAccess []byte         // EF.CardAccess, ICAO 9303-11, 9.2.10; nil when the chip has none
	COM        []byte         // EF.COM; unsigned
	SOD        []byte         // EF.SOD, ICAO 9303-10, 4.6.2
	Groups     map[int][]byte // data group number -> whole file, as read
	Protocol   string         // how the chip was opened, such as "PACE-ECDH-GM-AES128-P256" or "BAC-3DES"

	// Active Authentication, ICAO 9303-11, 6.1: what we asked, what the chip
	// answered. ActiveDone says whether the chip was asked at all.
	ActiveDone      bool
	ActiveChallenge []byte // 8 bytes
	ActiveResponse  []byte

	// Chip Authentication, ICAO 9303-11, 6.2. ChipDone says whether the chip was
	// asked at all; ChipSecret is the private half of our key pair, of no use
	// after the session; ChipResponse is the first response, status word
	// included, under the session that this made.
	ChipDone     bool
	ChipSecret   []byte
	ChipResponse []byte

	// PACE with chip authentication mapping, ICAO 9303-11, 4.4.3.5. MappingDone
	// says whether the chip was opened so; MappingKey is the public key that it
	// mapped the nonce with, MappingData what it proved its own key with.
	MappingDone  bool
	MappingKey   []byte
	MappingData  []byte
	CardSecurity []byte // EF.CardSecurity, ICAO 9303-11, 9.2.11; only then

	APDUs int           // command APDUs sent
	Bytes int           // bytes both ways
	Took  time.Duration // from the first APDU to the last
}

// hidden is all that a log, a debugger's print or an encoder gets of a chip.
const hidden = "chip"

// String implements fmt.Stringer.
func (Chip) String() string { return hidden }

// GoString implements fmt.GoStringer.
func (Chip) GoString() string { return hidden }

// Format implements fmt.Formatter, for all verbs and flags.
func (Chip) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// LogValue implements slog.LogValuer.
func (Chip) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText implements encoding.TextMarshaler, which slog's handlers use for
// chips inside other values.
func (Chip) MarshalText() ([]byte, error) { return []byte(hidden), nil }
