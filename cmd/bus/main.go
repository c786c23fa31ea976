// Command bus is the reference central bus: what a kiosk talks to when there is
// no national one. It speaks X-Road REST to its stations, keeps what it accepts
// in a ledger, and has synthetic agencies behind it. It never ships on a kiosk.
//
// Start with `bus serve --dir DIR`, and `bus station add NAME --dir DIR` for
// the code that a kiosk enrols with.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/alecthomas/kong"
)

type commands struct {
	Serve     serveCommand     `cmd:"" help:"Serve the kiosks until stopped."`
	Station   stationCommand   `cmd:"" help:"Stations: the kiosks that may talk to this bus."`
	Status    statusCommand    `cmd:"" help:"Show the counters of the bus that is serving."`
	Phone     phoneCommand     `cmd:"" help:"Approve or refuse on the simulated phone of a test person."`
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

func main() { os.Exit(run()) }

// run is main with an exit code, so that tests can run it as a command.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c commands
	k := kong.Parse(&c, kong.Name("bus"), kong.Description("The reference central bus."), kong.UsageOnError(),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.BindTo(os.Stdout, (*io.Writer)(nil)))
	if err := k.Run(); err != nil {
		k.Errorf("%s", err)
		return 1
	}
	return 0
}
