// Command fuzz runs every fuzz target of the tree for a while, one after the
// other. The targets are found by reading the tree, so that none is forgotten.
//
//	fuzz -for 3s [-longer REGEXP -longer-for 10s] [-run REGEXP] [-list]
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"
)

// Beside the fuzzing itself: for building a package, and for a target to load
// its corpus before and to end after.
const (
	buildLimit = 10 * time.Minute
	startLimit = time.Minute
)

func main() {
	length := flag.Duration("for", 10*time.Second, "how long each target is fuzzed")
	only := flag.String("run", "", "fuzz only the targets whose folder and name (drivers/printer.FuzzAnswer) match")
	longer := flag.String("longer", "", "targets that match are fuzzed for -longer-for, if that is more")
	longerFor := flag.Duration("longer-for", 10*time.Second, "see -longer")
	list := flag.Bool("list", false, "print the targets and end")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, turns{*length, *longer, *longerFor}, *only, *list); err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

// turns are how long targets are fuzzed.
type turns struct {
	all       time.Duration
	longer    string // regular expression; "" matches none
	longerFor time.Duration
}

// run fuzzes the targets of the tree in the working folder; one that fails does
// not keep the others from their turn.
func run(ctx context.Context, lengths turns, only string, list bool) error {
	match, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	longer, err := regexp.Compile(lengths.longer)
	if err != nil {
		return err
	}
	found, err := targets(os.DirFS("."))
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "fuzz")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := bench{dir: dir}
	var failed []error
	ran := 0
	for _, t := range found {
		if !match.MatchString(t.String()) {
			continue
		}
		ran++
		if list {
			fmt.Println(t)
			continue
		}
		b.length = lengths.all
		if lengths.longer != "" && longer.MatchString(t.String()) {
			b.length = max(b.length, lengths.longerFor)
		}
		if err := b.fuzz(ctx, t, os.Stdout); err != nil {
			failed = append(failed, err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if ran == 0 {
		return errors.New("no fuzz targets")
	}
	return errors.Join(failed...)
}

// A bench is where the targets are fuzzed. It keeps the test binary of the
// package that it fuzzed last, since targets come a package at a time.
type bench struct {
	dir    string
	length time.Duration // of the turn

	built string // the folder whose test binary is at binary()
	cache string // Go's build cache, which keeps what fuzzing found interesting
}

func (b *bench) binary() string { return filepath.Join(b.dir, "fuzz.test") }

// patience is how many times longer a target is fuzzed that was not done with one
// input: on a busy machine a large corpus takes its time.
const patience = 10

// fuzz fuzzes one target and prints one line when all is well, else all that the
// target said.
func (b *bench) fuzz(ctx context.Context, t target, w io.Writer) error {
	if err := b.build(ctx, t.Dir); err != nil {
		return fmt.Errorf("%s: %w", t, err)
	}
	out, n, err := b.once(ctx, t, b.length)
	if errors.Is(err, errIdle) {
		out, n, err = b.once(ctx, t, patience*b.length)
	}
	if err != nil {
		fmt.Fprintf(w, "FAIL\t%s\n%s", t, out)
		return fmt.Errorf("%s: %w", t, err)
	}
	fmt.Fprintf(w, "fuzz\t%s\t%d runs\n", t, n)
	return nil
}

// once fuzzes a target for a while. It returns what the target said and on how
// many inputs it was run. An input that leads somewhere new is shortened by ten
// tries: the go command's own minute for each would be more than all the time.
//
// The end is an interrupt, as from Ctrl-C: with -test.fuzztime the coordinator
// of Go 1.26 now and then takes its own deadline for a failure
// (https://go.dev/issue/75804).
func (b *bench) once(ctx context.Context, t target, length time.Duration) (out []byte, n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, length+startLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.binary(), "-test.run=^$", "-test.fuzz=^"+t.Name+"$",
		"-test.fuzzminimizetime=10x", "-test.fuzzcachedir="+filepath.Join(b.cache, "fuzz", "kosk", t.Dir))
	cmd.Dir = filepath.FromSlash(t.Dir)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	soften(cmd)
	if err := cmd.Start(); err != nil {
		return nil, 0, err
	}
	end := time.AfterFunc(length, func() { cmd.Process.Signal(os.Interrupt) })
	defer end.Stop()
	err = cmd.Wait()
	out = said.Bytes()
	switch {
	case ctx.Err() == context.DeadlineExceeded:
		err = fmt.Errorf("no end after %v", length+startLimit)
	case interrupted(cmd.ProcessState):
		err = errIdle
	case err == nil:
		n, err = runs(out)
	}
	return out, n, err
}

// interrupted tells of a process that the interrupt found before it listened.
func interrupted(p *os.ProcessState) bool {
	status, ok := p.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGINT
}

// build makes the instrumented test binary of the package in a folder.
func (b *bench) build(ctx context.Context, dir string) error {
	if b.built == dir {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, buildLimit)
	defer cancel()
	if b.cache == "" {
		out, err := output(exec.CommandContext(ctx, "go", "env", "GOCACHE"))
		if err != nil {
			return fmt.Errorf("go env: %w", err)
		}
		b.cache = string(out[:max(0, len(out)-1)])
	}
	b.built = ""
	out, err := output(exec.CommandContext(ctx, "go", "test", "-c", "-fuzz=.", "-o", b.binary(), "./"+dir))
	if err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	b.built = dir
	return nil
}

// output runs a command to its end or its context's.
func output(cmd *exec.Cmd) ([]byte, error) {
	soften(cmd)
	return cmd.CombinedOutput()
}

// soften has a command asked by SIGTERM first when its context ends, and waits
// no longer than a moment then for what its children still hold open.
func soften(cmd *exec.Cmd) {
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
}

// Lines by which a fuzz target tells how it goes: of its corpus, and then of
// new inputs.
var (
	corpus = regexp.MustCompile(`baseline coverage: (\d+)/\d+ completed`)
	execs  = regexp.MustCompile(`execs: (\d+)`)
)

// errIdle is an input of the corpus that never comes back, or a machine too busy
// to start: Go's fuzzing ends then when it is told to, and calls it a success.
var errIdle = errors.New("not one input was done with")

// runs is how many inputs a target was run on, by its last line about it.
func runs(out []byte) (int, error) {
	for _, line := range []*regexp.Regexp{execs, corpus} {
		if all := line.FindAllSubmatch(out, -1); len(all) > 0 {
			if n, _ := strconv.Atoi(string(all[len(all)-1][1])); n > 0 {
				return n, nil
			}
		}
	}
	return 0, errIdle
}
