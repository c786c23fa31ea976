package main

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"
)

// event is one line of go test -json that carries a result.
func event(t *testing.T, value string) string {
	t.Helper()
	b, err := json.Marshal(map[string]string{"Action": "attr", "Package": "p", "Test": "TestGate", "Key": "crash", "Value": value})
	if err != nil {
		t.Fatal(err)
	}
	return string(b) + "\n"
}

func TestOnlyGatesThatHoldPass(t *testing.T) {
	for _, c := range []struct {
		name, events, want string
	}{
		{"a gate and its control", event(t, `{"gate":"1.kill","cycles":3,"violations":0}`) + event(t, `{"gate":"1.kill.control.x","cycles":3,"violations":2,"control":true}`), ""},
		{"a violation", event(t, `{"gate":"1.kill","cycles":3,"violations":1}`), "1.kill: VIOLATED"},
		{"a gate that tried nothing", event(t, `{"gate":"1.kill","cycles":0,"violations":0}`), "NOTHING"},
		{"a control that is not noticed", event(t, `{"gate":"1.kill.control.x","cycles":3,"violations":0,"control":true}`), "DOES NOT NOTICE"},
		{"a gate that can't be run", event(t, `{"gate":"1.kill","blocked":"needs root"}`), "needs root"},
		{"a gate without a control", event(t, `{"gate":"1.kill","cycles":3,"violations":0}`), "control: true"},
		{"a gate that says nothing", "", "nothing heard"},
		{"a test that fails", `{"Action":"fail","Package":"p","Test":"TestGate1"}` + "\n", "TestGate1 failed"},
		{"two results", event(t, `{"gate":"1.kill","cycles":3}`) + event(t, `{"gate":"1.kill","cycles":3}`), "two results"},
		{"no json", "oops\n", "read events"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := collect(strings.NewReader(c.events), io.Discard)
			if err != nil {
				f.failed = append(f.failed, err)
			}
			f.failed = append(f.failed, f.silent([]string{"1."})...)
			var all []string
			for _, err := range f.failed {
				all = append(all, err.Error())
			}
			if got := strings.Join(all, "; "); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("failed with %q, not %q", got, c.want)
			}
			var page strings.Builder
			if err := f.report(&page, time.Minute); err != nil || !strings.Contains(page.String(), "controls") {
				t.Errorf("report: %v\n%s", err, &page)
			}
		})
	}
}
