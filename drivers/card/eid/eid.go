// Package eid reads an ICAO 9303 chip over any card.Card: it opens the chip with
// PACE and the card access number, then reads what the state signed and asks the
// chip to prove its key.
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

// ReadHolder implements card.HolderReader.
//
// Errors: card.ErrWrongCAN, before anything is sent when can is not six digits;
// card.ErrForeign when the chip has no PACE or no eMRTD application;
// card.ErrRemoved; card.ErrProtocol; a *card.StatusError in the chain when the
// chip refused a command; ctx's own.
func (r *Reader) ReadHolder(ctx context.Context, c card.Card, can string, early func(dg1 []byte)) (*card.Chip, error) {
	chip, err := r.read(ctx, c, can, early)
	if err != nil {
		r.log.Warn("chip not read", "error", err)
		return nil, fmt.Errorf("read holder: %w", err)
	}
	r.log.Info("chip read", "protocol", chip.Protocol, "apdus", chip.APDUs, "bytes", chip.Bytes, "took", chip.Took)
	return chip, nil
}

func (r *Reader) read(ctx context.Context, c card.Card, can string, early func([]byte)) (*card.Chip, error) {
	if !validCAN(can) {
		return nil, fmt.Errorf("%w: not six digits", card.ErrWrongCAN)
	}
	l := &line{card: c, random: r.random, begun: time.Now()}
	said := false
	once := func(dg1 []byte) {
		if early != nil && !said {
			said = true
			early(dg1)
		}
	}
	// A chip that lost its session over a read that was too long is opened once
	// more, with the smaller size. There are as many sizes as tries.
	for {
		chip, err := r.attempt(ctx, l, can, once)
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
func (r *Reader) attempt(ctx context.Context, l *line, can string, early func([]byte)) (*card.Chip, error) {
	chip := &card.Chip{Groups: make(map[int][]byte)}
	l.session = nil
	if err := r.enter(ctx, l, chip); err != nil {
		return nil, err
	}
	infos, err := icao.ParseCardAccess(chip.CardAccess)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", card.ErrProtocol, err)
	}
	suite, err := icao.ChooseSuite(infos.PACE)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", card.ErrForeign, err)
	}
	if l.session, err = open(ctx, l, suite, can); err != nil {
		return nil, fmt.Errorf("open with pace: %w", err)
	}
	chip.Protocol = suite.Name
	return chip, r.readFiles(ctx, l, chip, early)
}

// enter reads what the chip says of itself before it is opened: how long an
// answer may be, and EF.CardAccess.
func (r *Reader) enter(ctx context.Context, l *line, chip *card.Chip) error {
	if l.room == 0 {
		if err := l.measure(ctx, r.remembered(l.card.ATR())); err != nil {
			return err
		}
	}
	access, err := l.readFile(ctx, sfiCardAccess, 0)
	if status := new(card.StatusError); errors.As(err, &status) {
		// Some chips start in an application: go to the master file, once.
		if _, err = l.must(ctx, icao.Command{INS: icao.INSSelect, P2: 0x0C, Data: []byte{0x3F, 0x00}}); err == nil {
			access, err = l.readFile(ctx, sfiCardAccess, 0)
		}
	}
	if status := new(card.StatusError); errors.As(err, &status) {
		return fmt.Errorf("%w: no ef.cardaccess: %w", card.ErrForeign, err)
	}
	chip.CardAccess = access
	return err
}

// Short file identifiers, ICAO 9303-10, 3.11. A group's is its number.
const (
	sfiCardInfo   = 0x01
	sfiCardAccess = 0x1C
	sfiSOD        = 0x1D
	sfiCOM        = 0x1E
)

// aid is the eMRTD application, ICAO 9303-10, 3.6.1.
var aid = []byte{0xA0, 0x00, 0x00, 0x02, 0x47, 0x10, 0x01}

// groupsWanted are read when EF.SOD has them, in this order. The portrait, group
// 2, never is: no screen shows it.
var groupsWanted = []int{11, 14, 15}

func (r *Reader) readFiles(ctx context.Context, l *line, chip *card.Chip, early func([]byte)) error {
	// No Le: German-profile chips refuse one here.
	if _, err := l.must(ctx, icao.Command{INS: icao.INSSelect, P1: 0x04, P2: 0x0C, Data: aid}); err != nil {
		if status := new(card.StatusError); errors.As(err, &status) {
			return fmt.Errorf("%w: select application: %w", card.ErrForeign, err)
		}
		return fmt.Errorf("select application: %w", err)
	}
	var err error
	if chip.Groups[1], err = l.readFile(ctx, 1, icao.GroupTag(1)); err != nil {
		return err
	}
	early(chip.Groups[1])
	if chip.SOD, err = l.readFile(ctx, sfiSOD, 0x77); err != nil {
		return err
	}
	if chip.COM, err = l.readFile(ctx, sfiCOM, 0x60); err != nil {
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
	if chip.Groups[15] == nil {
		return nil
	}
	return l.authenticate(ctx, chip)
}

// readGroup reads a group that the state says exists. One that the chip keeps to
// itself is left out: device/identity knows what its absence means.
func (l *line) readGroup(ctx context.Context, chip *card.Chip, group int) error {
	file, err := l.readFile(ctx, byte(group), icao.GroupTag(group))
	if status := new(card.StatusError); errors.As(err, &status) && l.session != nil {
		return nil
	}
	if err == nil {
		chip.Groups[group] = file
	}
	return err
}
