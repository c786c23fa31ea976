package dots

import (
	"errors"
	"fmt"
	"strings"

	"github.com/boombuler/barcode"
	"github.com/boombuler/barcode/codabar"
	"github.com/boombuler/barcode/code128"
	"github.com/boombuler/barcode/code39"
	"github.com/boombuler/barcode/code93"
	"github.com/boombuler/barcode/ean"
	"github.com/boombuler/barcode/twooffive"
)

// Bars draws text as a bar code, one dot a module and one dot high, and says what
// is read from it: an EAN has a check digit more. The kinds are EAN (of 7, 8, 12
// or 13 digits), UPC-A, CODE39, ITF, CODABAR, CODE93 and CODE128.
func Bars(kind, text string) (b *Bitmap, read string, err error) {
	code, err := bars(kind, text)
	if err != nil {
		return nil, "", fmt.Errorf("bar code %s of %d bytes: %w", kind, len(text), err)
	}
	b = New(code.Bounds().Dx(), 1)
	for x := range b.W {
		if r, _, _, _ := code.At(x, 0).RGBA(); r == 0 {
			b.Set(x, 0)
		}
	}
	return b, code.Content(), nil
}

func bars(kind, text string) (barcode.Barcode, error) {
	switch kind {
	case "EAN":
		return ean.Encode(text)
	case "UPC-A": // it is an EAN that begins with 0
		return ean.Encode("0" + text)
	case "CODE39":
		return code39.Encode(strings.Trim(text, "*"), false, false)
	case "ITF":
		return twooffive.Encode(text, true)
	case "CODABAR":
		return codabar.Encode(text)
	case "CODE93":
		return code93.Encode(text, true, false)
	case "CODE128":
		return code128.Encode(text)
	}
	return nil, errors.New("no such kind")
}
