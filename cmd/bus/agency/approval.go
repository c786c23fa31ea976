package agency

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"kosk/device/identity"
	"kosk/device/request"
)

// The simulated provider stands for SİMA, ASAN İmza and the portal's code and
// password. It is no fake of their protocols, which aren't public: it keeps the
// promises that the kiosk's side relies on. The rules are:
//
//   - A statement is signed only when it is one, of the use asked for, and names
//     the station that asks: nobody gets signatures for another station.
//   - A phone signs after its owner said yes, once; the approval lapses after two
//     minutes. Only the station that opened it can ask how it stands.
//   - A person has one approval open at a time: a new one ends the one before, so
//     that a phone never shows two.
//   - A station has a few approvals open at a time: it serves one citizen, and may
//     not take the room of the others.
//   - Five wrong passwords lock a code for a while.

// The reasons of the provider.
const (
	reasonCredentials = identity.ReasonCredentials
	reasonStatement   = "bad_statement"
	reasonBusy        = "busy"
	reasonLocked      = identity.ReasonLocked
)

const (
	approvalLife  = 2 * time.Minute
	approvalWait  = 3 * time.Second // under the kiosk's patience with look-ups
	maxApprovals  = 256
	maxOpen       = 16 // of one station
	wrongAllowed  = 5
	lockedFor     = 15 * time.Minute
	maxStatements = 64 << 10
)

// ErrNoApproval says that nothing waits for the phone.
var ErrNoApproval = errors.New("nothing waits for this phone")

// Approvals is the provider. Make it with OpenApprovals.
type Approvals struct {
	issuer *issuer

	mu    sync.Mutex // guards all below
	open  map[string]*approval
	wrong map[string]wrong // by code
}

type wrong struct {
	times int
	since time.Time
}

// An approval waits for a phone.
type approval struct {
	station  string
	question identity.ApprovalQuestion
	fin      string // whose phone was asked; "" while a code waits to be scanned
	ends     time.Time
	seq      int
	answer   identity.ApprovalAnswer // State: waiting until it is done
	done     chan struct{}
}

// OpenApprovals opens the provider whose keys lie in dir, and makes them when
// there are none.
func OpenApprovals(dir string) (*Approvals, error) {
	i, err := openIssuer(dir)
	if err != nil {
		return nil, fmt.Errorf("open approvals: %w", err)
	}
	return &Approvals{issuer: i, open: map[string]*approval{}, wrong: map[string]wrong{}}, nil
}

// Trust is what a kiosk's bundle must hold: the authority of persons and the
// provider's own certificate.
func (a *Approvals) Trust() (person, provider []byte) {
	return a.issuer.authority.Raw, a.issuer.provider
}

// Serves says whether a look-up is the provider's. A nil provider has none.
func (a *Approvals) Serves(service string) bool {
	return a != nil && (service == identity.ApprovalBegin || service == identity.ApprovalWait)
}

// Credentials are what a person of the population has for the means: a phone
// number, the user code of ASAN İmza, and the portal's code and password.
func Credentials(p Person) (phone, user, code, password string) {
	r := []byte(p.CAN)
	for i, j := 0, len(r)-1; i < j; i, j = i+1, j-1 {
		r[i], r[j] = r[j], r[i]
	}
	return "501" + p.CAN, string(r), "20" + p.CAN, string(r) + "07"
}

// Answer answers a station. It waits a few seconds for a phone.
func (a *Approvals) Answer(ctx context.Context, station, service string, question []byte) Answer {
	if service == identity.ApprovalBegin {
		var q identity.ApprovalQuestion
		if len(question) > maxStatements || json.Unmarshal(question, &q) != nil {
			return no(http.StatusBadRequest, ReasonBadQuestion)
		}
		return a.begin(station, q, time.Now())
	}
	var q struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(question, &q) != nil {
		return no(http.StatusBadRequest, ReasonBadQuestion)
	}
	return a.wait(ctx, station, q.ID)
}

func (a *Approvals) begin(station string, q identity.ApprovalQuestion, now time.Time) Answer {
	s, err := request.ParseStatement(q.Statement)
	if err != nil || s.Use != string(q.Use) || s.Station != station {
		return no(http.StatusBadRequest, reasonStatement)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lapse(now)
	switch q.Means {
	case "sima":
		return a.openFor("", station, q, now)
	case "imza":
		for _, p := range Population() {
			if phone, user, _, _ := Credentials(p); same(phone, q.Phone) && same(user, q.User) {
				return a.openFor(p.FIN, station, q, now)
			}
		}
		return no(http.StatusForbidden, reasonCredentials)
	case "code":
		return a.word(q, now)
	}
	return no(http.StatusBadRequest, ReasonBadQuestion)
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// openFor opens an approval, and ends an earlier one of the same person.
func (a *Approvals) openFor(fin, station string, q identity.ApprovalQuestion, now time.Time) Answer {
	own := 0
	for _, o := range a.open {
		if o.station == station {
			own++
		}
	}
	if len(a.open) >= maxApprovals || own >= maxOpen {
		return no(http.StatusTooManyRequests, reasonBusy)
	}
	seq := 0
	for _, o := range a.open {
		seq = max(seq, o.seq)
		if fin != "" && o.fin == fin {
			o.end(identity.ApprovalAnswer{State: identity.ApprovalLapsed})
		}
	}
	var b [15]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	id := base32.StdEncoding.EncodeToString(b[:])
	a.open[id] = &approval{
		station: station, question: q, fin: fin, ends: now.Add(approvalLife), seq: seq + 1,
		answer: identity.ApprovalAnswer{State: identity.ApprovalWaiting}, done: make(chan struct{}),
	}
	return Answer{http.StatusOK, identity.ApprovalAnswer{ID: id, State: identity.ApprovalWaiting}}
}

// end says how it ended, once.
func (o *approval) end(answer identity.ApprovalAnswer) {
	if o.answer.State == identity.ApprovalWaiting {
		o.answer = answer
		close(o.done)
	}
}

// lapse ends what nobody answered, and forgets what nobody asks for any more.
func (a *Approvals) lapse(now time.Time) {
	for id, o := range a.open {
		if now.After(o.ends) {
			o.end(identity.ApprovalAnswer{State: identity.ApprovalLapsed})
		}
		if now.After(o.ends.Add(approvalLife)) {
			delete(a.open, id)
		}
	}
}

// wait tells the station that opened it how an approval stands.
func (a *Approvals) wait(ctx context.Context, station, id string) Answer {
	a.mu.Lock()
	a.lapse(time.Now())
	o := a.open[id]
	a.mu.Unlock()
	if o == nil || o.station != station {
		return Answer{http.StatusOK, identity.ApprovalAnswer{State: identity.ApprovalLapsed}}
	}
	timer := time.NewTimer(approvalWait)
	defer timer.Stop()
	select {
	case <-o.done:
	case <-timer.C:
	case <-ctx.Done():
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if o.answer.State != identity.ApprovalWaiting {
		delete(a.open, id) // told once
	}
	return Answer{http.StatusOK, o.answer}
}

// word answers for who typed the portal's code and password.
func (a *Approvals) word(q identity.ApprovalQuestion, now time.Time) Answer {
	w := a.wrong[q.User]
	if w.times >= wrongAllowed && now.Sub(w.since) < lockedFor {
		return no(http.StatusForbidden, reasonLocked)
	}
	for _, p := range Population() {
		_, _, code, password := Credentials(p)
		if !same(code, q.User) {
			continue
		}
		if same(password, q.Password) && q.Use == identity.Login {
			delete(a.wrong, q.User)
			return a.vouch(p, q)
		}
		if now.Sub(w.since) >= lockedFor {
			w = wrong{}
		}
		a.wrong[q.User] = wrong{w.times + 1, now} // of codes that exist only: the map has an end
	}
	return no(http.StatusForbidden, reasonCredentials)
}

func (a *Approvals) vouch(p Person, q identity.ApprovalQuestion) Answer {
	sum := sha256.Sum256(q.Statement)
	word, err := json.Marshal(identity.Word{
		Statement: sum[:], Use: q.Use, FIN: p.FIN, Surname: p.Surname, GivenNames: p.GivenNames, DocumentNumber: p.DocumentNumber,
	})
	if err != nil {
		return no(http.StatusInternalServerError, reasonBusy)
	}
	signature, err := plainSignature(a.issuer.word, word)
	if err != nil {
		return no(http.StatusInternalServerError, reasonBusy)
	}
	return Answer{http.StatusOK, identity.ApprovalAnswer{
		State: identity.ApprovalGiven, Certificate: a.issuer.provider, Signature: signature, Word: word,
	}}
}

// Phone is what the owner of a phone does with the approval that it shows: the
// newest that is for them, or that they scanned. It returns the code that the
// phone shows beside the question. ErrNoApproval: there is none.
func (a *Approvals) Phone(fin string, approve bool) (code string, err error) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lapse(now)
	var last *approval
	for _, o := range a.open {
		if o.answer.State == identity.ApprovalWaiting && (o.fin == "" || o.fin == fin) && (last == nil || o.seq > last.seq) {
			last = o
		}
	}
	if last == nil {
		return "", ErrNoApproval
	}
	code = identity.ControlCode(last.question.Statement)
	if !approve {
		last.end(identity.ApprovalAnswer{State: identity.ApprovalDeclined})
		return code, nil
	}
	for _, p := range Population() {
		if p.FIN != fin {
			continue
		}
		cert, signature, err := a.issuer.phone(p, last.question.Statement, last.question.Use == identity.Sign, now)
		if err != nil {
			return "", fmt.Errorf("phone: %w", err)
		}
		last.end(identity.ApprovalAnswer{State: identity.ApprovalGiven, Certificate: cert, Signature: signature})
		return code, nil
	}
	return "", fmt.Errorf("phone: %w", ErrNoApproval)
}

// A PhoneOrder is what the owner of a phone does, for the operator's socket.
type PhoneOrder struct {
	FIN     string `json:"fin"`
	Approve bool   `json:"approve"`
}

// A PhoneAnswer is the code that the phone shows beside the question.
type PhoneAnswer struct {
	Code string `json:"code"`
}

// ServeHTTP takes a PhoneOrder and answers with a PhoneAnswer.
func (a *Approvals) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var o PhoneOrder
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxStatements)).Decode(&o); err != nil {
		http.Error(w, "no order of a phone", http.StatusBadRequest)
		return
	}
	code, err := a.Phone(o.FIN, o.Approve)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(PhoneAnswer{code}) // who asked may have gone
}
