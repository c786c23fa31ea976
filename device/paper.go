package device

import (
	"context"
	"fmt"
	"sync"
	"time"

	"kosk/device/catalogue"
	"kosk/device/health"
	"kosk/device/receipt"
	"kosk/device/request"
	"kosk/device/session"
	"kosk/device/text"
	"kosk/drivers/printer"
)

// What comes out of the printers: slips, and pages where Parts.Document is set.

const (
	printTimeout   = 45 * time.Second
	pageTimeout    = 75 * time.Second // a sheet printer warms up first
	retractTimeout = 10 * time.Second
)

// slotEvents are what a presenter tells, as the visit knows it.
var slotEvents = map[printer.EventKind]session.Event{
	printer.MediaPresented:     session.SlipPresented{},
	printer.MediaNotTaken:      session.SlipNotTaken{},
	printer.MediaTaken:         session.SlipTaken{},
	printer.MediaAutoRetracted: session.SlipRetracted{},
}

// watchPaper brings the printer's own news to the loop, for as long as the kiosk
// runs. Without it a presenter would hold nothing out.
func (k *Kiosk) watchPaper(ctx context.Context) {
	w, ok := k.Printer.(printer.Watcher)
	if !ok {
		return
	}
	k.run(func() {
		err := w.Watch(ctx, func(e printer.Event) {
			k.Log.Info("printer", "event", e.Kind.String(), "paper", e.Status.Paper.String(), "media", e.Status.Media.String(),
				"retracted", e.Retracted, "err", e.Err)
			k.changed()
			if event, ok := slotEvents[e.Kind]; ok {
				k.post(ctx, always, event)
			}
		})
		if ctx.Err() == nil {
			k.Log.Error("printer not watched", "err", err)
		}
	})
}

// print prints a slip. What isn't known to be out is said so.
func (k *Kiosk) print(ctx context.Context, s receipt.Slip, trace health.Trace) session.Event {
	if k.Printer == nil {
		return session.SlipPrinted{Outcome: printer.Failed, Err: printer.ErrUnplugged}
	}
	ctx, cancel := context.WithTimeout(ctx, printTimeout)
	defer cancel()
	k.press.Lock()
	defer k.press.Unlock()
	if s.ID == "" { // an answer is no request: each of its slips is one of its own
		s.ID = string(request.NewID(time.Now()))
	}
	_, end := k.Health.Begin(trace, "print")
	outcome, err := k.Printer.Print(ctx, receipt.Compose(s))
	end(kindOf(err, kindPrint))
	k.Log.Info("slip", "outcome", outcome.String(), "err", err, "kind", int(s.Kind))
	return session.SlipPrinted{Outcome: outcome, Err: err}
}

// printPage prints a certificate as a page: nothing but what was signed.
func (k *Kiosk) printPage(ctx context.Context, e session.PrintPage, offer *catalogue.Catalogue) session.Event {
	page, err := k.page(e.Outcome, e.Lang, offer)
	if err != nil {
		k.Log.Error("page not made", "err", err)
		return session.PagePrinted{Outcome: printer.Failed, Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	k.desk.Lock()
	defer k.desk.Unlock()
	outcome, err := k.Document.Print(ctx, receipt.Compose(page))
	k.Log.Info("page", "outcome", outcome.String(), "err", err)
	return session.PagePrinted{Outcome: outcome, Err: err}
}

// page is the certificate in a language, in the words of a catalogue, with all
// that was signed in its code.
func (k *Kiosk) page(o request.Outcome, lang text.Lang, offer *catalogue.Catalogue) (receipt.Slip, error) {
	edition, err := k.Edition()
	if err != nil {
		return receipt.Slip{}, fmt.Errorf("page: %w", err)
	}
	code, err := request.PackDocument(o, request.Look{Lang: string(lang), Catalogue: offer.Version, Edition: edition})
	if err != nil {
		return receipt.Slip{}, err
	}
	d, err := request.VerifyDocument(code, k.Signer.Receipts, k.now()) // as whoever scans it will
	if err != nil {
		return receipt.Slip{}, fmt.Errorf("page: %w", err)
	}
	return receipt.Certificate(d, code, offer, k.Kiosk.Test)
}

// clearPrinters empties the printers' buffers, so that nothing is printed for
// somebody who has left.
func (k *Kiosk) clearPrinters(ctx context.Context) {
	k.clear(ctx, "printer", &k.press, k.Printer)
	k.clear(ctx, "page printer", &k.desk, k.Document)
}

func (k *Kiosk) clear(ctx context.Context, name string, turn sync.Locker, p printer.Printer) {
	if p == nil {
		return
	}
	k.run(func() {
		turn.Lock()
		defer turn.Unlock()
		ctx, cancel := context.WithTimeout(ctx, printTimeout)
		defer cancel()
		if err := p.Clear(ctx); err != nil && ctx.Err() == nil {
			k.Log.Warn("not cleared", "what", name, "err", err)
		}
	})
}

// retract takes back the slip that somebody left at the slot. The watch tells
// what came of it.
func (k *Kiosk) retract(ctx context.Context) {
	p, ok := k.Printer.(printer.Presenter)
	if !ok {
		return
	}
	k.run(func() {
		k.press.Lock()
		defer k.press.Unlock()
		ctx, cancel := context.WithTimeout(ctx, retractTimeout)
		defer cancel()
		media, err := p.Retract(ctx)
		k.Log.Info("slip of an earlier visit", "media", media.String(), "err", err)
	})
}
