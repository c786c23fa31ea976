// Command crash runs the gates of the queue and of the line in their long form and
// writes what they found as one flat JSON object, controls included:
//
//	"3.replay": {"cycles": 8000, "violations": 0, "promises": 960}
//
// A gate is a test called TestGate... in one of the packages below that says its
// result by the attribute "crash". It also prints a report of one page. A gate that is
// violated, blocked or silent fails the run, and so does a control that holds.
package main

import (
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

func main() {
	out := flag.String("out", "out/crash.json", "where the results go")
	scale := flag.String("scale", "long", "long, or a number of cycles for every gate")
	gates := flag.String("run", "^TestGate", "which gates, as go test's -run; with another value silent gates are let pass")
	within := flag.Duration("within", 95*time.Minute, "how long all may take")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	wanted := expected
	if flag.Lookup("run").DefValue != *gates {
		wanted = nil
	}
	if err := run(ctx, *out, *scale, *gates, *within, wanted); err != nil {
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(1)
	}
}

// run runs the gates, and writes what was found even when something failed.
func run(ctx context.Context, out, scale, gates string, within time.Duration, wanted []string) error {
	ctx, cancel := context.WithTimeout(ctx, within+time.Minute)
	defer cancel()
	began := time.Now()
	cmd := exec.CommandContext(ctx, "go", "test", "-json", "-count=1", "-p=1", "-run="+gates, "-timeout="+within.String(), "./offline/queue/...", "./cmd/kiosksim/fleet")
	cmd.Env = append(os.Environ(), "KOSK_CRASH="+scale)
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	events, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	found, err := collect(events, os.Stderr)
	if err := errors.Join(err, cmd.Wait()); err != nil {
		found.failed = append(found.failed, err)
	}
	found.failed = append(found.failed, found.silent(wanted)...)
	if err := save(out, found.results); err != nil {
		return err
	}
	if err := found.report(os.Stdout, time.Since(began)); err != nil {
		return err
	}
	return errors.Join(found.failed...)
}

func save(out string, results map[string]result) error {
	b, err := json.MarshalIndent(results, "", "  ") // in the order of the names
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	return os.WriteFile(out, append(b, '\n'), 0o644)
}
