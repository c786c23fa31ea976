package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"kosk/cmd/bus/console"
	"kosk/cmd/bus/metrics"
	"kosk/cmd/bus/registry"
	"kosk/cmd/bus/server"
	"kosk/cmd/bus/trace"
)

// observeFlags are those of serve by which a bus is watched. All is off unless named.
type observeFlags struct {
	Console    string  `placeholder:"ADDRESS" help:"Address of the operator's page (HTTPS), such as 127.0.0.1:7444."`
	Metrics    string  `placeholder:"ADDRESS" help:"Loopback address of /metrics for Prometheus (HTTP), such as 127.0.0.1:7445: who reaches it may read it."`
	OTLP       string  `name:"otlp" placeholder:"URL" help:"OpenTelemetry collector for traces (OTLP over HTTP), such as http://127.0.0.1:4318."`
	TraceRatio float64 `default:"1" help:"Part of the traces that begin at the bus which is sent; those of kiosks are as kiosks decide."`
}

// An observatory is what watches a bus that is about to serve.
type observatory struct {
	observeFlags
	log     *slog.Logger
	metrics *metrics.Metrics
	tracer  *trace.Tracer // may be nil

	console, scrapes net.Listener // may be nil
}

// errNotLoopback keeps figures from whoever is on the network: they have no lock.
var errNotLoopback = errors.New("address must be of the loopback, such as 127.0.0.1:7445")

// flushWithin is how long the last traces have to leave.
const flushWithin = 3 * time.Second

// open takes addresses and endpoints, so that a wrong one is said at the start.
func (f observeFlags) open(ctx context.Context, log *slog.Logger) (*observatory, error) {
	o := &observatory{observeFlags: f, log: log, metrics: metrics.New()}
	var err error
	if f.OTLP != "" {
		if o.tracer, err = trace.Open(ctx, trace.Options{Endpoint: f.OTLP, Ratio: f.TraceRatio, Log: log}); err != nil {
			return nil, err
		}
	}
	if o.console, err = listen(f.Console); err != nil {
		return nil, errors.Join(fmt.Errorf("console: %w", err), o.close())
	}
	if o.scrapes, err = listen(f.Metrics); err != nil {
		return nil, errors.Join(fmt.Errorf("metrics: %w", err), o.close())
	}
	if o.scrapes != nil && !o.scrapes.Addr().(*net.TCPAddr).IP.IsLoopback() {
		return nil, errors.Join(fmt.Errorf("metrics: %w", errNotLoopback), o.close())
	}
	return o, nil
}

func listen(address string) (net.Listener, error) {
	if address == "" {
		return nil, nil
	}
	return net.Listen("tcp", address)
}

// close gives back what open took, when nothing will run.
func (o *observatory) close() error {
	var err error
	for _, l := range []net.Listener{o.console, o.scrapes} {
		if l != nil {
			err = errors.Join(err, l.Close())
		}
	}
	return errors.Join(err, o.flush())
}

func (o *observatory) flush() error {
	if o.tracer == nil {
		return nil
	}
	ctx, done := context.WithTimeout(context.Background(), flushWithin)
	defer done()
	return o.tracer.Close(ctx)
}

// watch makes a server's configuration one that is watched.
func (o *observatory) watch(c *server.Config) {
	c.Ledger = o.metrics.Ledger(c.Ledger)
	c.Answered = o.metrics.Answered
	if o.tracer != nil {
		c.Spans, c.Told = o.tracer, o.tracer.Told
	}
}

// run serves page and figures around a server's own run, and ends with it.
func (o *observatory) run(ctx context.Context, s *server.Server, reg *registry.Registry, serve func(context.Context) error) error {
	o.metrics.Watch(s)
	host, _, _ := net.SplitHostPort(o.Console) // it was listened on
	page, err := console.New(console.Config{Bus: s, Registry: reg, Log: o.log, Host: host})
	if err != nil {
		return errors.Join(err, o.close())
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	watch := func(name string, l net.Listener, run func(context.Context, net.Listener) error) {
		if l == nil {
			return
		}
		o.log.Info("serving "+name, "address", l.Addr().String())
		all.Go(func() {
			if err := run(ctx, l); err != nil {
				cancel(err)
			}
		})
	}
	watch("console", o.console, page.Run)
	watch("metrics", o.scrapes, o.figures)
	err = serve(ctx)
	if cause := context.Cause(ctx); err == nil && cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	cancel(nil)
	all.Wait()
	if lost := o.flush(); lost != nil {
		o.log.Warn("traces not delivered", "err", lost) // the bus has done its work all the same
	}
	return err
}

// figures serves /metrics until ctx ends.
func (o *observatory) figures(ctx context.Context, l net.Listener) error {
	h := &http.Server{Handler: o.metrics.Handler(), ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = h.Close() })
	defer stop()
	if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve metrics: %w", err)
	}
	return nil
}
