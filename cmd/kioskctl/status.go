package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"kosk/device/health"
	"kosk/offline/control"
)

type statusCommand struct{ kioskOf }

// Run asks the running kiosk how it stands.
func (c statusCommand) Run(ctx context.Context, out io.Writer) error {
	r, err := c.ask(ctx, control.Request{Verb: control.Status})
	if err != nil {
		return err
	}
	var s health.Status
	if err := json.Unmarshal(r.Status, &s); err != nil {
		return errors.New("the kiosk's answer can't be read: is it of another version than this program?")
	}
	if c.JSON {
		return writeJSON(out, s)
	}
	return showStatus(out, s)
}

// showStatus writes a status for people: what is wrong stands where it belongs.
func showStatus(out io.Writer, s health.Status) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	q, r := s.Report.Queue, s.Report
	line("station", "%s, %s", s.Station, map[bool]string{true: "nobody is there", false: "somebody is there"}[s.Vacant])
	line("program", "%s, up %s", r.Firmware, time.Duration(r.Uptime)*time.Second)
	showCatalogue(line, s.Catalogue)
	line("queue", "%d waiting, %d set aside, %d of %d MB, notes under a key in a %s", q.Depth, q.Parked, q.Bytes>>20, q.Bound>>20, q.Key)
	line("", "%d delivered since the start, %d stored twice; a commit takes %.1f ms, 99 of 100 at most %.1f ms", q.Delivered, q.Duplicates, q.CommitP50MS, q.CommitP99MS)
	for _, class := range slices.Sorted(maps.Keys(q.OldestS)) {
		line("", "the oldest of class %s: %s", class, time.Duration(q.OldestS[class])*time.Second)
	}
	if s.Rescue != "" {
		line("", "the file was %s when the kiosk started", s.Rescue)
	}
	paper := r.Paper.State
	if r.Paper.LeftMM > 0 {
		paper += fmt.Sprintf(", %d mm left", r.Paper.LeftMM)
	}
	if r.Paper.EmptyInS > 0 {
		paper += fmt.Sprintf(", empty in about %s", (time.Duration(r.Paper.EmptyInS) * time.Second).Round(time.Minute))
	}
	if r.Paper.Retracted > 0 {
		paper += fmt.Sprintf(", %d slips in the bin", r.Paper.Retracted)
	}
	line("paper", "%s", paper)
	line("clock", "%s, the system's is off by %s", s.Clock.State, time.Duration(s.Clock.OffsetMS)*time.Millisecond)
	line("certificate", "until %s, renewed from %s", day(s.Certificate.NotAfter), day(s.Certificate.Due))
	line("", "its key is in %s", map[string]string{
		"tpm": "the tpm", "moved": "the tpm, and was in a file before: until it is renewed", "file": "a file",
	}[r.Key])
	if s.Certificate.Error != "" {
		line("", "%d renewals failed: %s", s.Certificate.Failures, s.Certificate.Error)
	}
	if r.Trust.Version == 0 {
		line("trust", "no bundle: no card is believed")
	} else {
		line("trust", "version %d of %s, from the %s%s", r.Trust.Version, day(r.Trust.IssuedAt), s.TrustFrom,
			map[bool]string{true: ", for development", false: ""}[r.Trust.Development])
	}
	if s.Reported.IsZero() {
		line("bus", "has taken no report yet")
	} else {
		line("bus", "took a report at %s", s.Reported.UTC().Format(time.RFC3339))
	}
	for _, p := range r.Parts {
		line(p.Name, "%s", strings.TrimSpace(fmt.Sprint(p.State, "  ", p.Cause)))
	}
	return w.Flush()
}

func showCatalogue(line func(name, format string, args ...any), c health.Catalogue) {
	taken := ""
	if c.Manifest > 0 {
		taken = fmt.Sprintf("; number %d of the bus's was the last taken", c.Manifest)
	}
	line("services", "%s, from the %s%s", c.Version, c.From, taken)
	if c.Next != "" {
		line("", "from the next visit on: %s", c.Next)
	}
	if c.Error != "" {
		line("", "not taken: %s", c.Error)
	}
}

func day(t time.Time) string {
	if t.IsZero() {
		return "?"
	}
	return t.UTC().Format(time.DateOnly)
}

type paperCommand struct {
	EmptyBin emptyBinCommand `cmd:"" help:"The bin of retracted slips was emptied: count from zero."`
}

type emptyBinCommand struct{ kioskOf }

// Run tells the running kiosk that the bin is empty.
func (c emptyBinCommand) Run(ctx context.Context, out io.Writer) error {
	_, err := c.ask(ctx, control.Request{Verb: control.EmptyBin})
	if errors.Is(err, control.ErrNoSuch) {
		return errors.New("this kiosk's printer has no bin")
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(out, map[string]string{"done": string(control.EmptyBin)})
	}
	_, err = fmt.Fprintln(out, "the bin counts from zero")
	return err
}
