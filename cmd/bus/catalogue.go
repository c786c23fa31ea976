package main

import (
	"fmt"
	"io"
	"os"

	"kosk/cmd/bus/server"
	"kosk/device/catalogue"
)

type catalogueCommand struct {
	Set  catalogueSet  `cmd:"" help:"Offer another catalogue: kiosks take it within the hour, between two visits."`
	Show catalogueShow `cmd:"" help:"Show what was published last."`
}

type catalogueSet struct {
	folder
	File string `arg:"" type:"path" help:"The catalogue, in TOML. Its version must be higher than the last one's."`
}

// Run takes the file over when it is sound, and prints what is published.
func (c catalogueSet) Run(out io.Writer) error {
	b, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	reg, err := c.found()
	if err != nil {
		return err
	}
	m, err := server.SetCatalogue(c.Dir, b, reg.Keys().Receipt)
	if err != nil {
		return err
	}
	return describeCatalogue(out, m)
}

type catalogueShow struct {
	folder
	Out string `type:"path" help:"Also write it to this file, signed, as kiosks get it and as 'kioskctl verify --catalogue' reads it."`
}

// Run prints the newest version.
func (c catalogueShow) Run(out io.Writer) error {
	m, err := server.LastCatalogue(c.Dir)
	if err != nil {
		return err
	}
	if m == nil {
		_, err := fmt.Fprintln(out, "nothing was published from here yet")
		return err
	}
	if c.Out != "" {
		reg, err := c.found()
		if err != nil {
			return err
		}
		b, err := m.Seal(reg.Keys().Receipt)
		if err != nil {
			return err
		}
		if err := os.WriteFile(c.Out, b, 0o644); err != nil {
			return err
		}
	}
	return describeCatalogue(out, m)
}

func describeCatalogue(out io.Writer, m *catalogue.Manifest) error {
	_, err := fmt.Fprintf(out, "version %d\t%s\t%s\t%d services of %d agencies\n", m.Version, m.Catalogue, m.Issued.Format("2006-01-02"), len(m.Services), len(m.Agencies))
	return err
}
