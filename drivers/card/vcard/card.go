// Package vcard is a virtual chip card with a state that issues it: ICAO 9303
// with PACE or BAC, secure messaging, signed data groups, Active and Chip
// Authentication, and a signature application like EstEID's; well-behaved or
// misbehaving as its Profile says.
//
// A Card is a card.Card, for tests in one process. Put into a Slot, it dials the
// vpcd virtual reader of a private pcscd, so that the real PC/SC daemon lies
// between. It is no secure element: its keys are plain memory.
package vcard

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
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

	PIN1, PIN2, PUK string // of the signature application; DefaultPIN1 and so on when empty
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
	ReadsMost     int  // refuses to read more bytes at once, and with LosesSession forgets its session; 0 is no limit
	RemovedAfter  int  // pulled out at the command after so many; 0 is never

	Mapping     icao.Mapping // of PACE; zero is generic
	Cipher      icao.Cipher  // of PACE and Chip Authentication; zero is AES-128
	Curve       int          // domain parameters of both, ICAO 9303-11, 9.5.1; zero is 12, P-256
	BAC         bool         // knows no PACE: opened by its zone with Basic Access Control
	HidesPACE   bool         // as BAC, though the state signed that it knows PACE
	ChipAuth    bool         // can prove a key of group 14 by Chip Authentication
	NoActive    bool         // has no group 15: no Active Authentication
	Issuing     bool         // has group 12
	Portrait    int          // bytes of group 2; 0 is none
	StateKey    icao.KeyKind // of the state that signs; the PKI must have been made with it
	ActiveKey   icao.KeyKind // of group 15, for Active Authentication
	NoCardInfo  bool         // has no EF.ATR/INFO, though it takes extended APDUs
	ProvesLong  bool         // answers INTERNAL AUTHENTICATE in the long form only
	ProvesShort bool         // answers it in the short form only
	LosesProof  bool         // answers it in the short form only, and forgets its session over the long one

	Other     bool // a card of another kind: knows no application, and no file
	NoSigning bool // has no signature application, and another answer to reset
	PINUsed   int  // tries of both PINs that are spent already: 2 leaves the last, 3 is blocked
	Random    int  // answers with random bytes from the command after so many on; 0 is never

	Latency        time.Duration // what every command takes on the chip
	BytesPerSecond int           // speed of the line, both ways; 0 is endless
}

// atr is that of a chip without signature application: T=1, and a name in the
// historical bytes, ISO 7816-3, 8.2.
var atr = []byte{0x3B, 0x85, 0x01, 'K', 'O', 'S', 'K', '1', 0xA9}

// maxAPDU is the longest command and response, as EF.ATR/INFO says.
const maxAPDU = 4096

// A Card is one virtual card. Its methods may be called by one goroutine at a
// time; Slot sees to that.
type Card struct {
	profile  Profile
	can      string
	secret   []byte           // what PACE and BAC make of the zone
	master   map[byte][]byte  // short file id -> file, of the master file
	files    map[byte][]byte  // of the eMRTD application
	key      *icao.SigningKey // of group 15
	static   *icao.StaticKey
	signing  *signing // nil when there is none
	mu       sync.Mutex
	chip     chip // guarded by mu
	commands int  // guarded by mu; since it was put in
	removed  bool // guarded by mu
}

// New makes a card for a person. Every card has a key of its own.
func New(pki *PKI, p Person, profile Profile) (*Card, error) {
	c, err := newCard(pki, p, profile.filled())
	if err != nil {
		return nil, fmt.Errorf("make card: %w", err)
	}
	return c, nil
}

func newCard(pki *PKI, p Person, profile Profile) (*Card, error) {
	if profile.Expired {
		p.Expires = time.Now().AddDate(0, 0, -1)
	}
	c := &Card{profile: profile, can: p.CAN}
	if err := c.makeKeys(); err != nil {
		return nil, err
	}
	var err error
	if c.secret, err = icao.MRZSecret(p.DocumentNumber, icao.DateOf(p.BirthDate), icao.DateOf(p.Expires)); err != nil {
		return nil, err
	}
	state, err := pki.state(profile.StateKey, profile.UnknownSigner)
	if err != nil {
		return nil, err
	}
	issuer := pki.people
	if profile.UnknownSigner {
		issuer = pki.nobody
	}
	if c.files, err = c.issue(state, p); err != nil {
		return nil, err
	}
	if c.master, err = c.masterFiles(state); err != nil {
		return nil, err
	}
	if !profile.NoSigning && !profile.Other {
		if c.signing, err = newSigning(issuer, p, profile.PINUsed); err != nil {
			return nil, err
		}
	}
	switch {
	case profile.CannotProve:
		c.key, c.static = nil, nil
	case profile.Cloned:
		err = c.makeKeys() // others than the state signed
	}
	return c, err
}

// makeKeys makes the keys that the chip proves.
func (c *Card) makeKeys() (err error) {
	if c.key, err = icao.NewSigningKey(c.profile.ActiveKey); err != nil {
		return err
	}
	c.static, err = icao.NewStaticKey(rand.Reader, c.profile.Curve)
	return err
}

// filled replaces zeros by what they mean.
func (p Profile) filled() Profile {
	if p.Mapping == 0 {
		p.Mapping = icao.MappingGeneric
	}
	if p.Cipher == 0 {
		p.Cipher = icao.AES128
	}
	if p.Curve == 0 {
		p.Curve = 12
	}
	p.BAC = p.BAC || p.HidesPACE
	return p
}

// CAN is the card access number printed on the card.
func (c *Card) CAN() string { return c.can }

// Short file identifiers, ICAO 9303-10, 3.11.
const (
	sfiCardInfo     = 0x01
	sfiCardAccess   = 0x1C
	sfiCardSecurity = 0x1D // of the master file
	sfiSOD          = 0x1D // of the eMRTD application
	sfiCOM          = 0x1E
)

// ways is how PACE opens the card. With chip authentication mapping another has
// to be there, too, ICAO 9303-11, 4.4.1.
func (p Profile) ways() []icao.PACEInfo {
	info := icao.ECDHPACE(p.Mapping, p.Cipher, p.Curve)
	if p.Mapping == icao.MappingChip {
		return []icao.PACEInfo{icao.GenericPACE(p.Cipher, p.Curve), info}
	}
	return []icao.PACEInfo{info}
}

func (c *Card) masterFiles(state authority) (map[byte][]byte, error) {
	files := make(map[byte][]byte)
	if !c.profile.BAC {
		files[sfiCardAccess] = icao.CardAccess(c.profile.ways()...)
	}
	if c.profile.Mapping == icao.MappingChip {
		var err error
		files[sfiCardSecurity], err = icao.NewCardSecurity(icao.Infos(c.profile.ways(), c.static.Info()), state.signer, time.Now(), state.key.Sign)
		if err != nil {
			return nil, err
		}
	}
	if !c.profile.ShortOnly && !c.profile.NoCardInfo {
		size := icao.MakeTLV(0x02, []byte{maxAPDU >> 8, maxAPDU & 0xFF})
		files[sfiCardInfo] = icao.AppendTLV(icao.MakeTLV(0x47, []byte{0, 0, 0x40}), 0x7F66, size, size)
	}
	return files, nil
}

// group14 is what the state signed of the chip's protocols.
func (c *Card) group14() []byte {
	var ways []icao.PACEInfo
	if !c.profile.BAC || c.profile.HidesPACE {
		ways = c.profile.ways()
	}
	if c.profile.ChipAuth {
		return c.key.DG14(ways, c.static.Info(), icao.ChipAuthentication(c.profile.Cipher))
	}
	return c.key.DG14(ways)
}

// issue writes and signs the files, then misbehaves as the profile wants.
func (c *Card) issue(state authority, p Person) (map[byte][]byte, error) {
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
		14: c.group14(),
	}
	if !c.profile.NoActive {
		groups[15] = icao.DG15(c.key.PublicKeyInfo())
	}
	if c.profile.Issuing {
		groups[12] = icao.DG12(icao.Issuing{Authority: "ASAN XİDMƏT", Issued: p.Expires.AddDate(-10, 0, 0)})
	}
	if c.profile.Portrait > 0 {
		groups[2] = portrait(c.profile.Portrait)
	}
	sod, err := icao.SOD(groups, state.signer, time.Now(), state.key.Sign)
	if err != nil {
		return nil, err
	}
	if c.profile.TamperedDG1 {
		zone.Surname = "ALIYEVA"
		groups[1] = icao.DG1(zone.TD1Lines())
	}
	files := map[byte][]byte{sfiSOD: sod, sfiCOM: icao.COM(slices.Sorted(maps.Keys(groups))...)}
	for g, file := range groups {
		files[byte(g)] = file
	}
	return files, nil
}

// portrait is a group 2 of so many bytes, with noise where the face would be.
func portrait(size int) []byte {
	for overhead := 2; ; overhead++ {
		noise := make([]byte, max(size-overhead, 0))
		_, _ = rand.Read(noise) // never fails, says crypto/rand
		if file := icao.MakeTLV(icao.GroupTag(2), noise); len(file) <= size || len(noise) == 0 {
			return file
		}
	}
}

func (p Person) zone() *icao.MRZ {
	return &icao.MRZ{
		DocumentCode: "IA", IssuingState: "AZE", Nationality: "AZE", DocumentNumber: p.DocumentNumber,
		BirthDate: icao.DateOf(p.BirthDate), Sex: p.Sex, Expires: icao.DateOf(p.Expires), Optional: p.FIN,
		Surname: icao.Transliterate(p.Surname), GivenNames: icao.Transliterate(p.GivenNames),
	}
}

// ATR is the answer to reset.
func (c *Card) ATR() []byte {
	if c.signing != nil {
		return signingATR
	}
	return atr
}

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
	if c.profile.Random > 0 && c.commands > c.profile.Random {
		return noise(), nil
	}
	return c.process(command).Bytes(), nil
}

// noise is an answer of a card that has gone mad: up to a short answer's length,
// and half of the time with the status word of success.
func noise() []byte {
	var draw [2]byte
	_, _ = rand.Read(draw[:]) // never fails, says crypto/rand
	answer := make([]byte, 2+int(draw[0]))
	_, _ = rand.Read(answer)
	if draw[1]&1 == 0 {
		copy(answer[len(answer)-2:], []byte{0x90, 0x00})
	}
	return answer
}

// Commands is how many commands the card has got since it was put in.
func (c *Card) Commands() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.commands
}

// takes is how long the line and the chip need for so many bytes.
func (c *Card) takes(bytes int) time.Duration {
	d := c.profile.Latency
	if c.profile.BytesPerSecond > 0 {
		d += time.Duration(bytes) * time.Second / time.Duration(c.profile.BytesPerSecond)
	}
	return d
}
