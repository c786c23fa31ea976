//lint:file-ignore SA1019 The mappings of PACE and brainpool need the points of crypto/elliptic.

package icao

import (
	"crypto/cipher"
	"crypto/elliptic"
	"crypto/sha1"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"math/big"

	"github.com/ProtonMail/go-crypto/brainpool"
)

// ErrPACE says that the other side's share of PACE is none: a point off the
// curve, our own key thrown back, a token that doesn't fit.
var ErrPACE = errors.New("bad pace")

// A Suite is a PACE protocol with its domain parameters, ICAO 9303-11, 4.4.
type Suite struct {
	Info  PACEInfo
	Name  string // such as "PACE-ECDH-GM-AES128-P256"
	curve elliptic.Curve
}

// standardCurves is ICAO 9303-11, 9.5.1: parameter id to curve. crypto/ecdh has
// none of the point arithmetic that the mappings need, so the curves are those
// of crypto/elliptic, whose P-256 runs in constant time.
var standardCurves = map[int]struct {
	name  string
	curve func() elliptic.Curve
}{
	12: {"P256", elliptic.P256},
	13: {"BP256R1", brainpool.P256r1},
	15: {"P384", elliptic.P384},
	16: {"BP384R1", brainpool.P384r1},
	17: {"BP512R1", brainpool.P512r1},
	18: {"P521", elliptic.P521},
}

// ChooseSuite takes the strongest way in that is spoken here: the longest key,
// then the mapping that also proves the chip's key, then the first named.
func ChooseSuite(infos []PACEInfo) (Suite, error) {
	var best Suite
	for _, p := range infos {
		c, known := standardCurves[p.ParameterID]
		// Chip authentication mapping knows no 3DES, ICAO 9303-11, 9.2.1.
		if !known || !p.ECDH || p.Mapping == MappingChip && p.Cipher == TripleDES {
			continue
		}
		proves := p.Mapping == MappingChip && best.Info.Mapping != MappingChip
		if p.Cipher < best.Info.Cipher || p.Cipher == best.Info.Cipher && !proves {
			continue
		}
		best = Suite{Info: p, curve: c.curve(), Name: "PACE-ECDH-" + p.Mapping.String() + "-" + p.Cipher.String() + "-" + c.name}
	}
	if best.curve == nil {
		return Suite{}, fmt.Errorf("%w: none of %d protocols is spoken", ErrPACE, len(infos))
	}
	return best, nil
}

// MRZSecret is PasswordMRZ of a document number as it is printed, and of days. The
// error is ErrMRZ when no zone can have them.
func MRZSecret(number string, birth, expires Date) ([]byte, error) {
	if len(number) < 1 || len(number) > 22 || strip(number) == "" {
		return nil, fmt.Errorf("%w: number of %d characters", ErrMRZ, len(number))
	}
	for _, r := range number {
		if r != '<' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') {
			return nil, fmt.Errorf("%w: a character of the number", ErrMRZ)
		}
	}
	for _, d := range []Date{birth, expires} {
		if _, err := parseDate(d.text()); err != nil || len(d.text()) != 6 {
			return nil, fmt.Errorf("%w: date", ErrMRZ)
		}
	}
	if len(number) < 9 {
		number = fill(number, 9)
	}
	return PasswordMRZ(number, birth.text(), expires.text()), nil
}

// PasswordMRZ is the secret that PACE and BAC make of the machine readable zone,
// ICAO 9303-11, 4.3.2: the hash of number, birth and expiry with check digits.
func PasswordMRZ(number, birth, expiry string) []byte {
	in := number + string(checkDigit(number)) + birth + string(checkDigit(birth)) + expiry + string(checkDigit(expiry))
	sum := sha1.Sum([]byte(in))
	return sum[:]
}

// crypt runs the nonce through the cipher under the password's key, with a zero
// vector and without padding, ICAO 9303-11, 4.4.3.2.
func (s Suite) crypt(password, nonce []byte, mode func(cipher.Block, []byte) cipher.BlockMode) ([]byte, error) {
	b, err := s.Info.Cipher.block(s.Info.Cipher.Derive(password, UsePassword))
	if err != nil {
		return nil, err
	}
	if len(nonce) == 0 || len(nonce) > 64 || len(nonce)%b.BlockSize() != 0 {
		return nil, fmt.Errorf("%w: nonce of %d bytes", ErrPACE, len(nonce))
	}
	out := make([]byte, len(nonce))
	mode(b, make([]byte, b.BlockSize())).CryptBlocks(out, nonce)
	return out, nil
}

// DecryptNonce is the terminal's step 1.
func (s Suite) DecryptNonce(password, encrypted []byte) ([]byte, error) {
	return s.crypt(password, encrypted, cipher.NewCBCDecrypter)
}

// EncryptNonce is the chip's step 1.
func (s Suite) EncryptNonce(password, nonce []byte) ([]byte, error) {
	return s.crypt(password, nonce, cipher.NewCBCEncrypter)
}

// A Generator is the point that a key pair is made over; the zero Generator is
// the curve's own.
type Generator struct{ x, y *big.Int }

// An EphemeralKey is a key pair for one step of PACE. Public is the uncompressed
// point, BSI TR-03111, 3.2.1.
type EphemeralKey struct {
	Public  []byte
	private []byte
}

// NewKey makes a key pair over g.
func (s Suite) NewKey(rand io.Reader, g Generator) (*EphemeralKey, error) {
	n := s.curve.Params().N
	for range 100 {
		private := make([]byte, (n.BitLen()+7)/8)
		if _, err := io.ReadFull(rand, private); err != nil {
			return nil, err
		}
		private[0] &= 0xFF >> (uint(len(private)*8-n.BitLen()) & 7)
		if d := new(big.Int).SetBytes(private); d.Sign() > 0 && d.Cmp(n) < 0 {
			return s.keyOf(private, g), nil
		}
	}
	return nil, fmt.Errorf("%w: no randomness", ErrPACE)
}

func (s Suite) keyOf(private []byte, g Generator) *EphemeralKey {
	var x, y *big.Int
	if g.x == nil {
		x, y = s.curve.ScalarBaseMult(private)
	} else {
		x, y = s.curve.ScalarMult(g.x, g.y, private)
	}
	return &EphemeralKey{Public: elliptic.Marshal(s.curve, x, y), private: private}
}

// agree multiplies the peer's point by our key. It refuses points off the curve
// and our own key thrown back, ICAO 9303-11, 4.4.1.
func (s Suite) agree(k *EphemeralKey, peer []byte) (x, y *big.Int, err error) {
	if subtle.ConstantTimeCompare(k.Public, peer) == 1 {
		return nil, nil, fmt.Errorf("%w: our own key came back", ErrPACE)
	}
	px, py := elliptic.Unmarshal(s.curve, peer)
	if px == nil {
		return nil, nil, fmt.Errorf("%w: point of %d bytes is not on the curve", ErrPACE, len(peer))
	}
	x, y = s.curve.ScalarMult(px, py, k.private)
	if x.Sign() == 0 && y.Sign() == 0 {
		return nil, nil, fmt.Errorf("%w: point at infinity", ErrPACE)
	}
	return x, y, nil
}

// MapGeneric is step 2 with generic mapping: nonce times the curve's generator,
// plus the point agreed upon, ICAO 9303-11, 4.4.3.3.2.
func (s Suite) MapGeneric(nonce []byte, k *EphemeralKey, peer []byte) (Generator, error) {
	hx, hy, err := s.agree(k, peer)
	if err != nil {
		return Generator{}, err
	}
	scalar := new(big.Int).Mod(new(big.Int).SetBytes(nonce), s.curve.Params().N)
	sx, sy := s.curve.ScalarBaseMult(scalar.Bytes())
	x, y := s.curve.Add(sx, sy, hx, hy)
	if !s.curve.IsOnCurve(x, y) {
		return Generator{}, fmt.Errorf("%w: mapped to infinity", ErrPACE)
	}
	return Generator{x, y}, nil
}

// SessionKeys is step 3: the keys for encryption and for MACs.
func (s Suite) SessionKeys(k *EphemeralKey, peer []byte) (enc, mac []byte, err error) {
	x, _, err := s.agree(k, peer)
	if err != nil {
		return nil, nil, err
	}
	secret := x.FillBytes(make([]byte, (s.curve.Params().BitSize+7)/8))
	return s.Info.Cipher.Derive(secret, UseEncryption), s.Info.Cipher.Derive(secret, UseMAC), nil
}

// Token is step 4: the MAC of the other side's public key, ICAO 9303-11, 4.4.3.4.
func (s Suite) Token(mac, public []byte) ([]byte, error) {
	const publicKey, point = 0x7F49, 0x86
	in := MakeTLV(publicKey, MakeTLV(tagOID, s.Info.Protocol), MakeTLV(point, public))
	if s.Info.Cipher == TripleDES {
		in = pad(in, 8)
	}
	return s.Info.Cipher.mac(mac, in)
}

// SameToken compares two tokens in constant time.
func SameToken(a, b []byte) bool { return len(a) == 8 && subtle.ConstantTimeCompare(a, b) == 1 }
