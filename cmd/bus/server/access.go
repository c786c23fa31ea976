package server

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"kosk/cmd/bus/agency"
	"kosk/cmd/bus/msglog"
	"kosk/device/request"
)

// LookupAccessLog answers who looked at the data of a person.
const LookupAccessLog = "access.log.by_fin"

// maxAccesses is how many accesses an answer names, the newest ones.
const maxAccesses = 100

// An access is one look at somebody's data.
type access struct {
	At      time.Time `json:"at"`
	Client  string    `json:"client"`  // the station, as an X-Road identifier
	Call    string    `json:"call"`    // "submit", or "lookup" and its service
	Service string    `json:"service"` // what they were asked for
	Done    bool      `json:"done"`    // an answer with data went out
}

// accesses are by the keyed hash of whose data it is. They are read from the
// message log, which is where they are kept.
type accesses struct {
	there chan struct{} // closed when those are in it that were before the start

	mu  sync.Mutex // guards all
	all map[string]looks
}

func newAccesses() *accesses { return &accesses{there: make(chan struct{}), all: map[string]looks{}} }

// looks are those at one person's data.
type looks struct {
	n      int      // how many there are
	newest []access // at least maxAccesses of them, if there are so many, and at most twice that; the newest last
}

func (a *accesses) add(e msglog.Entry) {
	if e.Person == "" {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all[e.Person] = a.all[e.Person].and(access{
		At: e.At, Client: e.Client, Call: e.Call, Service: e.Purpose, Done: e.Status >= 200 && e.Status < 300,
	})
}

// and is l with one more.
func (l looks) and(one access) looks {
	if l.n++; len(l.newest) >= 2*maxAccesses {
		l.newest = append([]access{}, l.newest[len(l.newest)-maxAccesses+1:]...)
	}
	l.newest = append(l.newest, one)
	return l
}

// precede puts those before all that are there, once. Nobody else has them.
func (a *accesses) precede(past *accesses) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for person, since := range a.all {
		l := past.all[person]
		n := l.n + since.n
		for _, one := range since.newest {
			l = l.and(one)
		}
		l.n = n // of many, not all are named
		past.all[person] = l
	}
	a.all = past.all
	close(a.there)
}

// readPast reads what the start has left unread of the message log: who looked at
// whose data before. It also proves it: a log that turns out damaged ends the bus, and
// the next start.
func (s *Server) readPast(ctx context.Context) {
	past, begin := newAccesses(), time.Now()
	switch err := s.messages.Past(ctx, past.add); {
	case err == nil:
		s.accesses.precede(past)
		s.Log.Info("message log read to its beginning", "ms", time.Since(begin).Milliseconds())
	case ctx.Err() == nil:
		s.Log.Error("message log failed", "err", err)
		s.fail(err)
	}
}

// patience is how long a question waits for what was before the start; the station
// waits no longer for any look-up.
const patience = 3 * time.Second

// soon waits until it is there, with patience.
func soon(ctx context.Context, there <-chan struct{}) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-there:
		return true
	case <-ctx.Done():
		return false
	}
}

// of lists the newest accesses of a person, the newest first, and how many there are.
func (a *accesses) of(person string) (newest []access, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.all[person]
	newest = []access{}
	for i := len(l.newest) - 1; i >= 0 && len(newest) < maxAccesses; i-- {
		newest = append(newest, l.newest[i])
	}
	return newest, l.n
}

// keyed is the name of a text in the log: nobody without the secret can tell
// whether it stands for one they know.
func keyed(secret, text []byte) string {
	h := hmac.New(sha256.New, secret)
	h.Write(text)
	return hex.EncodeToString(h.Sum(nil))
}

// person is the keyed hash of a FIN, shorter, since it is stored with every access.
func (s *Server) person(fin string) string {
	if fin == "" {
		return ""
	}
	return keyed(s.secrets.person, []byte(strings.ToUpper(fin)))[:32]
}

// about reads whose data a question is about.
func (s *Server) about(question []byte) string {
	var q struct {
		FIN string `json:"fin"`
	}
	if json.Unmarshal(question, &q) != nil || !agency.ValidFIN(q.FIN) {
		return ""
	}
	return s.person(q.FIN)
}

type accessAnswer struct {
	Data     []request.Datum `json:"data"` // how many there are
	Register string          `json:"register"`
	AsOf     time.Time       `json:"as_of"`
	Accesses []access        `json:"accesses"` // the newest first, a hundred at most
}

// accessLog answers LookupAccessLog. That it was asked is an access as well.
func (s *Server) accessLog(m *message) {
	var q struct {
		FIN string `json:"fin"`
	}
	if json.Unmarshal(m.body, &q) != nil {
		writeReason(m, http.StatusBadRequest, agency.ReasonBadQuestion)
		return
	}
	if !agency.ValidFIN(q.FIN) {
		writeReason(m, http.StatusBadRequest, agency.ReasonBadFIN)
		return
	}
	if !soon(m.req.Context(), s.accesses.there) { // half of the truth is none
		later(m, http.StatusServiceUnavailable, reasonBusy)
		return
	}
	newest, n := s.accesses.of(s.person(q.FIN))
	writeJSON(m, http.StatusOK, accessAnswer{
		Data:     []request.Datum{{ID: "count", Value: strconv.Itoa(n)}},
		Register: "access_log", AsOf: time.Now().UTC().Truncate(time.Second), Accesses: newest,
	})
}
