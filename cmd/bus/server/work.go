package server

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
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

// replay counts what stands in the ledger and finds what was left undone.
func (s *Server) replay(ctx context.Context) error {
	undone := undone{}
	err := s.Ledger.Each(ctx, 0, func(e ledger.Entry) error {
		switch undone.note(e) {
		case submissionPrefix:
			s.accepted.Add(1)
		case outcomePrefix:
			s.effects.Add(1)
		}
		return nil
	})
	s.work.addAll(undone.jobs())
	return err
}

// undone are the requests without a decision, and their places in the ledger: what
// there is to do, whatever was done before a restart.
type undone map[jobID]uint64

// note takes an entry in, and says of which kind it is.
func (u undone) note(e ledger.Entry) (prefix string) {
	for _, prefix := range []string{submissionPrefix, outcomePrefix} {
		text, ok := strings.CutPrefix(e.Key, prefix)
		if !ok {
			continue
		}
		if id, ok := jobIDOf(text); ok && prefix == submissionPrefix {
			u[id] = e.Seq
		} else if ok {
			delete(u, id)
		}
		return prefix
	}
	return ""
}

// jobs are in the ledger's order.
func (u undone) jobs() []job {
	all := make([]job, 0, len(u))
	for id, seq := range u {
		all = append(all, job{id: id, seq: seq})
	}
	slices.SortFunc(all, func(a, b job) int { return cmp.Compare(a.seq, b.seq) })
	return all
}

// atOnce is how many requests are opened and decided at the same time.
const atOnce = 4

// runWork gives every job to its agency until ctx ends.
func (s *Server) runWork(ctx context.Context) {
	tokens := make(chan struct{}, atOnce)
	s.work.run(ctx, duties{
		perform: func(ctx context.Context, j job) (wait, error) { return s.perform(ctx, j, tokens) },
		down:    func(service string) bool { return s.faults.has(faultDown, service) },
		changed: s.faults.change,
		failed: func(j job, err error) {
			s.Log.Error("work failed", "id", j.id.String(), "err", err)
			if errors.Is(err, ledger.ErrUnknown) {
				s.fail(err)
			}
		},
	})
}

// perform has one request decided and writes the decision down, or says what it is
// to wait for.
func (s *Server) perform(ctx context.Context, j job, tokens chan struct{}) (w wait, err error) {
	select {
	case tokens <- struct{}{}:
	case <-ctx.Done():
		return w, context.Cause(ctx)
	}
	release := sync.OnceFunc(func() { <-tokens })
	defer release()
	id := j.id.String()
	draft, opened := s.work.draft(j.id)
	if !opened {
		if draft, err = s.reopen(ctx, id); err != nil {
			return w, err
		}
	}
	w, refuse := s.faults.atAgency(draft.Service, j.slowed)
	if w.rest > 0 {
		s.work.keepOpen(j.id, draft)
	}
	if w != (wait{}) {
		return w, nil
	}
	release() // the agency may take its time, and the ledger commits those together who stand in its line
	ctx, end := s.Spans.Step(ctx, StepWork, id)
	defer func() { end(err) }()
	decision := agency.Decision{Reason: agency.ReasonAgencyRefused}
	if !refuse {
		if decision, err = s.agencies.Decide(draft, time.Now()); err != nil {
			return w, err
		}
	}
	if _, twice := s.faults.take(faultDuplicate, draft.Service); twice {
		if err := s.record(ctx, id, decision); err != nil {
			return w, err
		}
	}
	return w, s.record(ctx, id, decision)
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
