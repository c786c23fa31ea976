// Package offline is the contract between the kiosk and its line to the bus:
// requests that survive the loss of the line and of power, and questions that
// need the line now. Terms are those of X-Road.
//
// It knows no service and no person: an item's body is sealed before it comes
// here. The durable outbox is queue, the one who carries it is courier, the
// X-Road client is bus.
package offline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Errors of the outbox and of the line. Compare with errors.Is.
var (
	// ErrFull says that there is no room; nothing was written.
	ErrFull = errors.New("queue full")
	// ErrUnknown says that the item may or may not be stored. The process must
	// end and look it up when it starts again.
	ErrUnknown = errors.New("outcome of storing unknown")
	// ErrStopped says that the outbox takes nothing any more, since the process is
	// ending or the disk hangs; nothing was written.
	ErrStopped = errors.New("outbox stopped")
	// ErrConflict says that the id is stored already, with another body.
	ErrConflict = errors.New("id stored with another body")
	// ErrLineDown says that the bus can't be reached, or did not answer in time.
	ErrLineDown = errors.New("line down")
	// ErrBusIdentity says that what answers is not our bus: its certificate is wrong.
	ErrBusIdentity = errors.New("bus certificate not trusted")
	// ErrRefused says that the bus or the agency said no, for good. See *Fault.
	ErrRefused = errors.New("refused")
	// ErrAgency says that the bus answered and the agency behind it did not, or
	// not in a way that can be understood.
	ErrAgency = errors.New("agency does not answer")
	// ErrNotFound says that nothing is held under the id. From the bus it means
	// that the item may safely be sent again.
	ErrNotFound = errors.New("id not known")
)

// A Fault is why an exchange with the bus did not end well: an error that the
// bus or a provider named, or the loss of the line.
// Source: PR-REST 1.0.4, 4.6, and our contract's own reasons.
type Fault struct {
	Type    string // normalised: lower case, no underscores, such as "server.serverproxy.accessdenied"
	Message string // for operators; never shown to a person
	Reason  string // the provider's own, that device/text has words for: a-z 0-9 _ . - only; or empty
	Status  int    // HTTP status; 0: there was no answer
	// Sent says that the outcome is unknown: bytes of the request may have reached
	// the bus and taken effect. Ask by id; then send the same id and bytes again.
	// Without it nothing took effect.
	Sent       bool
	RetryAfter time.Duration // how long the bus asks us to stay away; 0: it does not
	Err        error         // one of the errors above
}

func (f *Fault) Error() string {
	s := f.Type
	if f.Status != 0 {
		s += fmt.Sprintf(" (http %d)", f.Status)
	}
	if f.Reason != "" {
		s += ": " + f.Reason
	}
	return fmt.Sprintf("%s: %v", s, f.Err)
}

// Unwrap is the class of the fault.
func (f *Fault) Unwrap() error { return f.Err }

// A Pace is how fast the bus lets this station come. Zero values: it did not say.
type Pace struct {
	Rate         float64       // submissions per second
	FirstContact time.Duration // over how long stations spread their first contact after an outage
}

// A Class orders items: a lower class is delivered first.
type Class uint8

// The classes of items.
const (
	Waiting  Class = iota // a citizen is waiting
	Today                 // it matters today
	Whenever              // housekeeping
)

// A Policy says what the refusal of an item means for those behind it in its stream.
type Policy uint8

// The policies.
const (
	Skip  Policy = iota // they go on: each stands for itself
	Block               // they wait for the operator: each builds on the one before
)

// An Item is one sealed request.
type Item struct {
	ID      string        // ULID, chosen by the caller before Put
	Stream  string        // items of one stream are delivered in order; a keyed hash, never a name
	Class   Class         //
	Refused Policy        // what its refusal means for its stream
	TTL     time.Duration // 0: never expires
	Trace   string        // traceparent of its confirmation, W3C Trace Context 3.2; may be empty
	Body    []byte        // sealed for the bus; opaque here; at most 5 MiB
}

// MaxBody is the longest body of an item: more can't pass a security server's log.
const MaxBody = 5 << 20

// An Outbox keeps items until the bus has acknowledged them.
type Outbox interface {
	// Room returns nil, or ErrFull when a body of size bytes would not fit. It is
	// asked before a form starts.
	Room(size int) error
	// Put stores the item. After nil it survives a power cut at any moment.
	// ErrFull, ErrStopped: nothing was written. ErrUnknown: see there. Putting the same id
	// and body twice is putting it once; with another body it is ErrConflict.
	Put(ctx context.Context, item Item) error
}

// A Stage is how far an item has come.
type Stage int

// The stages of an item.
const (
	Stored   Stage = iota + 1 // on this kiosk's disk
	Accepted                  // the bus holds it: Receipt is its signed word for it
	Done                      // the agency has answered: Outcome is its answer
	Refused                   // the bus or the agency said no, for good: Reason
)

func (s Stage) String() string {
	switch s {
	case Stored:
		return "stored"
	case Accepted:
		return "accepted"
	case Done:
		return "done"
	case Refused:
		return "refused"
	}
	return fmt.Sprintf("Stage(%d)", int(s))
}

// Reasons for Refused that are ours and not an agency's.
const (
	ReasonBus      = "bus_refused" // the bus does not let this kiosk do it: for the operator
	ReasonConflict = "conflict"    // the bus holds the id with other content
	ReasonExpired  = "expired"     // the item outlived its TTL and was never sent
	ReasonOperator = "operator"    // an operator has set it aside, and gave no other reason
	ReasonDamaged  = "damaged"     // the disk did not give back what was stored
)

// Progress is news of one item.
type Progress struct {
	ID      string
	Stage   Stage
	Receipt []byte          // COSE_Sign1 by the bus, verified; from Accepted on
	Outcome json.RawMessage // the agency's answer, with Done; held in memory only
	Reason  string          // with Refused: a reason that device/text has words for
}

// A Tracker tells how items fare.
type Tracker interface {
	// Track calls seen with every change of the item from now on, beginning with
	// its present stage, until ctx ends or the stage is Done or Refused, and
	// returns nil then. It asks the bus for the outcome while it runs. ErrNotFound: neither this kiosk nor
	// the bus holds the id.
	Track(ctx context.Context, id string, seen func(Progress)) error
}

// A Lookup asks a question that changes nothing and is never queued.
type Lookup interface {
	// Lookup returns the provider's answer as JSON. Errors: ErrLineDown,
	// ErrBusIdentity, ErrAgency, ErrRefused (with *Fault).
	Lookup(ctx context.Context, service string, question any) (json.RawMessage, error)
}

// A Line tells whether the bus can be reached.
type Line interface {
	// Watch calls seen with the state of the line now and at every change, until
	// ctx ends, and returns nil then. err is nil when the line is up, else
	// ErrLineDown or ErrBusIdentity.
	Watch(ctx context.Context, seen func(err error)) error
}
