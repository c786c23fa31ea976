package main

import (
	"os"
	"path/filepath"

	"kosk/cmd/bus/keep"
	"kosk/cmd/bus/server"
	"kosk/device/catalogue"
)

type catalogueCommand struct {
	Set catalogueSet `cmd:"" help:"Offer another catalogue: it gets the next version at once."`
}

type catalogueSet struct {
	folder
	File string `arg:"" type:"path" help:"The catalogue, in TOML."`
}

// Run takes the file over when it is sound.
func (c catalogueSet) Run() error {
	b, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	if _, err := catalogue.Parse(string(b)); err != nil {
		return err
	}
	return keep.File(filepath.Join(c.Dir, server.CatalogueFile), b)
}
