package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"kosk/drivers/all"
	"kosk/drivers/keystore"
	"kosk/drivers/printer"
	"kosk/drivers/signer/pkcs11"
)

// keys has what guards the keys wrap one and give it back. It makes no key file,
// which the kiosk couldn't open if it is another user's.
func (c *checker) keys(ctx context.Context) row {
	state := c.cfg.State
	if state.Keys == "file" {
		if _, err := os.Stat(state.KeyStore()); errors.Is(err, fs.ErrNotExist) {
			return good("in a file; none yet, the kiosk makes it at its first start")
		}
	}
	s, err := all.Keystore(state.Keys, state.KeyStore())
	if err != nil {
		return keysTrouble(state.Keys, state.KeyStore(), err)
	}
	defer s.Close()
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails, see crypto/rand
	wrapped, err := s.Wrap(ctx, key)
	if err != nil {
		return keysTrouble(state.Keys, state.KeyStore(), err)
	}
	back, err := s.Unwrap(ctx, wrapped)
	if err == nil && !bytes.Equal(back, key) {
		err = errors.New("gives another key back")
	}
	if err != nil {
		return keysTrouble(state.Keys, state.KeyStore(), err)
	}
	if state.Keys == "tpm" {
		return good("a tpm at " + state.KeyStore() + " guards them: it wraps a key and gives it back")
	}
	return good("in a file: whoever has the whole disk can speak as this kiosk, and has the notes of requests; what is in requests stays sealed")
}

func keysTrouble(name, path string, err error) row {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return failed("this user may not open "+path, "run the check as the kiosk's own user or as root; with a tpm the kiosk's user must be in the group tss")
	case errors.Is(err, keystore.ErrNoStore):
		return failed("there is no "+name+" at "+path, "switch the tpm on in the machine's set-up, or correct state.keys and state.keys_path: the kiosk doesn't start without it")
	case errors.Is(err, keystore.ErrState):
		return failed(err.Error(), "the machine's firmware or boot loader is another one: requests are still delivered, their notes are lost; tell the operator")
	}
	if name == "file" {
		return failed(err.Error(), "the kiosk doesn't start with it: chmod 600 it; when it is damaged, put it aside, and the kiosk makes a new one: requests are still delivered, their notes are lost; tell the operator")
	}
	return failed(fmt.Sprintf("%s at %s: %v", name, path, err), "the kiosk doesn't start without it: see dmesg; correct state.keys and state.keys_path")
}

// signer loads the module for the card's own keys.
func (c *checker) signer(ctx context.Context) row {
	card := c.cfg.Card
	if card.Signer == "none" {
		return good("this kiosk uses no keys of cards, by its configuration")
	}
	_, err := all.Signer(ctx, card.Signer, card.Module, card.Reader, nil, c.log)
	switch {
	case errors.Is(err, pkcs11.ErrNoModule):
		return failed(err.Error(), "install the package opensc-pkcs11, or correct card.module: PIN1 and PIN2 can't be asked for without it")
	case err != nil:
		return failed(err.Error(), "correct card.signer and card.module in the configuration")
	}
	return good("the module for the cards' own keys loads")
}

// document asks the printer of pages.
func (c *checker) document(ctx context.Context) row {
	d := c.cfg.Document
	if d.Make == "none" {
		return good("this kiosk prints no pages, by its configuration")
	}
	p, err := all.Document(d.Make, d.Address, c.log)
	if err != nil {
		return failed(err.Error(), "correct the table document in the configuration")
	}
	defer p.Close()
	s, err := p.Status(ctx)
	if err == nil {
		err = s.Err()
	}
	if err != nil {
		return failed(fmt.Sprintf("%s: %v", d.Address, err), "see the printer's own display; check its cable and document.address")
	}
	seen := fmt.Sprintf("%s at %s", s.Model, d.Address)
	if s.Paper == printer.PaperLow {
		return warned(seen+", paper low", "put in paper soon")
	}
	return good(seen)
}
