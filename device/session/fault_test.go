package session_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kosk/device/identity"
	"kosk/device/scene"
	"kosk/device/session"
	"kosk/device/session/sessiontest"
	"kosk/device/text"
	"kosk/drivers/card"
	"kosk/drivers/printer"
	"kosk/drivers/signer"
	"kosk/offline"
)

// contracts are the errors that the contracts of devices, chip and line name, and
// that can meet a person on a screen.
var contracts = map[string]error{
	"card.ErrNoReader": card.ErrNoReader, "card.ErrNoService": card.ErrNoService, "card.ErrNoCard": card.ErrNoCard,
	"card.ErrRemoved": card.ErrRemoved, "card.ErrMute": card.ErrMute, "card.ErrForeign": card.ErrForeign,
	"card.ErrWrongCAN": card.ErrWrongCAN, "card.ErrWrongMRZ": card.ErrWrongMRZ, "card.ErrWantsMRZ": card.ErrWantsMRZ, "card.ErrProtocol": card.ErrProtocol,
	"signer.ErrWrongPIN": signer.ErrWrongPIN, "signer.ErrBlocked": signer.ErrBlocked, "signer.ErrLastTry": signer.ErrLastTry,
	"signer.ErrPINLength": signer.ErrPINLength, "signer.ErrCancelled": signer.ErrCancelled, "signer.ErrNoKeys": signer.ErrNoKeys,
	"identity.ErrTampered": identity.ErrTampered, "identity.ErrClone": identity.ErrClone, "identity.ErrUnknownSigner": identity.ErrUnknownSigner,
	"identity.ErrRevoked": identity.ErrRevoked, "identity.ErrStale": identity.ErrStale, "identity.ErrExpired": identity.ErrExpired,
	"identity.ErrForeignState": identity.ErrForeignState, "identity.ErrUnreadable": identity.ErrUnreadable,
	"identity.ErrProof": identity.ErrProof, "identity.ErrOtherPerson": identity.ErrOtherPerson, "identity.ErrDeclined": identity.ErrDeclined,
	"identity.ErrLapsed": identity.ErrLapsed, "identity.ErrCredentials": identity.ErrCredentials, "identity.ErrLocked": identity.ErrLocked,
	"identity.ErrNoMeans": identity.ErrNoMeans,
	"offline.ErrFull":     offline.ErrFull, "offline.ErrUnknown": offline.ErrUnknown, "offline.ErrStopped": offline.ErrStopped,
	"offline.ErrConflict": offline.ErrConflict, "offline.ErrLineDown": offline.ErrLineDown, "offline.ErrBusIdentity": offline.ErrBusIdentity,
	"offline.ErrRefused": offline.ErrRefused, "offline.ErrAgency": offline.ErrAgency, "offline.ErrNotFound": offline.ErrNotFound,
}

// paperErrors are those of the printers' contract: they have words of their own.
var paperErrors = map[string]error{
	"printer.ErrNoPaper": printer.ErrNoPaper, "printer.ErrCoverOpen": printer.ErrCoverOpen, "printer.ErrCutter": printer.ErrCutter,
	"printer.ErrJammed": printer.ErrJammed, "printer.ErrOffline": printer.ErrOffline, "printer.ErrUnplugged": printer.ErrUnplugged,
	"printer.ErrMute": printer.ErrMute, "printer.ErrTooLong": printer.ErrTooLong,
}

// unseen are the errors that no visit can meet, and why.
var unseen = map[string]string{
	"keystore.ErrState": "before there is a window", "keystore.ErrForeign": "before there is a window",
	"keystore.ErrNoStore": "before there is a window", "keystore.ErrKey": "before there is a window",
	"serial.ErrUnplugged": "a printer's make says it in the printer's words", "serial.ErrTimeout": "as before",
	"serial.ErrBusy": "as before", "serial.ErrDenied": "as before",
	"speech.ErrNoVoice": "the voice logs it: who hears nothing hears no words", "sound.ErrNoSink": "as before",
	"identity.ErrKey": "before there is a window", "identity.ErrBundle": "before there is a window",
	"panel.ErrUnplugged": "a lamp is never the only sign", "panel.ErrFault": "a lamp is never the only sign",
	"panel.ErrPattern":     "a lamp is never the only sign",
	"identity.ErrUnsigned": "before there is a window", "identity.ErrRollback": "before there is a window",
}

// sentinels are the errors that the packages declare, by the name that others
// call them by.
func sentinels(t *testing.T, folders ...string) []string {
	t.Helper()
	var all []string
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no Go files: %v", folder, err)
		}
		for _, name := range files {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range file.Decls {
				g, ok := d.(*ast.GenDecl)
				if !ok || g.Tok != token.VAR {
					continue
				}
				for _, s := range g.Specs {
					for _, n := range s.(*ast.ValueSpec).Names {
						if strings.HasPrefix(n.Name, "Err") {
							all = append(all, file.Name.Name+"."+n.Name)
						}
					}
				}
			}
		}
	}
	return all
}

// What the contracts declare, read from their source, has words, or a reason to
// have none; and what has words is declared.
func TestEveryErrorOfAContractHasItsWords(t *testing.T) {
	kinds, err := filepath.Glob("../../drivers/*")
	if err != nil || len(kinds) < 8 {
		t.Fatalf("%d kinds of drivers: %v", len(kinds), err)
	}
	kinds = slices.DeleteFunc(kinds, func(dir string) bool { return filepath.Base(dir) == "all" }) // makes, and no contract
	declared := sentinels(t, append(kinds, "../../offline", "../identity")...)
	for _, name := range declared {
		_, seen := contracts[name]
		_, paper := paperErrors[name]
		if _, not := unseen[name]; !seen && !paper && !not {
			t.Errorf("%s is in no table of words, and nothing says why", name)
		}
	}
	for _, names := range [][]string{slices.Collect(maps.Keys(contracts)), slices.Collect(maps.Keys(paperErrors)), slices.Collect(maps.Keys(unseen))} {
		for _, name := range names {
			if !slices.Contains(declared, name) {
				t.Errorf("%s is declared nowhere", name)
			}
		}
	}
	for name, err := range contracts {
		if f := session.FaultOf(err); f.Key == "fault.other" {
			t.Errorf("%s: nobody foresaw it", name)
		}
	}
	for name, err := range paperErrors {
		if !slices.ContainsFunc(session.PaperErrors(), func(e error) bool { return e == err }) {
			t.Errorf("%s: nobody foresaw it", name)
		}
	}
	for _, told := range session.Faults() {
		if told.Err != session.ErrLevel && !slices.Contains(slices.Collect(maps.Values(contracts)), told.Err) {
			t.Errorf("%v is in the table and in no contract", told.Err)
		}
	}
}

// A status word that nobody made anything of is the card's.
func TestAStatusWordHasWords(t *testing.T) {
	err := fmt.Errorf("read holder: select file 0101: %w", &card.StatusError{SW: 0x6A82})
	if got := session.FaultOf(err); got != session.FaultOf(card.ErrProtocol) {
		t.Errorf("%v: %s", err, got.Key)
	}
}

// A refused question has the words of its reason, one that nobody heard of those
// of its class.
func TestAReasonOfAFaultHasItsWords(t *testing.T) {
	for reason, want := range map[string]text.Key{"busy": "refusal.busy", "unheard_of": "fault.agency", "": "fault.agency"} {
		err := fmt.Errorf("look up: %w", &offline.Fault{Type: "x", Reason: reason, Err: offline.ErrAgency})
		if got := session.FaultOf(err); got.Key != want {
			t.Errorf("%q: %s, want %s", reason, got.Key, want)
		}
	}
}

// Each fault has title, lead and next in every language, and its scene shows
// them, as a problem with a way on and a way out.
func TestFaultsHaveWords(t *testing.T) {
	faults := []session.Fault{session.FaultOf(errors.New("unforeseen"))}
	for _, told := range session.Faults() {
		faults = append(faults, told.Fault)
	}
	for _, reason := range append(session.Reasons(), "unheard_of") {
		faults = append(faults, session.Refusal(reason))
	}
	for _, f := range faults {
		for _, lang := range text.Langs {
			v := reach(session.Failing)
			v.Fault, v.Lang = f, lang
			s := v.Scene()
			if s.Kind != scene.Problem {
				t.Errorf("%s: kind %d", f.Key, s.Kind)
			}
			for id, part := range map[string]string{"title": ".title", "lead": ".lead", "what": ".next"} {
				want := text.In(lang, f.Key+text.Key(part), text.Arg{Name: "pin", Words: text.In(lang, "pin.label.login")}).String()
				if n := s.Find(id); n == nil || n.Name.String() != want {
					t.Errorf("%s in %s: %s isn't shown", f.Key, lang, part)
				}
			}
			if (f.Again != "") != (s.Find("retry") != nil) || s.Find("leave") == nil || (f.Again == "") != (s.Find("finish") != nil) {
				t.Errorf("%s: wrong ways out", f.Key)
			}
		}
	}
}

func TestFaultOfWrapped(t *testing.T) {
	for _, told := range session.Faults() {
		wrapped := fmt.Errorf("read holder: %w", errors.Join(errors.New("deeper"), told.Err))
		if got := session.FaultOf(wrapped); got != told.Fault {
			t.Errorf("%v: %s, want %s", wrapped, got.Key, told.Fault.Key)
		}
	}
	fault := &offline.Fault{Type: "server.serverproxy.accessdenied", Message: "for operators", Err: offline.ErrRefused}
	if got := session.FaultOf(fmt.Errorf("look up: %w", fault)); got.Key != "fault.refused" {
		t.Errorf("a bus fault: %s", got.Key)
	}
}

// No more specific error hides behind an earlier line of the table.
func TestTheTableOfFaultsHasNoTwins(t *testing.T) {
	all := session.Faults()
	for i, a := range all {
		for _, b := range all[:i] {
			if errors.Is(a.Err, b.Err) {
				t.Errorf("%v never gets its own words: %v comes first", a.Err, b.Err)
			}
		}
	}
}

func TestPaperHasWords(t *testing.T) {
	for _, key := range session.Papers() {
		for _, lang := range text.Langs {
			text.In(lang, key) // panics without words
		}
	}
	for _, c := range []struct {
		outcome printer.Outcome
		err     error
		want    text.Key
	}{
		{printer.Confirmed, nil, ""},
		{printer.Unknown, nil, "paper.unknown"},
		{printer.Unknown, printer.ErrNoPaper, "paper.unknown"},
		{printer.Failed, fmt.Errorf("print: %w", printer.ErrNoPaper), "paper.none"},
		{printer.Failed, printer.ErrCoverOpen, "paper.cover"},
		{printer.Failed, printer.ErrCutter, "paper.fault"},
		{printer.Failed, printer.ErrUnplugged, "paper.fault"},
		{printer.Failed, nil, "paper.fault"},
	} {
		if got := session.PaperWord(c.outcome, c.err); got != c.want {
			t.Errorf("%v, %v: %q, want %q", c.outcome, c.err, got, c.want)
		}
	}
}

// What a person reads never holds an error's own words.
func TestErrorsOwnWordsNeverShow(t *testing.T) {
	for _, err := range append(slices.Collect(maps.Values(contracts)), errors.New("PLANTED")) {
		v := session.New(sessiontest.Kiosk())
		play(v, until(session.Reading)...)
		v.Step(session.ReadFailed{Err: fmt.Errorf("PLANTED: %w", err)})
		for _, n := range v.Scene().Nodes {
			for _, w := range []text.Words{n.Name, n.Value, n.Hint} {
				if s := w.String(); s != "" && (s == err.Error() || len(s) > 6 && s[:7] == "PLANTED") {
					t.Errorf("%v: %s says %q", err, n.ID, s)
				}
			}
		}
	}
}

// "Try again" leads to the questions only when some were asked: a service that
// failed as it was picked has none, and its answers would have no place.
func TestTryingAgainNeedsABegunRequest(t *testing.T) {
	k := sessiontest.Kiosk()
	k.Line = offline.ErrAgency
	v := session.New(k)
	for _, e := range []session.Event{
		session.LanguageChosen{Lang: text.En}, session.WithoutCard{}, session.ServicePicked{ID: "imei_check"},
	} {
		v.Step(e)
	}
	if v.State != session.Failing {
		t.Fatalf("state = %s, want %s", v.State, session.Failing)
	}
	if v.Step(session.Retried{}); v.State != session.Home {
		t.Errorf("state = %s, want %s", v.State, session.Home)
	}
}
