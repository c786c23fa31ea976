package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// A verdict is how a component stands.
type verdict string

// The verdicts.
const (
	fine    verdict = "ok"
	warning verdict = "warn" // the kiosk works; somebody should know
	failure verdict = "fail" // the kiosk can't do its work, or part of it
)

// A row is what was found of one component.
type row struct {
	Component string             `json:"component"`
	State     verdict            `json:"state"`
	Seen      string             `json:"seen"`
	Do        string             `json:"do"` // empty when ok
	Figures   map[string]float64 `json:"figures,omitempty"`
	TookMS    int64              `json:"took_ms"`
}

func good(seen string) row       { return row{State: fine, Seen: seen} }
func warned(seen, do string) row { return row{State: warning, Seen: seen, Do: do} }
func failed(seen, do string) row { return row{State: failure, Seen: seen, Do: do} }

func (r row) of(component string) row {
	r.Component = component
	return r
}

// with adds a measured figure; its name ends with its unit.
func (r row) with(name string, value float64) row {
	figures := map[string]float64{name: value}
	for k, v := range r.Figures {
		figures[k] = v
	}
	r.Figures = figures
	return r
}

// ordered sorts rows by the order of the report.
func ordered(rows []row) []row {
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Compare(slices.Index(components, a.Component), slices.Index(components, b.Component))
	})
	return rows
}

// reportVersion counts up when a program that reads the JSON would have to be changed.
const reportVersion = 1

// A report is all that the check found.
type report struct {
	Version int       `json:"v"`
	At      time.Time `json:"at"`
	Station string    `json:"station,omitempty"` // absent: not enrolled
	Config  string    `json:"config"`
	Deep    bool      `json:"deep"`
	OK      bool      `json:"ok"` // nothing failed
	Warned  int       `json:"warned"`
	Failed  int       `json:"failed"`
	TookMS  int64     `json:"took_ms"`
	Checks  []row     `json:"checks"`
}

func (r *report) sum(took time.Duration) {
	r.TookMS = took.Milliseconds()
	for _, c := range r.Checks {
		switch c.State {
		case warning:
			r.Warned++
		case failure:
			r.Failed++
		}
	}
	r.OK = r.Failed == 0
}

func (r *report) json(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// The table's columns.
const (
	nameWidth = 10
	lineWidth = 80
	arrow     = "-> "
)

// table prints a row for each component; what to do stands below what was seen.
func (r *report) table(w io.Writer) error {
	var b strings.Builder
	const head = nameWidth + 6
	for _, c := range r.Checks {
		lead := fmt.Sprintf("%-*s%-6s", nameWidth, c.Component, c.State)
		for _, line := range wrap(c.Seen, lineWidth-head) {
			b.WriteString(lead + line + "\n")
			lead = strings.Repeat(" ", head)
		}
		lead += arrow
		for _, line := range wrap(c.Do, lineWidth-head-len(arrow)) {
			b.WriteString(lead + line + "\n")
			lead = strings.Repeat(" ", head+len(arrow))
		}
	}
	fmt.Fprintf(&b, "\n%d ok, %d warned, %d failed in %.1f s\n",
		len(r.Checks)-r.Warned-r.Failed, r.Warned, r.Failed, float64(r.TookMS)/1000)
	_, err := io.WriteString(w, b.String())
	return err
}

// wrap breaks text at spaces into lines of at most width characters, but for
// words that are longer. No text is no line.
func wrap(text string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
