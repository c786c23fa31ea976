// Package console is the operator's page of the bus: kiosks, the worst first;
// messages by their ids; statistics; and the few things that can be done. It is
// HTML from the server and needs no script.
//
// It shows nothing personal: no request, no outcome, no digest. Who may see and
// who may act is registry's (Operators). Start at New and Run.
package console

import (
	"bytes"
	"context"
	"crypto/tls"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"kosk/cmd/bus/msglog"
	"kosk/cmd/bus/registry"
	"kosk/cmd/bus/server"
)

// Config is what a console is made of.
type Config struct {
	Bus      *server.Server
	Registry *registry.Registry
	Log      *slog.Logger // gets who did what
	Host     string       // one more name or address for the certificate; may be empty
}

// A Console is the operator's page.
type Console struct {
	Config
	sessions *sessions
	throttle *throttle
	pages    map[string]*template.Template

	mu       sync.Mutex // guards verified; held while verifying
	verified *verification
}

// A verification is what the last check of the message log found.
type verification struct {
	At     time.Time
	By     string
	Report msglog.Report
	Err    string
}

//go:embed pages
var files embed.FS

// Deadlines of the listener.
const (
	headerTimeout = 10 * time.Second
	readTimeout   = 20 * time.Second
	writeTimeout  = 120 * time.Second // a long message log takes time to verify
	idleTimeout   = 60 * time.Second
	goodbye       = 2 * time.Second
	maxForm       = 8 << 10
)

// New makes a console.
func New(c Config) (*Console, error) {
	k := &Console{Config: c, sessions: newSessions(), throttle: newThrottle(), pages: map[string]*template.Template{}}
	for _, name := range []string{"login", "kiosks", "kiosk", "messages", "statistics", "bus", "problem"} {
		t, err := template.New("").Funcs(words).ParseFS(files, "pages/frame.html", "pages/"+name+".html")
		if err != nil {
			return nil, fmt.Errorf("new console: %w", err)
		}
		k.pages[name] = t
	}
	return k, nil
}

// Run serves operators over TLS 1.3 with a certificate of the bus's CA, until ctx
// ends. It closes the listener.
func (c *Console) Run(ctx context.Context, l net.Listener) error {
	cert, err := c.Registry.Keys().Server(time.Now(), c.Host)
	if err != nil {
		return errors.Join(fmt.Errorf("serve console: %w", err), l.Close())
	}
	h := &http.Server{
		Handler: c.Handler(), ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: 16 << 10,
		TLSConfig:   &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}},
		ErrorLog:    slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug), // browsers hang up as they like
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		end, done := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
		defer done()
		if h.Shutdown(end) != nil {
			_ = h.Close() // somebody didn't want to end in time
		}
	})
	err = h.ServeTLS(l, "", "")
	if stop() { // it ended by itself
		return fmt.Errorf("serve console: %w", err)
	}
	<-stopped
	return nil
}

// Handler answers all pages. It must be reached over TLS only: cookies need it.
func (c *Console) Handler() http.Handler {
	mux := http.NewServeMux()
	for path, kind := range map[string]string{"style.css": "text/css; charset=utf-8", "mark.svg": "image/svg+xml", "lattice.svg": "image/svg+xml"} {
		mux.HandleFunc("GET /"+path, file(path, kind))
	}
	mux.HandleFunc("GET /login", c.loginPage)
	mux.HandleFunc("POST /login", c.login)
	mux.HandleFunc("POST /logout", c.signedIn(c.logout))
	mux.HandleFunc("GET /{$}", c.signedIn(c.kiosks))
	mux.HandleFunc("GET /kiosk/{name}", c.signedIn(c.kiosk))
	mux.HandleFunc("POST /kiosk/{name}/remove", c.signedIn(c.acting(c.remove)))
	mux.HandleFunc("GET /messages", c.signedIn(c.messages))
	mux.HandleFunc("POST /messages/verify", c.signedIn(c.verify))
	mux.HandleFunc("GET /statistics", c.signedIn(c.statistics))
	mux.HandleFunc("GET /bus", c.signedIn(c.bus))
	mux.HandleFunc("POST /bus/faults/clear", c.signedIn(c.acting(c.clearFaults)))
	mux.HandleFunc("GET /", c.signedIn(func(w http.ResponseWriter, r *http.Request, s session) {
		c.problem(w, s, http.StatusNotFound, "There is no such page", "The address may be mistyped, or the page has gone.")
	}))
	return guarded(http.NewCrossOriginProtection().Handler(mux))
}

// guarded sets the headers that keep a page to itself: no script, no style but
// ours, no frame around it, nothing kept on disk.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
		h.Set("Strict-Transport-Security", "max-age=31536000")
		h.Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		next.ServeHTTP(w, r)
	})
}

// file serves one of the files that all pages share.
func file(name, kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		b, err := files.ReadFile("pages/" + name)
		if err != nil {
			http.Error(w, "no such file", http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Cache-Control", "private, max-age=300")
		_, _ = w.Write(b) // the browser may have gone
	}
}

// A page is what every template gets.
type page struct {
	Title   string
	Nav     string // path of the page's place in the menu
	Now     time.Time
	Session session
	Body    any
}

// Acts says whether who looks may act.
func (p page) Acts() bool { return p.Session.Role == registry.RoleOperator }

// show writes a page as a whole: one that can't be made is an error page.
func (c *Console) show(w http.ResponseWriter, status int, name string, p page) {
	p.Now = time.Now()
	var b bytes.Buffer
	if err := c.pages[name].ExecuteTemplate(&b, "frame", p); err != nil {
		c.Log.Error("page failed", "page", name, "err", err)
		http.Error(w, "The page could not be made. The bus's log says why.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the browser may have gone
}

// A trouble is the body of an error page.
type trouble struct{ Text string }

func (c *Console) problem(w http.ResponseWriter, s session, status int, title, text string) {
	c.show(w, status, "problem", page{Title: title, Session: s, Body: trouble{text}})
}

// broken answers that something of the bus failed. Its words go to the log.
func (c *Console) broken(w http.ResponseWriter, s session, err error) {
	c.Log.Error("console failed", "err", err)
	c.problem(w, s, http.StatusInternalServerError, "This could not be read", "The bus's log says why.")
}
