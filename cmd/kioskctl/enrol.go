package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"filippo.io/age"
	"golang.org/x/sys/unix"

	"kosk/device/config"
	"kosk/device/provision"
	"kosk/drivers/all"
	"kosk/drivers/keystore"
	"kosk/offline"
	"kosk/offline/bus"
)

type enrolCommand struct {
	Code   string `required:"" help:"One-time code, as 'bus station add' printed it."`
	Bus    string `required:"" help:"The bus: https://host:port."`
	Config string `xor:"where" type:"path" help:"The kiosk's configuration: says where its keys are, and what guards them. This or --dir."`
	Dir    string `xor:"where" type:"path" help:"Folder of the kiosk's keys, without a configuration: they are in a file."`
	Force  bool   `help:"Enrol anew although this machine is enrolled: the old key is lost."`
}

// enrolTime bounds the whole enrolment.
const enrolTime = 2 * time.Minute

// Validate finds what kong's rules can't say without telling that both are needed.
func (c enrolCommand) Validate() error {
	if c.Config == "" && c.Dir == "" {
		return errors.New("where are this kiosk's keys? give --config or --dir")
	}
	return nil
}

// Run makes a key, has it certified, fetches the bus's keys over the new
// certificate, and saves all of it at once: a machine is enrolled or it is not.
func (c enrolCommand) Run(ctx context.Context, out io.Writer) error {
	state := config.State{Dir: c.Dir, Keys: "file"}
	if c.Config != "" {
		cfg, err := config.Load(c.Config)
		if err != nil {
			return err
		}
		state = cfg.State
	}
	if err := c.room(state.Dir); err != nil {
		return explain(err)
	}
	ctx, cancel := context.WithTimeout(ctx, enrolTime)
	defer cancel()
	key, done, err := newKey(state)
	if err != nil {
		return explain(err)
	}
	defer done()
	station, err := enrol(ctx, c.Bus, c.Code, key)
	if err != nil {
		return explain(err)
	}
	if err := provision.Save(state.Dir, station); err != nil {
		return fmt.Errorf("%w; the code is used now: get a new one", explain(err))
	}
	leaf, err := x509.ParseCertificate(station.Certificate.Certificate[0])
	if err != nil {
		return err
	}
	guard := "a file"
	if station.Guard() == provision.Inside {
		guard = "the " + state.Keys
	}
	_, err = fmt.Fprintf(out, "%s is enrolled until %s, its key is in %s\n", station.Name, leaf.NotAfter.Format(time.DateOnly), guard)
	return err
}

// stationSize is more than a station's file has, in bytes.
const stationSize = 16 << 10

// room finds out whether a station may be written to the folder, and can be: a
// code is good for one try, so that must not end there.
func (c enrolCommand) room(dir string) error {
	switch _, err := provision.Load(dir); {
	case errors.Is(err, provision.ErrNotEnrolled) || c.Force:
	case err == nil:
		return errors.New("this machine is enrolled already; --force enrols it anew")
	case errors.Is(err, provision.ErrDamaged), errors.Is(err, provision.ErrExposed):
		return fmt.Errorf("%w; --force enrols it anew", err)
	default:
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".enrol-*")
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, stationSize))
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
}

// newKey makes the station's key where the configuration wants it to be. It can
// sign until done is called.
func newKey(state config.State) (key crypto.Signer, done func(), err error) {
	if state.Keys != "file" {
		s, err := all.Keystore(state.Keys, state.KeyStore())
		if err != nil {
			return nil, nil, err
		}
		if k, ok := s.(keystore.Keeper); ok {
			if key, err = k.NewKey(); err != nil {
				return nil, nil, errors.Join(err, s.Close())
			}
			return key, func() { _ = s.Close() }, nil
		}
		if err := s.Close(); err != nil {
			return nil, nil, err
		}
	}
	key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return key, func() {}, err
}

// enrol goes from a code and a key to a whole station.
func enrol(ctx context.Context, url, code string, key crypto.Signer) (*provision.Station, error) {
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
	case errors.Is(err, keystore.ErrNoStore):
		return fmt.Errorf("%w: switch the tpm on in the machine's set-up, or correct state.keys and state.keys_path", err)
	case errors.Is(err, bus.ErrCode):
		return fmt.Errorf("%w: compare it with what 'bus station add' printed", err)
	case errors.Is(err, offline.ErrBusIdentity):
		return fmt.Errorf("%w: this is not the bus that the code is for", err)
	case errors.Is(err, offline.ErrRefused):
		return fmt.Errorf("%w: the code is wrong, used or over a day old; ask for a new one", err)
	case errors.Is(err, offline.ErrLineDown):
		return fmt.Errorf("%w: check the address of the bus and the network", err)
	case errors.Is(err, offline.ErrAgency):
		return fmt.Errorf("%w: see that this is the address and the port of the bus; then ask its operator", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: run this as the kiosk's own user or as root", err)
	case errors.Is(err, unix.ENOSPC):
		return fmt.Errorf("%w: make room on this disk first", err)
	}
	return err
}
