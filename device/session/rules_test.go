package session_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kosk/device/session"
	"kosk/device/session/sessiontest"
	"kosk/device/text"
	"kosk/drivers/card"
)

var update = flag.Bool("update", false, "write the diagram anew")

// reach is a visit that has come to the state on its usual way.
func reach(s session.State) *session.Visit {
	for _, way := range [][]session.Event{
		sessiontest.Certificate(text.En), sessiontest.Check(text.En), sessiontest.Phone(text.En, "imza", "", "501234567", "123456"),
		append(until(session.Reading), session.ReadFailed{Err: card.ErrForeign}), sessiontest.Zone(text.En),
	} {
		v := session.New(sessiontest.Kiosk())
		for _, e := range append([]session.Event{session.StillHere{}}, way...) {
			if v.Step(e); v.State == s {
				return v
			}
		}
	}
	panic("no way to " + string(s))
}

// until are the events of the certificate's visit that lead to the state.
func until(s session.State) []session.Event {
	v := session.New(sessiontest.Kiosk())
	for i, e := range sessiontest.Certificate(text.En) {
		if v.Step(e); v.State == s {
			return sessiontest.Certificate(text.En)[:i+1]
		}
	}
	panic("no way to " + string(s))
}

// only lists all states but those in which an event means something.
func only(s ...session.State) []session.State {
	return slices.DeleteFunc(slices.Clone(session.States), func(o session.State) bool { return slices.Contains(s, o) })
}

// entries are the states that ask for what the zone says.
var entries = []session.State{session.AskingNumber, session.AskingBirth, session.AskingExpiry}

// ignored says of each event in which states nothing comes of it. Events that
// mean something in every state stand in everywhere.
var ignored = map[string][]session.State{
	"WithCard": only(session.Home), "WithoutCard": only(session.Home),
	"ServicePicked": only(session.Home, session.Open, session.Choosing),
	"Typed":         only(append(entries, session.AskingCAN, session.AskingPIN, session.Crediting, session.Filling)...),
	"Erased":        only(append(entries, session.AskingCAN, session.AskingPIN, session.Crediting, session.Filling)...),
	"Entered":       only(append(entries, session.AskingCAN, session.AskingPIN, session.Crediting, session.Filling)...),
	"OtherMeans":    only(session.AskingCard, session.AskingPIN), "MeansPicked": only(session.ChoosingMeans),
	"KeysOpened": only(session.OpeningKeys), "Prompted": only(session.Approving),
	"Proved":      only(session.VerifyingPIN, session.Approving),
	"ProofFailed": only(session.OpeningKeys, session.VerifyingPIN, session.Approving),
	"Answered":    only(session.Filling),
	"ChangeAsked": only(session.Reviewing, session.CheckingZone), "Confirmed": only(session.Reviewing, session.CheckingZone),
	"NoCAN": only(session.AskingCAN), "PadTurned": only(session.AskingNumber),
	"Agreed":     only(session.Consenting),
	"PrintAsked": only(session.Answering), "Retried": only(session.Failing),
	"Finished": only(session.Answering, session.Ending, session.Failing, session.Parting),
	"WentBack": only(session.AskingNumber, session.AskingBirth, session.AskingExpiry, session.CheckingZone, session.Home, session.Open, session.AskingCard, session.AskingCAN, session.ChoosingMeans,
		session.Reading, session.Crediting, session.AskingPIN, session.Approving, session.Filling, session.Reviewing, session.Consenting, session.Answering),
	"CardIn":       only(session.Attracting, session.Home, session.AskingCard, session.Failing, session.Parting),
	"ReaderWent":   only(session.AskingCard, session.AskingCAN, session.AskingPIN),
	"NameRead":     only(session.Reading),
	"HolderRead":   only(session.Reading),
	"ReadFailed":   only(session.Reading),
	"LookedUp":     only(session.Filling, session.Prefilling, session.Looking),
	"LookupFailed": only(session.Filling, session.Prefilling, session.Looking),
	"PutDone":      only(session.Sending), "PutFailed": only(session.Sending), "BusAccepted": only(session.Sending),
	"OutcomeCame": only(session.Sending), "RefusedCame": only(session.Sending), "WaitEnded": only(session.Sending),
	"SlipPrinted": only(session.Answering, session.Ending),
	"PagePrinted": only(session.Ending),
	"TimeUp":      only(session.TakingCard, session.Parting),
}

// everywhere are the events that leave.go handles in every state.
var everywhere = []string{
	"LanguageChosen", "LanguageCycled", "TextCycled", "ContrastCycled", "VoiceToggled", "PrivacyChanged", "HelpToggled",
	"Cancelled", "StillHere", "CardOut", "ReaderCame", "LineChanged", "Idled", "IdledOut",
	"SlipPresented", "SlipNotTaken", "SlipTaken", "SlipRetracted",
}

func nameOf(e session.Event) string { return strings.TrimPrefix(session.Kind(e), "session.") }

// Nothing is forgotten: each event is a rule in a state, or handled in every
// state, or said to be ignored there; and then nothing comes of it.
func TestEveryStateAndEvent(t *testing.T) {
	for _, s := range session.States {
		for _, e := range sample() {
			name := nameOf(e)
			rules := 0
			for _, r := range session.Rules() {
				if r.From == s && nameOf(r.On) == name {
					rules++
				}
			}
			ignores := slices.Contains(ignored[name], s)
			switch {
			case rules > 1:
				t.Errorf("%s, %s: %d rules", s, name, rules)
			case ignores == (rules == 1 || slices.Contains(everywhere, name)):
				t.Errorf("%s, %s: rules %d, ignored %v, handled everywhere %v", s, name, rules, ignores, slices.Contains(everywhere, name))
			case ignores:
				nothingComesOf(t, s, e)
			}
		}
	}
}

func nothingComesOf(t *testing.T, s session.State, e session.Event) {
	t.Helper()
	v, was := reach(s), reach(s)
	effects := v.Step(e)
	machine := cmpopts.IgnoreFields(session.Kiosk{}, "Catalogue", "CardIn", "NoReader")
	if _, in := e.(session.CardIn); in {
		was.Tries, was.Zone.Refused = 0, session.Entries{} // a card that comes in was not tried yet
	}
	if diff := cmp.Diff(was, v, machine, cmpopts.IgnoreFields(session.Person{}, "Service"), cmpopts.EquateErrors()); diff != "" || len(effects) > 0 {
		t.Errorf("%s, %s: effects %v, and:\n%s", s, nameOf(e), effects, diff)
	}
}

// The events of the tests are the events of the package.
func TestEventsAreComplete(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []string
	for _, d := range file.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.TYPE {
			for _, s := range g.Specs {
				declared = append(declared, s.(*ast.TypeSpec).Name.Name)
			}
		}
	}
	tested := []string{
		"Event", "Effect", "ReadHolder", "OpenKeys", "Prove", "Withdraw", "Lookup", "Submit", "Print", "Forget", "Anew", "Wait",
		"Unread", "PrintPage", "Retract", "Heeded",
	}
	for _, e := range sample() {
		tested = append(tested, nameOf(e))
	}
	slices.Sort(declared)
	slices.Sort(tested)
	if diff := cmp.Diff(declared, tested); diff != "" {
		t.Errorf("declared and tested differ:\n%s", diff)
	}
}

// Every state that the table names is come to, and every way that a rule
// allows is gone, by some walk.
func TestEveryWayOfTheTableIsGone(t *testing.T) {
	gone := map[string]bool{}
	states := map[session.State]bool{}
	random := rand.New(rand.NewPCG(1, 2))
	for range 10000 {
		v := begin(random.IntN)
		for range 30 {
			for _, e := range next(random.IntN, v) {
				before := v.State
				v.Step(e)
				checkForgotten(t, v, e)
				states[v.State] = true
				gone[fmt.Sprint(before, " ", nameOf(e), " ", v.State)] = true
			}
		}
	}
	for _, s := range session.States {
		if !states[s] {
			t.Errorf("%s is never reached", s)
		}
	}
	for _, r := range session.Rules() {
		for _, to := range r.To {
			if way := fmt.Sprint(r.From, " ", nameOf(r.On), " ", to); !gone[way] {
				t.Errorf("no walk goes %s", way)
			}
		}
	}
}

// diagram is the table as a picture.
func diagram() string {
	var b strings.Builder
	b.WriteString("```mermaid\nstateDiagram-v2\n")
	b.WriteString("    [*] --> attract\n")
	events := map[[2]session.State][]string{}
	var order [][2]session.State
	for _, r := range session.Rules() {
		for _, to := range r.To {
			edge := [2]session.State{r.From, to}
			if to == r.From {
				continue
			}
			if events[edge] == nil {
				order = append(order, edge)
			}
			events[edge] = append(events[edge], nameOf(r.On))
		}
	}
	id := func(s session.State) string { return strings.ReplaceAll(string(s), "-", "_") }
	for _, e := range order {
		fmt.Fprintf(&b, "    %s --> %s : %s\n", id(e[0]), id(e[1]), strings.Join(events[e], ", "))
	}
	b.WriteString("```\n")
	return b.String()
}

// The picture in README.md is that of the table. -update draws it.
func TestDiagramIsThatOfTheTable(t *testing.T) {
	const path, begin, end = "README.md", "<!-- diagram -->\n", "<!-- end -->\n"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(b), begin)
	old, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the diagram", path)
	}
	if *update {
		if err := os.WriteFile(path, []byte(head+begin+diagram()+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(diagram(), old); diff != "" {
		t.Errorf("%s is stale; run go test ./device/session -update:\n%s", path, diff)
	}
}
