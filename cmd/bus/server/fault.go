package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"kosk/cmd/bus/agency"
	"kosk/device/request"
)

// The scripted faults. They act on what the operator names: "intake" (the
// submissions), a look-up service, or the service of requests at its agency.
// A fault without a service acts on everything.
const (
	faultLostAnswer       = "lost-answer"       // applies, then the connection breaks
	faultDown             = "down"              // nobody answers behind the bus
	faultSlow             = "slow"              // the answer takes its time
	faultWrongSchema      = "wrong-schema"      // applies, answers with JSON of another shape
	faultRefuse           = "refuse"            // says no
	faultStale            = "stale"             // answers with what was true before
	faultDuplicate        = "duplicate"         // does it twice, as if it had been delivered twice
	faultClockSkew        = "clock-skew"        // the bus's clock is wrong, in v1/time and Date
	FaultWrongCertificate = "wrong-certificate" // the listener shows a stranger's certificate
)

// Faults are the names of all.
func Faults() []string {
	return []string{faultLostAnswer, faultDown, faultSlow, faultWrongSchema, faultRefuse, faultStale, faultDuplicate, faultClockSkew, FaultWrongCertificate}
}

// A Fault is one that is set.
type Fault struct {
	Name    string        `json:"name"`
	Service string        `json:"service,omitempty"`
	Times   int           `json:"times,omitempty"` // how often still; 0: until it is cleared
	Delay   time.Duration `json:"delay,omitempty"` // of slow, before lost-answer breaks, how old stale is, how far ahead the clock; nanoseconds
}

// slowDelay is how long "slow" takes when no delay is given.
const slowDelay = 3 * time.Second

// How old stale answers are and how far the clock is ahead, when no delay is given.
const (
	staleAge  = 90 * 24 * time.Hour
	clockSkew = 10 * time.Minute
)

// faults are those that are set, the oldest first.
type faults struct {
	mu      sync.Mutex // guards both below
	set     []Fault
	changed chan struct{} // closed at the next change
}

func newFaults() *faults { return &faults{changed: make(chan struct{})} }

func (f *faults) add(fault Fault) error {
	if !slices.Contains(Faults(), fault.Name) {
		return fmt.Errorf("no fault is called %q", fault.Name)
	}
	if fault.Times < 0 || fault.Delay < 0 && fault.Name != faultClockSkew {
		return fmt.Errorf("times and delay can't be negative")
	}
	if fault.Name == faultSlow && fault.Delay == 0 {
		fault.Delay = slowDelay
	}
	if fault.Name == faultStale && fault.Delay == 0 {
		fault.Delay = staleAge
	}
	if fault.Name == faultClockSkew && fault.Delay == 0 {
		fault.Delay = clockSkew
	}
	if fault.Name == FaultWrongCertificate || fault.Name == faultClockSkew {
		fault.Service = "" // the bus has one certificate and one clock for all
	}
	f.alter(func() { f.set = append(f.set, fault) })
	return nil
}

// addFault sets a fault of a service that there is: another one's would never act,
// and whoever waits for it would wonder.
func (s *Server) addFault(f Fault) error {
	known := []string{"", serviceCode, LookupAccessLog}
	for _, svc := range s.offered().Services {
		id, _ := svc["id"].(string)
		known = append(known, id)
	}
	if !slices.Contains(known, f.Service) && !agency.Answers(f.Service) {
		return fmt.Errorf("no service is called %q here", f.Service)
	}
	return s.faults.add(f)
}

func (f *faults) clear() { f.alter(func() { f.set = nil }) }

// change is closed at the next change.
func (f *faults) change() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

func (f *faults) alter(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *faults) list() []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Fault{}, f.set...) // [] in JSON, not null
}

// has says whether a fault fits, and uses up nothing.
func (f *faults) has(name, service string) bool {
	return slices.ContainsFunc(f.list(), func(fault Fault) bool { return fault.fits(name, service) })
}

func (f Fault) fits(name, service string) bool {
	return f.Name == name && (f.Service == "" || f.Service == service)
}

// take uses up one turn of the first fault that fits.
func (f *faults) take(name, service string) (Fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.set {
		fault := f.set[i]
		if !fault.fits(name, service) {
			continue
		}
		if fault.Times == 1 {
			f.set = slices.Delete(f.set, i, i+1)
		} else if fault.Times > 1 {
			f.set[i].Times--
		}
		return fault, true
	}
	return Fault{}, false
}

// disturbed lets the named faults act on a call, in their order. true says
// that the call has been answered, or never will be.
func (s *Server) disturbed(m *message, service string, names ...string) bool {
	for _, name := range names {
		fault, ok := s.faults.take(name, service)
		if !ok {
			continue
		}
		s.Log.Info("fault acts", "fault", name, "service", service, "id", m.id)
		switch name {
		case faultSlow:
			if pause(m.req.Context(), fault.Delay) != nil {
				panic(http.ErrAbortHandler) // the client has gone, or we are going
			}
			continue
		case faultDown:
			typ := errServiceFailed
			if service == serviceCode {
				typ = errNetwork
			}
			s.xroadError(m, http.StatusInternalServerError, typ, "service does not answer")
		case faultRefuse:
			s.xroadError(m, http.StatusInternalServerError, errAccessDenied, "request is not allowed")
		case faultWrongSchema:
			writeJSON(m, http.StatusOK, []string{"unexpected"})
		case faultLostAnswer:
			_ = pause(m.req.Context(), fault.Delay)
			panic(http.ErrAbortHandler) // breaks the connection, see net/http
		}
		return true
	}
	return false
}

// now is the bus's clock as it tells it, which a fault may have set wrong. What the
// bus writes down itself never follows the fault.
func (s *Server) now() time.Time {
	now := time.Now()
	if f, ok := s.faults.take(faultClockSkew, ""); ok {
		s.Log.Info("fault acts", "fault", faultClockSkew)
		return now.Add(f.Delay)
	}
	return now
}

// asOf is of when an agency's data are: now, unless they are stale.
func (s *Server) asOf(service string) time.Time {
	now := time.Now()
	if f, ok := s.faults.take(faultStale, service); ok {
		s.Log.Info("fault acts", "fault", faultStale, "service", service)
		return now.Add(-f.Delay)
	}
	return now
}

// goneStale answers a question about a submission as if nothing had come of it yet,
// when that fault is set.
func (s *Server) goneStale(m *message, id request.ID) bool {
	if !s.faults.has(faultStale, serviceCode) {
		return false
	}
	e, body, err := s.Ledger.Get(m.req.Context(), submissionKey(m.id))
	if err != nil {
		return false
	}
	station, sealed, err := unpackSubmission(body)
	if err != nil || station != m.station {
		return false
	}
	receipt, err := s.receipt(id, e, sealed)
	if _, ok := s.faults.take(faultStale, serviceCode); err != nil || !ok {
		return false
	}
	s.Log.Info("fault acts", "fault", faultStale, "service", serviceCode, "id", m.id)
	st := standing{State: stateAccepted, Receipt: receipt}
	m.Header().Set("ETag", st.tag())
	writeJSON(m, http.StatusOK, st)
	return true
}

// atAgency lets faults act on an agency's work on a request: slow delays it, once,
// down holds it until the fault is cleared, refuse makes it say no.
func (f *faults) atAgency(service string, slowed bool) (w wait, refuse bool) {
	if !slowed {
		if fault, ok := f.take(faultSlow, service); ok && fault.Delay > 0 {
			return wait{rest: fault.Delay}, false
		}
	}
	if f.has(faultDown, service) {
		return wait{agency: service}, false
	}
	_, refuse = f.take(faultRefuse, service)
	return wait{}, refuse
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
