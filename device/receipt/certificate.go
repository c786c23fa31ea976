package receipt

import (
	"fmt"
	"strconv"

	"kosk/device/catalogue"
	"kosk/device/request"
	"kosk/device/text"
)

// holderDatum is the datum that names whose certificate it is, in full: the page is
// for whom it is shown to, the slip only has the mask.
const holderDatum = "holder"

// Certificate is a certificate's page: nothing stands on it but what was signed,
// the words of the catalogue for it, and test where its signer is a test's. So
// who holds the code can draw the page again and compare. The office whose
// kiosk printed it is not on it. Error: the catalogue has no such service.
func Certificate(d request.Document, code string, offer *catalogue.Catalogue, test bool) (Slip, error) {
	service := offer.Service(catalogue.ServiceID(d.Certificate.Service))
	if service == nil {
		return Slip{}, fmt.Errorf("certificate of service %q: not in the catalogue", d.Certificate.Service)
	}
	lang := text.Lang(d.Look.Lang)
	agency := offer.Agency(service.Agency).Name.In(lang)
	s := Slip{
		ID: "certificate " + d.Certificate.Number, Kind: Final, Lang: lang, Office: agency, Test: test, Code: code,
		Number: d.Certificate.Number, Service: service.Name.In(lang),
		Holder: text.Say(text.Az, text.Name, d.Certificate.Holder),
		When:   d.Certificate.IssuedAt,
	}
	for _, datum := range d.Outcome.Data {
		if datum.ID == holderDatum {
			s.Holder = text.Say(text.Az, text.Name, datum.Value)
			continue
		}
		known := service.Datum(datum.ID)
		if known == nil {
			return Slip{}, fmt.Errorf("certificate of service %q: no words for %q", service.ID, datum.ID)
		}
		s.Rows = append(s.Rows, Row{Label: known.Label.In(lang), Value: Value(lang, known, datum.Value, datum.Lang)})
	}
	if len(s.Rows) > 0 {
		s.Rows[len(s.Rows)-1].Source = service.Register.In(lang)
	}
	s.Rows = append(s.Rows, Row{
		Label: text.In(lang, "slip.valid_until"), Value: text.Day(lang, d.Certificate.ValidUntil),
	})
	return s, nil
}

// Value is what a register says, in words: a code's name, a date, a name in its
// own language (az where it doesn't say).
func Value(lang text.Lang, d *catalogue.Datum, value, own string) text.Words {
	if v := d.Value(value); v != nil {
		return v.Name.In(lang)
	}
	switch d.Kind {
	case "date":
		return text.Say(lang, text.Date, value)
	case "name":
		if own == "" {
			own = string(text.Az)
		}
		return text.Say(text.Lang(own), text.Name, value)
	case "money":
		return manats(lang, value)
	}
	return text.Say(lang, text.Plain, value)
}

// manats is a whole sum with its word, in the number that the sum asks for (in
// Russian: 21 манат, 22 маната, 25 манатов).
func manats(lang text.Lang, sum string) text.Words {
	n, err := strconv.Atoi(sum)
	key := text.Key("money.many")
	switch {
	case err != nil || n%100 >= 11 && n%100 <= 14:
	case n%10 == 1:
		key = "money.one"
	case n%10 >= 2 && n%10 <= 4:
		key = "money.few"
	}
	if lang == text.En && key == "money.one" && n != 1 {
		key = "money.many"
	}
	return text.In(lang, key, text.Arg{Name: "n", Words: text.Say(lang, text.Plain, sum)})
}
