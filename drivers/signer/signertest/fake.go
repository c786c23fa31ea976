package signertest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"kosk/drivers/card"
	"kosk/drivers/signer"
)

// The PINs of a Fake.
const (
	PIN1 = "1234"
	PIN2 = "12345"
)

// tries is how often a PIN of a Fake may be wrong.
const tries = 3

// A Fake is an Opener over keys in memory, with PINs that count, for tests of those
// who use a signer. It checks what it is sent as a card does. Change its exported
// fields before Open only.
type Fake struct {
	Pad    bool   // the PIN is typed on the reader; Typed is what is typed there
	Typed  string // "" is the person who presses cancel
	Err    error  // what Open and every question end with, such as card.ErrRemoved
	Slow   time.Duration
	mu     sync.Mutex
	here   bool        // guarded by mu; the card is in
	times  int         // guarded by mu; cards put in so far
	keys   [2]*fakeKey // guarded by mu
	signed [][]byte    // guarded by mu
	root   []byte
	issuer *x509.Certificate
	ca     *ecdsa.PrivateKey
}

type fakeKey struct {
	pin     string
	min     int
	left    int
	private *ecdsa.PrivateKey
	cert    []byte
}

var _ signer.Opener = (*Fake)(nil)

// NewFake makes a person's card, which lies in the slot. The person's FIN is the
// serial number of the name.
func NewFake(who pkix.Name) (*Fake, error) {
	f := &Fake{}
	var err error
	if f.ca, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, fmt.Errorf("make fake: %w", err)
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{Country: []string{"AZ"}, CommonName: "Fake Identity CA"},
		NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if f.root, err = x509.CreateCertificate(rand.Reader, t, t, &f.ca.PublicKey, f.ca); err != nil {
		return nil, fmt.Errorf("make fake: %w", err)
	}
	if f.issuer, err = x509.ParseCertificate(f.root); err != nil {
		return nil, fmt.Errorf("make fake: %w", err)
	}
	return f, f.Insert(who, 0)
}

// Root is the certificate, in DER, that the card's certificates lead to.
func (f *Fake) Root() []byte { return f.root }

// Insert puts a card with fresh keys in, on which so many tries of both PINs are
// spent.
func (f *Fake) Insert(who pkix.Name, used int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.times++
	f.here = true
	for i, key := range keys {
		k := &fakeKey{pin: PIN1, min: 4, left: max(tries-used, 0)}
		usage := x509.KeyUsageDigitalSignature
		if key == signer.Signature {
			k.pin, k.min, usage = PIN2, 5, x509.KeyUsageContentCommitment
		}
		var err error
		if k.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return fmt.Errorf("make fake: %w", err)
		}
		t := &x509.Certificate{
			SerialNumber: big.NewInt(int64(2*f.times + i)), Subject: who, KeyUsage: usage,
			NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().AddDate(5, 0, 0),
		}
		if k.cert, err = x509.CreateCertificate(rand.Reader, t, f.issuer, &k.private.PublicKey, f.ca); err != nil {
			return fmt.Errorf("make fake: %w", err)
		}
		f.keys[i] = k
	}
	return nil
}

// Remove pulls the card out.
func (f *Fake) Remove() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.here = false
}

// Signed lists the digests that were signed, in order.
func (f *Fake) Signed() [][]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([][]byte(nil), f.signed...)
}

// Open implements signer.Opener.
func (f *Fake) Open(ctx context.Context) (signer.Signer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case f.Err != nil:
		return nil, f.Err
	case !f.here:
		return nil, card.ErrNoCard
	}
	return &fakeSigner{fake: f, card: f.times, keys: f.keys}, nil
}

type fakeSigner struct {
	fake   *Fake
	card   int
	keys   [2]*fakeKey
	closed bool
}

// key finds a key of the card that was there at Open. The caller holds the fake's
// mu.
func (s *fakeSigner) key(ctx context.Context, key signer.Key) (*fakeKey, error) {
	switch {
	case s.closed:
		return nil, errors.New("signer closed")
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case key != signer.Authentication && key != signer.Signature:
		return nil, signer.ErrNoKeys
	case s.fake.Err != nil:
		return nil, s.fake.Err
	case !s.fake.here || s.fake.times != s.card:
		return nil, card.ErrRemoved
	}
	return s.keys[key-1], nil
}

// PIN implements signer.Signer.
func (s *fakeSigner) PIN(ctx context.Context, key signer.Key) (signer.PIN, error) {
	s.fake.mu.Lock()
	defer s.fake.mu.Unlock()
	k, err := s.key(ctx, key)
	if err != nil {
		return signer.PIN{}, err
	}
	return signer.PIN{Tries: k.left, Min: k.min, Max: 12, Pad: s.fake.Pad}, nil
}

// Certificate implements signer.Signer.
func (s *fakeSigner) Certificate(ctx context.Context, key signer.Key) ([]byte, error) {
	s.fake.mu.Lock()
	defer s.fake.mu.Unlock()
	k, err := s.key(ctx, key)
	if err != nil {
		return nil, err
	}
	return k.cert, nil
}

// Sign implements signer.Signer.
func (s *fakeSigner) Sign(ctx context.Context, key signer.Key, pin []byte, hash crypto.Hash, digest []byte) ([]byte, error) {
	defer clear(pin)
	if s.fake.Slow > 0 {
		timer := time.NewTimer(s.fake.Slow)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	s.fake.mu.Lock()
	defer s.fake.mu.Unlock()
	k, err := s.key(ctx, key)
	if err != nil {
		return nil, err
	}
	typed := string(pin)
	if s.fake.Pad {
		if len(pin) > 0 {
			return nil, signer.ErrPINLength
		}
		if typed = s.fake.Typed; typed == "" {
			return nil, signer.ErrCancelled
		}
	}
	if err := k.verify(typed); err != nil {
		return nil, err
	}
	if !hash.Available() || len(digest) != hash.Size() {
		return nil, fmt.Errorf("digest of %d bytes is not of %v", len(digest), hash)
	}
	s.fake.signed = append(s.fake.signed, append([]byte(nil), digest...))
	a, b, err := ecdsa.Sign(rand.Reader, k.private, digest[:32])
	if err != nil {
		return nil, err
	}
	return append(a.FillBytes(make([]byte, 32)), b.FillBytes(make([]byte, 32))...), nil
}

func (k *fakeKey) verify(pin string) error {
	if len(pin) < k.min || len(pin) > 12 {
		return signer.ErrPINLength
	}
	for _, d := range []byte(pin) {
		if d < '0' || d > '9' {
			return signer.ErrPINLength
		}
	}
	switch {
	case k.left == 0:
		return signer.ErrBlocked
	case k.left == 1:
		return signer.ErrLastTry
	case pin != k.pin:
		k.left--
		return &signer.PINError{Tries: k.left}
	}
	k.left = tries
	return nil
}

// Close implements signer.Signer.
func (s *fakeSigner) Close() error {
	s.fake.mu.Lock()
	defer s.fake.mu.Unlock()
	s.closed = true
	return nil
}
