package vcard

import (
	"bytes"
	"crypto/rand"

	"kosk/drivers/card/icao"
)

// A chip is what a card forgets at reset.
type chip struct {
	application bool            // the eMRTD application is selected
	file        []byte          // the current elementary file
	folder      int             // the current dedicated file of the signature application
	record      int             // the current file when it is one of records
	verified    [3]bool         // by reference: the secrets that were given
	pace        pace            // PACE under way
	challenge   []byte          // of BAC, until it is used
	agreeing    bool            // Chip Authentication under way: the template is set
	session     *icao.Messaging // after PACE, BAC or Chip Authentication
	next        *icao.Messaging // takes over when the present command is answered
}

// pace is the state of PACE between two commands.
type pace struct {
	suite     icao.Suite
	password  []byte
	nonce     []byte
	generator icao.Generator
	mapping   *icao.EphemeralKey // of generic and chip authentication mapping
	key       *icao.EphemeralKey
	peer      []byte
	step      int // 0: not begun, then the number of commands since MSE
}

// aid is the eMRTD application, ICAO 9303-10, 3.6.1.
var aid = []byte{0xA0, 0x00, 0x00, 0x02, 0x47, 0x10, 0x01}

func refuse(sw uint16) icao.Response { return icao.Response{SW: sw} }

// process answers one command. The caller holds the card's lock.
func (c *Card) process(raw []byte) icao.Response {
	cmd, err := icao.ParseCommand(raw)
	if err != nil || c.profile.ShortOnly && cmd.Extended() || len(raw) > maxAPDU {
		return refuse(icao.SWWrongLength)
	}
	if cmd.CLA&0x0C != 0x0C {
		c.chip.session = nil // a plain command ends the session, ICAO 9303-11, 9.8.3
		return c.run(cmd)
	}
	if c.chip.session == nil {
		return refuse(icao.SWNoSecureObjects)
	}
	session := c.chip.session
	plain, err := session.OpenCommand(cmd)
	if err != nil {
		c.chip.session = nil
		return refuse(icao.SWBadSecureObject)
	}
	long := plain.Le > icao.MaxShort
	if c.profile.LosesProof && plain.INS == icao.INSInternalAuthenticate && long {
		c.chip.session = nil
		return refuse(icao.SWWrongLength)
	}
	tooMuch := plain.INS&^1 == icao.INSReadBinary && (c.profile.ReadsMost > 0 && plain.Le > c.profile.ReadsMost || c.profile.LosesSession && long)
	if tooMuch && c.profile.LosesSession {
		c.chip.session = nil
		return refuse(icao.SWWrongLength)
	}
	answer := refuse(icao.SWWrongLength)
	if !tooMuch {
		answer = c.run(plain)
	}
	// What a short command awaits is 256 bytes at most, with all that protects them.
	short := c.profile.ShortOnly || plain.INS&^1 == icao.INSReadBinary && !cmd.Extended()
	if short && len(answer.Data) > session.MaxPlain(icao.MaxShort) {
		answer = refuse(icao.SWWrongLength)
	}
	sealed, err := session.SealResponse(answer, cmd.INS&1 == 1)
	if err != nil {
		return refuse(icao.SWBadSecureObject)
	}
	if c.chip.next != nil {
		c.chip.session, c.chip.next = c.chip.next, nil
	}
	return sealed
}

func (c *Card) run(cmd icao.Command) icao.Response {
	if c.profile.Other {
		if cmd.INS == icao.INSSelect || cmd.INS == icao.INSReadBinary {
			return refuse(icao.SWNotFound)
		}
		return refuse(icao.SWUnknownINS)
	}
	if !c.chip.application && c.chip.session == nil && c.signing != nil {
		switch cmd.INS {
		case insRecord, insVerify, insChange, insUnblock, insSecure, icao.INSInternalAuthenticate, icao.INSGetChallenge:
			return c.sign(cmd)
		}
	}
	switch cmd.INS {
	case icao.INSSelect:
		return c.selectFile(cmd)
	case icao.INSReadBinary:
		return c.readBinary(cmd)
	case icao.INSReadBinaryOdd:
		return c.readBinaryOdd(cmd)
	case icao.INSGetChallenge:
		return c.getChallenge(cmd)
	case icao.INSExternalAuthenticate:
		return c.externalAuthenticate(cmd)
	case icao.INSManageEnvironment:
		return c.setTemplate(cmd)
	case icao.INSGeneralAuthenticate:
		return c.generalAuthenticate(cmd)
	case icao.INSInternalAuthenticate:
		return c.internalAuthenticate(cmd)
	}
	return refuse(icao.SWUnknownINS)
}

func (c *Card) selectFile(cmd icao.Command) icao.Response {
	if cmd.P1 == 0x01 || cmd.P1 == 0x02 {
		if answer, known := c.signingFile(cmd); known {
			return answer
		}
	}
	switch {
	case cmd.P1 == 0x04 && bytes.Equal(cmd.Data, aid):
		c.chip.application, c.chip.file, c.chip.record = true, nil, 0
	case cmd.P1 == 0x00 && (len(cmd.Data) == 0 || bytes.Equal(cmd.Data, []byte{0x3F, 0x00})):
		c.chip.application, c.chip.file, c.chip.folder, c.chip.record = false, nil, folderMaster, 0
	case cmd.P1 == 0x02 && len(cmd.Data) == 2:
		// 011C and 01xx carry the short identifier in their last byte, 2F01 too.
		return c.open(cmd.Data[1])
	default:
		return refuse(icao.SWNotFound)
	}
	return refuse(icao.SWDone)
}

func (c *Card) open(sfi byte) icao.Response {
	files := c.master
	if c.chip.application {
		files = c.files
	}
	if c.chip.session == nil && (c.chip.application || sfi == sfiCardSecurity) {
		return refuse(icao.SWSecurityStatus)
	}
	file, ok := files[sfi]
	if !ok {
		return refuse(icao.SWNotFound)
	}
	c.chip.file = file
	return refuse(icao.SWDone)
}

func (c *Card) readBinary(cmd icao.Command) icao.Response {
	offset := int(cmd.P1)<<8 | int(cmd.P2)
	if cmd.P1&0x80 != 0 {
		if opened := c.open(cmd.P1 & 0x1F); opened.SW != icao.SWDone {
			return opened
		}
		offset = int(cmd.P2)
	}
	if c.chip.file == nil {
		return refuse(icao.SWSecurityStatus)
	}
	if offset > len(c.chip.file) {
		return refuse(icao.SWWrongOffset)
	}
	rest := c.chip.file[offset:]
	if cmd.Le <= len(rest) {
		return icao.Response{Data: rest[:cmd.Le], SW: icao.SWDone}
	}
	if cmd.Le == icao.MaxShort || cmd.Le == icao.MaxExtended {
		return icao.Response{Data: rest, SW: icao.SWDone}
	}
	return icao.Response{Data: rest, SW: icao.SWEndOfFile}
}

// readBinaryOdd is READ BINARY of the current file with the offset in a data
// object, ISO 7816-4, 11.3.3.
func (c *Card) readBinaryOdd(cmd icao.Command) icao.Response {
	raw, err := icao.Unwrap(cmd.Data, 0x54)
	if err != nil || len(raw) == 0 || len(raw) > 3 || cmd.P1 != 0 || cmd.P2 != 0 {
		return refuse(icao.SWWrongData)
	}
	offset := 0
	for _, b := range raw {
		offset = offset<<8 | int(b)
	}
	if c.chip.file == nil {
		return refuse(icao.SWSecurityStatus)
	}
	if offset > len(c.chip.file) {
		return refuse(icao.SWWrongOffset)
	}
	const header = 4 // 53 and a length of up to three bytes
	n := min(len(c.chip.file)-offset, max(cmd.Le-header, 0))
	return icao.Response{Data: icao.MakeTLV(0x53, c.chip.file[offset:offset+n]), SW: icao.SWDone}
}

// setTemplate is MSE:Set AT for PACE, ICAO 9303-11, 4.4.4.1, and for Chip
// Authentication, 6.2.4.
func (c *Card) setTemplate(cmd icao.Command) icao.Response {
	objects, err := icao.Children(cmd.Data)
	if err != nil {
		return refuse(icao.SWWrongData)
	}
	switch [2]byte{cmd.P1, cmd.P2} {
	case [2]byte{0xC1, 0xA4}:
		return c.setPACE(objects)
	case [2]byte{0x41, 0xA4}:
		return c.setChip(objects)
	case [2]byte{0x41, 0xA6}:
		return c.setKey(objects)
	}
	return refuse(icao.SWWrongData)
}

func (c *Card) setPACE(objects []icao.TLV) icao.Response {
	if c.profile.BAC {
		return refuse(icao.SWUnknownINS)
	}
	var p pace
	for _, o := range objects {
		switch {
		case o.Tag == 0x80:
			for _, way := range c.profile.ways() {
				if suite, err := icao.ChooseSuite([]icao.PACEInfo{way}); err == nil && bytes.Equal(o.Value, way.Protocol) {
					p.suite, p.step = suite, 1
				}
			}
		case o.Tag == 0x83 && bytes.Equal(o.Value, []byte{1}): // the password is the zone
			p.password = c.secret
		case o.Tag == 0x83 && bytes.Equal(o.Value, []byte{2}): // the password is the CAN
			p.password = []byte(c.can)
		case o.Tag == 0x84 && bytes.Equal(o.Value, []byte{byte(c.profile.Curve)}):
		default:
			return refuse(icao.SWWrongData)
		}
	}
	if p.step == 0 || p.password == nil {
		return refuse(icao.SWWrongData)
	}
	c.chip.pace, c.chip.session = p, nil
	return refuse(icao.SWDone)
}

// generalAuthenticate is the four steps of PACE, ICAO 9303-11, 4.4.4.2.
func (c *Card) generalAuthenticate(cmd icao.Command) icao.Response {
	if c.chip.agreeing {
		return c.agreeChip(cmd)
	}
	p := c.chip.pace
	c.chip.pace = pace{} // any error below starts over
	body, err := icao.Unwrap(cmd.Data, 0x7C)
	if err != nil || p.step == 0 {
		return refuse(icao.SWWrongData)
	}
	steps := [...]struct {
		tag  uint32
		take func(p *pace, v []byte) ([]byte, error)
	}{{0, (*pace).encryptedNonce}, {0x81, (*pace).mapNonce}, {0x83, (*pace).agree}}
	if p.step > len(steps) {
		return c.finish(&p, body)
	}
	step := steps[p.step-1]
	var value []byte
	if step.tag != 0 {
		if value, err = icao.Unwrap(body, step.tag); err != nil {
			return refuse(icao.SWWrongData)
		}
	}
	answer, err := step.take(&p, value)
	if err != nil {
		return refuse(icao.SWWrongData)
	}
	tag := step.tag + 1
	if step.tag == 0 {
		tag = 0x80
	}
	p.step++
	c.chip.pace = p
	return icao.Response{Data: icao.MakeTLV(0x7C, icao.MakeTLV(tag, answer)), SW: icao.SWDone}
}

func (p *pace) encryptedNonce([]byte) ([]byte, error) {
	p.nonce = make([]byte, 16)
	if p.suite.Info.Mapping == icao.MappingIntegrated {
		p.nonce = make([]byte, p.suite.NonceSize())
	}
	if _, err := rand.Read(p.nonce); err != nil {
		return nil, err
	}
	return p.suite.EncryptNonce(p.password, p.nonce)
}

func (p *pace) mapNonce(peer []byte) ([]byte, error) {
	if p.suite.Info.Mapping == icao.MappingIntegrated {
		var err error
		p.generator, err = p.suite.MapIntegrated(p.nonce, peer)
		return nil, err
	}
	key, err := p.suite.NewKey(rand.Reader, icao.Generator{})
	if err != nil {
		return nil, err
	}
	p.mapping = key
	p.generator, err = p.suite.MapGeneric(p.nonce, key, peer)
	return key.Public, err
}

func (p *pace) agree(peer []byte) ([]byte, error) {
	key, err := p.suite.NewKey(rand.Reader, p.generator)
	if err != nil {
		return nil, err
	}
	p.key, p.peer = key, peer
	return key.Public, nil
}

// finish compares the terminal's token, answers with the chip's, and starts the
// session.
func (c *Card) finish(p *pace, body []byte) icao.Response {
	token, err := icao.Unwrap(body, 0x85)
	if err != nil {
		return refuse(icao.SWWrongData)
	}
	enc, mac, err := p.suite.SessionKeys(p.key, p.peer)
	if err != nil {
		return refuse(icao.SWWrongData)
	}
	want, err := p.suite.Token(mac, p.key.Public)
	if err != nil || !icao.SameToken(token, want) {
		return refuse(0x6300)
	}
	ours, err := p.suite.Token(mac, p.peer)
	if err != nil {
		return refuse(icao.SWWrongData)
	}
	objects := icao.MakeTLV(0x86, ours)
	if p.suite.Info.Mapping == icao.MappingChip && c.static != nil {
		data, err := p.suite.SealChipData(enc, c.static.MappingData(p.mapping))
		if err != nil {
			return refuse(icao.SWWrongData)
		}
		objects = icao.AppendTLV(objects, 0x8A, data)
	}
	if c.chip.session, err = icao.NewMessaging(p.suite.Info.Cipher, enc, mac, nil); err != nil {
		return refuse(icao.SWWrongData)
	}
	return icao.Response{Data: icao.MakeTLV(0x7C, objects), SW: icao.SWDone}
}

// internalAuthenticate proves the key of group 15 over the challenge, ICAO
// 9303-11, 6.1.
func (c *Card) internalAuthenticate(cmd icao.Command) icao.Response {
	switch {
	case c.chip.session == nil || !c.chip.application:
		return refuse(icao.SWSecurityStatus)
	case c.key == nil || c.profile.NoActive:
		return refuse(icao.SWUnknownINS)
	case len(cmd.Data) != 8, c.profile.ProvesLong && cmd.Le <= icao.MaxShort, c.profile.ProvesShort && cmd.Le > icao.MaxShort:
		return refuse(icao.SWWrongLength)
	}
	out, err := c.key.Prove(cmd.Data)
	if err != nil {
		return refuse(icao.SWWrongData)
	}
	return icao.Response{Data: out, SW: icao.SWDone}
}
