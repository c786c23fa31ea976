package receipt

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"kosk/device/text"
	"kosk/drivers/printer"
)

// Edition names how certificates are written and drawn: it is another one when a
// word of ours, a font, a line or the drawing has changed. A page can be drawn
// again and compared only by a program of its own edition. It is the beginning of
// a hash over specimens, in 16 hexadecimal digits; draw is the printer's. Error: of
// draw.
func Edition(draw func(printer.Slip) ([]byte, error)) (string, error) {
	hash := sha256.New()
	for _, lang := range text.Langs {
		fmt.Fprintf(hash, "%#v", Compose(specimen(lang)).Lines)
	}
	drawn, err := draw(Compose(specimen(text.Az))) // drawing takes its time: the others have the same letters and styles
	if err != nil {
		return "", fmt.Errorf("edition: %w", err)
	}
	hash.Write(drawn)
	return hex.EncodeToString(hash.Sum(nil)[:8]), nil
}

// specimen is a certificate of nobody with a value of each kind, and all marks.
func specimen(lang text.Lang) Slip {
	const letters = "abcçdeəfgğhxıijkqlmnoöprsştuüvyz АБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ"
	plain := text.Say(lang, text.Plain, letters)
	when := time.Date(2026, time.November, 22, 9, 30, 0, 0, time.UTC)
	s := Slip{
		ID: "specimen", Kind: Final, Lang: lang, Office: plain, Number: "012345678901", Service: plain,
		Holder: text.Say(text.Az, text.Name, "NÜMUNƏ ADI ATASININ ADI"), When: when, Code: "SPECIMEN", Test: true, Copy: true,
	}
	for _, value := range []text.Words{text.Say(lang, text.Date, "2001-02-03"), manats(lang, "1"), manats(lang, "2"), manats(lang, "5"), plain} {
		s.Rows = append(s.Rows, Row{Label: plain, Value: value, Source: plain})
	}
	s.Rows = append(s.Rows, Row{Label: text.In(lang, "slip.valid_until"), Value: text.Day(lang, when)})
	return s
}
