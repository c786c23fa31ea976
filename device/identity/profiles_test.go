package identity_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"kosk/device/identity"
	"kosk/drivers/card"
	"kosk/drivers/card/cardtest"
	"kosk/drivers/card/eid"
	"kosk/drivers/card/icao"
	"kosk/drivers/card/vcard"
)

// verdicts are what becomes of every card that the simulator has. A card that can
// be asked for by name and isn't judged here fails the test.
var verdicts = map[string]struct {
	assurance identity.Assurance // of a card that is believed
	err       []error            // any of them
}{
	"genuine": {assurance: identity.Genuine}, "no-signing": {assurance: identity.Genuine}, "portrait": {assurance: identity.Genuine},
	"short-apdus": {assurance: identity.Genuine}, "loses-session": {assurance: identity.Genuine}, "slow": {assurance: identity.Genuine},
	"bac": {assurance: identity.Genuine}, "integrated-mapping": {assurance: identity.Genuine}, "chip-mapping": {assurance: identity.Genuine},
	"chip-authentication": {assurance: identity.Genuine}, "chip-authentication-3des": {assurance: identity.Genuine},
	"aes-256": {assurance: identity.Genuine}, "brainpool": {assurance: identity.Genuine},
	"active-rsa": {assurance: identity.Genuine}, "active-rsa-short": {assurance: identity.Genuine}, "active-brainpool": {assurance: identity.Genuine},
	"no-key": {assurance: identity.Authentic}, "pin-last-try": {assurance: identity.Genuine}, "pin-blocked": {assurance: identity.Genuine},

	"state-p384": {assurance: identity.Genuine}, "state-p521": {assurance: identity.Genuine},
	"state-brainpool256": {assurance: identity.Genuine}, "state-brainpool384": {assurance: identity.Genuine},
	"state-brainpool512": {assurance: identity.Genuine}, "state-p256-explicit": {assurance: identity.Genuine},
	"state-brainpool256-explicit": {assurance: identity.Genuine}, "state-brainpool384-explicit": {assurance: identity.Genuine},
	"state-rsa": {assurance: identity.Genuine}, "state-pss": {assurance: identity.Genuine},

	"tampered": {err: []error{identity.ErrTampered}}, "cloned": {err: []error{identity.ErrClone}},
	"cloned-chip-authentication": {err: []error{identity.ErrClone}}, "cloned-chip-mapping": {err: []error{identity.ErrClone}},
	"cloned-active-rsa": {err: []error{identity.ErrClone}}, "cannot-prove": {err: []error{identity.ErrClone}},
	"hides-pace": {err: []error{identity.ErrTampered}}, "expired": {err: []error{identity.ErrExpired}},
	"unknown-signer": {err: []error{identity.ErrUnknownSigner}}, "unknown-signer-pss": {err: []error{identity.ErrUnknownSigner}},
	"foreign":    {err: []error{identity.ErrForeignState}},
	"other":      {err: []error{card.ErrForeign}},
	"mute":       {assurance: identity.Genuine}, // only a reader can tell: see TestVisits
	"silent":     {err: []error{context.DeadlineExceeded}},
	"pulled-out": {err: []error{card.ErrRemoved}},
	"random":     {err: babble}, "random-later": {err: babble},
}

// babble is what random answers may lead to.
var babble = []error{
	card.ErrProtocol, card.ErrForeign, card.ErrWrongCAN, card.ErrWantsMRZ, identity.ErrClone, identity.ErrTampered, identity.ErrUnreadable,
}

// among says whether an error is one of these, or a status word of the card.
func among(err error, all []error) bool {
	for _, e := range all {
		if errors.Is(err, e) {
			return true
		}
	}
	var status *card.StatusError
	return len(all) > 1 && errors.As(err, &status)
}

// judge reads a card and believes it or not.
func judge(t *testing.T, pki *vcard.PKI, anchors *identity.Anchors, p vcard.Profile) (identity.Holder, error) {
	t.Helper()
	person := cardtest.Aygun()
	c, err := vcard.New(pki, person, p)
	if err != nil {
		t.Fatal(err)
	}
	access, err := eid.CAN(person.CAN)
	if p.BAC || p.HidesPACE {
		access, err = eid.MRZ(person.DocumentNumber, icao.DateOf(person.BirthDate), icao.DateOf(person.Expires))
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	if p.Silent {
		cancel()
		ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	}
	defer cancel()
	chip, err := eid.New(nil).Read(ctx, c, eid.Request{Access: access, Portrait: p.Portrait > 0})
	if err != nil {
		return identity.Holder{}, err
	}
	return identity.Believe(chip, anchors, time.Now())
}

// Every card of the simulator is believed, or refused for its own reason.
func TestEveryProfileGetsItsVerdict(t *testing.T) {
	pki, err := vcard.NewPKI(icao.KeyKinds()...)
	if err != nil {
		t.Fatal(err)
	}
	anchors, err := identity.NewAnchors(identity.Bundle{Version: 1, Issued: time.Now(), Development: true, Anchors: pki.Bundle()})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range vcard.Profiles() {
		t.Run(p.Name, func(t *testing.T) {
			want, judged := verdicts[p.Name]
			if !judged {
				t.Fatal("no verdict on this card")
			}
			h, err := judge(t, pki, anchors, p.Profile)
			if want.err == nil {
				if err != nil || h.Assurance != want.assurance || h.FIN != cardtest.Aygun().FIN {
					t.Errorf("assurance = %v, %v, want %v", h.Assurance, err, want.assurance)
				}
				return
			}
			if !among(err, want.err) {
				t.Errorf("error = %v, want one of %v", err, want.err)
			}
		})
	}
}

// A card that answers at random from any command on gives a typed error, however
// the dice fall.
func TestRandomAnswersAreTypedErrors(t *testing.T) {
	pki, anchors := newPKI(t)
	for from := 1; from <= 20; from++ {
		for range 3 {
			_, err := judge(t, pki, anchors, vcard.Profile{Random: from})
			if !among(err, babble) && (err != nil || from < 12) {
				t.Errorf("random from command %d on: %v", from, err)
			}
		}
	}
}
