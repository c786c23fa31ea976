// Package pkcs11 is the signer.Opener of cards that come with a PKCS#11 module,
// such as OpenSC's. The module lives in this process, and is initialised for one
// errand at a time and finalised after it: so it holds no card and no daemon in
// between, takes nothing over from a daemon that died, and forgets the PIN.
//
// Its calls cannot be interrupted. An errand whose context ends is finished in the
// background, and the next one waits for that.
package pkcs11

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
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

// Forgetful is the value of GLIBC_TUNABLES with which the C library overwrites
// what is freed. OpenSC's module makes a dump of every command, the PIN's too, and
// frees it as it is, whether it is to log or not; the binding frees the PIN's copy
// likewise. The thread cache is off, for what goes there is not overwritten.
const Forgetful = "glibc.malloc.perturb=85:glibc.malloc.tcache_count=0"

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

// An Opener is a loaded module. There may be one for a module in a process.
type Opener struct {
	module *pkcs11.Ctx
	prefix string
	reader card.Reader
	log    *slog.Logger
	turn   chan struct{} // holds a token while no errand is under way
}

var _ signer.Opener = (*Opener)(nil)

// Load loads the module, which stays for the life of the process. It talks to no
// card yet.
func Load(o Options) (*Opener, error) {
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
	if _, err := os.Stat(o.Module); err != nil {
		return nil, fmt.Errorf("load module: %w: %w", ErrNoModule, err)
	}
	m := pkcs11.New(o.Module)
	if m == nil {
		return nil, fmt.Errorf("load module: %w: %s cannot be loaded", ErrNoModule, o.Module)
	}
	if os.Getenv("GLIBC_TUNABLES") != Forgetful {
		o.Log.Warn("a pin can stay in memory that was freed")
	}
	p := &Opener{module: m, prefix: o.Prefix, reader: o.Reader, log: o.Log, turn: make(chan struct{}, 1)}
	p.turn <- struct{}{}
	return p, nil
}

// errand runs do in a goroutine of its own as soon as the one before has ended,
// and returns with it, or with ctx. What do was given must then be its own.
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
		tokens, err := o.tokens()
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

// inSession initialises the module, and finalises it after do.
func (o *Opener) inSession(do func() error) (err error) {
	if err := o.module.Initialize(); err != nil {
		return fmt.Errorf("initialise: %w", err)
	}
	defer func() { err = errors.Join(err, o.module.Finalize()) }()
	return do()
}

// tokens finds the certificates of both keys, and the slots that they are in.
func (o *Opener) tokens() (found [2]*token, err error) {
	err = o.inSession(func() error {
		slots, err := o.slots()
		if err != nil {
			return err
		}
		for _, slot := range slots {
			all, err := o.read(slot)
			if err != nil {
				return err
			}
			for _, t := range all {
				if i := int(t.key) - 1; i >= 0 && found[i] == nil {
					found[i] = t
				}
			}
		}
		return nil
	})
	if err == nil && found == [2]*token{} {
		err = signer.ErrNoKeys
	}
	return found, err
}

// slots lists the slots of our reader that hold a token.
func (o *Opener) slots() ([]uint, error) {
	all, err := o.module.GetSlotList(true)
	if err != nil {
		return nil, fmt.Errorf("list slots: %w", err)
	}
	var ours []uint
	for _, slot := range all {
		info, err := o.module.GetSlotInfo(slot)
		if err != nil {
			return nil, fmt.Errorf("slot: %w", err)
		}
		if strings.HasPrefix(info.SlotDescription, o.prefix) {
			ours = append(ours, slot)
		}
	}
	return ours, nil
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
	if err == nil || !errors.As(err, &code) && !errors.Is(err, signer.ErrNoKeys) {
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
	case code != 0:
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
