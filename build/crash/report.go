package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// expected are the gates that must be heard of, with or without a control.
var expected = []string{"1.", "2.", "3.", "4.", "5.", "6.", "7.", "8.", "9.", "10."}

// A result is what a gate, or a control of one, has found.
type result struct {
	Cycles     int    `json:"cycles"` // or states of a disk
	Violations int    `json:"violations"`
	Control    bool   `json:"control,omitempty"`  // it breaks a promise, and must be violated
	Promises   int    `json:"promises,omitempty"` // acknowledgements that were held against the queue
	Figure     string `json:"figure,omitempty"`   // what was measured
	Blocked    string `json:"blocked,omitempty"`  // why it could not be run
}

// found is what a run of the gates has found.
type found struct {
	results map[string]result
	failed  []error
}

// collect reads what go test -json prints, and passes on what failed tests say.
func collect(events io.Reader, say io.Writer) (found, error) {
	f := found{results: map[string]result{}}
	said := map[string][]string{} // by test
	lines := bufio.NewScanner(events)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e struct{ Action, Package, Test, Key, Value, Output string }
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return f, fmt.Errorf("read events: %w", err)
		}
		name := e.Package + " " + e.Test
		switch e.Action {
		case "output", "build-output":
			said[name] = append(said[name], e.Output)
		case "attr":
			if e.Key != "crash" {
				continue
			}
			if err := f.take(e.Value, say); err != nil {
				return f, err
			}
		case "fail":
			fmt.Fprint(say, strings.Join(said[name], "")) //nolint:errcheck
			f.failed = append(f.failed, fmt.Errorf("%s failed", strings.TrimSpace(name)))
		}
		if e.Action == "pass" || e.Action == "fail" || e.Action == "skip" {
			delete(said, name)
		}
	}
	return f, lines.Err()
}

func (f *found) take(text string, say io.Writer) error {
	var r struct {
		Gate string `json:"gate"`
		result
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return fmt.Errorf("read result: %w", err)
	}
	if _, twice := f.results[r.Gate]; twice || r.Gate == "" {
		return fmt.Errorf("gate %q has two results", r.Gate)
	}
	f.results[r.Gate] = r.result
	fmt.Fprintf(say, "%s: %s\n", r.Gate, r.verdict()) //nolint:errcheck
	if !r.held() {
		f.failed = append(f.failed, fmt.Errorf("%s: %s", r.Gate, r.verdict()))
	}
	return nil
}

// held reports whether it went as it must.
func (r result) held() bool {
	return r.Blocked == "" && r.Cycles > 0 && (r.Violations > 0) == r.Control
}

func (r result) verdict() string {
	switch {
	case r.Blocked != "":
		return "BLOCKED: " + r.Blocked
	case r.Cycles == 0:
		return "NOTHING WAS TRIED"
	case r.Control && r.Violations == 0:
		return "THE GATE DOES NOT NOTICE"
	case r.Control && r.Violations <= r.Cycles:
		return fmt.Sprintf("noticed, as it must: %d %%", 100*r.Violations/r.Cycles)
	case r.Control: // counted by items, not by cycles
		return "noticed, as it must"
	case r.Violations > 0:
		return "VIOLATED"
	}
	return "holds"
}

// silent returns the wanted gates that have said nothing, or have no control.
func (f *found) silent(wanted []string) []error {
	var missing []error
	for _, gate := range wanted {
		for _, control := range []bool{false, true} {
			heard := false
			for name, r := range f.results {
				heard = heard || strings.HasPrefix(name, gate) && r.Control == control
			}
			if !heard {
				missing = append(missing, fmt.Errorf("gate %s: nothing heard of it (control: %v)", strings.Trim(gate, "."), control))
			}
		}
	}
	return missing
}

// report prints the page.
func (f *found) report(w io.Writer, took time.Duration) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, err := fmt.Fprintf(t, "\nWhat queue and bus promise, after every cut (%s)\n\ngate\tcycles or states\tpromises\tviolations\t\n", took.Round(time.Second))
	for _, control := range []bool{false, true} {
		if control {
			_, e := fmt.Fprint(t, "\ncontrols: they break a promise, and must be noticed\t\t\t\t\n")
			err = errors.Join(err, e)
		}
		for _, name := range slices.Sorted(maps.Keys(f.results)) {
			if r := f.results[name]; r.Control == control {
				_, e := fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%s\n", name, r.Cycles, r.Promises, r.Violations, strings.TrimSuffix(r.verdict()+"; "+r.Figure, "; "))
				err = errors.Join(err, e)
			}
		}
	}
	return errors.Join(err, t.Flush())
}
