package server

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"kosk/cmd/bus/agency"
	"kosk/cmd/bus/ledger"
	"kosk/device/request"
)

// Figures of the status of many.
const (
	listedFor = 30 * 24 * time.Hour // how far back it goes; older ones are asked for by id
	pageSize  = 100
)

// changes know the last ledger entry about each submission, by station.
type changes struct {
	mu      sync.Mutex // guards all below
	owner   map[string]string
	last    map[string]map[string]uint64 // station -> id -> sequence
	newest  map[string]uint64
	changed map[string]chan struct{} // closed at the station's next change
}

func newChanges() *changes {
	return &changes{
		owner: map[string]string{}, last: map[string]map[string]uint64{}, newest: map[string]uint64{}, changed: map[string]chan struct{}{},
	}
}

// submitted notes a submission of a station.
func (c *changes) submitted(station, id string, seq uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owner[id] = station
	c.note(station, id, seq)
}

// decided notes that there is a decision about a submission.
func (c *changes) decided(id string, seq uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if station, ok := c.owner[id]; ok {
		c.note(station, id, seq)
	}
}

func (c *changes) note(station, id string, seq uint64) {
	if c.last[station] == nil {
		c.last[station] = map[string]uint64{}
	}
	c.last[station][id] = max(c.last[station][id], seq)
	c.newest[station] = max(c.newest[station], seq)
	if ch, ok := c.changed[station]; ok {
		close(ch)
		delete(c.changed, station)
	}
}

// A change is a line of the status of many.
type change struct {
	ID     string `json:"id"`
	Seq    uint64 `json:"seq"` // of the ledger's last entry about it
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
}

// after lists what changed after a sequence number, in order, at most a page;
// changed is closed at the next change.
func (c *changes) after(station string, seq uint64) (page []change, newest uint64, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, at := range c.last[station] {
		if at > seq {
			page = append(page, change{ID: id, Seq: at})
		}
	}
	if c.changed[station] == nil {
		c.changed[station] = make(chan struct{})
	}
	slices.SortFunc(page, func(a, b change) int { return cmp.Compare(a.Seq, b.Seq) })
	return page, c.newest[station], c.changed[station]
}

type changeList struct {
	Submissions []change `json:"submissions"`
	Next        uint64   `json:"next"` // to be asked since, the next time
	More        bool     `json:"more"` // there are more now
}

// list tells a station which of its submissions changed since a sequence number.
// Its ETag names the station's newest change: with If-None-Match, or when nothing
// has changed since, it waits for the next one, as long as wait says.
func (s *Server) list(m *message, _ string) {
	if s.disturbed(m, serviceCode, faultSlow, faultDown) {
		return
	}
	query := m.req.URL.Query()
	wait, ok := waitOf(query.Get("wait"))
	since, err := parseSeq(query.Get("since"))
	if !ok || err != nil {
		writeReason(m, http.StatusBadRequest, agency.ReasonBadQuestion)
		return
	}
	page, newest, changed := s.changes.after(m.station, since)
	tag := m.req.Header.Get("If-None-Match")
	if wait > 0 && (len(page) == 0 || tag == seqTag(newest)) {
		ctx, cancel := context.WithTimeout(m.req.Context(), wait)
		defer cancel()
		select {
		case <-ctx.Done():
		case <-changed:
			page, newest, _ = s.changes.after(m.station, since)
		}
	}
	m.Header().Set("ETag", seqTag(newest))
	if tag == seqTag(newest) {
		m.WriteHeader(http.StatusNotModified)
		return
	}
	s.writeChanges(m, page, since)
}

func (s *Server) writeChanges(m *message, page []change, since uint64) {
	answer := changeList{Submissions: page[:min(len(page), pageSize)], Next: since, More: len(page) > pageSize}
	if answer.Submissions == nil {
		answer.Submissions = []change{}
	}
	for i := range answer.Submissions {
		c := &answer.Submissions[i]
		st, err := s.standing(m.req.Context(), c.ID)
		if err != nil {
			s.ledgerFailed(m, err)
			return
		}
		c.State, c.Reason = st.State, st.Reason
		answer.Next = c.Seq
	}
	writeJSON(m, http.StatusOK, answer)
}

func seqTag(seq uint64) string { return `"` + strconv.FormatUint(seq, 10) + `"` }

func parseSeq(text string) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	return strconv.ParseUint(text, 10, 64)
}

// replayChange notes an entry that was in the ledger at the start, unless it is
// older than what is listed.
func (s *Server) replayChange(ctx context.Context, e ledger.Entry) error {
	if time.Since(e.At) > listedFor {
		return nil
	}
	if id, ok := strings.CutPrefix(e.Key, outcomePrefix); ok {
		s.changes.decided(id, e.Seq)
		return nil
	}
	id, ok := strings.CutPrefix(e.Key, submissionPrefix)
	if _, err := request.ParseID(id); !ok || err != nil {
		return nil
	}
	_, body, err := s.Ledger.Get(ctx, e.Key)
	if err != nil {
		return err
	}
	station, _, err := unpackSubmission(body)
	if err != nil {
		return errors.Join(err, ledger.ErrDamaged)
	}
	s.changes.submitted(station, id, e.Seq)
	return nil
}
