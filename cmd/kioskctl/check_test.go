package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"kosk/device/config"
	"kosk/device/provision"
	"kosk/device/seal/sealtest"
	"kosk/drivers/printer"
	"kosk/offline"
	"kosk/offline/queue"
)

func TestTableAndJSONSayTheSame(t *testing.T) {
	r := report{Version: 1, At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Station: "KIOSK-001", Config: "/etc/kosk/kiosk.toml", Checks: []row{
		good("reader “A”, no card in it").of("card"),
		failed("no paper", "put in a new roll and close the cover, and then, because a long advice has to be read as well, go on").with("mm", 1.5).of("printer"),
		warned("a word", "see that").of("clock"),
	}}
	r.sum(1234 * time.Millisecond)
	var table, js bytes.Buffer
	if err := errors.Join(r.table(&table), r.json(&js)); err != nil {
		t.Fatal(err)
	}
	wantTable := `card      ok    reader “A”, no card in it
printer   fail  no paper
                -> put in a new roll and close the cover, and then, because a
                   long advice has to be read as well, go on
clock     warn  a word
                -> see that

1 ok, 1 warned, 1 failed in 1.2 s
`
	if d := cmp.Diff(wantTable, table.String()); d != "" {
		t.Error(d)
	}
	wantJSON := `{
  "v": 1,
  "at": "2026-01-02T03:04:05Z",
  "station": "KIOSK-001",
  "config": "/etc/kosk/kiosk.toml",
  "deep": false,
  "ok": false,
  "warned": 1,
  "failed": 1,
  "took_ms": 1234,
  "checks": [
    {
      "component": "card",
      "state": "ok",
      "seen": "reader “A”, no card in it",
      "do": "",
      "took_ms": 0
    },
    {
      "component": "printer",
      "state": "fail",
      "seen": "no paper",
      "do": "put in a new roll and close the cover, and then, because a long advice has to be read as well, go on",
      "figures": {
        "mm": 1.5
      },
      "took_ms": 0
    },
    {
      "component": "clock",
      "state": "warn",
      "seen": "a word",
      "do": "see that",
      "took_ms": 0
    }
  ]
}
`
	if d := cmp.Diff(wantJSON, js.String()); d != "" {
		t.Error(d)
	}
}

// A part that hangs in the kernel, and heeds no context, must not keep the
// others from the technician.
func TestAPartThatHangsIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		begun := time.Now()
		rows := part{[]string{"queue", "printer", "sound"}, time.Minute, func(_ context.Context, tell func(row)) {
			tell(good("there"))
			<-hang
			tell(good("too late"))
			tell(good("too late"))
		}}.collect(t.Context())
		close(hang)
		if took := time.Since(begun); took != time.Minute+grace {
			t.Errorf("took %v", took)
		}
		var got []string
		for _, r := range rows {
			got = append(got, fmt.Sprint(r.Component, " ", r.State))
		}
		if d := cmp.Diff([]string{"queue ok", "printer fail", "sound fail"}, got); d != "" {
			t.Error(d)
		}
	})
}

func TestAllPartsEndWithinAMinute(t *testing.T) {
	if most := diskTime + grace + partTime + grace; most > time.Minute {
		t.Errorf("%v", most)
	}
}

// judged compares what is said of a case; what isn't ok must say what to do.
func judged(t *testing.T, name string, r row, want verdict, words string) {
	t.Helper()
	if r.State != want || !strings.Contains(r.Seen, words) || (r.Do == "") != (want == fine) {
		t.Errorf("%s: %s, seen %q, do %q; want %s with %q", name, r.State, r.Seen, r.Do, want, words)
	}
}

func TestLamps(t *testing.T) {
	for name, c := range map[string]struct {
		lamps config.Lamps
		want  verdict
		seen  string
	}{
		"none":                    {config.Lamps{Make: "none"}, fine, "no lamps"},
		"a file":                  {config.Lamps{Make: "desk", File: "/nowhere/lamps.jsonl"}, fine, "/nowhere/lamps.jsonl"},
		"a chip that is not here": {config.Lamps{Make: "gpio", Chip: "no such chip", CardReader: "7"}, failure, "unplugged"},
	} {
		k := checker{cfg: config.Config{Lamps: c.lamps}, log: slog.New(slog.DiscardHandler)}
		judged(t, name, k.lamps(t.Context()), c.want, c.seen)
	}
}

func TestSkew(t *testing.T) {
	for ahead, want := range map[time.Duration]struct {
		state verdict
		words string
	}{
		0: {fine, "as the bus's"}, -300 * time.Millisecond: {fine, "as the bus's"}, 60 * time.Second: {fine, "1m0s ahead"},
		61 * time.Second: {warning, "1m1s ahead"}, -61 * time.Second: {warning, "1m1s behind"},
		11 * time.Minute: {failure, "ahead"}, -24 * time.Hour: {failure, "24h0m0s behind"},
	} {
		judged(t, ahead.String(), judgeSkew(ahead), want.state, want.words)
	}
}

func TestCertificateOfTheStation(t *testing.T) {
	begin, end := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC)
	key := sealtest.Key(t)
	model := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "KIOSK-001"}, NotBefore: begin, NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, model, model, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	s := &provision.Station{Name: "KIOSK-001", Certificate: tls.Certificate{Certificate: [][]byte{der}}}
	day := 24 * time.Hour
	judged(t, "before", judgeCertificate(s, begin.Add(-day)), failure, "begins on 2026-01-01")
	judged(t, "within", judgeCertificate(s, begin.Add(day)), fine, "until 2028-01-01")
	judged(t, "last month", judgeCertificate(s, end.Add(-29*day)), warning, "ends on 2028-01-01")
	judged(t, "over", judgeCertificate(s, end.Add(time.Second)), failure, "ended on 2028-01-01")
}

func TestQueueThatIsNotWell(t *testing.T) {
	now := time.Now()
	well := queue.Stats{Room: 5 << 20, Queued: 3, Oldest: now.Add(-time.Hour)}
	judged(t, "well", judgeQueue(well, now), fine, "")
	old, parked, full := well, well, well
	old.Oldest, parked.Parked, full.Room = now.Add(-25*time.Hour), 1, usualBody-1
	judged(t, "old", judgeQueue(old, now), warning, "the oldest since")
	judged(t, "parked", judgeQueue(parked, now), warning, "")
	judged(t, "full", judgeQueue(full, now), failure, "full")
}

func TestDiskThatIsNotWell(t *testing.T) {
	const plenty = 1 << 40
	well := unix.Statfs_t{Type: unix.EXT4_SUPER_MAGIC, Files: 1 << 20, Ffree: 1 << 19}
	memory, files := well, well
	memory.Type, files.Ffree = unix.TMPFS_MAGIC, 10
	fast := time.Millisecond
	judged(t, "well", judgeDisk(well, plenty, leastFree, fast), fine, "")
	judged(t, "full", judgeDisk(well, leastFree-1, leastFree, fast), failure, "")
	judged(t, "no files", judgeDisk(files, plenty, leastFree, fast), failure, "files")
	judged(t, "dying", judgeDisk(well, plenty, leastFree, 2*time.Second), failure, "")
	judged(t, "in memory", judgeDisk(memory, plenty, leastFree, fast), warning, "memory")
	judged(t, "tight", judgeDisk(well, leastFree, leastFree+1, fast), warning, "queue")
	judged(t, "slow", judgeDisk(well, plenty, leastFree, 2*slowSync), warning, "")
}

func TestDiskLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	c := checker{cfg: config.Config{State: config.State{Dir: dir}, Queue: config.Queue{MaxMB: 8}}}
	r := c.disk(t.Context())
	if r.Figures["sync_ms"] <= 0 || r.Figures["sync_worst_ms"] < r.Figures["sync_ms"] || r.Figures["free_mb"] <= 0 {
		t.Errorf("%+v", r)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestEveryPrinterErrorHasItsOwnAdvice(t *testing.T) {
	said := map[string]error{}
	for _, err := range []error{
		printer.ErrNoPaper, printer.ErrCoverOpen, printer.ErrCutter, printer.ErrJammed, printer.ErrOffline,
		printer.ErrUnplugged, printer.ErrMute, printer.ErrTooLong, errors.New("something else"),
	} {
		r := printerTrouble(config.Printer{Path: "/dev/ttyS0"}, fmt.Errorf("print slip: %w", err))
		judged(t, err.Error(), r, failure, "")
		if other, double := said[r.Seen]; double {
			t.Errorf("%v and %v are both %q", err, other, r.Seen)
		}
		said[r.Seen] = err
	}
}

func TestBusTroublesAreToldApart(t *testing.T) {
	said := map[string]string{}
	for name, f := range map[string]*offline.Fault{
		"certificate": {Type: "line.certificate", Err: offline.ErrBusIdentity},
		"alert":       {Type: "line.alert", Err: offline.ErrLineDown},
		"cable":       {Type: "line.dial", Err: offline.ErrLineDown},
		"struck off":  {Type: "server.accessdenied", Status: 500, Err: offline.ErrRefused},
		"garbled":     {Type: "answer.malformed", Status: 200, Err: offline.ErrAgency},
	} {
		r := busTrouble("https://bus:1", fmt.Errorf("ask the time: %w", f))
		judged(t, name, r, failure, "https://bus:1")
		if other, double := said[r.Do]; double {
			t.Errorf("%s and %s have the same advice", name, other)
		}
		said[r.Do] = name
	}
}

// edid is a base block with a picture of so many millimetres.
func edid(width, height int) []byte {
	b := make([]byte, edidLength)
	copy(b, edidHeader)
	t := b[edidTiming:]
	t[0], t[12], t[13], t[14] = 1, byte(width), byte(height), byte(width>>8<<4|height>>8)
	sum := byte(0)
	for _, v := range b {
		sum += v
	}
	b[edidLength-1] = -sum
	return b
}

func TestPanelAgainstItsOwnWord(t *testing.T) {
	connect := func(status string, block []byte) string {
		sys := t.TempDir()
		dir := filepath.Join(sys, "class/drm/card0-HDMI-A-1")
		if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "edid"), block, 0o600),
			os.WriteFile(filepath.Join(dir, "status"), []byte(status+"\n"), 0o600)); err != nil {
			t.Fatal(err)
		}
		return sys
	}
	for name, tt := range map[string]struct {
		width float64
		sys   string
		want  verdict
		words string
	}{
		"no panel":               {268, t.TempDir(), fine, "no panel that says"},
		"as it says":             {598, connect("connected", edid(597, 336)), fine, "597 x 336"},
		"standing upright":       {336, connect("connected", edid(597, 336)), fine, "597 x 336"},
		"another panel":          {268, connect("connected", edid(597, 336)), warning, "but the panel says 597 x 336"},
		"unplugged":              {268, connect("disconnected", edid(597, 336)), fine, "no panel that says"},
		"garbage":                {268, connect("connected", []byte("garbage")), fine, "no panel that says"},
		"pixels like no panel's": {1900, t.TempDir(), failure, "no panel is so"},
	} {
		c := checker{cfg: config.Default(), sys: tt.sys}
		c.cfg.Panel.WidthMM = tt.width
		judged(t, name, c.panel(t.Context()), tt.want, tt.words)
	}
}

func FuzzSizeOf(f *testing.F) {
	f.Add(edid(597, 336))
	f.Add(edid(0, 0))
	f.Add([]byte(edidHeader))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, ok := sizeOf(b)
		if ok && (s.width < 1 || s.width > 4095 || s.height < 1 || s.height > 4095) {
			t.Errorf("%+v", s)
		}
	})
}
