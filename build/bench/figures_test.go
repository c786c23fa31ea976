package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const printed = `goos: linux
pkg: kosk/drivers/card/pcsc
BenchmarkRead/extended-2         	     100	  10000000 ns/op	        33.00 apdus	       120.5 read-ms
BenchmarkRead/extended-106kbit-2 	       3	        33.00 apdus	       900.0 read-ms
BenchmarkPut/size=2048           	       1	       50.00 puts/s	      200.0 raw/s
BenchmarkBroken-2
PASS
ok  	kosk/drivers/card/pcsc	5.1s
`

func TestFiguresAreTakenFromBenchmarks(t *testing.T) {
	s := source{wants: []want{
		{name: "apdus", bench: "BenchmarkRead/extended", metric: "apdus", unit: "APDUs"},
		{name: "slow", bench: "BenchmarkRead/extended-106kbit", metric: "read-ms", unit: "ms"},
		{name: "puts", bench: "BenchmarkPut/size=2048", metric: "puts/s", unit: "1/s", peer: "a file", peerMetric: "raw/s"},
	}}
	got := map[string]Figure{}
	if err := s.take(parse([]byte(printed)), got); err != nil {
		t.Fatal(err)
	}
	peer, ratio := 200.0, 0.25
	want := map[string]Figure{
		"apdus": {Value: 33, Unit: "APDUs"},
		"slow":  {Value: 900, Unit: "ms"},
		"puts":  {Value: 50, Unit: "1/s", Peer: "a file", PeerValue: &peer, Ratio: &ratio},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// A figure that is not as asked stands in the file all the same.
func TestAFigureThatIsNotAsAskedIsTold(t *testing.T) {
	for name, tt := range map[string]struct {
		least, most float64
		told        bool
	}{
		"nothing asked": {0, 0, false}, "just enough": {33, 33, false}, "too few": {34, 0, true}, "too many": {0, 32, true},
	} {
		got := map[string]Figure{}
		w := want{name: "f", bench: "BenchmarkRead/extended", metric: "apdus", least: tt.least, most: tt.most}
		if err := (source{wants: []want{w}}).take(parse([]byte(printed)), got); (err != nil) != tt.told || got["f"].Value != 33 {
			t.Errorf("%s: %v, %+v", name, err, got)
		}
	}
}

// TestFiguresOfTheLine: whoever follows the queue and the bus finds these names.
func TestFiguresOfTheLine(t *testing.T) {
	units := map[string]string{}
	for _, s := range sources {
		for _, w := range s.wants {
			units[w.name] = w.unit
		}
	}
	for name, unit := range map[string]string{
		"queue.put_2k_x1_of_raw": "ratio", "queue.put_2k_x8_of_raw_group": "ratio", "queue.put_64k_x1_of_raw": "ratio",
		"queue.syncs_per_commit": "syncs", "queue.written_per_byte_64k": "bytes", "bus.submissions_per_s": "1/s", "bus.p99_ms": "ms",
		"bus.of_raw_sync": "ratio", "fleet.drain_of_ideal": "of ideal", "fleet.rejects_percent": "%", "fleet.live_p99_s": "s",
	} {
		if units[name] != unit {
			t.Errorf("%s is in %q, not %q", name, units[name], unit)
		}
	}
}

func TestFigureThatIsNotThereIsTold(t *testing.T) {
	for name, w := range map[string]want{
		"no benchmark": {name: "f", bench: "BenchmarkOther", metric: "apdus"},
		"no metric":    {name: "f", bench: "BenchmarkRead/extended", metric: "bytes"},
		"no peer":      {name: "f", bench: "BenchmarkRead/extended", metric: "apdus", peer: "p", peerMetric: "raw/s"},
	} {
		if err := (source{wants: []want{w}}).take(parse([]byte(printed)), map[string]Figure{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestFiguresAreTakenFromLines(t *testing.T) {
	lines := `{"name":"kiosk.start_ms","value":1100,"unit":"ms"}
{"name":"kiosk.pss_mb","value":93.5,"unit":"MB"}
`
	got := map[string]Figure{}
	if err := takeLines([]byte(lines), got); err == nil || err.Error() != "no kiosk.idle_cpu_percent" {
		t.Errorf("a figure is missing: got %v", err)
	}
	if err := takeLines([]byte(lines+`{"name":"kiosk.idle_cpu_percent","value":0,"unit":"%"}`), got); err != nil {
		t.Error(err)
	}
	want := map[string]Figure{
		"kiosk.start_ms": {Value: 1100, Unit: "ms"}, "kiosk.pss_mb": {Value: 93.5, Unit: "MB"}, "kiosk.idle_cpu_percent": {Unit: "%"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if err := takeLines([]byte("no JSON"), got); err == nil {
		t.Error("what is no JSON is taken")
	}
}
