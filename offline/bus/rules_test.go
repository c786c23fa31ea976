package bus

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kosk/offline"
)

func newLog(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// TestClasses holds every type of error, by whom and in which spelling, and every
// status, against the table of classes as the specification of the bus has it.
func TestClasses(t *testing.T) {
	no := []string{
		"AccessDenied", "UnknownService", "ServiceDisabled", "UnknownMember", "InvalidClientIdentifier",
		"SslAuthenticationFailed", "MessageTooLarge", "RequestBodyTooLarge",
	}
	maybe := []string{
		"ServiceFailed.HttpError", "NetworkError", "IOError", "InternalError", "DatabaseError", "LoggingFailed",
		"TimestampingFailed", "SomethingNew", "MaintenanceModeNot",
	}
	away := []string{"MaintenanceMode", "GlobalConfOutdated", "OutdatedGlobalConf"}
	spell := func(typ string, snake bool) string { // IOError -> io_error
		if !snake {
			return typ
		}
		var b strings.Builder
		for i, r := range typ {
			upper := r >= 'A' && r <= 'Z'
			if upper && i > 0 && typ[i-1] != '.' && (typ[i-1] < 'A' || typ[i-1] > 'Z') {
				b.WriteByte('_')
			}
			b.WriteRune(r)
		}
		return strings.ToLower(b.String())
	}
	n := 0
	for _, by := range []string{"Server.ServerProxy.", "Server.ClientProxy.", "Client.", "Client.ClientProxy."} {
		for _, typ := range slices.Concat(no, maybe, away) {
			for _, snake := range []bool{false, true} {
				for _, status := range []int{200, 400, 404, 429, 500, 503} {
					for _, method := range []string{http.MethodPut, http.MethodGet, http.MethodPost} {
						want := actions[unknown]
						switch {
						case slices.Contains(away, typ) && strings.Contains(by, "ClientProxy"):
							want = actions[notSent]
						case strings.HasPrefix(by, "Client."), slices.Contains(no, typ):
							want = actions[refused]
						}
						h := http.Header{"X-Road-Error": {spell(by+typ, snake)}}
						f, ok := judge(request{method: method, issue: "x"}, answer{status: status, header: h}).(*offline.Fault)
						if !ok || f.Err != want.err || f.Sent != want.sent {
							t.Errorf("%s %d %s: %v", method, status, h, f)
						}
						n++
					}
				}
			}
		}
	}
	t.Logf("%d answers of X-Road judged", n)
}

// TestDeadlines holds the deadlines against those that the contract names.
func TestDeadlines(t *testing.T) {
	if got, want := (Deadlines{}).withDefaults(), (Deadlines{10 * time.Second, 60 * time.Second, 5 * time.Second}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestStatuses holds every status of a provider against the same table.
func TestStatuses(t *testing.T) {
	for status := 200; status < 600; status++ {
		for _, method := range []string{http.MethodPut, http.MethodGet, http.MethodPost} {
			for _, retry := range []string{"", "7"} {
				var want class
				switch {
				case status == 404 && method == http.MethodGet:
					want = absent
				case status == 422 && method == http.MethodPut:
					want = conflict
				case status == 425, status == 429, status == 503 && retry != "":
					want = turnedAway
				case status == 408, status == 409, status >= 500, status < 400:
					want = unknown
				default:
					want = refused
				}
				a := answer{status: status, header: http.Header{"Retry-After": {retry}}}
				err := judge(request{method: method, issue: "x"}, a)
				if status/100 == 2 {
					if err != nil {
						t.Errorf("%d: %v", status, err)
					}
					continue
				}
				f, ok := err.(*offline.Fault)
				if !ok || f.Err != actions[want].err || f.Sent != actions[want].sent {
					t.Errorf("%s %d, retry %q: %v", method, status, retry, err)
				}
			}
		}
	}
}

func TestIdentifiersAreEscapedPartByPart(t *testing.T) {
	for in, want := range map[string]string{
		"AZ/GOV/10001/kiosk+1": "AZ/GOV/10001/kiosk+1",
		"AZ/GOV/Bakı şəhəri/x": "AZ/GOV/Bak%C4%B1%20%C5%9F%C9%99h%C9%99ri/x",
		"AZ/a?b/c%d":           "AZ/a%3Fb/c%25d",
	} {
		if got := escapeParts(in); got != want {
			t.Errorf("%q becomes %q", in, got)
		}
	}
	if got := oddParts("AZ-TEST/GOV/a_b/k'(1)+,-.=?/ə"); !slices.Equal(got, []string{"a_b", "ə"}) {
		t.Errorf("odd %q", got)
	}
}

func TestABreakerIsOneServicesAffair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Client{}
		b := &c.breakers
		bad := &offline.Fault{Err: offline.ErrAgency, Sent: true}
		harmless := []error{
			&offline.Fault{Err: offline.ErrLineDown, Sent: true}, &offline.Fault{Err: offline.ErrBusIdentity},
		}
		fail := func(name string, err error) bool {
			if b.allow(name, time.Now()) > 0 {
				return false
			}
			b.settle(name, time.Now(), err, false)
			return true
		}
		for range breakAfter - 1 {
			fail("a", bad)
			for _, err := range harmless {
				fail("a", err)
			}
		}
		if !fail("a", bad) || fail("a", bad) {
			t.Error("does not open at the fifth")
		}
		if !fail("b", nil) {
			t.Error("the other service is cut off too")
		}
		open := func() time.Duration { return b.allow("a", time.Now()) }
		if s := c.Services(); len(s) != 2 || !s[0].Open || s[0].Name != "a" || s[1].Open {
			t.Errorf("%+v", s)
		}
		for round := range 8 { // half open, fails again, and is open for longer, up to a bound
			time.Sleep(open())
			if open() > 0 {
				t.Fatal("nobody may look")
			}
			if open() == 0 {
				t.Error("two may look at once")
			}
			b.settle("a", time.Now(), bad, false)
			if d, bound := open(), min(openCap, openBase<<(round+1)); d < bound/2 || d > bound {
				t.Errorf("round %d: open for %v of %v", round, d, bound)
			}
		}
		time.Sleep(open())
		b.allow("a", time.Now())
		b.settle("a", time.Now(), bad, true) // we hung up: it tells nothing
		if open() > 0 {
			t.Error("nobody may look again")
		}
		b.settle("a", time.Now(), &offline.Fault{Err: offline.ErrRefused}, false)
		for range breakAfter {
			if open() > 0 {
				t.Error("a refusal is an answer")
			}
		}
	})
}

func FuzzPace(f *testing.F) {
	f.Add("0.4", "60")
	f.Add("-1", "NaN")
	f.Add("Inf", "1e308")
	f.Fuzz(func(t *testing.T, rate, first string) {
		p := paceOf(http.Header{"X-Kosk-Rate": {rate}, "X-Kosk-First-Contact": {first}})
		if !(p.Rate >= 0 && p.Rate <= 1e6) || p.FirstContact < 0 || p.FirstContact > maxRetryAfter {
			t.Errorf("%+v", p)
		}
	})
}

func FuzzParseTime(f *testing.F) {
	f.Add([]byte(`{"time":"2026-11-22T06:00:00Z","new":1}`))
	f.Add([]byte(`{"time":"0001-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"time":7}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		at, err := parseTime(b)
		if (err == nil) == at.IsZero() {
			t.Errorf("%v, %v", at, err)
		}
		if c, _ := NewClock(nil, nil); err == nil {
			if now := time.Now(); c.set(at, now, now, nil) != nil || c.State() != ClockTrusted {
				t.Errorf("%v is not taken", at)
			}
		}
	})
}

func FuzzParseEST(f *testing.F) {
	f.Add([]byte(opensslCertsOnly))
	f.Add([]byte("MAA=\r\n"))
	f.Add([]byte("<html>"))
	f.Fuzz(func(t *testing.T, b []byte) {
		certs, err := parseEST(b)
		if (err == nil) != (len(certs) > 0) {
			t.Error(fmt.Errorf("%d certificates: %w", len(certs), err))
		}
	})
}
