// Package vcard is a virtual chip card with a state that issues it: ICAO 9303
// with PACE, secure messaging, signed data groups and Active Authentication,
// well-behaved or misbehaving as its Profile says.
//
// A Card is a card.Card, for tests in one process. Put into a Slot, it dials the
// vpcd virtual reader of a private pcscd, so that the real PC/SC daemon lies
// between. It is no secure element: its keys are plain memory.
package vcard

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"

	"kosk/drivers/card"
	"kosk/drivers/card/icao"
)

// A Person is whom a card is made for. Names are in their own letters; the zone
// gets them transliterated.
type Person struct {
	FIN            string
	Surname        string
	GivenNames     string
	BirthDate      time.Time
	Sex            byte // 'F' or 'M'
	DocumentNumber string
	Expires        time.Time
	CAN            string // six digits on the front of the card
}

// A Profile is how a card behaves. The zero Profile is a genuine card with
// extended APDUs of 4096 bytes on an endless fast line.
type Profile struct {
	TamperedDG1   bool // another name in the zone than the state signed
	Cloned        bool // all files copied from a genuine card, another key
	CannotProve   bool // all files copied, no key at all
	UnknownSigner bool // signed by a state of the same name that nobody trusts
	Expired       bool // expired yesterday
	Foreign       bool // issued by another state, says the zone
	Mute          bool // lies in the slot and does not answer to reset
	Silent        bool // answers to reset, and to no command until it is removed
	ShortOnly     bool // no extended APDUs; refuses to read more than 223 bytes at once
	LosesSession  bool // promises extended APDUs, and forgets its session at the first long read
	RemovedAfter  int  // pulled out at the command after so many; 0 is never

	Latency        time.Duration // what every command takes on the chip
	BytesPerSecond int           // speed of the line, both ways; 0 is endless
}

// atr offers T=1 and names the chip in its historical bytes, ISO 7816-3, 8.2.
var atr = []byte{0x3B, 0x85, 0x01, 'K', 'O', 'S', 'K', '1', 0xA9}

// maxAPDU is the longest command and response, as EF.ATR/INFO says.
const maxAPDU = 4096

// A Card is one virtual card. Its methods may be called by one goroutine at a
// time; Slot sees to that.
type Card struct {
	profile  Profile
	can      string
	master   map[byte][]byte // short file id -> file, of the master file
	files    map[byte][]byte // of the eMRTD application
	key      *ecdsa.PrivateKey
	mu       sync.Mutex
	chip     chip // guarded by mu
	commands int  // guarded by mu; since it was put in
	removed  bool // guarded by mu
}

// New makes a card for a person. Every card has a key of its own.
func New(pki *PKI, p Person, profile Profile) (*Card, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make card: %w", err)
	}
	c := &Card{profile: profile, can: p.CAN, key: key, master: masterFiles(profile)}
	if c.files, err = c.issue(pki, p); err != nil {
		return nil, fmt.Errorf("make card: %w", err)
	}
	if profile.Cloned {
		if c.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return nil, fmt.Errorf("make card: %w", err)
		}
	}
	if profile.CannotProve {
		c.key = nil
	}
	return c, nil
}

// CAN is the card access number printed on the card.
func (c *Card) CAN() string { return c.can }

// Short file identifiers, ICAO 9303-10, 3.11.
const (
	sfiCardInfo   = 0x01
	sfiCardAccess = 0x1C
	sfiSOD        = 0x1D
	sfiCOM        = 0x1E
)

func paceInfo() icao.PACEInfo { return icao.GenericPACE(icao.AES128, 12) }

func masterFiles(p Profile) map[byte][]byte {
	files := map[byte][]byte{sfiCardAccess: icao.CardAccess(paceInfo())}
	if !p.ShortOnly {
		size := icao.MakeTLV(0x02, []byte{maxAPDU >> 8, maxAPDU & 0xFF})
		files[sfiCardInfo] = icao.AppendTLV(icao.MakeTLV(0x47, []byte{0, 0, 0x40}), 0x7F66, size, size)
	}
	return files
}

// issue writes and signs the files, then misbehaves as the profile wants.
func (c *Card) issue(pki *PKI, p Person) (map[byte][]byte, error) {
	if c.profile.Expired {
		p.Expires = time.Now().AddDate(0, 0, -1)
	}
	spki, err := x509.MarshalPKIXPublicKey(&c.key.PublicKey)
	if err != nil {
		return nil, err
	}
	zone := p.zone()
	if c.profile.Foreign {
		zone.IssuingState, zone.Nationality = "UTO", "UTO"
	}
	upper := func(s string) string { return strings.ToUpperSpecial(unicode.AzeriCase, s) }
	groups := map[int][]byte{
		1: icao.DG1(zone.TD1Lines()),
		11: icao.DG11(icao.Details{
			Surname: upper(p.Surname), GivenNames: upper(p.GivenNames), PersonalNumber: p.FIN, BirthDate: p.BirthDate,
		}),
		14: icao.DG14(paceInfo()),
		15: icao.DG15(spki),
	}
	state := pki.trusted
	if c.profile.UnknownSigner {
		state = pki.stranger
	}
	sod, err := icao.SOD(groups, state.signer, time.Now(), state.sign)
	if err != nil {
		return nil, err
	}
	if c.profile.TamperedDG1 {
		zone.Surname = "ALIYEVA"
		groups[1] = icao.DG1(zone.TD1Lines())
	}
	files := map[byte][]byte{sfiSOD: sod, sfiCOM: icao.COM(1, 11, 14, 15)}
	for g, file := range groups {
		files[byte(g)] = file
	}
	return files, nil
}

func (p Person) zone() *icao.MRZ {
	return &icao.MRZ{
		DocumentCode: "IA", IssuingState: "AZE", Nationality: "AZE", DocumentNumber: p.DocumentNumber,
		BirthDate: icao.DateOf(p.BirthDate), Sex: p.Sex, Expires: icao.DateOf(p.Expires), Optional: p.FIN,
		Surname: icao.Transliterate(p.Surname), GivenNames: icao.Transliterate(p.GivenNames),
	}
}

// ATR is the answer to reset.
func (c *Card) ATR() []byte { return atr }

// Close does nothing: the card can be put in again.
func (c *Card) Close() error {
	c.reset()
	return nil
}

// reset is what happens when the card is put in again.
func (c *Card) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.chip, c.commands, c.removed = chip{}, 0, false
}

// power is what the chip does when the reader powers or resets it: it forgets.
func (c *Card) power() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.chip = chip{}
}

// Transmit answers a command, or ends with card.ErrRemoved when the profile has
// the card pulled out.
func (c *Card) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	response, err := c.answer(command)
	if err != nil {
		return nil, err
	}
	if c.profile.Silent {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if d := c.takes(len(command) + len(response)); d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return response, nil
}

func (c *Card) answer(command []byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.commands++
	if c.removed = c.removed || c.profile.RemovedAfter > 0 && c.commands > c.profile.RemovedAfter; c.removed {
		return nil, card.ErrRemoved
	}
	return c.process(command).Bytes(), nil
}

// takes is how long the line and the chip need for so many bytes.
func (c *Card) takes(bytes int) time.Duration {
	d := c.profile.Latency
	if c.profile.BytesPerSecond > 0 {
		d += time.Duration(bytes) * time.Second / time.Duration(c.profile.BytesPerSecond)
	}
	return d
}
