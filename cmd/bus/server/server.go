// Package server is the reference bus towards its kiosks: X-Road REST
// (PR-REST 1.0.4) over mutual TLS 1.3, enrolment by EST (RFC 7030), and a unix
// socket for the operator's commands.
//
// What was accepted and what took effect stands in the ledger alone; the
// server can be killed at any moment. Who may call what is registry's, which
// messages there were is msglog's. Start at New and Run.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"kosk/cmd/bus/agency"
	"kosk/cmd/bus/ledger"
	"kosk/cmd/bus/msglog"
	"kosk/cmd/bus/registry"
	"kosk/cmd/bus/stats"
)

// Config is what a server is made of.
type Config struct {
	Registry *registry.Registry
	Ledger   ledger.Ledger
	Log      *slog.Logger // gets nothing personal
	Host     string       // one more name or address for the server's certificate; may be empty
	Provider Provider
	Dialect  Dialect // of X-Road-Error

	Rate       float64        // submissions a second that are admitted; 0: all
	DurableLog bool           // an entry of the message log is synced before its answer leaves
	Stamper    msglog.Stamper // of the message log's heads; may be nil
	Told       func(Telling)  // gets every report of a station; must be quick; may be nil
	Answered   func(Answer)   // gets how every call ended; must be quick; may be nil
	Spans      Spans          // follow calls and steps; may be nil

	Approvals *agency.Approvals // the simulated provider of phones; may be nil
}

// A Provider is the subsystem that the kiosks' service belongs to.
type Provider struct{ Instance, Class, Member, Subsystem string }

// member is the X-Road identifier of the member.
func (p Provider) member() string { return p.Instance + "/" + p.Class + "/" + p.Member }

// A Server is a running bus.
type Server struct {
	Config
	agencies *agency.Agencies
	faults   *faults
	work     *work
	since    time.Time

	honest, stranger tls.Certificate

	messages *msglog.Log
	stats    *stats.Book
	accesses *accesses
	changes  *changes
	pace     *pace
	tellings *tellings
	shelf    *shelf
	facts    registry.Facts
	secrets  struct{ digest, person []byte }
	stations atomic.Int64 // registered, as last counted

	submitting chan struct{} // one token for each submission at work
	accepted   atomic.Int64
	duplicates atomic.Int64
	lookups    atomic.Int64
	refused    atomic.Int64
	effects    atomic.Int64
	entry      atomic.Uint64 // the last of the message log

	failed chan error // the ledger's ErrUnknown: the process must end

	mu       sync.Mutex           // guards all below
	lastSeen map[string]time.Time // stations
	inFlight map[string]bool
	conns    map[net.Conn]struct{}
}

// Limits and deadlines of the listener.
const (
	maxSubmitting = 256
	maxQuestion   = 64 << 10
	longestWait   = 25 * time.Second
	headerTimeout = 10 * time.Second
	readTimeout   = 60 * time.Second
	writeTimeout  = 120 * time.Second // longer than the longest wait
	idleTimeout   = 120 * time.Second
	goodbye       = 2 * time.Second
)

// New makes a server. It reads the ledger for what is still to be done.
func New(ctx context.Context, c Config) (*Server, error) {
	s := &Server{
		Config: c, faults: newFaults(), since: time.Now().UTC(),
		submitting: make(chan struct{}, maxSubmitting), failed: make(chan error, 1),
		inFlight: map[string]bool{}, conns: map[net.Conn]struct{}{}, lastSeen: map[string]time.Time{},
		accesses: newAccesses(), changes: newChanges(), pace: newPace(c.Rate),
		shelf: &shelf{dir: c.Registry.Dir(), key: c.Registry.Keys().Receipt},
	}
	s.changes.filling = true // until Run has been through the ledger
	if s.Spans == nil {
		s.Spans = noSpans{}
	}
	s.agencies = agency.New(s.signCertificate)
	var err error
	if s.honest, err = c.Registry.Keys().Server(s.since, c.Host); err != nil {
		return nil, fmt.Errorf("new server: %w", err)
	}
	if s.stranger, err = registry.Stranger(s.since, c.Host); err != nil {
		return nil, fmt.Errorf("new server: %w", err)
	}
	if err := s.openFiles(); err != nil {
		return nil, fmt.Errorf("new server: %w", err)
	}
	s.work = newWork()
	if err := s.replay(ctx); err != nil {
		return nil, fmt.Errorf("new server: %w", err)
	}
	return s, nil
}

// Run serves kiosks on one listener and the operator's commands on the other
// (see ListenControl) until ctx ends or the ledger fails. It closes both.
func (s *Server) Run(ctx context.Context, kiosks, control net.Listener) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	intake := s.httpServer(ctx, s.handler())
	intake.TLSConfig = s.tlsConfig()
	intake.ConnState = s.track
	commands := s.httpServer(ctx, s.control())
	commands.ConnContext = withCarrier

	var all, keeping sync.WaitGroup
	keep, stopKeeping := context.WithCancel(context.WithoutCancel(ctx))
	defer stopKeeping()
	keeping.Go(func() { s.keepFiles(keep) })
	all.Go(func() { cancel(intake.ServeTLS(kiosks, "", "")) })
	all.Go(func() { cancel(commands.Serve(control)) })
	all.Go(func() { s.runWork(ctx) })
	all.Go(func() { s.readPast(ctx) })
	all.Go(func() { s.fillChanges(ctx) })
	var failed error
	select {
	case <-ctx.Done():
	case failed = <-s.failed:
		cancel(failed)
	}
	// Every request's context comes from ctx: long polls end by themselves.
	end, done := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer done()
	for _, h := range []*http.Server{intake, commands} {
		if h.Shutdown(end) != nil {
			_ = h.Close() // somebody didn't want to end in time
		}
	}
	all.Wait()
	stopKeeping() // the last answers are in the log
	keeping.Wait()
	if failed == nil {
		select {
		case failed = <-s.failed: // it failed while it was ending
		default:
		}
	}
	cause := context.Cause(ctx)
	if failed != nil || errors.Is(cause, context.Canceled) || errors.Is(cause, http.ErrServerClosed) {
		cause = failed
	}
	if err := errors.Join(cause, s.stats.Save(s.messages.Sync), s.messages.Close()); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

func (s *Server) httpServer(ctx context.Context, h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		ErrorLog:    slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
}

// tlsConfig asks for a client's certificate and leaves it to the handlers
// whether it may be missing: EST needs none. HTTP/1.1 only, as security
// servers speak it.
func (s *Server) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"http/1.1"},
		ClientAuth: tls.VerifyClientCertIfGiven,
		ClientCAs:  s.Registry.Keys().Pool(),
		// Every connection shows its certificate anew, so that a fault or a
		// removed station has its effect at once.
		SessionTicketsDisabled: true,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if _, ok := s.faults.take(FaultWrongCertificate, ""); ok {
				return &s.stranger, nil
			}
			return &s.honest, nil
		},
	}
}

// track knows the open connections, for hangUp.
func (s *Server) track(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state {
	case http.StateNew:
		s.conns[c] = struct{}{}
	case http.StateClosed, http.StateHijacked:
		delete(s.conns, c)
	}
}

// hangUp closes every connection: who talks to us next sees our certificate.
func (s *Server) hangUp() {
	s.mu.Lock()
	conns := make([]net.Conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
}

// handler routes by the first part of the path.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/est/cacerts", s.logged("est.cacerts", s.caCerts))
	mux.HandleFunc("POST /.well-known/est/simpleenroll", s.logged("est.simpleenroll", s.simpleEnroll))
	mux.HandleFunc("POST /.well-known/est/simplereenroll", s.logged("est.simplereenroll", s.simpleReenroll))
	mux.HandleFunc("GET /listClients", s.logged("listClients", s.listClients))
	mux.HandleFunc("/r1/", s.logged("", s.message))
	return mux
}
