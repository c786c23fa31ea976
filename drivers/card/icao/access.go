package icao

import (
	"bytes"
	"fmt"
	"slices"
	"time"
)

// Object identifiers of BSI TR-03110-3, A.1 and ICAO 9303-11, 6.1 and 9.2.
const (
	oidPACE  oid = "0.4.0.127.0.7.2.2.4"
	oidPK    oid = "0.4.0.127.0.7.2.2.1"   // id-PK: ChipAuthenticationPublicKeyInfo
	oidCA    oid = "0.4.0.127.0.7.2.2.3"   // id-CA: ChipAuthenticationInfo
	oidAA    oid = "2.23.136.1.1.5"        // id-icao-mrtd-security-aaProtocolObject
	oidPlain oid = "0.4.0.127.0.7.1.1.4.1" // ecdsa-plain-signatures
)

// maxInfos bounds a list of SecurityInfos; real chips have under ten.
const maxInfos = 64

// A Mapping is how PACE turns the nonce into a generator, ICAO 9303-11, 4.4.3.3.
type Mapping int

// The mappings.
const (
	MappingGeneric Mapping = iota + 1
	MappingIntegrated
	MappingChip
)

func (m Mapping) String() string {
	switch m {
	case MappingGeneric:
		return "GM"
	case MappingIntegrated:
		return "IM"
	case MappingChip:
		return "CAM"
	}
	return fmt.Sprintf("Mapping(%d)", int(m))
}

// A PACEInfo is one way into the chip, ICAO 9303-11, 9.2.1.
type PACEInfo struct {
	Raw         []byte // the SecurityInfo as it stands
	Protocol    []byte // content octets of the object identifier
	Mapping     Mapping
	Cipher      Cipher
	ECDH        bool // else DH
	ParameterID int  // standardized domain parameters, 9.5.1; -1 when not given
}

// paceVariants is id-PACE-xx-yy, the last arc but one, ICAO 9303-11, 9.2.1.
var paceVariants = map[string]struct {
	ecdh    bool
	mapping Mapping
}{
	"1": {false, MappingGeneric},
	"2": {true, MappingGeneric},
	"3": {false, MappingIntegrated},
	"4": {true, MappingIntegrated},
	"6": {true, MappingChip},
}

var paceCiphers = map[string]Cipher{"1": TripleDES, "2": AES128, "3": AES192, "4": AES256}

// A SecurityInfos is EF.CardAccess or the content of DG14, ICAO 9303-11, 9.2.
type SecurityInfos struct {
	PACE []PACEInfo
	// ChipAuthentication says that the chip can prove a key by agreement, be it
	// in a way that is spoken here or not.
	ChipAuthentication bool
	ChipInfos          []ChipInfo
	ChipKeys           []ChipKey
	// ActiveAlgorithm is the content octets of the signature algorithm that
	// Active Authentication with ECDSA answers in; nil when not given.
	ActiveAlgorithm []byte
}

// ParseCardAccess reads EF.CardAccess.
func ParseCardAccess(file []byte) (*SecurityInfos, error) {
	t, rest, err := ReadTLV(file)
	if err != nil {
		return nil, fmt.Errorf("security infos: %w", err)
	}
	if t.Tag != tagSet || len(bytes.Trim(rest, "\x00")) > 0 {
		return nil, fmt.Errorf("security infos: %w: tag %X", ErrTLV, t.Tag)
	}
	all, err := Children(t.Value)
	if err != nil {
		return nil, fmt.Errorf("security infos: %w", err)
	}
	if len(all) > maxInfos {
		return nil, fmt.Errorf("security infos: %w: %d of them", ErrTLV, len(all))
	}
	s := new(SecurityInfos)
	for _, info := range all {
		if err := s.add(info); err != nil {
			return nil, fmt.Errorf("security infos: %w", err)
		}
	}
	return s, nil
}

func (s *SecurityInfos) add(info TLV) error {
	if info.Tag != tagSeq {
		return fmt.Errorf("%w: tag %X", ErrTLV, info.Tag)
	}
	c := cursor{info.Value}
	raw, err := c.next(tagOID)
	if err != nil {
		return err
	}
	id, err := parseOID(raw)
	if err != nil {
		return err
	}
	if p, ok := paceInfo(id); ok {
		p.Raw, p.Protocol, p.ParameterID = info.Raw, raw, -1
		if _, err := c.number(); err != nil { // version, always 2
			return err
		}
		if !c.done() {
			if p.ParameterID, err = c.number(); err != nil {
				return err
			}
		}
		s.PACE = append(s.PACE, p)
		return nil
	}
	switch {
	case under(id, oidPK), under(id, oidCA):
		return s.addChip(id, raw, c)
	case id == oidAA:
		if _, err := c.number(); err != nil {
			return err
		}
		if s.ActiveAlgorithm, err = c.next(tagOID); err != nil {
			return err
		}
	}
	return nil
}

func under(id, parent oid) bool {
	return len(id) > len(parent) && id[:len(parent)] == parent && id[len(parent)] == '.'
}

// paceInfo reads id-PACE-<variant>-<cipher>; PACEDomainParameterInfo, which has
// no cipher, is none.
func paceInfo(id oid) (PACEInfo, bool) {
	if !under(id, oidPACE) {
		return PACEInfo{}, false
	}
	tail := string(id[len(oidPACE)+1:])
	if len(tail) != 3 || tail[1] != '.' {
		return PACEInfo{}, false
	}
	v, known := paceVariants[tail[:1]]
	c, ciphered := paceCiphers[tail[2:]]
	return PACEInfo{Mapping: v.mapping, ECDH: v.ecdh, Cipher: c}, known && ciphered
}

// CardAccess builds an EF.CardAccess that offers PACE in these ways.
func CardAccess(infos ...PACEInfo) []byte { return Infos(infos) }

func (p PACEInfo) encode() []byte {
	return MakeTLV(tagSeq, MakeTLV(tagOID, p.Protocol), MakeTLV(tagInt, []byte{2}), MakeTLV(tagInt, []byte{byte(p.ParameterID)}))
}

// GenericPACE is the PACEInfo of ECDH with generic mapping.
func GenericPACE(c Cipher, parameterID int) PACEInfo { return ECDHPACE(MappingGeneric, c, parameterID) }

// ECDHPACE is the PACEInfo of ECDH with any mapping.
func ECDHPACE(m Mapping, c Cipher, parameterID int) PACEInfo {
	variant := map[Mapping]oid{MappingGeneric: ".2.", MappingIntegrated: ".4.", MappingChip: ".6."}[m]
	p := PACEInfo{
		Protocol: (oidPACE + variant + cipherArc(c)).encode(),
		Mapping:  m, Cipher: c, ECDH: true, ParameterID: parameterID,
	}
	p.Raw = p.encode()
	return p
}

// DG14 builds data group 14 from the same infos, the algorithm that Active
// Authentication answers in, ecdsa-plain-SHA256, and more SecurityInfos, such as
// those of Chip Authentication.
func DG14(pace []PACEInfo, more ...[]byte) []byte {
	active := MakeTLV(tagSeq, MakeTLV(tagOID, oidAA.encode()), MakeTLV(tagInt, []byte{1}),
		MakeTLV(tagOID, (oidPlain+".3").encode()))
	return MakeTLV(tagDG14, Infos(pace, append([][]byte{active}, more...)...))
}

// Infos builds a set of SecurityInfos.
func Infos(pace []PACEInfo, more ...[]byte) []byte {
	var body []byte
	for _, p := range pace {
		body = append(body, p.encode()...)
	}
	for _, info := range more {
		body = append(body, info...)
	}
	return MakeTLV(tagSet, body)
}

// NewCardSecurity builds an EF.CardSecurity with these SecurityInfos.
func NewCardSecurity(infos []byte, cert *Certificate, at time.Time, sign SignFunc) ([]byte, error) {
	return SignData(string(oidSecurityInfos), infos, cert, at, sign)
}

// ParseDG14 reads data group 14, ICAO 9303-10, 4.7.14.
func ParseDG14(file []byte) (*SecurityInfos, error) {
	body, err := Unwrap(file, tagDG14)
	if err != nil {
		return nil, fmt.Errorf("data group 14: %w", err)
	}
	return ParseCardAccess(body)
}

// A CardInfo is EF.ATR/INFO, ISO 7816-4, 12.1.1 and ICAO 9303-10, 3.11.1.
type CardInfo struct {
	Extended    bool // extended lengths are understood
	MaxCommand  int  // longest command APDU in bytes, 0 when not given
	MaxResponse int  // longest response in bytes, 0 when not given
}

// ParseCardInfo reads EF.ATR/INFO. Objects it does not know are passed over,
// since chips keep much else there; a chip whose file is no TLV has said nothing.
func ParseCardInfo(file []byte) CardInfo {
	var info CardInfo
	for len(file) > 0 {
		t, rest, err := ReadTLV(file)
		if err != nil {
			return info
		}
		file = rest
		switch t.Tag {
		case 0x47: // card capabilities; bit 7 of the third byte: extended Lc and Le
			info.Extended = info.Extended || len(t.Value) >= 3 && t.Value[2]&0x40 != 0
		case 0x7F66: // extended length information
			parts, err := Children(t.Value)
			if err != nil || len(parts) < 2 {
				continue
			}
			command, err1 := smallInt(append([]byte{0}, parts[0].Value...))
			response, err2 := smallInt(append([]byte{0}, parts[1].Value...))
			if err1 == nil && err2 == nil {
				info = CardInfo{Extended: true, MaxCommand: command, MaxResponse: response}
			}
		}
	}
	return info
}

// SamePACE says whether two lists offer the same ways in, in any order.
func SamePACE(a, b []PACEInfo) bool {
	in := func(list []PACEInfo, p PACEInfo) bool {
		return slices.ContainsFunc(list, func(q PACEInfo) bool { return bytes.Equal(p.Raw, q.Raw) })
	}
	for _, p := range a {
		if !in(b, p) {
			return false
		}
	}
	for _, p := range b {
		if !in(a, p) {
			return false
		}
	}
	return true
}
