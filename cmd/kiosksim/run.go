package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"kosk/cmd/bus/agency"
	"kosk/cmd/kiosksim/rig"
	"kosk/cmd/kiosksim/visit"
)

type runCommand struct {
	Out string `default:"out/visit" type:"path" help:"Folder for slips and logs."`
	Bin string `type:"path" help:"Folder of the programs kiosk, kioskctl and bus; default: beside this one."`

	Card   string `default:"none" enum:"none,${profiles}" help:"A card that lies in the slot from the start: ${enum}."`
	quirks `embed:""`
}

// Run opens the kiosk's window on the display and stays until it is closed or
// interrupted; without a display it plays the scripted visits.
func (c runCommand) Run(ctx context.Context, out io.Writer) error {
	display := os.Getenv("DISPLAY")
	if display == "" {
		fmt.Fprintln(out, "There is no display: playing the scripted visits on a display of their own.")
		visits := visitCommand{Out: c.Out, Bin: c.Bin}
		if err := visits.Run(ctx, out); err != nil {
			return err
		}
		_, err := fmt.Fprintf(out, "Every visit ended as it should. Pictures, slips, speech and logs: %s\n", c.Out)
		return err
	}
	if err := emptied(c.Out); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "kosk")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r, err := rig.Open(ctx, rig.Options{
		Dir: dir, Bin: binaries(c.Bin), Out: c.Out, Display: display, Windowed: true, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer r.Close()
	if err := r.StartKiosk(); err != nil {
		return err
	}
	if c.Card != "none" {
		if err := insert(r, order{Profile: c.Card, quirks: c.quirks}); err != nil {
			return err
		}
	}
	c.explain(out, r.Config())
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		<-r.KioskDone()
		cancel()
	}()
	_ = obey(ctx, r)
	return nil
}

// explain says how to be a citizen here.
func (c runCommand) explain(out io.Writer, config string) {
	self, _ := os.Executable()
	p := visit.Person()
	phone, user, code, password := agency.Credentials(p)
	fmt.Fprintf(out, `The kiosk is open. The test card's access number (CAN) is %s, its PIN1 %[4]s, its PIN2 %[5]s.
Without it: ASAN İmza %[6]s with user code %[7]s, or portal code %[8]s with password %[9]s.

In another terminal:
  %[2]s card in            put the card in   (--profile tampered, cloned, pulled-out, ...)
  %[2]s card out           take it out
  %[2]s paper out          the paper ends    (paper in: a new roll)
  %[2]s approve            say yes on the phone (refuse: say no)
  %[2]s line cut           the line is cut   (line restore: it is back)
As the technician: %[10]s status --config %[11]s   (check, queue ls ...)

Keys: arrows move, Return chooses, Escape leaves, F8 plugs the headphones in, F9 pulls them out,
F1 says where you are, F2 repeats, F10 language, F11 text, F12 contrast.

Slips and logs come to %[3]s; what the lamps beside the slots show, to lamps.jsonl there. Close the window or press Ctrl-C to end.
`, p.CAN, self, c.Out, visit.PIN1, visit.PIN2, phone, user, code, password,
		filepath.Join(binaries(c.Bin), "kioskctl"), config)
}
