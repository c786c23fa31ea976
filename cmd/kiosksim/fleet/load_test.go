package fleet

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"
)

// asked is the rate that one machine must hold.
const asked = 300

// BenchmarkLoad runs the load program: five hundred kiosks send at the rate that
// is asked, and then as fast as the bus answers, in turn with the disk alone.
func BenchmarkLoad(b *testing.B) {
	path := buildBus(b)
	for range b.N {
		r, err := Load(b.Context(), LoadOptions{
			Bus: path, Dir: b.TempDir(), Kiosks: 500, Rate: asked, For: 20 * time.Second, Capacity: 9 * time.Second, Say: io.Discard,
		})
		must(b, err)
		b.ReportMetric(r.Most, "submissions/s")
		b.ReportMetric(r.Raw, "raw/s")
		b.ReportMetric(r.OfRaw, "of-raw")
		b.ReportMetric(r.PerSecond, "kept-up/s")
		b.ReportMetric(r.P99, "p99-ms")
		b.ReportMetric(100*float64(r.Rejects+r.Errors)/float64(r.Rejects+r.Errors+r.Accepted), "failed-%")
		b.ReportMetric(1000*r.BusCPU/float64(max(1, r.Accepted)), "bus-cpu-ms")
		b.ReportMetric(0, "ns/op") // a run has its length by order
	}
}

// TestLoad sees what the report must say, on a small fleet: the bus's own count
// is the one that counts.
func TestLoad(t *testing.T) {
	path := buildBus(t)
	for name, proofs := range map[string]bool{"without proofs": false, "with proofs": true} {
		t.Run(name, func(t *testing.T) {
			r, err := Load(t.Context(), LoadOptions{
				Bus: path, Dir: t.TempDir(), Kiosks: 8, Rate: 20, For: 2 * time.Second, Capacity: 500 * time.Millisecond, Proofs: proofs,
				Say: io.Discard,
			})
			must(t, err)
			if r.Accepted != 40 || r.Rejects+r.Errors != 0 || r.P99 <= 0 || r.P99 < r.P50 || r.Proofs != proofs {
				t.Errorf("%+v", r)
			}
			if r.Counted.Accepted <= r.Accepted || r.Counted.Effects != r.Counted.Accepted || r.Counted.Duplicates+r.Counted.Refused != 0 {
				t.Errorf("the bus counts %+v", r.Counted)
			}
			if r.Raw <= 0 || r.Most <= 0 || r.BusCPU <= 0 || r.BusMB <= 1 || r.GeneratorMB <= 1 {
				t.Errorf("not measured: %+v", r)
			}
			var page bytes.Buffer
			must(t, r.Print(&page))
			for _, word := range []string{"accepted", "duplicates", "rejects", "p50", "p99", "processor", "MB", "synced appends"} {
				if !strings.Contains(page.String(), word) {
					t.Errorf("no %s:\n%s", word, &page)
				}
			}
		})
	}
}

// Whom the bus turns away is told, and is not tried again.
func TestLoadTellsRejects(t *testing.T) {
	r, err := Load(t.Context(), LoadOptions{
		Bus: buildBus(t), Dir: t.TempDir(), Kiosks: 2, Rate: 50, For: time.Second, Say: io.Discard, Flags: []string{"--rate", "5"},
	})
	must(t, err)
	if r.Rejects == 0 || r.Accepted == 0 || r.Accepted+r.Rejects != 50 || r.Errors != 0 || len(r.Failures) == 0 {
		t.Errorf("%+v", r)
	}
}

// A fleet of real couriers delivers everything that it held, and no more.
func TestOutage(t *testing.T) {
	r, err := Outage(t.Context(), OutageOptions{
		Bus: buildBus(t), Kiosk: kiosks(), Dir: t.TempDir(), Processes: 2, Each: 2, Backlog: 6, Rate: 20, Live: 1, Say: io.Discard,
	})
	must(t, err)
	if want := 24 + r.Live; r.Tally.Delivered < want || r.Counted.Accepted != r.Tally.Delivered || r.Counted.Effects != r.Counted.Accepted {
		t.Errorf("%+v, want at least %d delivered", r, want)
	}
	if r.Tally.Parked+r.Tally.Unverified != 0 || r.Drain <= 0 || r.Ideal <= 0 {
		t.Errorf("%+v", r)
	}
	var page bytes.Buffer
	if err := r.Print(&page); err != nil || !strings.Contains(page.String(), "ideal") {
		t.Errorf("%v\n%s", err, &page)
	}
}
