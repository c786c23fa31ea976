package pkcs11_test

import (
	"context"
	"testing"
	"time"

	"kosk/drivers/card/cardtest"
	"kosk/drivers/card/pcsc"
	"kosk/drivers/card/vcard"
	"kosk/drivers/signer"
	"kosk/drivers/signer/pkcs11"
	"kosk/drivers/signer/signertest"
)

func elvin() vcard.Person {
	p := cardtest.Aygun()
	p.FIN, p.Surname, p.GivenNames, p.Sex, p.DocumentNumber = "7QWLZM4", "Quliyev", "Elvin", 'M', "AA7654321"
	return p
}

// A desk is a slot of the real daemon, OpenSC's module, and cards.
type desk struct {
	t      testing.TB
	slot   *vcard.Slot
	reader *pcsc.Reader
	opener *pkcs11.Opener
	pki    *vcard.PKI
	in     bool // a card lies in the slot
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	if _, err := pkcs11.Stock(); err != nil {
		t.Skipf("skipped: %v", err)
	}
	d := &desk{t: t, slot: cardtest.Slot(t)}
	var err error
	if d.reader, err = pcsc.Open("Virtual PCD", nil); err != nil {
		t.Fatal(err)
	}
	if d.opener, err = pkcs11.Load(t.Context(), pkcs11.Options{Prefix: "Virtual PCD", Reader: d.reader}); err != nil {
		t.Fatal(err)
	}
	if d.pki, err = vcard.NewPKI(); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *desk) insert(who vcard.Person, p vcard.Profile) *vcard.Card {
	d.t.Helper()
	c, err := vcard.New(d.pki, who, p)
	if err != nil {
		d.t.Fatal(err)
	}
	d.put(c)
	return c
}

// put puts a card in, and returns when the daemon has seen it.
func (d *desk) put(c *vcard.Card) {
	d.t.Helper()
	if err := d.slot.Insert(c); err != nil {
		d.t.Fatal(err)
	}
	d.in = true
	d.await(true)
}

func (d *desk) remove() {
	d.t.Helper()
	if err := d.slot.Remove(); err != nil {
		d.t.Fatal(err)
	}
	d.in = false
	d.await(false)
}

// await waits until the daemon sees a card, or none: it looks every 0.4 seconds.
func (d *desk) await(there bool) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if s, err := d.reader.Look(ctx); err == nil && s.Reader != "" && s.Card == there {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			d.t.Fatalf("card in the slot: never %v", there)
		}
	}
}

func (d *desk) must(do func() error) {
	d.t.Helper()
	if err := do(); err != nil {
		d.t.Fatal(err)
	}
}

var pins = map[signer.Key]string{signer.Authentication: vcard.DefaultPIN1, signer.Signature: vcard.DefaultPIN2}

// TestSigner runs the suite of all makes: OpenSC's module, the real daemon, the
// virtual card.
func TestSigner(t *testing.T) {
	signertest.Run(t, func(t *testing.T) signertest.Rig {
		d := newDesk(t)
		return signertest.Rig{
			Opener: d.opener, PIN: pins,
			Insert: func(used int) { d.insert(cardtest.Aygun(), vcard.Profile{PINUsed: used}) },
			Swap:   func() { d.insert(elvin(), vcard.Profile{}) },
			Remove: d.remove,
			Stop:   func() { d.must(d.slot.KillDaemon) }, Start: func() { d.must(d.slot.StartDaemon); d.await(d.in) },
		}
	})
}
