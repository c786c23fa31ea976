package request

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
)

// ErrID says that a string is no id of a request.
var ErrID = errors.New("not a request id")

// An ID names one request for ever: a ULID, 26 characters of Crockford's
// base32 in upper case. The kiosk chooses it before anything is stored, and
// every attempt to deliver carries the same one.
type ID string

// NewID makes an id from now and 80 random bits. A clock before 1970 counts as
// 1970: ids must be unique, and order comes from sequences.
func NewID(now time.Time) ID {
	var ms uint64
	if now.Unix() > 0 {
		ms = min(ulid.Timestamp(now), ulid.MaxTime())
	}
	return ID(ulid.MustNew(ms, rand.Reader).String())
}

// ParseID accepts an id exactly as NewID writes it, else ErrID: one request
// must not have two spellings.
func ParseID(s string) (ID, error) {
	u, err := ulid.ParseStrict(s)
	if err != nil || u.String() != s {
		return "", ErrID
	}
	return ID(s), nil
}

const (
	numberDigits = 11
	numberSpace  = 100_000_000_000 // ten to the power of numberDigits
)

// Number is the short number that people read and type: 11 digits drawn from
// the id by SHA-256 and a check digit (Damm's: finds every single wrong digit
// and every swap of neighbours). It follows from the id alone, so the
// provisional and the final slip bear the same one, line or no line.
//
// It is not a key. Among n requests about n²/2·10¹¹ pairs share a number: five
// pairs in a million requests. Whoever looks a request up by its number asks
// for the card as well; within one person's hundred requests the chance of a
// pair is 1 in 20 million.
func (id ID) Number() string {
	sum := sha256.Sum256([]byte("kosk number 1 " + string(id)))
	n := binary.BigEndian.Uint64(sum[:]) % numberSpace
	digits := fmt.Sprintf("%0*d", numberDigits, n)
	return digits + string('0'+damm(digits))
}

// GroupNumber sets a number in groups of three: "123 456 789 012".
func GroupNumber(number string) string {
	var b strings.Builder
	for i, r := range number {
		if i > 0 && i%3 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// ParseNumber reads a typed number, with or without spaces, and checks its
// check digit. ok is false when it can't be the number of any request.
func ParseNumber(typed string) (number string, ok bool) {
	number = strings.ReplaceAll(typed, " ", "")
	if len(number) != numberDigits+1 || strings.Trim(number, "0123456789") != "" {
		return "", false
	}
	return number, damm(number) == 0
}

// dammTable is the quasigroup of order 10 of H. M. Damm, 2004.
var dammTable = [10]string{
	"0317598642", "7092154863", "4206871359", "1750983426", "6123045978",
	"3674209581", "5869720134", "8945362017", "9438617205", "2581436790",
}

// damm is the check digit of digits; over digits that end in theirs it is 0.
func damm(digits string) byte {
	var c byte
	for i := range len(digits) {
		c = dammTable[c][digits[i]-'0'] - '0'
	}
	return c
}
