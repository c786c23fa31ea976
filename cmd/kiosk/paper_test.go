package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kosk/cmd/kiosk/line"
	"kosk/device/config"
	"kosk/offline"
	"kosk/offline/queue"
)

// A doubt is noted, and settled at the next start by what the queue holds.
func TestDoubtsAreSettled(t *testing.T) {
	dir := t.TempDir()
	q, err := queue.Open(filepath.Join(dir, "queue.db"), queue.Options{MaxSize: 16 << 20, Station: "KOSK-0001", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ran := make(chan error, 1)
	go func() { ran <- q.Run(ctx) }()
	const stored, lost = "01KAMQ0000000000000000AAAA", "01KAMQ0000000000000000BBBB"
	if err := q.Put(ctx, offline.Item{ID: stored, Stream: strings.Repeat("s", 32), Body: []byte("sealed")}); err != nil {
		t.Fatal(err)
	}

	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	m := &machine{line: &line.Line{Queue: q}}
	m.doubts(dir, log)
	if out.Len() > 0 {
		t.Errorf("without a doubt: %s", &out)
	}
	m.parts.Doubt(stored)
	m.parts.Doubt(lost)
	(&machine{line: &line.Line{Queue: q}}).doubts(dir, log) // the next start
	for _, want := range []string{"request_id=" + stored + " stored=true state=queued", "request_id=" + lost + " stored=false"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the log doesn't say %q:\n%s", want, &out)
		}
	}
	out.Reset()
	if (&machine{line: &line.Line{Queue: q}}).doubts(dir, log); out.Len() > 0 {
		t.Errorf("what is settled is told again: %s", &out)
	}
	cancel()
	if err := <-ran; err != nil {
		t.Error(err)
	}
}

// Without trust anchors the kiosk starts, believes nobody, and says so.
func TestAKioskWithoutTrust(t *testing.T) {
	cfg := config.Default()
	cfg.Card.Bundle = filepath.Join(t.TempDir(), "trust.json")
	for name, write := range map[string]string{"missing": "", "damaged": "{"} {
		t.Run(name, func(t *testing.T) {
			if write != "" {
				if err := os.WriteFile(cfg.Card.Bundle, []byte(write), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var out bytes.Buffer
			m := &machine{}
			if trusts := m.trust(cfg, slog.New(slog.NewTextHandler(&out, nil))); trusts || m.parts.Anchors == nil || m.parts.Anchors.Development {
				t.Errorf("trusts %v", trusts)
			}
			if len(m.missing) != 1 || m.missing[0].Name != "trust" || !strings.Contains(out.String(), "part=trust") {
				t.Errorf("missing %v; the log says %s", m.missing, &out)
			}
		})
	}
}

func TestADocumentPrinterOfAWrongAddress(t *testing.T) {
	cfg := config.Default()
	m := &machine{}
	if err := m.document(cfg, slog.New(slog.DiscardHandler)); err != nil || m.parts.Document != nil {
		t.Errorf("none: %v, %v", m.parts.Document, err)
	}
	cfg.Document = config.Document{Make: "ipp", Address: "nowhere"}
	if err := m.document(cfg, slog.New(slog.DiscardHandler)); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Errorf("a wrong address: %v", err)
	}
}

// A kiosk whose lamps aren't there starts, has none, and says so.
func TestAKioskWithoutItsLamps(t *testing.T) {
	lamps := config.Default().Lamps
	m := &machine{}
	if m.lamps(lamps, slog.New(slog.DiscardHandler)); m.parts.Panel != nil || len(m.missing) > 0 {
		t.Errorf("none: %v, missing %v", m.parts.Panel, m.missing)
	}
	var out bytes.Buffer
	lamps.Make, lamps.Chip, lamps.CardReader = "gpio", "no such chip", "7"
	m.lamps(lamps, slog.New(slog.NewTextHandler(&out, nil)))
	if m.parts.Panel != nil || len(m.missing) != 1 || m.missing[0].Name != "lamps" || m.missing[0].State != "noDevice" || !strings.Contains(out.String(), "part=lamps") {
		t.Errorf("gone: %v, missing %v; the log says %s", m.parts.Panel, m.missing, &out)
	}
	lamps.Make, lamps.File = "desk", filepath.Join(t.TempDir(), "lamps.jsonl")
	if m.lamps(lamps, slog.New(slog.DiscardHandler)); m.parts.Panel == nil || len(m.closers) != 1 {
		t.Error("the desk's are not used, or never closed")
	}
	m.close()
}
