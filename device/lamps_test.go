package device_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kosk/device/scene"
	"kosk/device/session"
	"kosk/drivers/card"
	"kosk/drivers/panel"
	"kosk/drivers/printer"
)

// lights is a panel that notes what it is told, and holds it to the contract.
type lights struct {
	t    *testing.T
	hold chan struct{} // Light waits for it when it is not nil

	mu    sync.Mutex
	shows map[panel.Lamp]panel.Pattern
	told  []string
	runs  int
	err   error
}

func newLights(t *testing.T) *lights { return &lights{t: t, shows: map[panel.Lamp]panel.Pattern{}} }

func (p *lights) Light(ctx context.Context, l panel.Lamp, pattern panel.Pattern) error {
	if p.hold != nil {
		select {
		case <-p.hold:
		case <-ctx.Done():
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if p.runs != 1 {
		p.t.Errorf("told while %d run", p.runs)
	}
	if was, ok := p.shows[l]; was == pattern || !ok && pattern == panel.Off {
		p.t.Errorf("%s is told %s again", l, pattern)
	}
	p.shows[l] = pattern
	p.told = append(p.told, fmt.Sprint(l, " ", pattern))
	return p.err
}

func (p *lights) Run(ctx context.Context) error {
	p.mu.Lock()
	p.runs++
	p.mu.Unlock()
	<-ctx.Done()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.runs--
	return nil
}

func (p *lights) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

func (p *lights) Close() error { return nil }

// fails has the lamps refuse, or work again.
func (p *lights) fails(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

// orders are those since the last call, shortened.
func (p *lights) orders() string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	all := strings.Join(p.told, ", ")
	p.told = nil
	return strings.NewReplacer("cardReader", "card", "receiptPrinter", "slip", "documentPrinter", "page").Replace(all)
}

// lit is a visit at a kiosk with lamps.
func lit(t *testing.T, pages *sheets, do func(w *world, p *lights)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newLights(t)
		w := buildWith(t, false, pages, p)
		do(w, p)
		w.stop()
		if err := <-w.ended; !errors.Is(err, context.Canceled) {
			t.Errorf("run: %v", err)
		}
		if p.runs != 0 {
			t.Error("the panel still runs")
		}
	})
}

// Every lamp is told once what it is to show, in the order of the visit.
func TestTheLampsOfAVisit(t *testing.T) {
	lit(t, &sheets{}, func(w *world, p *lights) {
		says := func(want string) {
			t.Helper()
			if got := p.orders(); got != want {
				t.Errorf("told %q, want %q", got, want)
			}
		}
		says("")
		w.touch("lang.en", "with-card")
		says("card slow")
		w.put()
		says("card continuous") // until it is asked back
		w.types(can)
		w.wait(3 * time.Second)
		w.at(session.Choosing)
		w.touch("tool.text", "tool.contrast") // changes no lamp
		says("")
		w.pick()
		w.touch("option.bank")
		w.wait(time.Second)
		w.touch("next", "next")
		says("")
		w.wait(4 * time.Second)
		says("page continuous")
		w.wait(5 * time.Second)
		says("slip continuous, page slow, slip slow")
		w.printer.happens(printer.MediaPresented)
		says("")
		w.wait(2 * time.Second)
		w.printer.happens(printer.MediaNotTaken)
		w.printer.happens(printer.MediaNotTaken)
		says("slip quick")
		w.printer.happens(printer.MediaTaken)
		says("slip off")
		w.touch("finish")
		says("card medium, page off")
		w.pull()
		says("card off")
		w.wait(10 * time.Second)
		w.at(session.Attracting)
		says("")
	})
}

// A panel that hangs holds nobody up. When it is back it shows how things are, and
// nothing of what is over.
func TestAPanelThatHangs(t *testing.T) {
	lit(t, nil, func(w *world, p *lights) {
		p.hold = make(chan struct{})
		start := time.Now()
		w.toConsent()
		w.touch("next")
		w.wait(6 * time.Second)
		w.at(session.Ending)
		w.touch("finish")
		w.at(session.TakingCard)
		if d := time.Since(start); d > 20*time.Second || p.orders() != "" {
			t.Errorf("the visit took %v", d)
		}
		close(p.hold)
		if got := p.orders(); got != "card slow, card medium" { // the first one hung
			t.Errorf("told %q", got)
		}
	})
}

// One that hangs at the end doesn't keep the kiosk from ending.
func TestAPanelThatHangsAtTheEnd(t *testing.T) {
	lit(t, nil, func(w *world, p *lights) {
		p.hold = make(chan struct{})
		w.touch("lang.en", "with-card")
	})
}

// Lamps that are out of order are noted once, and again when they are well; the
// visit doesn't mind.
func TestLampsThatDontLight(t *testing.T) {
	lit(t, nil, func(w *world, p *lights) {
		p.fails(panel.ErrFault)
		w.toChoosing()
		if n := strings.Count(w.log.String(), `msg=lamps err="lamp does not light"`); n != 1 {
			t.Errorf("noted %d times", n)
		}
		p.fails(nil)
		w.key(scene.Cancel)
		w.at(session.TakingCard)
		synctest.Wait()
		if n := strings.Count(w.log.String(), `msg=lamps err=<nil>`); n != 1 {
			t.Errorf("noted %d times that they are well", n)
		}
	})
}

// A program that breaks leaves no lamp lit but the one for the card.
func TestABrokenVisitsLamps(t *testing.T) {
	lit(t, nil, func(w *world, p *lights) {
		w.toCAN()
		w.chip.instead = func(context.Context, card.Card, string, func([]byte)) (*card.Chip, error) { panic("broken") }
		w.types(can)
		w.at(session.TakingCard)
		if got := p.orders(); !strings.HasSuffix(got, "card continuous, card medium") {
			t.Errorf("told %q", got)
		}
	})
}
