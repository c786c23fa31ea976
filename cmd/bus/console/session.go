package console

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"sync"
	"time"

	"kosk/cmd/bus/registry"
)

// The rules are: a session is a random token that only the browser holds; it is a
// new one at every login, ends when it isn't used, at the latest after a working
// day, with the operator, and with the bus. Who fails too often waits, known or
// not, and an unknown name costs as much time as a wrong password.

// Lives of sessions, and limits.
const (
	idleAfter   = 15 * time.Minute
	sessionLife = 8 * time.Hour
	maxSessions = 1000
	cookieName  = "__Host-kosk" // RFC 6265bis, 4.1.3.2: bound to this host, over TLS, for all paths

	failuresFree = 5               // of a name, before it waits
	failureLife  = 5 * time.Minute // until they are forgotten
	loginsAMin   = 30              // of everybody
	maxNames     = 1000
)

// A session is somebody who is signed in.
type session struct {
	Name string
	Role registry.Role
	CSRF string // stands in every form

	password    string // the hash that they came in with: another ends the session
	began, used time.Time
}

// sessions are kept under the SHA-256 of their tokens.
type sessions struct {
	mu  sync.Mutex // guards all
	all map[[32]byte]session
}

func newSessions() *sessions { return &sessions{all: map[[32]byte]session{}} }

// begin makes a session and returns its token.
func (s *sessions) begin(o registry.Operator, now time.Time) string {
	token := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, one := range s.all {
		if one.over(now) {
			delete(s.all, key)
		}
	}
	for key := range s.all { // any: there are never so many in earnest
		if len(s.all) < maxSessions {
			break
		}
		delete(s.all, key)
	}
	s.all[sha256.Sum256([]byte(token))] = session{
		Name: o.Name, Role: o.Role, CSRF: rand.Text(), password: o.Password, began: now, used: now,
	}
	return token
}

func (s session) over(now time.Time) bool {
	return now.Sub(s.used) > idleAfter || now.Sub(s.began) > sessionLife
}

// find returns the session of a token and marks it as used.
func (s *sessions) find(token string, now time.Time) (session, bool) {
	key := sha256.Sum256([]byte(token))
	s.mu.Lock()
	defer s.mu.Unlock()
	one, ok := s.all[key]
	if !ok || one.over(now) {
		delete(s.all, key)
		return session{}, false
	}
	one.used = now
	s.all[key] = one
	return one, true
}

func (s *sessions) end(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, sha256.Sum256([]byte(token)))
}

// throttle slows guessing down.
type throttle struct {
	hashing chan struct{} // one token: a password takes 64 MiB to check

	mu     sync.Mutex // guards all below
	failed map[string]failures
	minute time.Time
	tried  int
}

type failures struct {
	n    int
	last time.Time
}

func newThrottle() *throttle {
	return &throttle{hashing: make(chan struct{}, 1), failed: map[string]failures{}}
}

// admit says whether a login may be tried now.
func (t *throttle) admit(name string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.minute) > time.Minute {
		t.minute, t.tried = now, 0
	}
	if f := t.failed[name]; t.tried >= loginsAMin || f.n >= failuresFree && now.Sub(f.last) < failureLife {
		return false
	}
	t.tried++
	return true
}

func (t *throttle) ended(name string, ok bool, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, f := range t.failed {
		if now.Sub(f.last) >= failureLife || len(t.failed) >= maxNames {
			delete(t.failed, name)
		}
	}
	if ok {
		delete(t.failed, name)
		return
	}
	t.failed[name] = failures{n: t.failed[name].n + 1, last: now}
}

// A loginForm is the body of the login page.
type loginForm struct{ Problem string }

func (c *Console) loginPage(w http.ResponseWriter, _ *http.Request) {
	c.show(w, http.StatusOK, "login", page{Title: "Sign in", Body: loginForm{}})
}

// login checks a password and begins a session with a token of its own.
func (c *Console) login(w http.ResponseWriter, r *http.Request) {
	name, now := r.PostFormValue("name"), time.Now()
	if !registry.Name.MatchString(name) {
		name = "" // nobody is called so; and anything could stand there
	}
	if !c.throttle.admit(name, now) {
		w.Header().Set("Retry-After", "300")
		c.show(w, http.StatusTooManyRequests, "login", page{Title: "Sign in", Body: loginForm{"Too many attempts. Wait five minutes, then try again."}})
		return
	}
	who, err := c.Registry.Operator(name)
	if err != nil && !errors.Is(err, registry.ErrOperator) {
		c.broken(w, session{}, err)
		return
	}
	select {
	case c.throttle.hashing <- struct{}{}:
	case <-r.Context().Done():
		return
	}
	ok := who.Fits(r.PostFormValue("password"))
	<-c.throttle.hashing
	c.throttle.ended(name, ok, now)
	if !ok {
		c.Log.Warn("console login failed")
		c.show(w, http.StatusUnauthorized, "login", page{Title: "Sign in", Body: loginForm{"The name or the password is wrong."}})
		return
	}
	if old, err := r.Cookie(cookieName); err == nil {
		c.sessions.end(old.Value)
	}
	c.Log.Info("console login", "operator", who.Name, "role", string(who.Role))
	http.SetCookie(w, cookie(c.sessions.begin(who, now), 0))
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func cookie(token string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: cookieName, Value: token, Path: "/", MaxAge: maxAge, Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
}

func (c *Console) logout(w http.ResponseWriter, r *http.Request, s session) {
	if held, err := r.Cookie(cookieName); err == nil {
		c.sessions.end(held.Value)
	}
	c.Log.Info("console logout", "operator", s.Name)
	http.SetCookie(w, cookie("", -1))
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// A handler answers somebody who is signed in.
type handler func(http.ResponseWriter, *http.Request, session)

// signedIn lets only those in who have a session, and posts only with the token
// of its forms.
func (c *Console) signedIn(next handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s, ok := c.sessionOf(r)
		if !ok {
			http.Redirect(w, r, "/login", http.StatusSeeOther)
			return
		}
		if r.Method == http.MethodPost && subtle.ConstantTimeCompare([]byte(r.PostFormValue("csrf")), []byte(s.CSRF)) != 1 {
			c.problem(w, s, http.StatusForbidden, "Nothing was done", "The form was too old. Go back, reload the page, and try again.")
			return
		}
		next(w, r, s)
	}
}

// sessionOf finds the session of a request. The operator must still be there, with
// the same password; the role is the one of now.
func (c *Console) sessionOf(r *http.Request) (session, bool) {
	held, err := r.Cookie(cookieName)
	if err != nil {
		return session{}, false
	}
	s, ok := c.sessions.find(held.Value, time.Now())
	if !ok {
		return session{}, false
	}
	who, err := c.Registry.Operator(s.Name)
	if err != nil || who.Password != s.password {
		c.sessions.end(held.Value)
		return session{}, false
	}
	s.Role = who.Role
	return s, true
}

// acting lets only operators through.
func (c *Console) acting(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request, s session) {
		if s.Role != registry.RoleOperator {
			c.problem(w, s, http.StatusForbidden, "Nothing was done", "Auditors see everything here and change nothing.")
			return
		}
		next(w, r, s)
	}
}
