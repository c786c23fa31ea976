// Package signertest is the suite that every make of signer passes, and a Fake for
// the tests of those who use one.
package signertest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"math/big"
	"testing"
	"time"

	"kosk/drivers/card"
	"kosk/drivers/signer"
)

// A Rig is an opener and a hand at its slot. The hand is a test's: it reports its
// own failures.
type Rig struct {
	Opener signer.Opener
	PIN    map[signer.Key]string // the right ones
	// Insert puts a fresh card in, on which so many tries of both PINs are spent.
	// Swap puts another person's card in its place, Remove pulls the card out.
	Insert func(used int)
	Swap   func()
	Remove func()
	// Stop and Start are the loss of the service that owns the reader, and its return.
	Stop, Start func()
}

// patience is how long the suite waits for what must happen.
const patience = 30 * time.Second

var keys = []signer.Key{signer.Authentication, signer.Signature}

// Run runs the suite. open gives a rig with an empty slot.
func Run(t *testing.T, open func(t *testing.T) Rig) {
	tests := []struct {
		name string
		test func(*testing.T, Rig)
	}{
		{"answers no card and no reader", answersNothingThere},
		{"signs with both keys", signs},
		{"asks about the PIN and spends no try", asks},
		{"says that the PIN is wrong, and what is left", saysWrong},
		{"does not spend the last try", keepsLastTry},
		{"says that the PIN is blocked", saysBlocked},
		{"sends no PIN of a wrong length", checksLength},
		{"leaves the PIN zeroed", zeroes},
		{"says that the card left and takes the next", takesNext},
		{"does not sign with another card", refusesAnother},
		{"says that the service is gone and comes back", survivesLoss},
		{"stops with the context", stops},
		{"is over after Close", closes},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, open(t)) })
	}
}

func (r Rig) open(t *testing.T) signer.Signer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := r.Opener.Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// sum is a digest of a text.
func sum(h crypto.Hash) []byte {
	d := h.New()
	d.Write([]byte("what the citizen saw"))
	return d.Sum(nil)
}

// sign signs with SHA-256.
func sign(t *testing.T, s signer.Signer, key signer.Key, pin string) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return s.Sign(ctx, key, []byte(pin), crypto.SHA256, sum(crypto.SHA256))
}

// Verify says whether a signature as Signer.Sign makes it is of a certificate's key.
func Verify(cert []byte, hash crypto.Hash, digest, signature []byte) error {
	c, err := x509.ParseCertificate(cert)
	if err != nil {
		return err
	}
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, hash, digest, signature)
	case *ecdsa.PublicKey:
		half := len(signature) / 2
		if half != (key.Params().BitSize+7)/8 || len(signature) != 2*half {
			return errors.New("signature of a wrong length")
		}
		r, s := new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])
		if ecdsa.Verify(key, digest, r, s) {
			return nil
		}
	}
	return errors.New("wrong signature")
}

func answersNothingThere(t *testing.T, r Rig) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := r.Opener.Open(ctx); !errors.Is(err, card.ErrNoCard) {
		t.Errorf("Open of an empty slot = %v, want no card", err)
	}
	r.Stop()
	if _, err := r.Opener.Open(ctx); !errors.Is(err, card.ErrNoReader) {
		t.Errorf("Open without service = %v, want no reader", err)
	}
	r.Start()
}

func signs(t *testing.T, r Rig) {
	r.Insert(0)
	s := r.open(t)
	var certs [][]byte
	for _, key := range keys {
		cert, err := s.Certificate(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		certs = append(certs, cert)
		for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
			got, err := s.Sign(t.Context(), key, []byte(r.PIN[key]), h, sum(h))
			if err != nil {
				t.Fatalf("%v, %v: %v", key, h, err)
			}
			if err := Verify(cert, h, sum(h), got); err != nil {
				t.Errorf("%v, %v: %v", key, h, err)
			}
		}
		if _, err := s.Sign(t.Context(), key, []byte(r.PIN[key]), crypto.SHA256, sum(crypto.SHA384)); err == nil {
			t.Error("a digest of another hash was signed")
		}
	}
	if bytes.Equal(certs[0], certs[1]) {
		t.Error("one certificate for both keys")
	}
	if _, err := s.Certificate(t.Context(), 3); !errors.Is(err, signer.ErrNoKeys) {
		t.Errorf("third key: %v", err)
	}
}

// left checks how many tries there are.
func left(t *testing.T, s signer.Signer, key signer.Key, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if got, err := s.PIN(ctx, key); err != nil || got.Tries != want {
		t.Errorf("tries of %v = %d, %v, want %d", key, got.Tries, err, want)
	}
}

func asks(t *testing.T, r Rig) {
	r.Insert(0)
	s := r.open(t)
	for _, key := range keys {
		for range 4 {
			left(t, s, key, 3)
		}
		p, err := s.PIN(t.Context(), key)
		if n := len(r.PIN[key]); err != nil || p.Min < 1 || p.Min > n || p.Max < n || p.Pad {
			t.Errorf("PIN = %+v, %v", p, err)
		}
	}
}

// other is a PIN of the same length.
func other(pin string) string {
	b := []byte(pin)
	b[0] = '0' + (b[0]-'0'+5)%10
	return string(b)
}

func saysWrong(t *testing.T, r Rig) {
	r.Insert(0)
	s := r.open(t)
	for _, key := range keys {
		_, err := sign(t, s, key, other(r.PIN[key]))
		var refused *signer.PINError
		if !errors.Is(err, signer.ErrWrongPIN) || !errors.As(err, &refused) || refused.Tries != 2 {
			t.Errorf("wrong PIN: %v", err)
		}
		left(t, s, key, 2)
		if _, err := sign(t, s, key, r.PIN[key]); err != nil {
			t.Errorf("right PIN after a wrong one: %v", err)
		}
		left(t, s, key, 3)
	}
}

func keepsLastTry(t *testing.T, r Rig) {
	r.Insert(1)
	s := r.open(t)
	key := signer.Signature
	_, err := sign(t, s, key, other(r.PIN[key]))
	var refused *signer.PINError
	if !errors.As(err, &refused) || refused.Tries != 1 {
		t.Errorf("second wrong PIN: %v", err)
	}
	for range 3 {
		for _, pin := range []string{r.PIN[key], other(r.PIN[key])} {
			if _, err := sign(t, s, key, pin); !errors.Is(err, signer.ErrLastTry) {
				t.Errorf("on the last try: %v", err)
			}
		}
	}
	left(t, s, key, 1)
	left(t, s, signer.Authentication, 2)
}

func saysBlocked(t *testing.T, r Rig) {
	r.Insert(3)
	s := r.open(t)
	for _, key := range keys {
		left(t, s, key, 0)
		if _, err := sign(t, s, key, r.PIN[key]); !errors.Is(err, signer.ErrBlocked) {
			t.Errorf("blocked: %v", err)
		}
	}
}

func checksLength(t *testing.T, r Rig) {
	r.Insert(0)
	s := r.open(t)
	for _, key := range keys {
		for _, pin := range []string{"", "1", "123", "1234567890123", "12a4", "12345\x00", "１２３４"} {
			if _, err := sign(t, s, key, pin); !errors.Is(err, signer.ErrPINLength) {
				t.Errorf("PIN %q: %v", pin, err)
			}
		}
		left(t, s, key, 3)
	}
}

func zeroes(t *testing.T, r Rig) {
	r.Insert(0)
	s := r.open(t)
	for _, pin := range []string{r.PIN[signer.Authentication], other(r.PIN[signer.Authentication]), "1"} {
		typed := []byte(pin)
		_, _ = s.Sign(t.Context(), signer.Authentication, typed, crypto.SHA256, sum(crypto.SHA256)) // either way
		if !bytes.Equal(typed, make([]byte, len(typed))) {
			t.Error("the PIN is not zeroed")
		}
	}
}

func takesNext(t *testing.T, r Rig) {
	r.Insert(0)
	s := r.open(t)
	r.Remove()
	if _, err := sign(t, s, signer.Authentication, r.PIN[signer.Authentication]); !errors.Is(err, card.ErrRemoved) {
		t.Errorf("Sign after the card left: %v", err)
	}
	if _, err := s.PIN(t.Context(), signer.Authentication); !errors.Is(err, card.ErrRemoved) {
		t.Errorf("PIN after the card left: %v", err)
	}
	r.Insert(0)
	if _, err := sign(t, r.open(t), signer.Authentication, r.PIN[signer.Authentication]); err != nil {
		t.Errorf("the next card: %v", err)
	}
}

func refusesAnother(t *testing.T, r Rig) {
	r.Insert(0)
	s := r.open(t)
	r.Swap()
	for _, pin := range []string{r.PIN[signer.Signature], other(r.PIN[signer.Signature])} {
		if _, err := sign(t, s, signer.Signature, pin); !errors.Is(err, card.ErrRemoved) {
			t.Errorf("Sign with another card: %v", err)
		}
	}
	left(t, r.open(t), signer.Signature, 3)
}

func survivesLoss(t *testing.T, r Rig) {
	r.Insert(0)
	s := r.open(t)
	r.Stop()
	if _, err := sign(t, s, signer.Signature, r.PIN[signer.Signature]); !errors.Is(err, card.ErrNoReader) {
		t.Errorf("Sign without service: %v", err)
	}
	r.Start()
	if _, err := sign(t, r.open(t), signer.Signature, r.PIN[signer.Signature]); err != nil {
		t.Errorf("after the service came back: %v", err)
	}
}

func stops(t *testing.T, r Rig) {
	r.Insert(0)
	s := r.open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Sign(ctx, signer.Signature, []byte(r.PIN[signer.Signature]), crypto.SHA256, sum(crypto.SHA256)); !errors.Is(err, context.Canceled) {
		t.Errorf("Sign after the context: %v", err)
	}
	if _, err := r.Opener.Open(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Open after the context: %v", err)
	}
	left(t, s, signer.Signature, 3)
}

func closes(t *testing.T, r Rig) {
	r.Insert(0)
	s := r.open(t)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	}
	if _, err := sign(t, s, signer.Signature, r.PIN[signer.Signature]); err == nil {
		t.Error("signed after Close")
	}
	if _, err := s.PIN(t.Context(), signer.Signature); err == nil {
		t.Error("asked after Close")
	}
	if _, err := sign(t, r.open(t), signer.Signature, r.PIN[signer.Signature]); err != nil {
		t.Errorf("opened once more: %v", err)
	}
}
