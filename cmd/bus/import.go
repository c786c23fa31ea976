package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"kosk/cmd/bus/export"
	"kosk/cmd/bus/server"
)

// The rules of an import are:
//
//   - All files are read and checked before the first request is handed over: one
//     that isn't whole stops everything, and nothing is half done.
//   - The bus that serves takes the requests, by the same rules as from their kiosks.
//     What it refuses stops no other. What it has, it has once.
//   - So an import that broke off, or whose kiosk came back meanwhile, is repeated.

type importCommand struct {
	folder
	Files   []string `arg:"" name:"file" type:"path" help:"Exports, each of one request or of several behind each other."`
	ShutOut bool     `help:"Take those of stations that were shut out as well: the kiosk is broken, and in nobody else's hands."`
	JSON    bool     `name:"json" help:"Print JSON."`
}

// An imported request is a line of what is printed.
type imported struct {
	server.Carried
	File string `json:"file"`
}

// imports are all of them.
type imports struct {
	Requests []imported `json:"requests"`
	Accepted int        `json:"accepted"`
	Known    int        `json:"known"`
	Refused  int        `json:"refused"`
	Again    int        `json:"again"`
}

// errNotAll says that some were not taken.
var errNotAll = errors.New("not all were taken")

// Run prints a line for each request, and a sum.
func (c importCommand) Run(ctx context.Context, out io.Writer) error {
	bus := server.Control{Socket: c.socket()}
	if _, err := bus.Status(ctx); errors.Is(err, server.ErrNotServing) {
		return fmt.Errorf("%w from %s: start it and import again, nothing was taken", err, c.Dir)
	} else if err != nil {
		return err
	}
	if err := c.each(func(string, export.Item) error { return ctx.Err() }); err != nil {
		return fmt.Errorf("%w: nothing was taken", err)
	}
	all := imports{Requests: []imported{}}
	err := c.each(func(file string, i export.Item) error {
		got, err := bus.Import(ctx, i.ID, i.Sealed, c.ShutOut)
		if err != nil {
			return fmt.Errorf("%s: %w: import it again", i.ID, err)
		}
		all.add(imported{got, file})
		if c.JSON {
			return nil
		}
		_, err = fmt.Fprintln(out, got.ID, words(got))
		return err
	})
	if errOut := all.print(out, c.JSON); err == nil {
		err = errOut
	}
	if left := all.Refused + all.Again; err == nil && left > 0 {
		err = fmt.Errorf("%w: %d of %d", errNotAll, left, len(all.Requests))
	}
	return err
}

// each goes through all files.
func (c importCommand) each(seen func(file string, i export.Item) error) error {
	for _, file := range c.Files {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		err = export.Each(f, func(i export.Item) error { return seen(file, i) })
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

func (a *imports) add(i imported) {
	a.Requests = append(a.Requests, i)
	switch i.Verdict {
	case server.VerdictAccepted:
		a.Accepted++
	case server.VerdictKnown:
		a.Known++
	case server.VerdictRefused:
		a.Refused++
	case server.VerdictAgain:
		a.Again++
	}
}

// print prints the sum, and in JSON everything.
func (a *imports) print(out io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(a)
	}
	_, err := fmt.Fprintf(out, "%d in all: %d accepted, %d known already, %d refused, %d to be imported again\n",
		len(a.Requests), a.Accepted, a.Known, a.Refused, a.Again)
	return err
}

// words say what became of a request.
func words(c server.Carried) string {
	number := "number " + c.ID.Number()
	switch c.Verdict {
	case server.VerdictAccepted:
		return fmt.Sprintf("accepted from %s: entry %d, %s", c.Station, c.Seq, number)
	case server.VerdictKnown:
		return fmt.Sprintf("known already from %s: entry %d, state %s, %s", c.Station, c.Seq, c.State, number)
	case server.VerdictRefused:
		return "refused: " + c.Reason + advice(c.Reason)
	}
	return "not taken now: " + c.Reason + ": import it again"
}

// advice is what the operator can do about a refusal.
func advice(reason string) string {
	switch reason {
	case "station_shut_out":
		return ": if its kiosk is broken and in nobody else's hands, import with --shut-out"
	case "too_late":
		return ": its time was over before it came; the citizen files it anew"
	case "bad_envelope", "bad_signature", "wrong_id":
		return ": it is not what a kiosk of this bus sealed"
	case "other_content":
		return ": this id came before, with another content, which stands"
	case "access_denied":
		return ": the station has no right to send requests, see bus right ls"
	}
	return ""
}
