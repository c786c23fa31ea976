package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"slices"
	"time"

	"kosk/cmd/kiosksim/fleet"
	"kosk/cmd/kiosksim/rig"
	"kosk/cmd/kiosksim/stage"
	"kosk/cmd/kiosksim/visit"
)

type benchCommand struct {
	Bin  string `type:"path" help:"Folder of the programs; default: beside this one."`
	Runs int    `default:"5" help:"How often the kiosk is started."`
}

// A measure is one line of the output.
type measure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

// idleTime is how long the idle kiosk is watched.
const idleTime = 10 * time.Second

// Run starts the kiosk several times and prints, a line each, the median time to
// its first painted frame, its memory, and its load while nobody is there.
func (c benchCommand) Run(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return onStage(ctx, c.Bin, "", func(r *rig.Rig, hands *stage.Hands) error { return c.measure(ctx, r, hands, out) })
}

func (c benchCommand) measure(ctx context.Context, r *rig.Rig, hands *stage.Hands, out io.Writer) error {
	var starts, pss []float64
	for range c.Runs {
		if err := os.RemoveAll(r.Trace()); err != nil {
			return err
		}
		a := visit.New(r, hands, "")
		launched := time.Now()
		if err := r.StartKiosk(); err != nil {
			return err
		}
		if err := a.Sees(ctx, "attract"); err != nil {
			return err
		}
		starts = append(starts, float64(a.FirstFrame().Sub(launched).Milliseconds()))
		if err := a.Settles(ctx); err != nil {
			return err
		}
		pss = append(pss, visit.PSSMB(r.KioskPID()))
		if len(starts) < c.Runs {
			r.StopKiosk()
		}
	}
	load, err := idleLoad(ctx, r.KioskPID())
	if err != nil {
		return err
	}
	for _, m := range []measure{
		{"kiosk.start_ms", median(starts), "ms"}, {"kiosk.pss_mb", median(pss), "MB"}, {"kiosk.idle_cpu_percent", load, "%"},
	} {
		if err := json.NewEncoder(out).Encode(m); err != nil {
			return err
		}
	}
	return nil
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// idleLoad is the share of one processor that a process takes, in per cent.
func idleLoad(ctx context.Context, pid int) (float64, error) {
	before, err := fleet.CPUTime(pid)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	select {
	case <-time.After(idleTime):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	after, err := fleet.CPUTime(pid)
	return 100 * float64(after-before) / float64(time.Since(began)), err
}
