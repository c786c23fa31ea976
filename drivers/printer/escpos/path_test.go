package escpos

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var happenings = []happening{
	sawPaperFull, sawPaperLow, sawPaperOut, sawPaperJammed, sawMediaPresent, sawMediaTaken, sawMediaJammed,
	sawCoverOpen, sawCoverClosed, sawCutterFault, sawCutterFine, sawHeadFault, sawHeadFine,
	lineAnswered, lineSilent, lineLost, slipOffered, slipRefused, slipSent, slipOut, slipLate, slipLeft,
	cleared, tailCut, takenBack, notBack, remindTime, retractTime, visitEnds,
}

// words are the names of the words, in the order of their bits.
var words = strings.Fields(`idle sending sent unsure held tail lineUp lineMute lineGone
	paperUnknown paperFull paperLow paperOut paperJammed mediaNotPresent mediaPresent mediaJammed mediaRetracted
	coverClosed coverOpen cutterFine cutterFault headFine headFault`)

func (s state) String() string {
	var named []string
	for _, p := range parts {
		var some []string
		for i, w := range words {
			if s&p&(1<<i) != 0 {
				some = append(some, w)
			}
		}
		if len(some) > 0 {
			named = append(named, strings.Join(some, " or "))
		}
	}
	return strings.Join(named, ", ")
}

// everyState is the whole product of the parts.
func everyState() []state {
	all := []state{0}
	for _, p := range parts {
		var more []state
		for _, s := range all {
			for bit := state(1); bit <= p; bit <<= 1 {
				if p&bit != 0 {
					more = append(more, s|bit)
				}
			}
		}
		all = more
	}
	return all
}

// may reports whether something can happen in a state at all: the printer can't
// be seen while its line is gone, and it isn't asked to retract what isn't there.
func may(s state, h happening) bool {
	if strings.HasPrefix(string(h), "paper ") || strings.HasPrefix(string(h), "media ") || strings.HasPrefix(string(h), "cover ") ||
		strings.HasPrefix(string(h), "cutter ") || strings.HasPrefix(string(h), "head ") {
		return s.in(lineUp)
	}
	switch h {
	case cleared, tailCut, takenBack, notBack, slipSent, slipOut:
		return s.in(lineUp)
	case slipOffered: // the roll was seen when the status was
		return !s.in(printing) && !s.in(lineUp|paperUnknown)
	case visitEnds:
		return !s.in(printing)
	}
	return true
}

func TestTheWordsExcludeEachOther(t *testing.T) {
	if len(words) != 24 || words[23] != "headFault" || state(1)<<23 != headFault {
		t.Fatalf("%d words; the last bit is %d", len(words), headFault)
	}
	var all state
	for _, p := range parts {
		if all&p != 0 {
			t.Errorf("%v is in two parts", all&p)
		}
		all |= p
	}
	if all != 1<<len(words)-1 {
		t.Errorf("parts make %b", all)
	}
	for _, r := range rules {
		if !slices.Contains(happenings, r.on) {
			t.Errorf("%s isn't listed", r.on)
		}
		for _, p := range parts {
			if n := r.next & p; n&(n-1) != 0 {
				t.Errorf("%s in %v: next is %v", r.on, r.when, r.next)
			}
		}
	}
}

func TestEveryStateAndHappeningIsRuledOrIgnored(t *testing.T) {
	states := everyState()
	if want := 6 * 3 * 5 * 4 * 2 * 2 * 2; len(states) != want {
		t.Fatalf("%d states, want %d", len(states), want)
	}
	for _, s := range states {
		for _, h := range happenings {
			ruled := ruleOf(s, h) >= 0
			ignored := slices.ContainsFunc(ignored, func(i ignorance) bool { return i.on == h && s.in(i.when) })
			if !ruled && !ignored {
				t.Fatalf("%q in %v: neither ruled nor ignored", h, s)
			}
		}
	}
	for _, i := range ignored {
		if !slices.ContainsFunc(states, func(s state) bool { return s.in(i.when) && ruleOf(s, i.on) < 0 }) {
			t.Errorf("%q in %v is ignored, and ruled", i.on, i.when)
		}
	}
}

// reach follows the table from the beginning, and says by which rules.
func reach() (map[state]bool, map[int]bool) {
	reached, used := map[state]bool{}, map[int]bool{}
	todo := []state{begin, begin.with(held)}
	for len(todo) > 0 {
		s := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if reached[s] {
			continue
		}
		reached[s] = true
		for _, h := range happenings {
			if i := ruleOf(s, h); i >= 0 && may(s, h) {
				used[i] = true
				todo = append(todo, s.with(rules[i].next))
			}
		}
	}
	return reached, used
}

func TestEveryWordAndRuleIsReached(t *testing.T) {
	reached, used := reach()
	var seen state
	for s := range reached {
		seen |= s
	}
	if seen != 1<<len(words)-1 {
		t.Errorf("never reached: %v", ^seen&(1<<len(words)-1))
	}
	for i, r := range rules {
		if !used[i] {
			t.Errorf("no way leads to the rule %q in %v", r.on, r.when)
		}
	}
	t.Logf("%d of %d states reached", len(reached), len(everyState()))
}

func TestTheTableKeepsThePromises(t *testing.T) {
	reached, _ := reach()
	for s := range reached {
		for _, h := range happenings {
			if !may(s, h) {
				continue
			}
			actions, next, _ := step(s, h)
			has := func(a action) bool { return slices.Contains(actions, a) }
			switch {
			case has(doConfirm) && (h != slipOut || !s.in(sent)):
				t.Errorf("%q in %v confirms", h, s)
			case has(doStart) && !s.in(idle|lineUp|paperFull|paperLow|coverClosed|cutterFine|headFine|mediaNotPresent|mediaRetracted):
				t.Errorf("%q in %v starts a slip", h, s)
			case has(doStart) && s.in(mediaPresent|mediaJammed):
				t.Errorf("%q in %v prints behind a slip at the slot", h, s)
			case s.in(printing) && !next.in(printing) && !has(doConfirm) && !has(doUnknown) && !has(doRefuse):
				t.Errorf("%q in %v loses a slip", h, s)
			case has(doUnknown) && !next.in(held):
				t.Errorf("%q in %v forgets that the printer may hold a slip", h, s)
			case has(doRetract) && !s.in(mediaPresent):
				t.Errorf("%q in %v takes back nothing", h, s)
			case s.in(unsure|held) && next.in(idle|tail) && h != cleared:
				t.Errorf("%q in %v calls the buffers empty", h, s)
			}
		}
	}
}

// From every state a healed printer prints again: no way ends.
func TestEveryStateHasAWayOut(t *testing.T) {
	healed := []happening{lineAnswered, sawCoverClosed, sawCutterFine, sawHeadFine, sawMediaTaken, sawPaperFull}
	reached, _ := reach()
	for s := range reached {
		at := s
		if at.in(printing) {
			_, at, _ = step(at, slipLate)
		}
		for range 6 {
			for _, h := range healed {
				_, at, _ = step(at, h)
			}
			actions, next, _ := step(at, slipOffered)
			at = next
			for _, a := range actions {
				switch a {
				case doClear:
					_, at, _ = step(at, cleared)
				case doCut:
					_, at, _ = step(at, tailCut)
				case doRetract:
					_, at, _ = step(at, takenBack)
				}
			}
		}
		if !at.in(sending) {
			t.Errorf("%v ends in %v", s, at)
		}
	}
}

const readme = "README.md"

func TestTheTableInTheReadmeIsThisOne(t *testing.T) {
	var b strings.Builder
	b.WriteString("<!-- table -->\n| when | in | do | then |\n|---|---|---|---|\n")
	for _, r := range rules {
		var does []string
		for _, a := range r.do {
			does = append(does, string(a))
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.on, orAny(r.when), orDash(strings.Join(does, ", ")), orDash(r.next.String()))
	}
	b.WriteString("\nNothing happens, and rightly:\n\n| when | in | because |\n|---|---|---|\n")
	for _, i := range ignored {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", i.on, orAny(i.when), i.why)
	}
	b.WriteString("<!-- end of table -->")
	all, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(all), "<!-- table -->")
	_, after, end := strings.Cut(rest, "<!-- end of table -->")
	if !ok || !end {
		t.Fatal("README.md has no place for the table")
	}
	want := before + b.String() + after
	if flag.Lookup("update").Value.String() == "true" { // as for the golden files
		if err := os.WriteFile(readme, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(all) {
		t.Error("the table in README.md is another: go test ./drivers/printer/escpos -update")
	}
}

func orAny(s state) string {
	if s == 0 {
		return "any"
	}
	return s.String()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
