package bus_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"kosk/offline"
	"kosk/offline/bus"
	"kosk/offline/bus/bustest"
)

// TestNothingIsSentTwiceBelowTheCourier reuses connections that a bus has closed:
// net/http would send a GET anew, silently, and a PUT that it can rewind.
func TestNothingIsSentTwiceBelowTheCourier(t *testing.T) {
	for _, call := range []string{"PUT", "GET", "POST"} {
		t.Run(call, func(t *testing.T) {
			b := bustest.Start(t)
			seen := make(chan string, 16)
			conf := b.ServerTLS()
			raw, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var all sync.WaitGroup
			all.Go(func() { serveOnce(raw, conf, seen, &all) })
			defer func() { raw.Close(); all.Wait() }()
			c, err := bus.Open(bus.Options{
				URL: "https://" + raw.Addr().String(), Instance: bustest.Instance, Client: bustest.Client,
				Service: bustest.Service, TLS: b.TLS(),
			})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := c.Time(t.Context()); err != nil { // opens the connection
				t.Fatal(err)
			}
			<-seen
			switch call {
			case "PUT":
				_, err = c.Submit(t.Context(), id, []byte("sealed"))
			case "GET":
				_, err = c.Status(t.Context(), id)
			case "POST":
				_, err = c.Lookup(t.Context(), "imei", 1)
			}
			f, ok := errors.AsType[*offline.Fault](err)
			if !ok || !errors.Is(err, offline.ErrLineDown) || !f.Sent {
				t.Errorf("error %v", err)
			}
			time.Sleep(50 * time.Millisecond)
			if len(seen) != 1 {
				t.Errorf("%d requests came", len(seen))
			}
		})
	}
}

// serveOnce answers the first request of the first connection, and hangs up on
// all that follow once it has read their heads.
func serveOnce(raw net.Listener, conf *tls.Config, seen chan<- string, all *sync.WaitGroup) {
	first := true
	for {
		c, err := raw.Accept()
		if err != nil {
			return
		}
		greet := first
		first = false
		all.Go(func() {
			s := tls.Server(c, conf)
			defer s.Close()
			r := bufio.NewReader(s)
			for {
				req, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				io.Copy(io.Discard, req.Body) //nolint:errcheck
				seen <- req.Method
				if !greet {
					return
				}
				greet = false
				body := `{"time":"` + time.Now().UTC().Format(time.RFC3339) + `"}`
				fmt.Fprintf(s, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body) //nolint:errcheck
			}
		})
	}
}

// A line that is cut while nothing is sent is noticed when its connection ends,
// long before the next probe; and that it is up again, soon after.
func TestACutLineIsNoticedThoughNothingIsSent(t *testing.T) {
	b := bustest.Start(t)
	c := open(t, b, bus.Deadlines{})
	ctx, cancel := context.WithCancel(t.Context())
	states, ended := make(chan error, 8), make(chan error, 1)
	go func() { ended <- c.Watch(ctx, func(err error) { states <- err }) }()
	if err := <-states; err != nil {
		t.Fatal(err)
	}
	expect := func(want error, within time.Duration, do func()) {
		t.Helper()
		begun := time.Now()
		do()
		select {
		case err := <-states:
			if took := time.Since(begun); !errors.Is(err, want) || took > within {
				t.Errorf("%v after %v", err, took)
			}
		case <-time.After(within):
			t.Fatalf("no news of %v", want)
		}
	}
	expect(offline.ErrLineDown, 20*time.Second, func() { b.SetDown(true) })
	expect(nil, 30*time.Second, func() { b.SetDown(false) })
	b.CutIdle() // a bus that starts anew is no cut line
	select {
	case err := <-states:
		t.Errorf("told %v", err)
	case <-time.After(time.Second):
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
