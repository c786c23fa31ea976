package icao

import (
	"bytes"
	"errors"
	"fmt"
)

// Limits on what a chip may make us read. A whole EF.SOD with its certificates
// stays under 64 KiB, and no structure of ICAO 9303 nests deeper than twenty.
const (
	maxLength = 1 << 20
	maxDepth  = 32
	maxNodes  = 1 << 14
)

// ErrTLV says that bytes are no BER-TLV, ISO 7816-4, 6.2.
var ErrTLV = errors.New("bad tlv")

// A TLV is one data object. Tag holds the tag's bytes as they stand, so that
// 7F49 is 0x7F49. Raw is the whole object, Value its content; both alias the
// bytes that were read.
type TLV struct {
	Tag   uint32
	Value []byte
	Raw   []byte
}

// Constructed says whether the value is itself made of data objects.
func (t TLV) Constructed() bool { return constructed(t.Tag) }

func constructed(tag uint32) bool {
	for tag > 0xFF {
		tag >>= 8
	}
	return tag&0x20 != 0
}

// ReadTLV reads one data object of definite length and returns what follows it.
func ReadTLV(b []byte) (TLV, []byte, error) {
	tag, n, err := readTag(b)
	if err != nil {
		return TLV{}, nil, err
	}
	length, m, err := readLength(b[n:])
	if err != nil {
		return TLV{}, nil, err
	}
	if length < 0 {
		return TLV{}, nil, fmt.Errorf("%w: indefinite length", ErrTLV)
	}
	start, end := n+m, n+m+length
	if end > len(b) {
		return TLV{}, nil, fmt.Errorf("%w: tag %X wants %d bytes, %d are there", ErrTLV, tag, length, len(b)-start)
	}
	return TLV{Tag: tag, Value: b[start:end:end], Raw: b[:end:end]}, b[end:], nil
}

// Children reads data objects one after the other until b is used up.
func Children(b []byte) ([]TLV, error) {
	var all []TLV
	for len(b) > 0 {
		t, rest, err := ReadTLV(b)
		if err != nil {
			return nil, err
		}
		if all = append(all, t); len(all) > maxNodes {
			return nil, fmt.Errorf("%w: too many objects", ErrTLV)
		}
		b = rest
	}
	return all, nil
}

// Unwrap reads a single data object with this tag that fills b whole.
func Unwrap(b []byte, tag uint32) ([]byte, error) {
	t, rest, err := ReadTLV(b)
	if err != nil {
		return nil, err
	}
	if t.Tag != tag {
		return nil, fmt.Errorf("%w: tag %X where %X belongs", ErrTLV, t.Tag, tag)
	}
	if len(rest) != 0 {
		return nil, fmt.Errorf("%w: %d bytes after tag %X", ErrTLV, len(rest), tag)
	}
	return t.Value, nil
}

// FileSize tells from the first bytes of an elementary file how long the whole
// file is, header included. Six bytes are always enough.
func FileSize(head []byte) (int, error) {
	_, n, err := readTag(head)
	if err != nil {
		return 0, err
	}
	length, m, err := readLength(head[n:])
	if err != nil {
		return 0, err
	}
	if length < 0 {
		return 0, fmt.Errorf("%w: file of indefinite length", ErrTLV)
	}
	return n + m + length, nil
}

// AppendTLV appends a data object whose value is the parts one after the other,
// with the shortest form of the length.
func AppendTLV(dst []byte, tag uint32, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	dst = appendLength(appendTag(dst, tag), n)
	for _, p := range parts {
		dst = append(dst, p...)
	}
	return dst
}

// MakeTLV is AppendTLV to nothing.
func MakeTLV(tag uint32, parts ...[]byte) []byte { return AppendTLV(nil, tag, parts...) }

func appendTag(dst []byte, tag uint32) []byte {
	for shift := 24; shift > 0; shift -= 8 {
		if tag>>shift != 0 {
			dst = append(dst, byte(tag>>shift))
		}
	}
	return append(dst, byte(tag))
}

func appendLength(dst []byte, n int) []byte {
	switch {
	case n < 0x80:
		return append(dst, byte(n))
	case n < 0x100:
		return append(dst, 0x81, byte(n))
	case n < 0x10000:
		return append(dst, 0x82, byte(n>>8), byte(n))
	default:
		return append(dst, 0x83, byte(n>>16), byte(n>>8), byte(n))
	}
}

// readTag reads a tag of one to three bytes.
func readTag(b []byte) (tag uint32, n int, err error) {
	if len(b) == 0 {
		return 0, 0, fmt.Errorf("%w: no tag", ErrTLV)
	}
	tag = uint32(b[0])
	if b[0]&0x1F != 0x1F {
		return tag, 1, nil
	}
	for n = 1; n < 3; n++ {
		if n >= len(b) {
			return 0, 0, fmt.Errorf("%w: tag cut short", ErrTLV)
		}
		tag = tag<<8 | uint32(b[n])
		if b[n]&0x80 == 0 {
			return tag, n + 1, nil
		}
	}
	return 0, 0, fmt.Errorf("%w: tag too long", ErrTLV)
}

// readLength reads a length of one to four bytes; -1 is the indefinite form.
func readLength(b []byte) (length, n int, err error) {
	if len(b) == 0 {
		return 0, 0, fmt.Errorf("%w: no length", ErrTLV)
	}
	if b[0] < 0x80 {
		return int(b[0]), 1, nil
	}
	if b[0] == 0x80 {
		return -1, 1, nil
	}
	n = int(b[0]&0x7F) + 1
	if n > 5 || n > len(b) {
		return 0, 0, fmt.Errorf("%w: length cut short", ErrTLV)
	}
	var v uint64
	for _, c := range b[1:n] {
		v = v<<8 | uint64(c)
	}
	if v > maxLength {
		return 0, 0, fmt.Errorf("%w: %d bytes", ErrTLV, v)
	}
	return int(v), n, nil
}

// Definite rewrites one BER object so that every length is definite and every
// string of octets is primitive, as signatures are counted over DER. Objects
// that are so already come back byte for byte.
func Definite(b []byte) ([]byte, error) {
	nodes := 0
	out, rest, err := definite(b, 0, &nodes)
	if err != nil {
		return nil, err
	}
	// Chips pad their files; whatever stands behind the object is no part of it.
	if len(bytes.Trim(rest, "\x00")) != 0 {
		return nil, fmt.Errorf("%w: %d bytes after the object", ErrTLV, len(rest))
	}
	return out, nil
}

func definite(b []byte, depth int, nodes *int) (out, rest []byte, err error) {
	if *nodes++; depth > maxDepth || *nodes > maxNodes {
		return nil, nil, fmt.Errorf("%w: too deep", ErrTLV)
	}
	tag, n, err := readTag(b)
	if err != nil {
		return nil, nil, err
	}
	length, m, err := readLength(b[n:])
	if err != nil {
		return nil, nil, err
	}
	body := b[n+m:]
	if length > len(body) {
		return nil, nil, fmt.Errorf("%w: tag %X wants %d bytes, %d are there", ErrTLV, tag, length, len(body))
	}
	if !constructed(tag) {
		if length < 0 {
			return nil, nil, fmt.Errorf("%w: primitive of indefinite length", ErrTLV)
		}
		return MakeTLV(tag, body[:length]), body[length:], nil
	}
	var value []byte
	if length >= 0 {
		value, err = definiteAll(tag, body[:length], depth, nodes)
		rest = body[length:]
	} else {
		value, rest, err = definiteUntilEnd(tag, body, depth, nodes)
	}
	if err != nil {
		return nil, nil, err
	}
	if tag == tagOctets|0x20 {
		tag = tagOctets
	}
	return MakeTLV(tag, value), rest, nil
}

// definiteAll rewrites the children that fill b.
func definiteAll(tag uint32, b []byte, depth int, nodes *int) ([]byte, error) {
	var value []byte
	for len(b) > 0 {
		child, rest, err := definite(b, depth+1, nodes)
		if err != nil {
			return nil, err
		}
		if value, err = appendChild(value, tag, child); err != nil {
			return nil, err
		}
		b = rest
	}
	return value, nil
}

// definiteUntilEnd rewrites children up to the end-of-contents octets, X.690, 8.1.5.
func definiteUntilEnd(tag uint32, b []byte, depth int, nodes *int) (value, rest []byte, err error) {
	for {
		if len(b) >= 2 && b[0] == 0 && b[1] == 0 {
			return value, b[2:], nil
		}
		child, after, err := definite(b, depth+1, nodes)
		if err != nil {
			return nil, nil, err
		}
		if value, err = appendChild(value, tag, child); err != nil {
			return nil, nil, err
		}
		b = after
	}
}

// appendChild adds a child to a value; the pieces of a constructed string of
// octets lose their headers.
func appendChild(value []byte, parent uint32, child []byte) ([]byte, error) {
	if parent != tagOctets|0x20 {
		return append(value, child...), nil
	}
	piece, err := Unwrap(child, tagOctets)
	if err != nil {
		return nil, err
	}
	return append(value, piece...), nil
}
