package session_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kosk/device/identity"
	"kosk/device/receipt"
	"kosk/device/request"
	"kosk/device/scene"
	"kosk/device/session"
	"kosk/device/session/sessiontest"
	"kosk/device/text"
	"kosk/drivers/card"
	"kosk/drivers/printer"
	"kosk/offline"
)

// look is the scene that the person meets.
func look(v *session.Visit) *scene.Scene {
	s := v.Scene()
	return &s
}

// slipIn is the slip that the effects print, if any.
func slipIn(effects []session.Effect) *receipt.Slip {
	for _, e := range effects {
		if p, ok := e.(session.Print); ok {
			return &p.Slip
		}
	}
	return nil
}

func hasTone(s scene.Scene, role scene.Role, tone scene.Tone) bool {
	for _, n := range s.Nodes {
		if n.Role == role && n.Tone == tone {
			return true
		}
	}
	return false
}

// wrongCAN types a number that the chip refuses.
func wrongCAN(v *session.Visit) {
	play(v, typed("000000")...)
	v.Step(session.ReadFailed{Err: fmt.Errorf("read holder: %w", card.ErrWrongCAN)})
}

// Reading that is given up is a try, too: the chip may have been asked.
func TestTriesThatAreGivenUpAreCounted(t *testing.T) {
	v := reach(session.AskingCAN)
	play(v, typed("123456")...)
	for range session.MaxTries - 1 {
		play(v, session.WentBack{}, session.Entered{})
	}
	if v.State != session.Reading {
		t.Fatalf("at %s with %d tries", v.State, v.Tries)
	}
	v.Step(session.WentBack{})
	if effects := v.Step(session.Entered{}); len(effects) > 0 || v.State != session.AskingCard {
		t.Errorf("one try more than may be: %s, %d effects", v.State, len(effects))
	}
	play(v, session.CardOut{}, session.CardIn{})
	if v.State != session.AskingCAN {
		t.Errorf("put in anew it leads to %s", v.State)
	}
}

func TestWrongCANStaysWithANote(t *testing.T) {
	v := reach(session.AskingCAN)
	for try := 1; try < session.MaxTries; try++ {
		wrongCAN(v)
		if v.State != session.AskingCAN || v.Typed != "" {
			t.Fatalf("try %d: %s, typed %q", try, v.State, v.Typed)
		}
		if s := v.Scene(); !hasTone(s, scene.Note, scene.Bad) || s.Find("wrong") == nil {
			t.Errorf("try %d: nothing says that the number was wrong", try)
		}
	}
	if v.Step(session.Typed{Rune: '1'}); look(v).Find("wrong") != nil {
		t.Error("the note stands beside the next try")
	}
	v.Step(session.Erased{})
	wrongCAN(v)
	if v.State != session.Failing || v.Fault.Key != "fault.wrong_can" {
		t.Fatalf("after %d tries: %s, %s", session.MaxTries, v.State, v.Fault.Key)
	}
}

// After too many tries no way leads to the number but taking the card out.
func TestTooManyTriesNeedTheCardAgain(t *testing.T) {
	tired := func() *session.Visit {
		v := reach(session.AskingCAN)
		for range session.MaxTries {
			wrongCAN(v)
		}
		return v
	}
	for name, way := range map[string][]session.Event{
		"try again":           {session.Retried{}},
		"by home":             {session.Retried{}, session.WentBack{}, session.WithCard{}},
		"by a service":        {session.Retried{}, session.WentBack{}, session.ServicePicked{ID: "workplace_cert"}},
		"by the open service": {session.Retried{}, session.WentBack{}, session.WithoutCard{}, session.ServicePicked{ID: "workplace_cert"}},
	} {
		v := tired()
		if play(v, way...); v.State != session.AskingCard {
			t.Errorf("%s: %s", name, v.State)
		}
		if play(v, session.CardOut{}, session.CardIn{}); v.State != session.AskingCAN || v.Tries != 0 {
			t.Errorf("%s: with the card again: %s, %d tries", name, v.State, v.Tries)
		}
	}
	v := tired()
	if play(v, session.CardOut{}, session.CardIn{}); v.State != session.AskingCAN || v.Tries != 0 {
		t.Errorf("card again at the problem: %s, %d tries", v.State, v.Tries)
	}
}

// The sixth digit begins to read, and the field says so; but not for somebody who
// listens, and the field says that, too.
func TestTheFieldSaysWhenTheCardIsRead(t *testing.T) {
	for _, c := range []struct {
		voice bool
		hint  text.Key
		after session.State
	}{
		{false, "can.hint", session.Reading},
		{true, "can.heard", session.AskingCAN},
	} {
		v := reach(session.AskingCAN)
		v.Voice = c.voice
		if got, want := look(v).Find("field").Hint, text.In(v.Lang, c.hint); got.String() != want.String() {
			t.Errorf("voice %v: the field says %q, not %q", c.voice, got, want)
		}
		play(v, typed("123456")[:6]...)
		if v.State != c.after {
			t.Errorf("voice %v: after six digits %s, not %s", c.voice, v.State, c.after)
		}
	}
}

func TestShortCAN(t *testing.T) {
	v := reach(session.AskingCAN)
	if e := play(v, session.Typed{Rune: '1'}, session.Typed{Rune: 'x'}, session.Entered{}); v.State != session.AskingCAN || len(e) > 0 {
		t.Fatalf("%s, effects %v", v.State, e)
	}
	if v.Wrong != "can.short" || v.Typed != "1" {
		t.Errorf("wrong %q, typed %q", v.Wrong, v.Typed)
	}
}

// The number that is typed is nobody else's to hear.
func TestTypedCANIsPrivate(t *testing.T) {
	v := reach(session.AskingCAN)
	if look(v).Role(scene.Field).Private {
		t.Error("an empty field needn't be private")
	}
	v.Step(session.Typed{Rune: '1'})
	if !look(v).Role(scene.Field).Private {
		t.Error("the number is heard on the loudspeaker")
	}
}

func TestCardPulledWhileRead(t *testing.T) {
	v := reach(session.Reading)
	v.Step(session.NameRead{GivenNames: "Aygün"})
	effects := v.Step(session.CardOut{})
	if v.State != session.Failing || v.Early != "" || v.Typed != "" {
		t.Fatalf("%s, early %q, typed %q", v.State, v.Early, v.Typed)
	}
	if diff := cmp.Diff([]session.Effect{session.Forget{}}, effects); diff != "" {
		t.Error(diff)
	}
	s := v.Scene()
	if s.Kind != scene.Problem || s.Find("retry") == nil || s.Find("leave") == nil {
		t.Error("no way on or back")
	}
	if v.Step(session.CardIn{}); v.State != session.AskingCAN {
		t.Errorf("the card again: %s", v.State)
	}
}

func TestStoringInDoubtShowsTheNumber(t *testing.T) {
	v := reach(session.Sending)
	v.Step(session.PutFailed{Err: fmt.Errorf("put: %w", offline.ErrUnknown), Number: "482913507264"})
	s := v.Scene()
	if n := s.Find("number"); s.Kind != scene.Problem || n == nil || !strings.Contains(n.Value.String(), "482 913 507 264") {
		t.Error("no number on the screen")
	}
	v = reach(session.Sending)
	v.Step(session.PutFailed{Err: fmt.Errorf("put: %w", offline.ErrFull), Number: "482913507264"})
	if look(v).Find("number") != nil {
		t.Error("a number of what was never stored")
	}
}

// The slip tells the truth of the moment.
func TestSlips(t *testing.T) {
	put := session.PutDone{ID: "01KAMQ0000000000000000TEST", Number: "482913507264", At: time.Unix(1e9, 0), Token: "STORED"}
	came := session.OutcomeCame{Outcome: request.Outcome{Number: "482913507264", Data: []request.Datum{{ID: "position", Value: "mühasib"}}}, Token: "DONE"}
	for _, c := range []struct {
		name   string
		events []session.Event
		kind   receipt.Kind
		code   string
	}{
		{"nothing heard", []session.Event{put, session.WaitEnded{}}, receipt.Provisional, "STORED"},
		{"the bus has it", []session.Event{put, session.BusAccepted{Token: "ACCEPTED"}, session.WaitEnded{}}, receipt.Accepted, "ACCEPTED"},
		{"the outcome came", []session.Event{put, session.BusAccepted{Token: "ACCEPTED"}, came}, receipt.Final, "DONE"},
	} {
		v := reach(session.Sending)
		s := slipIn(play(v, c.events...))
		if s == nil {
			t.Fatalf("%s: no slip", c.name)
		}
		if s.Kind != c.kind || s.Code != c.code || s.Number != "482913507264" || !s.Test {
			t.Errorf("%s: kind %d, code %q, number %q, test %v", c.name, s.Kind, s.Code, s.Number, s.Test)
		}
		if h := s.Holder.String(); strings.Contains(h, "Məmmədova") || !strings.HasPrefix(h, "Aygün M") {
			t.Errorf("%s: the slip names %q", c.name, h)
		}
		if v.State != session.Ending {
			t.Errorf("%s: %s", c.name, v.State)
		}
	}
	v := reach(session.Sending)
	if e := v.Step(session.WaitEnded{}); v.State != session.Sending || len(e) > 0 {
		t.Errorf("a slip of what isn't stored: %s, %v", v.State, e)
	}
}

func TestLineDownAtThePick(t *testing.T) {
	v := session.New(sessiontest.Kiosk())
	play(v, session.LanguageChosen{Lang: text.En}, session.LineChanged{Err: offline.ErrLineDown})
	s := v.Scene()
	if n := s.Find("service.imei_check"); !n.Unavailable || !strings.Contains(n.Hint.String(), "No connection") {
		t.Errorf("the check's row: unavailable %v, %s", n.Unavailable, n.Hint)
	}
	if n := s.Find("service.workplace_cert"); n.Unavailable {
		t.Error("the certificate can be asked for without the line")
	}
	if v.Step(session.ServicePicked{ID: "imei_check"}); v.State != session.Failing || v.Fault.Key != "fault.line_down" {
		t.Errorf("picked: %s, %s", v.State, v.Fault.Key)
	}
	v = reach(session.Choosing)
	v.Step(session.LineChanged{Err: offline.ErrLineDown})
	play(v, session.ServicePicked{ID: "workplace_cert"})
	play(v, sessiontest.PIN(1)[:6]...) // the card needs no line
	if e := play(v, sessiontest.PIN(1)[6], session.Answered{Field: "purpose", Value: "bank"}); v.State != session.Reviewing || len(e) > 0 {
		t.Fatalf("%s, effects %v", v.State, e)
	}
	s = v.Scene()
	for _, id := range []string{"datum.employer", "datum.position", "datum.since"} {
		if n := s.Find(id); n == nil || n.Value.String() != "The agency will fill this in" {
			t.Errorf("%s: %v", id, n)
		}
	}
}

func TestFinishedWaitsForTheSlip(t *testing.T) {
	v := reach(session.Ending)
	if e := v.Step(session.Finished{}); v.State != session.Ending || len(e) > 0 {
		t.Errorf("left the slip behind: %s, %v", v.State, e)
	}
	if n := look(v).Find("finish"); !n.Unavailable {
		t.Error("the way out isn't said to be closed")
	}
	play(v, session.SlipPrinted{Outcome: printer.Failed, Err: printer.ErrNoPaper})
	if n := look(v).Role(scene.Code); n == nil || len(n.Data) == 0 || n.Name.Empty() {
		t.Error("no code in the slip's place")
	}
	if v.Step(session.Finished{}); v.State != session.TakingCard {
		t.Errorf("in %s", v.State)
	}
}

// An answer is printed once at a time, and its slip is never another answer's.
func TestAnswerIsPrintedOnce(t *testing.T) {
	v := reach(session.Answering)
	if s := slipIn(v.Step(session.PrintAsked{})); s == nil || s.Kind != receipt.Answer {
		t.Fatalf("slip %v", s)
	}
	if e := play(v, session.PrintAsked{}, session.WentBack{}); v.State != session.Answering || len(e) > 0 {
		t.Errorf("while it is printing: %s, %v", v.State, e)
	}
	play(v, session.SlipPrinted{Outcome: printer.Confirmed}, session.WentBack{})
	play(v, typed("490154203237518")...)
	v.Step(session.LookedUp{For: "imei_check", Found: []session.Found{{ID: "status", Value: "blocked"}}})
	if s := v.Scene(); v.State != session.Answering || s.Find("paper") != nil || s.Find("print") == nil {
		t.Errorf("%s: the next answer's slip is said to be the first one's", v.State)
	}
}

// What one request came to is not another's.
func TestASecondRequestBeginsAnew(t *testing.T) {
	v := reach(session.Sending)
	play(v, session.PutDone{Number: "482913507264", Token: "6BF5Z"}, session.BusAccepted{Token: "B"}, session.RefusedCame{}, session.Retried{})
	if v.State != session.Home {
		t.Fatalf("in %s", v.State)
	}
	play(v, session.ServicePicked{ID: "workplace_cert"})
	want := session.Person{
		Service: v.Service, Holder: v.Holder, Carded: true, Login: sessiontest.Proof(), Answers: map[string]string{},
		Proving: session.Proving{Claim: 2},
	}
	if diff := cmp.Diff(want, v.Person); diff != "" {
		t.Error(diff)
	}
	if v.Holder == nil {
		t.Error("the card is to be read twice")
	}
}

// The answer about one service never fills another.
func TestLateAnswerOfAnotherServiceIsIgnored(t *testing.T) {
	for _, late := range []session.Event{
		session.LookedUp{For: "another", Found: []session.Found{{ID: "employer", Value: "PLANTED"}}},
		session.LookupFailed{For: "another", Err: offline.ErrAgency},
	} {
		for _, s := range []session.State{session.Filling, session.Prefilling, session.Looking} {
			v := reach(s)
			if e := v.Step(late); v.State != s || v.Found != nil || v.Told || v.Register != nil || len(e) > 0 {
				t.Errorf("%s takes %T of another service", s, late)
			}
		}
	}
}

// Without a means that reaches the level there is only the door.
func TestALevelThatNoMeansReaches(t *testing.T) {
	k := wide()
	c := *k.Catalogue
	c.Means, k.Catalogue = nil, &c
	v := session.New(k)
	play(v, until(session.Reading)...)
	play(v, session.HolderRead{Holder: sessiontest.Holder()}, session.ServicePicked{ID: "workplace_cert"})
	if v.State != session.Failing || v.Fault.Key != "fault.level" {
		t.Errorf("%s, %s", v.State, v.Fault.Key)
	}
}

// Levels are data: what the catalogue asks for is what counts.
func TestLevelIsData(t *testing.T) {
	for _, c := range []struct {
		assurance identity.Assurance
		service   string
		want      session.State
	}{
		{identity.Genuine, "workplace_cert", session.OpeningKeys},
		{identity.Authentic, "workplace_cert", session.OpeningKeys},
		{identity.Authentic, "two_fields", session.Filling},
		{identity.Read, "two_fields", session.OpeningKeys},
		{identity.Genuine, "verified", session.OpeningKeys},
		{identity.HolderVerified, "verified", session.Filling},
	} {
		v := session.New(wide())
		play(v, until(session.Reading)...)
		h := sessiontest.Holder()
		h.Assurance = c.assurance
		for _, s := range v.Catalogue.Services {
			if string(s.ID) == c.service {
				play(v, session.HolderRead{Holder: h}, session.ServicePicked{ID: s.ID})
			}
		}
		if v.State != c.want {
			t.Errorf("%s for %s: %s", c.assurance, c.service, v.State)
		}
		if v.State == session.Failing && v.Fault.Key != "fault.level" {
			t.Errorf("%s for %s: %s", c.assurance, c.service, v.Fault.Key)
		}
	}
}

func TestNoRoomIsSaidBeforeTheForm(t *testing.T) {
	v := reach(session.Choosing)
	v.Full = true
	if n := look(v).Find("service.workplace_cert"); !n.Unavailable {
		t.Error("the row doesn't say so")
	}
	if v.Step(session.ServicePicked{ID: "workplace_cert"}); v.State != session.Failing || v.Fault.Key != "fault.full" {
		t.Errorf("%s, %s", v.State, v.Fault.Key)
	}
}

// Settings change how the visit is met, and nothing of what was entered.
func TestSettingsKeepWhatWasEntered(t *testing.T) {
	for _, s := range session.States {
		for _, e := range []session.Event{
			session.LanguageCycled{},
			session.TextCycled{},
			session.ContrastCycled{},
			session.VoiceToggled{},
			session.PrivacyChanged{Private: true},
			session.LanguageChosen{Lang: text.Ru},
		} {
			if _, chosen := e.(session.LanguageChosen); chosen && s == session.Attracting {
				continue // that is how a visit begins
			}
			v, was := reach(s), reach(s)
			if s == session.AskingCAN || s == session.Filling {
				v.Typed, was.Typed = "12", "12"
			}
			effects := v.Step(e)
			if diff := cmp.Diff(was.Person, v.Person); v.State != s || diff != "" || len(effects) > 0 {
				t.Errorf("%s, %T: %s, effects %v\n%s", s, e, v.State, effects, diff)
			}
			if v.Settings == was.Settings {
				t.Errorf("%s, %T: nothing changed", s, e)
			}
		}
	}
	v := reach(session.Home)
	play(v, session.TextCycled{}, session.TextCycled{}, session.TextCycled{}, session.TextCycled{})
	if v.TextSize != scene.TextNormal {
		t.Errorf("four steps lead to size %d", v.TextSize)
	}
}

func TestHelpComesAndGoes(t *testing.T) {
	v := reach(session.Filling)
	if v.Step(session.HelpToggled{}); v.Scene().ID != "help" {
		t.Fatalf("scene %s", v.Scene().ID)
	}
	if v.Step(session.WentBack{}); v.State != session.Filling || v.Scene().ID != string(session.Filling) {
		t.Errorf("back from help leads to %s", v.Scene().ID)
	}
}

// All that was signed stands on the slip: number, both dates, every datum.
func TestTheFinalSlipHoldsAllThatWasSigned(t *testing.T) {
	issued := time.Date(2026, 11, 22, 6, 5, 0, 0, time.UTC)
	for _, lang := range text.Langs {
		v := session.New(sessiontest.Kiosk())
		var slip *receipt.Slip
		var data []request.Datum
		for _, e := range sessiontest.Certificate(lang) {
			o, came := e.(session.OutcomeCame)
			if came {
				o.Outcome.IssuedAt, o.Outcome.ValidUntil = issued, issued.AddDate(0, 1, 0)
				e, data = o, o.Outcome.Data
			}
			if effects := v.Step(e); came {
				slip = slipIn(effects)
				break
			}
		}
		if slip == nil || slip.Number != "482913507264" || !slip.When.Equal(issued) || len(slip.Rows) != len(data)+1 {
			t.Fatalf("%s: %v: %d data, of which %d rows", lang, slip, len(data), len(slip.Rows))
		}
		until := text.Day(lang, issued.AddDate(0, 1, 0)).String()
		if got := slip.Rows[len(data)].Value.String(); got != until {
			t.Errorf("%s: valid until %q, want %q", lang, got, until)
		}
	}
}

// With the card put in first, a certificate takes six touches beside the digits
// of access number and PIN.
func TestTouchesOfACertificate(t *testing.T) {
	v := session.New(sessiontest.Kiosk())
	touches := 0
	touched := []session.Event{
		session.ServicePicked{}, session.Entered{}, session.Answered{}, session.Confirmed{}, session.Agreed{}, session.Finished{},
	}
	entered := false // the number completes itself
	for _, e := range sessiontest.Certificate(text.Az) {
		switch e.(type) {
		case session.LanguageChosen, session.WithCard:
			continue
		case session.Entered:
			if !entered {
				entered = true
				continue
			}
		}
		for _, touch := range touched {
			if session.Kind(touch) == session.Kind(e) {
				touches++
			}
		}
		v.Step(e)
	}
	if v.State != session.Parting || touches != 6 {
		t.Errorf("%d touches, and then %s", touches, v.State)
	}
}

// That the slip has the number, too, is said only where there is a slip.
func TestTheNumberIsOnTheSlipThatThereIs(t *testing.T) {
	v := session.New(sessiontest.Kiosk())
	promised := func(when string, want bool) {
		t.Helper()
		s := v.Scene()
		if n := s.Find("number"); n == nil || n.Hint.Empty() == want {
			t.Errorf("%s: %+v", when, n)
		}
	}
	for _, e := range sessiontest.Certificate(text.En) {
		if _, printed := e.(session.SlipPrinted); printed {
			break
		}
		v.Step(e)
		if v.State == session.Sending && v.Stage != session.Unsent {
			promised("before an answer", false)
		}
	}
	promised("printing", true)
	v.Step(session.SlipPresented{})
	v.Step(session.SlipPrinted{Outcome: printer.Confirmed})
	promised("printed", true)
	v.Step(session.SlipRetracted{})
	promised("drawn back", false)
	v.Step(session.SlipPrinted{Outcome: printer.Failed, Err: printer.ErrNoPaper})
	promised("no paper", false)
}
