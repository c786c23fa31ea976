package console

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"kosk/cmd/bus/agency"
	"kosk/cmd/bus/registry"
	"kosk/cmd/bus/server"
	"kosk/device/health"
)

func TestNobodyIsLetInWithoutSession(t *testing.T) {
	v := open(t).visitor()
	for _, path := range []string{"/", "/kiosk/x", "/messages", "/statistics", "/bus", "/nowhere"} {
		if resp, _ := v.get(path); resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/login" {
			t.Errorf("%s: %s to %q", path, resp.Status, resp.Header.Get("Location"))
		}
	}
	for _, path := range []string{"/kiosk/x/remove", "/bus/faults/clear", "/messages/verify", "/logout"} {
		if resp, _ := v.post(path, nil); resp.StatusCode != http.StatusSeeOther {
			t.Errorf("post %s: %s", path, resp.Status)
		}
	}
	forged := &http.Cookie{Name: cookieName, Value: "AAAAAAAAAAAAAAAAAAAAAAAAAA", Secure: true, Path: "/"}
	v.Jar.SetCookies(must(url.Parse(v.url))(t), []*http.Cookie{forged})
	if resp, _ := v.get("/"); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("forged session: %s", resp.Status)
	}
}

func TestHeadersKeepThePageToItself(t *testing.T) {
	v := open(t).signedInAs("rauf")
	for _, path := range []string{"/", "/login", "/style.css", "/nowhere"} {
		resp, body := v.get(path)
		for header, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
		} {
			if got := resp.Header.Get(header); got != want {
				t.Errorf("%s: %s is %q", path, header, got)
			}
		}
		csp := resp.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none';") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "script-src") {
			t.Errorf("%s: policy %q", path, csp)
		}
		if strings.Contains(body, "<script") || strings.Contains(body, " style=") {
			t.Errorf("%s has inline script or style", path)
		}
	}
	resp, _ := open(t).visitor().post("/login", url.Values{"name": {"rauf"}, "password": {password}})
	set := resp.Header.Get("Set-Cookie")
	for _, want := range []string{"__Host-kosk=", "Path=/", "HttpOnly", "Secure", "SameSite=Strict"} {
		if !strings.Contains(set, want) {
			t.Errorf("cookie %q has no %s", set, want)
		}
	}
	if strings.Contains(set, "Domain") {
		t.Errorf("cookie %q has a domain", set)
	}
}

func TestTokenIsNewAtEveryLogin(t *testing.T) {
	v := open(t).signedInAs("nigar")
	first := v.cookie().Value
	v.post("/login", url.Values{"name": {"nigar"}, "password": {password}})
	if v.cookie().Value == first {
		t.Error("the token stayed the same")
	}
	old := v.visitor()
	old.Jar.SetCookies(must(url.Parse(v.url))(t), []*http.Cookie{{Name: cookieName, Value: first, Secure: true, Path: "/"}})
	if resp, _ := old.get("/"); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("the old token still opens the page: %s", resp.Status)
	}
}

func TestSessionEnds(t *testing.T) {
	b := open(t)
	out := b.signedInAs("nigar")
	held := out.cookie()
	out.post("/logout", url.Values{"csrf": {out.csrf()}})
	out.Jar.SetCookies(must(url.Parse(b.url))(t), []*http.Cookie{held})
	if resp, _ := out.get("/"); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("after logout: %s", resp.Status)
	}
	changed := b.signedInAs("nigar")
	if err := b.Registry.AddOperator("nigar", registry.RoleOperator, "another long password", time.Now()); err != nil {
		t.Fatal(err)
	}
	if resp, _ := changed.get("/"); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("after a new password: %s", resp.Status)
	}
	gone := b.signedInAs("rauf")
	if err := b.Registry.RemoveOperator("rauf"); err != nil {
		t.Fatal(err)
	}
	if resp, _ := gone.get("/"); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("after the operator was removed: %s", resp.Status)
	}
}

func TestSessionEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSessions()
		token := s.begin(registry.Operator{Name: "nigar"}, time.Now())
		for range int(sessionLife/(10*time.Minute)) - 1 {
			time.Sleep(10 * time.Minute)
			if _, ok := s.find(token, time.Now()); !ok {
				t.Fatal("a session in use ended")
			}
		}
		time.Sleep(11 * time.Minute)
		if _, ok := s.find(token, time.Now()); ok {
			t.Error("a session outlived the working day")
		}
		idle := s.begin(registry.Operator{Name: "nigar"}, time.Now())
		time.Sleep(idleAfter + time.Second)
		if _, ok := s.find(idle, time.Now()); ok {
			t.Error("an idle session lives on")
		}
	})
}

func TestGuessingIsSlowedDown(t *testing.T) {
	b := open(t)
	v := b.visitor()
	for _, name := range []string{"nigar", "nobody"} {
		for i := range failuresFree + 1 {
			resp, body := v.post("/login", url.Values{"name": {name}, "password": {"wrong"}})
			want := http.StatusUnauthorized
			if i == failuresFree {
				want = http.StatusTooManyRequests
			}
			if resp.StatusCode != want || strings.Contains(body, name) {
				t.Errorf("attempt %d of %s: %s, want %d", i, name, resp.Status, want)
			}
		}
	}
	if resp, _ := v.post("/login", url.Values{"name": {"nigar"}, "password": {password}}); resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the right password within the wait: %s", resp.Status)
	}
	if resp, _ := v.post("/login", url.Values{"name": {"rauf"}, "password": {password}}); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("somebody else: %s", resp.Status)
	}
	if strings.Contains(b.log.String(), "nobody") {
		t.Error("what was typed as a name is in the log")
	}
}

func TestThrottleForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle()
		for range failuresFree {
			if !th.admit("nigar", time.Now()) {
				t.Fatal("refused too early")
			}
			th.ended("nigar", false, time.Now())
		}
		if th.admit("nigar", time.Now()) {
			t.Error("not refused")
		}
		time.Sleep(failureLife)
		if !th.admit("nigar", time.Now()) {
			t.Error("refused for ever")
		}
		n := 0
		for i := range 2 * loginsAMin {
			if th.admit(strings.Repeat("x", i+1), time.Now()) {
				n++
			}
		}
		if n >= loginsAMin {
			t.Errorf("%d logins in a minute", n)
		}
	})
}

// A name that nobody has costs about as much as a wrong password.
func TestUnknownNameTakesAsLong(t *testing.T) {
	b := open(t)
	v := b.visitor()
	took := func(name string) time.Duration { // of the processor: the machine may be busy with something else
		before := processorTime(t)
		v.post("/login", url.Values{"name": {name}, "password": {"a wrong password"}})
		return processorTime(t) - before
	}
	known, unknown := time.Hour, time.Hour
	for range 3 {
		known, unknown = min(known, took("nigar")), min(unknown, took("nobody"))
	}
	if unknown < known/2 || known < unknown/2 { // without the work it would be a hundredth
		t.Errorf("known %v, unknown %v", known, unknown)
	}
	t.Logf("known %v, unknown %v", known, unknown)
}

// processorTime is what this process has used.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestOtherSitesCanDoNothing(t *testing.T) {
	b := open(t)
	b.station("KIOSK-001")
	v := b.signedInAs("nigar")
	token := v.csrf()
	sure := url.Values{"sure": {"yes"}, "csrf": {token}}
	for name, try := range map[string]func() (*http.Response, string){
		"no token": func() (*http.Response, string) { return v.post("/kiosk/KIOSK-001/remove", url.Values{"sure": {"yes"}}) },
		"another token": func() (*http.Response, string) {
			return v.post("/kiosk/KIOSK-001/remove", url.Values{"sure": {"yes"}, "csrf": {"x"}})
		},
		"from another": func() (*http.Response, string) {
			return v.post("/kiosk/KIOSK-001/remove", sure, "Sec-Fetch-Site", "cross-site")
		},
		"another's origin": func() (*http.Response, string) {
			return v.post("/kiosk/KIOSK-001/remove", sure, "Origin", "https://example.org")
		},
		"login from another": func() (*http.Response, string) {
			return v.post("/login", url.Values{"name": {"nigar"}, "password": {password}}, "Sec-Fetch-Site", "cross-site")
		},
	} {
		if resp, _ := try(); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %s", name, resp.Status)
		}
	}
	if s := must(b.Registry.Station("KIOSK-001"))(t); !s.Removed.IsZero() {
		t.Error("the station was shut out")
	}
}

func TestOperatorActsAndAuditorReads(t *testing.T) {
	b := open(t)
	b.station("KIOSK-001")
	control := server.Control{Socket: filepath.Join(b.dir, "bus.sock")}
	if _, err := control.SetFault(t.Context(), server.Fault{Name: "slow", Service: "intake", Times: 1}); err != nil {
		t.Fatal(err)
	}
	auditor, operator := b.signedInAs("rauf"), b.signedInAs("nigar")
	form := url.Values{"sure": {"yes"}, "csrf": {auditor.csrf()}}
	for _, path := range []string{"/kiosk/KIOSK-001/remove", "/bus/faults/clear"} {
		if resp, _ := auditor.post(path, form); resp.StatusCode != http.StatusForbidden {
			t.Errorf("auditor, %s: %s", path, resp.Status)
		}
	}
	for _, path := range []string{"/kiosk/KIOSK-001", "/bus"} {
		if _, body := auditor.get(path); strings.Contains(body, "/remove") || strings.Contains(body, "/clear") {
			t.Errorf("%s offers an auditor what they may not do", path)
		}
	}
	if resp, _ := auditor.post("/messages/verify", form); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("auditor, verify: %s", resp.Status)
	}
	if st := must(b.Bus.Status())(t); len(st.Faults) != 1 {
		t.Errorf("faults: %v", st.Faults)
	}
	form = url.Values{"csrf": {operator.csrf()}}
	if resp, _ := operator.post("/kiosk/KIOSK-001/remove", form); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("operator who isn't sure: %s", resp.Status)
	}
	form.Set("sure", "yes")
	for _, path := range []string{"/kiosk/KIOSK-001/remove", "/bus/faults/clear"} {
		if resp, _ := operator.post(path, form); resp.StatusCode != http.StatusSeeOther {
			t.Errorf("operator, %s: %s", path, resp.Status)
		}
	}
	if st := must(b.Bus.Status())(t); len(st.Faults) != 0 {
		t.Errorf("faults: %v", st.Faults)
	}
	if status, _ := b.ask("KIOSK-001", http.MethodGet, "/v1/time", nil); status == http.StatusOK {
		t.Error("a station that was shut out is served")
	}
	if !strings.Contains(b.log.String(), `"msg":"station shut out","station":"KIOSK-001","operator":"nigar"`) {
		t.Error("the log doesn't say who shut the station out")
	}
}

func TestSearchFindsByIdAlone(t *testing.T) {
	b := open(t)
	b.station("KIOSK-001")
	id, p := b.submit("KIOSK-001", 0)
	v := b.signedInAs("rauf")
	resp, body := v.get("/messages?id=" + strings.ToLower(id))
	for _, want := range []string{id, "KIOSK-001", "Done", "workplace_cert", "201"} {
		if resp.StatusCode != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: no %q on the page", resp.Status, want)
		}
	}
	for _, other := range []string{p.FIN, p.Surname, "<script>", strings.Repeat("x", 40), "01ARZ3NDEKTSV4RRFFQ69G5FAV"} {
		resp, body := v.get("/messages?id=" + url.QueryEscape(other))
		if resp.StatusCode != http.StatusNotFound || other != "01ARZ3NDEKTSV4RRFFQ69G5FAV" && strings.Contains(body, other) {
			t.Errorf("%q: %s, or it is shown again", other, resp.Status)
		}
	}
}

func TestVerificationFindsAnEdit(t *testing.T) {
	b := open(t)
	b.station("KIOSK-001")
	b.submit("KIOSK-001", 0)
	v := b.signedInAs("rauf")
	form := url.Values{"csrf": {v.csrf()}}
	v.post("/messages/verify", form)
	if _, body := v.get("/messages"); !strings.Contains(body, "Whole: entries 1 to") {
		t.Error("a whole log isn't said to be whole")
	}
	dir := filepath.Join(b.dir, server.MessageFolder)
	var path string
	for _, e := range must(os.ReadDir(dir))(t) {
		if strings.HasPrefix(e.Name(), "20") {
			path = filepath.Join(dir, e.Name())
		}
	}
	log := must(os.ReadFile(path))(t)
	if err := os.WriteFile(path, []byte(strings.Replace(string(log), `"status":201`, `"status":200`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	v.post("/messages/verify", form)
	if _, body := v.get("/messages"); !strings.Contains(body, "The log is not what was written.") {
		t.Error("an edit isn't found")
	}
	if err := os.WriteFile(path, log, 0o600); err != nil { // the bus goes on in it
		t.Fatal(err)
	}
}

// TestNothingPersonal plants names and FINs wherever a kiosk sends them, and looks
// for them on every page and in the log.
func TestNothingPersonal(t *testing.T) {
	b := open(t)
	b.fleet()
	var people []agency.Person
	var ids []string
	for i := range 3 {
		id, p := b.submit("ASAN-BAKU-1-KIOSK-04", i)
		people, ids = append(people, p), append(ids, id)
		question := must(json.Marshal(map[string]string{"fin": p.FIN}))(t)
		b.ask("ASAN-BAKU-1-KIOSK-05", http.MethodPost, "/v1/lookups/employment.contract.by_fin", question, "X-Road-Issue", id, "X-Road-Id", p.FIN)
		b.ask("ASAN-BAKU-1-KIOSK-05", http.MethodGet, "/v1/submissions/"+p.FIN, nil, "X-Road-Issue", id)
	}
	v := b.signedInAs("nigar")
	v.post("/messages/verify", url.Values{"csrf": {v.csrf()}})
	paths := append(everyPage(ids[0]), "/messages?id="+ids[1], "/messages?id="+ids[2], "/messages?id="+people[0].FIN, "/statistics", "/messages", "/login")
	pages := map[string]string{"the log": b.log.String()}
	for _, path := range paths {
		_, pages[path] = v.get(path)
	}
	for path, body := range pages {
		if len(body) < 500 {
			t.Errorf("%s is nearly empty", path)
		}
		for _, p := range people {
			for _, secret := range []string{p.FIN, p.Surname, p.GivenNames, p.DocumentNumber} {
				if strings.Contains(strings.ToLower(body), strings.ToLower(secret)) && path != "the log" || strings.Contains(body, secret) {
					t.Errorf("%s shows %q", path, secret)
				}
			}
		}
		if strings.Contains(body, "hmac:") {
			t.Errorf("%s shows a digest", path)
		}
	}
}

func TestWorstFirst(t *testing.T) {
	now := time.Now()
	make := func(name string, change func(*health.Report)) kiosk {
		k := kiosk{Name: name, Enrolled: now.AddDate(1, 0, 0), LastSeen: now, Told: true, Telling: server.Telling{Report: well()}}
		change(&k.Telling.Report)
		return k
	}
	silent := make("silent", func(*health.Report) {})
	silent.LastSeen = now.Add(-31 * time.Minute)
	hushed := make("hushed", func(*health.Report) {})
	hushed.LastSeen = now.Add(-11 * time.Minute)
	ending := make("ending", func(*health.Report) {})
	ending.Enrolled = now.Add(10 * 24 * time.Hour)
	all := []kiosk{
		make("fine-b", func(*health.Report) {}),
		make("fine-a", func(*health.Report) {}),
		make("busy", func(r *health.Report) { r.Queue.Depth = 5 }),
		make("old", func(r *health.Report) { r.Firmware = "1.0" }),
		ending, hushed,
		make("no sound", func(r *health.Report) { r.Parts[3].State = "offline" }),
		make("parked and low", func(r *health.Report) { r.Queue.Parked, r.Paper.State = 1, "low" }),
		silent,
		make("full", func(r *health.Report) { r.Queue.Bytes = r.Queue.Bound * 95 / 100 }),
		make("no reader, no paper", func(r *health.Report) { r.Parts[0].State, r.Paper.State = "noDevice", "out" }),
		make("old request", func(r *health.Report) { r.Queue.OldestS = map[string]int64{"waiting": 4000} }),
	}
	for i := range all {
		all[i].judge(majority{"1.4.0", "7"}, now)
	}
	slices.SortFunc(all, worse)
	var got []string
	for _, k := range all {
		got = append(got, k.Name+": "+k.Level.String())
	}
	want := []string{
		"no reader, no paper: Needs help now", "old request: Needs help now", "full: Needs help now", "silent: Needs help now",
		"parked and low: Needs help soon", "ending: Needs help soon", "hushed: Needs help soon", "no sound: Needs help soon",
		"old: Worth knowing", "busy: In order", "fine-a: In order", "fine-b: In order",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestWordsForSizes(t *testing.T) {
	for want, got := range map[string]string{
		"59 s": span(59 * time.Second), "1 min": span(time.Minute), "1 h 30 min": span(90 * time.Minute), "2 h": span(2 * time.Hour), "23 h": span(23*time.Hour + 59*time.Minute), "1 day": span(25 * time.Hour),
		"0": number(0), "999": number(999), "1,000": number(1000), "595,596": number(uint64(595596)), "12,345,678": number(12345678), "December 2014": monthName("2014-12"),
	} {
		if got = strings.ReplaceAll(got, "\u00a0", " "); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
