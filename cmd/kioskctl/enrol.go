package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"filippo.io/age"

	"kosk/device/provision"
	"kosk/offline"
	"kosk/offline/bus"
)

type enrolCommand struct {
	Code  string `required:"" help:"One-time code, as 'bus station add' printed it."`
	Bus   string `required:"" help:"The bus: https://host:port."`
	Dir   string `required:"" type:"path" help:"Folder of the kiosk's keys."`
	Force bool   `help:"Enrol anew although this machine is enrolled: the old key is lost."`
}

// enrolTime bounds the whole enrolment.
const enrolTime = 2 * time.Minute

// Run makes a key, has it certified, fetches the bus's keys over the new
// certificate, and saves all of it at once: a machine is enrolled or it is not.
func (c enrolCommand) Run(ctx context.Context, out io.Writer) error {
	if _, err := provision.Load(c.Dir); !errors.Is(err, provision.ErrNotEnrolled) && !c.Force {
		if err == nil {
			err = errors.New("this machine is enrolled already")
		}
		return fmt.Errorf("%w; --force enrols it anew", err)
	}
	ctx, cancel := context.WithTimeout(ctx, enrolTime)
	defer cancel()
	station, err := enrol(ctx, c.Bus, c.Code)
	if err != nil {
		return explain(err)
	}
	if err := provision.Save(c.Dir, station); err != nil {
		return err
	}
	leaf, err := x509.ParseCertificate(station.Certificate.Certificate[0])
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s is enrolled until %s\n", station.Name, leaf.NotAfter.Format(time.DateOnly))
	return err
}

// enrol goes from a code to a whole station.
func enrol(ctx context.Context, url, code string) (*provision.Station, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	got, err := bus.Enrol(ctx, bus.Enrolment{URL: url, Code: code, Key: key})
	if err != nil {
		return nil, err
	}
	s, err := provision.NewStation(got.Station, url, key, got.Certificate, got.CA[0])
	if err != nil {
		return nil, err
	}
	return s, fetchKeys(ctx, s)
}

// fetchKeys asks the bus what to seal to and what to verify with: the first
// words over the new certificate, so it proves that the certificate works.
func fetchKeys(ctx context.Context, s *provision.Station) error {
	line, err := bus.Open(bus.Options{
		URL: s.URL, Instance: s.Provider.Instance, Client: s.Client(), Service: s.Provider.Service(),
		TLS: s.TLSConfig(), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer line.Close()
	keys, err := line.Keys(ctx)
	if err != nil {
		return err
	}
	if s.Recipient, err = age.ParseHybridRecipient(keys.Recipient); err != nil {
		return fmt.Errorf("keys of the bus: %w", err)
	}
	if s.ReceiptKey, err = provision.ParseReceiptKey(keys.ReceiptKey); err != nil {
		return fmt.Errorf("keys of the bus: %w", err)
	}
	return nil
}

// explain adds what the technician can do.
func explain(err error) error {
	switch {
	case errors.Is(err, bus.ErrCode):
		return fmt.Errorf("%w: compare it with what 'bus station add' printed", err)
	case errors.Is(err, offline.ErrBusIdentity):
		return fmt.Errorf("%w: this is not the bus that the code is for", err)
	case errors.Is(err, offline.ErrRefused):
		return fmt.Errorf("%w: the code is wrong, used or over a day old; ask for a new one", err)
	case errors.Is(err, offline.ErrLineDown):
		return fmt.Errorf("%w: check the address of the bus and the network", err)
	}
	return err
}
