// Package bus speaks to the central bus: the X-Road Message Protocol for REST
// (PR-REST 1.0.4) over mutual TLS 1.3, and our contract of submissions,
// look-ups and time on top of it.
//
// It tries once and says precisely how that went (*offline.Fault): whether
// anything may have taken effect, and whether to come back. Patience is the
// courier's. A client is made by Open; a new kiosk gets its certificate by
// Enrol first. bustest is a bus to test against.
package bus

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"kosk/offline"
)

// Deadlines of an exchange, and bounds of an answer.
const (
	connectWithin = 10 * time.Second
	answerWithin  = 60 * time.Second
	lookUpWithin  = 5 * time.Second
	longPoll      = 25 * time.Second // what we ask the bus to wait at most
	maxAnswer     = offline.MaxBody  // bytes
)

const submissions = "/v1/submissions/"

// Options of a client. All but Deadlines, Clock and Log are required.
type Options struct {
	URL       string      // "https://bus.example:8443"
	Instance  string      // X-Road instance, "AZ-TEST"
	Client    string      // our X-Road identifier, 3 or 4 parts: "AZ-TEST/GOV/KIOSKS/ST-0001"
	Service   string      // class/member/subsystem/service of the intake: "GOV/BUS/kiosk/intake"
	TLS       *tls.Config // our certificate and the bus's CA; raised to TLS 1.3
	Deadlines Deadlines
	Clock     *Clock // what certificates are checked by, and set from the bus; default: one that forgets
	Log       *slog.Logger
}

// Deadlines of an exchange; zero values mean ours.
type Deadlines struct {
	Connect time.Duration // 10 s, TCP and TLS each
	Answer  time.Duration // 60 s, the whole exchange
	LookUp  time.Duration // 5 s, a look-up
}

func (d Deadlines) withDefaults() Deadlines {
	set := func(v *time.Duration, def time.Duration) {
		if *v == 0 {
			*v = def
		}
	}
	set(&d.Connect, connectWithin)
	set(&d.Answer, answerWithin)
	set(&d.LookUp, lookUpWithin)
	return d
}

// A Client is one kiosk's line to the bus. Its methods may be called from
// several goroutines.
type Client struct {
	base      string // URL of the intake, without a slash at its end
	host      string // URL of the bus, for EST
	name      string // our X-Road identifier, escaped
	opts      Options
	http      *http.Client
	line      line
	pair      *pair
	breakers  breakers
	reporting atomic.Bool
}

// Open checks the options. It does not touch the network.
func Open(o Options) (*Client, error) {
	u, err := baseURL(o.URL)
	if err != nil {
		return nil, fmt.Errorf("open bus: %w", err)
	}
	if n := strings.Count(o.Client, "/") + 1; n != 3 && n != 4 {
		return nil, fmt.Errorf("open bus: client %q has %d parts, not 3 or 4", o.Client, n)
	}
	path, err := servicePath(o.Instance, o.Service)
	if err != nil {
		return nil, fmt.Errorf("open bus: %w", err)
	}
	if o.TLS == nil || len(o.TLS.Certificates) == 0 && o.TLS.GetClientCertificate == nil || o.TLS.RootCAs == nil {
		return nil, errors.New("open bus: no certificate of ours, or no CA of the bus")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Deadlines = o.Deadlines.withDefaults()
	if o.Clock == nil {
		if o.Clock, err = NewClock(nil, o.Log); err != nil {
			return nil, fmt.Errorf("open bus: %w", err)
		}
	}
	for _, odd := range oddParts(o.Instance + "/" + o.Service + "/" + o.Client) {
		o.Log.Warn("identifier not portable", "part", odd)
	}
	c := &Client{base: u + path, host: u, name: escapeParts(o.Client), opts: o}
	c.line.init()
	conf := o.TLS.Clone()
	conf.Time = o.Clock.Now
	if c.pair, err = newPair(conf, o.Clock); err != nil {
		return nil, fmt.Errorf("open bus: %w", err)
	}
	c.http = newHTTP(conf, o.Deadlines, c.line.ended)
	return c, nil
}

// baseURL accepts https://host[:port] and nothing else.
func baseURL(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return "", fmt.Errorf("url %q is not https://host:port", s)
	}
	return "https://" + u.Host, nil
}

// servicePath is /r1/{instance}/{class}/{member}/{subsystem}/{service}, each part
// percent-encoded on its own. Source: PR-REST 1.0.4, 4.1.
func servicePath(instance, service string) (string, error) {
	parts := append([]string{instance}, strings.Split(service, "/")...)
	if len(parts) != 5 {
		return "", fmt.Errorf("service %q is not class/member/subsystem/service", service)
	}
	path := "/r1"
	for _, p := range parts {
		if p == "" || p == "." || p == ".." {
			return "", fmt.Errorf("service %q: empty part", service)
		}
	}
	return path + "/" + escapeParts(strings.Join(parts, "/")), nil
}

// escapeParts percent-encodes each part of an identifier on its own.
func escapeParts(id string) string {
	parts := strings.Split(id, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}

// oddParts are the parts of an identifier that not every member can use: others
// than A-Z a-z 0-9 ' ( ) + , - . = ?
func oddParts(id string) (odd []string) {
	for part := range strings.SplitSeq(id, "/") {
		if strings.Trim(part, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'()+,-.=?") != "" {
			odd = append(odd, part)
		}
	}
	return odd
}

// Close lets idle connections go.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Submit hands the sealed body to the bus under id and returns the bus's
// receipt, which the caller verifies. It tries once. A *offline.Fault with Sent
// means that the bus may have it. Doing it again with the same id and body is
// safe, and gives the same receipt.
func (c *Client) Submit(ctx context.Context, id string, body []byte) (receipt []byte, err error) {
	receipt, _, err = c.Send(ctx, id, "", body)
	return receipt, err
}

// Send is Submit with the traceparent of the item, which may be empty. It returns
// beside the receipt how fast the bus wants us to come; that also with an error.
func (c *Client) Send(ctx context.Context, id, trace string, body []byte) (receipt []byte, pace offline.Pace, err error) {
	err = c.guarded(ctx, "submissions", request{
		method: http.MethodPut, path: submissions + url.PathEscape(id), issue: id, trace: trace,
		kind: "application/octet-stream", body: body, within: c.opts.Deadlines.Answer, pace: &pace,
	}, func(a answer) error {
		p, err := parseSubmission(id, a.body)
		receipt = p.Receipt
		return err
	})
	if err != nil {
		return nil, pace, fmt.Errorf("submit %s: %w", id, err)
	}
	return receipt, pace, nil
}

// Status asks how far the item has come. The receipt in it is not verified.
// offline.ErrNotFound: the bus does not hold it.
func (c *Client) Status(ctx context.Context, id string) (offline.Progress, error) {
	p, _, err := c.status(ctx, id, "", 0)
	if err != nil {
		return p, fmt.Errorf("status of %s: %w", id, err)
	}
	return p, nil
}

// Await is Status that returns as soon as the item has left the stage after,
// or when the bus has waited long enough: then with that same stage.
func (c *Client) Await(ctx context.Context, id string, after offline.Stage) (offline.Progress, error) {
	p, tag, err := c.status(ctx, id, "", 0)
	if err == nil && p.Stage == after && tag != "" {
		var next offline.Progress
		if next, _, err = c.status(ctx, id, tag, longPoll); err == nil && next.Stage != 0 {
			p = next
		}
	}
	if err != nil {
		return p, fmt.Errorf("await %s: %w", id, err)
	}
	return p, nil
}

// status asks for the state of id. With a tag it waits until the state is
// another one, or for wait, and returns the zero Stage when it is not.
func (c *Client) status(ctx context.Context, id, tag string, wait time.Duration) (p offline.Progress, next string, err error) {
	r := request{
		method: http.MethodGet, path: submissions + url.PathEscape(id), issue: id,
		tag: tag, within: c.opts.Deadlines.Answer, wait: wait,
	}
	err = c.call(ctx, r, func(a answer) error {
		next = a.header.Get("Etag")
		if a.status == http.StatusNotModified {
			return nil
		}
		var err error
		p, err = parseSubmission(id, a.body)
		return err
	})
	return p, next, err
}

// Lookup implements offline.Lookup.
func (c *Client) Lookup(ctx context.Context, service string, question any) (json.RawMessage, error) {
	body, err := json.Marshal(question)
	if err != nil {
		return nil, fmt.Errorf("look up %s: question: %w", service, err)
	}
	var found json.RawMessage
	err = c.guarded(ctx, "lookups/"+service, request{
		method: http.MethodPost, path: "/v1/lookups/" + url.PathEscape(service),
		kind: "application/json", body: body, within: c.opts.Deadlines.LookUp,
	}, func(a answer) error {
		return json.Unmarshal(a.body, &found)
	})
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", service, err)
	}
	return found, nil
}

// Keys are what the kiosk needs to seal for the bus and to believe its receipts.
type Keys struct {
	Recipient  string    // age recipient, hybrid post-quantum: "age1pq..."
	ReceiptKey []byte    // SubjectPublicKeyInfo in DER
	Instance   string    // X-Road instance
	NotAfter   time.Time // use them until then; zero: the bus names no end
}

// Keys asks for the bus's keys. They are as trustworthy as the connection.
func (c *Client) Keys(ctx context.Context) (Keys, error) {
	var k Keys
	err := c.call(ctx, request{method: http.MethodGet, path: "/v1/keys", within: c.opts.Deadlines.Answer}, func(a answer) (err error) {
		k, err = parseKeys(a.body, c.opts.Instance)
		return err
	})
	if err != nil {
		return Keys{}, fmt.Errorf("ask for keys: %w", err)
	}
	return k, nil
}

func parseKeys(b []byte, instance string) (Keys, error) {
	var answer struct {
		Recipient  string    `json:"recipient"`
		ReceiptKey []byte    `json:"receipt_key"`
		Instance   string    `json:"instance"`
		NotAfter   time.Time `json:"not_after"`
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return Keys{}, err
	}
	if !strings.HasPrefix(answer.Recipient, "age1pq") {
		return Keys{}, errors.New("recipient is not a hybrid one")
	}
	if _, err := x509.ParsePKIXPublicKey(answer.ReceiptKey); err != nil {
		return Keys{}, fmt.Errorf("receipt key: %w", err)
	}
	if answer.Instance != instance {
		return Keys{}, fmt.Errorf("keys of instance %q", answer.Instance)
	}
	return Keys{answer.Recipient, answer.ReceiptKey, answer.Instance, answer.NotAfter}, nil
}
