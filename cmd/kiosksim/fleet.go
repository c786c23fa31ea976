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
	Kiosks   int           `default:"500" help:"How many kiosks, each enrolled with its own certificate."`
	Rate     float64       `default:"300" help:"Submissions a second to keep up."`
	For      time.Duration `default:"30s" help:"How long to keep it up."`
	Capacity time.Duration `default:"9s" help:"How long to see afterwards how many the bus takes at most; 0 doesn't."`
	Proofs   bool          `help:"Give the bus a trust bundle: requests carry chip evidence and a login, and it checks them."`
	Durable  bool          `help:"Have the bus sync its message log, too, before it answers."`
	Bin      string        `type:"path" help:"Folder of the program bus; default: beside this one."`
	Dir      string        `type:"path" help:"Folder to work in, on the disk to measure; default: a temporary one."`
	JSON     bool          `help:"Print JSON."`
}

// Run puts a bus under load and prints what came of it.
func (c fleetCommand) Run(ctx context.Context, out io.Writer) error {
	dir, err := os.MkdirTemp(c.Dir, "kosk-fleet-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	o := fleet.LoadOptions{
		Bus: filepath.Join(binaries(c.Bin), "bus"), Dir: dir, Kiosks: c.Kiosks, Rate: c.Rate, For: c.For,
		Capacity: c.Capacity, Proofs: c.Proofs, Say: os.Stderr,
	}
	if c.Durable {
		o.Flags = append(o.Flags, "--durable-log")
	}
	r, err := fleet.Load(ctx, o)
	if err != nil {
		return err
	}
	if c.JSON {
		err = json.NewEncoder(out).Encode(r)
	} else {
		err = r.Print(out)
	}
	if r.Errors > 0 || r.Rejects > 0 {
		err = errors.Join(err, fmt.Errorf("%d rejects, %d errors", r.Rejects, r.Errors))
	}
	return err
}
