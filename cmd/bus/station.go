package main

import (
	"fmt"
	"io"
	"time"

	"kosk/cmd/bus/registry"
)

type stationCommand struct {
	Add stationAdd `cmd:"" help:"Register a station, or give it a new code, and print the code."`
	Rm  stationRm  `cmd:"" help:"Shut a station out."`
	Ls  stationLs  `cmd:"" help:"List the stations."`
}

type stationAdd struct {
	folder
	Names []string `arg:"" name:"name" help:"Name of the station, or several: letters a-z, A-Z, digits, - . ="`
}

// Run prints the one-time codes, each alone on its line.
func (c stationAdd) Run(out io.Writer) error {
	reg, err := c.found()
	if err != nil {
		return err
	}
	for _, name := range c.Names { // all of them, before a code is made of any
		if !registry.Name.MatchString(name) {
			return fmt.Errorf("add station %s: %w", name, registry.ErrName)
		}
	}
	for _, name := range c.Names {
		code, err := reg.Add(name, time.Now())
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, code); err != nil {
			return err
		}
	}
	return nil
}

type stationRm struct {
	folder
	Name string `arg:"" help:"Name of the station."`
}

// Run prints nothing when it is done.
func (c stationRm) Run() error {
	reg, err := registry.OpenExisting(c.Dir)
	if err != nil {
		return err
	}
	return reg.Remove(c.Name, time.Now())
}

type stationLs struct{ folder }

// Run prints a line for each station.
func (c stationLs) Run(out io.Writer) error {
	reg, err := registry.OpenExisting(c.Dir)
	if err != nil {
		return err
	}
	all, err := reg.Stations()
	if err != nil {
		return err
	}
	for _, s := range all {
		state := "not enrolled"
		if !s.Removed.IsZero() {
			state = "removed"
		} else if len(s.Certificates) > 0 && !s.Certificates[0].Revoked {
			state = "enrolled until " + s.Certificates[0].NotAfter.Format(time.DateOnly)
		}
		if s.CodeOpen(time.Now()) {
			state += ", code open"
		}
		if _, err := fmt.Fprintf(out, "%s\t%s\n", s.Name, state); err != nil {
			return err
		}
	}
	return nil
}
