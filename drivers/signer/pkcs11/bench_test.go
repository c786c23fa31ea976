package pkcs11_test

import (
	"testing"
	"time"

	"kosk/drivers/card/cardtest"
	"kosk/drivers/card/vcard"
	"kosk/drivers/signer"
)

// BenchmarkSign opens the card's keys and signs once with PIN1, through OpenSC and
// the real daemon, and reports commands and milliseconds of both together.
func BenchmarkSign(b *testing.B) {
	for _, link := range []struct {
		name    string
		profile vcard.Profile
	}{
		{"fast", vcard.Profile{}},
		{"106kbit", vcard.Profile{BytesPerSecond: 13_250, Latency: 12 * time.Millisecond}},
	} {
		b.Run(link.name, func(b *testing.B) {
			d := newDesk(b)
			c := d.insert(cardtest.Aygun(), link.profile)
			before := c.Commands()
			var opening, signing time.Duration
			for b.Loop() {
				begun := time.Now()
				s := d.open()
				opening += time.Since(begun)
				begun = time.Now()
				if _, err := sign(b.Context(), s, signer.Authentication); err != nil {
					b.Fatal(err)
				}
				signing += time.Since(begun)
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			}
			n := float64(b.N)
			b.ReportMetric(float64(c.Commands()-before)/n, "apdus")
			b.ReportMetric(opening.Seconds()*1000/n, "open-ms")
			b.ReportMetric(signing.Seconds()*1000/n, "sign-ms")
			b.ReportMetric(0, "ns/op") // it is the sum of both
			if err := d.slot.Close(); err != nil {
				b.Error(err)
			}
		})
	}
}
