package session

import (
	"maps"
	"slices"

	"kosk/device/text"
)

// What the tests of the table see of it.

// A Rule is one line of the table.
type Rule struct {
	From State
	On   Event
	To   []State
}

// Rules is the table.
func Rules() []Rule {
	var all []Rule
	for _, r := range rules {
		all = append(all, Rule{r.from, r.on, r.to})
	}
	return all
}

// A Told is one line of the table of faults.
type Told struct {
	Err   error
	Fault Fault
}

// Faults is the table of faults.
func Faults() []Told {
	var all []Told
	for _, f := range faults {
		all = append(all, Told{f.err, f.fault})
	}
	return all
}

// Reasons are the reasons for no that have words.
func Reasons() []string { return slices.Sorted(maps.Keys(refusals)) }

// Papers are the words for what can happen to paper.
func Papers() []text.Key {
	keys := []text.Key{"paper.unknown", "page.unknown", "page.failed"}
	for _, p := range papers {
		keys = append(keys, p.key)
	}
	return keys
}

var (
	FaultOf   = faultOf
	Refusal   = refusal
	PaperWord = paperWord
	ErrLevel  = errLevel
	Kind      = kind
)

const MaxTries = maxTries

// PaperErrors are the errors that the table of paper's words holds.
func PaperErrors() []error {
	var all []error
	for _, p := range papers {
		all = append(all, p.err)
	}
	return all
}
