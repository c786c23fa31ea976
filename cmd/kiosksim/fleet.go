package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"kosk/cmd/kiosksim/fleet"
)

type fleetCommand struct {
	Bin  string `type:"path" help:"Folder of the program bus; default: beside this one."`
	Dir  string `type:"path" help:"Folder to work in, on the disk to measure; default: a temporary one."`
	JSON bool   `help:"Print JSON."`

	Kiosks   int           `default:"500" help:"Load: how many kiosks, each enrolled with its own certificate."`
	Rate     float64       `default:"300" help:"Load: submissions a second to keep up. Outage: what the bus admits."`
	For      time.Duration `default:"30s" help:"Load: how long to keep it up."`
	Capacity time.Duration `default:"9s" help:"Load: how long to see afterwards how many the bus takes at most; 0 doesn't."`
	Proofs   bool          `help:"Load: give the bus a trust bundle: requests carry chip evidence and a login, and it checks them."`
	Durable  bool          `help:"Load: have the bus sync its message log, too, before it answers."`

	Outage    bool    `help:"Let the bus be away, and watch real queues and couriers deliver what they hold."`
	Processes int     `default:"20" help:"Outage: processes of kiosks."`
	Each      int     `default:"5" help:"Outage: kiosks in a process."`
	Backlog   int     `default:"60" help:"Outage: requests that each kiosk holds."`
	Live      float64 `default:"2" help:"Outage: requests a second that citizens wait for meanwhile."`
}

// printed is a report.
type printed interface{ Print(w io.Writer) error }

// Run puts a bus under load, or lets it be away, and prints what came of it.
func (c fleetCommand) Run(ctx context.Context, out io.Writer) error {
	dir, err := os.MkdirTemp(c.Dir, "kosk-fleet-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	play := c.load
	if c.Outage {
		play = c.outage
	}
	r, failed := play(ctx, dir)
	if c.JSON {
		return errors.Join(failed, json.NewEncoder(out).Encode(r))
	}
	return errors.Join(failed, r.Print(out))
}

func (c fleetCommand) bus() string { return filepath.Join(binaries(c.Bin), "bus") }

func (c fleetCommand) load(ctx context.Context, dir string) (printed, error) {
	o := fleet.LoadOptions{
		Bus: c.bus(), Dir: dir, Kiosks: c.Kiosks, Rate: c.Rate, For: c.For, Capacity: c.Capacity, Proofs: c.Proofs, Say: os.Stderr,
	}
	if c.Durable {
		o.Flags = append(o.Flags, "--durable-log")
	}
	r, err := fleet.Load(ctx, o)
	if r.Errors+r.Rejects > 0 {
		err = errors.Join(err, fmt.Errorf("%d rejects, %d errors", r.Rejects, r.Errors))
	}
	return r, err
}

func (c fleetCommand) outage(ctx context.Context, dir string) (printed, error) {
	self, err := os.Executable()
	if err != nil {
		return fleet.OutageReport{}, err
	}
	return fleet.Outage(ctx, fleet.OutageOptions{
		Bus: c.bus(), Kiosk: fleet.Program{Path: self, Args: []string{"fleet-kiosks"}}, Dir: dir, Processes: c.Processes,
		Each: c.Each, Backlog: c.Backlog, Rate: c.Rate, Live: c.Live, Say: os.Stderr,
	})
}

// A crewCommand is a process of kiosks that the fleet starts.
type crewCommand struct{}

// Run is fleet.Crew's.
func (crewCommand) Run(ctx context.Context, out io.Writer) error {
	return fleet.Crew(ctx, os.Stdin, out)
}
