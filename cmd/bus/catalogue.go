package main

import (
	"errors"
	"os"
	"path/filepath"

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
	tmp, err := os.CreateTemp(c.Dir, ".catalogue-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails once it is renamed
	_, err = tmp.Write(b)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), filepath.Join(c.Dir, server.CatalogueFile))
}
