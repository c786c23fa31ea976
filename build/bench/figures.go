package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// A Figure is one measured number, beside that of a peer where there is one: one
// that was measured in the same run, or a count that was taken once and is the same
// on every machine.
type Figure struct {
	Value     float64  `json:"value"`
	Unit      string   `json:"unit"`
	Peer      string   `json:"peer,omitempty"`
	PeerValue *float64 `json:"peer_value,omitempty"`
	Ratio     *float64 `json:"ratio,omitempty"` // value / peer_value
}

// A source is a benchmark, and what is taken from it.
type source struct {
	pkg   string
	bench string // regular expression for -bench
	wants []want
}

// A want is one figure out of a benchmark.
type want struct {
	name   string // of the figure
	bench  string // whole name, without the number of processors
	metric string // as go test prints it
	unit   string // as the figure has it

	least, most float64 // what is asked of it; 0: nothing. A speed beside a raw disk's is asked for by make crash

	peer       string  // who it is measured against, and by which metric
	peerMetric string  // of the same run
	peerCount  float64 // or taken once, for the same card or the same lines
}

// goReader read the same card with short and with extended commands, and without
// its portrait.
const goReader = "a public reader in Go"

// sources say where each figure comes from. A link of 106 kbit/s with 12 ms a
// command is a slow contactless card; the others take no time.
var sources = []source{
	{"./drivers/card/pcsc", "^BenchmarkRead$/^(extended|short|extended-106kbit)$", []want{
		{name: "card.apdus_no_photo", bench: "BenchmarkRead/extended", metric: "apdus", unit: "APDUs", most: 16, peer: goReader, peerCount: 34},
		{name: "card.apdus_no_photo_short", bench: "BenchmarkRead/short", metric: "apdus", unit: "APDUs"},
		{name: "card.name_ms_106kbit", bench: "BenchmarkRead/extended-106kbit", metric: "name-ms", unit: "ms", most: 1200},
		{name: "card.read_ms_106kbit", bench: "BenchmarkRead/extended-106kbit", metric: "read-ms", unit: "ms"},
	}},
	{"./drivers/card/eid", "^BenchmarkRead$", []want{
		{name: "card.apdus_short", bench: "BenchmarkRead/short", metric: "apdus", unit: "APDUs", most: 112, peer: goReader, peerCount: 127},
		{name: "card.apdus_extended", bench: "BenchmarkRead/extended", metric: "apdus", unit: "APDUs", most: 22, peer: goReader, peerCount: 37},
		{name: "card.full_read_ms_424kbit", bench: "BenchmarkRead/full-424kbit", metric: "read-ms", unit: "ms"},
	}},
	{"./drivers/printer/escpos", "^BenchmarkSlip$", []want{
		{name: "slip.bytes", bench: "BenchmarkSlip", metric: "slip.bytes", unit: "bytes", most: 1500, peer: "receipt-printer-encoder, which prints ə as ?", peerCount: 1381},
		{name: "slip.encode_us", bench: "BenchmarkSlip", metric: "slip.encode_us", unit: "µs", most: 1000},
		{name: "slip.seconds_19200", bench: "BenchmarkSlip", metric: "slip.seconds_19200", unit: "s"},
	}},
	{"./offline/queue", "^Benchmark(Put|Commit)$", []want{
		{
			name: "queue.puts_per_s", bench: "BenchmarkPut/size=2048/producers=1", metric: "puts/s", unit: "1/s",
			peer: "a file, appended to and synced", peerMetric: "raw/s",
		},
		{name: "queue.put_2k_x1_of_raw", bench: "BenchmarkPut/size=2048/producers=1", metric: "of-raw", unit: "ratio"},
		{name: "queue.put_2k_x8_of_raw_group", bench: "BenchmarkPut/size=2048/producers=8", metric: "of-raw", unit: "ratio"},
		{name: "queue.put_64k_x1_of_raw", bench: "BenchmarkPut/size=65536/producers=1", metric: "of-raw", unit: "ratio"},
		{name: "queue.syncs_per_commit", bench: "BenchmarkCommit/size=2048/producers=1", metric: "syncs/commit", unit: "syncs", least: 2, most: 2},
		{name: "queue.written_per_byte_64k", bench: "BenchmarkCommit/size=65536/producers=1", metric: "written/byte", unit: "bytes", most: 1.6},
		{name: "queue.written_per_byte_2k", bench: "BenchmarkCommit/size=2048/producers=1", metric: "written/byte", unit: "bytes", most: 16},
		{name: "queue.written_per_byte_2k_x8", bench: "BenchmarkCommit/size=2048/producers=8", metric: "written/byte", unit: "bytes", most: 6},
	}},
	{"./cmd/kiosksim/fleet", "^BenchmarkLoad$", []want{
		{
			name: "bus.submissions_per_s", bench: "BenchmarkLoad", metric: "submissions/s", unit: "1/s",
			peer: "a file, appended to and synced", peerMetric: "raw/s",
		},
		{name: "bus.of_raw_sync", bench: "BenchmarkLoad", metric: "of-raw", unit: "ratio"},
		{name: "bus.accepted_per_s_of_300", bench: "BenchmarkLoad", metric: "kept-up/s", unit: "1/s", least: 0.99 * 300},
		{name: "bus.p99_ms", bench: "BenchmarkLoad", metric: "p99-ms", unit: "ms", most: 250}, // of these
		{name: "bus.failed_percent", bench: "BenchmarkLoad", metric: "failed-%", unit: "%"},
		{name: "bus.cpu_ms", bench: "BenchmarkLoad", metric: "bus-cpu-ms", unit: "ms"}, // for one, with its decision
	}},
	{"./offline/courier", "^BenchmarkFleet$", []want{
		{name: "fleet.drain_of_ideal", bench: "BenchmarkFleet", metric: "of-ideal", unit: "of ideal", most: 1.25},
		{name: "fleet.rejects_percent", bench: "BenchmarkFleet", metric: "rejects-%", unit: "%", most: 5},
		{name: "fleet.live_p99_s", bench: "BenchmarkFleet", metric: "live-p99-s", unit: "s", most: 60},
	}},
}

// kiosk are the figures that kiosksim bench owes.
var kiosk = []string{"kiosk.start_ms", "kiosk.pss_mb", "kiosk.idle_cpu_percent"}

// processors is what go test appends to the name of a benchmark.
var processors = regexp.MustCompile(`-\d+$`)

// parse reads what go test -bench prints: benchmark -> metric -> value.
func parse(printed []byte) map[string]map[string]float64 {
	all := map[string]map[string]float64{}
	for line := range strings.Lines(string(printed)) {
		words := strings.Fields(line)
		if len(words) < 4 || len(words)%2 != 0 || !strings.HasPrefix(words[0], "Benchmark") {
			continue
		}
		metrics := map[string]float64{}
		for i := 2; i < len(words); i += 2 {
			if v, err := strconv.ParseFloat(words[i], 64); err == nil {
				metrics[words[i+1]] = v
			}
		}
		all[processors.ReplaceAllString(words[0], "")] = metrics
	}
	return all
}

// take puts what the source wants of the measured into the figures.
func (s source) take(measured map[string]map[string]float64, figures map[string]Figure) error {
	var missing []error // or not as asked
	for _, w := range s.wants {
		value, ok := measured[w.bench][w.metric]
		if !ok {
			missing = append(missing, fmt.Errorf("%s: %s has no %s", w.name, w.bench, w.metric))
			continue
		}
		if value < w.least || w.most > 0 && value > w.most {
			missing = append(missing, fmt.Errorf("%s: %v %s, asked is from %v to %v", w.name, value, w.unit, w.least, w.most))
		}
		f := Figure{Value: value, Unit: w.unit}
		if peer, ok := measured[w.bench][w.peerMetric]; ok && peer != 0 {
			ratio := value / peer
			f.Peer, f.PeerValue, f.Ratio = w.peer, &peer, &ratio
		} else if w.peerCount != 0 {
			ratio := value / w.peerCount
			f.Peer, f.PeerValue, f.Ratio = w.peer, &w.peerCount, &ratio
		} else if w.peer != "" {
			missing = append(missing, fmt.Errorf("%s: %s has no %s", w.name, w.bench, w.peerMetric))
		}
		figures[w.name] = f
	}
	return errors.Join(missing...)
}

// takeLines puts figures that stand as JSON, each with its name, into the figures.
func takeLines(printed []byte, figures map[string]Figure) error {
	dec := json.NewDecoder(bytes.NewReader(printed))
	for {
		var line struct {
			Name string `json:"name"`
			Figure
		}
		err := dec.Decode(&line)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		figures[line.Name] = line.Figure
	}
	var missing []error
	for _, name := range kiosk {
		if _, ok := figures[name]; !ok {
			missing = append(missing, fmt.Errorf("no %s", name))
		}
	}
	return errors.Join(missing...)
}
