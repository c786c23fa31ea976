package line

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"kosk/device/health"
	"kosk/drivers/card"
	"kosk/drivers/panel"
	"kosk/drivers/printer"
	"kosk/offline"
	"kosk/offline/bus"
	"kosk/offline/control"
)

// press is a printer with a presenter and an account of its paper.
type press struct {
	printer.Printer
	asked, emptied int
	err            error
}

func (p *press) Status(context.Context) (printer.Status, error) {
	p.asked++
	return printer.Status{Online: true, Paper: printer.PaperLow}, p.err
}

func (p *press) Supply() printer.Supply {
	return printer.Supply{Paper: printer.PaperLow, LeftMM: 1200, EmptyIn: 3 * time.Hour, Retracted: 2 - 2*min(p.emptied, 1)}
}
func (p *press) Presents() bool                                 { return true }
func (p *press) Retract(context.Context) (printer.Media, error) { return printer.MediaNotPresent, nil }
func (p *press) EmptyBin() error                                { p.emptied++; return nil }

// lights are lamps that say how they are.
type lights struct {
	panel.Panel
	err error
}

func (p lights) Err() error { return p.err }

func TestHowTheLampsAreIsTold(t *testing.T) {
	w := newWorld(t)
	w.enrol(time.Now())
	p := &lights{}
	l := w.open(func(o *Options) { o.Panel = p })
	for want, err := range map[string]error{
		stateOnline: nil, stateNoDevice: panel.ErrUnplugged, stateError: fmt.Errorf("cardReader: %w", panel.ErrFault),
	} {
		p.err = err
		l.look(t.Context())
		var got health.Part
		for _, part := range l.compose().Parts {
			if part.Name == "lamps" {
				got = part
			}
		}
		if got.State != want || (got.Cause == "") != (err == nil) {
			t.Errorf("%v: %+v", err, got)
		}
	}
}

// slot is a reader that says at once how it is.
type slot struct {
	card.Reader
	err error
}

func (s slot) Look(context.Context) (card.Slot, error) { return card.Slot{}, s.err }

func TestPaperAndPartsAreTold(t *testing.T) {
	w := newWorld(t)
	w.enrol(time.Now())
	p := &press{}
	l := w.open(func(o *Options) {
		o.Printer, o.Reader = p, slot{err: fmt.Errorf("look: %w", card.ErrNoReader)}
		o.Missing = []health.Part{{Name: "signer", State: stateNoDevice, Cause: strings.Repeat("ə", 300)}}
	})
	l.look(t.Context())
	r := l.compose()
	if r.Paper != (health.Paper{State: "low", LeftMM: 1200, EmptyInS: 3 * 3600, Retracted: 2}) {
		t.Errorf("paper %+v", r.Paper)
	}
	states := map[string]string{}
	for _, part := range r.Parts {
		states[part.Name] = part.State
		if len(part.Cause) > maxWords {
			t.Errorf("%s: a cause of %d bytes", part.Name, len(part.Cause))
		}
	}
	if states["card"] != stateNoDevice || states["printer"] != stateOnline || states["signer"] != stateNoDevice || states["line"] != stateOffline || states["clock"] != stateDegraded {
		t.Errorf("%v", states)
	}
	l.kiosk = here(true)
	l.look(t.Context())
	if p.asked != 1 {
		t.Error("the printer was asked while somebody is there")
	}
	if a := l.desk.Do(t.Context(), control.Request{Verb: control.EmptyBin}); a.Err() != nil || p.emptied != 1 || l.compose().Paper.Retracted != 0 {
		t.Errorf("bin: %v, emptied %d times", a.Err(), p.emptied)
	}
}

func TestAPrintersErrorsAreStates(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{nil, stateOnline},
		{printer.ErrUnplugged, stateNoDevice},
		{printer.ErrMute, stateOffline},
		{printer.ErrNoPaper, stateDegraded},
		{printer.ErrCutter, stateError},
	} {
		if p := printerPart(tt.err); p.State != tt.want || (p.Cause == "") != (tt.err == nil) {
			t.Errorf("%v: %+v", tt.err, p)
		}
	}
}

func TestErrorsOfTheLineHaveKinds(t *testing.T) {
	for want, err := range map[string]error{
		"": nil, "line": &offline.Fault{Err: offline.ErrLineDown}, "refused": &offline.Fault{Err: offline.ErrRefused},
		"identity": offline.ErrBusIdentity, "agency": offline.ErrAgency, "conflict": offline.ErrConflict, "other": errors.New("FIN 5ARPXK2"),
	} {
		if got := kindOf(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}

// What the system's clock stamps counts only once the bus has confirmed it.
func TestOnlyATimeThatTheBusConfirmsIsTrusted(t *testing.T) {
	w := newWorld(t)
	w.enrol(time.Now())
	l := w.open(nil)
	if l.systemTrusted() {
		t.Error("trusted at the start")
	}
	if _, err := l.Client.Time(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !l.systemTrusted() || l.clockPart().State != stateOnline || l.clock.State() != bus.ClockTrusted {
		t.Errorf("%+v", l.clockPart())
	}
}
