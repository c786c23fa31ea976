package document

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"kosk/drivers/printer"
)

// States of a job. RFC 8011, 5.3.7.
const (
	jobCanceled  = 7
	jobAborted   = 8
	jobCompleted = 9
)

// printerStopped is a state of a printer. RFC 8011, 5.4.11.
const printerStopped = 5

// lookEvery is how often a job is asked for. IPP has no answer that waits which
// all printers know (RFC 3996 is optional).
const lookEvery = 250 * time.Millisecond

// ourName is who the jobs belong to.
const ourName = "kosk"

// An ippPort is a printer or a CUPS queue behind IPP.
type ippPort struct {
	uri  string // as IPP names it
	http string // as HTTP does
	id   atomic.Uint32
	do   *http.Client
}

func newIPP(u *url.URL) *ippPort {
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), "631") // RFC 3510, 4.1
	}
	return &ippPort{
		uri: u.String(), http: "http://" + host + u.EscapedPath(),
		do: &http.Client{
			Transport:     &http.Transport{DisableKeepAlives: true, Proxy: nil},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// A refusal is a status that says no. RFC 8011, appendix B.
type refusal uint16

func (r refusal) Error() string { return fmt.Sprintf("ipp status %04X", uint16(r)) }

// ask sends an operation and reads the answer. sent says whether anything may
// have reached the printer.
func (p *ippPort) ask(ctx context.Context, r *request, document []byte) (a answer, sent bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.http, io.MultiReader(bytes.NewReader(r.bytes()), bytes.NewReader(document)))
	if err != nil {
		return a, false, err
	}
	req.ContentLength = int64(len(r.bytes()) + len(document))
	req.Header.Set("Content-Type", "application/ipp")
	res, err := p.do.Do(req)
	if err != nil {
		var dial *net.OpError
		if errors.As(err, &dial) && dial.Op == "dial" {
			return a, false, fmt.Errorf("%w: %w", printer.ErrUnplugged, err)
		}
		return a, true, silence(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxMessage+1))
	if err != nil {
		return a, true, silence(err)
	}
	if res.StatusCode != http.StatusOK {
		return a, true, fmt.Errorf("%w: http status %d", printer.ErrOffline, res.StatusCode)
	}
	if a, err = parse(b); err != nil {
		return a, true, fmt.Errorf("%w: %w", printer.ErrMute, err)
	}
	if a.status >= 0x0100 {
		return a, false, fmt.Errorf("%w: %w", printer.ErrOffline, refusal(a.status))
	}
	return a, true, nil
}

// silence is what no answer means: the printer is gone when the connection ended
// in the middle of a question, else it says nothing.
func silence(err error) error {
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, end) {
			return fmt.Errorf("%w: %w", printer.ErrUnplugged, err)
		}
	}
	return fmt.Errorf("%w: %w", printer.ErrMute, err)
}

// Refusals that lead to something.
const (
	notPossible = refusal(0x0404) // client-error-not-possible
	serverBusy  = refusal(0x0507) // server-error-busy: another job is in it
)

func isStatus(err error, want refusal) bool {
	no, is := errors.AsType[refusal](err)
	return is && no == want
}

// pause waits before another try; false: there is no time for one.
func pause(ctx context.Context) bool {
	timer := time.NewTimer(lookEvery)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (p *ippPort) request(op uint16) *request {
	r := newRequest(op, p.id.Add(1))
	r.add(tagURI, "printer-uri", p.uri)
	return r
}

func (p *ippPort) attributes(ctx context.Context) (group, error) {
	r := p.request(opPrinter)
	r.add(tagKeyword, "requested-attributes", "printer-make-and-model", "printer-state", "printer-state-reasons",
		"printer-is-accepting-jobs", "device-uri")
	a, _, err := p.ask(ctx, r, nil)
	if err != nil {
		return group{}, err
	}
	found := a.all(tagPrinter)
	if len(found) == 0 {
		return group{}, fmt.Errorf("%w: %w: no printer in it", printer.ErrMute, errMessage)
	}
	return found[0], nil
}

func (p *ippPort) status(ctx context.Context) (printer.Status, error) {
	g, err := p.attributes(ctx)
	if err != nil {
		return printer.Status{}, err
	}
	return ippStatus(g), nil
}

// ippStatus reads a printer's state and the reasons for it, without their
// severity. RFC 8011, 5.4.11 and 5.4.12; PWG 5100.9.
func ippStatus(g group) printer.Status {
	state, _ := g.number("printer-state")
	s := printer.Status{Model: strings.Join(g.words("printer-make-and-model"), " "), Online: true}
	for _, reason := range g.words("printer-state-reasons") {
		for _, severity := range []string{"-report", "-warning", "-error"} {
			reason = strings.TrimSuffix(reason, severity)
		}
		switch reason {
		case "none": // nor anything about paper
			s.Paper = printer.PaperFull
		case "media-empty", "media-needed", "input-tray-missing":
			s.Paper = printer.PaperOut
		case "media-low":
			s.Paper = max(s.Paper, printer.PaperLow)
		case "media-jam":
			s.Paper = printer.PaperJammed
		case "cover-open", "door-open", "interlock-open":
			s.CoverOpen = true
		case "shutdown", "connecting-to-device", "offline", "timed-out", "paused":
			s.Online = false
		case "toner-empty", "marker-supply-empty", "developer-empty", "fuser-over-temp", "output-area-full":
			s.Fault = true
		}
	}
	if accepting := g.values["printer-is-accepting-jobs"]; len(accepting) == 1 && len(accepting[0].data) == 1 && accepting[0].data[0] == 0 {
		s.Online = false
	}
	if state == printerStopped && s.Err() == nil {
		s.Fault = true
	}
	return s
}

// confirms reports whether "completed" is the printer's own word. A CUPS queue
// names its device: only where that speaks IPP as well does the queue wait for
// the printer to be done.
func confirms(g group) bool {
	device := g.words("device-uri")
	return len(device) == 0 || strings.HasPrefix(device[0], "ipp")
}

func (p *ippPort) print(ctx context.Context, name string, pdf []byte) (printer.Outcome, error) {
	about, err := p.attributes(ctx)
	if err != nil {
		return printer.Failed, err
	}
	r := p.request(opPrintJob)
	r.add(tagName, "requesting-user-name", ourName)
	r.add(tagName, "job-name", name)
	r.add(tagMimeType, "document-format", "application/pdf")
	a, sent, err := p.ask(ctx, r, pdf)
	for isStatus(err, serverBusy) && pause(ctx) {
		a, sent, err = p.ask(ctx, r, pdf)
	}
	switch {
	case err != nil && sent:
		return printer.Unknown, err
	case err != nil:
		return printer.Failed, err
	}
	for _, g := range a.all(tagJob) {
		if id, ok := g.number("job-id"); ok {
			return p.follow(ctx, id, confirms(about))
		}
	}
	return printer.Unknown, fmt.Errorf("%w: %w: no job in it", printer.ErrMute, errMessage)
}

// follow waits for the end of a job. One that doesn't end in time is cancelled,
// and then known by what it has left behind.
func (p *ippPort) follow(ctx context.Context, id int, confirms bool) (printer.Outcome, error) {
	for {
		g, err := p.job(ctx, id)
		if err != nil && ctx.Err() == nil {
			return printer.Unknown, err
		}
		if outcome, err, ended := ippOutcome(g, confirms); ended {
			return outcome, err
		}
		if !pause(ctx) {
			return p.abandon(ctx, id, confirms)
		}
	}
}

// abandon cancels a job whose time is over and says what is known of it.
func (p *ippPort) abandon(late context.Context, id int, confirms bool) (printer.Outcome, error) {
	why := context.Cause(late)
	ctx, stop := context.WithTimeout(context.WithoutCancel(late), askWithin)
	defer stop()
	if s, err := p.status(ctx); err == nil && s.Err() != nil {
		why = fmt.Errorf("%w: %w", s.Err(), why)
	}
	if err := p.cancel(ctx, id); err != nil {
		return printer.Unknown, fmt.Errorf("%w: %w", why, err)
	}
	g, err := p.job(ctx, id)
	if err != nil {
		return printer.Unknown, fmt.Errorf("%w: %w", why, err)
	}
	outcome, _, ended := ippOutcome(g, confirms)
	if !ended {
		outcome = printer.Unknown
	}
	if outcome == printer.Confirmed {
		return outcome, nil
	}
	return outcome, why
}

// errJob says that a job ended without its page.
var errJob = errors.New("job cancelled or aborted")

// ippOutcome reads a job's end. One that was cancelled is certainly not out only
// if the printer counts what it prints, and counted nothing.
func ippOutcome(g group, confirms bool) (outcome printer.Outcome, err error, ended bool) { //nolint:revive // the error is part of the outcome
	state, _ := g.number("job-state")
	switch state {
	case jobCompleted:
		if confirms {
			return printer.Confirmed, nil, true
		}
		return printer.Unknown, printer.ErrMute, true
	case jobCanceled, jobAborted:
		pages, counts := g.number("job-impressions-completed")
		if counts && pages == 0 {
			return printer.Failed, errJob, true
		}
		return printer.Unknown, errJob, true
	}
	return 0, nil, false
}

func (p *ippPort) job(ctx context.Context, id int) (group, error) {
	r := p.request(opJobAttributes)
	r.addInteger("job-id", int32(id))
	r.add(tagName, "requesting-user-name", ourName)
	r.add(tagKeyword, "requested-attributes", "job-state", "job-state-reasons", "job-impressions-completed")
	a, _, err := p.ask(ctx, r, nil)
	if err != nil {
		return group{}, err
	}
	if found := a.all(tagJob); len(found) > 0 {
		return found[0], nil
	}
	return group{}, fmt.Errorf("%w: %w: no job in it", printer.ErrMute, errMessage)
}

func (p *ippPort) cancel(ctx context.Context, id int) error {
	r := p.request(opCancelJob)
	r.addInteger("job-id", int32(id))
	r.add(tagName, "requesting-user-name", ourName)
	_, _, err := p.ask(ctx, r, nil)
	if isStatus(err, notPossible) { // it has ended
		return nil
	}
	return err
}

func (p *ippPort) clear(ctx context.Context) error {
	r := p.request(opJobs)
	r.add(tagName, "requesting-user-name", ourName)
	r.add(tagKeyword, "requested-attributes", "job-id", "job-state")
	r.add(tagKeyword, "which-jobs", "not-completed")
	a, _, err := p.ask(ctx, r, nil)
	if err != nil {
		return err
	}
	for _, g := range a.all(tagJob) {
		if id, ok := g.number("job-id"); ok {
			err = errors.Join(err, p.cancel(ctx, id))
		}
	}
	return err
}
