package server

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"kosk/cmd/bus/msglog"
	"kosk/cmd/bus/registry"
	"kosk/cmd/bus/stats"
)

// Folders below the bus's own.
const (
	// MessageFolder holds the message log.
	MessageFolder = "messages"
	// StatsFolder holds the counts of each month.
	StatsFolder     = "stats"
	telemetryFolder = "telemetry"
)

// Times of what is kept beside the ledger.
const (
	saveEvery  = 5 * time.Second
	countEvery = 30 * time.Second
)

// openFiles opens what is kept beside the ledger. The message log comes last: its
// entries since the last checkpoint bring the statistics up to date; for accesses it
// is read to its beginning, later.
func (s *Server) openFiles() (err error) {
	dir, p := s.Registry.Dir(), s.Provider
	if err := s.Registry.EnsureDirectory(p.Member, p.Subsystem, Endpoints(), Version); err != nil {
		return err
	}
	if s.secrets.digest, err = s.Registry.Secret("digest"); err != nil {
		return err
	}
	if s.secrets.person, err = s.Registry.Secret("person"); err != nil {
		return err
	}
	if s.tellings, err = openTellings(filepath.Join(dir, telemetryFolder)); err != nil {
		return err
	}
	if err := s.openCatalogue(); err != nil {
		return err
	}
	if s.facts, err = registry.ReadFacts(); err != nil {
		return err
	}
	if s.stats, err = stats.Open(filepath.Join(dir, StatsFolder), s.facts.Names); err != nil {
		return err
	}
	s.messages, err = msglog.Open(filepath.Join(dir, MessageFolder), msglog.Options{
		Key: s.Registry.Keys().Receipt, Durable: s.DurableLog, Stamper: s.Stamper, Seen: s.seen,
		Settle: func() error { return s.stats.Save(s.messages.Sync) },
		Unset:  func(err error) { s.Log.Warn("no checkpoint for the message log", "err", err) },
		Missed: func(err error) { s.Log.Warn("no stamp for the message log", "err", err) },
	})
	if err != nil {
		return err
	}
	if n := s.messages.Cut(); n > 0 {
		s.Log.Warn("torn tail of message log cut", "bytes", n)
	}
	return s.tellState()
}

// openCatalogue has something to publish, or ends the start.
func (s *Server) openCatalogue() error {
	if err := s.shelf.recall(); err != nil {
		s.Log.Warn("former catalogues can't be read", "err", err)
	}
	if now, _, err := s.shelf.current(); now == nil {
		return err
	} else if err != nil {
		s.Log.Error("catalogue not taken", "err", err)
	}
	return nil
}

// tellState says at the start what this bus does not do.
func (s *Server) tellState() error {
	t := s.trustState()
	switch {
	case t.Error != "":
		s.Log.Error("trust bundle failed", "err", t.Error)
	case !t.Checked:
		s.Log.Warn("no trust bundle: chip evidence is not checked")
	default:
		s.Log.Info("chip evidence is checked", "bundle", t.Version, "development", t.Development)
	}
	return s.countStations()
}

func (s *Server) countStations() error {
	all, err := s.Registry.Stations()
	s.stations.Store(int64(len(all)))
	return err
}

// seen gets every entry of the message log, in order.
func (s *Server) seen(e msglog.Entry) {
	s.entry.Store(e.Seq)
	s.accesses.add(e)
	if e.UsedService == "" {
		return
	}
	if err := s.stats.Add(e.At, e.Seq, e.UsedAgency, e.UsedService); err != nil {
		s.Log.Error("statistics failed", "err", err)
	}
}

// keepFiles signs the heads of the message log and saves counts until ctx ends.
// A log that can't be signed or written ends the bus.
func (s *Server) keepFiles(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() {
		if err := s.messages.Run(ctx); err != nil {
			s.fail(err)
		}
	})
	save, count := time.NewTicker(saveEvery), time.NewTicker(countEvery)
	defer save.Stop()
	defer count.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-save.C:
			if err := s.stats.Save(s.messages.Sync); err != nil {
				s.Log.Error("statistics failed", "err", err)
			}
		case <-count.C:
			if err := s.countStations(); err != nil {
				s.Log.Error("registry failed", "err", err)
			}
		}
	}
}

// countedAs says which service of which agency was used. A look-up is a use where
// it is the whole of a service; where it only fills a form in, the request counts.
func (s *Server) countedAs(purpose string) (agency, service string) {
	if a := s.facts.AgencyOf(purpose); a != "" {
		return a, purpose
	}
	for _, svc := range s.offered().Services {
		if svc["lookup"] == purpose && svc["submit"] == nil {
			return fmt.Sprint(svc["agency"]), fmt.Sprint(svc["id"])
		}
	}
	return "", ""
}
