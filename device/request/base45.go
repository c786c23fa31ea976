package request

import (
	"errors"
	"strings"
)

// ErrBase45 says that a text is no Base45.
var ErrBase45 = errors.New("not base45")

// alphabet45 is that of QR codes' alphanumeric mode. RFC 9285, table 1.
const alphabet45 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"

// Base45 writes bytes in the letters that a QR code packs best, three for two
// bytes. RFC 9285.
func Base45(b []byte) string {
	out := make([]byte, 0, (len(b)+1)/2*3)
	for ; len(b) >= 2; b = b[2:] {
		n := int(b[0])<<8 | int(b[1])
		out = append(out, alphabet45[n%45], alphabet45[n/45%45], alphabet45[n/45/45])
	}
	if len(b) == 1 {
		out = append(out, alphabet45[b[0]%45], alphabet45[b[0]/45])
	}
	return string(out)
}

// ParseBase45 is the reverse of Base45. Only its own spelling is accepted
// (RFC 9285, section 6), else ErrBase45.
func ParseBase45(s string) ([]byte, error) {
	if len(s)%3 == 1 {
		return nil, ErrBase45
	}
	out := make([]byte, 0, len(s)/3*2+1)
	for len(s) > 0 {
		k := min(3, len(s))
		n, unit := 0, 1
		for _, c := range []byte(s[:k]) {
			v := strings.IndexByte(alphabet45, c)
			if v < 0 {
				return nil, ErrBase45
			}
			n += v * unit
			unit *= 45
		}
		switch {
		case k == 3 && n <= 0xFFFF:
			out = append(out, byte(n>>8), byte(n))
		case k == 2 && n <= 0xFF:
			out = append(out, byte(n))
		default:
			return nil, ErrBase45
		}
		s = s[k:]
	}
	return out, nil
}
