package pkcs11_test

import (
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"kosk/drivers/card"
	"kosk/drivers/card/cardtest"
	"kosk/drivers/card/vcard"
	"kosk/drivers/signer"
	"kosk/drivers/signer/signertest"
)

var digest = sha256.Sum256([]byte("what the citizen saw"))

func (d *desk) open() signer.Signer {
	d.t.Helper()
	s, err := d.opener.Open(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	return s
}

func sign(ctx context.Context, s signer.Signer, key signer.Key) ([]byte, error) {
	return s.Sign(ctx, key, []byte(pins[key]), crypto.SHA256, digest[:])
}

// typed says whether an error is one that the citizen is told something of.
func typed(err error) bool {
	for _, known := range []error{
		card.ErrNoReader, card.ErrNoCard, card.ErrRemoved, card.ErrMute, card.ErrProtocol, signer.ErrNoKeys,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// The figures of one visit's two signatures, and what the card remembers of them:
// nothing.
func TestCardForgetsThePINAfterEverySignature(t *testing.T) {
	d := newDesk(t)
	c := d.insert(cardtest.Aygun(), vcard.Profile{})
	begun := time.Now()
	s := d.open()
	t.Logf("open: %d APDUs, %v", c.Commands(), time.Since(begun))
	for _, key := range []signer.Key{signer.Authentication, signer.Signature} {
		before, begun := c.Commands(), time.Now()
		signature, err := sign(t.Context(), s, key)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%v: %d APDUs, %v", key, c.Commands()-before, time.Since(begun))
		cert, err := s.Certificate(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if err := signertest.Verify(cert, crypto.SHA256, digest[:], signature); err != nil {
			t.Error(err)
		}
		d.forgot(key.String())
	}
}

// forgot sees to it that the card does nothing with a key for who gives no PIN.
func (d *desk) forgot(after string) {
	d.t.Helper()
	plain, err := d.reader.Connect(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	for _, command := range [][]byte{{0x00, 0x88, 0x00, 0x00, 0x04, 1, 2, 3, 4, 0x00}, {0x00, 0x2A, 0x9E, 0x9A, 0x04, 1, 2, 3, 4, 0x00}} {
		if answer, err := plain.Transmit(d.t.Context(), command); err != nil || answer[0] != 0x69 || answer[1] != 0x82 {
			d.t.Errorf("after %s the card signs for anyone: % X, %v", after, answer, err)
		}
	}
	if err := plain.Close(); err != nil {
		d.t.Error(err)
	}
}

// Pulled out at every command of opening and signing, the card is said to be
// removed, no try is lost to it, and the next card works.
func TestCardIsPulledOutAtEveryCommand(t *testing.T) {
	d := newDesk(t)
	whole := d.insert(cardtest.Aygun(), vcard.Profile{})
	s := d.open()
	opened := whole.Commands()
	if _, err := sign(t.Context(), s, signer.Signature); err != nil {
		t.Fatal(err)
	}
	step := 1
	if testing.Short() || !long() {
		step = max(whole.Commands()/7, 1) // some of them, everywhere
	}
	t.Logf("%d APDUs to open, %d with a signature; every %d tried", opened, whole.Commands(), step)
	for n := 1; n < whole.Commands(); n += step {
		d.insert(cardtest.Aygun(), vcard.Profile{RemovedAfter: n})
		s, err := d.opener.Open(t.Context())
		if err == nil {
			_, err = sign(t.Context(), s, signer.Signature)
		}
		// Where the daemon has thrown the card out before it was asked for, there
		// is none.
		if !errors.Is(err, card.ErrRemoved) && !errors.Is(err, card.ErrNoCard) && !errors.Is(err, card.ErrMute) {
			t.Errorf("pulled out after %d commands: %v", n, err)
		}
		d.remove()
	}
	d.insert(cardtest.Aygun(), vcard.Profile{})
	if _, err := sign(t.Context(), d.open(), signer.Signature); err != nil {
		t.Errorf("the next card: %v", err)
	}
}

// Cards that go mad, are mute or have no keys give an error that has words, and
// never a signature.
func TestOtherCards(t *testing.T) {
	d := newDesk(t)
	tests := []struct {
		name    string
		profile vcard.Profile
		want    error // nil is any that is typed
	}{
		{"no signature application", vcard.Profile{NoSigning: true}, signer.ErrNoKeys},
		{"mute", vcard.Profile{Mute: true}, card.ErrMute},
		{"random answers from the start", vcard.Profile{Random: 1}, nil},
		{"random answers later", vcard.Profile{Random: 9}, nil},
		{"random answers at the signature", vcard.Profile{Random: 60}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d.t = t
			d.insert(cardtest.Aygun(), tt.profile)
			s, err := d.opener.Open(t.Context())
			if err == nil {
				_, err = sign(t.Context(), s, signer.Signature)
			}
			t.Log(err)
			if tt.want != nil && !errors.Is(err, tt.want) || tt.want == nil && !typed(err) {
				t.Errorf("error = %v, want %v", err, tt.want)
			}
		})
	}
	d.t = t
	d.insert(cardtest.Aygun(), vcard.Profile{})
	if _, err := sign(t.Context(), d.open(), signer.Authentication); err != nil {
		t.Errorf("the next card: %v", err)
	}
}

// A card that answers no more must not hold anybody up, and the errand that is
// stuck ends when the card is pulled out.
func TestSilentCardHoldsNobodyUp(t *testing.T) {
	d := newDesk(t)
	d.insert(cardtest.Aygun(), vcard.Profile{Silent: true})
	for range 2 { // the second waits for the first
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		begun := time.Now()
		if _, err := d.opener.Open(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Open = %v, want the context's error", err)
		}
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("Open took %v to stop", took)
		}
		cancel()
	}
	d.remove()
	d.insert(cardtest.Aygun(), vcard.Profile{})
	if _, err := sign(t.Context(), d.open(), signer.Authentication); err != nil {
		t.Errorf("the next card: %v", err)
	}
}

// The daemon is killed while an errand is under way, and comes back.
func TestDaemonIsKilledInMidErrand(t *testing.T) {
	d := newDesk(t)
	d.insert(cardtest.Aygun(), vcard.Profile{Latency: 5 * time.Millisecond})
	if _, err := sign(t.Context(), d.open(), signer.Signature); err != nil {
		t.Fatal(err)
	}
	rounds := 4
	if long() {
		rounds = 25
	}
	for round := range rounds {
		killed := make(chan error, 1)
		timer := time.AfterFunc(time.Duration(round+1)*600*time.Millisecond/time.Duration(rounds), func() { killed <- d.slot.KillDaemon() })
		s, err := d.opener.Open(t.Context())
		for err == nil {
			_, err = sign(t.Context(), s, signer.Signature)
		}
		if !typed(err) {
			t.Errorf("round %d: %v", round, err)
		}
		timer.Stop()
		if err := <-killed; err != nil {
			t.Fatal(err)
		}
		d.must(d.slot.StartDaemon)
		d.await(true)
		if _, err := sign(t.Context(), d.open(), signer.Signature); err != nil {
			t.Errorf("round %d, afterwards: %v", round, err)
		}
	}
}
