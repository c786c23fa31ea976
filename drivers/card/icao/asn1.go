package icao

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// Universal tags of ASN.1, X.690, 8.
const (
	tagBool      = 0x01
	tagInt       = 0x02
	tagBits      = 0x03
	tagOctets    = 0x04
	tagOID       = 0x06
	tagUTCTime   = 0x17
	tagGenTime   = 0x18
	tagSeq       = 0x30
	tagSet       = 0x31
	tagContext0  = 0xA0
	tagContext1  = 0xA1
	tagContext2  = 0xA2
	tagContext3  = 0xA3
	tagImplicit0 = 0x80
)

// An oid is an object identifier in dotted form.
type oid string

// cursor walks over the children of a structure.
type cursor struct{ rest []byte }

// next takes the next object, which must have this tag, and returns its value.
func (c *cursor) next(tag uint32) ([]byte, error) {
	t, err := c.any()
	if err != nil {
		return nil, err
	}
	if t.Tag != tag {
		return nil, fmt.Errorf("%w: tag %X where %X belongs", ErrTLV, t.Tag, tag)
	}
	return t.Value, nil
}

// any takes the next object, whatever it is.
func (c *cursor) any() (TLV, error) {
	t, rest, err := ReadTLV(c.rest)
	if err != nil {
		return TLV{}, err
	}
	c.rest = rest
	return t, nil
}

// optional takes the next object if it has this tag.
func (c *cursor) optional(tag uint32) (value []byte, ok bool, err error) {
	if c.done() {
		return nil, false, nil
	}
	t, rest, err := ReadTLV(c.rest)
	if err != nil || t.Tag != tag {
		return nil, false, err
	}
	c.rest = rest
	return t.Value, true, nil
}

func (c *cursor) done() bool { return len(c.rest) == 0 }

// into takes the next object with this tag and returns a cursor over it.
func (c *cursor) into(tag uint32) (cursor, error) {
	v, err := c.next(tag)
	return cursor{v}, err
}

// oid takes an object identifier.
func (c *cursor) oid() (oid, error) {
	v, err := c.next(tagOID)
	if err != nil {
		return "", err
	}
	return parseOID(v)
}

// number takes an integer of one to four bytes that isn't negative.
func (c *cursor) number() (int, error) {
	v, err := c.next(tagInt)
	if err != nil {
		return 0, err
	}
	return smallInt(v)
}

func smallInt(v []byte) (int, error) {
	if len(v) == 0 || len(v) > 4 || v[0]&0x80 != 0 {
		return 0, fmt.Errorf("%w: integer %X", ErrTLV, v)
	}
	n := 0
	for _, b := range v {
		n = n<<8 | int(b)
	}
	return n, nil
}

// positive takes an integer of any size that isn't negative. Some states'
// tools write numbers whose first bit is set without the leading zero.
func (c *cursor) positive() (*big.Int, error) {
	v, err := c.next(tagInt)
	if err != nil {
		return nil, err
	}
	if len(v) == 0 || len(v) > 1024 {
		return nil, fmt.Errorf("%w: integer of %d bytes", ErrTLV, len(v))
	}
	return new(big.Int).SetBytes(v), nil
}

// bits takes a bit string of whole bytes.
func (c *cursor) bits() ([]byte, error) {
	v, err := c.next(tagBits)
	if err != nil {
		return nil, err
	}
	if len(v) == 0 || v[0] != 0 {
		return nil, fmt.Errorf("%w: bit string of broken bytes", ErrTLV)
	}
	return v[1:], nil
}

// time takes a UTCTime or GeneralizedTime.
func (c *cursor) time() (time.Time, error) {
	t, err := c.any()
	if err != nil {
		return time.Time{}, err
	}
	return parseTime(t)
}

func parseTime(t TLV) (time.Time, error) {
	layouts := map[uint32][]string{
		tagUTCTime: {"060102150405Z", "0601021504Z", "060102150405-0700"},
		tagGenTime: {"20060102150405Z", "20060102150405-0700"},
	}
	for _, layout := range layouts[t.Tag] {
		when, err := time.Parse(layout, string(t.Value))
		if err != nil {
			continue
		}
		// X.509 reads two-digit years from 50 on as of the last century, RFC 5280, 4.1.2.5.1;
		// Go's own pivot is 69.
		if t.Tag == tagUTCTime && when.Year() >= 2050 {
			when = when.AddDate(-100, 0, 0)
		}
		return when.UTC(), nil
	}
	return time.Time{}, fmt.Errorf("%w: no time", ErrTLV)
}

func parseOID(v []byte) (oid, error) {
	if len(v) == 0 || len(v) > 64 || v[len(v)-1]&0x80 != 0 {
		return "", fmt.Errorf("%w: object identifier", ErrTLV)
	}
	var b strings.Builder
	var n uint64
	first := true
	for _, c := range v {
		if n > 1<<40 {
			return "", fmt.Errorf("%w: object identifier", ErrTLV)
		}
		n = n<<7 | uint64(c&0x7F)
		if c&0x80 != 0 {
			continue
		}
		if first {
			top := min(n/40, 2)
			b.WriteString(strconv.FormatUint(top, 10))
			n -= top * 40
			first = false
		}
		b.WriteByte('.')
		b.WriteString(strconv.FormatUint(n, 10))
		n = 0
	}
	return oid(b.String()), nil
}

// encode gives the content octets, X.690, 8.19. It is only called with the
// constants of this package.
func (o oid) encode() []byte {
	var arcs []uint64
	for _, s := range strings.Split(string(o), ".") {
		n, err := strconv.ParseUint(s, 10, 48)
		if err != nil {
			panic("icao: bad object identifier constant " + string(o))
		}
		arcs = append(arcs, n)
	}
	arcs[1] += arcs[0] * 40
	var out []byte
	for _, n := range arcs[1:] {
		var digits []byte
		for first := true; first || n > 0; first = false {
			d := byte(n & 0x7F)
			if !first {
				d |= 0x80
			}
			digits = append(digits, d)
			n >>= 7
		}
		for i := len(digits) - 1; i >= 0; i-- {
			out = append(out, digits[i])
		}
	}
	return out
}
