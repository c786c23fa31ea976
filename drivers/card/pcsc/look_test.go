package pcsc_test

import (
	"context"
	"errors"
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

// look looks until the slot is as wanted: the daemon polls it every 0.4 seconds.
func look(t *testing.T, r *pcsc.Reader, want card.Slot) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
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
