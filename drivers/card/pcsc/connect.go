package pcsc

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ebfe/scard"

	"kosk/drivers/card"
)

// Connect implements card.Reader: exclusive, so that no other program talks in
// between. A card that is only just there is waited for until ctx ends when the
// daemon itself has it in hand.
//
// Errors: card.ErrNoReader, card.ErrNoCard, card.ErrRemoved, card.ErrMute, ctx's.
func (r *Reader) Connect(ctx context.Context) (card.Card, error) {
	type result struct {
		card *Card
		err  error
	}
	done := make(chan result, 1)
	go func() {
		c, err := r.connect(ctx)
		done <- result{c, err}
	}()
	select {
	case res := <-done:
		if res.err != nil {
			return nil, fmt.Errorf("connect card: %w", res.err)
		}
		return res.card, nil
	case <-ctx.Done():
		// The daemon cannot be interrupted here; what it hands out is given back.
		go func() {
			if res := <-done; res.card != nil {
				res.card.Close()
			}
		}()
		return nil, fmt.Errorf("connect card: %w", ctx.Err())
	}
}

// retry is how long to wait while the daemon has the card in its own hands.
const retry = 50 * time.Millisecond

func (r *Reader) connect(ctx context.Context) (*Card, error) {
	for {
		c, err := r.connectOnce()
		switch {
		case errors.Is(err, scard.ErrUnpoweredCard) && r.blind(): // so the daemon says it
			return nil, fmt.Errorf("%w: %w", card.ErrNoReader, err)
		case !errors.Is(err, scard.ErrSharingViolation):
			return c, translate(err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(retry):
		}
	}
}

// blind reports whether a Watch has seen the reader go.
func (r *Reader) blind() bool {
	s := r.sight()
	return s != nil && errors.Is(s.err, card.ErrNoReader)
}

// connectOnce has a service context of its own for every card, since calls of one
// context wait for each other.
func (r *Reader) connectOnce() (*Card, error) {
	service, err := scard.EstablishContext()
	if err != nil {
		return nil, err
	}
	c, err := r.connectOn(service)
	if err != nil {
		_ = service.Release() // the first error is the one to tell
		return nil, err
	}
	return c, nil
}

func (r *Reader) connectOn(service *scard.Context) (*Card, error) {
	names, err := r.find(service)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, scard.ErrNoReadersAvailable
	}
	handle, err := service.Connect(names[0], scard.ShareExclusive, scard.ProtocolAny)
	if err != nil {
		return nil, err
	}
	status, err := handle.Status()
	if err != nil {
		_ = handle.Disconnect(scard.ResetCard) // the first error is the one to tell
		return nil, err
	}
	return &Card{service: service, handle: handle, atr: status.Atr, most: maxTransceive(handle)}, nil
}

// A Card is one connection. Its methods may be called by one goroutine at a time.
type Card struct {
	service *scard.Context
	handle  *scard.Card
	atr     []byte
	most    int

	mu     sync.Mutex
	busy   bool // guarded by mu; a command is under way
	closed bool // guarded by mu; whoever ends last lets go
}

var _ card.Sizer = (*Card)(nil)

// ATR implements card.Card.
func (c *Card) ATR() []byte { return c.atr }

// MaxTransceive implements card.Sizer.
func (c *Card) MaxTransceive() int { return c.most }

// errClosed says that the connection is over.
var errClosed = errors.New("connection closed")

// Transmit implements card.Card. When ctx ends first, the connection is over:
// the daemon cannot be interrupted, so the answer is awaited in the background
// and thrown away, and the card is let go then.
func (c *Card) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(command) < 4 {
		return nil, fmt.Errorf("%w: command of %d bytes", card.ErrProtocol, len(command))
	}
	if !c.begin() {
		return nil, errClosed
	}
	type result struct {
		response []byte
		err      error
	}
	done := make(chan result, 1)
	go func() {
		response, err := c.handle.Transmit(command)
		c.end()
		done <- result{response, err}
	}()
	select {
	case res := <-done:
		return c.checked(res.response, res.err)
	case <-ctx.Done():
		c.Close()
		return nil, ctx.Err()
	}
}

func (c *Card) checked(response []byte, err error) ([]byte, error) {
	if err != nil {
		// A card that left while it was spoken to is not just absent.
		if err = translate(err); errors.Is(err, card.ErrNoCard) {
			err = fmt.Errorf("%w: %w", card.ErrRemoved, err)
		}
		return nil, err
	}
	if len(response) < 2 {
		// The virtual reader gives an empty answer for a card that was pulled out.
		return nil, fmt.Errorf("%w: answer of %d bytes", card.ErrRemoved, len(response))
	}
	return response, nil
}

func (c *Card) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.busy {
		return false
	}
	c.busy = true
	return true
}

func (c *Card) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = false
	if c.closed {
		c.release()
	}
}

// Close implements card.Card: it resets the card, so that the next one to speak
// to it finds no open session.
func (c *Card) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	if !c.busy {
		c.release()
	}
	return nil
}

// release lets the card go. A card, reader or daemon that is gone has let go of
// itself, so errors mean nothing. The caller holds mu.
func (c *Card) release() {
	_ = c.handle.Disconnect(scard.ResetCard)
	_ = c.service.Release()
}

// Ways to ask a reader for its limits, PC/SC part 10, 2.6.14.
const (
	getFeatures       = 3400
	featureProperties = 0x12 // FEATURE_GET_TLV_PROPERTIES
	propertyMaxAPDU   = 0x0A // dwMaxAPDUDataSize; 0 is short APDUs only
	shortAPDU         = 261
)

// A teller is a reader's driver, which can be asked about it.
type teller interface {
	GetAttrib(scard.Attrib) ([]byte, error)
	Control(ioctl uint32, in []byte) ([]byte, error)
}

// maxTransceive asks the reader how long an APDU it carries; 0 when it doesn't say.
// Its message buffer is the second best word: most readers have one of 261 bytes,
// and those that pass blocks, not APDUs, carry long ones in many of them.
func maxTransceive(reader teller) int {
	if n := maxProperty(reader); n > 0 {
		return n
	}
	if b, err := reader.GetAttrib(scard.AttrMaxinput); err == nil && len(b) == 4 {
		return max(int(binary.NativeEndian.Uint32(b)), 0)
	}
	return 0
}

// maxProperty is what the reader's properties say, 0 when it has none.
func maxProperty(reader teller) int {
	features, err := reader.Control(scard.CtlCode(getFeatures), nil)
	if err != nil {
		return 0
	}
	for ; len(features) >= 6; features = features[6:] {
		if features[0] != featureProperties || features[1] != 4 {
			continue
		}
		properties, err := reader.Control(binary.BigEndian.Uint32(features[2:]), nil)
		if err != nil {
			return 0
		}
		return maxAPDU(properties)
	}
	return 0
}

// maxAPDU finds the property among tag, length, value in little endian.
func maxAPDU(properties []byte) int {
	for len(properties) >= 2 {
		tag, n := properties[0], int(properties[1])
		if len(properties) < 2+n {
			return 0
		}
		value := properties[2 : 2+n]
		if tag == propertyMaxAPDU && n == 4 {
			return max(int(binary.LittleEndian.Uint32(value)), shortAPDU)
		}
		properties = properties[2+n:]
	}
	return 0
}
