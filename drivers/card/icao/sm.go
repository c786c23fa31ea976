package icao

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrMessaging says that a protected message is not what the other side's keys
// would have made of it: a wrong MAC, a missing object, a bad padding.
var ErrMessaging = errors.New("bad secure messaging")

// A Cipher is the block cipher of a session.
type Cipher int

// The ciphers of ICAO 9303-11, 9.2.1.
const (
	TripleDES Cipher = iota + 1
	AES128
	AES192
	AES256
)

func (c Cipher) String() string {
	switch c {
	case TripleDES:
		return "3DES"
	case AES128:
		return "AES128"
	case AES192:
		return "AES192"
	case AES256:
		return "AES256"
	}
	return fmt.Sprintf("Cipher(%d)", int(c))
}

// Uses of a derived key, ICAO 9303-11, 9.7.1.
const (
	UseEncryption = 1
	UseMAC        = 2
	UsePassword   = 3
)

// Derive is the key derivation function of ICAO 9303-11, 9.7.1: SHA-1 for keys
// of 16 bytes, SHA-256 for longer ones.
func (c Cipher) Derive(secret []byte, use uint32) []byte {
	in := binary.BigEndian.AppendUint32(append([]byte(nil), secret...), use)
	switch c {
	case AES192:
		sum := sha256.Sum256(in)
		return sum[:24]
	case AES256:
		sum := sha256.Sum256(in)
		return sum[:]
	}
	sum := sha1.Sum(in)
	key := sum[:16]
	if c == TripleDES {
		setParity(key)
	}
	return key
}

// setParity makes the number of ones in every byte odd, as DES keys want.
func setParity(key []byte) {
	for i, b := range key {
		ones := byte(0)
		for v := b >> 1; v > 0; v >>= 1 {
			ones ^= v & 1
		}
		key[i] = b&0xFE | ones ^ 1
	}
}

func (c Cipher) block(key []byte) (cipher.Block, error) {
	if c == TripleDES {
		if len(key) != 16 {
			return nil, fmt.Errorf("%w: key of %d bytes", ErrMessaging, len(key))
		}
		return des.NewTripleDESCipher(append(append([]byte(nil), key...), key[:8]...))
	}
	return aes.NewCipher(key)
}

// mac is the cipher's authentication code over data that is already padded for
// 3DES, and is padded by CMAC itself for AES; eight bytes, ICAO 9303-11, 9.8.
func (c Cipher) mac(key, data []byte) ([]byte, error) {
	if c == TripleDES {
		return retailMAC(key, data)
	}
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cmac(b, data)[:8], nil
}

// retailMAC is ISO 9797-1 MAC algorithm 3 with DES over whole blocks.
func retailMAC(key, data []byte) ([]byte, error) {
	if len(key) != 16 || len(data)%8 != 0 {
		return nil, fmt.Errorf("%w: mac over %d bytes", ErrMessaging, len(data))
	}
	first, err := des.NewCipher(key[:8])
	if err != nil {
		return nil, err
	}
	second, err := des.NewCipher(key[8:])
	if err != nil {
		return nil, err
	}
	sum := make([]byte, 8)
	for ; len(data) > 0; data = data[8:] {
		subtle.XORBytes(sum, sum, data[:8])
		first.Encrypt(sum, sum)
	}
	second.Decrypt(sum, sum)
	first.Encrypt(sum, sum)
	return sum, nil
}

// cmac is AES-CMAC, NIST SP 800-38B.
func cmac(b cipher.Block, data []byte) []byte {
	size := b.BlockSize()
	sub := make([]byte, size)
	b.Encrypt(sub, sub)
	double(sub)
	last := make([]byte, size)
	whole := len(data) > 0 && len(data)%size == 0
	cut := (len(data) - 1) / size * size
	if len(data) == 0 {
		cut = 0
	}
	n := copy(last, data[cut:])
	if !whole {
		last[n] = 0x80
		double(sub)
	}
	subtle.XORBytes(last, last, sub)
	sum := make([]byte, size)
	for head := data[:cut]; len(head) > 0; head = head[size:] {
		subtle.XORBytes(sum, sum, head[:size])
		b.Encrypt(sum, sum)
	}
	subtle.XORBytes(sum, sum, last)
	b.Encrypt(sum, sum)
	return sum
}

// double multiplies by x in GF(2^128).
func double(b []byte) {
	carry := b[0] >> 7
	for i := range b {
		b[i] <<= 1
		if i+1 < len(b) {
			b[i] |= b[i+1] >> 7
		}
	}
	b[len(b)-1] ^= carry * 0x87
}

// pad is ISO 9797-1 padding method 2.
func pad(data []byte, size int) []byte {
	out := append(append(make([]byte, 0, len(data)+size), data...), 0x80)
	for len(out)%size != 0 {
		out = append(out, 0)
	}
	return out
}

func unpad(data []byte) ([]byte, error) {
	for i := len(data) - 1; i >= 0; i-- {
		switch data[i] {
		case 0:
		case 0x80:
			return data[:i], nil
		default:
			return nil, fmt.Errorf("%w: padding", ErrMessaging)
		}
	}
	return nil, fmt.Errorf("%w: padding", ErrMessaging)
}

// Data objects of secure messaging, ICAO 9303-11, 9.8.
const (
	doEncryptedOdd = 0x85 // cryptogram for odd instructions, no padding indicator
	doEncrypted    = 0x87 // padding indicator and cryptogram
	doLe           = 0x97
	doStatus       = 0x99
	doMAC          = 0x8E
)

// A Messaging is one side of a protected session. Both sides count every
// message, so that none can be left out, repeated or moved: once an error came
// back, the session is over.
type Messaging struct {
	cipher Cipher
	enc    cipher.Block
	macKey []byte
	ssc    []byte // send sequence counter, as long as a block
}

// NewMessaging starts a session. ssc is the first send sequence counter, eight
// bytes after BAC; nil starts from zero, as after PACE.
func NewMessaging(c Cipher, encKey, macKey, ssc []byte) (*Messaging, error) {
	b, err := c.block(encKey)
	if err != nil {
		return nil, err
	}
	if _, err := c.block(macKey); err != nil {
		return nil, err
	}
	if ssc == nil {
		ssc = make([]byte, b.BlockSize())
	}
	if len(ssc) != b.BlockSize() {
		return nil, fmt.Errorf("%w: counter of %d bytes", ErrMessaging, len(ssc))
	}
	return &Messaging{cipher: c, enc: b, macKey: append([]byte(nil), macKey...), ssc: append([]byte(nil), ssc...)}, nil
}

// MaxPlain is how many bytes of plain data fit into a response whose data field
// holds at most room bytes: 223 for AES and 231 for 3DES in a short response.
func (m *Messaging) MaxPlain(room int) int {
	header := 3 // 87, length, padding indicator
	switch {
	case room > 260:
		header = 5
	case room > 130:
		header = 4
	}
	const trailer = 4 + 10 // 99 02 xx xx, 8E 08 and the MAC
	size := m.enc.BlockSize()
	return max((room-header-trailer)/size*size-1, 0)
}

func (m *Messaging) count() {
	for i := len(m.ssc) - 1; i >= 0; i-- {
		if m.ssc[i]++; m.ssc[i] != 0 {
			return
		}
	}
}

// iv is zero for 3DES, the encrypted counter for AES, ICAO 9303-11, 9.8.6.
func (m *Messaging) iv() []byte {
	iv := make([]byte, m.enc.BlockSize())
	if m.cipher != TripleDES {
		m.enc.Encrypt(iv, m.ssc)
	}
	return iv
}

func (m *Messaging) encrypt(data []byte) []byte {
	out := pad(data, m.enc.BlockSize())
	cipher.NewCBCEncrypter(m.enc, m.iv()).CryptBlocks(out, out)
	return out
}

func (m *Messaging) decrypt(data []byte) ([]byte, error) {
	if len(data) == 0 || len(data)%m.enc.BlockSize() != 0 {
		return nil, fmt.Errorf("%w: cryptogram of %d bytes", ErrMessaging, len(data))
	}
	out := make([]byte, len(data))
	cipher.NewCBCDecrypter(m.enc, m.iv()).CryptBlocks(out, data)
	return unpad(out)
}

// sum is the MAC over the counter, an optional padded header, and objects.
func (m *Messaging) sum(header, objects []byte) ([]byte, error) {
	size := m.enc.BlockSize()
	in := append([]byte(nil), m.ssc...)
	if header != nil {
		in = append(in, pad(header, size)...)
	}
	in = append(in, objects...)
	if header == nil || len(objects) > 0 {
		in = pad(in, size)
	}
	return m.cipher.mac(m.macKey, in)
}

// SealCommand protects a command as the terminal does.
func (m *Messaging) SealCommand(c Command) (Command, error) {
	m.count()
	c.CLA |= 0x0C
	var objects []byte
	if len(c.Data) > 0 {
		if c.INS&1 == 0 {
			objects = AppendTLV(objects, doEncrypted, []byte{1}, m.encrypt(c.Data))
		} else {
			objects = AppendTLV(objects, doEncryptedOdd, m.encrypt(c.Data))
		}
	}
	switch {
	case c.Le > MaxShort:
		objects = AppendTLV(objects, doLe, []byte{byte(c.Le >> 8), byte(c.Le)})
	case c.Le > 0:
		objects = AppendTLV(objects, doLe, []byte{byte(c.Le)})
	}
	sum, err := m.sum([]byte{c.CLA, c.INS, c.P1, c.P2}, objects)
	if err != nil {
		return Command{}, err
	}
	sealed := Command{CLA: c.CLA, INS: c.INS, P1: c.P1, P2: c.P2, Data: AppendTLV(objects, doMAC, sum), Le: MaxShort}
	if len(sealed.Data) > 255 || c.Le > MaxShort {
		sealed.Le = MaxExtended
	}
	return sealed, nil
}

// OpenCommand checks and decrypts a command as the chip does.
func (m *Messaging) OpenCommand(c Command) (Command, error) {
	m.count()
	o, err := m.open([]byte{c.CLA, c.INS, c.P1, c.P2}, c.Data)
	if err != nil {
		return Command{}, err
	}
	plain := Command{CLA: c.CLA &^ 0x0C, INS: c.INS, P1: c.P1, P2: c.P2, Data: o.data}
	switch len(o.le) {
	case 0:
	case 1:
		plain.Le = orMax(int(o.le[0]), MaxShort)
	default:
		plain.Le = orMax(int(o.le[0])<<8|int(o.le[1]), MaxExtended)
	}
	return plain, nil
}

// SealResponse protects a response as the chip does.
func (m *Messaging) SealResponse(r Response, odd bool) (Response, error) {
	m.count()
	var objects []byte
	if len(r.Data) > 0 {
		if odd {
			objects = AppendTLV(objects, doEncryptedOdd, m.encrypt(r.Data))
		} else {
			objects = AppendTLV(objects, doEncrypted, []byte{1}, m.encrypt(r.Data))
		}
	}
	objects = AppendTLV(objects, doStatus, []byte{byte(r.SW >> 8), byte(r.SW)})
	sum, err := m.sum(nil, objects)
	if err != nil {
		return Response{}, err
	}
	return Response{Data: AppendTLV(objects, doMAC, sum), SW: r.SW}, nil
}

// OpenResponse checks and decrypts a response as the terminal does. A response
// without objects is the chip's plain refusal: it is returned as it is, when
// its status is one, and its session is over.
func (m *Messaging) OpenResponse(r Response) (Response, error) {
	m.count()
	if len(r.Data) == 0 {
		if r.SW == SWDone {
			return Response{}, fmt.Errorf("%w: bare answer", ErrMessaging)
		}
		return r, nil
	}
	o, err := m.open(nil, r.Data)
	if err != nil {
		return Response{}, err
	}
	if len(o.status) != 2 {
		return Response{}, fmt.Errorf("%w: no status", ErrMessaging)
	}
	plain := Response{Data: o.data, SW: uint16(o.status[0])<<8 | uint16(o.status[1])}
	if plain.SW != r.SW {
		return Response{}, fmt.Errorf("%w: status %04X outside, %04X inside", ErrMessaging, r.SW, plain.SW)
	}
	return plain, nil
}

type smObjects struct{ data, le, status []byte }

// open checks the MAC over the objects before it, then decrypts.
func (m *Messaging) open(header, body []byte) (smObjects, error) {
	all, err := Children(body)
	if err != nil {
		return smObjects{}, fmt.Errorf("%w: %w", ErrMessaging, err)
	}
	if len(all) == 0 || all[len(all)-1].Tag != doMAC {
		return smObjects{}, fmt.Errorf("%w: no mac", ErrMessaging)
	}
	last := all[len(all)-1]
	want, err := m.sum(header, body[:len(body)-len(last.Raw)])
	if err != nil {
		return smObjects{}, err
	}
	if subtle.ConstantTimeCompare(want, last.Value) != 1 {
		return smObjects{}, fmt.Errorf("%w: mac", ErrMessaging)
	}
	return m.objects(all[:len(all)-1])
}

func (m *Messaging) objects(all []TLV) (o smObjects, err error) {
	for _, t := range all {
		switch t.Tag {
		case doEncrypted:
			if len(t.Value) == 0 || t.Value[0] != 1 || o.data != nil {
				return o, fmt.Errorf("%w: cryptogram", ErrMessaging)
			}
			o.data, err = m.decrypt(t.Value[1:])
		case doEncryptedOdd:
			if o.data != nil {
				return o, fmt.Errorf("%w: cryptogram", ErrMessaging)
			}
			o.data, err = m.decrypt(t.Value)
		case doLe:
			o.le = t.Value
		case doStatus:
			o.status = t.Value
		default:
			return o, fmt.Errorf("%w: object %X", ErrMessaging, t.Tag)
		}
		if err != nil {
			return o, err
		}
	}
	return o, nil
}
