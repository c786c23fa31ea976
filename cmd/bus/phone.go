package main

import (
	"context"
	"fmt"
	"io"

	"kosk/cmd/bus/agency"
	"kosk/cmd/bus/server"
)

type phoneCommand struct {
	folder
	Do  string `arg:"" enum:"approve,refuse" help:"approve or refuse what the phone asks."`
	FIN string `help:"Whose phone it is; the first test person's when absent."`
}

// Run prints the code that the phone shows: it must be the kiosk's.
func (c phoneCommand) Run(ctx context.Context, out io.Writer) error {
	if c.FIN == "" {
		c.FIN = agency.Population()[0].FIN
	}
	code, err := server.Control{Socket: c.socket()}.Phone(ctx, c.FIN, c.Do == "approve")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, code)
	return err
}
