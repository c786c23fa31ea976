// Package trace makes OpenTelemetry spans of what the bus does, and of what
// kiosks report that they did, so that one trace runs from a citizen's confirmation
// to the receipt and the agency's decision. They go out as OTLP over HTTP.
//
// Attributes are ids, counts and words of ours: nothing of a person. Start at
// Open; a Tracer is a server.Spans, and Told takes the kiosks' reports.
package trace

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	otrace "go.opentelemetry.io/otel/trace"

	"kosk/cmd/bus/server"
	"kosk/device/health"
)

// The rules are: who begins a trace decides whether it is sampled, and that goes
// with it; what a kiosk reports was sampled there. Words that come from outside
// are shown only when they are of the few that are known, or look like a kind of
// error.

// ErrEndpoint says that the collector's address can't be used.
var ErrEndpoint = errors.New("address of the collector must be http or https")

// Options of a tracer.
type Options struct {
	Endpoint string       // of an OTLP collector: http://127.0.0.1:4318; /v1/traces when it has no path
	Ratio    float64      // of the traces that begin at the bus; 0 to 1
	Log      *slog.Logger // told when spans can't be delivered
}

// A Tracer makes spans and sends them. It is safe for concurrent use.
type Tracer struct {
	bus, kiosk *sdk.TracerProvider

	mu      sync.Mutex // guards brought
	brought map[string]otrace.SpanContext
}

// maxBrought bounds how many submissions' calls are remembered for their work.
const maxBrought = 1 << 16

// tracerName names this package as the maker of spans.
const tracerName = "kosk/cmd/bus/trace"

// Open makes a tracer. Errors: ErrEndpoint.
func Open(ctx context.Context, o Options) (*Tracer, error) {
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("open traces: %w", ErrEndpoint)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces" // OTLP, "OTLP/HTTP request"
	}
	out, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(u.String()))
	if err != nil {
		return nil, fmt.Errorf("open traces: %w", err)
	}
	// The library has one place for this in a process.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { o.Log.Warn("traces not delivered", "err", err) }))
	batch := sdk.NewBatchSpanProcessor(out)
	provider := func(service string, root sdk.Sampler) *sdk.TracerProvider {
		return sdk.NewTracerProvider(
			sdk.WithSpanProcessor(batch), sdk.WithIDGenerator(ids{}), sdk.WithSampler(sdk.ParentBased(root)),
			sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", service))),
		)
	}
	return &Tracer{
		bus: provider("kosk-bus", sdk.TraceIDRatioBased(o.Ratio)), kiosk: provider("kosk-kiosk", sdk.AlwaysSample()),
		brought: map[string]otrace.SpanContext{},
	}, nil
}

// Flush sends what waits.
func (t *Tracer) Flush(ctx context.Context) error {
	if err := t.bus.ForceFlush(ctx); err != nil {
		return fmt.Errorf("flush traces: %w", err)
	}
	return nil
}

// Close sends what waits, until ctx ends, and stops.
func (t *Tracer) Close(ctx context.Context) error {
	if err := errors.Join(t.bus.Shutdown(ctx), t.kiosk.Shutdown(ctx)); err != nil {
		return fmt.Errorf("close traces: %w", err)
	}
	return nil
}

// Call begins the span of a call, in the caller's trace when it names one. It is
// server.Spans's.
func (t *Tracer) Call(r *http.Request) (context.Context, func(server.Answer)) {
	ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, span := t.bus.Tracer(tracerName).Start(ctx, "call", otrace.WithSpanKind(otrace.SpanKindServer))
	return ctx, func(a server.Answer) {
		if a.Call != "" {
			span.SetName(a.Call)
		}
		span.SetAttributes(
			attribute.String("http.request.method", method(r.Method)),
			attribute.Int("http.response.status_code", a.Status),
			attribute.String("kosk.answer", a.Class()),
		)
		for key, value := range map[string]string{"kosk.station": a.Station, "kosk.submission": a.Submission} {
			if value != "" {
				span.SetAttributes(attribute.String(key, value))
			}
		}
		if a.Status == 0 || a.Status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, a.Class())
		}
		span.End()
	}
}

// method is one of HTTP's own, else "other": anything may stand there.
func method(m string) string {
	if slices.Contains([]string{http.MethodGet, http.MethodPut, http.MethodPost, http.MethodHead, http.MethodDelete}, m) {
		return m
	}
	return "other"
}

// Step begins a span within a submission's life. Work goes on in the trace of the
// call that brought the submission; after a restart, nobody knows that any more,
// and it begins its own. It is server.Spans's.
func (t *Tracer) Step(ctx context.Context, name, submission string) (context.Context, func(error)) {
	switch name {
	case server.StepAppend:
		t.remember(submission, otrace.SpanContextFromContext(ctx))
	case server.StepWork:
		if brought, ok := t.recall(submission); ok {
			ctx = otrace.ContextWithSpanContext(ctx, brought)
		}
	}
	ctx, span := t.bus.Tracer(tracerName).Start(ctx, name, otrace.WithAttributes(attribute.String("kosk.submission", submission)))
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, name+" did not succeed") // its words stay in the log
		}
		if name == server.StepWork {
			t.forget(submission)
		}
		span.End()
	}
}

// remember keeps the first span that an id comes with: that of its call.
func (t *Tracer) remember(id string, span otrace.SpanContext) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.brought[id]; !ok && len(t.brought) < maxBrought {
		t.brought[id] = span
	}
}

func (t *Tracer) recall(id string) (otrace.SpanContext, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	span, ok := t.brought[id]
	return span, ok
}

func (t *Tracer) forget(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.brought, id)
}

// Told makes spans of what a kiosk reports, with the ids and times that it gave
// them. What is no span at all is left out.
func (t *Tracer) Told(one server.Telling) {
	for _, s := range one.Report.Spans {
		t.told(one, s)
	}
}

// steps are the names that kiosks give to their spans.
var steps = []string{"confirm", "seal", "store", "deliver", "print"}

// kind is what an error's kind looks like: never a name, never a FIN, whose letters
// are capitals.
var kind = regexp.MustCompile(`^[a-z][a-z_.]{0,63}$`)

func (t *Tracer) told(one server.Telling, s health.Span) {
	id, err := otrace.SpanIDFromHex(s.ID)
	trace, errTrace := otrace.TraceIDFromHex(s.Trace)
	if err != nil || errTrace != nil {
		return
	}
	ctx := context.WithValue(context.Background(), wanted{}, wanted{trace, id})
	parent, err := otrace.SpanIDFromHex(s.Parent)
	if err == nil {
		ctx = otrace.ContextWithRemoteSpanContext(ctx, otrace.NewSpanContext(otrace.SpanContextConfig{
			TraceID: trace, SpanID: parent, TraceFlags: otrace.FlagsSampled, Remote: true,
		}))
	}
	name := "step"
	if slices.Contains(steps, s.Name) {
		name = s.Name
	}
	_, span := t.kiosk.Tracer(tracerName).Start(ctx, name, otrace.WithTimestamp(s.Start), otrace.WithAttributes(
		attribute.String("kosk.station", one.Station)))
	if s.Error != "" {
		what := "error"
		if kind.MatchString(s.Error) {
			what = s.Error
		}
		span.SetStatus(codes.Error, what)
	}
	span.End(otrace.WithTimestamp(s.End))
}

// wanted are the ids that the next span shall have; as a key of a context, where
// they are found.
type wanted struct {
	trace otrace.TraceID
	span  otrace.SpanID
}

// ids are those that are wanted, else random ones.
type ids struct{}

// NewIDs begins a trace.
func (ids) NewIDs(ctx context.Context) (trace otrace.TraceID, span otrace.SpanID) {
	if w, ok := ctx.Value(wanted{}).(wanted); ok {
		return w.trace, w.span
	}
	_, _ = rand.Read(trace[:]) // never fails, see crypto/rand
	_, _ = rand.Read(span[:])
	return trace, span
}

// NewSpanID goes on in a trace.
func (ids) NewSpanID(ctx context.Context, _ otrace.TraceID) (span otrace.SpanID) {
	if w, ok := ctx.Value(wanted{}).(wanted); ok {
		return w.span
	}
	_, _ = rand.Read(span[:]) // never fails, see crypto/rand
	return span
}
