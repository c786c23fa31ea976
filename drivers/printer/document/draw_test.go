package document

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kosk/drivers/printer"
)

// certificate is a page as citizens get it.
func certificate() printer.Slip {
	long := strings.Repeat("NCF9SK0T/7K:", 60)
	return printer.Slip{ID: "01JD0000000000000000000000", Lines: []printer.Line{
		{Style: printer.Mark},
		{Style: printer.Strong, Text: "Əmək və Əhalinin Sosial Müdafiəsi Nazirliyi"},
		{Style: printer.Lattice},
		{Style: printer.Heading, Text: "Arayış"},
		{Style: printer.Gap},
		{Style: printer.Small, Text: "Nömrə"},
		{Style: printer.Numerals, Text: "123 4567 8903"},
		{Style: printer.Rule},
		{Style: printer.Small, Text: "Xidmət"},
		{Style: printer.Strong, Text: "İş yerinə dair arayış"},
		{Style: printer.Gap},
		{Style: printer.Small, Text: "Kimə verilib"},
		{Style: printer.Strong, Text: "AY*** MƏ***"},
		{Style: printer.Gap},
		{Style: printer.Small, Text: "İş yeri"},
		{Style: printer.Strong, Text: "“Xəzər Logistika və Nəqliyyat Xidmətləri” Məhdud Məsuliyyətli Cəmiyyəti, Bakı şəhəri, Nərimanov rayonu"},
		{Style: printer.Small, Text: "Vəzifə"},
		{Style: printer.Strong, Text: "Baş mühəndis"},
		{Style: printer.Small, Text: "Работает с"},
		{Style: printer.Strong, Text: "1 марта 2019 г."},
		{Style: printer.Small, Text: "Mənbə: əmək müqavilələri reyestri"},
		{Style: printer.Rule},
		{Style: printer.Strong, Text: "Növbəti addım"},
		{Style: printer.Body, Text: "Arayışı təqdim edin. Onun həqiqiliyi kodla yoxlanılır."},
		{Style: printer.Code, Text: long},
		{Style: printer.Small, Text: "Bu kodla arayışı yoxlamaq olar: kodda arayışın bütün mətni və imzası var."},
		{Style: printer.Lattice},
		{Style: printer.Body, Text: "Təşəkkür edirik"},
		{Style: printer.Reversed, Text: "SINAQ – HÜQUQİ QÜVVƏSİ YOXDUR"},
	}}
}

func TestSamePageSameBytes(t *testing.T) {
	one, err := Draw(certificate())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		two, err := Draw(certificate())
		if err != nil || !bytes.Equal(one, two) {
			t.Fatalf("drawn again it differs, %v", err)
		}
	}
	t.Logf("%d bytes", len(one))
	if dir := os.Getenv("KOSK_PAGES"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, "page.pdf"), one, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
