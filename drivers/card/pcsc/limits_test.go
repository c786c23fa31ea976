package pcsc

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/ebfe/scard"
)

// A reader says what a driver's reader may say.
type reader struct {
	input      int    // of its message buffer, -1 when it doesn't say
	properties []byte // nil when it has none
}

const askProperties = 0x42000012

var errUnsupported = errors.New("not supported")

func (r reader) GetAttrib(a scard.Attrib) ([]byte, error) {
	if a != scard.AttrMaxinput || r.input < 0 {
		return nil, errUnsupported
	}
	return binary.NativeEndian.AppendUint32(nil, uint32(r.input)), nil
}

func (r reader) Control(ioctl uint32, _ []byte) ([]byte, error) {
	switch {
	case r.properties == nil:
		return nil, errUnsupported
	case ioctl == scard.CtlCode(getFeatures):
		verifyPIN := []byte{0x06, 4, 0x42, 0, 0, 0x06}
		return append(verifyPIN, featureProperties, 4, 0x42, 0, 0, 0x12), nil
	case ioctl == askProperties:
		return r.properties, nil
	}
	return nil, errUnsupported
}

// The readers of CCID drivers: dwMaxCCIDMessageLength-10 is the buffer, and
// dwMaxAPDUDataSize is 0 for short APDUs, 65536 for long ones, in one message or
// in many.
func TestReadersLimitIsThatOfItsAPDUs(t *testing.T) {
	vendor := []byte{0x0B, 2, 0x34, 0x12}
	property := func(n uint32) []byte {
		return binary.LittleEndian.AppendUint32(append(vendor, propertyMaxAPDU, 4), n)
	}
	for name, c := range map[string]struct {
		reader reader
		want   int
	}{
		"blocks in a short buffer":   {reader{261, property(65536)}, 65536},
		"long APDUs in one message":  {reader{65544, property(65536)}, 65536},
		"short APDUs":                {reader{261, property(0)}, shortAPDU},
		"properties without a limit": {reader{261, vendor}, 261},
		"properties cut off":         {reader{261, property(65536)[:7]}, 261},
		"a buffer and no properties": {reader{2048, nil}, 2048},
		"properties and no buffer":   {reader{-1, property(65535)}, 65535},
		"nothing":                    {reader{-1, nil}, 0},
	} {
		if got := maxTransceive(c.reader); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
