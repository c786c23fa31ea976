package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"kosk/device/request"
	"kosk/offline"
)

// LoadOptions say how much, for how long, and of what.
type LoadOptions struct {
	Bus      string        // path of the program bus
	Dir      string        // an empty folder, on the disk that is to be measured
	Kiosks   int           // each enrolled, each with its own certificate, key and connection
	Rate     float64       // submissions a second, kept up whatever the bus does
	For      time.Duration // how long
	Capacity time.Duration // how long to see in the end how many the bus takes at most; 0: not at all
	Proofs   bool          // the bus has a trust bundle: requests carry a chip's evidence and a login, and both are checked
	Flags    []string      // further flags of bus serve
	Say      io.Writer     // gets a line for every step
}

// A LoadReport is what Load has seen. Times are the client's, from the first
// byte of a submission to its verified receipt; nothing is tried twice.
type LoadReport struct {
	Kiosks    int     `json:"kiosks"`
	Proofs    bool    `json:"proofs"`
	Bytes     int     `json:"envelope_bytes"` // the middle one's
	Offered   float64 `json:"offered_per_s"`
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"per_s"` // accepted
	Accepted  int     `json:"accepted"`
	Rejects   int     `json:"rejects"` // refused, or turned away
	Errors    int     `json:"errors"`  // anything else
	percentiles
	Late float64 `json:"late_p99_ms"` // how long after its moment a submission began: the generator's own fault

	BusCPU       float64 `json:"bus_cpu_s"` // while the rate was kept up
	BusMB        float64 `json:"bus_peak_mb"`
	GeneratorCPU float64 `json:"generator_cpu_s"`
	GeneratorMB  float64 `json:"generator_peak_mb"`

	Most     float64  `json:"most_per_s,omitempty"`       // accepted, as fast as answers come
	Raw      float64  `json:"raw_synced_per_s"`           // the same disk's appends, each synced, in between
	OfRaw    float64  `json:"most_of_raw_sync,omitempty"` // Most / Raw
	Counted  Status   `json:"bus"`                        // by the bus itself, all in all
	LoadAvg  float64  `json:"load_average"`               // of the machine before it began
	Failures []string `json:"failures,omitempty"`         // the first few
}

// wave is how long the bus, and the disk alone, are measured in turn.
const (
	wave     = 1500 * time.Millisecond
	rawWave  = 500 * time.Millisecond
	parallel = 64  // submissions on their way at once, when as many as possible are wanted
	mostRate = 900 // envelopes made for a second of that
)

// A load is a run of Load.
type load struct {
	LoadOptions
	bus    *Bus
	kiosks []*kiosk
	ready  []envelope // to be sent
	report LoadReport

	mu    sync.Mutex // guards all below, and report's counters
	times []time.Duration
	late  []time.Duration
}

// An envelope is made in advance.
type envelope struct {
	from *kiosk
	id   string
	body []byte
}

// Load starts a bus, enrols kiosks, seals everything they will send, keeps up a
// rate of submissions, and then sees how many the bus takes at most, in turn with
// what the disk takes alone.
func Load(ctx context.Context, o LoadOptions) (LoadReport, error) {
	l := &load{LoadOptions: o}
	var err error
	if l.report.LoadAvg, err = busyCPUs(); err != nil {
		return l.report, err
	}
	err = l.run(ctx)
	for _, k := range l.kiosks {
		if k != nil {
			k.line.Close()
		}
	}
	if l.bus != nil {
		l.bus.Stop()
	}
	if err != nil {
		return l.report, fmt.Errorf("load: %w", err)
	}
	return l.report, nil
}

func (l *load) run(ctx context.Context) (err error) {
	dir := filepath.Join(l.Dir, "bus")
	flags := l.Flags
	var state *issuer
	if l.Proofs {
		if state, err = newIssuer(l.Dir, dir); err != nil {
			return err
		}
		flags = append(flags, "--trust", state.bundle)
	}
	if l.bus, err = NewBus(l.Bus, dir, flags...); err != nil {
		return err
	}
	if err := l.bus.Start(ctx); err != nil {
		return err
	}
	l.say("%d kiosks enrol", l.Kiosks)
	if l.kiosks, err = enrolAll(ctx, l.bus, l.Kiosks); err != nil {
		return err
	}
	steady := int(l.Rate * l.For.Seconds())
	l.say("%d envelopes are sealed", steady+int(mostRate*l.Capacity.Seconds()))
	if err := l.seal(ctx, state, steady+int(mostRate*l.Capacity.Seconds())); err != nil {
		return err
	}
	l.say("%.0f a second for %s", l.Rate, l.For)
	if err := l.steady(ctx, steady); err != nil {
		return err
	}
	if err := l.most(ctx); err != nil {
		return err
	}
	l.report.Counted, err = l.bus.decided(ctx, time.Minute)
	return err
}

func (l *load) say(format string, args ...any) {
	_, _ = fmt.Fprintf(l.Say, format+"\n", args...) // it is for whoever waits
}

// seal makes the envelopes in advance, in turn for each kiosk, so that the
// sealing isn't measured: five hundred kiosks have five hundred processors.
func (l *load) seal(ctx context.Context, state *issuer, n int) error {
	if state != nil {
		for _, k := range l.kiosks {
			if err := state.login(ctx, k); err != nil {
				return err
			}
		}
	}
	l.ready = make([]envelope, n)
	err := inParallel(n, func(i int) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		k := l.kiosks[i%len(l.kiosks)]
		d := draft(k.Station, uint64(i/len(l.kiosks))+1)
		if state != nil {
			d.Login, d.Evidence, d.Assurance = k.login, state.evidence, "holder_verified"
		}
		body, err := request.Seal(d, k.Key, k.Recipient)
		l.ready[i] = envelope{k, string(d.ID), body}
		return err
	})
	if n > 0 {
		l.report.Bytes = len(l.ready[n/2].body)
	}
	return err
}

// take gives the next n envelopes, or those that are left.
func (l *load) take(n int) []envelope {
	n = min(n, len(l.ready))
	taken := l.ready[:n]
	l.ready = l.ready[n:]
	return taken
}

// steady sends n envelopes, each at its moment, whatever became of those before.
func (l *load) steady(ctx context.Context, n int) error {
	before, err := l.usage()
	if err != nil {
		return err
	}
	began := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var all sync.WaitGroup
	for i, e := range l.take(n) {
		due := began.Add(time.Duration(float64(i) / l.Rate * float64(time.Second)))
		timer.Reset(time.Until(due))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		all.Go(func() {
			begin := time.Now()
			err := l.submit(ctx, e)
			l.note(begin.Sub(due), time.Since(begin), err)
		})
	}
	all.Wait()
	r := &l.report
	r.Kiosks, r.Proofs, r.Offered, r.Seconds = l.Kiosks, l.Proofs, l.Rate, time.Since(began).Seconds()
	r.PerSecond = float64(r.Accepted) / r.Seconds
	r.percentiles, r.Late = percentilesOf(l.times), percentilesOf(l.late).P99
	after, err := l.usage()
	r.BusCPU, r.GeneratorCPU = (after[0] - before[0]).Seconds(), (after[1] - before[1]).Seconds()
	if err != nil {
		return err
	}
	if r.BusMB, err = peakMB(l.bus.PID()); err != nil {
		return err
	}
	r.GeneratorMB, err = peakMB(os.Getpid())
	return err
}

// usage is the processor time of the bus and of this process.
func (l *load) usage() (used [2]time.Duration, err error) {
	for i, pid := range []int{l.bus.PID(), os.Getpid()} {
		if used[i], err = CPUTime(pid); err != nil {
			return used, err
		}
	}
	return used, nil
}

// submit sends an envelope, once, and checks the receipt.
func (l *load) submit(ctx context.Context, e envelope) error {
	receipt, err := e.from.line.Submit(ctx, e.id, e.body)
	if err != nil {
		return err
	}
	return verifier(e.from.Station)(e.id, e.body, receipt)
}

// shown is how many failures are told.
const shown = 5

func (l *load) note(late, took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.late = append(l.late, late)
	fault, isFault := errors.AsType[*offline.Fault](err)
	switch {
	case err == nil:
		l.report.Accepted++
		l.times = append(l.times, took)
		return
	case errors.Is(err, offline.ErrRefused), isFault && !fault.Sent && errors.Is(err, offline.ErrAgency):
		l.report.Rejects++
	default:
		l.report.Errors++
	}
	if len(l.report.Failures) < shown {
		l.report.Failures = append(l.report.Failures, err.Error())
	}
}

// most lets the bus take as many as it can, in turn with the disk alone: other
// programs on the machine disturb both alike. A turn of the bus ends when
// everything is decided, since that is written to the disk, too.
func (l *load) most(ctx context.Context) error {
	var raw, took float64
	accepted, turns := 0, 0
	for ; time.Duration(turns)*wave < l.Capacity || turns == 0; turns++ {
		rate, err := appends(l.Dir, max(l.report.Bytes, 1), rawWave)
		if err != nil {
			return err
		}
		raw += rate
		if l.Capacity == 0 {
			continue
		}
		if turns == 0 {
			l.say("as many as the bus takes, for %s", l.Capacity)
		}
		began := time.Now()
		n, err := l.flood(ctx, wave)
		if err != nil {
			return err
		}
		accepted += n
		took += time.Since(began).Seconds()
		if _, err := l.bus.decided(ctx, time.Minute); err != nil {
			return err
		}
	}
	l.report.Raw = raw / float64(turns)
	if took > 0 {
		l.report.Most = float64(accepted) / took
		l.report.OfRaw = l.report.Most / l.report.Raw
	}
	return nil
}

// flood sends for a while, so many at once, and returns how many were accepted.
func (l *load) flood(ctx context.Context, during time.Duration) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	end := time.Now().Add(during)
	var mu sync.Mutex // guards take
	next := func() (e envelope, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		taken := l.take(1)
		if len(taken) == 0 || time.Now().After(end) {
			return e, false
		}
		return taken[0], true
	}
	var accepted atomic.Int64
	failed := make(chan error, parallel)
	var all sync.WaitGroup
	for range parallel {
		all.Go(func() {
			for e, ok := next(); ok; e, ok = next() {
				if err := l.submit(ctx, e); err != nil {
					failed <- err
					cancel()
					return
				}
				accepted.Add(1)
			}
		})
	}
	all.Wait()
	select {
	case err := <-failed:
		return 0, err
	default:
		return int(accepted.Load()), nil
	}
}

// Print writes the report for people.
func (r LoadReport) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	profile := "without evidence; the bus has no trust bundle"
	if r.Proofs {
		profile = "with chip evidence and login, both checked by the bus"
	}
	for _, line := range []struct{ what, is string }{
		{"kiosks", fmt.Sprintf("%d, each with its own certificate over mutual TLS 1.3", r.Kiosks)},
		{"envelopes", fmt.Sprintf("%d bytes, sealed in advance, %s", r.Bytes, profile)},
		{"offered", fmt.Sprintf("%.0f a second for %.1f s", r.Offered, r.Seconds)},
		{"accepted", fmt.Sprintf("%d, %.1f a second", r.Accepted, r.PerSecond)},
		{"rejects, errors", fmt.Sprintf("%d, %d", r.Rejects, r.Errors)},
		{"first byte to receipt", fmt.Sprintf("p50 %.1f ms, p95 %.1f ms, p99 %.1f ms, at most %.1f ms", r.P50, r.P95, r.P99, r.Max)},
		{"begun late", fmt.Sprintf("p99 %.1f ms, by the generator's own fault", r.Late)},
		{"bus", fmt.Sprintf("%.1f s of processor, at most %.0f MB", r.BusCPU, r.BusMB)},
		{"generator, on the same machine", fmt.Sprintf("%.1f s of processor, at most %.0f MB", r.GeneratorCPU, r.GeneratorMB)},
		{"at most", fmt.Sprintf("%.0f a second, %.2f of the disk's %.0f synced appends a second in turn", r.Most, r.OfRaw, r.Raw)},
		{"the bus counts", fmt.Sprintf("%d accepted, %d decided, %d duplicates, %d refused", r.Counted.Accepted, r.Counted.Effects, r.Counted.Duplicates, r.Counted.Refused)},
		{"load average before", fmt.Sprintf("%.2f", r.LoadAvg)},
	} {
		if _, err := fmt.Fprintf(t, "%s\t%s\n", line.what, line.is); err != nil {
			return err
		}
	}
	for _, f := range r.Failures {
		if _, err := fmt.Fprintf(t, "failure\t%s\n", f); err != nil {
			return err
		}
	}
	return t.Flush()
}
