package main

import (
	"compress/gzip"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"kosk/cmd/kiosksim/rig"
	"kosk/cmd/kiosksim/visit"
	"kosk/drivers/card/vcard"
)

// A span is what a collector got of one step.
type span struct{ name, id, parent, trace string }

// TestOneTraceRunsFromConfirmationToReceipt follows one citizen's request in what
// a collector gets: the kiosk's own steps and the bus's hang together.
func TestOneTraceRunsFromConfirmationToReceipt(t *testing.T) {
	came := make(chan span, 1000)
	var said strings.Builder
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(body)
			if err != nil {
				t.Error(err)
				return
			}
			body = z
		}
		var sent collector.ExportTraceServiceRequest
		b, err := io.ReadAll(body)
		if err == nil {
			err = proto.Unmarshal(b, &sent)
		}
		if err != nil {
			t.Error(err)
		}
		for _, rs := range sent.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				for _, s := range ss.Spans {
					came <- span{s.Name, hex.EncodeToString(s.SpanId), hex.EncodeToString(s.ParentSpanId), hex.EncodeToString(s.TraceId)}
				}
			}
		}
		if p := visit.Person(); strings.Contains(string(b), p.FIN) || strings.Contains(string(b), p.Surname) {
			t.Error("a trace names the person")
		}
	}))
	t.Cleanup(receiver.Close)
	w := newWorldWith(t, rig.Options{Collector: receiver.URL})
	w.toCAN(vcard.Profile{})
	w.toReview()
	w.do(w.actor.ToResult(w.ctx))
	w.do(w.actor.TakesSlip(w.ctx))

	// What the kiosk did comes with its next report, within about a minute.
	of := map[string]map[string]span{} // trace -> name -> span
	for late := time.After(100 * time.Second); ; {
		select {
		case s := <-came:
			if of[s.trace] == nil {
				of[s.trace] = map[string]span{}
			}
			of[s.trace][s.name] = s
			said.WriteString(s.name + " ")
		case <-late:
			t.Fatalf("no whole trace came: %s", said.String())
		}
		for _, steps := range of {
			confirm, deliver, submit := steps["confirm"], steps["deliver"], steps["submit"]
			if confirm.id == "" || deliver.id == "" || submit.id == "" || steps["seal"].id == "" || steps["store"].id == "" || steps["print"].id == "" {
				continue
			}
			if deliver.parent != confirm.id || submit.parent != deliver.id {
				t.Errorf("deliver hangs on %s, submit on %s; confirm is %s, deliver %s", deliver.parent, submit.parent, confirm.id, deliver.id)
			}
			return
		}
	}
}
