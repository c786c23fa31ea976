package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"

	"kosk/cmd/bus/agency"
	"kosk/cmd/bus/ledger"
	"kosk/cmd/bus/ledger/jetstream"
	"kosk/cmd/bus/msglog"
	"kosk/cmd/bus/registry"
	"kosk/cmd/bus/server"
	"kosk/device/keep"
)

type serveCommand struct {
	folder
	Listen   string `default:"127.0.0.1:7443" help:"Address for the kiosks; port 0 takes a free one."`
	Log      string `type:"path" help:"File for the log, JSON lines; standard error when absent."`
	PortFile string `type:"path" help:"File to write the port into once it listens."`
	Instance string `default:"AZ-TEST" help:"X-Road instance."`
	Member   string `default:"10001" help:"X-Road member of the bus."`
	Ledger   string `env:"BUS_LEDGER" placeholder:"URL" help:"NATS cluster that holds the ledger (nats:// or tls://, several with commas); embedded when absent."`
	System   string `name:"ledger-system" env:"BUS_LEDGER_SYSTEM" placeholder:"URL" help:"The same cluster as a user of its system account, to ask whether it syncs."`
	CA       string `name:"ledger-ca" type:"path" help:"Authorities that the cluster's certificates come from."`
	Dialect  string `enum:"old,new" default:"new" help:"Spelling of X-Road errors: old (to 7.7) or new (from 7.8)."`

	Rate       float64 `help:"Submissions a second that are admitted; 0 admits all."`
	DurableLog bool    `help:"Sync each entry of the message log before its answer leaves."`
	TSA        string  `help:"URL of a time-stamping authority (RFC 3161) for heads of the message log."`
	Trust      string  `type:"path" help:"Trust bundle to take over at the start, as bus trust set does: cards and persons must then prove themselves."`
	TrustKey   string  `type:"path" help:"Public key of the bundle's operator in PEM; none for development."`

	observeFlags
}

// Run serves until ctx ends.
func (c serveCommand) Run(ctx context.Context) (err error) {
	if err := c.sound(); err != nil {
		return err
	}
	if err := c.forgetPort(); err != nil {
		return err
	}
	log, closeLog, err := c.openLog()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeLog()) }()
	reg, err := registry.Open(c.Dir)
	if err != nil {
		return err
	}
	if err := c.takeTrust(reg); err != nil {
		return err
	}
	book, err := jetstream.Open(ctx, jetstream.Config{Dir: c.ledger(), Log: log, URL: c.Ledger, System: c.System, CA: c.CA})
	if errors.Is(err, ledger.ErrInUse) {
		return fmt.Errorf("%w: another bus serves from %s", err, c.Dir)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, book.Close()) }()
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	approvals, err := agency.OpenApprovals(c.Dir)
	if err != nil {
		return err
	}
	o, err := c.observeFlags.open(ctx, log)
	if err != nil {
		return err
	}
	conf := server.Config{
		Rate: c.Rate, DurableLog: c.DurableLog, Stamper: c.stamper(),
		Approvals: approvals,
		Registry:  reg, Ledger: book, Log: log, Host: host, Dialect: server.Dialect(c.Dialect),
		Provider: server.Provider{Instance: c.Instance, Class: "GOV", Member: c.Member, Subsystem: "kiosk"},
	}
	o.watch(&conf)
	s, err := server.New(ctx, conf)
	if err != nil {
		return errors.Join(err, o.close())
	}
	l, control, err := c.listen()
	if err != nil {
		return errors.Join(err, o.close())
	}
	log.Info("serving", "address", l.Addr().String())
	defer log.Info("stopped")
	return o.run(ctx, s, reg, func(ctx context.Context) error { return s.Run(ctx, l, control) })
}

// sound looks at flags that nothing else does.
func (c serveCommand) sound() error {
	if !registry.Name.MatchString(c.Instance) || !registry.Name.MatchString(c.Member) {
		return fmt.Errorf("instance or member: %w", registry.ErrName)
	}
	if !(c.Rate >= 0) { // nor NaN
		return errors.New("rate: can't be below 0")
	}
	if u, err := url.Parse(c.TSA); c.TSA != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return errors.New("tsa: address of the authority must be http or https")
	}
	return nil
}

// listen opens the kiosks' address and the operator's socket, and tells the port.
func (c serveCommand) listen() (kiosks, control net.Listener, err error) {
	if kiosks, err = net.Listen("tcp", c.Listen); err != nil {
		return nil, nil, err
	}
	if control, err = server.ListenControl(c.socket()); err != nil {
		return nil, nil, errors.Join(err, kiosks.Close())
	}
	if err := c.tellPort(kiosks); err != nil {
		return nil, nil, errors.Join(err, kiosks.Close(), control.Close())
	}
	return kiosks, control, nil
}

// takeTrust takes the bundle over when one is named.
func (c serveCommand) takeTrust(reg *registry.Registry) error {
	if c.Trust == "" {
		return nil
	}
	_, err := setTrust(reg, c.Trust, c.TrustKey)
	return err
}

// stamper is the time-stamping authority, or nil.
func (c serveCommand) stamper() msglog.Stamper {
	if c.TSA == "" {
		return nil
	}
	return msglog.TSA{URL: c.TSA, Client: &http.Client{}}
}

func (c serveCommand) openLog() (*slog.Logger, func() error, error) {
	var w io.Writer = os.Stderr
	end := func() error { return nil }
	if c.Log != "" {
		f, err := os.OpenFile(c.Log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return nil, nil, fmt.Errorf("log: %w", err)
		}
		w, end = f, f.Close
	}
	return slog.New(slog.NewJSONHandler(w, nil)), end, nil
}

// forgetPort removes the port file of an earlier bus: who waits for it must not
// read the old port.
func (c serveCommand) forgetPort() error {
	if c.PortFile == "" {
		return nil
	}
	if err := os.Remove(c.PortFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("port file: %w", err)
	}
	return nil
}

// tellPort writes the port as a whole: who waits for the file reads all of it.
func (c serveCommand) tellPort(l net.Listener) error {
	if c.PortFile == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return fmt.Errorf("port file: %w", err)
	}
	if err := keep.Public(c.PortFile, []byte(port+"\n")); err != nil {
		return fmt.Errorf("port file: %w", err)
	}
	return nil
}
