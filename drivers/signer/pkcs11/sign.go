package pkcs11

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/miekg/pkcs11"

	"kosk/drivers/card"
	"kosk/drivers/card/icao"
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
	return bytes.Clone(t.cert), nil
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
	return signer.PIN{Tries: <-tries, Min: t.min, Max: t.max, Pad: t.pad}, nil
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
	if t.pad {
		if len(pin) > 0 {
			return fmt.Errorf("%w: it is typed on the reader", signer.ErrPINLength)
		}
		return nil
	}
	if len(pin) < max(t.min, 1) || len(pin) > t.max {
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
	n, err := o.exact(ctx, t.key)
	if !errors.Is(err, errNoCounter) {
		return n, err
	}
	err = o.inSession(func() error {
		slot, err := o.again(t)
		if err != nil {
			return err
		}
		info, err := o.module.GetTokenInfo(slot)
		n = flagged(info.Flags)
		return err
	})
	return n, o.explain(ctx, err)
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
func (o *Opener) signOnce(ctx context.Context, t *token, pin []byte, hash crypto.Hash, digest []byte) (signature []byte, err error) {
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
	err = o.inSession(func() error {
		slot, err := o.again(t)
		if err != nil {
			return err
		}
		session, err := o.module.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION)
		if err != nil {
			return fmt.Errorf("open session: %w", err)
		}
		defer o.module.CloseSession(session)
		if err := o.login(session, pkcs11.CKU_USER, pin); err != nil {
			return err
		}
		defer o.module.Logout(session)
		signature, err = o.signIn(session, t, pin, hash, digest)
		return err
	})
	err = o.explain(ctx, err)
	o.log.Info("signature asked for", "key", t.key.String(), "done", err == nil, "took", time.Since(begun))
	if errors.Is(err, signer.ErrWrongPIN) {
		return nil, o.refused(ctx, t, left)
	}
	o.forget(ctx)
	return signature, err
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

// again finds the slot of a key, and checks that it is still the same card.
func (o *Opener) again(t *token) (uint, error) {
	slots, err := o.slots()
	if err != nil {
		return 0, err
	}
	other := false
	for _, slot := range slots {
		all, err := o.read(slot)
		if err != nil {
			return 0, err
		}
		for _, now := range all {
			if now.key == t.key && now.serial == t.serial && bytes.Equal(now.cert, t.cert) {
				return slot, nil
			}
			other = true
		}
	}
	if other {
		return 0, errOther
	}
	return 0, pkcs11.Error(pkcs11.CKR_TOKEN_NOT_PRESENT)
}

// login gives the PIN, or has it typed on the reader's pad when there is none:
// PKCS#11 2.40, 5.6, wants a null pointer then, which the binding makes of "". The
// binding frees its own copy, and does not zero it: see Forgetful.
func (o *Opener) login(session pkcs11.SessionHandle, user uint, pin []byte) error {
	text := "" // the PIN's own bytes, so that they can be zeroed
	if len(pin) > 0 {
		text = unsafe.String(&pin[0], len(pin))
	}
	if err := o.module.Login(session, user, text); err != nil {
		return fmt.Errorf("log in: %w", err)
	}
	return nil
}

// signIn signs within a session that is logged in.
func (o *Opener) signIn(session pkcs11.SessionHandle, t *token, pin []byte, hash crypto.Hash, digest []byte) ([]byte, error) {
	keys, err := o.find(session, pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY), pkcs11.NewAttribute(pkcs11.CKA_ID, t.id))
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, signer.ErrNoKeys
	}
	rsa := false
	if kind, err := o.attribute(session, keys[0], pkcs11.CKA_KEY_TYPE); err != nil {
		return nil, fmt.Errorf("key type: %w", err)
	} else if rsa = bytes.Equal(kind, pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_RSA).Value); !rsa {
		digest = t.shorten(digest)
	}
	mechanism := uint(pkcs11.CKM_ECDSA)
	if rsa {
		mechanism = pkcs11.CKM_RSA_PKCS
		if digest, err = digestInfo(hash, digest); err != nil {
			return nil, err
		}
	}
	if err := o.module.SignInit(session, []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)}, keys[0]); err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	// A module that does not know the attribute does not ask again.
	if always, err := o.attribute(session, keys[0], pkcs11.CKA_ALWAYS_AUTHENTICATE); err == nil && len(always) == 1 && always[0] != 0 {
		if err := o.login(session, pkcs11.CKU_CONTEXT_SPECIFIC, pin); err != nil {
			return nil, err
		}
	}
	return o.module.Sign(session, digest)
}

func (o *Opener) attribute(session pkcs11.SessionHandle, object pkcs11.ObjectHandle, kind uint) ([]byte, error) {
	values, err := o.module.GetAttributeValue(session, object, []*pkcs11.Attribute{pkcs11.NewAttribute(kind, nil)})
	if err != nil {
		return nil, err
	}
	return values[0].Value, nil
}

// shorten cuts a digest to the length of the curve's order, FIPS 186-5, 6.4.1:
// CKM_ECDSA leaves that to its caller.
func (t *token) shorten(digest []byte) []byte {
	cert, err := x509.ParseCertificate(t.cert)
	if err != nil { // a curve that has no shorter digest in use
		return digest
	}
	if key, ok := cert.PublicKey.(*ecdsa.PublicKey); ok {
		return digest[:min(len(digest), (key.Params().BitSize+7)/8)]
	}
	return digest
}

// hashArcs are the last arcs of the hashes below 2.16.840.1.101.3.4.2.
var hashArcs = map[crypto.Hash]byte{crypto.SHA256: 1, crypto.SHA384: 2, crypto.SHA512: 3, crypto.SHA224: 4}

// digestInfo is what PKCS#1 v1.5 signs, RFC 8017, 9.2.
func digestInfo(hash crypto.Hash, digest []byte) ([]byte, error) {
	arc, known := hashArcs[hash]
	if !known {
		return nil, fmt.Errorf("no rsa signature with %v", hash)
	}
	id := icao.MakeTLV(0x06, []byte{0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, arc})
	return icao.MakeTLV(0x30, icao.MakeTLV(0x30, id, icao.MakeTLV(0x05)), icao.MakeTLV(0x04, digest)), nil
}
