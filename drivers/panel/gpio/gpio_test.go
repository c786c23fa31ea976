package gpio

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"periph.io/x/conn/v3/gpio"

	"kosk/drivers/panel"
	"kosk/drivers/panel/paneltest"
)

func TestMain(m *testing.M) {
	if os.Getenv(inside) != "" { // serves a file system to the end
		os.Exit(m.Run())
	}
	goleak.VerifyTestMain(m)
}

// A pin is one whose level is watched, and which can refuse.
type pin struct {
	gpio.PinOut // nil: nothing but what stands below is used
	name        string

	mu       sync.Mutex
	level    gpio.Level
	told     bool
	changes  int
	refuses  error
	released int
}

func newPin(name string, level gpio.Level) *pin {
	return &pin{name: name, level: level}
}

func (p *pin) Name() string { return p.name }

func (p *pin) high() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bool(p.level)
}

func (p *pin) Out(l gpio.Level) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuses != nil {
		return p.refuses
	}
	if p.told && p.level != l {
		p.changes++
	}
	p.told, p.level = true, l
	return nil
}

func (p *pin) refuse(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuses = err
}

func (p *pin) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.released++
}

// quiet is a log that nobody reads.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// wired is a panel with every lamp at a pin that was left as if it were lit.
func wired(t *testing.T, low bool, log *slog.Logger) (*Panel, map[panel.Lamp]*pin) {
	t.Helper()
	pins, lines := map[panel.Lamp]*pin{}, map[panel.Lamp]string{}
	for _, l := range panel.Lamps() {
		pins[l], lines[l] = newPin(string(l), gpio.Level(!low)), string(l)
	}
	p, err := open(Options{Lines: lines, ActiveLow: low, Log: log}, func(_, name string) gpio.PinOut { return pins[panel.Lamp(name)] })
	if err != nil {
		t.Fatal(err)
	}
	return p, pins
}

func TestPanel(t *testing.T) {
	for _, low := range []bool{false, true} {
		t.Run(fmt.Sprintf("active low %v", low), func(t *testing.T) {
			paneltest.Run(t, func(t *testing.T) paneltest.Rig {
				p, pins := wired(t, low, quiet())
				return paneltest.Rig{Panel: p, Flashes: true, Lit: func(l panel.Lamp) (bool, int) {
					at := pins[l]
					if at == nil {
						return false, 0
					}
					at.mu.Lock()
					defer at.mu.Unlock()
					return bool(at.level) != low, at.changes
				}}
			})
		})
	}
}

// A line that refuses is told so once, is let go of and tried again, and shows
// what it was told at last. The others don't mind.
func TestALineThatRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		p, pins := wired(t, false, slog.New(slog.NewTextHandler(&out, nil)))
		ended := make(chan struct{})
		go func() { defer close(ended); _ = p.Run(t.Context()) }()
		sick, well := pins[panel.CardReader], pins[panel.ReceiptPrinter]
		sick.refuse(errors.New("no such device"))
		if err := p.Light(t.Context(), panel.CardReader, panel.Continuous); !errors.Is(err, panel.ErrFault) {
			t.Errorf("got %v", err)
		}
		if err := p.Light(t.Context(), panel.ReceiptPrinter, panel.Continuous); err != nil || !well.high() {
			t.Errorf("the other: %v", err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if err := p.Err(); !errors.Is(err, panel.ErrFault) || !strings.Contains(err.Error(), "cardReader") {
			t.Errorf("got %v", err)
		}
		if n := strings.Count(out.String(), "\n"); n != 1 {
			t.Errorf("told %d times:\n%s", n, &out)
		}
		if sick.released < 20 || sick.released > 40 {
			t.Errorf("tried %d times in a minute", sick.released)
		}
		sick.refuse(nil)
		time.Sleep(2 * again)
		synctest.Wait()
		if !sick.high() || p.Err() != nil || strings.Count(out.String(), "\n") != 2 {
			t.Errorf("lit %v, %v", sick.high(), p.Err())
		}
	})
}

func TestAPanelThatIsNotThere(t *testing.T) {
	if found, err := filepath.Glob("/dev/gpiochip*"); err != nil || len(found) > 0 {
		t.Skipf("this machine has GPIO chips: %v", found)
	}
	p, err := Open(Options{Lines: map[panel.Lamp]string{panel.CardReader: "LAMP0"}, Log: quiet()})
	if !errors.Is(err, panel.ErrUnplugged) || !strings.Contains(err.Error(), "LAMP0") || p != nil {
		t.Errorf("got %v, %v", p, err)
	}
}

// What was taken is given back when the rest is not there.
func TestAPanelOfWhichALineIsMissing(t *testing.T) {
	there := newPin("A", gpio.High)
	find := func(_, name string) gpio.PinOut {
		if name == "A" {
			return there
		}
		return nil
	}
	_, err := open(Options{Lines: map[panel.Lamp]string{panel.CardReader: "A", panel.ReceiptPrinter: "B"}, Log: quiet()}, find)
	if !errors.Is(err, panel.ErrUnplugged) || there.told && there.released != 1 {
		t.Errorf("%v, given back %d times", err, there.released)
	}
	there.refuse(errors.New("busy"))
	if _, err := open(Options{Lines: map[panel.Lamp]string{panel.CardReader: "A"}, Log: quiet()}, find); !errors.Is(err, panel.ErrFault) {
		t.Errorf("busy: %v", err)
	}
}

func TestALampThatIsNotWiredAndNoPattern(t *testing.T) {
	p, err := open(Options{Lines: map[panel.Lamp]string{panel.CardReader: ""}, Log: quiet()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Light(t.Context(), panel.CardReader, panel.Slow); err != nil || p.Err() != nil {
		t.Errorf("got %v, %v", err, p.Err())
	}
	if err := p.Light(t.Context(), panel.CardReader, "strobe"); !errors.Is(err, panel.ErrPattern) {
		t.Errorf("got %v", err)
	}
}
