package vcard

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"strconv"

	"kosk/drivers/card/icao"
)

// The signature application is that of EstEID 3.5 with keys on P-384, whose
// Azerbaijani sister OpenSC knows as AzeDIT 3.5: files by identifier, PIN counters
// in records, one command to sign for each key.

// signingATR is the cold answer to reset of AzeDIT 3.5: T=0 and T=1, and FE "AZE
// DIT" in the historical bytes.
var signingATR = []byte{
	0x3B, 0xF8, 0x18, 0x00, 0x00, 0x80, 0x31, 0xFE, 0x45, 0xFE, 'A', 'Z', 'E', ' ', 'D', 'I', 'T', 0x33,
}

// Secrets of a card whose Person names none.
const (
	DefaultPIN1 = "1234"
	DefaultPIN2 = "12345"
	DefaultPUK  = "12345678"
)

// pinTries is how often each secret may be wrong before it blocks.
const pinTries = 3

// A secret is a PIN, or the PUK.
type secret struct {
	value    string
	min, max int
	left     int
}

// References of the secrets in P2 of VERIFY; they also index Card.secrets.
const (
	refPUK  = 0
	refPIN1 = 1
	refPIN2 = 2
)

// Files of the signature application, and where the chip stands after reset.
const (
	folderMaster = 0
	fidCounters  = 0x0016 // EF_PwdC in the master file: a record for PIN1, PIN2, PUK
	fidHolder    = 0xEEEE // the dedicated file with all below
	fidPerson    = 0x5044 // a record for every fact on the card
	fidAuth      = 0xAACE // certificate of the authentication key
	fidSign      = 0xDDCE // certificate of the signature key
)

// Instructions of the signature application, ISO 7816-4, 11.5, and 7816-8, 5.
const (
	insVerify  = 0x20
	insChange  = 0x24 // CHANGE REFERENCE DATA
	insSecure  = 0x2A // PERFORM SECURITY OPERATION
	insUnblock = 0x2C // RESET RETRY COUNTER
	insRecord  = 0xB2 // READ RECORD(S)
)

// Status words of the signature application.
const (
	swTriesLeft  = 0x63C0 // and how many
	swBlocked    = 0x6983
	swConditions = 0x6985
	swNoRecord   = 0x6A83
	swBadP1P2    = 0x6A86
	swNoSecret   = 0x6A88
)

// signing is the signature application of one card; it outlives reset.
type signing struct {
	secrets [3]secret // by reference
	keys    [2]*ecdsa.PrivateKey
	certs   [2][]byte // DER: authentication, signature
	person  [][]byte  // records of fidPerson
}

// newSigning makes keys and certificates. used is how many tries of either PIN
// are spent already.
func newSigning(issuer people, p Person, used int) (*signing, error) {
	left := max(pinTries-used, 0)
	s := &signing{secrets: [3]secret{
		refPUK:  {or(p.PUK, DefaultPUK), 8, 12, pinTries},
		refPIN1: {or(p.PIN1, DefaultPIN1), 4, 12, left},
		refPIN2: {or(p.PIN2, DefaultPIN2), 5, 12, left},
	}}
	for i := range s.keys {
		var err error
		if s.keys[i], err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader); err != nil {
			return nil, err
		}
		if s.certs[i], err = issuer.certify(p, &s.keys[i].PublicKey, i == 1); err != nil {
			return nil, err
		}
	}
	s.person = p.records()
	return s, nil
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// records are the personal data of EstEID 3.5, in its order. The eighth is what
// OpenSC shows as the token's serial number.
func (p Person) records() [][]byte {
	sex := "M"
	if p.Sex == 'F' {
		sex = "N"
	}
	facts := []string{
		p.Surname, p.GivenNames, "", sex, "AZE", p.BirthDate.Format("02.01.2006"), p.FIN, p.DocumentNumber,
		p.Expires.Format("02.01.2006"), "", p.Expires.AddDate(-10, 0, 0).Format("02.01.2006"), "", "", "", "", "",
	}
	var all [][]byte
	for _, f := range facts {
		if f == "" {
			f = " " // an empty record is no answer to READ RECORD
		}
		all = append(all, []byte(f))
	}
	return all
}

// counters are the records of fidCounters: tries at most, tries left.
func (s *signing) counters() [][]byte {
	var all [][]byte
	for _, ref := range []int{refPIN1, refPIN2, refPUK} {
		all = append(all, icao.AppendTLV(icao.MakeTLV(0x80, []byte{pinTries}), 0x90, []byte{byte(s.secrets[ref].left)}))
	}
	return all
}

// signingFile selects a file of the signature application. known says whether
// there is one of that name where the chip stands.
func (c *Card) signingFile(cmd icao.Command) (answer icao.Response, known bool) {
	if c.signing == nil || c.chip.application || len(cmd.Data) != 2 {
		return icao.Response{}, false
	}
	fid := int(cmd.Data[0])<<8 | int(cmd.Data[1])
	if cmd.P1 == 0x01 {
		if fid != fidHolder || c.chip.folder != folderMaster {
			return icao.Response{}, false
		}
		c.chip.folder, c.chip.file, c.chip.record = fidHolder, nil, 0
		return refuse(icao.SWDone), true
	}
	size, kind := 0, byte(0x01) // transparent
	switch {
	case c.chip.folder == folderMaster && fid == fidCounters, c.chip.folder == fidHolder && fid == fidPerson:
		c.chip.file, c.chip.record = nil, fid
		size, kind = 256, 0x04 // linear, variable
	case c.chip.folder == fidHolder && fid == fidAuth, c.chip.folder == fidHolder && fid == fidSign:
		c.chip.file, c.chip.record = c.signing.certs[0], 0
		if fid == fidSign {
			c.chip.file = c.signing.certs[1]
		}
		size = len(c.chip.file)
	default:
		return icao.Response{}, false
	}
	if cmd.P2&0x0C != 0x04 {
		return refuse(icao.SWDone), true
	}
	fcp := bytes.Join([][]byte{
		icao.MakeTLV(0x82, []byte{kind}), icao.MakeTLV(0x83, cmd.Data), icao.MakeTLV(0x81, []byte{byte(size >> 8), byte(size)}),
	}, nil)
	return icao.Response{Data: icao.MakeTLV(0x62, fcp), SW: icao.SWDone}, true
}

// sign answers what only the signature application knows.
func (c *Card) sign(cmd icao.Command) icao.Response {
	if c.signing == nil || c.chip.application {
		return refuse(icao.SWUnknownINS)
	}
	switch cmd.INS {
	case insRecord:
		return c.readRecord(cmd)
	case insVerify:
		return c.verify(cmd)
	case insChange:
		return c.change(cmd)
	case insUnblock:
		return c.unblock(cmd)
	case insSecure:
		if cmd.P1 == 0x9E && cmd.P2 == 0x9A { // COMPUTE DIGITAL SIGNATURE
			// The signature key wants its PIN for every signature.
			defer func() { c.chip.verified[refPIN2] = false }()
			return c.signWith(refPIN2, cmd.Data)
		}
	case icao.INSInternalAuthenticate:
		return c.signWith(refPIN1, cmd.Data)
	case icao.INSGetChallenge:
		return random(cmd.Le)
	}
	return refuse(icao.SWUnknownINS)
}

func random(n int) icao.Response {
	if n == 0 || n > icao.MaxShort {
		return refuse(icao.SWWrongLength)
	}
	data := make([]byte, n)
	_, _ = rand.Read(data) // never fails, says crypto/rand
	return icao.Response{Data: data, SW: icao.SWDone}
}

// readRecord is READ RECORD by number.
func (c *Card) readRecord(cmd icao.Command) icao.Response {
	var records [][]byte
	switch c.chip.record {
	case fidCounters:
		records = c.signing.counters()
	case fidPerson:
		records = c.signing.person
	default:
		return refuse(swConditions)
	}
	switch {
	case cmd.P2 != 0x04:
		return refuse(swBadP1P2)
	case cmd.P1 == 0 || int(cmd.P1) > len(records):
		return refuse(swNoRecord)
	}
	return icao.Response{Data: records[cmd.P1-1], SW: icao.SWDone}
}

// try compares a secret and counts. fits is told what the command holds.
func (s *secret) try(fits bool) uint16 {
	switch {
	case s.left == 0:
		return swBlocked
	case fits:
		s.left = pinTries
		return icao.SWDone
	}
	s.left--
	if s.left == 0 {
		return swBlocked
	}
	return swTriesLeft | uint16(s.left)
}

// accepts says whether a new secret may be set.
func (s *secret) accepts(value []byte) bool {
	if _, err := strconv.ParseUint(string(value), 10, 64); err != nil {
		return false
	}
	return len(value) >= s.min && len(value) <= s.max
}

func (c *Card) verify(cmd icao.Command) icao.Response {
	if cmd.P1 != 0 || int(cmd.P2) >= len(c.signing.secrets) {
		return refuse(swNoSecret)
	}
	s := &c.signing.secrets[cmd.P2]
	if len(cmd.Data) == 0 { // how many are left, ISO 7816-4, 11.5.6
		if s.left == 0 {
			return refuse(swBlocked)
		}
		return refuse(swTriesLeft | uint16(s.left))
	}
	sw := s.try(string(cmd.Data) == s.value)
	c.chip.verified[cmd.P2] = sw == icao.SWDone
	return refuse(sw)
}

// change replaces a secret by another; both come in one string, the old one
// first.
func (c *Card) change(cmd icao.Command) icao.Response {
	if cmd.P1 != 0 || int(cmd.P2) >= len(c.signing.secrets) {
		return refuse(swNoSecret)
	}
	s := &c.signing.secrets[cmd.P2]
	fresh, fits := bytes.CutPrefix(cmd.Data, []byte(s.value))
	if sw := s.try(fits); sw != icao.SWDone {
		return refuse(sw)
	}
	if !s.accepts(fresh) {
		return refuse(icao.SWWrongData)
	}
	s.value = string(fresh)
	return refuse(icao.SWDone)
}

// unblock sets a new PIN with the PUK, which comes first.
func (c *Card) unblock(cmd icao.Command) icao.Response {
	if cmd.P1 != 0 || cmd.P2 == refPUK || int(cmd.P2) >= len(c.signing.secrets) {
		return refuse(swNoSecret)
	}
	puk, pin := &c.signing.secrets[refPUK], &c.signing.secrets[cmd.P2]
	fresh, fits := bytes.CutPrefix(cmd.Data, []byte(puk.value))
	if sw := puk.try(fits); sw != icao.SWDone {
		return refuse(sw)
	}
	if !pin.accepts(fresh) {
		return refuse(icao.SWWrongData)
	}
	pin.value, pin.left = string(fresh), pinTries
	return refuse(icao.SWDone)
}

// signWith signs a digest with the key behind a PIN: r and s side by side.
func (c *Card) signWith(ref int, digest []byte) icao.Response {
	switch {
	case !c.chip.verified[ref]:
		return refuse(icao.SWSecurityStatus)
	case len(digest) == 0 || len(digest) > 64:
		return refuse(icao.SWWrongLength)
	}
	out, err := plainSignature(c.signing.keys[ref-refPIN1], digest)
	if err != nil {
		return refuse(icao.SWWrongData)
	}
	return icao.Response{Data: out, SW: icao.SWDone}
}

// plainSignature is r and s side by side, BSI TR-03111, 5.2.1.
func plainSignature(key *ecdsa.PrivateKey, digest []byte) ([]byte, error) {
	r, s, err := ecdsa.Sign(rand.Reader, key, digest)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	size := (key.Params().N.BitLen() + 7) / 8
	out := make([]byte, 2*size)
	r.FillBytes(out[:size])
	s.FillBytes(out[size:])
	return out, nil
}
