package icao

import (
	"errors"
	"fmt"
)

// ErrAPDU says that bytes are no command or response APDU, ISO 7816-3, 12.1.
var ErrAPDU = errors.New("bad apdu")

// Instructions, ISO 7816-4, 11, and where the protocol bends them ICAO 9303-11, 4.
const (
	INSManageEnvironment    = 0x22 // MANAGE SECURITY ENVIRONMENT
	INSGeneralAuthenticate  = 0x86
	INSExternalAuthenticate = 0x82
	INSGetChallenge         = 0x84
	INSInternalAuthenticate = 0x88
	INSSelect               = 0xA4
	INSReadBinary           = 0xB0
	INSReadBinaryOdd        = 0xB1 // offset and data in data objects, for files over 32 KiB
	INSGetResponse          = 0xC0
)

// Status words, ISO 7816-4, 5.6.
const (
	SWDone            = 0x9000
	SWEndOfFile       = 0x6282 // fewer bytes than asked for: the file ends here
	SWSecurityStatus  = 0x6982
	SWNoSecureObjects = 0x6987
	SWBadSecureObject = 0x6988
	SWWrongLength     = 0x6700
	SWWrongData       = 0x6A80
	SWNotFound        = 0x6A82
	SWWrongOffset     = 0x6B00
	SWUnknownINS      = 0x6D00
	SWUnknownClass    = 0x6E00
)

// Most bytes of data a response can carry in the two forms.
const (
	MaxShort    = 256
	MaxExtended = 65536
)

// A Command is a command APDU. Le is how many bytes of answer are awaited: 0 is
// none, MaxShort and MaxExtended are as many as there are.
type Command struct {
	CLA, INS, P1, P2 byte
	Data             []byte
	Le               int
}

// Extended says whether the command needs the long form of its lengths.
func (c Command) Extended() bool { return len(c.Data) > 255 || c.Le > MaxShort }

// Bytes encodes the command, short where that is enough, ISO 7816-3, 12.1.3.
func (c Command) Bytes() ([]byte, error) {
	if len(c.Data) > 65535 || c.Le < 0 || c.Le > MaxExtended {
		return nil, fmt.Errorf("%w: %d bytes of data, %d awaited", ErrAPDU, len(c.Data), c.Le)
	}
	out := make([]byte, 0, 9+len(c.Data))
	out = append(out, c.CLA, c.INS, c.P1, c.P2)
	if !c.Extended() {
		if len(c.Data) > 0 {
			out = append(append(out, byte(len(c.Data))), c.Data...)
		}
		if c.Le > 0 {
			out = append(out, byte(c.Le))
		}
		return out, nil
	}
	out = append(out, 0)
	if len(c.Data) > 0 {
		out = append(append(out, byte(len(c.Data)>>8), byte(len(c.Data))), c.Data...)
	}
	if c.Le > 0 {
		out = append(out, byte(c.Le>>8), byte(c.Le))
	}
	return out, nil
}

// ParseCommand reads a command APDU as a chip does.
func ParseCommand(b []byte) (Command, error) {
	if len(b) < 4 {
		return Command{}, fmt.Errorf("%w: command of %d bytes", ErrAPDU, len(b))
	}
	c := Command{CLA: b[0], INS: b[1], P1: b[2], P2: b[3]}
	body := b[4:]
	switch {
	case len(body) == 0:
		return c, nil
	case len(body) == 1:
		c.Le = orMax(int(body[0]), MaxShort)
		return c, nil
	case body[0] == 0 && len(body) >= 3:
		return parseExtended(c, body[1:])
	}
	n := int(body[0])
	switch {
	case n == 0 || len(body) < 1+n || len(body) > 2+n:
		return Command{}, fmt.Errorf("%w: length %d of %d", ErrAPDU, n, len(body))
	case len(body) == 2+n:
		c.Le = orMax(int(body[1+n]), MaxShort)
	}
	c.Data = body[1 : 1+n]
	return c, nil
}

func parseExtended(c Command, body []byte) (Command, error) {
	n := int(body[0])<<8 | int(body[1])
	if len(body) == 2 {
		c.Le = orMax(n, MaxExtended)
		return c, nil
	}
	switch {
	case n == 0:
		return Command{}, fmt.Errorf("%w: no data", ErrAPDU)
	case len(body) == 4+n:
		c.Le = orMax(int(body[2+n])<<8|int(body[3+n]), MaxExtended)
	case len(body) != 2+n:
		return Command{}, fmt.Errorf("%w: length %d of %d", ErrAPDU, n, len(body)-2)
	}
	c.Data = body[2 : 2+n]
	return c, nil
}

func orMax(n, most int) int {
	if n == 0 {
		return most
	}
	return n
}

// A Response is a response APDU.
type Response struct {
	Data []byte
	SW   uint16
}

// ParseResponse reads a response APDU.
func ParseResponse(b []byte) (Response, error) {
	n := len(b) - 2
	if n < 0 || n > MaxExtended {
		return Response{}, fmt.Errorf("%w: response of %d bytes", ErrAPDU, len(b))
	}
	return Response{Data: b[:n:n], SW: uint16(b[n])<<8 | uint16(b[n+1])}, nil
}

// Bytes encodes the response.
func (r Response) Bytes() []byte {
	out := make([]byte, 0, len(r.Data)+2)
	return append(append(out, r.Data...), byte(r.SW>>8), byte(r.SW))
}
