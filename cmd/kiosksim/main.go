// Command kiosksim makes a kiosk of a laptop: the reference bus, a virtual chip
// card in the real PC/SC daemon, a virtual printer, and the kiosk's own window.
//
// With a display it stays, and takes orders from its other commands (card, paper,
// line). Without one it plays scripted visits and leaves what was seen, said and
// printed in a folder.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

type commands struct {
	Run     runCommand     `cmd:"" help:"Start everything. Without a display: play the scripted visits."`
	Visit   visitCommand   `cmd:"" help:"Play the scripted visits on a display of their own."`
	Card    cardCommand    `cmd:"" help:"Put a card in or take it out of the running kiosk."`
	Paper   paperCommand   `cmd:"" help:"Change the printer of the running kiosk."`
	Line    lineCommand    `cmd:"" help:"Cut or restore the running kiosk's line to the bus."`
	Approve approveCommand `cmd:"" help:"Approve what the test person's phone asks."`
	Refuse  refuseCommand  `cmd:"" help:"Refuse what the test person's phone asks."`
	Fleet   fleetCommand   `cmd:"" help:"Put a bus under the load of many kiosks and print what it takes."`
	Crew    crewCommand    `cmd:"" hidden:"" name:"fleet-kiosks" help:"Be kiosks of a fleet."`
	Bench   benchCommand   `cmd:"" help:"Measure the kiosk's start, memory and idle load; print JSON."`
}

// The exit codes.
const (
	exitOK = iota
	exitFailed
	exitUsage
)

func main() { os.Exit(run()) }

// run is main with an exit code.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c commands
	k := kong.Must(&c, kong.Name("kiosksim"), kong.Description("A laptop becomes a kiosk."),
		kong.Vars{"profiles": profileNames()},
		kong.BindTo(ctx, (*context.Context)(nil)), kong.BindTo(os.Stdout, (*io.Writer)(nil)))
	parsed, err := k.Parse(os.Args[1:])
	if err != nil {
		k.Errorf("%s", err)
		fmt.Fprintln(os.Stderr, "see kiosksim --help")
		return exitUsage
	}
	if err := parsed.Run(); err != nil {
		k.Errorf("%s", err)
		return exitFailed
	}
	return exitOK
}
