// Command kioskctl is the field technician's tool: it makes a machine a kiosk
// and finds out what is wrong with one. It never shows a citizen's data.
//
// One file per command. Start with `kioskctl enrol`, then `kioskctl check`.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"kosk/drivers/all"
)

type commands struct {
	Enrol enrolCommand `cmd:"" help:"Make this machine a kiosk of a bus, with a one-time code from 'bus station add'."`
	Check checkCommand `cmd:"" help:"Test every part of this kiosk and say what to do about what fails."`
	Trust trustCommand `cmd:"" help:"Make and show trust bundles: whose cards are believed."`

	Status statusCommand `cmd:"" help:"Ask the running kiosk how it stands."`
	Queue  queueCommand  `cmd:"" help:"Look at the requests that wait for the bus, and decide about those set aside."`
	Paper  paperCommand  `cmd:"" help:"Tell the running kiosk what was done at its printer."`
	Verify verifyCommand `cmd:"" help:"Say whether a certificate is genuine, without a line."`
}

// The exit codes.
const (
	exitOK = iota
	exitFailed
	exitUsage
)

func main() {
	if all.Process() {
		return
	}
	os.Exit(run())
}

// run is main with an exit code, so that tests can run it as a command.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c commands
	k := kong.Must(&c, kong.Name("kioskctl"), kong.Description("The field technician's tool. It ends with 0 when all is well, 1 when something is not, 2 when it wasn't understood."),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.BindTo(os.Stdout, (*io.Writer)(nil)))
	parsed, err := k.Parse(os.Args[1:])
	if err != nil {
		k.Errorf("%s", err)
		fmt.Fprintln(os.Stderr, "see kioskctl --help")
		return exitUsage
	}
	err = parsed.Run()
	if v, is := errors.AsType[judgementError](err); is { // it is said already
		return v.ExitCode()
	}
	if err != nil {
		k.Errorf("%s", err)
		return exitFailed
	}
	return exitOK
}
