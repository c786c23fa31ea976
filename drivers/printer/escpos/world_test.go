package escpos_test

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kosk/drivers/printer"
	"kosk/drivers/printer/escpos"
	"kosk/drivers/printer/paper"
)

// A world is a printer, the kiosk that prints on it, and what people were
// promised. It holds both ends of the line to what citizens may rely on.
type world struct {
	t      *testing.T
	paper  *paper.Paper
	kiosk  *escpos.Printer
	o      escpos.Options
	clears bool // the model forgets what it holds when it is told to

	macros bool // the model has macros, so that a loss of power is noticed however short
	tears  bool // it has no cutter: people tear their slips off

	outcomes map[string][]printer.Outcome
	left     map[string]int // ends of slips that were printed when their people had left
	unwatch  func()         // nil while nobody watches

	mu     sync.Mutex
	events []printer.Event
}

func newWorld(t *testing.T, profile string, memory bool) *world {
	t.Helper()
	return newWorldOf(t, profile, paper.Options{MMPerSecond: 150, Memory: memory})
}

func newWorldOf(t *testing.T, profile string, o paper.Options) *world {
	t.Helper()
	model := models[profile]()
	w := &world{t: t, tears: !model.Cutter, macros: model.Macros, clears: model.Clears || model.Presenter == "custom", outcomes: map[string][]printer.Outcome{}, left: map[string]int{}}
	o.Model = model
	w.paper = putPaper(t, o)
	w.o = escpos.Options{
		Path: w.paper.Path(), Profile: profile, Baud: 115200, Journal: journalPath(t),
		Patience: 600 * time.Millisecond, Remind: 300 * time.Millisecond, Retract: time.Second, Log: slog.New(slog.DiscardHandler),
	}
	if !o.Memory {
		w.o.Patience = 2 * time.Second // a busy machine is no mute printer
	}
	if o.Memory {
		w.o = escpos.OverMemory(w.o, w.paper)
	}
	w.start()
	t.Cleanup(func() { w.stop() })
	return w
}

func (w *world) start() {
	e, err := escpos.Open(w.t.Context(), w.o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.kiosk = e
}

func (w *world) stop() {
	if w.unwatch != nil {
		w.unwatch()
	}
	w.kiosk.Close()
}

// watch has the kiosk watch its printer.
func (w *world) watch() {
	if w.unwatch != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	kiosk := w.kiosk
	ended.Go(func() {
		_ = kiosk.Watch(ctx, func(e printer.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, e)
		})
	})
	w.unwatch = func() {
		w.unwatch = nil
		cancel()
		ended.Wait()
	}
}

func (w *world) count(k printer.EventKind) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, e := range w.events {
		if e.Kind == k {
			n++
		}
	}
	return n
}

// hands are what people and chance do to a printer and to the kiosk.
var hands = map[string]func(*world){
	"paper out":      func(w *world) { w.paper.SetPaper(printer.PaperOut) },
	"paper low":      func(w *world) { w.load(printer.PaperLow) },
	"roll ends":      func(w *world) { w.paper.SetRoll(12) },
	"paper in":       func(w *world) { w.load(printer.PaperFull) },
	"cover opened":   func(w *world) { w.paper.Cover(true) },
	"cover closed":   func(w *world) { w.paper.Cover(false) },
	"blade stuck":    func(w *world) { w.paper.Cutter(true) },
	"blade freed":    func(w *world) { w.paper.Cutter(false) },
	"jam":            func(w *world) { w.paper.Jam(true) },
	"jam cleared":    func(w *world) { w.paper.Jam(false) },
	"head hot":       func(w *world) { w.paper.Head(true) },
	"head cooled":    func(w *world) { w.paper.Head(false) },
	"mute":           func(w *world) { w.paper.Mute(true) },
	"heard":          func(w *world) { w.paper.Mute(false) },
	"unplugged":      func(w *world) { w.paper.Unplug() },
	"replugged":      func(w *world) { _ = w.paper.Replug() },
	"power cycle":    func(w *world) { w.paper.PowerCycle() },
	"outage":         func(w *world) { w.paper.Outage(outage) },
	"slip taken":     func(w *world) { w.paper.Take() },
	"visit ends":     (*world).visitEnds,
	"retract":        func(w *world) { _, _ = w.kiosk.Retract(w.t.Context()) },
	"status":         func(w *world) { _, _ = w.kiosk.Status(w.t.Context()) },
	"restart":        func(w *world) { w.stop(); w.start() },
	"slip not taken": func(w *world) { w.watch(); w.wait(1500 * time.Millisecond) },
}

// outage is how long a printer takes at least to be there again.
const outage = 500 * time.Millisecond

// load puts a roll in. No hand does that quicker than a printer is asked how it is.
func (w *world) load(roll printer.Paper) {
	if w.paper.Ended() {
		w.wait(200 * time.Millisecond)
	}
	w.paper.SetPaper(roll)
}

// heals undo what hands did.
var heals = []string{"paper in", "cover closed", "blade freed", "jam cleared", "head cooled", "heard", "replugged", "slip taken"}

func (w *world) wait(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
}

// visitEnds is what the kiosk does then, and from then on no line more of
// anybody's slip may be printed.
func (w *world) visitEnds() {
	if w.kiosk.Clear(w.t.Context()) != nil || !w.clears {
		return
	}
	for id := range w.outcomes {
		w.left[id] = w.ends(id)
	}
}

// ends counts how often the last line of a slip is on paper.
func (w *world) ends(id string) int {
	n := strings.Count(w.paper.Hanging()+"\n", "end "+id+"\n")
	for _, text := range texts(w.paper) {
		n += strings.Count(text+"\n", "end "+id+"\n")
	}
	return n
}

func (w *world) print(id string, lines int) printer.Outcome {
	outcome, err := w.kiosk.Print(w.t.Context(), slipOf(id, lines))
	if (outcome == printer.Confirmed) != (err == nil) {
		w.t.Errorf("%s: %v, %v", id, outcome, err)
	}
	return outcome
}

// printed prints and checks.
func (w *world) printed(id string) printer.Outcome {
	outcome := w.print(id, 6)
	w.happened(id, outcome)
	return outcome
}

func (w *world) happened(id string, outcome printer.Outcome) {
	w.outcomes[id] = append(w.outcomes[id], outcome)
	delete(w.left, id)
	if w.tears {
		w.paper.TearOff()
	}
	w.promises(id)
}

var anySlip = regexp.MustCompile(`slip-\d+`)

func slipOf(id string, lines int) printer.Slip {
	s := printer.Slip{ID: id, Lines: []printer.Line{{Style: printer.Heading, Text: "begin " + id}}}
	for range lines {
		s.Lines = append(s.Lines, printer.Line{Text: "ə", Right: id + "."})
	}
	s.Lines = append(s.Lines, printer.Line{Text: "end " + id})
	return s
}

// promises checks what holds whatever happens: no slip twice without the mark,
// none claimed that isn't out, none out that was called failed, no two people's
// slips on one piece.
func (w *world) promises(id string) {
	w.t.Helper()
	unmarked, whole, pieces := 0, 0, 0
	for _, text := range texts(w.paper) {
		if !strings.Contains(text, "begin "+id+"\n") && !strings.Contains(text, id+".") {
			continue
		}
		pieces++
		if all := anySlip.FindAllString(text, -1); w.clears && slices.ContainsFunc(all, func(s string) bool { return s != all[0] }) {
			w.t.Errorf("two slips on one piece:\n%s", text)
		}
		if strings.Contains(text, "begin "+id+"\n") && strings.Contains(text+"\n", "end "+id+"\n") {
			whole++
			if !strings.Contains(text, "COPY") {
				unmarked++
			}
		}
	}
	confirmed, sent := 0, 0
	for _, o := range w.outcomes[id] {
		if o == printer.Confirmed {
			confirmed++
		}
		if o != printer.Failed {
			sent++
		}
	}
	if unmarked > 1 {
		w.t.Errorf("%s is out %d times without the mark", id, unmarked)
	}
	if whole < confirmed {
		w.t.Errorf("%s was confirmed %d times and is out %d times:\n%s", id, confirmed, whole, strings.Join(texts(w.paper), "\n---\n"))
	}
	if sent == 0 && pieces > 0 {
		w.t.Errorf("%s failed, and %d pieces of it are out", id, pieces)
	}
}

// end heals all, and looks at what still comes out; then the printer must print.
func (w *world) end() {
	w.t.Helper()
	for _, h := range heals {
		hands[h](w)
	}
	w.wait(300 * time.Millisecond)
	for id := range w.outcomes {
		w.promises(id)
	}
	for id, n := range w.left {
		if now := w.ends(id); now != n {
			w.t.Errorf("%s went on printing after its person had left", id)
		}
	}
	for try := 1; ; try++ {
		outcome := w.printed("slip-999")
		if outcome == printer.Confirmed {
			return
		}
		if try == 3 {
			w.t.Errorf("healed, and the slip is %v in %v", outcome, w.kiosk.Words())
			return
		}
	}
}

func (w *world) String() string { return fmt.Sprint(w.kiosk.Words()) }
