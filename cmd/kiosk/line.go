package main

import (
	"context"
	"log/slog"
	"runtime/debug"

	"kosk/cmd/kiosk/line"
	"kosk/device"
	"kosk/device/config"
	"kosk/device/identity"
)

// openLine opens the outbox and the way to the bus.
func (m *machine) openLine(ctx context.Context, cfg config.Config, log *slog.Logger) error {
	l, err := line.Open(ctx, line.Options{
		Config: cfg, Anchors: m.parts.Anchors, TrustKey: m.trustKey, Catalogue: m.parts.Kiosk.Catalogue,
		Firmware: firmware(), Reader: m.parts.Reader, Printer: m.parts.Printer, Panel: m.parts.Panel, Missing: m.missing, Log: log,
	})
	if err != nil {
		return err
	}
	m.line = l
	m.closers = append(m.closers, l)
	p, s := &m.parts, l.Wallet.Station()
	m.doubts(cfg.State.Dir, log)
	m.forgetter = newForgetter(l.Client.Close)
	p.Ended = m.forgetter.visitEnded
	p.Changed, p.Kiosk.Catalogue = l.Changed, l.Catalogue()
	p.Outbox, p.Tracker, p.Lookup, p.Line = l.Queue, l.Courier, l.Client, l.Client
	p.Health, p.Clock, p.Means = l.Health, l.Now, m.means(p.Anchors)
	p.Signer = device.Signer{
		Station: s.Name, Key: l.Wallet, Recipient: s.Recipient, Receipts: s.ReceiptKey, StreamKey: s.StreamKey, BootID: l.Boot,
	}
	return nil
}

// means are the ways to say who one is, as the anchors have them.
func (m *machine) means(anchors *identity.Anchors) map[identity.MeansID]identity.Means {
	all := map[identity.MeansID]identity.Means{}
	if m.keys != nil {
		all["card"] = identity.Token{Keys: m.keys, Anchors: anchors}
	}
	for _, a := range []identity.Approval{{ID: "sima", Scanned: true}, {ID: "imza"}, {ID: "code"}} {
		a.Lookup, a.Anchors = m.line.Client, anchors
		all[a.ID] = a
	}
	return all
}

// lineParts are what of the line must run. A newer trust bundle is used from the
// next visit on.
func (m *machine) lineParts(kiosk *device.Kiosk) map[string]func(context.Context) error {
	return m.line.Parts(kiosk, func(a *identity.Anchors) { kiosk.Believe(a, m.means(a)) })
}

// firmware is the version of this program, as the build knows it.
func firmware() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return ""
}
