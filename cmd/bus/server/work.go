package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"filippo.io/age"

	"kosk/cmd/bus/agency"
	"kosk/cmd/bus/ledger"
	"kosk/device/request"
)

// The ledger's keys. What an agency did stands under the second: it is written
// once, so it happens once, however often the agency was asked.
const (
	submissionPrefix = "submission/"
	outcomePrefix    = "outcome/"
)

func submissionKey(id string) string { return submissionPrefix + id }
func outcomeKey(id string) string    { return outcomePrefix + id }

// packSubmission is the body of a submission's entry: the station, a zero byte,
// the envelope as it came.
func packSubmission(station string, sealed []byte) []byte {
	return append(append([]byte(station), 0), sealed...)
}

func unpackSubmission(b []byte) (station string, sealed []byte, err error) {
	name, sealed, ok := bytes.Cut(b, []byte{0})
	if !ok {
		return "", nil, fmt.Errorf("submission: %w", ledger.ErrDamaged)
	}
	return string(name), sealed, nil
}

// openAtOnce is how many requests wait for their agency opened, at most. Opening
// one is much of what it costs; what doesn't fit is opened again.
const openAtOnce = 64

// work is what the agencies still have to do. A request that was just accepted is
// open, and stays so until its turn, which is a matter of milliseconds. The ledger
// alone says what there is to do: after a restart, or when the first try failed,
// the request is read from there.
type work struct {
	ready chan struct{} // holds a token while there may be jobs
	room  int           // for open requests

	mu   sync.Mutex // guards all below
	jobs []string
	busy map[string]bool
	open map[string]request.Draft
}

func newWork() *work {
	return &work{ready: make(chan struct{}, 1), room: openAtOnce, busy: map[string]bool{}, open: map[string]request.Draft{}}
}

// addOpen adds a job whose request is at hand.
func (w *work) addOpen(id string, d request.Draft) {
	w.mu.Lock()
	if len(w.open) < w.room {
		w.open[id] = d
	}
	w.mu.Unlock()
	w.add(id)
}

// draft is the request of a job, once.
func (w *work) draft(id string) (d request.Draft, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d, ok = w.open[id]
	delete(w.open, id)
	return d, ok
}

func (w *work) add(id string) {
	w.mu.Lock()
	w.jobs = append(w.jobs, id)
	w.mu.Unlock()
	select {
	case w.ready <- struct{}{}:
	default: // the token is there
	}
}

// take returns all jobs and marks them as being worked on.
func (w *work) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	jobs := w.jobs
	w.jobs = nil
	for _, id := range jobs {
		w.busy[id] = true
	}
	return jobs
}

func (w *work) done(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.busy, id)
}

func (w *work) working(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.busy[id]
}

// replay counts what stands in the ledger and finds what was left undone.
func (s *Server) replay(ctx context.Context) error {
	open := map[string]bool{}
	var order []string
	err := s.Ledger.Each(ctx, 0, func(e ledger.Entry) error {
		if id, ok := strings.CutPrefix(e.Key, submissionPrefix); ok {
			s.accepted.Add(1)
			open[id] = true
			order = append(order, id)
		}
		if id, ok := strings.CutPrefix(e.Key, outcomePrefix); ok {
			s.effects.Add(1)
			delete(open, id)
		}
		return s.replayChange(ctx, e)
	})
	for _, id := range order {
		if open[id] {
			s.work.add(id)
		}
	}
	return err
}

// atOnce is how many requests are opened and decided at the same time.
const atOnce = 4

// runWork gives every job to its agency until ctx ends. A job whose agency is
// down waits by itself and holds up nobody.
func (s *Server) runWork(ctx context.Context) {
	var jobs sync.WaitGroup
	defer jobs.Wait()
	tokens := make(chan struct{}, atOnce)
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.work.ready:
		}
		for _, id := range s.work.take() {
			jobs.Go(func() { s.carryOut(ctx, id, tokens) })
		}
	}
}

// Pauses before a job is tried again.
const (
	firstRest   = 100 * time.Millisecond
	longestRest = 10 * time.Second
	rareRest    = 10 * time.Minute // when it isn't the ledger that is away
)

// carryOut performs a job until it is decided: who filed it waits for an answer.
// A ledger that can't be asked is asked again soon; whatever else fails may need
// somebody's hand, and is tried again at longer and longer intervals.
func (s *Server) carryOut(ctx context.Context, id string, tokens chan struct{}) {
	defer s.work.done(id)
	timer := time.NewTimer(0)
	defer timer.Stop()
	longest := longestRest
	for rest := firstRest; ; rest = min(2*rest, longest) {
		err := s.perform(ctx, id, tokens)
		if err == nil || ctx.Err() != nil {
			return
		}
		s.Log.Error("work failed", "id", id, "err", err)
		switch {
		case errors.Is(err, ledger.ErrUnknown):
			s.fail(err)
			return
		case errors.Is(err, ledger.ErrUnavailable):
			longest = longestRest
		default:
			longest = rareRest
		}
		timer.Reset(rest)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
	}
}

// perform has one request decided and writes the decision down.
func (s *Server) perform(ctx context.Context, id string, tokens chan struct{}) (err error) {
	ctx, end := s.Spans.Step(ctx, StepWork, id)
	defer func() { end(err) }()
	select {
	case tokens <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	release := sync.OnceFunc(func() { <-tokens })
	defer release()
	draft, opened := s.work.draft(id)
	if !opened {
		if draft, err = s.reopen(ctx, id); err != nil {
			return err
		}
	}
	release() // the agency may take its time
	refuse, err := s.faults.atAgency(ctx, draft.Service)
	if err != nil {
		return err
	}
	decision := agency.Decision{Reason: agency.ReasonAgencyRefused}
	if !refuse {
		if decision, err = s.agencies.Decide(draft, time.Now()); err != nil {
			return err
		}
	}
	if _, twice := s.faults.take(faultDuplicate, draft.Service); twice {
		if err := s.record(ctx, id, decision); err != nil {
			return err
		}
	}
	return s.record(ctx, id, decision)
}

// reopen reads a request from the ledger.
func (s *Server) reopen(ctx context.Context, id string) (request.Draft, error) {
	_, body, err := s.Ledger.Get(ctx, submissionKey(id))
	if err != nil {
		return request.Draft{}, err
	}
	_, sealed, err := unpackSubmission(body)
	if err != nil {
		return request.Draft{}, err
	}
	return s.open(sealed)
}

// record seals a decision to the bus itself and writes it into the ledger. An
// agency that answers twice finds the first answer there, and that one stands.
func (s *Server) record(ctx context.Context, id string, d agency.Decision) error {
	plain, err := json.Marshal(d)
	if err != nil {
		return err
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, s.Registry.Keys().Identity.Recipient())
	if err != nil {
		return err
	}
	if _, err := w.Write(plain); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	e, created, err := s.append(ctx, outcomeKey(id), id, sealed.Bytes())
	if errors.Is(err, ledger.ErrConflict) {
		return nil
	}
	if created {
		s.effects.Add(1) // before anybody is told
		s.changes.decided(id, e.Seq)
		s.Log.Info("decided", "id", id, "outcome", d.Outcome != nil, "reason", d.Reason)
	}
	return err
}

// append writes an entry of a submission into the ledger.
func (s *Server) append(ctx context.Context, key, id string, body []byte) (e ledger.Entry, created bool, err error) {
	ctx, end := s.Spans.Step(ctx, StepAppend, id)
	defer func() { end(err) }()
	return s.Ledger.Append(ctx, key, body)
}

// decision reads what record wrote, or ledger.ErrNotFound.
func (s *Server) decision(ctx context.Context, id string) (agency.Decision, error) {
	_, sealed, err := s.Ledger.Get(ctx, outcomeKey(id))
	if err != nil {
		return agency.Decision{}, err
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), s.Registry.Keys().Identity)
	if err != nil {
		return agency.Decision{}, err
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return agency.Decision{}, err
	}
	var d agency.Decision
	err = json.Unmarshal(plain, &d)
	return d, err
}
