// Package pkcs11 is the signer.Opener of cards that come with a PKCS#11 module,
// such as OpenSC's. Each errand with the module is done by a process of its own,
// which is this program again: so a module that hangs is ended, one that crashes
// takes nothing with it, and what it leaves in memory, the PIN's too, is gone
// with the process. Between errands nothing holds the card or the daemon.
//
// A program that calls Load calls Main first of all.
package pkcs11

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/miekg/pkcs11"

	"kosk/drivers/card"
	"kosk/drivers/signer"
)

// Options say how to get at the card's keys.
type Options struct {
	// Module is the path of the PKCS#11 module; "" is OpenSC's, where Debian has it.
	Module string
	// Prefix is the beginning of the slot's name, as in drivers/card/pcsc; "" takes
	// the first slot with keys.
	Prefix string
	// Reader is the same slot without the module: it says what befell the card,
	// reads the exact counters, and resets the card after a signature.
	Reader card.Reader
	Log    *slog.Logger // may be nil
}

// ErrNoModule says that there is no PKCS#11 module at the path.
var ErrNoModule = errors.New("no pkcs#11 module")

// stock is where Debian has OpenSC's module, for every architecture.
const stock = "/usr/lib/*/opensc-pkcs11.so"

// Stock finds the module of Debian's package opensc-pkcs11.
func Stock() (string, error) {
	found, err := filepath.Glob(stock)
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("%w: %s", ErrNoModule, stock)
	}
	return found[0], nil
}

// An Opener starts a process for each errand with the module.
type Opener struct {
	module string // its path
	prefix string
	reader card.Reader
	log    *slog.Logger
	turn   chan struct{} // holds a token while no errand is under way
}

var _ signer.Opener = (*Opener)(nil)

// Load sees whether the module can be loaded. It talks to no card.
func Load(ctx context.Context, o Options) (*Opener, error) {
	if o.Module == "" {
		path, err := Stock()
		if err != nil {
			return nil, fmt.Errorf("load module: %w", err)
		}
		o.Module = path
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	p := &Opener{module: o.Module, prefix: o.Prefix, reader: o.Reader, log: o.Log, turn: make(chan struct{}, 1)}
	p.turn <- struct{}{}
	if _, err := p.send(ctx, order{Do: doLoad}, nil); err != nil {
		return nil, fmt.Errorf("load module: %w", err)
	}
	return p, nil
}

// errand runs do in a goroutine of its own as soon as the one before has ended,
// and returns with it, or with ctx: what it still does then is to find out how the
// card is, and to have it forget. What do was given must be its own.
func (o *Opener) errand(ctx context.Context, do func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-o.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	done := make(chan error, 1)
	go func() {
		defer func() { o.turn <- struct{}{} }()
		done <- do(ctx)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Open implements signer.Opener.
func (o *Opener) Open(ctx context.Context) (signer.Signer, error) {
	s := &Signer{opener: o}
	found := make(chan [2]*token, 1)
	err := o.errand(ctx, func(ctx context.Context) error {
		if err := o.look(ctx); err != nil {
			return err
		}
		tokens, err := o.tokens(ctx)
		if err == nil && (tokens[0] == nil || tokens[1] == nil) {
			err = o.gone(ctx) // it may have left between the two
		}
		found <- tokens
		return o.explain(ctx, err)
	})
	if err != nil {
		return nil, fmt.Errorf("open signer: %w", err)
	}
	s.tokens = <-found
	return s, nil
}

// look says whether a card that answers lies in the slot.
func (o *Opener) look(ctx context.Context) error {
	if o.reader == nil {
		return nil
	}
	c, err := o.reader.Connect(ctx)
	if err != nil {
		return err
	}
	return c.Close()
}

// tokens finds the certificates of both keys, and the slots that they are in.
func (o *Opener) tokens(ctx context.Context) (found [2]*token, err error) {
	a, err := o.send(ctx, order{Do: doTokens}, nil)
	if err != nil {
		return found, err
	}
	for _, t := range a.Tokens {
		if i := int(t.Key) - 1; i >= 0 && i < len(found) && found[i] == nil {
			found[i] = t
		}
	}
	if found == [2]*token{} {
		err = signer.ErrNoKeys
	}
	return found, err
}

// causes says in the contract's words what a module says in its own.
var causes = map[pkcs11.Error]error{
	pkcs11.CKR_PIN_INCORRECT:        signer.ErrWrongPIN,
	pkcs11.CKR_PIN_LOCKED:           signer.ErrBlocked,
	pkcs11.CKR_PIN_LEN_RANGE:        signer.ErrPINLength,
	pkcs11.CKR_PIN_INVALID:          signer.ErrPINLength,
	pkcs11.CKR_FUNCTION_CANCELED:    signer.ErrCancelled,
	pkcs11.CKR_DEVICE_REMOVED:       card.ErrRemoved,
	pkcs11.CKR_TOKEN_NOT_PRESENT:    card.ErrRemoved,
	pkcs11.CKR_TOKEN_NOT_RECOGNIZED: signer.ErrNoKeys,
}

// explainTime is how long the slot may take to say what befell the card.
const explainTime = 3 * time.Second

// explain finds the contract's word for what a module said. Modules tell a card
// that was pulled out, or a daemon that died, in many ways or in none, so the
// slot has the last word on whether the card is still there.
func (o *Opener) explain(ctx context.Context, err error) error {
	var code pkcs11.Error
	coded := errors.As(err, &code)
	if !coded && !errors.Is(err, signer.ErrNoKeys) && !errors.Is(err, errBroken) {
		return err
	}
	cause := causes[code]
	if !spoken(cause) {
		if gone := o.gone(ctx); gone != nil {
			return fmt.Errorf("%w: %w", gone, err)
		}
	}
	switch {
	case cause != nil:
		return fmt.Errorf("%w: %w", cause, err)
	case coded || errors.Is(err, errBroken):
		return fmt.Errorf("%w: %w", card.ErrProtocol, err)
	}
	return err
}

// gone speaks to the card past the module, and says what befell it: nil when it
// answers. The daemon itself may not have noticed yet.
func (o *Opener) gone(ctx context.Context) error {
	if o.reader == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), explainTime)
	defer cancel()
	c, err := o.reader.Connect(ctx)
	switch {
	case errors.Is(err, card.ErrNoCard):
		return fmt.Errorf("%w: %w", card.ErrRemoved, err)
	case err != nil:
		return err
	}
	defer c.Close()
	if _, err := transmit(ctx, c, selectMaster); err != nil && !errors.Is(err, card.ErrProtocol) {
		return err
	}
	return nil
}

// spoken says whether the card itself must have said so.
func spoken(cause error) bool {
	for _, said := range []error{signer.ErrWrongPIN, signer.ErrBlocked, signer.ErrPINLength, signer.ErrCancelled} {
		if errors.Is(cause, said) {
			return true
		}
	}
	return false
}
