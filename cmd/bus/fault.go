package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"kosk/cmd/bus/server"
)

type faultCommand struct {
	folder
	Name    string        `arg:"" enum:"lost-answer,down,slow,wrong-schema,refuse,stale,duplicate,clock-skew,wrong-certificate,clear,ls" help:"One of ${enum}."`
	Service string        `help:"What it acts on: intake, a look-up service, or the service of requests. Everything when absent."`
	Times   int           `help:"How often it acts; until cleared when absent."`
	Delay   time.Duration `help:"How long slow takes and lost-answer waits before it breaks the connection, how old stale answers are, how far ahead the clock is."`
}

// Run sets a fault, clears all, or lists them; what is set then is printed.
func (c faultCommand) Run(ctx context.Context, out io.Writer) error {
	bus := server.Control{Socket: c.socket()}
	var all []server.Fault
	var err error
	switch c.Name {
	case "clear":
		err = bus.ClearFaults(ctx)
	case "ls":
		var st server.Status
		st, err = bus.Status(ctx)
		all = st.Faults
	default:
		all, err = bus.SetFault(ctx, server.Fault{Name: c.Name, Service: c.Service, Times: c.Times, Delay: c.Delay})
	}
	if err != nil {
		return err
	}
	for _, f := range all {
		service, times := f.Service, "until cleared"
		if service == "" {
			service = "everything"
		}
		if f.Times > 0 {
			times = fmt.Sprintf("%d times", f.Times)
		}
		if _, err := fmt.Fprintf(out, "%s\t%s\t%s\n", f.Name, service, times); err != nil {
			return err
		}
	}
	return nil
}
