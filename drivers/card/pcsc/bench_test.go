package pcsc_test

import (
	"context"
	"testing"
	"time"

	"kosk/drivers/card"
	"kosk/drivers/card/cardtest"
	"kosk/drivers/card/eid"
	"kosk/drivers/card/pcsc"
	"kosk/drivers/card/vcard"
)

// The links of the figures: what a byte and a command cost on the chip's side.
// 106 kbit/s is 13,250 bytes a second, 424 kbit/s four times that.
var links = []struct {
	name    string
	profile vcard.Profile
}{
	{"extended", vcard.Profile{}},
	{"short", vcard.Profile{ShortOnly: true}},
	{"extended-106kbit", vcard.Profile{BytesPerSecond: 13_250, Latency: 12 * time.Millisecond}},
	{"extended-424kbit", vcard.Profile{BytesPerSecond: 53_000, Latency: 12 * time.Millisecond}},
	{"short-106kbit", vcard.Profile{ShortOnly: true, BytesPerSecond: 13_250, Latency: 12 * time.Millisecond}},
}

// BenchmarkRead reads a holder without portrait through the real daemon and
// reports the figures of make bench: apdus (card.apdus_no_photo on the extended
// link), the bytes both ways, the milliseconds until group 1, which has the name,
// is there, and for the whole.
func BenchmarkRead(b *testing.B) {
	for _, link := range links {
		b.Run(link.name, func(b *testing.B) {
			slot := cardtest.Slot(b)
			pki, err := vcard.NewPKI()
			if err != nil {
				b.Fatal(err)
			}
			insert(b, slot, pki, link.profile)
			r, err := pcsc.Open("", nil)
			if err != nil {
				b.Fatal(err)
			}
			awaitCard(b, r)
			var last *card.Chip
			var name, whole time.Duration
			for b.Loop() {
				chip, early := readOnce(b, r)
				last, name, whole = chip, name+early, whole+chip.Took
			}
			n := float64(b.N) * float64(time.Millisecond)
			b.ReportMetric(float64(last.APDUs), "apdus")
			b.ReportMetric(float64(last.Bytes), "bytes")
			b.ReportMetric(float64(name)/n, "name-ms")
			b.ReportMetric(float64(whole)/n, "read-ms")
			b.ReportMetric(0, "ns/op") // says nothing: connecting is in it
			if err := slot.Close(); err != nil {
				b.Error(err)
			}
		})
	}
}

func readOnce(b *testing.B, r *pcsc.Reader) (*card.Chip, time.Duration) {
	b.Helper()
	c, err := r.Connect(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	var early time.Duration
	begun := time.Now()
	chip, err := eid.New(nil).ReadHolder(b.Context(), c, "123456", func([]byte) { early = time.Since(begun) })
	if err != nil {
		b.Fatal(err)
	}
	return chip, early
}

func awaitCard(t testing.TB, r *pcsc.Reader) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	seen := false
	_ = r.Watch(ctx, func(e card.Event) {
		if e.Kind == card.MediaInserted {
			seen = true
			cancel()
		}
	})
	if !seen {
		t.Fatal("the card is not seen")
	}
}
