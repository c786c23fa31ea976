package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kosk/offline"
	"kosk/offline/queue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newDesk is a desk over a queue that runs.
func newDesk(t *testing.T) *Desk {
	t.Helper()
	q, err := queue.Open(filepath.Join(t.TempDir(), "queue.db"), queue.Options{MaxSize: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- q.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, q.Close()); err != nil {
			t.Error(err)
		}
	})
	return &Desk{Queue: q}
}

const (
	one = "01K9ZZZZZZZZZZZZZZZZZZZZZ1"
	two = "01K9ZZZZZZZZZZZZZZZZZZZZZ2"
)

func put(t *testing.T, d *Desk, id, body string) {
	t.Helper()
	if err := d.Queue.Put(t.Context(), offline.Item{ID: id, Stream: "citizen", Refused: offline.Block, TTL: time.Hour, Body: []byte(body)}); err != nil {
		t.Fatal(err)
	}
}

// serve lets a desk answer at a socket and returns its path.
func serve(t *testing.T, s *Server) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ctl") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "kiosk.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	return path
}

func ask(t *testing.T, path string, q Request) Response {
	t.Helper()
	r, err := Ask(t.Context(), path, q)
	if err != nil {
		t.Fatalf("%+v: %v", q, err)
	}
	return r
}

func TestWhatAnOperatorDoesOverTheSocket(t *testing.T) {
	d := newDesk(t)
	d.Status = func(context.Context) (json.RawMessage, error) { return json.RawMessage(`{"version":1}`), nil }
	path := serve(t, &Server{Desk: d, Log: slog.New(slog.DiscardHandler)})
	put(t, d, one, "sealed one")
	put(t, d, two, "sealed two")
	list := ask(t, path, Request{Verb: List})
	if len(list.Items) != 2 || list.Items[0].ID != one || list.Items[0].State != "queued" || list.Items[0].Class != "waiting" ||
		!list.Items[0].Blocks || list.Items[0].TTL != 3600 || list.Items[0].Stream != list.Items[1].Stream || list.Items[0].Created.IsZero() {
		t.Fatalf("%+v", list.Items)
	}
	ask(t, path, Request{Verb: Park, ID: one})
	if i := ask(t, path, Request{Verb: Show, ID: one}).Items[0]; i.State != "parked" || i.Reason != ReasonOperator {
		t.Errorf("%+v", i)
	}
	if parked := ask(t, path, Request{Verb: List, States: []string{"parked"}}).Items; len(parked) != 1 {
		t.Errorf("%+v", parked)
	}
	if s, _ := d.Queue.Stats(); s.Blocked != 1 {
		t.Error("the stream isn't blocked")
	}
	ask(t, path, Request{Verb: Release, ID: one})
	if s, _ := d.Queue.Stats(); s.Blocked != 0 {
		t.Error("the stream isn't released")
	}
	ask(t, path, Request{Verb: Requeue, ID: one})
	if s, _ := d.Queue.Stats(); s.Queued != 2 {
		t.Error("not put back")
	}
	if b := ask(t, path, Request{Verb: Export, ID: two}).Body; !bytes.HasSuffix(b, []byte("\nsealed two")) || !bytes.HasPrefix(b, []byte(`{"id":"`+two)) {
		t.Errorf("%q", b)
	}
	if c := ask(t, path, Request{Verb: Check}).Checked; c.Items != 2 || len(c.Damaged) != 0 || c.Bytes != 20 {
		t.Errorf("%+v", c)
	}
	if err := d.Queue.Done(t.Context(), two, []byte("receipt")); err != nil {
		t.Fatal(err)
	}
	if i := ask(t, path, Request{Verb: Show, ID: two}).Items[0]; i.State != "finished" || string(i.Receipt) != "receipt" {
		t.Errorf("%+v", i)
	}
	if s := ask(t, path, Request{Verb: Status}).Status; string(s) != `{"version":1}` {
		t.Errorf("%s", s)
	}
}

func TestErrorsComeBackAsThemselves(t *testing.T) {
	d := newDesk(t)
	path := serve(t, &Server{Desk: d, Log: slog.New(slog.DiscardHandler)})
	put(t, d, one, "sealed")
	for name, tt := range map[string]struct {
		q    Request
		want error
	}{
		"an id that isn't there":  {Request{Verb: Show, ID: two}, offline.ErrNotFound},
		"nothing parked":          {Request{Verb: Requeue, ID: one}, offline.ErrNotFound},
		"no status":               {Request{Verb: Status}, ErrNoSuch},
		"no bin":                  {Request{Verb: EmptyBin}, ErrNoSuch},
		"a verb that isn't one":   {Request{Verb: "drop"}, ErrQuestion},
		"a state that isn't one":  {Request{Verb: List, States: []string{"lost"}}, ErrQuestion},
		"a reason that isn't one": {Request{Verb: Park, ID: one, Reason: "Anar Məmmədov"}, ErrQuestion},
	} {
		if _, err := Ask(t.Context(), path, tt.q); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

func TestOnlyTheOwnerIsAnswered(t *testing.T) {
	seen := make(chan uint32, 2)
	s := &Server{Desk: newDesk(t), Log: slog.New(slog.DiscardHandler), allowed: func(uid uint32) bool { seen <- uid; return false }}
	path := serve(t, s)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := Ask(t.Context(), path, Request{Verb: List}); !errors.Is(err, ErrHungUp) {
		t.Errorf("got %v", err)
	}
	if uid := <-seen; int(uid) != os.Geteuid() {
		t.Errorf("the kernel said %d", uid)
	}
	lets := (&Server{}).lets
	if !lets(0) || !lets(uint32(os.Geteuid())) || lets(uint32(os.Geteuid())+1) {
		t.Error("others are answered, or root isn't")
	}
}

func TestNobodyThere(t *testing.T) {
	dir, err := os.MkdirTemp("", "ctl")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "kiosk.sock")
	if _, err := Ask(t.Context(), path, Request{Verb: List}); !errors.Is(err, ErrNotRunning) {
		t.Errorf("no socket: %v", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Ask(t.Context(), path, Request{Verb: List}); !errors.Is(err, ErrNotRunning) {
		t.Errorf("a socket that was left: %v", err)
	}
	again, err := Listen(path)
	if err != nil {
		t.Fatalf("in place of what was left: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Listen(filepath.Join(dir, "none", "kiosk.sock")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

// Whoever writes nonsense gets words, and whoever writes nothing holds nobody up.
func TestForeignBytes(t *testing.T) {
	path := serve(t, &Server{Desk: newDesk(t), Log: slog.New(slog.DiscardHandler)})
	for range atOnce - 1 { // hang there until the end
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	for _, text := range []string{"no json\n", "{\n}", `[1]`, `{"verb":1}`, `"` + strings.Repeat("x", maxQuestion) + `"`} {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte(text))
		var r Response
		if err := json.NewDecoder(c).Decode(&r); err != nil && len(text) < 100 || err == nil && !errors.Is(r.Err(), ErrQuestion) {
			t.Errorf("%.20q: %v, %+v", text, err, r)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	ask(t, path, Request{Verb: List})
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"verb":"list","states":["parked"]}`))
	f.Add([]byte(`{"verb":"show","id":"01K9ZZZZZZZZZZZZZZZZZZZZZ1"}`))
	q, err := queue.Open(filepath.Join(f.TempDir(), "queue.db"), queue.Options{MaxSize: 1 << 20})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = q.Close() })
	d := &Desk{Queue: q}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Request
		if json.Unmarshal(b, &r) != nil {
			return
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // nobody commits
		if a := d.Do(ctx, r); a.Error == "" && r.Verb != List && r.Verb != Check {
			t.Errorf("%q on an empty queue: %+v", b, a)
		}
	})
}
