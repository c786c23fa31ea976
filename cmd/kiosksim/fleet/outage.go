package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"text/tabwriter"
	"time"
)

// OutageOptions say who has how much to deliver, and to what.
type OutageOptions struct {
	Bus       string  // path of the program bus
	Kiosk     Program // runs Crew
	Dir       string  // an empty folder
	Processes int     // of kiosks
	Each      int     // kiosks in a process, each with its queue, courier and certificate
	Backlog   int     // requests that each kiosk holds when the bus comes back
	Rate      float64 // submissions a second that the bus admits
	Live      float64 // requests a second, of all kiosks together, for which a citizen waits meanwhile
	Say       io.Writer
}

// An OutageReport is how the fleet delivered what it held.
type OutageReport struct {
	Processes int     `json:"processes"`
	Kiosks    int     `json:"kiosks"`
	Backlog   int     `json:"backlog"` // of all kiosks
	Rate      float64 `json:"rate"`    // that the bus admits, a second
	Live      int     `json:"live"`    // requests that were waited for
	Ideal     float64 `json:"ideal_s"` // backlog and live requests at the rate
	Drain     float64 `json:"drain_s"` // from the bus's start until every queue was empty
	OfIdeal   float64 `json:"of_ideal"`
	Rejects   float64 `json:"rejects_percent"` // of all attempts: turned away
	LiveP50   float64 `json:"live_p50_s"`
	LiveP99   float64 `json:"live_p99_s"`
	Tally     Tally   `json:"couriers"`
	Counted   Status  `json:"bus"`
	LoadAvg   float64 `json:"load_average"` // of the machine before it began
}

// drainWithin is how much longer than ideal a drain may take before it is given up.
const drainWithin = 10

// Outage enrols a fleet, ends the bus, lets every kiosk store its backlog, starts
// the bus again behind a rate, and watches until all of it is delivered, while
// citizens go on coming. Queues, couriers and lines are the kiosk's own, in
// processes of their own.
func Outage(ctx context.Context, o OutageOptions) (r OutageReport, err error) {
	r = OutageReport{Processes: o.Processes, Kiosks: o.Processes * o.Each, Rate: o.Rate}
	r.Backlog = r.Kiosks * o.Backlog
	if r.LoadAvg, err = busyCPUs(); err != nil {
		return r, err
	}
	b, err := NewBus(o.Bus, filepath.Join(o.Dir, "bus"), "--rate", strconv.FormatFloat(o.Rate, 'f', -1, 64))
	if err != nil {
		return r, fmt.Errorf("outage: %w", err)
	}
	defer b.Stop()
	if err := r.play(ctx, o, b); err != nil {
		return r, fmt.Errorf("outage: %w", err)
	}
	return r, nil
}

func (r *OutageReport) play(ctx context.Context, o OutageOptions, b *Bus) error {
	say := func(format string, args ...any) {
		_, _ = fmt.Fprintf(o.Say, format+"\n", args...) // it is for whoever waits
	}
	say("%d kiosks enrol", r.Kiosks)
	folders, err := settle(ctx, b, o.Dir, r.Kiosks)
	if err != nil {
		return err
	}
	b.Stop()
	say("the bus is away; %d requests are stored", r.Backlog)
	h := newHeard()
	var teams []*team
	defer func() {
		for _, t := range teams {
			t.kill()
		}
	}()
	for i := range o.Processes {
		order := Order{
			Kiosks: folders[i*o.Each : (i+1)*o.Each], First: 1, Backlog: o.Backlog, Rate: o.Live / float64(r.Kiosks), Waits: true,
		}
		t, err := o.Kiosk.start(ctx, order, h)
		if err != nil {
			return err
		}
		teams = append(teams, t)
	}
	if err := all(ctx, teams, func(t *team) <-chan struct{} { return t.held }); err != nil {
		return err
	}
	if err := b.Start(ctx); err != nil {
		return err
	}
	say("the bus is back, and admits %.0f a second", o.Rate)
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, time.Minute+time.Duration(drainWithin*float64(r.Backlog)/o.Rate*float64(time.Second)))
	defer cancel()
	if err := all(limited, teams, func(t *team) <-chan struct{} { return t.empty }); err != nil {
		return err
	}
	r.Drain = time.Since(began).Seconds()
	var failed error
	for _, t := range teams {
		failed = errors.Join(failed, t.stop())
	}
	if failed != nil {
		return failed
	}
	r.sum(h)
	r.Counted, err = b.decided(ctx, time.Minute)
	return err
}

// settle starts the bus, enrols kiosks, and writes each into a folder of its own.
func settle(ctx context.Context, b *Bus, dir string, n int) ([]string, error) {
	if err := b.Start(ctx); err != nil {
		return nil, err
	}
	kiosks, err := enrolAll(ctx, b, n)
	if err != nil {
		return nil, err
	}
	folders := make([]string, n)
	for i, k := range kiosks {
		k.line.Close()
		if folders[i], err = k.save(dir); err != nil {
			return nil, err
		}
	}
	return folders, nil
}

// all waits for every process to say something, and fails when one has ended.
func all(ctx context.Context, teams []*team, said func(*team) <-chan struct{}) error {
	for _, t := range teams {
		select {
		case <-said(t):
		case <-t.done:
			return fmt.Errorf("a process of kiosks has ended: %w", t.err)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (r *OutageReport) sum(h *heard) {
	h.mu.Lock()
	defer h.mu.Unlock()
	times := make([]time.Duration, len(h.waits))
	for i, ms := range h.waits {
		times[i] = time.Duration(ms) * time.Millisecond
	}
	p := percentilesOf(times)
	r.Live, r.LiveP50, r.LiveP99, r.Tally = len(times), p.P50/1000, p.P99/1000, h.tally
	r.Ideal = float64(r.Tally.Delivered) / r.Rate
	r.OfIdeal = r.Drain / r.Ideal
	if attempts := r.Tally.Delivered + r.Tally.TurnedAway; attempts > 0 {
		r.Rejects = 100 * float64(r.Tally.TurnedAway) / float64(attempts)
	}
}

// Print writes the report for people.
func (r OutageReport) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, line := range []struct{ what, is string }{
		{"kiosks", fmt.Sprintf("%d real queues and couriers in %d processes", r.Kiosks, r.Processes)},
		{"backlog", fmt.Sprintf("%d requests, and %d more that citizens waited for", r.Backlog, r.Live)},
		{"drain", fmt.Sprintf("%.1f s, %.2f of the ideal %.1f s at %.0f a second", r.Drain, r.OfIdeal, r.Ideal, r.Rate)},
		{"rejects", fmt.Sprintf("%.2f %% of all attempts, %d", r.Rejects, r.Tally.TurnedAway)},
		{"live requests", fmt.Sprintf("p50 %.2f s, p99 %.2f s, from the confirmation to the verified receipt", r.LiveP50, r.LiveP99)},
		{"couriers", fmt.Sprintf("%d delivered, %d of them found by asking, %d retries, %d parked", r.Tally.Delivered, r.Tally.Recovered, r.Tally.Retries, r.Tally.Parked)},
		{"the bus counts", fmt.Sprintf("%d accepted, %d decided, %d duplicates, %d refused", r.Counted.Accepted, r.Counted.Effects, r.Counted.Duplicates, r.Counted.Refused)},
		{"load average before", fmt.Sprintf("%.2f", r.LoadAvg)},
	} {
		if _, err := fmt.Fprintf(t, "%s\t%s\n", line.what, line.is); err != nil {
			return err
		}
	}
	return t.Flush()
}
