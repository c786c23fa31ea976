package identity

import (
	"context"
	"crypto"
	"crypto/sha256"
	"fmt"
	"time"

	"kosk/drivers/card/icao"
	"kosk/drivers/signer"
)

// PINField is the id of the only field of a card's PIN in Typed.
const PINField = "pin"

// A Token is the person's own card as a means: PIN1 for logins, PIN2 to sign.
type Token struct {
	Keys    signer.Opener
	Anchors *Anchors
}

// KeyFor is the card's key for a use.
func KeyFor(use Use) signer.Key {
	if use == Sign {
		return signer.Signature
	}
	return signer.Authentication
}

// PIN asks the card about the PIN of a use. It spends no try.
func (t Token) PIN(ctx context.Context, use Use) (signer.PIN, error) {
	keys, err := t.Keys.Open(ctx)
	if err != nil {
		return signer.PIN{}, fmt.Errorf("open keys: %w", err)
	}
	defer keys.Close()
	pin, err := keys.PIN(ctx, KeyFor(use))
	if err != nil {
		return signer.PIN{}, fmt.Errorf("ask pin: %w", err)
	}
	return pin, nil
}

// Prove implements Means. The certificate is believed before a PIN is spent.
func (t Token) Prove(ctx context.Context, c Claim, typed Typed, _ func(Prompt)) (Proof, error) {
	defer typed.Zero()
	keys, err := t.Keys.Open(ctx)
	if err != nil {
		return Proof{}, fmt.Errorf("open keys: %w", err)
	}
	defer keys.Close()
	key := KeyFor(c.Use)
	der, err := keys.Certificate(ctx, key)
	if err != nil {
		return Proof{}, fmt.Errorf("certificate: %w", err)
	}
	if err := t.believe(der, c); err != nil {
		return Proof{}, err
	}
	sum := sha256.Sum256(c.Statement)
	signature, err := keys.Sign(ctx, key, typed[PINField], crypto.SHA256, sum[:])
	if err != nil {
		return Proof{}, fmt.Errorf("sign: %w", err)
	}
	return fits(Proof{Means: "card", Statement: c.Statement, Certificate: der, Signature: signature}, c, t.Anchors)
}

// believe checks all of a proof but the signature.
func (t Token) believe(der []byte, c Claim) error {
	cert, err := icao.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	if err := t.Anchors.trustPerson(cert, c.Use, time.Now()); err != nil {
		return err
	}
	s, err := subjectOf(cert)
	if err != nil {
		return err
	}
	if c.FIN != "" && s.FIN != c.FIN {
		return ErrOtherPerson
	}
	return nil
}
