// Command bus is the reference central bus: what a kiosk talks to when there is
// no national one. It speaks X-Road REST to its stations, keeps what it accepts
// in a ledger, and has synthetic agencies behind it. It never ships on a kiosk.
//
// Start with `bus serve --dir DIR`, and `bus station add NAME --dir DIR` for
// the code that a kiosk enrols with.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/alecthomas/kong"

	"kosk/cmd/bus/registry"
)

type commands struct {
	Serve     serveCommand     `cmd:"" help:"Serve the kiosks until stopped."`
	Station   stationCommand   `cmd:"" help:"Stations: the kiosks that may talk to this bus."`
	Status    statusCommand    `cmd:"" help:"Show the counters of the bus that is serving."`
	Phone     phoneCommand     `cmd:"" help:"Approve or refuse on the simulated phone of a test person."`
	Import    importCommand    `cmd:"" help:"Take requests that a kiosk could not deliver: exports of kioskctl queue export."`
	Fault     faultCommand     `cmd:"" help:"Script faults of the bus that is serving."`
	Member    memberCommand    `cmd:"" help:"Members and subsystems."`
	Service   serviceCommand   `cmd:"" help:"Services."`
	Right     rightCommand     `cmd:"" help:"Rights to call services."`
	Trust     trustCommand     `cmd:"" help:"The trust bundle for cards."`
	Catalogue catalogueCommand `cmd:"" help:"The catalogue of services that kiosks take from here."`
	Log       logCommand       `cmd:"" help:"The message log."`
	Stats     statsCommand     `cmd:"" help:"Statistics by agency, service and month."`
	OpenAPI   openAPICommand   `cmd:"" name:"openapi" help:"Print the description of the kiosks' service."`

	Operator operatorCommand `cmd:"" help:"Who may open the operator's page."`

	Revoke      revokeCommand      `cmd:"" help:"Take a certificate back."`
	Revocations revocationsCommand `cmd:"" help:"Write the signed list of certificates that were taken back."`
	Key         keyCommand         `cmd:"" help:"Print the public key of receipts and certificates."`
}

// folder is the flag that all commands share.
type folder struct {
	Dir string `required:"" type:"path" help:"Folder of the bus: keys, stations, ledger, socket."`
}

func (f folder) ledger() string { return filepath.Join(f.Dir, "ledger") }
func (f folder) socket() string { return filepath.Join(f.Dir, "bus.sock") }

// found opens the bus, and says so when that has founded a new one: a code of it
// is good for no other.
func (f folder) found() (*registry.Registry, error) {
	reg, err := registry.OpenExisting(f.Dir)
	if !errors.Is(err, registry.ErrNoBus) {
		return reg, err
	}
	if reg, err = registry.Open(f.Dir); err != nil {
		return nil, err
	}
	_, err = fmt.Fprintln(os.Stderr, "there was no bus in", f.Dir+": a new one was made, with keys of its own")
	return reg, err
}

// The exit codes.
const (
	exitOK = iota
	exitFailed
	exitUsage
)

func main() { os.Exit(run()) }

// run is main with an exit code, so that tests can run it as a command.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c commands
	k := kong.Must(&c, kong.Name("bus"), kong.Description("The reference central bus. It ends with 0 when all is well, 1 when something is not, 2 when it wasn't understood."),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.BindTo(os.Stdout, (*io.Writer)(nil)))
	parsed, err := k.Parse(os.Args[1:])
	if err != nil {
		k.Errorf("%s", err)
		fmt.Fprintln(os.Stderr, "see bus --help") // and not all of it, where a key was to go
		return exitUsage
	}
	if err := parsed.Run(); err != nil {
		k.Errorf("%s", err)
		return exitFailed
	}
	return exitOK
}
