package jetstream_test

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kosk/cmd/bus/ledger"
	"kosk/cmd/bus/ledger/jetstream"
	"kosk/cmd/bus/ledger/ledgertest"
)

// BenchmarkAppend appends 3 KB bodies, embedded and to a cluster of three on
// this machine, interleaved with the same disk's raw append and sync: a share of
// each in turn, so that both meet the same disk.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 8, 64, 256} {
		b.Run(fmt.Sprint("embedded/writers=", writers), func(b *testing.B) {
			l, err := jetstream.Open(b.Context(), jetstream.Config{Dir: filepath.Join(b.TempDir(), "ledger"), Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			against(b, l, writers, 0)
		})
	}
	if testing.Short() {
		return
	}
	c := ledgertest.StartCluster(b, "always", [ledgertest.Nodes]string{})
	awaitPeers(b, c)
	for place, writers := range []int{1, 64, 256} {
		b.Run(fmt.Sprint("cluster/writers=", writers), func(b *testing.B) {
			l := onCluster(c, place, filepath.Join(b.TempDir(), "ledger"))(b)
			defer l.Close()
			from := 0
			if err := l.Each(b.Context(), 0, func(ledger.Entry) error { from++; return nil }); err != nil {
				b.Fatal(err)
			}
			against(b, l, writers, from)
		})
	}
}

// against measures appends and raw appends in turn.
func against(b *testing.B, l ledger.Ledger, writers, from int) {
	raw, err := os.OpenFile(filepath.Join(b.TempDir(), "raw"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	defer raw.Close()
	body := make([]byte, 3000)
	var next, ours, theirs int
	var ourTime, theirTime time.Duration
	b.ResetTimer()
	for next < b.N {
		n := min(b.N-next, max(50, 8*writers))
		start := time.Now()
		appendMany(b, l, body, from+next, n, writers)
		ourTime += time.Since(start)
		ours += n
		next += n

		start = time.Now()
		for range 50 {
			if _, err := raw.Write(body); err != nil {
				b.Fatal(err)
			}
			if err := unix.Fdatasync(int(raw.Fd())); err != nil {
				b.Fatal(err)
			}
		}
		theirTime += time.Since(start)
		theirs += 50
	}
	a, r := float64(ours)/ourTime.Seconds(), float64(theirs)/theirTime.Seconds()
	b.ReportMetric(a, "appends/s")
	b.ReportMetric(r, "raw_syncs/s")
	b.ReportMetric(a/r, "of_raw")
}

func appendMany(b *testing.B, l ledger.Ledger, body []byte, from, n, writers int) {
	var all sync.WaitGroup
	var next atomic.Int64
	for range writers {
		all.Go(func() {
			for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
				if _, created, err := l.Append(b.Context(), fmt.Sprint("k/", from+i), body); err != nil || !created {
					b.Error(created, err)
				}
			}
		})
	}
	all.Wait()
}

// BenchmarkOpen opens a ledger of so many entries in a process of its own, as
// whoever starts a bus does, and reports what that takes.
func BenchmarkOpen(b *testing.B) {
	for _, entries := range []int{0, 20_000} {
		b.Run(fmt.Sprint("entries=", entries), func(b *testing.B) {
			dir := filepath.Join(b.TempDir(), "ledger")
			l := inFolder(dir)(b)
			if entries > 0 {
				appendMany(b, l, make([]byte, 3000), 0, entries, 256)
			}
			if err := l.Close(); err != nil {
				b.Fatal(err)
			}
			var opening time.Duration
			var peak int64
			b.ResetTimer()
			for range b.N {
				start := time.Now()
				l := inFolder(dir)(b)
				opening += time.Since(start)
				if err := l.Close(); err != nil {
					b.Fatal(err)
				}
				cmd := exec.CommandContext(b.Context(), os.Args[0])
				cmd.Env = append(os.Environ(), "LEDGER_DIR="+dir, "LEDGER_ROUND=x") // it ends with its empty input
				if err := cmd.Run(); err != nil {
					b.Fatal(err)
				}
				peak = max(peak, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
			}
			b.ReportMetric(float64(opening.Milliseconds())/float64(b.N), "open-ms")
			b.ReportMetric(float64(peak)/1024, "peak-MB")
		})
	}
}
