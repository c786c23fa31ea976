package receipt_test

import (
	"testing"

	"kosk/device/catalogue"
	"kosk/device/receipt"
	"kosk/device/text"
)

func TestMoneyHasItsWord(t *testing.T) {
	datum := &catalogue.Datum{ID: "amount", Kind: "money"}
	for _, c := range []struct{ sum, az, ru, en string }{
		{"1", "1 manat", "1 манат", "1 manat"},
		{"3", "3 manat", "3 маната", "3 manats"},
		{"11", "11 manat", "11 манатов", "11 manats"},
		{"21", "21 manat", "21 манат", "21 manats"},
		{"30", "30 manat", "30 манатов", "30 manats"},
		{"30.50", "30.50 manat", "30.50 манатов", "30.50 manats"},
	} {
		for lang, want := range map[text.Lang]string{text.Az: c.az, text.Ru: c.ru, text.En: c.en} {
			if got := receipt.Value(lang, datum, c.sum, "").String(); got != want {
				t.Errorf("%s in %s: %q, want %q", c.sum, lang, got, want)
			}
		}
	}
}
