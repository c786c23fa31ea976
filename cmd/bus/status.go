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
	fmt.Fprintf(w, "chip evidence\t%s\n", evidence(st.Evidence))
	fmt.Fprintf(w, "catalogue\t%d, %s\n", st.Catalogue.Version, st.Catalogue.Catalogue)
	if st.Catalogue.Error != "" {
		fmt.Fprintf(w, "\tnot the one that lies there: %s\n", st.Catalogue.Error)
	}
	return w.Flush()
}

// evidence says whether cards are checked, and against what.
func evidence(t server.TrustState) string {
	switch {
	case t.Error != "":
		return "not checked, requests are refused: " + t.Error
	case !t.Checked:
		return "not checked: no trust bundle"
	case t.Development:
		return fmt.Sprintf("checked with bundle %d, for development", t.Version)
	}
	return fmt.Sprintf("checked with bundle %d of %s", t.Version, t.Issued.UTC().Format("2006-01-02"))
}
