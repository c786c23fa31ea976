package bustest

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// A recorder is a test that is meant to fail.
type recorder struct {
	testing.TB
	cleanups []func()

	mu     sync.Mutex
	errors []string
}

func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

// send sends a good message that change has made a bad one.
type send func(method, path, body string, change func(http.Header))

// A bus that never complained would prove nothing.
func TestTheBusComplains(t *testing.T) {
	const uuid = "00000000-0000-4000-8000-00000000000"
	path := base + "submissions/01JDTEST000000000000000001"
	for _, c := range []struct {
		name string
		do   func(*Bus, send)
		want string // part of the complaint; empty: none
	}{
		{"a good submission", func(_ *Bus, send send) {
			send("PUT", path, "x", func(http.Header) {})
		}, ""},
		{"no client", func(_ *Bus, send send) {
			send("PUT", path, "x", func(h http.Header) { h.Del("X-Road-Client") })
		}, "X-Road-Client"},
		{"no issue", func(_ *Bus, send send) {
			send("PUT", path, "x", func(h http.Header) { h.Del("X-Road-Issue") })
		}, "X-Road-Issue"},
		{"no media type", func(_ *Bus, send send) {
			send("PUT", path, "x", func(h http.Header) { h.Del("Content-Type") })
		}, "Content-Type"},
		{"another body", func(_ *Bus, send send) {
			send("PUT", path, "x", func(http.Header) {})
			send("PUT", path, "y", func(http.Header) {})
		}, "another body"},
		{"an id used twice", func(_ *Bus, send send) {
			fixed := func(h http.Header) { h.Set("X-Road-Id", uuid+"9") }
			send("PUT", path, "x", fixed)
			send("PUT", path, "x", fixed)
		}, "not fresh"},
		{"an unknown call", func(_ *Bus, send send) {
			send("GET", "/r1/elsewhere", "", func(http.Header) {})
		}, "unknown call"},
		{"a fault that is never met", func(b *Bus, _ send) {
			b.Script(Submit, Busy)
		}, "never met"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &recorder{TB: t}
			b := Start(r)
			n := 0
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: b.TLS(), DisableCompression: true}}
			c.do(b, func(method, path, body string, change func(http.Header)) {
				n++
				req, err := http.NewRequestWithContext(t.Context(), method, b.URL()+path, bytes.NewBufferString(body))
				if err != nil {
					t.Fatal(err)
				}
				for name, value := range map[string]string{
					"User-Agent": "", "X-Road-Client": Client, "X-Road-Id": fmt.Sprint(uuid, n),
					"X-Road-Issue": path[strings.LastIndexByte(path, '/')+1:], "Content-Type": "application/octet-stream",
				} {
					req.Header.Set(name, value)
				}
				change(req.Header)
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
			})
			client.CloseIdleConnections()
			for _, f := range r.cleanups {
				f()
			}
			got := strings.Join(r.errors, "; ")
			if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
				t.Errorf("complaints %q, not %q", got, c.want)
			}
		})
	}
}
