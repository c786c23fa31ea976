package dots

import (
	"fmt"

	"github.com/boombuler/barcode/qr"
)

// A Level is how much of a QR code may be lost, ISO/IEC 18004, 6.5.
type Level int

// The levels in use.
const (
	LevelL Level = iota // 7 %
	LevelM              // 15 %
	LevelQ              // 25 %
	LevelH              // 30 %
)

// QR draws text as a QR code, one dot a module, without its quiet zone.
func QR(text string, level Level) (*Bitmap, error) {
	if text == "" || level < LevelL || level > LevelH {
		return nil, fmt.Errorf("qr code of %d bytes at level %d: nothing to draw", len(text), level)
	}
	code, err := qr.Encode(text, []qr.ErrorCorrectionLevel{qr.L, qr.M, qr.Q, qr.H}[level], qr.Auto)
	if err != nil {
		return nil, fmt.Errorf("qr code of %d bytes: %w", len(text), err)
	}
	return FromImage(code), nil
}

// codewords is how many bytes of data a QR code of each version holds at levels
// L and M: ISO/IEC 18004, table 7.
var codewords = [2][40]int{
	{
		19, 34, 55, 80, 108, 136, 156, 194, 232, 274, 324, 370, 428, 461, 523, 589, 647, 721, 795, 861,
		932, 1006, 1094, 1174, 1276, 1370, 1468, 1531, 1631, 1735, 1843, 1955, 2071, 2191, 2306, 2434, 2566, 2702, 2812, 2956,
	},
	{
		16, 28, 44, 64, 86, 108, 124, 154, 182, 216, 254, 290, 334, 365, 415, 453, 507, 563, 627, 669,
		714, 782, 860, 914, 1000, 1062, 1128, 1193, 1267, 1373, 1455, 1541, 1631, 1725, 1812, 1914, 1992, 2102, 2216, 2334,
	},
}

// Modules is the side of the QR code that QR would draw at LevelL or LevelM,
// found without drawing it; 0 when no code holds the text.
func Modules(text string, level Level) int {
	if text == "" || level > LevelM {
		return 0
	}
	for i, words := range codewords[level] {
		if payload(text, i+1) <= 8*words {
			return 17 + 4*(i+1)
		}
	}
	return 0
}

// payload is the bits of text in one segment: mode, count and data,
// ISO/IEC 18004, 7.4.
func payload(text string, version int) int {
	band := 0
	if version > 9 {
		band = 1
	}
	if version > 26 {
		band = 2
	}
	switch n := len(text); mode(text) {
	case numeric:
		return 4 + [3]int{10, 12, 14}[band] + n/3*10 + [3]int{0, 4, 7}[n%3]
	case alphanumeric:
		return 4 + [3]int{9, 11, 13}[band] + n/2*11 + n%2*6
	default:
		return 4 + [3]int{8, 16, 16}[band] + n*8
	}
}

const (
	numeric = iota
	alphanumeric
	octets
)

func mode(text string) int {
	m := numeric
	for _, c := range []byte(text) {
		switch {
		case c >= '0' && c <= '9':
		case c >= 'A' && c <= 'Z', c == ' ', c == '$', c == '%', c == '*', c == '+', c == '-', c == '.', c == '/', c == ':':
			m = alphanumeric
		default:
			return octets
		}
	}
	return m
}
