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

// changes know the last ledger entry about each submission, by station, as far
// back as is listed.
type changes struct {
	there chan struct{} // closed when those are in it that were before the start

	mu      sync.Mutex // guards all below
	filling bool       // they aren't yet
	early   []noted    // what was noted meanwhile; without a station: a decision
	owner   map[string]string
	last    map[string]map[string]uint64 // station -> id -> sequence
	newest  map[string]uint64
	changed map[string]chan struct{} // closed at the station's next change
	noted   []noted                  // the oldest first; none is older than what is listed
}

// noted is when something was noted.
type noted struct {
	station, id string
	seq         uint64
	at          time.Time
}

func newChanges() *changes {
	return &changes{
		there: make(chan struct{}), owner: map[string]string{}, last: map[string]map[string]uint64{}, newest: map[string]uint64{}, changed: map[string]chan struct{}{},
	}
}

// submitted notes a submission of a station, now.
func (c *changes) submitted(station, id string, seq uint64) {
	c.submittedAt(noted{station, id, seq, time.Now()})
}

func (c *changes) submittedAt(n noted) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.filling {
		c.early = append(c.early, n)
		return
	}
	c.take(n)
}

// take notes a submission, or a decision. The caller holds mu.
func (c *changes) take(n noted) {
	if n.station != "" {
		c.owner[n.id] = n.station
	} else if n.station = c.owner[n.id]; n.station == "" {
		return // its submission isn't listed any more
	}
	c.note(n)
}

// fill puts in what was before the start, from one who tells of it in order, and then
// what came meanwhile, which may be the same in part. Nobody is answered before.
func (c *changes) fill(tell func(take func(noted)) error) error {
	err := tell(func(n noted) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.take(n)
	})
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.early {
		c.take(n)
	}
	c.filling, c.early = false, nil
	close(c.there)
	return nil
}

// decided notes that there is a decision about a submission, now.
func (c *changes) decided(id string, seq uint64) { c.decidedAt(id, seq, time.Now()) }

func (c *changes) decidedAt(id string, seq uint64, at time.Time) {
	c.submittedAt(noted{"", id, seq, at})
}

// note adds what is new and forgets what isn't listed any more. The caller holds mu.
func (c *changes) note(n noted) {
	if c.last[n.station] == nil {
		c.last[n.station] = map[string]uint64{}
	}
	c.last[n.station][n.id] = max(c.last[n.station][n.id], n.seq)
	c.newest[n.station] = max(c.newest[n.station], n.seq)
	if ch, ok := c.changed[n.station]; ok {
		close(ch)
		delete(c.changed, n.station)
	}
	c.noted = append(c.noted, n)
	for len(c.noted) > 0 && time.Since(c.noted[0].at) > listedFor {
		c.forget(c.noted[0])
		c.noted = c.noted[1:] // the room goes when the rest is moved
	}
}

// forget drops a submission, unless something about it was noted later. The caller
// holds mu.
func (c *changes) forget(n noted) {
	if c.last[n.station][n.id] != n.seq {
		return
	}
	delete(c.owner, n.id)
	if delete(c.last[n.station], n.id); len(c.last[n.station]) == 0 {
		delete(c.last, n.station)
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
	if !soon(m.req.Context(), s.changes.there) {
		later(m, http.StatusServiceUnavailable, reasonBusy)
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

// fillChanges reads from the ledger whose those are that were there at the start: their
// bodies say it. That takes four times as long as the walk that finds what is to be
// done, so nothing else waits for it.
func (s *Server) fillChanges(ctx context.Context) {
	begin, done := time.Now(), uint64(0)
	pause := time.NewTimer(0)
	defer pause.Stop()
	for rest := firstRest; ; rest = min(2*rest, longestRest) {
		err := s.changes.fill(func(take func(noted)) error {
			return s.Ledger.Each(ctx, done, func(e ledger.Entry) error {
				n, ok, err := s.changeOf(ctx, e)
				if ok && err == nil {
					take(n)
				}
				if err == nil {
					done = e.Seq
				}
				return err
			})
		})
		switch {
		case err == nil:
			s.Log.Info("submissions listed", "ms", time.Since(begin).Milliseconds())
			return
		case ctx.Err() != nil:
			return
		case !errors.Is(err, ledger.ErrUnavailable):
			s.fail(err)
			return
		}
		s.Log.Error("ledger failed", "err", err)
		pause.Reset(rest)
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
	}
}

// changeOf is what an entry says of a submission, unless it is older than what is
// listed.
func (s *Server) changeOf(ctx context.Context, e ledger.Entry) (n noted, ok bool, err error) {
	if time.Since(e.At) > listedFor {
		return n, false, nil
	}
	if id, ok := strings.CutPrefix(e.Key, outcomePrefix); ok {
		return noted{"", id, e.Seq, e.At}, true, nil
	}
	id, ok := strings.CutPrefix(e.Key, submissionPrefix)
	if _, err := request.ParseID(id); !ok || err != nil {
		return n, false, nil
	}
	_, body, err := s.Ledger.Get(ctx, e.Key)
	if err != nil {
		return n, false, err
	}
	station, _, err := unpackSubmission(body)
	if err != nil {
		return n, false, errors.Join(err, ledger.ErrDamaged)
	}
	return noted{station, id, e.Seq, e.At}, true, nil
}
