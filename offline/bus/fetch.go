package bus

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"kosk/offline"
)

// ErrBusy says that a report is under way already.
var ErrBusy = errors.New("report under way")

// Report sends telemetry: JSON that the caller has made. It gives way to all else:
// it is not sent while the line is down (offline.ErrLineDown) or another one is
// under way (ErrBusy), and never twice.
func (c *Client) Report(ctx context.Context, body []byte) error {
	if known, _, state := c.line.now(); known && state != nil {
		return fmt.Errorf("report: %w", &offline.Fault{Type: "line.known", Err: state})
	}
	if !c.reporting.CompareAndSwap(false, true) {
		return fmt.Errorf("report: %w", ErrBusy)
	}
	defer c.reporting.Store(false)
	err := c.guarded(ctx, "telemetry", request{
		method: http.MethodPost, path: "/v1/telemetry", kind: "application/json",
		body: body, within: c.opts.Deadlines.LookUp, anyKind: true,
	}, func(answer) error { return nil })
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// Fetch gets what stands under a path of the intake, such as "v1/catalogue", if it
// has changed since etag; etag "" is never. What it returns is as trustworthy as
// the connection: signatures are the caller's affair.
func (c *Client) Fetch(ctx context.Context, path, etag string) (body []byte, next string, changed bool, err error) {
	if !strings.HasPrefix(path, "v1/") || strings.Contains(path, "..") || strings.ContainsAny(path, "#\\ \r\n") {
		return nil, "", false, fmt.Errorf("fetch %q: not a path of the bus", path)
	}
	name, _, _ := strings.Cut(path, "?")
	err = c.guarded(ctx, name, request{
		method: http.MethodGet, path: "/" + path, tag: etag, within: c.opts.Deadlines.Answer, anyKind: true,
	}, func(a answer) error {
		if a.status == http.StatusNotModified {
			next = etag
			return nil
		}
		body, next, changed = a.body, a.header.Get("Etag"), true
		return nil
	})
	if err != nil {
		return nil, "", false, fmt.Errorf("fetch %s: %w", path, err)
	}
	return body, next, changed, nil
}
