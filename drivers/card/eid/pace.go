package eid

import (
	"context"
	"fmt"

	"kosk/drivers/card"
	"kosk/drivers/card/icao"
)

// Data objects of PACE, ICAO 9303-11, 4.4.4.
const (
	doDynamic      = 0x7C
	doProtocol     = 0x80 // in MSE:Set AT
	doPassword     = 0x83 // in MSE:Set AT
	doParameter    = 0x84 // in MSE:Set AT
	doNonce        = 0x80
	doMapping      = 0x81
	doEphemeral    = 0x83
	doToken        = 0x85
	passwordCAN    = 2
	claChained     = 0x10 // more commands of the same exchange follow
	claLast        = 0x00
	swWarning      = 0x63 // high byte: refused, with or without a counter
	swRefusedToken = icao.SWSecurityStatus
)

// open runs PACE with the card access number and returns the session.
func open(ctx context.Context, l *line, s icao.Suite, can string) (*icao.Messaging, error) {
	template := icao.MakeTLV(doProtocol, s.Info.Protocol)
	template = icao.AppendTLV(template, doPassword, []byte{passwordCAN})
	template = icao.AppendTLV(template, doParameter, []byte{byte(s.Info.ParameterID)})
	// No Le: German-profile chips refuse one here.
	set := icao.Command{INS: icao.INSManageEnvironment, P1: 0xC1, P2: 0xA4, Data: template}
	if _, err := l.must(ctx, set); err != nil {
		return nil, fmt.Errorf("set template: %w", err)
	}
	generator, err := mapNonce(ctx, l, s, can)
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
	if err := tokens(ctx, l, s, mac, key.Public, peer); err != nil {
		return nil, err
	}
	return icao.NewMessaging(s.Info.Cipher, enc, mac, nil)
}

// mapNonce gets the nonce, which only the right number decrypts, and makes the
// generator of it.
func mapNonce(ctx context.Context, l *line, s icao.Suite, can string) (icao.Generator, error) {
	none := icao.Generator{}
	encrypted, err := step(ctx, l, doNonce, nil)
	if err != nil {
		return none, fmt.Errorf("get nonce: %w", err)
	}
	nonce, err := s.DecryptNonce([]byte(can), encrypted)
	if err != nil {
		return none, fmt.Errorf("%w: %w", card.ErrProtocol, err)
	}
	key, err := s.NewKey(l.random, none)
	if err != nil {
		return none, err
	}
	peer, err := step(ctx, l, doMapping, key.Public)
	if err != nil {
		return none, fmt.Errorf("map nonce: %w", err)
	}
	generator, err := s.MapGeneric(nonce, key, peer)
	if err != nil {
		return none, fmt.Errorf("%w: %w", card.ErrProtocol, err)
	}
	return generator, nil
}

// tokens proves to each other that the keys are the same. They are not when the
// number was wrong: every way that this step can fail means that.
func tokens(ctx context.Context, l *line, s icao.Suite, mac, ours, theirs []byte) error {
	token, err := s.Token(mac, theirs)
	if err != nil {
		return err
	}
	resp, err := l.send(ctx, authenticate(claLast, icao.MakeTLV(doToken, token)))
	if err != nil {
		return fmt.Errorf("compare tokens: %w", err)
	}
	switch {
	case resp.SW == icao.SWDone:
	case resp.SW>>8 == swWarning, resp.SW == swRefusedToken, resp.SW == icao.SWBadSecureObject, resp.SW == icao.SWWrongData:
		return fmt.Errorf("%w: %w", card.ErrWrongCAN, &card.StatusError{SW: resp.SW})
	default:
		return fmt.Errorf("compare tokens: %w", &card.StatusError{SW: resp.SW})
	}
	got, err := dynamic(resp.Data, doToken+1)
	if err != nil {
		return err
	}
	want, err := s.Token(mac, ours)
	if err != nil {
		return err
	}
	if !icao.SameToken(got, want) {
		return fmt.Errorf("%w: the chip's token does not fit", card.ErrWrongCAN)
	}
	return nil
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
