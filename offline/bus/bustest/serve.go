package bustest

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"time"
)

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func (b *Bus) routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, call Call, serve func(http.ResponseWriter, *http.Request, Fault)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			b.checkRequest(r)
			w.Header().Set("X-Road-Id", r.Header.Get("X-Road-Id"))
			f := b.fault(call)
			if call == Submit {
				b.setPace(w.Header())
			}
			if !before(w, f) {
				serve(w, r, f)
			}
		})
	}
	handle("PUT "+base+"submissions/{id}", Submit, b.submit)
	handle("GET "+base+"submissions/{id}", Status, b.status)
	handle("POST "+base+"lookups/{service}", Lookup, b.lookUp)
	handle("GET "+base+"time", Time, func(w http.ResponseWriter, _ *http.Request, _ Fault) {
		b.mu.Lock()
		at := b.time
		b.mu.Unlock()
		if at.IsZero() {
			at = time.Now()
		}
		reply(w, http.StatusOK, map[string]any{"time": at.UTC(), "unknown": 1})
	})
	handle("GET "+base+"keys", Keys, func(w http.ResponseWriter, _ *http.Request, _ Fault) {
		spki, err := x509.MarshalPKIXPublicKey(b.receipts.Public())
		if err != nil {
			b.t.Errorf("bus: %v", err)
		}
		reply(w, http.StatusOK, map[string]any{"recipient": "age1pqexample", "receipt_key": spki, "instance": Instance, "not_after": time.Now().Add(time.Hour).UTC()})
	})
	handle("POST "+base+"telemetry", Report, b.report)
	handle("GET "+base+"{page}", Fetch, b.page)
	b.est(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		b.t.Errorf("bus: unknown call %s %s", r.Method, r.URL)
		http.NotFound(w, r)
	})
	return mux
}

// checkRequest holds what every message must have. Source: PR-REST 1.0.4, 4.3.
func (b *Bus) checkRequest(r *http.Request) {
	h := r.Header
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.TLS == nil || r.TLS.Version != tls.VersionTLS13 || len(r.TLS.PeerCertificates) == 0 {
		b.t.Errorf("bus: %s: not mutual tls 1.3", r.URL.Path)
	}
	if got := h.Get("X-Road-Client"); got != Client {
		b.t.Errorf("bus: X-Road-Client is %q", got)
	}
	for _, name := range []string{"User-Agent", "Connection", "Accept-Encoding"} {
		if h.Get(name) != "" {
			b.t.Errorf("bus: %s is sent: %q", name, h.Get(name))
		}
	}
	id := h.Get("X-Road-Id")
	if !uuid.MatchString(id) || b.ids[id] {
		b.t.Errorf("bus: X-Road-Id %q is no uuid, or not fresh", id)
	}
	b.ids[id] = true
	if got := h.Get("X-Road-Issue"); got != r.PathValue("id") {
		b.t.Errorf("bus: X-Road-Issue is %q for %q", got, r.PathValue("id"))
	}
	want := map[string]string{http.MethodPut: "application/octet-stream", http.MethodPost: "application/json"}[r.Method]
	if got := h.Get("Content-Type"); got != want {
		b.t.Errorf("bus: %s with Content-Type %q", r.Method, got)
	}
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body) //nolint:errcheck // the client may be gone
}

func cut() { panic(http.ErrAbortHandler) }

// before carries out faults that come before anything is applied.
func before(w http.ResponseWriter, f Fault) bool {
	xroad := func(typ string) {
		w.Header().Set("X-Road-Error", typ)
		reply(w, http.StatusInternalServerError, map[string]string{"type": typ, "message": "scripted", "detail": "1"})
	}
	switch f {
	case Cut:
		cut()
	case Busy, TooMany:
		w.Header().Set("Retry-After", "2")
		reply(w, map[Fault]int{Busy: http.StatusServiceUnavailable, TooMany: http.StatusTooManyRequests}[f], map[string]string{})
	case InFlight:
		reply(w, http.StatusConflict, map[string]string{"type": "in_flight"})
	case Conflict:
		reply(w, http.StatusUnprocessableEntity, map[string]string{"type": "conflict"})
	case Broken:
		http.Error(w, "<html>oops", http.StatusInternalServerError)
	case Redirect:
		w.Header().Set("Location", "https://127.0.0.1:1/elsewhere")
		w.WriteHeader(http.StatusFound)
	case ProviderRefuses:
		reply(w, http.StatusForbidden, map[string]string{"reason": "not_entitled"})
	case DeniedOld:
		xroad("Server.ServerProxy.AccessDenied")
	case DeniedNew:
		xroad("server.serverproxy.access_denied")
	case FailedOld:
		xroad("Server.ServerProxy.ServiceFailed.HttpError")
	case FailedNew:
		xroad("server.serverproxy.network_error")
	case Maintenance:
		xroad("server.clientproxy.maintenance_mode")
	default:
		return false
	}
	return true
}

func (b *Bus) submit(w http.ResponseWriter, r *http.Request, f Fault) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client cut the line
	}
	s, fresh := b.apply(r.PathValue("id"), body)
	b.mu.Lock()
	b.traces[r.PathValue("id")] = r.Header.Get("Traceparent")
	b.mu.Unlock()
	switch f {
	case ApplyAndCut:
		cut()
	case ApplyAndHang:
		<-r.Context().Done()
	case ApplyAndGarble:
		w.Write([]byte(`{"state":"accepted","receipt":`)) //nolint:errcheck
	case ApplyAndMisname:
		w.Header().Set("X-Road-Id", "00000000-0000-4000-8000-000000000000")
		reply(w, http.StatusOK, s)
	case ApplyAndHalve:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, `{"state":`) //nolint:errcheck
	case ApplyAndHTML:
		body, err := json.Marshal(s)
		if err != nil {
			b.t.Error(err)
		}
		w.Header().Set("Content-Type", "text/html")
		w.Write(body) //nolint:errcheck
	case ApplyAndForge:
		reply(w, http.StatusOK, map[string]any{"state": "accepted", "receipt": []byte("forged")})
	default:
		reply(w, map[bool]int{true: http.StatusCreated, false: http.StatusOK}[fresh], s)
	}
}

// apply holds a submission, once, and returns its state.
func (b *Bus) apply(id string, body []byte) (state map[string]any, fresh bool) {
	sum := sha256.Sum256(body)
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.held[id]
	if s == nil {
		s = &submission{sum: sum, state: "accepted", changed: make(chan struct{})}
		s.receipt = b.sign(id, sum)
		b.held[id], fresh = s, true
		b.order = append(b.order, id)
	}
	if s.sum != sum {
		b.t.Errorf("bus: %s came again with another body", id)
	}
	return s.json(), fresh
}

func (s *submission) json() map[string]any {
	m := map[string]any{"state": s.state, "receipt": s.receipt}
	if s.outcome != nil {
		m["outcome"] = s.outcome
	}
	if s.reason != "" {
		m["reason"] = s.reason
	}
	return m
}

func (b *Bus) status(w http.ResponseWriter, r *http.Request, f Fault) {
	seconds, err := strconv.Atoi("0" + r.URL.Query().Get("wait"))
	if err != nil || seconds > 25 {
		b.t.Errorf("bus: wait=%q", r.URL.Query().Get("wait"))
	}
	timer := time.NewTimer(time.Duration(seconds) * time.Second)
	defer timer.Stop()
	for {
		b.mu.Lock()
		s := b.held[r.PathValue("id")]
		if s == nil {
			b.mu.Unlock()
			reply(w, http.StatusNotFound, map[string]string{"type": "not_found"})
			return
		}
		tag, state, changed := fmt.Sprintf(`"%d"`, s.version), s.json(), s.changed
		b.mu.Unlock()
		if f == ApplyAndForge {
			state["receipt"] = []byte("forged")
		}
		w.Header().Set("ETag", tag)
		if r.Header.Get("If-None-Match") != tag {
			reply(w, http.StatusOK, state)
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		case <-timer.C:
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
}

func (b *Bus) lookUp(w http.ResponseWriter, r *http.Request, f Fault) {
	var question any
	if err := json.NewDecoder(r.Body).Decode(&question); err != nil {
		b.t.Errorf("bus: question: %v", err)
	}
	if f == ApplyAndHang {
		<-r.Context().Done()
		return
	}
	b.mu.Lock()
	answer, ok := b.answers[r.PathValue("service")]
	b.mu.Unlock()
	switch {
	case f == ApplyAndGarble:
		w.Write([]byte("<html>")) //nolint:errcheck
	case !ok:
		reply(w, http.StatusNotFound, map[string]string{"type": "unknown_service", "message": "no such look-up"})
	default:
		reply(w, http.StatusOK, answer)
	}
}

func (b *Bus) setPace(h http.Header) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, name := range []string{"X-Kosk-Rate", "X-Kosk-First-Contact"} {
		if b.pace[i] != "" {
			h.Set(name, b.pace[i])
		}
	}
}

func (b *Bus) report(w http.ResponseWriter, r *http.Request, f Fault) {
	body, err := io.ReadAll(r.Body)
	if err != nil || !json.Valid(body) {
		b.t.Errorf("bus: report: %v, %q", err, body)
	}
	b.mu.Lock()
	b.reports = append(b.reports, body)
	b.mu.Unlock()
	if f == ApplyAndHang {
		<-r.Context().Done()
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// page serves what is fetched, with a strong ETag.
func (b *Bus) page(w http.ResponseWriter, r *http.Request, _ Fault) {
	b.mu.Lock()
	body, ok := b.pages[r.PathValue("page")]
	b.mu.Unlock()
	if !ok {
		reply(w, http.StatusNotFound, map[string]string{"type": "not_found"})
		return
	}
	tag := fmt.Sprintf(`"%x"`, sha256.Sum256(body))
	w.Header().Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Write(body) //nolint:errcheck
}
