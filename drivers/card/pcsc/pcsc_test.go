package pcsc_test

import (
	"os"
	"testing"

	"kosk/drivers/card/cardtest"
	"kosk/drivers/card/pcsc"
	"kosk/drivers/card/vcard"
)

func TestMain(m *testing.M) { os.Exit(cardtest.Main(m)) }

// TestReader runs the suite of all makes against the real daemon.
func TestReader(t *testing.T) {
	pki, err := vcard.NewPKI()
	if err != nil {
		t.Fatal(err)
	}
	profiles := map[cardtest.Behaviour]vcard.Profile{
		cardtest.Good: {}, cardtest.Mute: {Mute: true}, cardtest.Silent: {Silent: true}, cardtest.Leaving: {RemovedAfter: 2},
	}
	cardtest.Run(t, func(t *testing.T) cardtest.Rig {
		slot := cardtest.Slot(t)
		must := func(do func() error) func() {
			return func() {
				t.Helper()
				if err := do(); err != nil {
					t.Fatal(err)
				}
			}
		}
		r, err := pcsc.Open("Virtual PCD", nil)
		if err != nil {
			t.Fatal(err)
		}
		return cardtest.Rig{
			Reader: r,
			Insert: func(b cardtest.Behaviour) { insert(t, slot, pki, profiles[b]) },
			Remove: must(slot.Remove), Stop: must(slot.KillDaemon), Start: must(slot.StartDaemon),
		}
	})
}

func insert(t testing.TB, slot *vcard.Slot, pki *vcard.PKI, p vcard.Profile) {
	t.Helper()
	c, err := vcard.New(pki, cardtest.Aygun(), p)
	if err != nil {
		t.Fatal(err)
	}
	if err := slot.Insert(c); err != nil {
		t.Fatal(err)
	}
}
