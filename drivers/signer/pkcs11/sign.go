package pkcs11

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"time"

	"kosk/drivers/card"
	"kosk/drivers/signer"
)

// A Signer is the keys of one card. Its methods may be called by one goroutine at
// a time. It holds nothing open between calls.
type Signer struct {
	opener *Opener
	tokens [2]*token // by key
	closed bool
}

var _ signer.Signer = (*Signer)(nil)

var errClosed = errors.New("signer closed")

func (s *Signer) token(key signer.Key) (*token, error) {
	switch {
	case s.closed:
		return nil, errClosed
	case key < signer.Authentication || key > signer.Signature || s.tokens[key-1] == nil:
		return nil, fmt.Errorf("%w: %v", signer.ErrNoKeys, key)
	}
	return s.tokens[key-1], nil
}

// Certificate implements signer.Signer. It was read at Open.
func (s *Signer) Certificate(_ context.Context, key signer.Key) ([]byte, error) {
	t, err := s.token(key)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return bytes.Clone(t.Cert), nil
}

// PIN implements signer.Signer.
func (s *Signer) PIN(ctx context.Context, key signer.Key) (signer.PIN, error) {
	t, err := s.token(key)
	if err != nil {
		return signer.PIN{}, fmt.Errorf("ask about pin: %w", err)
	}
	tries := make(chan int, 1)
	err = s.opener.errand(ctx, func(ctx context.Context) error {
		n, err := s.opener.tries(ctx, t)
		tries <- n
		return err
	})
	if err != nil {
		return signer.PIN{}, fmt.Errorf("ask about pin: %w", err)
	}
	return signer.PIN{Tries: <-tries, Min: t.Min, Max: t.Max, Pad: t.Pad}, nil
}

// Close implements signer.Signer.
func (s *Signer) Close() error {
	s.closed = true
	return nil
}

// Sign implements signer.Signer.
func (s *Signer) Sign(ctx context.Context, key signer.Key, pin []byte, hash crypto.Hash, digest []byte) ([]byte, error) {
	defer clear(pin)
	signature, err := s.sign(ctx, key, pin, hash, digest)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return signature, nil
}

func (s *Signer) sign(ctx context.Context, key signer.Key, pin []byte, hash crypto.Hash, digest []byte) ([]byte, error) {
	t, err := s.token(key)
	if err != nil {
		return nil, err
	}
	if err := t.check(pin); err != nil {
		return nil, err
	}
	if !hash.Available() || len(digest) != hash.Size() {
		return nil, fmt.Errorf("digest of %d bytes is not of %v", len(digest), hash)
	}
	own, digest := bytes.Clone(pin), bytes.Clone(digest) // the errand may outlive this call
	signature := make(chan []byte, 1)
	err = s.opener.errand(ctx, func(ctx context.Context) error {
		defer clear(own)
		out, err := s.opener.signOnce(ctx, t, own, hash, digest)
		signature <- out
		return err
	})
	if err != nil {
		return nil, err
	}
	return <-signature, nil
}

// check refuses what the card would count as a wrong PIN, or take for one.
func (t *token) check(pin []byte) error {
	if t.Pad {
		if len(pin) > 0 {
			return fmt.Errorf("%w: it is typed on the reader", signer.ErrPINLength)
		}
		return nil
	}
	if len(pin) < max(t.Min, 1) || len(pin) > t.Max {
		return signer.ErrPINLength
	}
	for _, d := range pin {
		if d < '0' || d > '9' {
			return signer.ErrPINLength
		}
	}
	return nil
}

// tries asks the card itself how many tries are left, else the module.
func (o *Opener) tries(ctx context.Context, t *token) (int, error) {
	n, err := o.exact(ctx, t.Key)
	if !errors.Is(err, errNoCounter) {
		return n, err
	}
	a, err := o.send(ctx, order{Do: doTries, Token: t}, nil)
	return a.Tries, o.explain(ctx, err)
}

// exact reads the counter past the module. The card that was there at Open and
// isn't any more was removed.
func (o *Opener) exact(ctx context.Context, key signer.Key) (int, error) {
	if o.reader == nil {
		return 0, errNoCounter
	}
	c, err := o.reader.Connect(ctx)
	if errors.Is(err, card.ErrNoCard) {
		err = fmt.Errorf("%w: %w", card.ErrRemoved, err)
	}
	if err != nil {
		return 0, err
	}
	defer c.Close()
	return counter(ctx, c, key)
}

// signOnce does all of one signature: ask for the tries, log in, sign, and have the
// card forget the PIN.
func (o *Opener) signOnce(ctx context.Context, t *token, pin []byte, hash crypto.Hash, digest []byte) ([]byte, error) {
	begun := time.Now()
	left, err := o.tries(ctx, t)
	switch {
	case err != nil:
		return nil, err
	case left == 0:
		return nil, signer.ErrBlocked
	case left == 1:
		return nil, signer.ErrLastTry
	case ctx.Err() != nil: // nobody waits any more: spend no try
		return nil, ctx.Err()
	}
	a, err := o.send(ctx, order{Do: doSign, Token: t, Hash: hash, Digest: digest}, pin)
	err = o.explain(ctx, err)
	o.log.Info("signature asked for", "key", t.Key.String(), "done", err == nil, "took", time.Since(begun))
	if errors.Is(err, signer.ErrWrongPIN) {
		return nil, o.refused(ctx, t, left)
	}
	o.forget(ctx)
	return a.Signature, err
}

// refused says how many tries a wrong PIN has left.
func (o *Opener) refused(ctx context.Context, t *token, before int) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), explainTime)
	defer cancel()
	left, err := o.tries(ctx, t)
	if err != nil {
		left = before - 1
	}
	return &signer.PINError{Tries: max(left, 0)}
}

// forget resets the card, since a module need not: OpenSC leaves the card as it is,
// with the PIN given. A card that is gone has forgotten.
func (o *Opener) forget(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), explainTime)
	defer cancel()
	if err := o.look(ctx); err != nil {
		o.log.Debug("card not reset", "error", err)
	}
}

// errOther says that another card lies in the slot than at Open: that one left.
var errOther = fmt.Errorf("%w: another one is there", card.ErrRemoved)
