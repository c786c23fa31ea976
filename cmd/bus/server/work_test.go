package server

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"kosk/cmd/bus/ledger"
)

// faltering is a ledger that can't be asked for a while when a decision is to be
// written.
type faltering struct {
	ledger.Ledger
	left atomic.Int64
}

func (f *faltering) Append(ctx context.Context, key string, body []byte) (ledger.Entry, bool, error) {
	if strings.HasPrefix(key, outcomePrefix) && f.left.Add(-1) >= 0 {
		return ledger.Entry{}, false, ledger.ErrUnavailable
	}
	return f.Ledger.Append(ctx, key, body)
}

func TestWorkIsDoneWhenTheLedgerCanBeAskedAgain(t *testing.T) {
	f := &faltering{}
	f.left.Store(2)
	b := open(t, t.TempDir(), func(c *Config) { f.Ledger, c.Ledger = c.Ledger, f })
	k := b.station("KIOSK-001")
	d := draftOf(k, 0)
	if resp, v := k.ask(http.MethodPut, path(d), k.seal(d)); resp.StatusCode != http.StatusCreated {
		t.Fatalf("%s %v", resp.Status, v)
	}
	if resp, v := k.ask(http.MethodGet, path(d)+"?wait=20", nil); resp.StatusCode != http.StatusOK || v["state"] != stateDone {
		t.Errorf("%s %v, want it done", resp.Status, v["state"])
	}
	if n := strings.Count(b.log.String(), "work failed"); n != 2 {
		t.Errorf("the log tells of %d failures, want 2", n)
	}
}
