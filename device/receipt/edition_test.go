package receipt_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"kosk/device/receipt"
	"kosk/drivers/printer"
)

// The edition is the same as long as the drawing is, and another one when a single
// line or the drawing changes.
func TestEditionFollowsWordsAndDrawing(t *testing.T) {
	plain := func(s printer.Slip) ([]byte, error) { return json.Marshal(s) }
	first, err := receipt.Edition(plain)
	if again, _ := receipt.Edition(plain); err != nil || again != first || len(first) != 16 {
		t.Errorf("%q, then %q, %v", first, again, err)
	}
	seen := map[string]bool{first: true}
	for name, change := range map[string]func(printer.Slip, []byte) []byte{
		"drawing": func(_ printer.Slip, b []byte) []byte { return append(b, 'y') },
		"a word": func(_ printer.Slip, b []byte) []byte {
			return bytes.ReplaceAll(b, []byte("Etibarlılıq"), []byte("Yararlılıq"))
		},
		"the mark of a copy": func(s printer.Slip, b []byte) []byte {
			if s.Copy {
				return append(b, 'x')
			}
			return b
		},
	} {
		other, err := receipt.Edition(func(s printer.Slip) ([]byte, error) {
			b, err := plain(s)
			return change(s, b), err
		})
		if err != nil || seen[other] {
			t.Errorf("%s: %q again, %v", name, other, err)
		}
		seen[other] = true
	}
	broken := errors.New("no font")
	if _, err := receipt.Edition(func(printer.Slip) ([]byte, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("error = %v", err)
	}
}
