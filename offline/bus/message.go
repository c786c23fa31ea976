package bus

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync/atomic"
	"time"

	"kosk/offline"
)

// A request is one call of the intake.
type request struct {
	method string
	path   string // below the intake, escaped
	issue  string // id of the submission, for X-Road-Issue; or empty
	tag    string // for If-None-Match; or empty
	kind   string // media type of the body
	body   []byte
	within time.Duration // whole exchange
	wait   time.Duration // what the bus is asked to wait, on top; 0: it is not
	trace  string        // traceparent; or empty

	anyKind bool          // an answer need not be JSON
	pace    *offline.Pace // where the bus's wish goes; or nil
	begun   *time.Time    // where the moment goes at which the connection stood; or nil
}

// An answer is one that came whole.
type answer struct {
	status int
	header http.Header
	body   []byte
	peer   *x509.Certificate // of the bus
}

// call makes one exchange and has a good answer parsed. Its errors are
// *offline.Fault, or ctx's own.
func (c *Client) call(ctx context.Context, r request, parse func(answer) error) error {
	a, err := c.exchange(ctx, r)
	if err == nil {
		if err = parse(a); err != nil {
			err = malformed(a.status, err)
		}
	}
	if ctx.Err() != nil {
		return err // our own end says nothing of the line
	}
	c.line.learn(err)
	return err
}

// exchange sends r and reads the answer. Anything but 2xx or 304 is a fault.
func (c *Client) exchange(ctx context.Context, r request) (answer, error) {
	limited, cancel := context.WithTimeout(ctx, r.within+r.wait)
	defer cancel()
	var sent atomic.Bool
	limited = httptrace.WithClientTrace(limited, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) {
			sent.Store(true)
			if r.begun != nil {
				*r.begun = time.Now()
			}
		},
	})
	req, err := c.newRequest(limited, r)
	if err != nil {
		return answer{}, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, lost(err, sent.Load())
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return answer{}, lost(err, true)
	}
	if err := limited.Err(); err != nil { // too late: it may be cut short
		return answer{}, lost(err, true)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: body}
	if resp.TLS != nil && len(resp.TLS.PeerCertificates) > 0 {
		a.peer = resp.TLS.PeerCertificates[0]
	}
	if r.pace != nil {
		*r.pace = paceOf(resp.Header)
	}
	if len(body) > maxAnswer {
		return a, malformed(a.status, fmt.Errorf("over %d bytes", maxAnswer))
	}
	if echo := a.header.Get("X-Road-Id"); echo != "" && echo != req.Header.Get("X-Road-Id") {
		return a, malformed(a.status, errors.New("the answer is to another message"))
	}
	if f := judge(r, a); f != nil {
		return a, f
	}
	if kind, _, err := mime.ParseMediaType(a.header.Get("Content-Type")); a.status != http.StatusNotModified && !r.anyKind && kind != "application/json" {
		return a, malformed(a.status, fmt.Errorf("is %q, not json: %w", kind, err))
	}
	return a, nil
}

// paceOf reads how fast the bus wants us to come. What is not understood says
// nothing.
func paceOf(h http.Header) (p offline.Pace) {
	number := func(name string, most float64) float64 {
		v, err := strconv.ParseFloat(h.Get(name), 64)
		if err != nil || !(v > 0) {
			return 0
		}
		return min(v, most)
	}
	p.Rate = number("X-Kosk-Rate", 1e6)
	p.FirstContact = time.Duration(number("X-Kosk-First-Contact", maxRetryAfter.Seconds()) * float64(time.Second))
	return p
}

// newRequest sets X-Road's headers. X-Road-Id is new for every attempt: it names
// a message, not a submission. Source: PR-REST 1.0.4, 4.3.
func (c *Client) newRequest(ctx context.Context, r request) (*http.Request, error) {
	url := c.base + r.path
	if r.wait > 0 {
		url += "?wait=" + strconv.Itoa(int(r.wait.Seconds()))
	}
	req, err := http.NewRequestWithContext(ctx, r.method, url, bytes.NewReader(r.body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	// net/http must never send it a second time: the same X-Road-Id would come twice,
	// and a submission before it was asked for. It does so, silently, with what it
	// can rewind: so a body has no GetBody, and what has no body gets one that is empty.
	req.GetBody = nil
	if len(r.body) == 0 {
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(nil)), 0
	}
	req.Header.Set("User-Agent", "") // not X-Road's: none is sent
	req.Header.Set("X-Road-Client", c.name)
	req.Header.Set("X-Road-Id", newUUID())
	req.Header.Set("Accept", "application/json")
	for name, value := range map[string]string{"X-Road-Issue": r.issue, "If-None-Match": r.tag, "Content-Type": r.kind, "Traceparent": r.trace} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	return req, nil
}

// newUUID returns a random UUID. Source: RFC 9562, 5.4.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// parseSubmission reads the state of a submission. Unknown fields are ignored,
// unknown states are not: nobody would know what to tell the citizen.
func parseSubmission(id string, b []byte) (offline.Progress, error) {
	var s struct {
		State   string          `json:"state"`
		Receipt []byte          `json:"receipt"`
		Outcome json.RawMessage `json:"outcome"`
		Reason  string          `json:"reason"`
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return offline.Progress{}, err
	}
	p := offline.Progress{ID: id, Receipt: s.Receipt}
	switch s.State {
	case "accepted", "in_work":
		p.Stage = offline.Accepted
	case "done":
		p.Stage, p.Outcome = offline.Done, s.Outcome
	case "refused":
		p.Stage, p.Reason = offline.Refused, keyOf(s.Reason)
	default:
		return offline.Progress{}, fmt.Errorf("state %q is not known", s.State)
	}
	if len(p.Receipt) == 0 {
		return offline.Progress{}, errors.New("no receipt")
	}
	return p, nil
}
