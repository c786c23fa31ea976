package main

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"kosk/cmd/kiosk/line"
	"kosk/device"
	"kosk/device/catalogue"
	"kosk/device/config"
	"kosk/device/health"
	"kosk/device/session"
	"kosk/device/voice"
	"kosk/drivers/all"
	"kosk/drivers/card/eid"
	"kosk/drivers/printer/escpos"
	"kosk/drivers/signer"
	"kosk/drivers/sound"
	"kosk/drivers/speech/mute"
	"kosk/offline"
)

// A machine is everything of a kiosk but its window.
type machine struct {
	parts    device.Parts
	line     *line.Line
	keys     signer.Opener    // the card's own; nil: there are none
	trustKey *ecdsa.PublicKey // the operator's; nil: development
	closers  []io.Closer      // in the order of opening
	missing  []health.Part    // what the kiosk has to do without since its start

	forgetter *forgetter // clears up after visits
}

func (m *machine) close() {
	for i := len(m.closers) - 1; i >= 0; i-- {
		_ = m.closers[i].Close()
	}
}

// assemble opens drivers and line as the configuration names them.
func assemble(ctx context.Context, cfg config.Config, log *slog.Logger) (m *machine, err error) {
	m = &machine{}
	defer func() {
		if err != nil {
			m.close()
		}
	}()
	offer, err := catalogue.Load()
	if err != nil {
		return m, err
	}
	trusts := m.trust(cfg, log)
	m.parts.Log = log
	m.parts.Invite = time.Duration(cfg.Sound.InviteMinutes) * time.Minute
	m.parts.Kiosk = session.Kiosk{
		Catalogue: offer, Office: catalogue.Names(cfg.Office), Test: m.parts.Anchors.Development, NoTrust: !trusts,
	}
	if err := m.devices(ctx, cfg, log); err != nil {
		return m, err
	}
	return m, m.openLine(ctx, cfg, log)
}

// errRecords says why a kiosk for citizens has no sound file: private words are
// said into headphones, and would stay in it.
var errRecords = errors.New(`sound.make must be "pulse": a file keeps what is said, and is for development bundles only`)

// devices opens what stands in the kiosk's housing.
func (m *machine) devices(ctx context.Context, cfg config.Config, log *slog.Logger) (err error) {
	m.lamps(cfg.Lamps, log) // before anything else opens files: where a chip has two names, periph closes one twice
	if m.parts.Reader, err = all.Card(cfg.Card.Make, cfg.Card.Reader, log); err != nil {
		return err
	}
	m.parts.Chip = eid.New(log)
	keys, err := all.Signer(ctx, cfg.Card.Signer, cfg.Card.Module, cfg.Card.Reader, m.parts.Reader, log)
	if err != nil {
		m.without(log, "signer", err)
	}
	m.keys = keys
	if m.parts.Printer, err = all.Printer(ctx, cfg.Printer.Make, escpos.Options{
		Path: cfg.Printer.Path, Baud: cfg.Printer.Baud, Profile: cfg.Printer.Profile,
		Journal: filepath.Join(cfg.State.Dir, "slips.journal"), Log: log,
	}); err != nil {
		return err
	}
	if m.parts.Printer != nil {
		m.closers = append(m.closers, m.parts.Printer)
	}
	if err := m.document(cfg, log); err != nil {
		return err
	}
	synth, err := all.Speech(cfg.Speech.Make, cfg.Speech.Path, log)
	if err != nil {
		m.without(log, "speech", err)
		synth = mute.New()
	}
	if cfg.Sound.Make != "pulse" && !m.parts.Anchors.Development && !m.parts.Kiosk.NoTrust {
		return errRecords
	}
	sink, err := all.Sound(cfg.Sound.Make, cfg.Sound.Server, cfg.Sound.File, log)
	if errors.Is(err, sound.ErrNoSink) && sink != nil {
		log.Warn("no sound device yet", "err", err)
	} else if err != nil {
		return err
	}
	said, err := open(cfg.Sound.Log, io.Discard)
	if err != nil {
		return err
	}
	m.closers = append(m.closers, sink, said)
	m.parts.Voice = voice.New(voice.Options{Synth: synth, Sink: sink, Log: said, Logger: log})
	return nil
}

// run runs line, voice and kiosk.
func (m *machine) run(ctx context.Context, kiosk *device.Kiosk) error {
	parts := m.lineParts(kiosk)
	parts["voice"], parts["kiosk"], parts["forgetter"] = m.parts.Voice.Run, kiosk.Run, m.forgetter.run
	return together(ctx, parts, kiosk.Retire)
}

// together runs all until one of them ends: none is of use without the others.
// But what ends in doubt of what is stored doesn't take the words for it off the
// screen: retire then has the kiosk end when nobody is there.
func together(ctx context.Context, parts map[string]func(context.Context) error, retire func()) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for name, run := range parts {
		all.Go(func() {
			switch err := run(ctx); {
			case errors.Is(err, offline.ErrUnknown):
				retire()
			case err != nil:
				cancel(fmt.Errorf("%s: %w", name, err))
			default:
				cancel(nil)
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}
