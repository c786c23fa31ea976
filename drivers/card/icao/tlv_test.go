package icao

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
)

func TestIndefiniteLengthsBecomeDefinite(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"already definite", "3003020105", "3003020105"},
		{"indefinite sequence", "30800201050000", "3003020105"},
		{"nested", "3080308002010500000000", "30053003020105"},
		{"octets in pieces", "24800401AA0402BBCC0000", "0403AABBCC"},
		{"octets in pieces, definite", "24070401AA0402BBCC", "0403AABBCC"},
		{"length longer than needed", "30820003020105", "3003020105"},
		{"padded file", "30030201050000000000", "3003020105"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Definite(unhex(t, tt.in))
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "definite", got, tt.want)
		})
	}
}

func TestBrokenObjectsAreRefused(t *testing.T) {
	tests := map[string]string{
		"nothing": "", "no length": "30", "cut short": "300301", "primitive of indefinite length": "0480AA0000",
		"never ended": "3080020105", "five bytes of length": "30850000000001AA", "a gigabyte": "30844000000000",
		"tag without end": "1F818181", "too deep": strings.Repeat("3080", 64), "something behind": "300301010505",
	}
	for name, in := range tests {
		if _, err := Definite(unhex(t, in)); !errors.Is(err, ErrTLV) {
			t.Errorf("%s: error = %v, want bad tlv", name, err)
		}
	}
}

func TestFileSizeIsKnownFromItsHead(t *testing.T) {
	for in, want := range map[string]int{"615B": 93, "7782": 0, "77820503": 1287, "7F61820100": 261, "6B": 0} {
		got, err := FileSize(unhex(t, in))
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("FileSize(%s) = %d, %v, want %d", in, got, err, want)
		}
	}
}

// Whatever byte of a real security object is changed: what it says is either
// refused or what it was. Every seventh byte is tried, beginning elsewhere in each
// file: a brainpool signature takes its time.
func TestFlippedBytesOfRealSecurityObjects(t *testing.T) {
	const stride = 7
	for first, name := range []string{"DE1", "FR1", "MY1", "NZ1"} {
		t.Run(name, func(t *testing.T) {
			file, err := os.ReadFile("testdata/" + name + ".sod")
			if err != nil {
				t.Fatal(err)
			}
			want, err := ParseSOD(file)
			if err != nil {
				t.Fatal(err)
			}
			for i := first; i < len(file); i += stride {
				changed := bytes.Clone(file)
				changed[i] ^= 0x55
				got, err := ParseSOD(changed)
				if err != nil {
					continue
				}
				if _, err := got.Verify(); err != nil {
					continue
				}
				if !bytes.Equal(got.signed.Content, want.signed.Content) {
					t.Errorf("byte %d: other content passes", i)
				}
			}
		})
	}
}
