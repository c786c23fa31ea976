package server

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"kosk/cmd/bus/ledger"
	"kosk/device/request"
)

// An Answer is how one call ended; nothing in it is personal.
type Answer struct {
	Call       string // "submit", "standing", "est.simpleenroll" ...; "" when no call was reached
	Station    string // by its certificate; may be empty
	Submission string // its id; may be empty
	Status     int    // of HTTP; 0: the answer was lost
	Reason     string // of the provider, such as "busy"; may be empty
	Error      string // of X-Road, in the bus's dialect; may be empty
	Took       time.Duration
}

// Class names the answer in one word, of few that there can be.
func (a Answer) Class() string {
	switch {
	case a.Reason != "":
		return a.Reason
	case a.Error != "":
		return strings.ToLower(a.Error[strings.LastIndexByte(a.Error, '.')+1:])
	case a.Status == 0:
		return "lost"
	case a.Status == http.StatusCreated:
		return "created"
	case a.Status < http.StatusMultipleChoices:
		return "ok"
	case a.Status == http.StatusNotModified:
		return "not_modified"
	case a.Status < http.StatusInternalServerError:
		return "refused"
	}
	return "failed"
}

// Steps of a submission's life, for Spans.
const (
	StepAppend  = "ledger append" // within the call that brings it, and within the work
	StepReceipt = "receipt"       // it is made and signed
	StepWork    = "work"          // the agency decides; after the call, or after a restart
)

// Spans follow calls and steps, for tracing. They must be quick, and safe for
// concurrent use.
type Spans interface {
	// Call begins the span of a call. The context is that of everything which is
	// done for it; end is called once.
	Call(r *http.Request) (ctx context.Context, end func(Answer))
	// Step begins a span within a submission's life: a child of what ctx holds,
	// else of the call that brought it.
	Step(ctx context.Context, name, submission string) (_ context.Context, end func(error))
}

// noSpans follow nothing.
type noSpans struct{}

func (noSpans) Call(r *http.Request) (context.Context, func(Answer)) {
	return r.Context(), func(Answer) {}
}

func (noSpans) Step(ctx context.Context, _, _ string) (context.Context, func(error)) {
	return ctx, func(error) {}
}

// A Load is what the server is busy with.
type Load struct {
	InFlight int    // submissions that are being accepted
	Waiting  int    // accepted, for an agency to begin with
	Working  int    // at an agency
	Entry    uint64 // the last of the message log: where its chain ends
}

// Load is what the server is busy with now.
func (s *Server) Load() Load {
	s.mu.Lock()
	flying := len(s.inFlight)
	s.mu.Unlock()
	waiting, working := s.work.load()
	return Load{InFlight: flying, Waiting: waiting, Working: working, Entry: s.entry.Load()}
}

// Tracked is how a submission stands, without anything of the person: neither
// the request nor its outcome.
type Tracked struct {
	Station    string
	State      string // accepted, in_work, done, refused
	Reason     string // of refused
	Seq        uint64 // in the ledger
	ReceivedAt time.Time
}

// ErrUnknownSubmission says that no submission has the id.
var ErrUnknownSubmission = errors.New("unknown submission")

// Track looks a submission up. Errors: ErrUnknownSubmission.
func (s *Server) Track(ctx context.Context, id string) (Tracked, error) {
	if _, err := request.ParseID(id); err != nil {
		return Tracked{}, ErrUnknownSubmission
	}
	e, body, err := s.Ledger.Get(ctx, submissionKey(id))
	if errors.Is(err, ledger.ErrNotFound) {
		return Tracked{}, ErrUnknownSubmission
	}
	if err != nil {
		return Tracked{}, err
	}
	station, _, err := unpackSubmission(body)
	if err != nil {
		return Tracked{}, err
	}
	st, err := s.standing(ctx, id)
	return Tracked{Station: station, State: st.State, Reason: st.Reason, Seq: e.Seq, ReceivedAt: e.At}, err
}

// ClearFaults clears all scripted faults.
func (s *Server) ClearFaults() {
	s.faults.clear()
	s.Log.Info("faults cleared")
}
