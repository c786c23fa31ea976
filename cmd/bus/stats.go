package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"time"

	"kosk/cmd/bus/server"
	"kosk/cmd/bus/stats"
)

type statsCommand struct {
	Show   statsShow   `cmd:"" default:"withargs" help:"Print the tables of a month."`
	Import statsImport `cmd:"" help:"Take over the counts of a month that were made elsewhere."`
}

func (f folder) stats() string { return filepath.Join(f.Dir, server.StatsFolder) }

type statsShow struct {
	folder
	Month string `help:"Month, as 2014-12; the current one when absent. What a serving bus has counted is a few seconds behind."`
	JSON  bool   `xor:"form" help:"Print JSON."`
	Text  bool   `xor:"form" help:"Print text, which is done without a flag as well."`
}

// Run prints uses by agency, and the twenty most used services.
func (c statsShow) Run(out io.Writer) error {
	month := c.Month
	if month == "" {
		month = stats.MonthOf(time.Now())
	}
	m, err := stats.Read(c.stats(), month)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(out).Encode(m.Tables())
	}
	_, err = io.WriteString(out, m.Tables().Text())
	return err
}

type statsImport struct {
	folder
	File string `arg:"" type:"path" help:"A month's counts, as the bus keeps them."`
}

// Run stores the month, unless it has counts.
func (c statsImport) Run() error {
	b, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	m, err := stats.Parse(b)
	if err != nil {
		return err
	}
	return stats.Import(c.stats(), m)
}

type openAPICommand struct{}

// Run prints the document.
func (openAPICommand) Run(out io.Writer) error {
	_, err := out.Write(server.OpenAPI())
	return err
}
