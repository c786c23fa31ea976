//lint:file-ignore SA1019 Key agreement on brainpool needs the points of crypto/elliptic.

package icao

import (
	"bytes"
	"crypto/elliptic"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"math/big"
)

// ErrChip says that a chip did not prove the key of its group 14 or EF.CardSecurity.
var ErrChip = errors.New("chip did not prove its key")

// A ChipInfo is one way to prove the chip's key, ICAO 9303-11, 9.2.5.
type ChipInfo struct {
	Protocol []byte // content octets of the object identifier
	Cipher   Cipher
	ECDH     bool   // else DH
	KeyID    []byte // content octets of the key's number; nil when not given
}

// A ChipKey is a key that the chip can prove, ICAO 9303-11, 9.2.6.
type ChipKey struct {
	key   *PublicKey // nil when it is of a kind not spoken here
	KeyID []byte     // as in ChipInfo
}

// chipInfo reads id-CA-<ECDH or DH>-<cipher>.
func chipInfo(id oid) (ChipInfo, bool) {
	if !under(id, oidCA) {
		return ChipInfo{}, false
	}
	tail := string(id[len(oidCA)+1:])
	if len(tail) != 3 || tail[1] != '.' || tail[0] != '1' && tail[0] != '2' {
		return ChipInfo{}, false
	}
	c, ciphered := paceCiphers[tail[2:]]
	return ChipInfo{Cipher: c, ECDH: tail[0] == '2'}, ciphered
}

// addChip takes what concerns Chip Authentication.
func (s *SecurityInfos) addChip(id oid, raw []byte, c cursor) error {
	s.ChipAuthentication = true
	if under(id, oidPK) {
		t, err := c.any()
		if err != nil {
			return err
		}
		// A key of an unknown kind is no error here: another may be known.
		key, _ := ParsePublicKey(t.Raw)
		number, err := c.keyID()
		s.ChipKeys = append(s.ChipKeys, ChipKey{key: key, KeyID: number})
		return err
	}
	info, known := chipInfo(id)
	if !known {
		return nil
	}
	if _, err := c.number(); err != nil { // version
		return err
	}
	number, err := c.keyID()
	info.Protocol, info.KeyID = raw, number
	s.ChipInfos = append(s.ChipInfos, info)
	return err
}

// keyID takes an optional number, as it stands.
func (c *cursor) keyID() ([]byte, error) {
	v, ok, err := c.optional(tagInt)
	if err != nil || !ok {
		return nil, err
	}
	if len(v) == 0 || len(v) > 32 {
		return nil, fmt.Errorf("%w: key number of %d bytes", ErrTLV, len(v))
	}
	return v, nil
}

// A ChipSuite is a way to prove the chip's key that is spoken here.
type ChipSuite struct {
	Info  ChipInfo
	Name  string // such as "CA-ECDH-AES128-P256"
	curve elliptic.Curve
	peer  []byte // the chip's public key, uncompressed
}

// ChooseChip takes the strongest way to prove a key that is spoken here: ECDH on
// one of the curves of PACE, the longest session key, then the first named. A chip
// that names a key and no way means 3DES, ICAO 9303-11, 9.2.5. The error is
// ErrAlgorithm when there is none.
func (s *SecurityInfos) ChooseChip() (ChipSuite, error) {
	infos := s.ChipInfos
	if len(infos) == 0 {
		for _, k := range s.ChipKeys {
			infos = append(infos, ChipInfo{Protocol: (oidCA + ".2.1").encode(), Cipher: TripleDES, ECDH: true, KeyID: k.KeyID})
		}
	}
	var best ChipSuite
	for _, info := range infos {
		if !info.ECDH || info.Cipher <= best.Info.Cipher {
			continue
		}
		for _, k := range s.ChipKeys {
			name := k.curveName()
			if name == "" || info.KeyID != nil && !bytes.Equal(info.KeyID, k.KeyID) {
				continue
			}
			best = ChipSuite{Info: info, Name: "CA-ECDH-" + info.Cipher.String() + "-" + name, curve: k.key.ec.Curve, peer: k.public()}
			break
		}
	}
	if best.curve == nil {
		return ChipSuite{}, fmt.Errorf("%w: none of %d ways to prove %d keys is spoken", ErrAlgorithm, len(infos), len(s.ChipKeys))
	}
	return best, nil
}

// curveName is the curve's name when PACE speaks it, too.
func (k ChipKey) curveName() string {
	if k.key == nil || k.key.ec == nil {
		return ""
	}
	for _, c := range standardCurves {
		if c.curve() == k.key.ec.Curve {
			return c.name
		}
	}
	return ""
}

func (k ChipKey) public() []byte { return elliptic.Marshal(k.key.ec.Curve, k.key.ec.X, k.key.ec.Y) }

// NewKey makes the terminal's key pair.
func (s ChipSuite) NewKey(rand io.Reader) (*EphemeralKey, error) {
	return Suite{curve: s.curve}.NewKey(rand, Generator{})
}

// Session starts the session that only the owner of the chip's key can share.
func (s ChipSuite) Session(key *EphemeralKey) (*Messaging, error) {
	return agreeSession(s.curve, s.Info.Cipher, key, s.peer)
}

func agreeSession(curve elliptic.Curve, c Cipher, key *EphemeralKey, peer []byte) (*Messaging, error) {
	suite := Suite{Info: PACEInfo{Cipher: c}, curve: curve}
	enc, mac, err := suite.SessionKeys(key, peer)
	if err != nil {
		return nil, err
	}
	return NewMessaging(c, enc, mac, nil)
}

// Secret is the private half, for whoever has to check the proof later.
func (k *EphemeralKey) Secret() []byte { return bytes.Clone(k.private) }

// VerifyChip says whether the chip proved the key of group 14, ICAO 9303-11, 6.2:
// response, status word included, must be the first under the session that our
// secret and the chip's key make.
func VerifyChip(group14, secret, response []byte) error {
	infos, err := ParseDG14(group14)
	if err != nil {
		return err
	}
	suite, err := infos.ChooseChip()
	if err != nil {
		return err
	}
	d := new(big.Int).SetBytes(secret)
	if d.Sign() == 0 || d.Cmp(suite.curve.Params().N) >= 0 {
		return fmt.Errorf("%w: no secret of ours", ErrChip)
	}
	session, err := suite.Session(Suite{curve: suite.curve}.keyOf(secret, Generator{}))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrChip, err)
	}
	r, err := ParseResponse(response)
	if err != nil || len(r.Data) == 0 {
		return fmt.Errorf("%w: no protected answer", ErrChip)
	}
	session.count() // our command
	if _, err := session.OpenResponse(r); err != nil {
		return fmt.Errorf("%w: %w", ErrChip, err)
	}
	return nil
}

// VerifyMapping says whether the chip proved one of the keys with chip
// authentication mapping, ICAO 9303-11, 4.4.3.5.2: data times the key is the
// public key that the chip mapped the nonce with.
func (s *SecurityInfos) VerifyMapping(mappingKey, data []byte) error {
	if len(data) == 0 || len(data) > 66 {
		return fmt.Errorf("%w: chip authentication data of %d bytes", ErrChip, len(data))
	}
	for _, k := range s.ChipKeys {
		if k.curveName() == "" {
			continue
		}
		curve := k.key.ec.Curve
		scalar := new(big.Int).SetBytes(data)
		if scalar.Sign() == 0 || scalar.Cmp(curve.Params().N) >= 0 {
			continue
		}
		x, y := curve.ScalarMult(k.key.ec.X, k.key.ec.Y, scalar.Bytes())
		if subtle.ConstantTimeCompare(elliptic.Marshal(curve, x, y), mappingKey) == 1 {
			return nil
		}
	}
	return fmt.Errorf("%w: chip authentication data fits none of %d keys", ErrChip, len(s.ChipKeys))
}

// A StaticKey is a chip's own key pair.
type StaticKey struct {
	curve elliptic.Curve
	id    oid
	pair  *EphemeralKey
}

// NewStaticKey makes a key pair on a curve, given by the number of its
// standardized domain parameters, ICAO 9303-11, 9.5.1.
func NewStaticKey(rand io.Reader, parameterID int) (*StaticKey, error) {
	c, known := standardCurves[parameterID]
	if !known {
		return nil, fmt.Errorf("%w: domain parameters %d", ErrAlgorithm, parameterID)
	}
	k := &StaticKey{curve: c.curve()}
	for id, curve := range namedCurves {
		if curve() == k.curve {
			k.id = id
		}
	}
	var err error
	k.pair, err = Suite{curve: k.curve}.NewKey(rand, Generator{})
	return k, err
}

// Session is the chip's side of ChipSuite.Session.
func (k *StaticKey) Session(c Cipher, peer []byte) (*Messaging, error) {
	return agreeSession(k.curve, c, k.pair, peer)
}

// MappingData is what proves this key, given the key pair that the nonce was
// mapped with, ICAO 9303-11, 4.4.3.5.1.
func (k *StaticKey) MappingData(mapping *EphemeralKey) []byte {
	n := k.curve.Params().N
	inverse := new(big.Int).ModInverse(new(big.Int).SetBytes(k.pair.private), n)
	data := inverse.Mul(inverse, new(big.Int).SetBytes(mapping.private))
	return data.Mod(data, n).FillBytes(make([]byte, (n.BitLen()+7)/8))
}

// Info is the SecurityInfo of the public key, without a number.
func (k *StaticKey) Info() []byte {
	algorithm := MakeTLV(tagSeq, MakeTLV(tagOID, oidECPublicKey.encode()), MakeTLV(tagOID, k.id.encode()))
	public := MakeTLV(tagSeq, algorithm, MakeTLV(tagBits, []byte{0}, k.pair.Public))
	return MakeTLV(tagSeq, MakeTLV(tagOID, (oidPK+".2").encode()), public)
}

// ChipAuthentication is the SecurityInfo that offers Chip Authentication with ECDH
// and this cipher.
func ChipAuthentication(c Cipher) []byte {
	return MakeTLV(tagSeq, MakeTLV(tagOID, (oidCA+".2."+cipherArc(c)).encode()), MakeTLV(tagInt, []byte{1}))
}

func cipherArc(c Cipher) oid {
	for arc, known := range paceCiphers {
		if known == c {
			return oid(arc)
		}
	}
	return ""
}

// oidSecurityInfos is id-SecurityObject, the content of EF.CardSecurity.
const oidSecurityInfos oid = "0.4.0.127.0.7.3.2.1"

// A CardSecurity is EF.CardSecurity: security infos, signed by the state, ICAO
// 9303-11, 9.2.11.
type CardSecurity struct {
	Infos  *SecurityInfos
	signed *SignedData
}

// ParseCardSecurity reads an EF.CardSecurity. It checks no signature: call Verify.
func ParseCardSecurity(file []byte) (*CardSecurity, error) {
	signed, err := ParseSignedData(file)
	if err != nil {
		return nil, fmt.Errorf("ef.cardsecurity: %w", err)
	}
	if id, err := parseOID(signed.ContentType); err != nil || id != oidSecurityInfos {
		return nil, fmt.Errorf("ef.cardsecurity: %w: content is %q", ErrTLV, id)
	}
	infos, err := ParseCardAccess(signed.Content)
	if err != nil {
		return nil, fmt.Errorf("ef.cardsecurity: %w", err)
	}
	return &CardSecurity{Infos: infos, signed: signed}, nil
}

// Verify checks the signature with the certificate that came along.
func (s *CardSecurity) Verify() (Signer, error) {
	signer, err := s.signed.Verify()
	if err != nil {
		return Signer{}, fmt.Errorf("ef.cardsecurity: %w", err)
	}
	return signer, nil
}
