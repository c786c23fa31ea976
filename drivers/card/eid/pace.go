package eid

import (
	"context"
	"fmt"
	"io"

	"kosk/drivers/card"
	"kosk/drivers/card/icao"
)

// Data objects of PACE, ICAO 9303-11, 4.4.4.
const (
	doDynamic   = 0x7C
	doProtocol  = 0x80 // in MSE:Set AT
	doPassword  = 0x83 // in MSE:Set AT
	doParameter = 0x84 // in MSE:Set AT
	doNonce     = 0x80
	doMapping   = 0x81
	doEphemeral = 0x83
	doToken     = 0x85
	doChipData  = 0x8A
	claChained  = 0x10 // more commands of the same exchange follow
	claLast     = 0x00
	swWarning   = 0x63 // high byte: refused, with or without a counter
)

// open runs PACE and returns the session. With chip authentication mapping it
// records what the chip proves its key with.
func open(ctx context.Context, l *line, s icao.Suite, a Access, chip *card.Chip) (*icao.Messaging, error) {
	template := icao.MakeTLV(doProtocol, s.Info.Protocol)
	template = icao.AppendTLV(template, doPassword, []byte{a.number})
	template = icao.AppendTLV(template, doParameter, []byte{byte(s.Info.ParameterID)})
	// No Le: German-profile chips refuse one here.
	set := icao.Command{INS: icao.INSManageEnvironment, P1: 0xC1, P2: 0xA4, Data: template}
	if _, err := l.must(ctx, set); err != nil {
		return nil, fmt.Errorf("set template: %w", err)
	}
	generator, mapped, err := mapNonce(ctx, l, s, a)
	if err != nil {
		return nil, err
	}
	key, err := s.NewKey(l.random, generator)
	if err != nil {
		return nil, err
	}
	peer, err := step(ctx, l, doEphemeral, key.Public)
	if err != nil {
		return nil, fmt.Errorf("agree on key: %w", err)
	}
	enc, mac, err := s.SessionKeys(key, peer)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", card.ErrProtocol, err)
	}
	answer, err := tokens(ctx, l, s, a, mac, key.Public, peer)
	if err != nil {
		return nil, err
	}
	if s.Info.Mapping == icao.MappingChip {
		chip.MappingDone, chip.MappingKey = true, mapped
		if sealed, err := dynamic(answer, doChipData); err == nil {
			// What can't be opened proves nothing: device/identity says so.
			chip.MappingData, _ = s.OpenChipData(enc, sealed)
		}
	}
	return icao.NewMessaging(s.Info.Cipher, enc, mac, nil)
}

// mapNonce gets the nonce, which only the right password decrypts, and makes the
// generator of it. It returns the chip's mapping key, too, when there is one.
func mapNonce(ctx context.Context, l *line, s icao.Suite, a Access) (g icao.Generator, mapped []byte, err error) {
	encrypted, err := step(ctx, l, doNonce, nil)
	if err != nil {
		return g, nil, fmt.Errorf("get nonce: %w", err)
	}
	nonce, err := s.DecryptNonce(a.secret, encrypted)
	if err != nil {
		return g, nil, fmt.Errorf("%w: %w", card.ErrProtocol, err)
	}
	if s.Info.Mapping == icao.MappingIntegrated {
		g, err = integrate(ctx, l, s, nonce)
		return g, nil, err
	}
	key, err := s.NewKey(l.random, g)
	if err != nil {
		return g, nil, err
	}
	if mapped, err = step(ctx, l, doMapping, key.Public); err != nil {
		return g, nil, fmt.Errorf("map nonce: %w", err)
	}
	if g, err = s.MapGeneric(nonce, key, mapped); err != nil {
		return g, nil, fmt.Errorf("%w: %w", card.ErrProtocol, err)
	}
	return g, mapped, nil
}

// integrate is the mapping that sends the chip a nonce of ours; the chip answers
// with an empty object, or with nothing.
func integrate(ctx context.Context, l *line, s icao.Suite, nonce []byte) (icao.Generator, error) {
	ours := make([]byte, s.TerminalNonceSize())
	if _, err := io.ReadFull(l.random, ours); err != nil {
		return icao.Generator{}, err
	}
	answer, err := l.must(ctx, authenticate(claChained, icao.MakeTLV(doMapping, ours)))
	if err == nil && len(answer) > 0 {
		_, err = dynamic(answer, doMapping+1)
	}
	if err != nil {
		return icao.Generator{}, fmt.Errorf("map nonce: %w", err)
	}
	g, err := s.MapIntegrated(nonce, ours)
	if err != nil {
		return g, fmt.Errorf("%w: %w", card.ErrProtocol, err)
	}
	return g, nil
}

// tokens proves to each other that the keys are the same, and returns the chip's
// whole answer. They are not when the password was wrong: every way that this step
// can fail means that.
func tokens(ctx context.Context, l *line, s icao.Suite, a Access, mac, ours, theirs []byte) ([]byte, error) {
	token, err := s.Token(mac, theirs)
	if err != nil {
		return nil, err
	}
	resp, err := l.send(ctx, authenticate(claLast, icao.MakeTLV(doToken, token)))
	if err != nil {
		return nil, fmt.Errorf("compare tokens: %w", err)
	}
	switch {
	case resp.SW == icao.SWDone:
	case refusesPassword(resp.SW):
		return nil, fmt.Errorf("%w: %w", a.wrong, &card.StatusError{SW: resp.SW})
	default:
		return nil, fmt.Errorf("compare tokens: %w", &card.StatusError{SW: resp.SW})
	}
	got, err := dynamic(resp.Data, doToken+1)
	if err != nil {
		return nil, err
	}
	want, err := s.Token(mac, ours)
	if err != nil {
		return nil, err
	}
	if !icao.SameToken(got, want) {
		return nil, fmt.Errorf("%w: the chip's token does not fit", a.wrong)
	}
	return resp.Data, nil
}

// step sends one of the chained commands of GENERAL AUTHENTICATE and returns the
// value of the answer. The nonce is asked for with an empty object.
func step(ctx context.Context, l *line, tag uint32, value []byte) ([]byte, error) {
	var object []byte
	answer := uint32(doNonce)
	if value != nil {
		object, answer = icao.MakeTLV(tag, value), tag+1
	}
	data, err := l.must(ctx, authenticate(claChained, object))
	if err != nil {
		return nil, err
	}
	return dynamic(data, answer)
}

func authenticate(cla byte, object []byte) icao.Command {
	return icao.Command{CLA: cla, INS: icao.INSGeneralAuthenticate, Data: icao.MakeTLV(doDynamic, object), Le: icao.MaxShort}
}

// dynamic takes one object out of the dynamic authentication data. Others may
// stand beside it, such as certificate references.
func dynamic(data []byte, tag uint32) ([]byte, error) {
	body, err := icao.Unwrap(data, doDynamic)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", card.ErrProtocol, err)
	}
	objects, err := icao.Children(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", card.ErrProtocol, err)
	}
	for _, o := range objects {
		if o.Tag == tag {
			return o.Value, nil
		}
	}
	return nil, fmt.Errorf("%w: no object %X", card.ErrProtocol, tag)
}
