// Command kioskctl is the field technician's tool: it makes a machine a kiosk
// and finds out what is wrong with one. It never shows a citizen's data.
//
// One file per command. Start with `kioskctl enrol`.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

type commands struct {
	Enrol enrolCommand `cmd:"" help:"Make this machine a kiosk of a bus, with a one-time code from 'bus station add'."`
}

func main() { os.Exit(run()) }

// run is main with an exit code, so that tests can run it as a command.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c commands
	k := kong.Parse(&c, kong.Name("kioskctl"), kong.Description("The field technician's tool."), kong.UsageOnError(),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.BindTo(os.Stdout, (*io.Writer)(nil)))
	if err := k.Run(); err != nil {
		k.Errorf("%s", err)
		return 1
	}
	return 0
}
