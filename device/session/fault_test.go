package session_test

import (
	"errors"
	"fmt"
	"slices"
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

// contracts are the errors that the contracts of devices, chip and line name,
// and that can meet a person.
var contracts = []error{
	card.ErrNoReader, card.ErrNoCard, card.ErrRemoved, card.ErrMute, card.ErrForeign, card.ErrWrongCAN, card.ErrProtocol,
	identity.ErrTampered, identity.ErrClone, identity.ErrUnknownSigner, identity.ErrRevoked, identity.ErrStale,
	identity.ErrExpired, identity.ErrForeignState, identity.ErrUnreadable,
	card.ErrWrongMRZ, signer.ErrWrongPIN, signer.ErrBlocked, signer.ErrLastTry, signer.ErrPINLength, signer.ErrCancelled,
	signer.ErrNoKeys, identity.ErrProof, identity.ErrOtherPerson, identity.ErrDeclined, identity.ErrLapsed,
	identity.ErrCredentials, identity.ErrNoMeans, identity.ErrLocked,
	offline.ErrFull, offline.ErrUnknown, offline.ErrLineDown, offline.ErrBusIdentity, offline.ErrRefused, offline.ErrAgency,
}

func TestEveryErrorOfAContractHasItsWords(t *testing.T) {
	for _, err := range contracts {
		if f := session.FaultOf(err); f.Key == "fault.other" {
			t.Errorf("%v: nobody foresaw it", err)
		}
	}
	for _, told := range session.Faults() {
		if told.Err != session.ErrLevel && !slices.Contains(contracts, told.Err) {
			t.Errorf("%v is in the table and in no contract", told.Err)
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
	for _, reason := range append(session.Reasons, "unheard_of") {
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
				want := text.In(lang, f.Key+text.Key(part)).String()
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
	for _, err := range append(contracts, errors.New("PLANTED")) {
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
