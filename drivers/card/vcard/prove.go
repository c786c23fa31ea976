package vcard

import (
	"bytes"
	"crypto/rand"

	"kosk/drivers/card/icao"
)

// getChallenge is the first command of Basic Access Control, ICAO 9303-11, 4.3.4.1.
func (c *Card) getChallenge(cmd icao.Command) icao.Response {
	switch {
	case !c.profile.BAC:
		return refuse(icao.SWUnknownINS)
	case !c.chip.application:
		return refuse(icao.SWSecurityStatus)
	case cmd.Le != icao.BACNonce:
		return refuse(icao.SWWrongLength)
	}
	c.chip.challenge = make([]byte, icao.BACNonce)
	if _, err := rand.Read(c.chip.challenge); err != nil {
		return refuse(icao.SWWrongData)
	}
	return icao.Response{Data: c.chip.challenge, SW: icao.SWDone}
}

// externalAuthenticate is the second command of Basic Access Control, which
// answers for the chip, too, ICAO 9303-11, 4.3.4.2.
func (c *Card) externalAuthenticate(cmd icao.Command) icao.Response {
	challenge := c.chip.challenge
	c.chip.challenge = nil
	if challenge == nil || len(cmd.Data) != icao.BACMessage {
		return refuse(icao.SWSecurityStatus)
	}
	bac, err := icao.NewBAC(c.secret)
	if err != nil {
		return refuse(icao.SWWrongData)
	}
	nonce, theirs, err := bac.OpenFirst(cmd.Data, challenge)
	if err != nil {
		return refuse(0x6300)
	}
	ours := make([]byte, icao.BACKey)
	if _, err := rand.Read(ours); err != nil {
		return refuse(icao.SWWrongData)
	}
	answer, err := bac.Seal(challenge, nonce, ours)
	if err != nil {
		return refuse(icao.SWWrongData)
	}
	if c.chip.session, err = icao.BACSession(theirs, ours, nonce, challenge); err != nil {
		return refuse(icao.SWWrongData)
	}
	return icao.Response{Data: answer, SW: icao.SWDone}
}

// canAgree says whether Chip Authentication can be begun.
func (c *Card) canAgree() bool {
	return c.profile.ChipAuth && c.static != nil && c.chip.session != nil && c.chip.application
}

// setChip is MSE:Set AT of Chip Authentication with AES, ICAO 9303-11, 6.2.4.2.
func (c *Card) setChip(objects []icao.TLV) icao.Response {
	info, err := icao.ParseDG14(c.files[14])
	if err != nil || !c.canAgree() || len(objects) != 1 || objects[0].Tag != 0x80 || c.profile.Cipher == icao.TripleDES ||
		!bytes.Equal(objects[0].Value, info.ChipInfos[0].Protocol) {
		return refuse(icao.SWWrongData)
	}
	c.chip.agreeing = true
	return refuse(icao.SWDone)
}

// agreeChip is GENERAL AUTHENTICATE of Chip Authentication.
func (c *Card) agreeChip(cmd icao.Command) icao.Response {
	c.chip.agreeing = false
	body, err := icao.Unwrap(cmd.Data, 0x7C)
	if err != nil {
		return refuse(icao.SWWrongData)
	}
	peer, err := icao.Unwrap(body, 0x80)
	if err != nil || !c.canAgree() {
		return refuse(icao.SWWrongData)
	}
	if c.chip.next, err = c.static.Session(c.profile.Cipher, peer); err != nil {
		return refuse(icao.SWWrongData)
	}
	return icao.Response{Data: icao.MakeTLV(0x7C), SW: icao.SWDone}
}

// setKey is MSE:Set KAT, all of Chip Authentication with 3DES, ICAO 9303-11,
// 6.2.4.1.
func (c *Card) setKey(objects []icao.TLV) icao.Response {
	if !c.canAgree() || len(objects) != 1 || objects[0].Tag != 0x91 || c.profile.Cipher != icao.TripleDES {
		return refuse(icao.SWWrongData)
	}
	var err error
	if c.chip.next, err = c.static.Session(icao.TripleDES, objects[0].Value); err != nil {
		return refuse(icao.SWWrongData)
	}
	return refuse(icao.SWDone)
}
