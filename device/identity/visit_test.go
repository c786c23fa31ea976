package identity_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"kosk/device/identity"
	"kosk/drivers/card"
	"kosk/drivers/card/cardtest"
	"kosk/drivers/card/eid"
	"kosk/drivers/card/icao"
	"kosk/drivers/card/pcsc"
	"kosk/drivers/card/vcard"
)

func TestMain(m *testing.M) { os.Exit(cardtest.Main(m)) }

// A kiosk is what a visit meets: the real daemon with a virtual card in it.
type kiosk struct {
	t       *testing.T
	pki     *vcard.PKI
	anchors *identity.Anchors
	slot    *vcard.Slot
	reader  *pcsc.Reader
	events  chan card.Event
}

func openKiosk(t *testing.T) *kiosk {
	t.Helper()
	k := &kiosk{t: t, slot: cardtest.Slot(t), events: make(chan card.Event, 100)}
	k.pki, k.anchors = newPKI(t)
	var err error
	if k.reader, err = pcsc.Open("", nil); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = k.reader.Watch(ctx, func(e card.Event) { k.events <- e })
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
	k.await(card.ReaderReady)
	return k
}

func (k *kiosk) await(kind card.EventKind) {
	k.t.Helper()
	for {
		select {
		case e := <-k.events:
			if e.Kind == kind {
				return
			}
		case <-time.After(20 * time.Second):
			k.t.Fatalf("no %v", kind)
		}
	}
}

// visit puts a card in, reads and believes it, and takes it out again.
func (k *kiosk) visit(p vcard.Profile, can string) (identity.Holder, error) {
	k.t.Helper()
	c, err := vcard.New(k.pki, cardtest.Aygun(), p)
	if err != nil {
		k.t.Fatal(err)
	}
	if err := k.slot.Insert(c); err != nil {
		k.t.Fatal(err)
	}
	k.await(card.MediaInserted)
	defer func() {
		if err := k.slot.Remove(); err != nil {
			k.t.Fatal(err)
		}
		k.await(card.MediaRemoved)
	}()
	ctx, cancel := context.WithTimeout(k.t.Context(), 20*time.Second)
	defer cancel()
	conn, err := k.reader.Connect(ctx)
	if err != nil {
		return identity.Holder{}, err
	}
	defer conn.Close()
	chip, err := eid.New(nil).ReadHolder(ctx, conn, can, nil)
	if err != nil {
		return identity.Holder{}, err
	}
	return identity.Believe(chip, k.anchors, time.Now())
}

// Every visit that goes wrong is followed by one that must go right, in the same
// slot of the same daemon.
func TestVisitsAtTheRealDaemon(t *testing.T) {
	k := openKiosk(t)
	tests := []struct {
		name    string
		profile vcard.Profile
		can     string
		want    error
	}{
		{"wrong number", vcard.Profile{}, "654321", card.ErrWrongCAN},
		{"pulled out at the first command", vcard.Profile{RemovedAfter: 1}, "123456", card.ErrRemoved},
		{"pulled out in PACE", vcard.Profile{RemovedAfter: 5}, "123456", card.ErrRemoved},
		{"pulled out in the security object", vcard.Profile{RemovedAfter: 9}, "123456", card.ErrRemoved},
		{"pulled out at the last command", vcard.Profile{RemovedAfter: 14}, "123456", card.ErrRemoved},
		{"tampered with", vcard.Profile{TamperedDG1: true}, "123456", identity.ErrTampered},
		{"cloned", vcard.Profile{Cloned: true}, "123456", identity.ErrClone},
		{"cloned, agrees on a key", vcard.Profile{ChipAuth: true, Cloned: true}, "123456", identity.ErrClone},
		{"pulled out in chip authentication", vcard.Profile{ChipAuth: true, RemovedAfter: 13}, "123456", card.ErrRemoved},
		{"signed by a stranger", vcard.Profile{UnknownSigner: true}, "123456", identity.ErrUnknownSigner},
		{"expired", vcard.Profile{Expired: true}, "123456", identity.ErrExpired},
		{"mute", vcard.Profile{Mute: true}, "123456", card.ErrMute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k.t = t
			if _, err := k.visit(tt.profile, tt.can); !errors.Is(err, tt.want) {
				t.Errorf("error = %v, want %v", err, tt.want)
			}
			h, err := k.visit(vcard.Profile{}, "123456")
			if err != nil || h.Assurance != identity.Genuine {
				t.Errorf("the next visit = %v, %v", h.Assurance, err)
			}
		})
	}
}

func TestVisitAfterTheDaemonDied(t *testing.T) {
	k := openKiosk(t)
	for range 2 {
		if err := k.slot.KillDaemon(); err != nil {
			t.Fatal(err)
		}
		k.await(card.ReaderGone)
		if err := k.slot.StartDaemon(); err != nil {
			t.Fatal(err)
		}
		k.await(card.ReaderReady)
		if _, err := k.visit(vcard.Profile{}, "123456"); err != nil {
			t.Error(err)
		}
	}
}

// Every way in and every proof goes through the real daemon, whose lengths are
// what they are.
func TestAllWaysAtTheRealDaemon(t *testing.T) {
	k := openKiosk(t)
	for name, p := range map[string]vcard.Profile{
		"integrated mapping":          {Mapping: icao.MappingIntegrated, Cipher: icao.AES256, Curve: 17},
		"chip authentication mapping": {Mapping: icao.MappingChip, NoActive: true, Curve: 13},
		"chip authentication":         {ChipAuth: true, NoActive: true, Curve: 18},
		"chip authentication in 3DES": {ChipAuth: true, NoActive: true, Cipher: icao.TripleDES, ShortOnly: true},
	} {
		t.Run(name, func(t *testing.T) {
			k.t = t
			h, err := k.visit(p, "123456")
			if err != nil || h.Assurance != identity.Genuine {
				t.Errorf("visit = %v, %v, want genuine", h.Assurance, err)
			}
		})
	}
}
