package server

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"kosk/cmd/bus/agency"
	"kosk/cmd/bus/msglog"
	"kosk/cmd/bus/registry"
	"kosk/device/request"
)

// carries brings a request over the operator's socket.
func (b *bench) carries(id request.ID, sealed []byte, shutOut ...bool) Carried {
	b.t.Helper()
	c, err := Control{Socket: b.sock}.Import(b.t.Context(), id, sealed, len(shutOut) > 0)
	if err != nil {
		b.t.Fatal(err)
	}
	if c.ID != id {
		b.t.Errorf("it is about %s, want %s", c.ID, id)
	}
	return c
}

// A request that is carried and one that is sent are the same: whichever comes first,
// there is one entry, one effect, one use, and one receipt.
func TestCarriedIsAsSent(t *testing.T) {
	b := open(t, t.TempDir())
	k := b.station("KIOSK-001")
	first, second := draftOf(k, 0), draftOf(k, 1)
	carried, sent := k.seal(first), k.seal(second)

	got := b.carries(first.ID, carried)
	if got.Verdict != VerdictAccepted || got.Station != k.name || got.Seq == 0 || got.Reason != "" {
		t.Errorf("%+v", got)
	}
	resp, v := k.ask(http.MethodPut, path(first), carried)
	if resp.StatusCode != http.StatusOK || v["receipt"] == nil {
		t.Errorf("sent when it had been carried: %s %v", resp.Status, v)
	}
	if resp, v := k.ask(http.MethodGet, path(first)+"?wait=20", nil); v["state"] != stateDone {
		t.Errorf("%s %v", resp.Status, v)
	}
	if again := b.carries(first.ID, carried); again.Verdict != VerdictKnown || again.Seq != got.Seq || again.State != stateDone {
		t.Errorf("carried again: %+v", again)
	}

	if resp, _ := k.ask(http.MethodPut, path(second), sent); resp.StatusCode != http.StatusCreated {
		t.Fatalf("sent: %s", resp.Status)
	}
	if got := b.carries(second.ID, sent); got.Verdict != VerdictKnown {
		t.Errorf("carried when it had been sent: %+v", got)
	}
	if got := b.carries(second.ID, k.seal(second)); got.Verdict != VerdictRefused || got.Reason != reasonOtherContent {
		t.Errorf("another sealing: %+v", got)
	}
	b.decides(2)
	if st, err := b.Status(); err != nil || st.Accepted != 2 || st.Effects != 2 {
		t.Errorf("%+v, %v", st, err)
	}
	if m := b.entriesOf(first.ID); len(m) != 4 || m[0].Call != callCarry || m[0].Status != http.StatusCreated || m[0].By != fmt.Sprintf("uid:%d", os.Getuid()) ||
		m[0].Client != "GOV/10001/KIOSK-001" || m[0].LedgerSeq != got.Seq || m[0].UsedService == "" || m[0].Purpose != agency.WorkCertificate || m[1].By != "" || m[3].UsedService != "" {
		t.Errorf("the message log has %+v", m)
	}
}

func (b *bench) entriesOf(id request.ID) []msglog.Entry {
	b.t.Helper()
	all, err := msglog.Find(filepath.Join(b.Registry.Dir(), MessageFolder), string(id))
	if err != nil {
		b.t.Fatal(err)
	}
	return all
}

func TestWhatIsNotCarried(t *testing.T) {
	b := open(t, t.TempDir())
	k, gone := b.station("KIOSK-001"), b.station("KIOSK-002")
	old := draftOf(gone, 2)
	oldSealed := gone.seal(old)
	if got := b.carries(old.ID, oldSealed); got.Verdict != VerdictAccepted {
		t.Fatalf("%+v", got)
	}
	if err := b.Registry.Remove(gone.name, time.Now()); err != nil {
		t.Fatal(err)
	}
	d, lost := draftOf(k, 0), draftOf(gone, 1)
	late := d
	late.TTL, late.CreatedAt = 30*24*time.Hour, d.CreatedAt.Add(-31*24*time.Hour)
	good := k.seal(d)
	stranger := &kiosk{bench: b, name: k.name, key: newKey(t)}
	for _, tt := range []struct {
		name    string
		id      request.ID
		sealed  []byte
		verdict Verdict
		reason  string
	}{
		{"not sealed", d.ID, []byte("hello"), VerdictRefused, reasonBadEnvelope},
		{"changed", d.ID, append(bytes.Clone(good[:len(good)-1]), good[len(good)-1]^1), VerdictRefused, reasonBadEnvelope},
		{"signed by nobody's key", d.ID, stranger.seal(d), VerdictRefused, reasonBadSignature},
		{"under another id", request.NewID(time.Now()), good, VerdictRefused, reasonWrongID},
		{"late", d.ID, k.seal(late), VerdictRefused, reasonTooLate},
		{"not an id", "17", good, VerdictRefused, reasonBadID},
		{"too long", d.ID, make([]byte, request.MaxSealed+1), VerdictRefused, reasonTooLarge},
		{"of a station that was shut out", lost.ID, gone.seal(lost), VerdictRefused, carryShutOut},
		{"of such a station, and there already", old.ID, oldSealed, VerdictKnown, ""},
	} {
		if got := b.carries(tt.id, tt.sealed); got.Verdict != tt.verdict || got.Reason != tt.reason {
			t.Errorf("%s: %+v, want %s %s", tt.name, got, tt.verdict, tt.reason)
		}
	}
	if got := b.carries(lost.ID, gone.seal(lost), true); got.Verdict != VerdictAccepted || got.Station != gone.name {
		t.Errorf("shut out, and known to be: %+v", got)
	}
	if _, err := b.Registry.Change(func(d *registry.Directory) error { d.Rights = nil; return nil }); err != nil {
		t.Fatal(err)
	}
	if got := b.carries(d.ID, good); got.Verdict != VerdictRefused || got.Reason != "access_denied" {
		t.Errorf("without a right: %+v", got)
	}
	if m := b.entriesOf(d.ID); m[len(m)-1].Call != callCarry || m[len(m)-1].Error == "" {
		t.Errorf("the message log has %+v", m)
	}
	b.decides(2)
	if st, err := b.Status(); err != nil || st.Accepted != 2 {
		t.Errorf("%+v, %v", st, err)
	}
}

// Sent and carried at once, by many, a request is one; who came in between is asked to
// come again.
func TestCarriedWhileItIsSent(t *testing.T) {
	b := open(t, t.TempDir())
	k := b.station("KIOSK-001")
	for range 10 {
		d := draftOf(k, 0)
		sealed := k.seal(d)
		var all sync.WaitGroup
		var mu sync.Mutex
		created := 0
		count := func(first bool) {
			mu.Lock()
			defer mu.Unlock()
			if first {
				created++
			}
		}
		for range 4 {
			all.Go(func() {
				got, err := Control{Socket: b.sock}.Import(t.Context(), d.ID, sealed, false)
				if err != nil || got.Verdict == VerdictRefused || got.Verdict == VerdictAgain && got.Reason != reasonInFlight {
					t.Errorf("carried: %+v, %v", got, err)
				}
				count(got.Verdict == VerdictAccepted)
			})
			all.Go(func() {
				resp, v := k.ask(http.MethodPut, path(d), sealed)
				if resp.StatusCode > http.StatusCreated && resp.StatusCode != http.StatusConflict {
					t.Errorf("sent: %s %v", resp.Status, v)
				}
				count(resp.StatusCode == http.StatusCreated)
			})
		}
		all.Wait()
		if created != 1 {
			t.Errorf("it was created %d times", created)
		}
	}
	b.decides(10)
}

func TestCarriedToNobody(t *testing.T) {
	_, err := Control{Socket: filepath.Join(t.TempDir(), "bus.sock")}.Import(t.Context(), request.NewID(time.Now()), []byte("x"), false)
	if !errors.Is(err, ErrNotServing) {
		t.Errorf("got %v", err)
	}
}

// What a person may see of a request that was carried is nothing of a person.
func TestCarriedTellsNothing(t *testing.T) {
	b := open(t, t.TempDir())
	k := b.station("KIOSK-001")
	d := draftOf(k, 0)
	got := fmt.Sprintf("%+v", b.carries(d.ID, k.seal(d)))
	for _, secret := range []string{d.Holder.FIN, d.Holder.Surname, d.Holder.DocumentNumber} {
		if strings.Contains(got+b.log.String(), secret) {
			t.Errorf("it tells %s", secret)
		}
	}
}
