package session_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"kosk/device/scene"
	"kosk/device/session"
	"kosk/device/session/sessiontest"
	"kosk/device/text"
	"kosk/drivers/card"
	"kosk/drivers/panel"
)

// aZone is a visit that was asked for the document number, by the person's wish.
func aZone() *session.Visit {
	v := reach(session.AskingCAN)
	v.Step(session.NoCAN{})
	return v
}

// types is what is typed without a word that it is complete.
func types(s string) []session.Event { return typed(s)[:len(typed(s))-1] }

func refused() session.ReadFailed {
	return session.ReadFailed{Err: fmt.Errorf("read holder: %w", card.ErrWrongMRZ)}
}

func at(t *testing.T, v *session.Visit, want session.State) {
	t.Helper()
	if v.State != want {
		t.Fatalf("the visit is at %s, want %s", v.State, want)
	}
}

// Three questions, and no touch between them: the last character of each leads on.
func TestTheZoneIsTypedInTwentyFiveTouches(t *testing.T) {
	v := aZone()
	play(v, types("AB7654321")...)
	at(t, v, session.AskingBirth)
	play(v, types("12051990")...)
	at(t, v, session.AskingExpiry)
	effects := play(v, types("09062031")...)
	at(t, v, session.Reading)
	day := func(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }
	want := session.ReadHolder{Zone: card.Zone{Number: "AB7654321", Birth: day(1990, 5, 12), Expires: day(2031, 6, 9)}}
	if len(effects) != 1 || effects[0] != session.Effect(want) {
		t.Errorf("%d effects, or another zone", len(effects))
	}
	v.Step(session.HolderRead{Holder: sessiontest.Holder()})
	at(t, v, session.Choosing)
	if v.Zone != (session.Zone{}) {
		t.Error("the zone is kept when its owner is known")
	}
}

// Who listens says when: nothing happens under their fingers.
func TestWhoListensToTheZoneSaysWhen(t *testing.T) {
	v := aZone()
	v.Voice = true
	for _, typing := range []struct {
		state session.State
		what  string
	}{{session.AskingNumber, "ab7654321"}, {session.AskingBirth, "12051990"}, {session.AskingExpiry, "09062031"}} {
		at(t, v, typing.state)
		play(v, types(typing.what)...)
		at(t, v, typing.state)
		v.Step(session.Entered{})
	}
	at(t, v, session.Reading)
}

// A chip that knows no access number leads to the zone by itself, and the words say
// why; the way back is home.
func TestAChipWithoutAccessNumberAsksForTheZone(t *testing.T) {
	v := reach(session.Reading)
	v.Step(session.ReadFailed{Err: fmt.Errorf("read holder: %w", card.ErrWantsMRZ)})
	at(t, v, session.AskingNumber)
	for _, lang := range text.Langs {
		v.Lang = lang
		s := v.Scene()
		if got, want := s.Role(scene.Lead).Name.String(), text.In(lang, "number.why").String(); got != want {
			t.Errorf("%s: %q", lang, got)
		}
	}
	v.Step(session.WentBack{})
	at(t, v, session.Home)
	asked := aZone()
	s := asked.Scene()
	if got := s.Role(scene.Lead).Name.String(); got != text.In(text.En, "number.lead").String() {
		t.Errorf("who asked for it is told %q", got)
	}
	asked.Step(session.WentBack{})
	at(t, asked, session.AskingCAN)
}

// What the chip refused is shown, and one entry is mended without the others. The same
// again isn't sent to the chip: some answer slower after each wrong password.
func TestOneEntryIsMendedAlone(t *testing.T) {
	v := aZone()
	play(v, types("AB7654321"+"12051980"+"09062031")...)
	at(t, v, session.Reading)
	v.Step(refused())
	at(t, v, session.CheckingZone)
	s := v.Scene()
	for id, want := range map[string]string{"change.number": "AB 7654321", "change.birth": "12.05.1980", "change.expiry": "09.06.2031"} {
		if n := s.Find(id); n.Value.String() != want || !n.Private || !n.Typed {
			t.Errorf("%s shows %q, private %v, typed %v", id, n.Value.String(), n.Private, n.Typed)
		}
	}
	if n := s.Find("wrong"); n == nil || n.Name.String() != text.In(text.En, "fault.wrong_mrz.lead").String() {
		t.Error("nothing says what was wrong")
	}
	if v.Fault.Key != "fault.wrong_mrz" {
		t.Errorf("health hears of %q", v.Fault.Key)
	}
	if effects := v.Step(session.Confirmed{}); len(effects) > 0 || v.State != session.CheckingZone || v.Wrong != "zone.same" {
		t.Errorf("%s, %d effects, %q", v.State, len(effects), v.Wrong)
	}
	v.Step(session.ChangeAsked{Field: "birth"})
	at(t, v, session.AskingBirth)
	if v.Typed != "12051980" {
		t.Errorf("the field begins with %q", v.Typed)
	}
	play(v, session.Erased{}, session.Erased{}, session.Typed{Rune: '9'}, session.Typed{Rune: '0'})
	at(t, v, session.CheckingZone)
	s = v.Scene()
	if s.Find("wrong") != nil || s.Find("next").Unavailable {
		t.Error("what was mended is said to be wrong")
	}
	effects := v.Step(session.Confirmed{})
	at(t, v, session.Reading)
	if read := effects[0].(session.ReadHolder); read.Zone.Birth.Year() != 1990 || read.Zone.Number != "AB7654321" {
		t.Error("it isn't read with what stood there")
	}
}

// Not more tries than of the access number, of both together; then the card is put in
// anew, and what was typed still stands there.
func TestTriesOfTheZoneAreCounted(t *testing.T) {
	v := reach(session.AskingCAN)
	wrongCAN(v)
	v.Step(session.NoCAN{})
	play(v, types("AB7654321"+"12051980"+"09062031")...)
	for try := 2; ; try++ {
		at(t, v, session.Reading)
		v.Step(refused())
		if try == session.MaxTries {
			break
		}
		at(t, v, session.CheckingZone)
		play(v, session.ChangeAsked{Field: "birth"}, session.Erased{}, session.Typed{Rune: rune('0' + try)}, session.Confirmed{})
	}
	at(t, v, session.Failing)
	v.Step(session.Retried{})
	at(t, v, session.CheckingZone)
	play(v, session.ChangeAsked{Field: "birth"}, session.Erased{}, session.Typed{Rune: '9'})
	if effects := v.Step(session.Confirmed{}); len(effects) > 0 {
		t.Error("it is tried once more than may be")
	}
	at(t, v, session.AskingCard)
	play(v, session.CardOut{}, session.CardIn{})
	at(t, v, session.Reading)
}

// All of it stands on the card: it may leave the slot, nothing is lost, and it is asked
// for when it is needed.
func TestTheCardMayBeLookedAtWhileTheZoneIsTyped(t *testing.T) {
	v := aZone()
	for _, part := range []string{"AB76", "54321", "1205", "1990"} {
		play(v, session.CardOut{}, session.ReaderWent{}, session.ReaderCame{})
		play(v, types(part)...)
		v.Step(session.CardIn{})
	}
	at(t, v, session.AskingExpiry)
	v.Step(session.CardOut{})
	play(v, types("09062031")...)
	at(t, v, session.AskingCard)
	v.Step(session.WentBack{})
	at(t, v, session.CheckingZone)
	v.Step(session.Confirmed{})
	at(t, v, session.AskingCard)
	v.Step(session.CardIn{})
	at(t, v, session.Reading)
	v.Step(session.CardOut{}) // too early
	at(t, v, session.Failing)
	v.Step(session.CardIn{})
	at(t, v, session.Reading)
	v.Step(session.WentBack{})
	at(t, v, session.CheckingZone)
	if v.Zone.Number != "AB7654321" || v.Zone.Birth != "12051990" {
		t.Error("what was typed is lost")
	}
}

func TestDatesThatAreNone(t *testing.T) {
	for typed, want := range map[string]text.Key{
		"31021990": "date.wrong", "00051990": "date.wrong", "12131990": "date.wrong", "29022023": "date.wrong", "12051890": "date.wrong",
		"1205199": "date.short", "": "date.short",
		"29022024": "", "12051990": "", "31121999": "",
	} {
		for _, state := range []session.State{session.AskingBirth, session.AskingExpiry} {
			v := aZone()
			play(v, types("AB7654321")...)
			if state == session.AskingExpiry {
				play(v, types("12051990")...)
			}
			play(v, types(typed)...)
			if len(typed) < 8 {
				v.Step(session.Entered{})
			}
			if want == "" {
				if v.State == state {
					t.Errorf("%s is not taken", typed)
				}
				continue
			}
			at(t, v, state)
			if s := v.Scene(); v.Wrong != want || s.Find("field").Tone != scene.Bad || s.Find("wrong").Name.String() != text.In(text.En, want).String() {
				t.Errorf("%s: %q is said of %q", state, v.Wrong, typed)
			}
			if v.Typed != typed {
				t.Errorf("%s: %q stays of %q", state, v.Typed, typed)
			}
		}
	}
}

// Letters where a number of ours has letters, then digits; the others are a touch away,
// and whatever is pressed on a real key is taken.
func TestThePadFollowsTheNumber(t *testing.T) {
	v := aZone()
	pad := func() string {
		s, all := v.Scene(), ""
		for i := range s.Nodes {
			if n := &s.Nodes[i]; n.Role == scene.Key && n.Icon == "" {
				all += n.Name.String()
			}
		}
		return all
	}
	const letters, digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "1234567890"
	expect := func(want string) {
		t.Helper()
		if got := pad(); got != want {
			t.Errorf("with %q typed the keys are %s", v.Typed, got)
		}
	}
	expect(letters)
	play(v, types("a")...)
	expect(letters)
	play(v, types("B")...)
	expect(digits)
	v.Step(session.Erased{})
	expect(letters)
	v.Step(session.PadTurned{})
	expect(digits)
	play(v, types("1234")...)
	expect(digits)
	v.Step(session.PadTurned{})
	expect(letters)
	play(v, types("Zəя <é-")...)
	if v.Typed != "A1234Z" {
		t.Errorf("%q", v.Typed)
	}
	play(v, types(strings.Repeat("9", 40))...)
	if len(v.Typed) != 14 {
		t.Errorf("%d characters are taken", len(v.Typed))
	}
	v.Step(session.Entered{})
	at(t, v, session.AskingBirth)
	v.Step(session.WentBack{})
	expect(digits)
}

// What is being typed is said to headphones only, and its keys tell their letter.
func TestTheZoneIsPrivate(t *testing.T) {
	for _, s := range sessiontest.Journey(text.Az) {
		for i := range s.Nodes {
			n := &s.Nodes[i]
			for _, own := range []string{"7654321", "31.05", "12.05", "1980", "2031"} {
				if strings.Contains(n.Name.String()+n.Hint.String(), own) || strings.Contains(n.Value.String(), own) && !n.Private {
					t.Errorf("%s: %s says %q to everybody", s.ID, n.ID, own)
				}
			}
		}
	}
	v := aZone()
	if !v.AsksPassword() || !reach(session.AskingCAN).AsksPassword() || reach(session.Filling).AsksPassword() {
		t.Error("it isn't known where a password is typed")
	}
	if s := v.Scene(); !slices.ContainsFunc(s.Nodes, func(n scene.Node) bool { return n.ID == "key.Z" && n.Action == session.Typed{Rune: 'Z'} }) {
		t.Error("no key types Z")
	}
}

// A card that is put in anew gets another try of the same: nothing says any more that
// nothing has changed.
func TestACardPutInAnewTakesBackThatNothingHasChanged(t *testing.T) {
	v := aZone()
	play(v, types("AB7654321"+"12051980"+"09062031")...)
	play(v, refused(), session.Confirmed{})
	if s := v.Scene(); s.Find("wrong").Name.String() != text.In(text.En, "zone.same").String() {
		t.Fatalf("%q is said", s.Find("wrong").Name.String())
	}
	play(v, session.CardOut{}, session.CardIn{})
	if s := v.Scene(); s.Find("wrong") != nil || s.Find("next").Unavailable {
		t.Error("it may be tried again, and it is said that nothing has changed")
	}
	v.Step(session.Confirmed{})
	at(t, v, session.Reading)
}

// Where one entry is mended, its last character leads to the others, and the words say
// so (WCAG 2.2, 3.2.2).
func TestTheHintOfAMendedEntryTellsWhereItLeads(t *testing.T) {
	for _, field := range []session.State{session.AskingNumber, session.AskingBirth, session.AskingExpiry} {
		for _, voice := range []bool{false, true} {
			v := aZone()
			play(v, types("AB7654321"+"12051980"+"09062031")...)
			play(v, refused(), session.ChangeAsked{Field: string(field)})
			v.Voice = voice
			at(t, v, field)
			want := text.In(text.En, "zone.hint")
			if voice {
				want = text.In(text.En, text.Key(field)+".heard")
			}
			s := v.Scene()
			if got := s.Find("field").Hint.String(); got != want.String() {
				t.Errorf("%s, voice %v: %q, want %q", field, voice, got, want.String())
			}
		}
	}
}

// Who becomes known by another means than the card has nothing of it kept.
func TestAnotherMeansEndsTheZone(t *testing.T) {
	v := aZone()
	v.Step(session.CardOut{})
	play(v, types("AB7654321"+"12051980"+"09062031")...)
	at(t, v, session.AskingCard)
	v.Step(session.OtherMeans{})
	at(t, v, session.ChoosingMeans)
	for _, e := range sessiontest.Phone(text.En, "imza", "", "501234567", "123456") {
		switch e.(type) {
		case session.MeansPicked, session.Typed, session.Entered, session.Prompted, session.Proved:
			v.Step(e)
		}
		if v.Holder != nil {
			break
		}
	}
	if v.Holder == nil {
		t.Fatalf("nobody is known at %s", v.State)
	}
	if v.Zone != (session.Zone{}) {
		t.Error("what was typed of the card is kept when its owner is known otherwise")
	}
}

// With no try left the words are to take the card out and put it in again: the lamp says
// so as it does of the access number.
func TestTheLampAsksForACardWhoseZoneWasTriedTooOften(t *testing.T) {
	v := aZone()
	play(v, types("AB7654321"+"12051980"+"09062031")...)
	for v.State == session.Reading {
		v.Step(refused())
		play(v, session.ChangeAsked{Field: "birth"}, session.Erased{}, session.Typed{Rune: rune('0' + v.Tries)}, session.Confirmed{})
	}
	at(t, v, session.Failing)
	if got := lamps(v); got != (lit{}) {
		t.Errorf("in the slot: %+v", got)
	}
	v.Step(session.CardOut{})
	if got := lamps(v); got != (lit{card: panel.Slow}) {
		t.Errorf("out of it: %+v", got)
	}
}

// A card that lies in the slot is not asked for in the words of one that isn't there.
func TestACardThatIsInIsAskedOutFirst(t *testing.T) {
	v := reach(session.AskingCAN)
	for v.State != session.Failing {
		wrongCAN(v)
	}
	v.Step(session.Retried{})
	at(t, v, session.AskingCard)
	for _, lang := range text.Langs {
		v.Lang = lang
		s := v.Scene()
		if got, want := s.Role(scene.Title).Name.String(), text.In(lang, "card.anew").String(); got != want {
			t.Errorf("%s: %q, want %q", lang, got, want)
		}
	}
	v.Step(session.CardOut{})
	s := v.Scene()
	if got, want := s.Role(scene.Title).Name.String(), text.In(v.Lang, "card.title").String(); got != want {
		t.Errorf("taken out: %q, want %q", got, want)
	}
}
