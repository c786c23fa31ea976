// Package control is what a technician may ask of the outbox and its kiosk: the
// questions, who answers them, and the unix socket over which a running kiosk is
// asked.
//
// A Desk answers, in the kiosk itself or for a kiosk that is stopped; Serve lets
// one answer over a socket, Ask asks there. Nothing here opens what is sealed:
// bodies stay sealed for the bus, notes are not shown.
package control

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"kosk/offline"
	"kosk/offline/queue"
)

// A Verb is what is asked.
type Verb string

// The verbs. Those of the queue but List and Check need an id.
const (
	List     Verb = "list"
	Show     Verb = "show"
	Park     Verb = "park"
	Requeue  Verb = "requeue"
	Release  Verb = "release"
	Export   Verb = "export"
	Check    Verb = "check"
	Status   Verb = "status"    // of the whole kiosk
	EmptyBin Verb = "empty-bin" // the printer's bin was emptied
)

// Changes reports whether a verb changes what is there.
func (v Verb) Changes() bool { return v == Park || v == Requeue || v == Release }

// A Request is one question.
type Request struct {
	Verb   Verb     `json:"verb"`
	ID     string   `json:"id,omitempty"`
	States []string `json:"states,omitempty"` // for List: queued, parked, finished; none: queued and parked
	Reason string   `json:"reason,omitempty"` // for Park: a-z 0-9 _ . - only; empty: ReasonOperator
}

// ReasonOperator is why an item is parked that an operator has set aside.
const ReasonOperator = offline.ReasonOperator

// A Response is the answer. Error is empty when it went well.
type Response struct {
	Error   string          `json:"error,omitempty"`
	Kind    string          `json:"kind,omitempty"` // of the error, see Err
	Items   []Item          `json:"items,omitempty"`
	Body    []byte          `json:"body,omitempty"` // of Export: a line of JSON, and the sealed body
	Checked *Checked        `json:"checked,omitempty"`
	Status  json.RawMessage `json:"status,omitempty"`
}

// An Item is what may be shown of one that the queue holds.
type Item struct {
	ID        string    `json:"id"`
	Seq       uint64    `json:"seq"`
	State     string    `json:"state"` // queued, parked, finished
	Reason    string    `json:"reason,omitempty"`
	Class     string    `json:"class,omitempty"` // waiting, today, whenever; not of finished ones
	Blocks    bool      `json:"blocks,omitempty"`
	Size      int       `json:"size,omitempty"`
	Attempts  int       `json:"attempts"`
	MaybeSent bool      `json:"maybe_sent"`
	Sealed    bool      `json:"notes_sealed,omitempty"` // the fields below are not known
	Created   time.Time `json:"created,omitzero"`
	Trusted   bool      `json:"created_trusted"`
	TTL       int64     `json:"ttl_s,omitempty"`
	Trace     string    `json:"traceparent,omitempty"`
	Stream    string    `json:"stream,omitempty"`  // the beginning of a keyed hash: tells streams apart
	Receipt   []byte    `json:"receipt,omitempty"` // with Show of a finished one
}

// Checked is what Check has read.
type Checked struct {
	Items    int      `json:"items"`
	Receipts int      `json:"receipts"`
	Bytes    int64    `json:"bytes"`
	Sealed   int      `json:"notes_sealed"`
	Damaged  []string `json:"damaged"`
}

// Errors that come back over the socket as themselves, beside those of offline
// and queue.
var (
	// ErrNoSuch says that this kiosk has no such part, or that the question needs
	// the running kiosk.
	ErrNoSuch = errors.New("not to be had here")
	// ErrQuestion says that the question is malformed.
	ErrQuestion = errors.New("bad question")
)

var kinds = []struct {
	name string
	err  error
}{
	{"not_found", offline.ErrNotFound},
	{"item", queue.ErrItem},
	{"damaged", queue.ErrDamaged},
	{"read_only", queue.ErrReadOnly},
	{"no_such", ErrNoSuch},
	{"question", ErrQuestion},
}

// Err is the error of a response, or nil.
func (r Response) Err() error {
	if r.Error == "" {
		return nil
	}
	for _, k := range kinds {
		if k.name == r.Kind {
			return answered{r.Error, k.err}
		}
	}
	return errors.New(r.Error)
}

// answered is an error that another process has had.
type answered struct {
	said string
	kind error
}

func (a answered) Error() string { return a.said }
func (a answered) Unwrap() error { return a.kind }

func refused(err error) Response {
	r := Response{Error: err.Error()}
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			r.Kind = k.name
			break
		}
	}
	return r
}

// A Desk answers questions. Queue is required; what else is nil is ErrNoSuch.
type Desk struct {
	Queue    *queue.Queue
	Status   func(ctx context.Context) (json.RawMessage, error)
	EmptyBin func() error
}

// Do answers one question.
func (d *Desk) Do(ctx context.Context, q Request) Response {
	r, err := d.do(ctx, q)
	if err != nil {
		return refused(err)
	}
	return r
}

func (d *Desk) do(ctx context.Context, q Request) (r Response, err error) {
	switch q.Verb {
	case List:
		r.Items, err = d.list(q.States)
	case Show:
		r.Items, err = d.show(q.ID)
	case Park:
		err = d.park(ctx, q.ID, q.Reason)
	case Requeue:
		err = d.Queue.Requeue(ctx, q.ID)
	case Release:
		err = d.Queue.Release(ctx, q.ID)
	case Export:
		var b bytesWriter
		err = d.Queue.Export(q.ID, &b)
		r.Body = b
	case Check:
		r.Checked, err = d.check()
	case Status:
		if d.Status == nil {
			return r, fmt.Errorf("status: %w", ErrNoSuch)
		}
		r.Status, err = d.Status(ctx)
	case EmptyBin:
		if d.EmptyBin == nil {
			return r, fmt.Errorf("empty bin: %w", ErrNoSuch)
		}
		err = d.EmptyBin()
	default:
		err = fmt.Errorf("verb %.20q: %w", q.Verb, ErrQuestion)
	}
	return r, err
}

type bytesWriter []byte

func (b *bytesWriter) Write(p []byte) (int, error) { *b = append(*b, p...); return len(p), nil }

func (d *Desk) park(ctx context.Context, id, reason string) error {
	if reason == "" {
		reason = ReasonOperator
	}
	if len(reason) > 64 || strings.Trim(reason, "abcdefghijklmnopqrstuvwxyz0123456789_.-") != "" {
		return fmt.Errorf("park %.40s: reason: %w", id, ErrQuestion)
	}
	return d.Queue.Park(ctx, id, reason)
}

func (d *Desk) list(states []string) ([]Item, error) {
	f := queue.Filter{States: []queue.State{queue.Queued, queue.Parked}}
	if len(states) > 0 {
		f.States = nil
	}
	for _, name := range states {
		s, ok := map[string]queue.State{"queued": queue.Queued, "parked": queue.Parked, "finished": queue.Finished}[name]
		if !ok {
			return nil, fmt.Errorf("state %.20q: %w", name, ErrQuestion)
		}
		f.States = append(f.States, s)
	}
	found, err := d.Queue.List(f)
	if err != nil {
		return nil, err
	}
	items := make([]Item, 0, len(found))
	for _, f := range found {
		items = append(items, itemOf(f))
	}
	return items, nil
}

func (d *Desk) show(id string) ([]Item, error) {
	f, err := d.Queue.Show(id)
	if err != nil {
		return nil, err
	}
	i := itemOf(f)
	i.Receipt = f.Receipt
	return []Item{i}, nil
}

// Class is a class's name in JSON.
func Class(c offline.Class) string {
	switch c {
	case offline.Waiting:
		return "waiting"
	case offline.Today:
		return "today"
	case offline.Whenever:
		return "whenever"
	}
	return fmt.Sprintf("class %d", c)
}

func itemOf(f queue.Found) Item {
	i := Item{
		ID: f.ID, Seq: f.Seq, State: f.State.String(), Reason: f.Reason, Size: f.Size, Attempts: f.Attempts,
		MaybeSent: f.MaybeSent, Sealed: f.Sealed,
	}
	if f.State == queue.Finished {
		return i
	}
	stream := f.Stream()
	i.Class, i.Blocks, i.Stream = Class(f.Class), f.Refused == offline.Block, hex.EncodeToString(stream[:4])
	if !f.Sealed {
		i.Created, i.Trusted, i.TTL, i.Trace = f.Created.UTC(), f.Trusted, int64(f.TTL/time.Second), f.Trace
	}
	return i
}

func (d *Desk) check() (*Checked, error) {
	c, err := d.Queue.Check()
	if err != nil {
		return nil, err
	}
	return &Checked{Items: c.Items, Receipts: c.Receipts, Bytes: c.Bytes, Sealed: c.Sealed, Damaged: append([]string{}, c.Damaged...)}, nil
}
