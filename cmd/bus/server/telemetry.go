package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"kosk/cmd/bus/registry"
	"kosk/device/health"
	"kosk/device/keep"
)

// reasonBadReport says that a report can't be taken.
const reasonBadReport = "bad_report"

// Limits of a report.
const (
	maxParts  = 64
	maxFaults = 256
	maxSpans  = 1024
	maxText   = 256
)

// A Telling is the last report of a station.
type Telling struct {
	Station    string        `json:"station"`
	ReceivedAt time.Time     `json:"received_at"` // by the bus's clock
	Report     health.Report `json:"report"`
}

// tellings keep the last report of each station, in memory and as a file each. A
// power cut may take the newest: the next comes within minutes.
type tellings struct {
	dir string

	mu   sync.Mutex // guards last
	last map[string]Telling
}

func openTellings(dir string) (*tellings, error) {
	t := &tellings{dir: dir, last: map[string]Telling{}}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open telemetry: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open telemetry: %w", err)
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || !registry.Name.MatchString(name) {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("open telemetry: %w", err)
		}
		var one Telling
		if json.Unmarshal(b, &one) == nil && one.Station == name { // else it was cut off: another will come
			t.last[name] = one
		}
	}
	return t, nil
}

func (t *tellings) keep(one Telling) error {
	b, err := json.Marshal(one)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last[one.Station] = one
	return keep.Passing(filepath.Join(t.dir, one.Station+".json"), b)
}

// Tellings are the last reports of all stations that have told of themselves and
// are still registered.
func (s *Server) Tellings() []Telling {
	s.tellings.mu.Lock()
	defer s.tellings.mu.Unlock()
	all := make([]Telling, 0, len(s.tellings.last))
	for name, t := range s.tellings.last {
		if st, err := s.Registry.Station(name); err == nil && st.Removed.IsZero() {
			all = append(all, t)
		}
	}
	return all
}

// LastSeen is when a station last sent a message since the bus started; zero
// when it hasn't.
func (s *Server) LastSeen(station string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastSeen[station]
}

// telemetry takes a report.
func (s *Server) telemetry(m *message, _ string) {
	r, reason := readReport(m.body)
	if reason != "" {
		writeReason(m, http.StatusBadRequest, reason)
		return
	}
	one := Telling{Station: m.station, ReceivedAt: time.Now().UTC(), Report: r}
	if err := s.tellings.keep(one); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.Log.Error("telemetry not kept", "err", err)
	}
	if s.Told != nil {
		s.Told(one)
	}
	writeJSON(m, http.StatusOK, map[string]time.Time{"received_at": one.ReceivedAt})
}

// readReport reads a report, or says why not. Unknown fields are ignored.
func readReport(body []byte) (health.Report, string) {
	var v struct{ Version int }
	if len(body) > maxQuestion*4 || json.Unmarshal(body, &v) != nil {
		return health.Report{}, reasonBadReport
	}
	if v.Version != health.Version {
		return health.Report{}, reasonUnknownVersion
	}
	var r health.Report
	if json.Unmarshal(body, &r) != nil || !plausible(r) {
		return health.Report{}, reasonBadReport
	}
	return r, ""
}

// plausible bounds what a report may hold: it is shown to operators and kept.
func plausible(r health.Report) bool {
	ok := !r.At.IsZero() && r.Boot != "" && r.Seq > 0 && r.Uptime >= 0 &&
		r.Queue.Depth >= 0 && r.Queue.Bytes >= 0 && r.Queue.Bound >= 0 && r.Queue.Parked >= 0 &&
		r.Queue.Delivered >= 0 && r.Queue.Duplicates >= 0 && r.Queue.CommitP50MS >= 0 && r.Queue.CommitP99MS >= 0 && r.Paper.LeftMM >= 0 && r.Paper.EmptyInS >= 0 &&
		len(r.Parts) <= maxParts && len(r.Faults) <= maxFaults && len(r.Spans) <= maxSpans && len(r.Queue.OldestS) <= maxParts
	texts := []string{r.Boot, r.Firmware, r.Catalogue, r.Key, r.Queue.Key, r.Paper.State}
	for _, p := range r.Parts {
		texts = append(texts, p.Name, p.State, p.Cause)
		ok = ok && p.Name != "" && p.State != ""
	}
	for _, f := range r.Faults {
		texts = append(texts, f.Kind)
		ok = ok && f.Kind != "" && f.Count > 0
	}
	for _, sp := range r.Spans {
		texts = append(texts, sp.Name, sp.Error)
		ok = ok && isHex(sp.Trace, 32) && isHex(sp.ID, 16) && (sp.Parent == "" || isHex(sp.Parent, 16)) && !sp.End.Before(sp.Start)
	}
	for class, age := range r.Queue.OldestS {
		texts = append(texts, class)
		ok = ok && age >= 0
	}
	for _, t := range texts {
		ok = ok && len(t) <= maxText
	}
	return ok
}

// isHex says whether s is n lower-case hexadecimal digits. W3C Trace Context, 3.2.
func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
}
