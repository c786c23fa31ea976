// Package health is what a kiosk tells the bus of itself: the states of its
// parts, how much paper and queue there is, what runs on it. Device states use
// XFS4IoT's words.
//
// Nothing in it speaks of a person. How it travels is offline/bus's affair, what
// an operator sees of it cmd/bus/console's.
package health

import "time"

// Version is the version of a report's form. Unknown fields are ignored, an
// unknown version is refused.
const Version = 1

// A Report is one telling, POST v1/telemetry. Times are RFC 3339, UTC.
type Report struct {
	Version   int       `json:"version"`
	At        time.Time `json:"at"`          // by the kiosk's clock
	Boot      string    `json:"boot"`        // names this run of the program
	Seq       uint64    `json:"seq"`         // of this run's reports, from 1
	Uptime    int64     `json:"uptime_s"`    // of the program, seconds
	Firmware  string    `json:"firmware"`    // version of the program
	Catalogue string    `json:"catalogue"`   // version of the services' data
	Key       string    `json:"station_key"` // what guards it: "tpm"; "moved", into the tpm from a file; or "file"
	Trust     Trust     `json:"trust"`
	Queue     Queue     `json:"queue"`
	Paper     Paper     `json:"paper"`
	Parts     []Part    `json:"parts"`            // card, printer, lamps, line ...: those that there are
	Faults    []Fault   `json:"faults,omitempty"` // counted since the last report
	Spans     []Span    `json:"spans,omitempty"`  // of requests, since the last report
}

// Trust is the bundle of trust anchors in use.
type Trust struct {
	Version     int64     `json:"version"`
	IssuedAt    time.Time `json:"issued_at"`
	Development bool      `json:"development,omitempty"`
}

// A Queue is how the outbox stands.
type Queue struct {
	Depth   int              `json:"depth"`    // requests not yet accepted
	Bytes   int64            `json:"bytes"`    // of the file in use
	Bound   int64            `json:"bound"`    // bytes it may grow to
	Parked  int              `json:"parked"`   // refused, waiting for an operator
	OldestS map[string]int64 `json:"oldest_s"` // class ("waiting", "today", "whenever") -> age in seconds; only classes that hold something
	Key     string           `json:"key"`      // what guards the notes: "tpm" or "file"

	// Since the start of the program.
	Delivered   int     `json:"delivered"`     // accepted by the bus
	Duplicates  int     `json:"duplicates"`    // stored again, and were there already
	CommitP50MS float64 `json:"commit_p50_ms"` // time of a commit to the disk; of the last few hundred
	CommitP99MS float64 `json:"commit_p99_ms"`
}

// Paper is how the printer's roll stands.
type Paper struct {
	State     string `json:"state"`                // full, low, out, jammed, unknown
	LeftMM    int    `json:"left_mm,omitempty"`    // after near end; 0: not known
	EmptyInS  int64  `json:"empty_in_s,omitempty"` // forecast by this kiosk's use; 0: none
	Retracted int    `json:"retracted,omitempty"`  // slips in the bin
}

// A Part is the state of one component.
type Part struct {
	Name  string `json:"name"`            // card, printer, lamps, speech, line, disk, clock
	State string `json:"state"`           // online, offline, noDevice, hardwareError, degraded
	Cause string `json:"cause,omitempty"` // for operators: an error's words, nothing of a person
}

// A Fault is a kind of trouble and how often it was met.
type Fault struct {
	Kind  string `json:"kind"` // the error's text key, such as "fault.no_paper"
	Count int    `json:"count"`
}

// A Span is a timed step in a request's life, for tracing. Source: W3C Trace
// Context, 3.2; OpenTelemetry.
type Span struct {
	Trace  string    `json:"trace_id"`            // 32 hexadecimal digits
	ID     string    `json:"span_id"`             // 16 hexadecimal digits
	Parent string    `json:"parent_id,omitempty"` // 16 hexadecimal digits, or empty
	Name   string    `json:"name"`                // confirm, seal, store, deliver, print
	Start  time.Time `json:"start"`
	End    time.Time `json:"end"`
	Error  string    `json:"error,omitempty"` // kind, not words
}

// A Status is what a technician at the kiosk sees: the report as it would be
// sent now, and what is of no use to the bus.
type Status struct {
	Station     string      `json:"station"`
	Vacant      bool        `json:"vacant"` // nobody is at the kiosk
	Report      Report      `json:"report"` // without spans; Seq 0
	Clock       Clock       `json:"clock"`
	Certificate Certificate `json:"certificate"`
	Reported    time.Time   `json:"reported,omitzero"` // when the bus last took a report
	Rescue      string      `json:"rescue,omitempty"`  // what opening the queue had to do
	TrustFrom   string      `json:"trust_from"`        // "bus" (hourly), or "file" where there is no trust key
	Catalogue   Catalogue   `json:"catalogue"`
}

// A Catalogue is how it stands with what is offered.
type Catalogue struct {
	Version  string `json:"version"`            // that is offered
	From     string `json:"from"`               // "bus", or "program" while that carries the newer one
	Manifest uint64 `json:"manifest,omitempty"` // the bus's count, of the one that was taken last
	Next     string `json:"next,omitempty"`     // offered from the next visit on
	Error    string `json:"error,omitempty"`    // which one was not taken last, and why
}

// A Clock is how far the kiosk's time can be trusted.
type Clock struct {
	State    string `json:"state"`     // trusted: the bus's; floor: not earlier than a known time; unknown
	OffsetMS int64  `json:"offset_ms"` // how far the system's clock is behind
}

// A Certificate is how the station's certificate stands.
type Certificate struct {
	NotAfter time.Time `json:"not_after"`
	Due      time.Time `json:"due"`             // when it is renewed
	Failures int       `json:"failures"`        // of renewing, in a row
	Error    string    `json:"error,omitempty"` // of the last renewing
}
