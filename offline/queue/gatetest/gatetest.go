// Package gatetest says what a gate of the queue has found, so that build/crash
// can put all of them on one page. A gate is a test called TestGate... below
// offline/queue; beside it stands a control, which breaks a promise and must be
// noticed. Start with Tell.
package gatetest

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"
)

// variable is "long" for what make crash runs, or a number of cycles for every
// gate; else the short form is run.
const variable = "KOSK_CRASH"

// Scale returns how many cycles a gate goes through.
func Scale(short, long int) int {
	switch s := os.Getenv(variable); s {
	case "":
		return short
	case "long":
		return long
	default:
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			panic(variable + " is neither long nor a number")
		}
		return n
	}
}

// A Result is one line of the report. build/crash reads it from the attribute
// "crash" of a test.
type Result struct {
	Gate       string `json:"gate"` // "3.replay"; of a control "3.replay.control.no-sync"
	Cycles     int    `json:"cycles"`
	Violations int    `json:"violations"`
	Control    bool   `json:"control,omitempty"`  // must be violated
	Promises   int    `json:"promises,omitempty"` // acknowledgements that were held against the queue
	Figure     string `json:"figure,omitempty"`   // what was measured, with its unit and its bound
	Blocked    string `json:"blocked,omitempty"`  // why it could not be run
	Least      int    `json:"-"`                  // violations of a control in a hundred cycles; 0 means 10, 1 any at all
}

func (r Result) say(t *testing.T) {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Attr("crash", string(text))
}

// Tell reports a gate, and fails the test if it is violated, or if a control is
// violated too seldom. why says how, each in a line.
func Tell(t *testing.T, r Result, why []string) {
	t.Helper()
	r.say(t)
	t.Logf("%s: %d cycles, %d promises, %d violations %s", r.Gate, r.Cycles, r.Promises, r.Violations, r.Figure)
	if r.Least == 0 {
		r.Least = 10
	}
	switch {
	case r.Cycles == 0:
		t.Errorf("%s: nothing was tried", r.Gate)
	case r.Control && (r.Violations == 0 || r.Least > 1 && r.Violations*100 < r.Cycles*r.Least):
		t.Errorf("%s: the gate does not notice", r.Gate)
	case !r.Control && r.Violations > 0:
		t.Errorf("%s: %s", r.Gate, strings.Join(why[:min(10, len(why))], "\n"))
	}
}

// Blocked skips a gate that can't be run here.
func Blocked(t *testing.T, gate, reason string) {
	t.Helper()
	Result{Gate: gate, Blocked: reason}.say(t)
	t.Skip(gate + " can't be run: " + reason)
}
