package server

import (
	"bytes"
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"kosk/cmd/bus/msglog"
	"kosk/cmd/bus/registry"
	"kosk/device/request"
)

// A Dialect is a spelling of X-Road's error types.
type Dialect string

// The dialects.
const (
	DialectOld Dialect = "old" // up to 7.7: Server.ServerProxy.AccessDenied
	DialectNew Dialect = "new" // from 7.8: server.serverproxy.access_denied
)

// Error types in the old spelling. Their HTTP status is 500 in practice.
const (
	errBadRequest    = "Client.BadRequest"
	errClientID      = "Server.ClientProxy.InvalidClientIdentifier"
	errAuthenticate  = "Server.ClientProxy.SslAuthenticationFailed"
	errAccessDenied  = "Server.ServerProxy.AccessDenied"
	errUnknownMember = "Server.ServerProxy.UnknownMember"
	errUnknownSvc    = "Server.ServerProxy.UnknownService"
	errDisabled      = "Server.ServerProxy.ServiceDisabled"
	errLogging       = "Server.ServerProxy.LoggingFailed"
	errServiceFailed = "Server.ServerProxy.ServiceFailed.HttpError"
	errNetwork       = "Server.ServerProxy.NetworkError"
	errInternal      = "Server.ServerProxy.InternalError"
)

// spell gives an error type in the dialect.
func (d Dialect) spell(typ string) string {
	if d != DialectNew {
		return typ
	}
	var b strings.Builder
	for i, r := range typ {
		proxy := strings.HasSuffix(typ[:i], "Server") || strings.HasSuffix(typ[:i], "Client")
		if unicode.IsUpper(r) && i > 0 && typ[i-1] != '.' && !(r == 'P' && proxy) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// A message is one X-Road message on its way through the handlers.
type message struct {
	*recorder
	req  *http.Request
	path string // after the service code, without its first slash
	body []byte

	directory *registry.Directory
	client    string // "GOV/10001/KIOSK-001"
	provider  string // "GOV/10001/kiosk"
	code      string // of the service
	service   string // as the log names it
	person    string // keyed hash of whose data it is about
	purpose   string // a service's id
	used      bool   // it counts as a use of purpose
	entry     uint64 // of the ledger
	evidence  string // how far the chip is believed
	carrier   string // who brought it, where that wasn't its station
}

// xroadError answers as the bus itself. PR-REST, 4.6.
func (s *Server) xroadError(w http.ResponseWriter, status int, typ, text string) {
	typ = s.Dialect.spell(typ)
	w.Header().Set("X-Road-Error", typ)
	writeJSON(w, status, map[string]string{"type": typ, "message": text, "detail": w.Header().Get("X-Road-Request-Id")})
}

// writeJSON answers as the provider.
func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil { // a broken program: nothing that we answer can't be marshalled
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // the client may have gone
}

func writeReason(w http.ResponseWriter, status int, reason string) {
	if r, ok := w.(interface{ because(string) }); ok {
		r.because(reason)
	}
	writeJSON(w, status, map[string]string{"reason": reason})
}

// message does what security servers do for every message, and hands it to the
// provider's calls.
func (s *Server) message(w *recorder, r *http.Request) {
	m := &message{recorder: w, req: r}
	h := w.Header()
	h.Set("X-Road-Request-Id", uuid())
	if id := r.Header.Get("X-Road-Id"); id != "" {
		h.Set("X-Road-Id", id)
	} else {
		h.Set("X-Road-Id", uuid())
	}
	s.logMessage(m, func() {
		if !s.address(m) || !s.authenticate(m) || !s.allow(m) || !s.admit(m) || !s.readBody(m) {
			return
		}
		h.Set("X-Road-Request-Hash", requestHash(r, m.body))
		if isMeta(m.code) {
			s.meta(m)
			return
		}
		s.provide(m)
	})
}

// logMessage holds an answer back until it stands in the message log. A bus that
// can't log does nothing at all; when the log fails after something was done, the
// client hears that the outcome is unknown, and asks.
func (s *Server) logMessage(m *message, answer func()) {
	if err := s.messages.Broken(); err != nil {
		s.xroadError(m, http.StatusInternalServerError, errLogging, "message log")
		return
	}
	m.hold()
	answered := false
	defer func() {
		if !answered { // the connection breaks: the client never sees this answer
			m.status = 0
			s.logEntry(m)
		}
	}()
	answer()
	answered = true
	if !s.logEntry(m) {
		m.drop()
		s.xroadError(m, http.StatusInternalServerError, errLogging, "message log")
	}
	m.release()
}

var plainID = regexp.MustCompile(`^[A-Za-z0-9.:-]{1,64}$`)

// plain keeps an id of the client's in the log when it looks like one: it may
// write anything there, a name as well.
func (s *Server) plain(id string) string {
	if id == "" || plainID.MatchString(id) {
		return id
	}
	return "hmac:" + keyed(s.secrets.digest, []byte(id))
}

// logEntry writes a message and its answer into the log.
func (s *Server) logEntry(m *message) bool {
	h := m.Header()
	e := msglog.Entry{
		Request: h.Get("X-Road-Request-Id"), Message: s.plain(m.req.Header.Get("X-Road-Id")), Issue: s.plain(m.req.Header.Get("X-Road-Issue")),
		Client: m.client, Service: m.service, Call: m.call, Submission: m.id,
		AskedBytes: len(m.body), Asked: keyed(s.secrets.digest, m.body),
		AnswerBytes: m.held.Len(), Answer: keyed(s.secrets.digest, m.held.Bytes()),
		Status: m.status, Error: h.Get("X-Road-Error"),
		Person: m.person, Purpose: m.purpose, LedgerSeq: m.entry, EvidenceSays: m.evidence, By: m.carrier,
	}
	if m.used {
		e.UsedAgency, e.UsedService = s.countedAs(m.purpose)
	}
	if _, err := s.messages.Append(e); err != nil {
		s.Log.Error("message log failed", "err", err)
		s.fail(err)
		return false
	}
	return true
}

// address checks that the path names our service. PR-REST, 4.1.
func (s *Server) address(m *message) bool {
	parts := strings.SplitN(strings.TrimPrefix(m.req.URL.EscapedPath(), "/r1/"), "/", 6)
	for i := range parts[:min(5, len(parts))] {
		part, err := url.PathUnescape(parts[i])
		if err != nil {
			s.xroadError(m, http.StatusBadRequest, errBadRequest, "path is not percent-encoded")
			return false
		}
		parts[i] = part
	}
	if len(parts) < 5 {
		s.xroadError(m, http.StatusBadRequest, errBadRequest, "path names no service")
		return false
	}
	d, err := s.directory()
	if err != nil {
		s.Log.Error("registry failed", "err", err)
		s.xroadError(m, http.StatusInternalServerError, errInternal, "directory")
		return false
	}
	m.directory, m.provider, m.code = d, strings.Join(parts[1:4], "/"), parts[4]
	if parts[0] != s.Provider.Instance || !d.HasSubsystem(m.provider) {
		s.xroadError(m, http.StatusInternalServerError, errUnknownMember, "no such subsystem")
		return false
	}
	m.service = m.provider + "/" + m.code
	if len(parts) == 6 {
		m.path = parts[5]
	}
	if !isMeta(m.code) && !s.callable(m, len(parts) == 6) {
		return false
	}
	m.Header().Set("X-Road-Service", strings.Join(parts[:5], "/"))
	return true
}

// callable checks that the service is there and answered here.
func (s *Server) callable(m *message, path bool) bool {
	svc := m.directory.Find(m.service)
	switch {
	case svc == nil || !path:
		s.xroadError(m, http.StatusInternalServerError, errUnknownSvc, "no such service")
	case svc.Disabled != "":
		s.xroadError(m, http.StatusInternalServerError, errDisabled, "service is disabled: "+svc.Disabled)
	case m.provider != s.ownProvider() || m.code != serviceCode:
		s.xroadError(m, http.StatusInternalServerError, errServiceFailed, "service has no address")
	default:
		return true
	}
	return false
}

// serviceCode of the one service that kiosks use.
const serviceCode = registry.Intake

// allow checks the right to a method and path. PR-REST leaves rights to the
// security server; metaservices need none.
func (s *Server) allow(m *message) bool {
	if isMeta(m.code) || m.directory.Allows(m.client, m.service, m.req.Method, "/"+m.path) {
		return true
	}
	s.xroadError(m, http.StatusInternalServerError, errAccessDenied, "request is not allowed")
	return false
}

// admit keeps submissions within the limit before their body is read, and tells
// the station how fast it may go on.
func (s *Server) admit(m *message) bool {
	if !strings.HasPrefix(m.path, "v1/submissions") {
		return true
	}
	now := time.Now()
	after, ok := time.Duration(0), true
	if m.req.Method == http.MethodPut {
		after, ok = s.pace.admit(m.station, now)
	}
	s.pace.hint(m.Header(), int(s.stations.Load()), now)
	if !ok {
		m.Header().Set("Retry-After", strconv.Itoa(int(after.Seconds())))
		writeReason(m, http.StatusTooManyRequests, reasonBusy)
	}
	return ok
}

// certified checks the station's certificate.
func (s *Server) certified(m *message) bool {
	if len(m.req.TLS.PeerCertificates) == 0 {
		s.xroadError(m, http.StatusInternalServerError, errAuthenticate, "no client certificate")
		return false
	}
	station, ok := s.Registry.Holds(m.req.TLS.PeerCertificates[0])
	if !ok {
		s.xroadError(m, http.StatusInternalServerError, errAccessDenied, "unknown station")
		return false
	}
	m.station = station
	m.client = s.Provider.Class + "/" + s.Provider.Member + "/" + station
	s.mu.Lock()
	s.lastSeen[station] = time.Now().UTC()
	s.mu.Unlock()
	return true
}

// authenticate checks the station's certificate and that the client it says it
// is, is itself: a subsystem of the bus's member with the station's name.
func (s *Server) authenticate(m *message) bool {
	if !s.certified(m) {
		return false
	}
	client := m.req.Header.Get("X-Road-Client")
	if client == "" {
		s.xroadError(m, http.StatusBadRequest, errBadRequest, "X-Road-Client is missing")
		return false
	}
	given, err := url.PathUnescape(client)
	if err != nil || given != s.Provider.member()+"/"+m.station {
		s.xroadError(m, http.StatusInternalServerError, errClientID, "X-Road-Client is not the station of the certificate")
		return false
	}
	m.Header().Set("X-Road-Client", client)
	return true
}

// readBody reads at most what a submission may hold.
func (s *Server) readBody(m *message) bool {
	var err error
	m.body, err = io.ReadAll(http.MaxBytesReader(m.ResponseWriter, m.req.Body, request.MaxSealed))
	if tooLong := new(http.MaxBytesError); errors.As(err, &tooLong) {
		writeReason(m, http.StatusRequestEntityTooLarge, reasonTooLarge)
		return false
	}
	if err != nil { // it broke off, or its chunks make no sense
		s.xroadError(m, http.StatusBadRequest, errBadRequest, "body can't be read")
		return false
	}
	return true
}

// requestHash is SHA-512 over the request line, the X-Road headers in a fixed
// order, and the SHA-512 of the body; base64. PR-REST leaves the form to the
// security server.
func requestHash(r *http.Request, body []byte) string {
	h := sha512.New()
	fmt.Fprintf(h, "%s %s\r\n", r.Method, r.URL.RequestURI())
	for _, name := range []string{"X-Road-Client", "X-Road-Id", "X-Road-Issue", "X-Road-Userid", "Content-Type"} {
		fmt.Fprintf(h, "%s: %s\r\n", name, r.Header.Get(name))
	}
	sum := sha512.Sum512(body)
	h.Write(sum[:])
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// uuid is a random one. RFC 9562, 5.4.
func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	b[6] = b[6]&0x0F | 0x40
	b[8] = b[8]&0x3F | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// A recorder remembers what was answered, for the logs, and can hold it back.
type recorder struct {
	http.ResponseWriter
	status        int
	call, station string
	id            string
	reason        string
	holding       bool
	held          bytes.Buffer
}

// WriteHeader is http.ResponseWriter's.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	if !r.holding {
		r.ResponseWriter.WriteHeader(status)
	}
}

// Write is http.ResponseWriter's.
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	if r.holding {
		return r.held.Write(b)
	}
	return r.ResponseWriter.Write(b)
}

// because remembers the provider's reason.
func (r *recorder) because(reason string) { r.reason = reason }

// hold keeps what is answered from now on in memory.
func (r *recorder) hold() { r.holding = true }

// drop forgets what is held.
func (r *recorder) drop() {
	r.status, r.reason = 0, ""
	r.held.Reset()
}

// release sends what is held.
func (r *recorder) release() {
	r.holding = false
	r.ResponseWriter.WriteHeader(r.status)
	_, _ = r.ResponseWriter.Write(r.held.Bytes()) // the client may have gone
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// logged writes one line for each answer: call, station, id, status. Neither
// path nor body, which could be personal.
func (s *Server) logged(call string, h func(*recorder, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		rec := &recorder{ResponseWriter: w, call: call}
		ctx, end := s.Spans.Call(r)
		r = r.WithContext(ctx)
		defer func() {
			a := Answer{
				Call: rec.call, Station: rec.station, Submission: rec.id, Status: rec.status, Reason: rec.reason,
				Error: rec.Header().Get("X-Road-Error"), Took: time.Since(start),
			}
			end(a)
			if s.Answered != nil {
				s.Answered(a)
			}
			s.Log.LogAttrs(r.Context(), slog.LevelInfo, "answered",
				slog.String("call", rec.call), slog.String("station", rec.station), slog.String("id", rec.id),
				slog.Int("status", rec.status), slog.String("error", rec.Header().Get("X-Road-Error")),
				slog.Int64("ms", time.Since(start).Milliseconds()),
				slog.String("request_id", rec.Header().Get("X-Road-Request-Id")))
		}()
		h(rec, r)
	}
}
