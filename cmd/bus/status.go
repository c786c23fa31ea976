package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"kosk/cmd/bus/server"
)

type statusCommand struct {
	folder
	JSON bool `help:"Print JSON."`
}

// Run prints the counters.
func (c statusCommand) Run(ctx context.Context, out io.Writer) error {
	st, err := server.Control{Socket: c.socket()}.Status(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(out).Encode(st)
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "serving since\t%s\n", st.Since.Local().Format("2006-01-02 15:04:05"))
	fmt.Fprintf(w, "accepted\t%d\n", st.Accepted)
	fmt.Fprintf(w, "decided\t%d\n", st.Effects)
	fmt.Fprintf(w, "duplicates\t%d\n", st.Duplicates)
	fmt.Fprintf(w, "refused\t%d\n", st.Refused)
	fmt.Fprintf(w, "look-ups\t%d\n", st.Lookups)
	fmt.Fprintf(w, "stations\t%d\n", st.Stations)
	fmt.Fprintf(w, "faults set\t%d\n", len(st.Faults))
	return w.Flush()
}
