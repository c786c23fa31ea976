package bus

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"kosk/offline"
)

// How an exchange went is judged here and nowhere else. The rules are:
//   - what answers with a wrong certificate is not our bus;
//   - nothing has happened if no connection stood;
//   - X-Road-Error says that X-Road speaks, and its type decides, not the status,
//     which is 500 for nearly everything;
//   - without it the provider speaks, and the status decides;
//   - what is not understood may have taken effect.

// A class is what an error means for the one who sent. What each leads to stands
// in actions, and nowhere else.
type class int

const (
	notSent    class = iota // it went nowhere: back off, try again
	refused                 // no, for good: park, tell the operator
	unknown                 // ask by id, then send the same id again
	turnedAway              // no room at the door: come later, as told
	absent                  // asked for by id and not there: safe to send
	conflict                // the id is taken, by other content: park
)

var actions = [...]struct {
	err  error
	sent bool
}{
	notSent:    {offline.ErrLineDown, false},
	refused:    {offline.ErrRefused, false},
	unknown:    {offline.ErrAgency, true},
	turnedAway: {offline.ErrAgency, false},
	absent:     {offline.ErrNotFound, false},
	conflict:   {offline.ErrConflict, false},
}

// spoken are X-Road's types, normalised, by who says it and the last segment; the
// first row that fits counts, and what fits none is of unknown outcome. Both
// spellings, "AccessDenied" (to 7.7) and "access_denied" (from 7.8), are one here.
var spoken = []struct {
	by    string // part of what stands before the last segment; empty: anybody
	last  string // empty: any
	class class
}{
	{".clientproxy.", "maintenancemode", notSent},
	{".clientproxy.", "globalconfoutdated", notSent},
	{".clientproxy.", "outdatedglobalconf", notSent},
	{"", "accessdenied", refused},
	{"", "unknownservice", refused},
	{"", "servicedisabled", refused},
	{"", "unknownmember", refused},
	{"", "invalidclientidentifier", refused},
	{"", "sslauthenticationfailed", refused},
	{"", "messagetoolarge", refused},
	{"", "requestbodytoolarge", refused},
	{"client.", "", refused},
}

// normalise brings both spellings of a type to one.
func normalise(typ string) string { return strings.ReplaceAll(strings.ToLower(typ), "_", "") }

// judge returns nil for an answer that is what was asked for.
func judge(r request, a answer) error {
	var said struct {
		Type    string `json:"type"`
		Message string `json:"message"`
		Detail  string `json:"detail"`
		Reason  string `json:"reason"`
	}
	header := a.header.Get("X-Road-Error")
	if header == "" && (a.status/100 == 2 || a.status == http.StatusNotModified && r.tag != "") {
		return nil
	}
	if json.Unmarshal(a.body, &said) != nil {
		said.Type, said.Message = "", "" // an answer that is not ours says nothing
	}
	f := &offline.Fault{
		Type: normalise(said.Type), Message: strings.TrimSpace(said.Message + " " + said.Detail),
		Status: a.status, RetryAfter: retryAfter(a.header, time.Now()),
	}
	if header != "" {
		f.Type = normalise(header)
		return classify(f.Type).mark(f)
	}
	if f.Type == "" {
		f.Type = "http." + strconv.Itoa(a.status)
	}
	f.Reason = keyOf(said.Reason)
	return weigh(r, f.Status, f.RetryAfter).mark(f)
}

// keyOf lets a reason pass that can be a key of words, and nothing that could be
// words itself, or a name.
func keyOf(reason string) string {
	if len(reason) > 64 || strings.Trim(reason, "abcdefghijklmnopqrstuvwxyz0123456789_.-") != "" {
		return ""
	}
	return reason
}

// classify judges an error of X-Road itself, by its type.
func classify(typ string) class {
	cut := strings.LastIndexByte(typ, '.') + 1
	by, last := typ[:cut], typ[cut:]
	for _, row := range spoken {
		who := row.by == "" || row.by == "client." && strings.HasPrefix(typ, row.by) || row.by != "client." && strings.Contains("."+by, row.by)
		if who && (row.last == "" || row.last == last) {
			return row.class
		}
	}
	return unknown
}

// weigh judges a provider's answer, by its status.
func weigh(r request, status int, retry time.Duration) class {
	switch {
	case status == http.StatusNotFound && r.method == http.MethodGet && r.issue != "":
		return absent
	case status == http.StatusUnprocessableEntity && r.method == http.MethodPut:
		return conflict
	case status == http.StatusTooManyRequests, status == http.StatusTooEarly,
		status == http.StatusServiceUnavailable && retry > 0:
		return turnedAway
	case status == http.StatusRequestTimeout, status == http.StatusConflict, status/100 != 4:
		return unknown
	}
	return refused
}

func (c class) mark(f *offline.Fault) *offline.Fault {
	f.Err, f.Sent = actions[c].err, actions[c].sent
	return f
}

// malformed is the fault of an answer that came and was not understood.
func malformed(status int, err error) *offline.Fault {
	return &offline.Fault{Type: "answer.malformed", Message: err.Error(), Status: status, Sent: true, Err: offline.ErrAgency}
}

// lost is the fault of an exchange without an answer.
func lost(err error, sent bool) *offline.Fault {
	f := &offline.Fault{Type: "line.lost", Message: err.Error(), Sent: sent, Err: offline.ErrLineDown}
	var wrongCert *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	var alert tls.AlertError
	var op *net.OpError
	switch {
	case errors.As(err, &wrongCert), errors.As(err, &authority), errors.As(err, &invalid), errors.As(err, &host):
		f.Type, f.Err, f.Sent = "line.certificate", offline.ErrBusIdentity, false
	case errors.As(err, &alert), errors.As(err, &op) && op.Op == "remote error":
		f.Type = "line.alert" // such as: the bus does not know our certificate
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &op) && op.Timeout():
		f.Type = "line.timeout"
	case errors.As(err, &op) && op.Op == "dial":
		f.Type = "line.dial"
	}
	return f
}

const maxRetryAfter = time.Hour // more is a mistake, or somebody who wants us silent

// retryAfter reads Retry-After, in seconds or as a date, which is taken
// relative to the answer's own Date because our clock may be wrong.
// Source: RFC 9110, 10.2.3.
func retryAfter(h http.Header, now time.Time) time.Duration {
	s := strings.TrimSpace(h.Get("Retry-After"))
	var d time.Duration
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		d = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(s); err == nil {
		if date, err := http.ParseTime(h.Get("Date")); err == nil {
			now = date
		}
		d = at.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}
