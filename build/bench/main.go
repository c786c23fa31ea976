// Command bench measures Köşk and writes the figures as one flat JSON object:
//
//	"queue.puts_per_s": {"value": 1, "unit": "1/s", "peer": "...", "peer_value": 2, "ratio": 0.5}
//
// Some come from Go benchmarks, by the table in figures.go, the kiosk's own from
// kiosksim bench. A figure that could not be had, or is not as asked, is told, and fails the run.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// limit is how long one source of figures may take, building it included.
const limit = 10 * time.Minute

func main() {
	bin := flag.String("bin", "out/bin", "folder of the programs")
	out := flag.String("out", "out/bench.json", "where the figures go")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *bin, *out); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures everything, one after the other, and writes what it has got even
// when something failed.
func run(ctx context.Context, bin, out string) error {
	figures := map[string]Figure{}
	var failed []error
	for _, s := range sources {
		printed, err := output(ctx, "go", "test", "-run=^$", "-bench="+s.bench, "-timeout="+limit.String(), s.pkg)
		if err == nil {
			err = s.take(parse(printed), figures)
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s %s: %w", s.pkg, s.bench, err))
		}
	}
	printed, err := output(ctx, filepath.Join(bin, "kiosksim"), "bench")
	if err == nil {
		err = takeLines(printed, figures)
	}
	if err != nil {
		failed = append(failed, fmt.Errorf("kiosksim: %w", err))
	}
	b, err := json.MarshalIndent(figures, "", "  ") // in the order of the names
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(out, append(b, '\n'), 0o644); err != nil {
		return err
	}
	fmt.Printf("%s\n", b)
	return errors.Join(failed...)
}

// output runs a program within the limit and returns what it printed; what it
// complained of is in the error.
func output(ctx context.Context, name string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%w\n%s%s", err, &out, &complaint)
	}
	return out.Bytes(), nil
}
