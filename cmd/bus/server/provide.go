package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"kosk/cmd/bus/agency"
	"kosk/cmd/bus/ledger"
	"kosk/cmd/bus/registry"
	"kosk/device/request"
)

// The reasons that the intake itself gives. Those of agencies are in agency.
const (
	reasonUnknownCall       = "unknown_call"
	reasonUnknownSubmission = "unknown_submission"
	reasonBadID             = "bad_id"
	reasonInFlight          = "in_flight"
	reasonBusy              = "busy"
	reasonOtherContent      = "other_content"
	reasonTooLarge          = "too_large"
	reasonBadEnvelope       = "bad_envelope"
	reasonBadSignature      = "bad_signature"
	reasonUnknownVersion    = "unknown_version"
	reasonWrongStation      = "wrong_station"
	reasonWrongID           = "wrong_id"
	reasonTooLate           = "too_late" // it came after its ttl, and never before: see request.Draft.Late
)

// The states of a submission.
const (
	stateAccepted = "accepted"
	stateInWork   = "in_work"
	stateDone     = "done"
	stateRefused  = "refused"
)

// A standing is the answer about one submission.
type standing struct {
	State   string           `json:"state"`
	Receipt []byte           `json:"receipt"`
	Outcome *request.Outcome `json:"outcome,omitempty"`
	Reason  string           `json:"reason,omitempty"`
}

// Version of the intake's description; its first number stands in every path. See
// README.md for when it changes.
const Version = "1.3.0"

// A route is one call of the intake.
type route struct {
	registry.Endpoint
	call   string
	answer func(s *Server, m *message, arg string) // arg is what the path's * stands for
}

// routes are all calls of the intake. The description in openapi.json has the same.
func routes() []route {
	return []route{
		{registry.Endpoint{Method: http.MethodPut, Path: "/v1/submissions/*"}, "submit", (*Server).put},
		{registry.Endpoint{Method: http.MethodGet, Path: "/v1/submissions"}, "standings", (*Server).list},
		{registry.Endpoint{Method: http.MethodGet, Path: "/v1/submissions/*"}, "standing", (*Server).get},
		{registry.Endpoint{Method: http.MethodPost, Path: "/v1/lookups/*"}, "lookup", (*Server).lookup},
		{registry.Endpoint{Method: http.MethodGet, Path: "/v1/catalogue"}, "catalogue", (*Server).catalogue},
		{registry.Endpoint{Method: http.MethodGet, Path: "/v1/catalogue/delta"}, "catalogue delta", (*Server).catalogueDelta},
		{registry.Endpoint{Method: http.MethodGet, Path: "/v1/trust"}, "trust", (*Server).trust},
		{registry.Endpoint{Method: http.MethodGet, Path: "/v1/revocations"}, "revocations", (*Server).revocations},
		{registry.Endpoint{Method: http.MethodPost, Path: "/v1/telemetry"}, "telemetry", (*Server).telemetry},
		{registry.Endpoint{Method: http.MethodGet, Path: "/v1/time"}, "time", (*Server).time},
		{registry.Endpoint{Method: http.MethodGet, Path: "/v1/keys"}, "keys", (*Server).publicKeys},
	}
}

// Endpoints are those of the intake.
func Endpoints() []registry.Endpoint {
	var all []registry.Endpoint
	for _, r := range routes() {
		all = append(all, r.Endpoint)
	}
	return all
}

// provide routes the provider's calls by method and path.
func (s *Server) provide(m *message) {
	for _, r := range routes() {
		arg, fits := "", "/"+m.path == r.Path
		if prefix, ok := strings.CutSuffix(r.Path, "*"); ok {
			arg, fits = strings.CutPrefix("/"+m.path, prefix)
			fits = fits && arg != "" && !strings.Contains(arg, "/")
		}
		if fits && r.Method == m.req.Method {
			m.call = r.call
			r.answer(s, m, arg)
			return
		}
	}
	writeReason(m, http.StatusNotFound, reasonUnknownCall)
}

// time tells the bus's time, which is the one that counts.
func (s *Server) time(m *message, _ string) {
	writeJSON(m, http.StatusOK, map[string]time.Time{"time": s.now().UTC()})
}

// publicKeys tells an enrolled kiosk what it seals to and verifies with.
func (s *Server) publicKeys(m *message, _ string) {
	keys := s.Registry.Keys()
	receipt, err := x509.MarshalPKIXPublicKey(&keys.Receipt.PublicKey)
	if err != nil {
		s.xroadError(m, http.StatusInternalServerError, errInternal, "keys")
		return
	}
	p := s.Provider
	writeJSON(m, http.StatusOK, map[string]any{
		"recipient": keys.Identity.Recipient().String(), "receipt_key": receipt,
		"instance": p.Instance, "class": p.Class, "member": p.Member, "subsystem": p.Subsystem,
	})
}

// submission reads the id of a call about one.
func submission(m *message, text string) (request.ID, bool) {
	id, err := request.ParseID(text)
	if err != nil {
		writeReason(m, http.StatusBadRequest, reasonBadID)
		return "", false
	}
	m.id = text
	return id, true
}

// begin marks the id as being submitted; false when it is already.
func (s *Server) begin(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inFlight[id] {
		return false
	}
	s.inFlight[id] = true
	return true
}

func (s *Server) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.inFlight, id)
}

func (s *Server) flying(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inFlight[id]
}

func later(m *message, status int, reason string) {
	m.Header().Set("Retry-After", "1")
	writeReason(m, status, reason)
}

// put accepts a submission: once for ever under its id.
func (s *Server) put(m *message, arg string) {
	id, ok := submission(m, arg)
	if !ok || s.disturbed(m, serviceCode, faultSlow, faultDown, faultRefuse) {
		return
	}
	leave, ok := s.enter(m)
	if !ok {
		return
	}
	defer leave()
	e, created, ok := s.accept(m, id)
	if _, twice := s.faults.take(faultDuplicate, serviceCode); ok && twice {
		e, created, ok = s.accept(m, id) // as if the network had delivered it twice
	}
	if !ok || s.disturbed(m, serviceCode, faultLostAnswer, faultWrongSchema) {
		return
	}
	_, end := s.Spans.Step(m.req.Context(), StepReceipt, m.id)
	receipt, err := s.receipt(id, e, m.body)
	end(err)
	if err != nil {
		s.xroadError(m, http.StatusInternalServerError, errInternal, "receipt")
		return
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	writeJSON(m, status, standing{State: stateAccepted, Receipt: receipt})
}

// enter lets a submission in: one under its id, and not too many at once. When ok is
// false it has answered.
func (s *Server) enter(m *message) (leave func(), ok bool) {
	select {
	case s.submitting <- struct{}{}:
	default:
		later(m, http.StatusTooManyRequests, reasonBusy)
		return nil, false
	}
	if !s.begin(m.id) {
		<-s.submitting
		later(m, http.StatusConflict, reasonInFlight)
		return nil, false
	}
	return func() {
		s.end(m.id)
		<-s.submitting
	}, true
}

// accept checks the envelope and writes it into the ledger. When ok is false it
// has answered.
func (s *Server) accept(m *message, id request.ID) (e ledger.Entry, created, ok bool) {
	body := packSubmission(m.station, m.body)
	e, known, err := s.Ledger.Get(m.req.Context(), submissionKey(m.id))
	switch {
	case err == nil && bytes.Equal(known, body):
		s.duplicates.Add(1)
		return e, false, true
	case err == nil:
		writeReason(m, http.StatusUnprocessableEntity, reasonOtherContent)
		return e, false, false
	case !errors.Is(err, ledger.ErrNotFound):
		s.ledgerFailed(m, err)
		return e, false, false
	}
	draft, err := s.open(m.body)
	reason, err := objection(m, id, draft, err)
	if err == nil && reason == "" {
		m.person, m.purpose = s.person(draft.Holder.FIN), draft.Service
		m.evidence, reason, err = s.examine(draft, time.Now())
	}
	if err == nil && reason == "" {
		if err = s.checkProofs(draft); errors.Is(err, errProof) {
			reason, err = reasonBadProof, nil
		}
	}
	if err != nil {
		s.registryFailed(m, err)
		return e, false, false
	}
	if reason != "" {
		s.refused.Add(1)
		if reason == reasonEvidenceStale { // the bus's own fault
			later(m, http.StatusServiceUnavailable, reason)
			return e, false, false
		}
		writeReason(m, http.StatusBadRequest, reason)
		return e, false, false
	}
	e, created, err = s.append(m.req.Context(), submissionKey(m.id), m.id, body)
	if err != nil {
		s.ledgerFailed(m, err)
		return e, false, false
	}
	s.accepted.Add(1)
	m.used, m.entry = created, e.Seq
	s.changes.submitted(m.station, m.id, e.Seq)
	s.work.addOpen(m.id, e.Seq, draft)
	return e, created, true
}

// objection says why an envelope can't be accepted, or "". What is not the
// envelope's fault comes back as an error: the kiosk must try again.
func objection(m *message, id request.ID, d request.Draft, err error) (string, error) {
	switch {
	case errors.Is(err, request.ErrVersion):
		return reasonUnknownVersion, nil
	case errors.Is(err, request.ErrSignature), errors.Is(err, request.ErrStation), errors.Is(err, registry.ErrUnknown):
		return reasonBadSignature, nil
	case errors.Is(err, request.ErrSealed), errors.Is(err, request.ErrEnvelope), errors.Is(err, request.ErrDraft):
		return reasonBadEnvelope, nil
	case err != nil:
		return "", err
	case d.Station != m.station:
		return reasonWrongStation, nil
	case d.ID != id:
		return reasonWrongID, nil
	case d.Late(time.Now()):
		return reasonTooLate, nil
	}
	return "", nil
}

func (s *Server) open(sealed []byte) (request.Draft, error) {
	return request.Open(sealed, s.Registry.Keys().Identity, s.Registry.StationKeys)
}

// ledgerFailed answers that the outcome is unknown, and ends the bus when it is
// unknown to the bus as well.
func (s *Server) ledgerFailed(m *message, err error) {
	s.Log.Error("ledger failed", "err", err)
	if errors.Is(err, ledger.ErrUnknown) {
		s.fail(err)
	}
	s.xroadError(m, http.StatusInternalServerError, errInternal, "ledger")
}

func (s *Server) fail(err error) {
	select {
	case s.failed <- err:
	default: // it ends already
	}
}

// receipt makes the receipt of an entry: always the same bytes.
func (s *Server) receipt(id request.ID, e ledger.Entry, sealed []byte) ([]byte, error) {
	return request.SignReceipt(request.Receipt{
		ID: id, Hash: sha256.Sum256(sealed), Seq: e.Seq, ReceivedAt: e.At, Previous: e.Previous,
	}, s.Registry.Keys().Receipt)
}

func (s *Server) signCertificate(c request.Certificate) ([]byte, error) {
	return request.SignCertificate(c, s.Registry.Keys().Receipt)
}

// get tells how a submission stands, to its own station alone.
func (s *Server) get(m *message, arg string) {
	id, ok := submission(m, arg)
	if !ok || s.disturbed(m, serviceCode, faultSlow, faultDown) {
		return
	}
	wait, ok := waitOf(m.req.URL.Query().Get("wait"))
	if !ok {
		writeReason(m, http.StatusBadRequest, agency.ReasonBadQuestion)
		return
	}
	if s.goneStale(m, id) {
		return
	}
	flying := s.flying(m.id) // asked first: what ends now is in the ledger
	e, body, err := s.Ledger.Get(m.req.Context(), submissionKey(m.id))
	var station string
	var sealed []byte
	if err == nil {
		station, sealed, err = unpackSubmission(body)
	}
	switch {
	case errors.Is(err, ledger.ErrNotFound) && flying:
		later(m, http.StatusConflict, reasonInFlight)
		return
	case errors.Is(err, ledger.ErrNotFound), err == nil && station != m.station:
		writeReason(m, http.StatusNotFound, reasonUnknownSubmission)
		return
	case err != nil:
		s.ledgerFailed(m, err)
		return
	}
	s.stand(m, id, e, sealed, wait)
}

// stand answers with the standing. Its ETag is the state: with If-None-Match the
// answer waits until the state is another one, without until it is final; either
// way no longer than wait.
func (s *Server) stand(m *message, id request.ID, e ledger.Entry, sealed []byte, wait time.Duration) {
	st, err := s.standing(m.req.Context(), m.id)
	tag := m.req.Header.Get("If-None-Match")
	final := st.State == stateDone || st.State == stateRefused
	if err == nil && wait > 0 && !final && (tag == "" || tag == st.tag()) {
		ctx, cancel := context.WithTimeout(m.req.Context(), wait)
		defer cancel()
		_, _ = s.Ledger.Wait(ctx, outcomeKey(m.id)) // what matters is what stands there then
		st, err = s.standing(m.req.Context(), m.id)
	}
	if err != nil {
		s.ledgerFailed(m, err)
		return
	}
	m.Header().Set("ETag", st.tag())
	if tag == st.tag() {
		m.WriteHeader(http.StatusNotModified)
		return
	}
	if st.Receipt, err = s.receipt(id, e, sealed); err != nil {
		s.xroadError(m, http.StatusInternalServerError, errInternal, "receipt")
		return
	}
	writeJSON(m, http.StatusOK, st)
}

// tag is the ETag of a standing.
func (st standing) tag() string { return `"` + st.State + `"` }

// standing is how a submission that is in the ledger stands, without its receipt.
func (s *Server) standing(ctx context.Context, id string) (standing, error) {
	busy := s.work.working(id) // asked first: a job that ends now has its decision written
	decision, err := s.decision(ctx, id)
	switch {
	case errors.Is(err, ledger.ErrNotFound) && busy:
		return standing{State: stateInWork}, nil
	case errors.Is(err, ledger.ErrNotFound):
		return standing{State: stateAccepted}, nil
	case err != nil:
		return standing{}, err
	case decision.Outcome != nil:
		return standing{State: stateDone, Outcome: decision.Outcome}, nil
	}
	return standing{State: stateRefused, Reason: decision.Reason}, nil
}

// waitOf reads ?wait=SECONDS; more than the longest wait is the longest.
func waitOf(text string) (time.Duration, bool) {
	if text == "" {
		return 0, true
	}
	n, err := strconv.ParseUint(text, 10, 16)
	return min(time.Duration(n)*time.Second, longestWait), err == nil
}

// lookup asks an agency a question that changes nothing. Whose data it is about
// is remembered whatever comes of it.
func (s *Server) lookup(m *message, service string) {
	if s.Approvals.Serves(service) {
		m.call = "approval"
		a := s.Approvals.Answer(m.req.Context(), m.station, service, m.body)
		writeJSON(m, a.Status, a.Body)
		return
	}
	if !agency.Answers(service) && service != LookupAccessLog {
		writeReason(m, http.StatusNotFound, agency.ReasonUnknownService)
		return
	}
	m.call, m.purpose, m.person = "lookup "+service, service, s.about(m.body)
	s.lookups.Add(1)
	if s.disturbed(m, service, faultSlow, faultDown, faultRefuse, faultLostAnswer, faultWrongSchema) {
		return
	}
	if len(m.body) > maxQuestion || !json.Valid(m.body) {
		writeReason(m, http.StatusBadRequest, agency.ReasonBadQuestion)
		return
	}
	if service == LookupAccessLog {
		s.accessLog(m)
		return
	}
	a := s.agencies.Lookup(service, m.body, s.asOf(service))
	if _, twice := s.faults.take(faultDuplicate, service); twice {
		a = s.agencies.Lookup(service, m.body, s.asOf(service))
	}
	m.used = a.Status == http.StatusOK
	writeJSON(m, a.Status, a.Body)
}
