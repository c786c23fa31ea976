package document

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/go-fonts/dejavu/dejavusans"
	"github.com/go-fonts/dejavu/dejavusansbold"
	"github.com/signintech/gopdf/fontmaker/core"
)

// written is every letter that a page can be written with.
const written = "ABCÇDEƏFGĞHXIİJKQLMNOÖPRSŞTUÜVYZWabcçdeəfgğhxıijkqlmnoöprsştuüvyzw" +
	"АБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯабвгдеёжзийклмнопрстуфхцчшщъыьэюя" +
	"0123456789 .,:;!?–—-+*/()«»“”‘’'\"•№%&@#_"

// A letter of parts that have parts (Ы holds І, which is I) is printed whole only
// when the parts of its parts are in the document: here, in both fonts.
func TestLettersAreWhole(t *testing.T) {
	for name, data := range map[string][]byte{"regular": dejavusans.TTF, "bold": dejavusansbold.TTF} {
		var f core.TTFParser
		if err := f.ParseFontData(data); err != nil {
			t.Fatal(err)
		}
		deep := 0
		for _, r := range written {
			glyph, ok := f.Chars()[int(r)]
			if !ok {
				t.Errorf("%s has no %c", name, r)
				continue
			}
			for _, part := range components(&f, glyph) {
				for _, under := range components(&f, part) {
					deep++
					if !slices.ContainsFunc([]rune(parts), func(p rune) bool { return f.Chars()[int(p)] == under }) {
						t.Errorf("%s: %c has a part of a part, glyph %d, that isn't in %q", name, r, under, parts)
					}
				}
			}
		}
		if deep == 0 {
			t.Errorf("%s has no letter made of parts of parts: is it read right?", name)
		}
	}
	for _, letter := range parts {
		if !strings.ContainsRune(written, letter) {
			t.Errorf("%c isn't written", letter)
		}
	}
}

// components are the glyphs that a glyph is made of. OpenType, glyf: composite glyph
// description.
func components(f *core.TTFParser, glyph uint) []uint {
	const words, scale, more, xyScale, twoByTwo = 0x0001, 0x0008, 0x0020, 0x0040, 0x0080
	at, end := f.LocaTable[glyph], f.LocaTable[glyph+1]
	if at == end {
		return nil
	}
	b := f.FontData()[f.GetTables()["glyf"].Offset+at:]
	if int16(binary.BigEndian.Uint16(b)) >= 0 {
		return nil
	}
	var all []uint
	for b = b[10:]; ; {
		flags := binary.BigEndian.Uint16(b)
		all = append(all, uint(binary.BigEndian.Uint16(b[2:])))
		size := 6
		for bit, n := range map[uint16]int{words: 2, scale: 2, xyScale: 4, twoByTwo: 8} {
			if flags&bit != 0 {
				size += n
			}
		}
		if flags&more == 0 {
			return all
		}
		b = b[size:]
	}
}
