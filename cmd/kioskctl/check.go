package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"kosk/device/config"
	"kosk/device/provision"
)

type checkCommand struct {
	Config string `default:"/etc/kosk/kiosk.toml" type:"path" help:"The kiosk's configuration file."`
	JSON   bool   `name:"json" help:"Print JSON instead of a table."`
	Deep   bool   `help:"Also print a test slip, light the lamps and play a word."`
}

// The rules of the check are:
//   - what is tested is the part itself, over the driver and the line that the
//     kiosk uses, and never an earlier answer;
//   - a kiosk that runs is not disturbed: its printer and lamps are not spoken to, its card
//     is looked at and not touched;
//   - nothing is left behind that the kiosk doesn't know, and no file is made
//     that the kiosk, as another user, couldn't open then;
//   - every test has a deadline, and one that hangs in the kernel is left behind;
//   - what is not ok says what to do next.

// How long tests may take. All of them together end within a minute: the disk
// is measured first and alone, since the others write to it.
const (
	diskTime = 10 * time.Second
	partTime = 40 * time.Second
	grace    = time.Second // for a part to say that its time is over
)

// components in the order of the report. Scripts rely on the names.
var components = []string{
	"config", "card", "signer", "printer", "document", "lamps", "speech", "sound", "panel", "disk", "keys", "queue", "trust", "station", "bus", "clock",
}

// Run tests everything and prints a report. A failure is an error, too.
func (c checkCommand) Run(ctx context.Context, out io.Writer) error {
	begun := time.Now()
	rep := report{Version: reportVersion, At: begun.UTC(), Config: c.Config, Deep: c.Deep}
	cfg, broken := config.Load(c.Config)
	if broken != nil {
		rep.Checks = []row{failed(broken.Error(), configAdvice(broken)+"; nothing else was tested").of("config")}
	} else {
		k := &checker{cfg: cfg, deep: c.Deep, log: slog.New(slog.DiscardHandler), sys: "/sys"}
		rep.Checks = append([]row{good("every key is known").of("config")}, k.run(ctx)...)
		if s, err := provision.Load(cfg.State.Dir); err == nil {
			rep.Station = s.Name
		}
	}
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("interrupted: %w", err)
	}
	rep.sum(time.Since(begun))
	write := rep.table
	if c.JSON {
		write = rep.json
	}
	if err := write(out); err != nil {
		return err
	}
	if broken != nil {
		return broken // names file, line and key in one line
	}
	if rep.Failed > 0 {
		return fmt.Errorf("%d of %d checks failed", rep.Failed, len(rep.Checks))
	}
	return nil
}

// configAdvice says what to do about a configuration that can't be loaded.
func configAdvice(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "name the kiosk's configuration with --config, or put it there"
	case errors.Is(err, fs.ErrPermission):
		return "run this as the kiosk's own user or as root"
	}
	return "correct the file and run the check again"
}

// A checker tests the parts of one kiosk.
type checker struct {
	cfg  config.Config
	deep bool
	log  *slog.Logger
	sys  string // where sysfs is mounted
}

// A part is what is tested in one go, because a test needs what the one before
// it found.
type part struct {
	rows []string // the components that run tells of, in its order
	time time.Duration
	run  func(ctx context.Context, tell func(row))
}

// run tests all parts and returns their rows in the order of the report.
func (c *checker) run(ctx context.Context) []row {
	alone := func(do func(context.Context) row) func(context.Context, func(row)) {
		return func(ctx context.Context, tell func(row)) { tell(do(ctx)) }
	}
	found := part{[]string{"disk"}, diskTime, alone(c.disk)}.collect(ctx)
	looked := make(chan struct{}) // at the queue: its keys are let go
	beside := []part{
		{[]string{"card"}, partTime, alone(c.card)},
		{[]string{"signer"}, partTime, alone(c.signer)},
		{[]string{"queue", "printer", "lamps"}, partTime, func(ctx context.Context, tell func(row)) {
			first := sync.OnceFunc(func() { close(looked) })
			c.outbox(ctx, func(r row) { first(); tell(r) })
		}},
		{[]string{"document"}, partTime, alone(c.document)},
		{[]string{"speech", "sound"}, partTime, c.voice},
		{[]string{"panel"}, partTime, alone(c.panel)},
		{[]string{"trust"}, partTime, alone(c.trust)},
		{[]string{"keys", "station", "bus", "clock"}, partTime, func(ctx context.Context, tell func(row)) {
			waitFor(ctx, looked) // and not beside: some tpms have room for three keys
			tell(c.keys(ctx))
			c.line(ctx, tell)
		}},
	}
	results := make(chan []row, len(beside))
	for _, p := range beside {
		go func() { results <- p.collect(ctx) }()
	}
	for range beside {
		found = append(found, <-results...)
	}
	return ordered(found)
}

// roomTime is how long to wait for room in a tpm: a queue on a broken disk may
// never come to its end.
const roomTime = 5 * time.Second

// waitFor waits for another part, for a while.
func waitFor(ctx context.Context, other <-chan struct{}) {
	over := time.NewTimer(roomTime)
	defer over.Stop()
	select {
	case <-other:
	case <-over.C:
	case <-ctx.Done():
	}
}

// collect runs the part until it ends or its time is over. A test that hangs
// where nothing can interrupt it, as on a broken disk, is left behind: the
// process ends soon.
func (p part) collect(ctx context.Context) []row {
	ctx, cancel := context.WithTimeout(ctx, p.time)
	defer cancel()
	told := make(chan row, len(p.rows)) // so that what is left behind can end
	go func() {
		defer close(told)
		p.run(ctx, func(r row) { told <- r })
	}()
	over := time.NewTimer(p.time + grace)
	defer over.Stop()
	last := time.Now()
	var rows []row
	for _, name := range p.rows {
		r, ok := row{}, false
		select {
		case r, ok = <-told:
		case <-over.C:
			over.Reset(0) // for the rows that follow
		}
		if !ok {
			r = failed(fmt.Sprintf("no end after %v", p.time),
				"it hangs: switch the machine off and on and check again; then look for its errors in dmesg")
		}
		now := time.Now()
		r.TookMS, last = now.Sub(last).Milliseconds(), now
		rows = append(rows, r.of(name))
	}
	return rows
}
