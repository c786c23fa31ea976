// Package cardtest is the suite that every make of card.Reader passes, and cards
// that play back recorded commands and answers, checking both.
package cardtest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"kosk/drivers/card"
)

// A Behaviour is a card that the suite wants in the slot.
type Behaviour int

// The cards of the suite.
const (
	// Good is an ICAO 9303 chip that answers everything.
	Good Behaviour = iota
	// Mute does not answer to reset.
	Mute
	// Silent answers to reset, and to no command.
	Silent
	// Leaving is pulled out at the third command.
	Leaving
)

// A Rig is a reader and a hand at its slot. The hand is a test's: it reports its
// own failures.
type Rig struct {
	Reader card.Reader
	// Insert puts a card in, Remove pulls it out.
	Insert func(Behaviour)
	Remove func()
	// Stop and Start are the loss of the reader, or of the service that owns it,
	// and its return with the same card in it.
	Stop, Start func()
}

// patience is how long the suite waits for what must happen.
const patience = 20 * time.Second

// Run runs the suite. open gives a rig with an empty slot.
func Run(t *testing.T, open func(t *testing.T) Rig) {
	tests := []struct {
		name string
		test func(*testing.T, Rig)
	}{
		{"tells a card in and out", tellsInAndOut},
		{"tells a card that was there before", tellsEarlierCard},
		{"tells two cards in a row apart", tellsTwoCards},
		{"survives the loss of the reader", survivesLoss},
		{"waits for a reader that comes later", waitsForReader},
		{"stops watching with the context", stopsWatching},
		{"answers no card and no reader", answersNothingThere},
		{"says that a card is mute", saysMute},
		{"hands answers through as they are", handsThrough},
		{"says that the card left and takes the next", takesNext},
		{"stops waiting for a silent card with the context", stopsWaiting},
		{"says that the reader went in mid-command", losesReader},
		{"resets the card at the end", resets},
		{"lets nobody else speak to the card", excludes},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, open(t)) })
	}
}

// A watcher collects the events of a Watch.
type watcher struct {
	t      *testing.T
	events chan card.Event
	stop   context.CancelFunc
	done   chan error
}

func watch(t *testing.T, r card.Reader) *watcher {
	ctx, stop := context.WithCancel(t.Context())
	w := &watcher{t: t, events: make(chan card.Event, 100), stop: stop, done: make(chan error, 1)}
	go func() { w.done <- r.Watch(ctx, func(e card.Event) { w.events <- e }) }()
	t.Cleanup(w.end)
	return w
}

// end stops the Watch and checks how it ends; it may be called twice.
func (w *watcher) end() {
	w.stop()
	select {
	case err := <-w.done:
		w.done <- err
		if !errors.Is(err, context.Canceled) {
			w.t.Errorf("Watch = %v, want the context's error", err)
		}
	case <-time.After(patience):
		w.t.Error("Watch does not stop")
	}
}

// want waits for these kinds of events, in this order, and returns the last.
func (w *watcher) want(kinds ...card.EventKind) card.Event {
	w.t.Helper()
	var last card.Event
	for _, k := range kinds {
		select {
		case last = <-w.events:
			if last.Kind != k {
				w.t.Fatalf("event %v, want %v", last.Kind, k)
			}
			if last.Reader == "" {
				w.t.Errorf("event %v names no reader", k)
			}
		case <-time.After(patience):
			w.t.Fatalf("no event, want %v", k)
		}
	}
	return last
}

func tellsInAndOut(t *testing.T, r Rig) {
	w := watch(t, r.Reader)
	w.want(card.ReaderReady)
	r.Insert(Good)
	if e := w.want(card.MediaInserted); len(e.ATR) < 2 || e.ATR[0] != 0x3B && e.ATR[0] != 0x3F {
		t.Errorf("answer to reset = % X", e.ATR)
	}
	r.Remove()
	w.want(card.MediaRemoved)
}

func tellsEarlierCard(t *testing.T, r Rig) {
	first := watch(t, r.Reader)
	first.want(card.ReaderReady)
	r.Insert(Good)
	first.want(card.MediaInserted)
	first.end()
	watch(t, r.Reader).want(card.ReaderReady, card.MediaInserted)
}

func tellsTwoCards(t *testing.T, r Rig) {
	w := watch(t, r.Reader)
	w.want(card.ReaderReady)
	for range 2 {
		r.Insert(Good)
		w.want(card.MediaInserted)
		r.Remove()
		w.want(card.MediaRemoved)
	}
}

func survivesLoss(t *testing.T, r Rig) {
	w := watch(t, r.Reader)
	w.want(card.ReaderReady)
	r.Insert(Good)
	w.want(card.MediaInserted)
	r.Stop()
	w.want(card.MediaRemoved, card.ReaderGone)
	r.Start()
	w.want(card.ReaderReady, card.MediaInserted)
	r.Remove()
	w.want(card.MediaRemoved)
}

func waitsForReader(t *testing.T, r Rig) {
	r.Stop()
	w := watch(t, r.Reader)
	r.Start()
	w.want(card.ReaderReady)
}

func stopsWatching(t *testing.T, r Rig) {
	w := watch(t, r.Reader)
	w.want(card.ReaderReady)
	begun := time.Now()
	w.end()
	if took := time.Since(begun); took > time.Second {
		t.Errorf("Watch took %v to stop", took)
	}
	if len(w.events) > 0 {
		t.Errorf("event %v though nothing happened", (<-w.events).Kind)
	}
}

func answersNothingThere(t *testing.T, r Rig) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := r.Reader.Connect(ctx); !errors.Is(err, card.ErrNoCard) {
		t.Errorf("Connect to an empty slot = %v, want no card", err)
	}
	r.Stop()
	if _, err := r.Reader.Connect(ctx); !errors.Is(err, card.ErrNoReader) {
		t.Errorf("Connect without reader = %v, want no reader", err)
	}
	r.Start()
}

func saysMute(t *testing.T, r Rig) {
	w := watch(t, r.Reader)
	w.want(card.ReaderReady)
	r.Insert(Mute)
	if e := w.want(card.MediaInserted); len(e.ATR) != 0 {
		t.Errorf("answer to reset of a mute card = % X", e.ATR)
	}
	if _, err := r.Reader.Connect(t.Context()); !errors.Is(err, card.ErrMute) {
		t.Errorf("Connect to a mute card = %v, want mute", err)
	}
	r.Remove()
	w.want(card.MediaRemoved)
}

// connect puts a card in and opens it, and goes on watching.
func connect(t *testing.T, r Rig, b Behaviour) (card.Card, *watcher) {
	t.Helper()
	w := watch(t, r.Reader)
	w.want(card.ReaderReady)
	r.Insert(b)
	w.want(card.MediaInserted)
	c, err := r.Reader.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	})
	return c, w
}

// next pulls the card out, waits until that is told, and checks that another
// card is taken.
func next(t *testing.T, r Rig, w *watcher) {
	t.Helper()
	r.Remove()
	w.want(card.MediaRemoved)
	w.end()
	handsThrough(t, r)
}

// unknown is a command that no card knows; every card must answer to it.
var unknown = []byte{0x00, 0xFE, 0x00, 0x00}

func handsThrough(t *testing.T, r Rig) {
	c, _ := connect(t, r, Good)
	if len(c.ATR()) < 2 {
		t.Errorf("answer to reset = % X", c.ATR())
	}
	got, err := c.Transmit(t.Context(), unknown)
	if err != nil || !slices.Equal(got, []byte{0x6D, 0x00}) {
		t.Errorf("answer = % X, %v, want 6D 00", got, err)
	}
	if _, err := c.Transmit(t.Context(), nil); err == nil {
		t.Error("an empty command was sent")
	}
	if err := c.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	if _, err := c.Transmit(t.Context(), unknown); err == nil {
		t.Error("a command was sent after Close")
	}
}

func takesNext(t *testing.T, r Rig) {
	c, w := connect(t, r, Leaving)
	var err error
	for range 4 {
		if _, err = c.Transmit(t.Context(), unknown); err != nil {
			break
		}
	}
	if !errors.Is(err, card.ErrRemoved) {
		t.Errorf("Transmit = %v, want removed", err)
	}
	c.Close()
	next(t, r, w)
}

func stopsWaiting(t *testing.T, r Rig) {
	c, w := connect(t, r, Silent)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begun := time.Now()
	if _, err := c.Transmit(ctx, unknown); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Transmit = %v, want the context's error", err)
	}
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("Transmit took %v to stop", took)
	}
	next(t, r, w)
}

func losesReader(t *testing.T, r Rig) {
	c, w := connect(t, r, Good)
	r.Stop()
	if _, err := c.Transmit(t.Context(), unknown); !errors.Is(err, card.ErrNoReader) && !errors.Is(err, card.ErrRemoved) {
		t.Errorf("Transmit = %v, want no reader or removed", err)
	}
	c.Close()
	w.want(card.MediaRemoved, card.ReaderGone)
	r.Start()
	w.want(card.ReaderReady, card.MediaInserted)
	next(t, r, w)
}

// Commands of ICAO 9303-10, 3.6.1 and 3.11: the application is selected, and the
// master file's EF.CardAccess is read, which a chip in the application refuses.
var (
	selectApplication = []byte{0x00, 0xA4, 0x04, 0x0C, 7, 0xA0, 0, 0, 2, 0x47, 0x10, 1}
	readCardAccess    = []byte{0x00, 0xB0, 0x9C, 0x00, 0x00}
)

// resets checks that a second connection to the same card starts afresh.
func resets(t *testing.T, r Rig) {
	c, _ := connect(t, r, Good)
	transmit := func(command []byte, want ...byte) {
		t.Helper()
		if got, err := c.Transmit(t.Context(), command); err != nil || !slices.Equal(got[len(got)-2:], want) {
			t.Fatalf("answer to % X = % X, %v, want % X at its end", command, got, err, want)
		}
	}
	for range 3 {
		transmit(readCardAccess, 0x90, 0x00)
		transmit(selectApplication, 0x90, 0x00)
		transmit(readCardAccess, 0x69, 0x82)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("Close twice = %v", err)
		}
		var err error
		if c, err = r.Reader.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
}

// excludes checks that a card which is spoken to is waited for, not shared.
func excludes(t *testing.T, r Rig) {
	c, _ := connect(t, r, Good)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if other, err := r.Reader.Connect(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second Connect = %v, want the context's error", err)
		if err == nil {
			other.Close()
		}
	}
	if _, err := c.Transmit(t.Context(), unknown); err != nil {
		t.Errorf("the first was disturbed: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	other, err := r.Reader.Connect(t.Context())
	if err != nil {
		t.Fatalf("Connect after Close = %v", err)
	}
	other.Close()
}
