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
