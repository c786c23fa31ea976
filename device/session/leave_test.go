package session_test

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kosk/device/scene"
	"kosk/device/session"
	"kosk/device/session/sessiontest"
	"kosk/device/text"
	"kosk/drivers/printer"
	"kosk/offline"
)

// play gives the visit its events.
func play(v *session.Visit, events ...session.Event) []session.Effect {
	var all []session.Effect
	for _, e := range events {
		all = append(all, v.Step(e)...)
	}
	return all
}

// Who leaves, in whatever way and from wherever, is forgotten at once, and
// nothing of them is met by the next person.
func TestLeavingForgets(t *testing.T) {
	for _, s := range session.States {
		if s == session.Attracting || s == session.TakingCard || s == session.Parting {
			continue
		}
		for _, e := range []session.Event{session.Cancelled{}, session.IdledOut{}, session.CardOut{}} {
			v := reach(s)
			in := v.CardIn
			effects := v.Step(e)
			if _, out := e.(session.CardOut); out && !slices.Contains([]session.State{session.Parting, session.Attracting}, v.State) {
				continue // the visit goes on: see TestCardOut
			}
			if len(effects) == 0 || effects[0] != session.Effect(session.Forget{}) {
				t.Errorf("%s, %T: effects %v don't begin with Forget", s, e, effects)
			}
			want := session.Parting
			if _, out := e.(session.CardOut); in && !out {
				want = session.TakingCard
			}
			if v.State != want {
				t.Errorf("%s, %T: leads to %s, want %s", s, e, v.State, want)
			}
			checkForgotten(t, v, e)
			play(v, session.CardOut{}, session.TimeUp{})
			if v.State != session.Attracting {
				t.Errorf("%s, %T: the visit ends in %s", s, e, v.State)
			}
			if diff := cmp.Diff(session.Person{}, v.Person); diff != "" {
				t.Errorf("%s, %T: the next person meets:\n%s", s, e, diff)
			}
			if want := (session.Settings{Lang: text.Az, TextSize: scene.TextNormal}); v.Settings != want {
				t.Errorf("%s, %T: the next person is met with %+v", s, e, v.Settings)
			}
			nextPersonMeetsNothing(t, v)
		}
	}
}

// nextPersonMeetsNothing looks for the last person on the next one's screens.
func nextPersonMeetsNothing(t *testing.T, v *session.Visit) {
	t.Helper()
	for _, e := range sessiontest.Certificate(text.En) {
		if _, known := e.(session.NameRead); known {
			return
		}
		v.Step(e)
		for _, s := range stringsIn(reflect.ValueOf(v.Scene())) {
			for _, p := range planted {
				if strings.Contains(s, p) {
					t.Errorf("%s: the next person meets %q", v.State, p)
				}
			}
		}
	}
}

// A card that is put in while the parting words stand is the next person's.
func TestTheNextCardAtPartingIsMetAnew(t *testing.T) {
	v := reach(session.Parting)
	play(v, session.VoiceToggled{}, session.TextCycled{})
	effects := v.Step(session.CardIn{})
	if v.State != session.AskingCAN || v.Settings.Voice || v.TextSize != scene.TextNormal {
		t.Errorf("state %s, settings %+v", v.State, v.Settings)
	}
	if diff := cmp.Diff([]session.Effect{session.Forget{}, session.Anew{}}, effects); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(session.Person{}, v.Person); diff != "" {
		t.Error(diff)
	}
}

// Headphones that stay in are a fact; all else is as everybody meets it.
func TestHeadphonesOutlastAVisit(t *testing.T) {
	v := reach(session.Parting)
	play(v, session.PrivacyChanged{Private: true}, session.TextCycled{}, session.TimeUp{})
	if want := (session.Settings{Lang: text.Az, TextSize: scene.TextNormal, Private: true}); v.Settings != want {
		t.Errorf("settings %+v", v.Settings)
	}
}

func TestCardOut(t *testing.T) {
	sent := append(until(session.Sending), session.PutDone{Number: "482913507264", Token: "6BF5Z"})
	done := append(slices.Clone(sent), sessiontest.Certificate(text.En)[len(sent)])
	for _, c := range []struct {
		name   string
		before []session.Event
		state  session.State
		bye    text.Key
	}{
		{"while the number is typed", until(session.AskingCAN), session.Failing, ""},
		{"while the chip is read", until(session.Reading), session.Failing, ""},
		{"before anything is sent", until(session.Reviewing), session.Parting, "parting.card"},
		{"while the request is sent", sent, session.Parting, "parting.sent"},
		{"while the slip is still coming", done, session.Ending, ""},
		{
			"when the slip failed and the code stands for it",
			append(slices.Clone(done), session.SlipPrinted{Outcome: printer.Failed, Err: printer.ErrNoPaper}), session.Ending, "",
		},
		{"when the slip is out", append(slices.Clone(done), session.SlipPrinted{Outcome: printer.Confirmed}), session.Parting, "parting.thanks"},
		{"when the request was refused", append(slices.Clone(sent), session.RefusedCame{}), session.Failing, ""},
		{"when storing is in doubt", append(until(session.Sending), session.PutFailed{Err: offline.ErrUnknown, Number: "1"}), session.Failing, ""},
		{"when there was no room", append(until(session.Sending), session.PutFailed{Err: offline.ErrFull, Number: "1"}), session.Parting, "parting.card"},
	} {
		v := session.New(sessiontest.Kiosk())
		play(v, c.before...)
		v.Step(session.CardOut{})
		if v.State != c.state || v.Bye != c.bye {
			t.Errorf("%s: %s %q, want %s %q", c.name, v.State, v.Bye, c.state, c.bye)
		}
		v.Scene()
	}
}

// What the person is told at the end is true: nobody hears that nothing was sent
// when something was.
func TestFarewellIsTrue(t *testing.T) {
	sent := append(until(session.Sending), session.PutDone{Number: "482913507264", Token: "6BF5Z"})
	stored := append(slices.Clone(sent), session.WaitEnded{})
	for _, c := range []struct {
		name   string
		before []session.Event
		bye    text.Key
	}{
		{"at the consent", until(session.Consenting), "parting.cancelled"},
		{"while it is stored", until(session.Sending), "parting.storing"},
		{"while the outcome is awaited", sent, "parting.sent"},
		{"with a provisional slip coming", stored, "parting.sent"},
		{"with a provisional slip", append(slices.Clone(stored), session.SlipPrinted{Outcome: printer.Confirmed}), "parting.thanks"},
		{"with the certificate", until(session.Ending), "parting.thanks"},
		{"refused", append(slices.Clone(sent), session.RefusedCame{Reason: "no_contract"}), "refusal.no_contract"},
		{"in doubt", append(until(session.Sending), session.PutFailed{Err: offline.ErrUnknown, Number: "1"}), "fault.unknown"},
		{"without room", append(until(session.Sending), session.PutFailed{Err: offline.ErrFull, Number: "1"}), "parting.cancelled"},
	} {
		v := session.New(sessiontest.Kiosk())
		play(v, c.before...)
		v.Step(session.Cancelled{})
		if v.State != session.TakingCard || v.Bye != c.bye {
			t.Errorf("%s: %s %q, want %q", c.name, v.State, v.Bye, c.bye)
		}
		v.Scene()
		v.Step(session.CardOut{})
		v.Scene()
	}
}

// Nobody's card stays in the slot, whichever way leads out.
func TestBackOutOfHomeAsksForTheCard(t *testing.T) {
	v := session.New(sessiontest.Kiosk())
	play(v, session.CardIn{}, session.WentBack{})
	if v.State != session.Home {
		t.Fatalf("in %s", v.State)
	}
	if v.Step(session.WentBack{}); v.State != session.TakingCard {
		t.Errorf("with a card in the slot back leads to %s", v.State)
	}
}

// The card is asked for until it is out, and each time in words that are news.
func TestTheCardIsAskedForAgain(t *testing.T) {
	v := reach(session.TakingCard)
	said := v.Scene().MustHear.String()
	for range 3 {
		effects := v.Step(session.TimeUp{})
		if want := []session.Effect{session.Wait{For: 8 * time.Second, Then: session.TimeUp{}}}; !cmp.Equal(want, effects) {
			t.Errorf("effects %v", effects)
		}
		now := v.Scene().MustHear.String()
		if now == said || now == "" {
			t.Errorf("asked again in the words %q after %q", now, said)
		}
		said = now
	}
}

func TestIdle(t *testing.T) {
	for _, c := range []struct {
		name string
		make func() *session.Visit
		want time.Duration
	}{
		{"nobody is here", func() *session.Visit { return reach(session.Attracting) }, 0},
		{"before the holder is known", func() *session.Visit { return reach(session.Home) }, time.Minute},
		{"when the holder is known", func() *session.Visit { return reach(session.Reviewing) }, 2 * time.Minute},
		{"with the voice on", func() *session.Visit { v := reach(session.Reviewing); v.Voice = true; return v }, 5 * time.Minute},
		{"while the chip is read", func() *session.Visit { return reach(session.Reading) }, 0},
		{"while the request is sent", func() *session.Visit { return reach(session.Sending) }, 0},
		{"while the slip is printing", func() *session.Visit { return reach(session.Ending) }, 0},
		{"when the slip is out", func() *session.Visit {
			v := reach(session.Ending)
			v.Step(session.SlipPrinted{Outcome: printer.Confirmed})
			return v
		}, 2 * time.Minute},
		{"when the result stands and the card is gone", func() *session.Visit {
			v := reach(session.Ending)
			play(v, session.CardOut{}, session.SlipPrinted{Outcome: printer.Unknown})
			return v
		}, 20 * time.Second},
		{"while the card is asked for", func() *session.Visit { return reach(session.TakingCard) }, 0},
	} {
		if got := c.make().Idle(); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// The warning stands until the person does anything; what they do then counts,
// but for going back, which leads back from the warning.
func TestWarning(t *testing.T) {
	warned := func() *session.Visit {
		v := reach(session.Filling)
		v.Step(session.Idled{})
		if v.Scene().ID != "still-there" {
			t.Fatalf("no warning: %s", v.Scene().ID)
		}
		return v
	}
	for _, c := range []struct {
		event session.Event
		state session.State
		still bool
	}{
		{session.StillHere{}, session.Filling, false},
		{session.WentBack{}, session.Filling, false},
		{session.TextCycled{}, session.Filling, false},
		{session.Answered{Field: "purpose", Value: "bank"}, session.Prefilling, false},
		{session.LineChanged{Err: offline.ErrLineDown}, session.Filling, true},
		{session.LookupFailed{For: "workplace_cert", Err: errors.New("x")}, session.Filling, true},
		{session.IdledOut{}, session.TakingCard, false},
	} {
		v := warned()
		v.Step(c.event)
		if v.State != c.state || v.Warning != c.still {
			t.Errorf("%T: %s, warning %v", c.event, v.State, v.Warning)
		}
	}
	v := reach(session.Sending)
	if v.Step(session.Idled{}); v.Warning {
		t.Error("a warning while the machine is at work")
	}
}

// What was typed in secret is overwritten where it lay, whichever way the person
// goes: forgetting the place is not enough.
func TestSecretsAreOverwritten(t *testing.T) {
	zero := func(b []byte) bool { return len(bytes.Trim(b[:cap(b)], "\x00")) == 0 }
	for _, s := range []session.State{session.AskingPIN, session.Crediting} {
		for _, e := range []session.Event{
			session.Cancelled{}, session.IdledOut{}, session.WentBack{}, session.OtherMeans{}, session.ReaderWent{}, session.CardOut{},
		} {
			v := reach(s)
			v.Step(session.CardIn{})
			play(v, session.Typed{Rune: '8'}, session.Typed{Rune: '6'}, session.Typed{Rune: '4'}, session.Erased{})
			secret := v.Proving.Secret
			if string(secret) != "86" {
				t.Fatalf("%s: typed %q", s, secret)
			}
			if v.Step(e); v.State != s && !zero(secret) {
				t.Errorf("%s, %T: %q is left", s, e, secret[:cap(secret)])
			}
		}
	}
	v := reach(session.Crediting)
	for _, r := range "501234567" {
		v.Step(session.Typed{Rune: r})
	}
	v.Step(session.Entered{})
	before := v.Proving.Typed["phone"]
	if string(before) != "501234567" {
		t.Fatalf("kept %q", before)
	}
	if v.Step(session.Cancelled{}); !zero(before) {
		t.Errorf("%q is left of an earlier field", before)
	}
}

// A PIN is handed on once, and the visit keeps nothing of it.
func TestThePINIsHandedOn(t *testing.T) {
	v := reach(session.AskingPIN)
	effects := play(v, typed("8642")...)
	p, ok := effects[len(effects)-1].(session.Prove)
	if !ok || string(p.Typed["pin"]) != "8642" || v.State != session.VerifyingPIN {
		t.Fatalf("%s, %v", v.State, effects)
	}
	for _, s := range stringsIn(reflect.ValueOf(v)) {
		if strings.Contains(s, "8642") {
			t.Errorf("the visit still holds %q", s)
		}
	}
}
