package main

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"kosk/device/config"
	"kosk/device/health"
	"kosk/device/identity"
	"kosk/device/receipt"
	"kosk/drivers/all"
	"kosk/drivers/panel/gpio"
	"kosk/drivers/printer/document"
	"kosk/offline"
)

// without notes that a part is missing. The kiosk starts and offers what still
// works.
func (m *machine) without(log *slog.Logger, part string, err error) {
	log.Error("missing at start", "part", part, "err", err)
	m.missing = append(m.missing, health.Part{Name: part, State: "noDevice", Cause: err.Error()})
}

// trust loads the trust anchors. Without them nobody can be believed, and the
// kiosk offers the services that need no card.
func (m *machine) trust(cfg config.Config, log *slog.Logger) (trusts bool) {
	key, err := identity.LoadTrustKey(cfg.Card.TrustKey)
	m.trustKey = key
	if err == nil {
		if m.parts.Anchors, err = identity.AcceptBundle(cfg.Card.Bundle, key); err == nil {
			return true
		}
	}
	m.without(log, "trust", err)
	m.parts.Anchors = &identity.Anchors{}
	return false
}

// document opens the printer of pages, where there is one.
func (m *machine) document(cfg config.Config, log *slog.Logger) (err error) {
	if m.parts.Document, err = all.Document(cfg.Document.Make, cfg.Document.Address, log); err != nil {
		return err
	}
	if m.parts.Document != nil {
		m.parts.Edition = sync.OnceValues(func() (string, error) { return receipt.Edition(document.Draw) })
		m.closers = append(m.closers, m.parts.Document)
	}
	return nil
}

// lamps opens those beside the slots. They are never the only sign: the kiosk
// works without.
func (m *machine) lamps(cfg config.Lamps, log *slog.Logger) {
	p, err := all.Panel(cfg.Make, cfg.File, gpio.Options{Chip: cfg.Chip, Lines: cfg.Lines(), ActiveLow: cfg.ActiveLow, Log: log})
	switch {
	case err != nil:
		m.without(log, "lamps", err)
	case p != nil:
		m.parts.Panel = p
		m.closers = append(m.closers, p)
	}
}

// doubts says what became of the requests of which an earlier run didn't know
// whether they were stored, and has this run note its own. Nothing is done about
// them: what is stored is sent by itself, and who was told a number finds out
// with it.
func (m *machine) doubts(dir string, log *slog.Logger) {
	path := filepath.Join(dir, "doubts")
	m.parts.Doubt = func(id string) {
		if err := note(path, id); err != nil {
			log.Error("doubt not noted", "request_id", id, "err", err)
		}
	}
	noted, err := os.ReadFile(path)
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			log.Error("doubts not read", "err", err)
		}
		return
	}
	for id := range strings.Lines(string(noted)) {
		id = strings.TrimSpace(id)
		switch found, err := m.line.Queue.Find(id); {
		case err == nil:
			log.Info("doubt settled", "request_id", id, "stored", true, "state", found.State.String())
		case errors.Is(err, offline.ErrNotFound):
			log.Warn("doubt settled", "request_id", id, "stored", false)
		default:
			log.Error("doubt not settled", "request_id", id, "err", err)
			return // asked again at the next start
		}
	}
	if err := os.Remove(path); err != nil {
		log.Error("doubts not removed", "err", err)
	}
}

// note appends a line to a file, and keeps it.
func note(path, line string) (err error) {
	f, err := os.OpenFile(filepath.Clean(path), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err = io.WriteString(f, line+"\n"); err != nil {
		return err
	}
	return f.Sync()
}
