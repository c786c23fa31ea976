package bus

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"slices"
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

// The last segments of X-Road's types that mean no for good. Both spellings,
// "AccessDenied" (to 7.7) and "access_denied" (from 7.8), normalise to these.
var refusals = []string{
	"accessdenied", "unknownservice", "servicedisabled", "unknownmember",
	"invalidclientidentifier", "sslauthenticationfailed", "messagetoolarge", "requestbodytoolarge",
}

// The last segments, said by the security server on our side, that mean that the
// message went nowhere.
var unsent = []string{"maintenancemode", "globalconfoutdated", "outdatedglobalconf"}

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
		classify(f)
		return f
	}
	if f.Type == "" {
		f.Type = "http." + strconv.Itoa(a.status)
	}
	f.Reason = keyOf(said.Reason)
	weigh(f, r)
	return f
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
func classify(f *offline.Fault) {
	last := f.Type[strings.LastIndexByte(f.Type, '.')+1:]
	switch {
	case strings.Contains(f.Type, "clientproxy") && slices.Contains(unsent, last):
		f.Err = offline.ErrLineDown
	case strings.HasPrefix(f.Type, "client.") || slices.Contains(refusals, last):
		f.Err = offline.ErrRefused
	default:
		f.Err, f.Sent = offline.ErrAgency, true
	}
}

// weigh judges a provider's answer, by its status.
func weigh(f *offline.Fault, r request) {
	switch s := f.Status; {
	case s == http.StatusNotFound && r.method == http.MethodGet && r.issue != "":
		f.Err = offline.ErrNotFound
	case s == http.StatusUnprocessableEntity && r.method == http.MethodPut:
		f.Err = offline.ErrConflict
	case s == http.StatusTooManyRequests, s == http.StatusTooEarly,
		s == http.StatusServiceUnavailable && f.RetryAfter > 0:
		f.Err = offline.ErrAgency // turned away at the door
	case s == http.StatusRequestTimeout, s == http.StatusConflict, s/100 != 4:
		f.Err, f.Sent = offline.ErrAgency, true
	default:
		f.Err = offline.ErrRefused
	}
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
