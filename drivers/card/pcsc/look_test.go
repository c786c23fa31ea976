package pcsc_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"kosk/drivers/card"
	"kosk/drivers/card/cardtest"
	"kosk/drivers/card/pcsc"
	"kosk/drivers/card/vcard"
)

func TestLookTellsWhatIsThereAndLeavesTheCardAlone(t *testing.T) {
	slot := cardtest.Slot(t)
	pki, err := vcard.NewPKI()
	if err != nil {
		t.Fatal(err)
	}
	r, err := pcsc.Open("Virtual PCD", nil)
	if err != nil {
		t.Fatal(err)
	}
	look(t, r, card.Slot{Card: false})
	insert(t, slot, pki, vcard.Profile{})
	awaitCard(t, r)
	held, err := r.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	look(t, r, card.Slot{Card: true}) // while somebody else speaks to it
	if _, err := held.Transmit(t.Context(), []byte{0x00, 0xA4, 0x04, 0x0C, 7, 0xA0, 0, 0, 2, 0x47, 0x10, 1}); err != nil {
		t.Errorf("the card was disturbed: %v", err)
	}
	if err := held.Close(); err != nil {
		t.Error(err)
	}
	insert(t, slot, pki, vcard.Profile{Mute: true})
	look(t, r, card.Slot{Card: true, Mute: true})

	other, err := pcsc.Open("Other", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = other.Look(t.Context())
	if !errors.Is(err, card.ErrNoReader) || errors.Is(err, card.ErrNoService) || !strings.Contains(err.Error(), "Virtual PCD") {
		t.Errorf("another reader: %v", err)
	}
	if err := slot.KillDaemon(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Look(t.Context()); !errors.Is(err, card.ErrNoService) {
		t.Errorf("no daemon: %v", err)
	}
}

// TestADaemonThatIsGoneIsLoggedOnce: tried again every few seconds for days, it
// would push everything else out of a log that is bounded.
func TestADaemonThatIsGoneIsLoggedOnce(t *testing.T) {
	slot := cardtest.Slot(t)
	if err := slot.KillDaemon(); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	r, err := pcsc.Open("", slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second) // four tries
	defer cancel()
	if err := r.Watch(ctx, func(card.Event) {}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "card service lost"); n != 1 {
		t.Errorf("said %d times:\n%s", n, log.String())
	}
}

// look looks until the slot is as wanted: the daemon polls it every 0.4 seconds.
func look(t *testing.T, r *pcsc.Reader, want card.Slot) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := r.Look(ctx)
		if err == nil && strings.HasPrefix(got.Reader, "Virtual PCD") && got.Card == want.Card && got.Mute == want.Mute {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("got %+v, %v, want %+v", got, err, want)
		}
	}
}

// TestLookBesideAWatch looks all the while that a card comes and goes: the watch
// must see just that, and Look what the watch sees.
func TestLookBesideAWatch(t *testing.T) {
	slot := cardtest.Slot(t)
	pki, err := vcard.NewPKI()
	if err != nil {
		t.Fatal(err)
	}
	r, err := pcsc.Open("Virtual PCD", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	events := make(chan card.EventKind, 100)
	sink := make([][]byte, 10_000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.Watch(ctx, func(e card.Event) { events <- e.Kind })
	}()
	want := func(kinds ...card.EventKind) {
		t.Helper()
		for _, kind := range kinds {
			for late := time.After(time.Minute); ; {
				select {
				case got := <-events:
					if got != kind {
						t.Fatalf("the watch told %v, want %v", got, kind)
					}
				case <-late:
					t.Fatalf("the watch didn't tell %v", kind)
				case <-time.After(time.Millisecond):
					_, _ = r.Look(t.Context())
					runtime.GC() // what the binding doesn't hold goes, and is written over
					for i := range sink {
						sink[i] = []byte("memory of nobody else's")
					}
					continue
				}
				break
			}
		}
	}
	want(card.ReaderReady)
	for range 3 {
		insert(t, slot, pki, vcard.Profile{})
		want(card.MediaInserted)
		look(t, r, card.Slot{Card: true})
		if err := slot.Remove(); err != nil {
			t.Fatal(err)
		}
		want(card.MediaRemoved)
		look(t, r, card.Slot{Card: false})
	}
	if err := slot.KillDaemon(); err != nil {
		t.Fatal(err)
	}
	want(card.ReaderGone)
	if _, err := r.Look(t.Context()); !errors.Is(err, card.ErrNoReader) {
		t.Errorf("no daemon: %v", err)
	}
	stop()
	<-done
}
