package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"slices"
	"syscall"
	"time"

	"kosk/cmd/bus/registry"
)

// ErrNotServing says that no bus listens on the socket.
var ErrNotServing = errors.New("bus is not serving")

// Status is what the bus tells its operator: counters, nothing personal.
type Status struct {
	Since      time.Time  `json:"since"`      // of this process
	Accepted   int64      `json:"accepted"`   // submissions in the ledger
	Effects    int64      `json:"effects"`    // decisions in the ledger, at most one for each
	Duplicates int64      `json:"duplicates"` // submissions answered again, since then
	Refused    int64      `json:"refused"`    // envelopes not accepted, since then
	Lookups    int64      `json:"lookups"`    // since then
	Stations   int        `json:"stations"`   // registered, and not shut out
	Faults     []Fault    `json:"faults"`
	Evidence   TrustState `json:"evidence"` // whether chips are checked, and against what
	Catalogue  Published  `json:"catalogue"`
}

// Published is the catalogue that kiosks get.
type Published struct {
	Version   uint64 `json:"version"`
	Catalogue string `json:"catalogue_version"`
	Error     string `json:"error,omitempty"` // why it isn't the one that lies there
}

func (s *Server) published() Published {
	now := s.offered()
	p := Published{Version: now.Version, Catalogue: now.Catalogue}
	if _, _, err := s.shelf.current(); err != nil {
		p.Error = err.Error()
	}
	return p
}

// Status is how the bus stands now.
func (s *Server) Status() (Status, error) {
	stations, err := s.Registry.Stations()
	if err != nil {
		return Status{}, err
	}
	stations = slices.DeleteFunc(stations, func(st registry.Station) bool { return !st.Removed.IsZero() })
	return Status{
		Since: s.since, Accepted: s.accepted.Load(), Effects: s.effects.Load(), Duplicates: s.duplicates.Load(),
		Refused: s.refused.Load(), Lookups: s.lookups.Load(), Stations: len(stations), Faults: s.faults.list(),
		Evidence: s.trustState(), Catalogue: s.published(),
	}, nil
}

// control answers the operator's commands. Who may open the socket may do all.
func (s *Server) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		st, err := s.Status()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		writeJSON(w, http.StatusOK, st)
	})
	mux.HandleFunc("POST /faults", func(w http.ResponseWriter, r *http.Request) {
		var f Fault
		err := json.NewDecoder(io.LimitReader(r.Body, maxQuestion)).Decode(&f)
		if err == nil {
			err = s.addFault(f)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.Log.Info("fault set", "fault", f.Name, "service", f.Service, "times", f.Times)
		if f.Name == FaultWrongCertificate {
			s.hangUp()
		}
		writeJSON(w, http.StatusOK, s.faults.list())
	})
	mux.HandleFunc("POST /import/{id}", s.logged(callCarry, s.carry))
	mux.HandleFunc("DELETE /faults", func(w http.ResponseWriter, _ *http.Request) {
		s.ClearFaults()
		writeJSON(w, http.StatusOK, s.faults.list())
	})
	if s.Approvals != nil {
		mux.Handle("POST /phone", s.Approvals)
	}
	return mux
}

// ListenControl listens on a socket for this user alone. The caller holds the
// ledger, so a socket that is there already was left by a bus that is gone.
func ListenControl(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listen: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// A Control sends commands to a bus that is serving on this machine.
type Control struct{ Socket string }

// Status asks for the counters.
func (c Control) Status(ctx context.Context) (Status, error) {
	var st Status
	err := c.do(ctx, http.MethodGet, "/status", nil, &st)
	return st, err
}

// SetFault sets a fault and returns all that are set.
func (c Control) SetFault(ctx context.Context, f Fault) ([]Fault, error) {
	var all []Fault
	err := c.do(ctx, http.MethodPost, "/faults", f, &all)
	return all, err
}

// ClearFaults clears all faults.
func (c Control) ClearFaults(ctx context.Context) error {
	var all []Fault
	return c.do(ctx, http.MethodDelete, "/faults", nil, &all)
}

func (c Control) do(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://bus"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := c.send(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxQuestion))
		return fmt.Errorf("bus says: %s", bytes.TrimSpace(text))
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// send asks the bus. Errors: ErrNotServing.
func (c Control) send(req *http.Request) (*http.Response, error) {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", c.Socket)
	}
	client := http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotServing
	}
	if err != nil {
		return nil, fmt.Errorf("ask bus: %w", err)
	}
	return resp, nil
}
