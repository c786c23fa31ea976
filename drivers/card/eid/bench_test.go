package eid_test

import (
	"testing"
	"time"

	"kosk/drivers/card"
	"kosk/drivers/card/cardtest"
	"kosk/drivers/card/eid"
	"kosk/drivers/card/icao"
	"kosk/drivers/card/vcard"
)

// BenchmarkRead reads the card of the figures, with group 2 of 19,885 bytes, at
// emulated speeds of the link: 106 kbit/s is 13,250 bytes a second. It reports the
// commands, the bytes both ways, the milliseconds until group 1, which has the
// name, is there, and those for the whole.
func BenchmarkRead(b *testing.B) {
	const chipTime = 12 * time.Millisecond
	full := vcard.Profile{Portrait: 19_885}
	with := func(change func(*vcard.Profile)) vcard.Profile {
		p := full
		change(&p)
		return p
	}
	cases := []struct {
		name     string
		profile  vcard.Profile
		portrait bool
	}{
		{"short", with(func(p *vcard.Profile) { p.ShortOnly = true }), true},
		{"extended", full, true},
		{"no-photo", full, false},
		{"no-photo-chip-authentication", with(func(p *vcard.Profile) { p.ChipAuth = true }), false},
		{"no-photo-chip-mapping", with(func(p *vcard.Profile) { p.Mapping = icao.MappingChip }), false},
		{"no-photo-bac", with(func(p *vcard.Profile) { p.BAC = true }), false},
		{"no-photo-106kbit", with(func(p *vcard.Profile) { p.Latency, p.BytesPerSecond = chipTime, 13_250 }), false},
		{"full-424kbit", with(func(p *vcard.Profile) { p.Latency, p.BytesPerSecond = chipTime, 53_000 }), true},
	}
	for _, c := range cases {
		b.Run(c.name, func(b *testing.B) {
			pki, err := vcard.NewPKI()
			if err != nil {
				b.Fatal(err)
			}
			v, err := vcard.New(pki, cardtest.Aygun(), c.profile)
			if err != nil {
				b.Fatal(err)
			}
			person := cardtest.Aygun()
			access, err := eid.MRZ(person.DocumentNumber, icao.DateOf(person.BirthDate), icao.DateOf(person.Expires))
			if err != nil {
				b.Fatal(err)
			}
			var chip *card.Chip
			var name, whole time.Duration
			for b.Loop() {
				begun := time.Now()
				early := func([]byte) { name += time.Since(begun) }
				// A Reader of its own each time: nothing is remembered of the chip.
				if chip, err = eid.New(nil).Read(b.Context(), v, eid.Request{Access: access, Portrait: c.portrait, Early: early}); err != nil {
					b.Fatal(err)
				}
				whole += chip.Took
				if err := v.Close(); err != nil {
					b.Fatal(err)
				}
			}
			n := float64(b.N) * float64(time.Millisecond)
			b.ReportMetric(float64(chip.APDUs), "apdus")
			b.ReportMetric(float64(chip.Bytes), "bytes")
			b.ReportMetric(float64(name)/n, "name-ms")
			b.ReportMetric(float64(whole)/n, "read-ms")
			b.ReportMetric(0, "ns/op") // says nothing: closing is in it
		})
	}
}
