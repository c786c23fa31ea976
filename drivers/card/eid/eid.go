// Package eid reads an ICAO 9303 chip over any card.Card: it opens the chip with
// PACE, or with BAC where the chip has no PACE, then reads what the state signed
// and asks the chip to prove its key.
//
// It believes nothing of what it reads. A Chip goes to device/identity, which
// checks signatures and decides. The one exception is EF.SOD's list of groups:
// EF.COM is unsigned, so the list in EF.SOD says what to read.
package eid

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"kosk/drivers/card"
	"kosk/drivers/card/icao"
)

// A Reader reads holders from chips. It may be used by many goroutines.
type Reader struct {
	log    *slog.Logger
	random io.Reader // for keys and challenges

	mu    sync.Mutex
	sizes map[string]int // answer to reset -> largest response that such chips gave
}

// maxSizes bounds what is remembered of chips.
const maxSizes = 256

// New makes a Reader. log may be nil.
func New(log *slog.Logger) *Reader {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Reader{log: log, random: rand.Reader, sizes: make(map[string]int)}
}

// ReadHolder implements card.HolderReader: Read with the card access number.
func (r *Reader) ReadHolder(ctx context.Context, c card.Card, can string, early func(dg1 []byte)) (*card.Chip, error) {
	access, err := CAN(can)
	if err != nil {
		return nil, r.failed(err)
	}
	return r.Read(ctx, c, Request{Access: access, Early: early})
}

// ReadHolderByZone implements card.HolderReader: Read with the machine readable
// zone.
func (r *Reader) ReadHolderByZone(ctx context.Context, c card.Card, z card.Zone, early func(dg1 []byte)) (*card.Chip, error) {
	access, err := MRZ(z.Number, icao.DateOf(z.Birth), icao.DateOf(z.Expires))
	if err != nil {
		return nil, r.failed(err)
	}
	return r.Read(ctx, c, Request{Access: access, Early: early})
}

// Read opens a chip and reads it. It believes nothing: device/identity does that.
//
// Errors: card.ErrWrongCAN or card.ErrWrongMRZ when the chip refuses the password;
// card.ErrWantsMRZ when a chip without PACE was asked with the number; card.ErrForeign
// when the chip cannot be opened with the password or has no eMRTD application;
// card.ErrRemoved; card.ErrProtocol; a *card.StatusError in the chain when the chip
// refused a command; ctx's own.
func (r *Reader) Read(ctx context.Context, c card.Card, q Request) (*card.Chip, error) {
	chip, err := r.read(ctx, c, q)
	if err != nil {
		return nil, r.failed(err)
	}
	r.log.Info("chip read", "protocol", chip.Protocol, "apdus", chip.APDUs, "bytes", chip.Bytes, "took", chip.Took)
	return chip, nil
}

func (r *Reader) failed(err error) error {
	r.log.Warn("chip not read", "error", err)
	return fmt.Errorf("read holder: %w", err)
}

func (r *Reader) read(ctx context.Context, c card.Card, q Request) (*card.Chip, error) {
	if len(q.Access.secret) == 0 {
		return nil, fmt.Errorf("%w: no password", card.ErrForeign)
	}
	l := &line{card: c, random: r.random, begun: time.Now()}
	early, said := q.Early, false
	q.Early = func(dg1 []byte) {
		if early != nil && !said {
			said = true
			early(dg1)
		}
	}
	// A chip that lost its session over a read that was too long is opened once
	// more, with the smaller size; over the form in which it was asked for its
	// signature, with the next form. There are as many sizes and forms as tries.
	for {
		chip, err := r.attempt(ctx, l, q)
		if errors.Is(err, errForm) {
			continue
		}
		if !errors.Is(err, errTooLong) {
			if err == nil {
				r.remember(c.ATR(), l.room)
				chip.APDUs, chip.Bytes, chip.Took = l.apdus, l.bytes, time.Since(l.begun)
			}
			return chip, err
		}
		if !l.shrink() {
			return nil, fmt.Errorf("%w: %w", card.ErrProtocol, err)
		}
		r.remember(c.ATR(), l.room)
	}
}

func validCAN(can string) bool {
	for _, d := range can {
		if d < '0' || d > '9' {
			return false
		}
	}
	return len(can) == 6
}

func (r *Reader) remember(atr []byte, room int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.sizes[string(atr)]; known || len(r.sizes) < maxSizes {
		r.sizes[string(atr)] = room
	}
}

func (r *Reader) remembered(atr []byte) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sizes[string(atr)]
}

// attempt opens the chip and reads it once.
func (r *Reader) attempt(ctx context.Context, l *line, q Request) (*card.Chip, error) {
	chip := &card.Chip{Groups: make(map[int][]byte)}
	l.session, l.proof = nil, nil
	ways, err := r.enter(ctx, l, chip)
	if err != nil {
		return nil, err
	}
	if len(ways) == 0 {
		err = enterBAC(ctx, l, chip, q.Access)
	} else {
		err = enterPACE(ctx, l, chip, ways, q.Access)
	}
	if err != nil {
		return nil, err
	}
	return chip, r.readFiles(ctx, l, chip, q)
}

// enterPACE opens the chip and selects the application. A chip that advertises
// PACE in ways that are not spoken here stays closed.
func enterPACE(ctx context.Context, l *line, chip *card.Chip, ways []icao.PACEInfo, a Access) error {
	suite, err := icao.ChooseSuite(ways)
	if err != nil {
		return fmt.Errorf("%w: %w", card.ErrForeign, err)
	}
	if l.session, err = open(ctx, l, suite, a, chip); err != nil {
		return fmt.Errorf("open with pace: %w", err)
	}
	chip.Protocol = suite.Name
	if chip.MappingDone {
		if err := l.readCardSecurity(ctx, chip); err != nil {
			return err
		}
	}
	return selectApplication(ctx, l)
}

func enterBAC(ctx context.Context, l *line, chip *card.Chip, a Access) error {
	err := selectApplication(ctx, l) // what lacks it is no chip that a zone would open
	if err != nil {
		return err
	}
	if a.number != passwordMRZ {
		return fmt.Errorf("%w: no pace", card.ErrWantsMRZ)
	}
	if l.session, err = openBAC(ctx, l, a); err != nil {
		return fmt.Errorf("open with bac: %w", err)
	}
	chip.Protocol = protocolBAC
	return nil
}

// readCardSecurity reads the signed key of chip authentication mapping, which lies
// in the master file. Its absence is device/identity's to judge.
func (l *line) readCardSecurity(ctx context.Context, chip *card.Chip) error {
	file, err := l.readFile(ctx, sfiCardSecurity, 0x30)
	if isStatus(err) && l.session != nil {
		return nil
	}
	chip.CardSecurity = file
	return err
}

// enter reads what the chip says of itself before it is opened: how long an
// answer may be, and EF.CardAccess with the ways of PACE. There are none when the
// chip has no such file.
func (r *Reader) enter(ctx context.Context, l *line, chip *card.Chip) ([]icao.PACEInfo, error) {
	if l.room == 0 {
		if err := l.measure(ctx, r.remembered(l.card.ATR())); err != nil {
			return nil, err
		}
	}
	access, err := l.readFile(ctx, sfiCardAccess, 0)
	if isStatus(err) {
		// Some chips start in an application: go to the master file, once.
		if _, err = l.must(ctx, icao.Command{INS: icao.INSSelect, P2: 0x0C, Data: []byte{0x3F, 0x00}}); err == nil {
			access, err = l.readFile(ctx, sfiCardAccess, 0)
		}
	}
	if isStatus(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	infos, err := icao.ParseCardAccess(access)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", card.ErrProtocol, err)
	}
	chip.CardAccess = access
	return infos.PACE, nil
}

// Short file identifiers, ICAO 9303-10, 3.11. A group's is its number.
const (
	sfiCardInfo     = 0x01
	sfiCardAccess   = 0x1C
	sfiCardSecurity = 0x1D // in the master file
	sfiSOD          = 0x1D // in the application
	sfiCOM          = 0x1E
)

// aid is the eMRTD application, ICAO 9303-10, 3.6.1.
var aid = []byte{0xA0, 0x00, 0x00, 0x02, 0x47, 0x10, 0x01}

// groupsWanted are read when EF.SOD has them, in this order.
var groupsWanted = []int{11, 12, 14}

func selectApplication(ctx context.Context, l *line) error {
	// No Le: German-profile chips refuse one here.
	_, err := l.must(ctx, icao.Command{INS: icao.INSSelect, P1: 0x04, P2: 0x0C, Data: aid})
	switch {
	case isStatus(err):
		return fmt.Errorf("%w: select application: %w", card.ErrForeign, err)
	case err != nil:
		return fmt.Errorf("select application: %w", err)
	}
	return nil
}

// readFiles reads what was asked for, the name first, and has the chip prove its
// key in the cheapest way that it offers: by then the mapping has, else Chip
// Authentication, else Active Authentication.
func (r *Reader) readFiles(ctx context.Context, l *line, chip *card.Chip, q Request) error {
	var err error
	if chip.Groups[1], err = l.readFile(ctx, 1, icao.GroupTag(1)); err != nil {
		return err
	}
	q.Early(chip.Groups[1])
	if chip.SOD, err = l.readFile(ctx, sfiSOD, 0x77); err != nil {
		return err
	}
	sod, err := icao.ParseSOD(chip.SOD)
	if err != nil {
		return fmt.Errorf("%w: %w", card.ErrProtocol, err)
	}
	for _, group := range groupsWanted {
		if !sod.Has(group) {
			continue
		}
		if err := l.readGroup(ctx, chip, group); err != nil {
			return err
		}
	}
	if chip.Groups[14] != nil && !chip.MappingDone {
		if err := l.proveChip(ctx, chip); err != nil {
			return err
		}
	}
	if chip.COM, err = l.readFile(ctx, sfiCOM, 0x60); unproven(chip, err) {
		return nil
	} else if err != nil {
		return err
	}
	if sod.Has(15) && !chip.MappingDone && !chip.ChipDone {
		if err := l.readGroup(ctx, chip, 15); err != nil {
			return err
		}
		if err := l.authenticateActive(ctx, chip); err != nil {
			return err
		}
	}
	if q.Portrait && sod.Has(2) && l.session != nil { // without, it has proved nothing
		return l.readGroup(ctx, chip, 2)
	}
	return nil
}

// readGroup reads a group that the state says exists. One that the chip keeps to
// itself is left out: device/identity knows what its absence means.
func (l *line) readGroup(ctx context.Context, chip *card.Chip, group int) error {
	file, err := l.readFile(ctx, byte(group), icao.GroupTag(group))
	if isStatus(err) && l.session != nil {
		return nil
	}
	if err == nil {
		chip.Groups[group] = file
	}
	return err
}
