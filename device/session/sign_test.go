package session_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kosk/device/catalogue"
	"kosk/device/identity"
	"kosk/device/receipt"
	"kosk/device/request"
	"kosk/device/scene"
	"kosk/device/session"
	"kosk/device/session/sessiontest"
	"kosk/device/text"
	"kosk/drivers/signer"
	"kosk/offline"
)

// consenting is a visit at the consent of an application that has to be signed.
func consenting(t *testing.T) *session.Visit {
	t.Helper()
	v := session.New(sessiontest.Kiosk())
	for _, e := range sessiontest.Application(text.En) {
		if _, agreed := e.(session.Agreed); agreed {
			break
		}
		v.Step(e)
	}
	if v.State != session.Consenting {
		t.Fatalf("at %s", v.State)
	}
	return v
}

// signing is the same visit where PIN2 is typed.
func signing(t *testing.T) *session.Visit {
	t.Helper()
	v := consenting(t)
	play(v, session.Agreed{}, session.KeysOpened{Claim: v.Proving.Claim + 1, PIN: signer.PIN{Tries: 3, Min: 5, Max: 12}})
	if v.State != session.AskingPIN {
		t.Fatalf("at %s", v.State)
	}
	return v
}

func sent(effects []session.Effect) bool {
	return slices.ContainsFunc(effects, func(e session.Effect) bool { _, ok := e.(session.Submit); return ok })
}

// shown are lines that can be looked at: their own print hides them.
func shown(lines []request.Line) []string {
	var all []string
	for _, l := range lines {
		all = append(all, fmt.Sprint(l.ID, ": ", l.Name, " | ", l.Value, " | ", l.Hint))
	}
	return all
}

// What is signed is in one language: who changes it between review and consent
// reads the review again.
func TestWhatIsSignedIsInOneLanguage(t *testing.T) {
	v := consenting(t)
	if play(v, session.LanguageCycled{}, session.Agreed{}); v.State != session.Reviewing || v.Shown != nil {
		t.Fatalf("at %s, with %d lines to be signed", v.State, len(v.Shown))
	}
	review := v.Scene()
	play(v, session.Confirmed{})
	consent := v.Scene()
	play(v, session.Agreed{}, session.LanguageCycled{})
	want := append(session.Lines(review), session.Lines(consent)...)
	if diff := cmp.Diff(shown(want), shown(v.Shown)); diff != "" {
		t.Error(diff)
	}
	if v.Consent.Lang != consent.Lang || v.Lang == consent.Lang || len(v.Consent.Items) != len(session.ConsentItems) {
		t.Errorf("agreed in %s, %d items", v.Consent.Lang, len(v.Consent.Items))
	}
}

// An earlier claim's signature is worth nothing once the answers may have changed.
func TestASignatureIsForWhatStandsNow(t *testing.T) {
	v := signing(t)
	for _, r := range "12345" {
		v.Step(session.Typed{Rune: r})
	}
	play(v, session.OtherMeans{}, session.MeansPicked{ID: "sima"})
	claim := v.Proving.Claim
	play(v, session.WentBack{}, session.WentBack{}, session.WentBack{}, session.ChangeAsked{Field: "payer"},
		session.Answered{Field: "payer", Value: "fund"}, session.Confirmed{})
	late := session.Proved{Claim: claim, Proof: sessiontest.Proof(), Subject: sessiontest.Subject()}
	if effects := v.Step(late); sent(effects) || v.State != session.Consenting {
		t.Errorf("at %s; sent: %v", v.State, sent(effects))
	}
	play(v, session.Agreed{}, session.KeysOpened{Claim: v.Proving.Claim + 1, PIN: signer.PIN{Tries: 3}})
	if !slices.ContainsFunc(v.Shown, func(l request.Line) bool { return l.Value == "The fund, to the employee's card" }) {
		t.Error("what is signed isn't the new answer")
	}
}

// Without a PIN2 the request waits as it was filled in, and a phone signs it.
func TestABlockedPIN2LosesNothing(t *testing.T) {
	for name, refused := range map[string]session.Event{
		"blocked":      session.KeysOpened{PIN: signer.PIN{}},
		"one try left": session.KeysOpened{PIN: signer.PIN{Tries: 1}},
		"no keys":      session.ProofFailed{Err: signer.ErrNoKeys},
	} {
		t.Run(name, func(t *testing.T) {
			v := consenting(t)
			v.Step(session.Agreed{})
			claim := v.Proving.Claim
			switch e := refused.(type) {
			case session.KeysOpened:
				e.Claim = claim
				v.Step(e)
			case session.ProofFailed:
				e.Claim = claim
				v.Step(e)
			}
			if v.State != session.Failing {
				t.Fatalf("at %s", v.State)
			}
			play(v, session.Retried{})
			s := v.Scene()
			if v.State != session.ChoosingMeans || s.Find("means.code") != nil || s.Find("means.imza") == nil || len(v.Answers) != 1 {
				t.Fatalf("at %s", v.State)
			}
			play(v, session.MeansPicked{ID: "sima"})
			effects := v.Step(session.Proved{Claim: v.Proving.Claim, Proof: identity.Proof{Means: "sima"}, Subject: sessiontest.Subject()})
			if !sent(effects) || v.Answers["payer"] != "employer" || v.Signed.Means != "sima" {
				t.Errorf("at %s; sent: %v", v.State, sent(effects))
			}
		})
	}
}

// Who pulls the card out while it signs has sent nothing, and is told so, in
// whatever order reader and card say it.
func TestACardPulledOutSignsNothing(t *testing.T) {
	for name, first := range map[string]func(v *session.Visit){
		"while the PIN is typed": func(*session.Visit) {},
		"while it signs":         func(v *session.Visit) { play(v, typed("12345")...) },
		"and it fails first": func(v *session.Visit) {
			play(v, typed("12345")...)
			v.Step(session.ProofFailed{Claim: v.Proving.Claim, Err: fmt.Errorf("sign: %w", signer.ErrNoKeys)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := signing(t)
			first(v)
			claim := v.Proving.Claim
			effects := v.Step(session.CardOut{})
			effects = append(effects, v.Step(session.Proved{Claim: claim, Proof: sessiontest.Proof(), Subject: sessiontest.Subject()})...)
			if v.State != session.Parting || v.Bye != "parting.unsigned" || sent(effects) || v.Answers != nil || v.Proving.Secret != nil {
				t.Errorf("at %s: %s; sent: %v", v.State, v.Bye, sent(effects))
			}
		})
	}
}

// What the register has refused for good is said before anything is agreed to.
func TestARegistersRefusalComesBeforeTheConsent(t *testing.T) {
	for reason, key := range map[string]text.Key{
		"already_applied": "refusal.already_applied", "not_entitled": "refusal.not_entitled", "no_contract": "refusal.no_contract", "busy": "",
	} {
		for name, early := range map[string]bool{"while answering": true, "after the last answer": false} {
			t.Run(reason+" "+name, func(t *testing.T) {
				v := session.New(sessiontest.Kiosk())
				for _, e := range sessiontest.Application(text.Ru) {
					if _, answered := e.(session.Answered); answered {
						break
					}
					v.Step(e)
				}
				no := session.LookupFailed{For: v.Service.ID, Err: &offline.Fault{Reason: reason, Err: offline.ErrRefused}}
				answer := session.Answered{Field: "payer", Value: "fund"}
				if early {
					play(v, no, answer)
				} else {
					play(v, answer, no)
				}
				if key == "" && v.State != session.Reviewing || key != "" && (v.State != session.Failing || v.Fault.Key != key) {
					t.Errorf("at %s: %s", v.State, v.Fault.Key)
				}
			})
		}
	}
}

// A name that no chip said isn't said to be the chip's: the line is signed.
func TestASignedNameHasItsSource(t *testing.T) {
	v := session.New(sessiontest.Kiosk())
	play(v, sessiontest.Phone(text.En, "sima", "x")...)
	v.Login.Means = "sima"
	play(v, session.ServicePicked{ID: "childcare_sheet"}, session.Answered{Field: "payer", Value: "fund"}, sessiontest.Sheet())
	s := v.Scene()
	if got := s.Find("datum.name").Hint.String(); got != "Source: SİMA" {
		t.Errorf("%s says %q", v.State, got)
	}
}

// An application's screens and slips say how far it has come, and never speak of
// a certificate.
func TestAnApplicationIsNoCertificate(t *testing.T) {
	stored := session.PutDone{ID: "01KAMQ0000000000000000TEST", Number: "482913507264", At: time.Unix(1e9, 0), Token: "T"}
	done := session.OutcomeCame{Token: "T", Outcome: request.Outcome{
		Kind: request.KindApplication, Number: "482913507264", Service: "childcare_sheet", IssuedAt: time.Unix(1e9, 0), ValidUntil: time.Unix(2e9, 0),
		Data: []request.Datum{{ID: "amount", Value: "30"}},
	}}
	for name, c := range map[string]struct {
		events []session.Event
		kind   receipt.Kind
		title  string
		rows   int
	}{
		"stored":     {[]session.Event{stored, session.WaitEnded{}}, receipt.Provisional, "Your application is stored", 2},
		"accepted":   {[]session.Event{stored, session.BusAccepted{Token: "T"}, session.WaitEnded{}}, receipt.Accepted, "Your application is accepted", 2},
		"registered": {[]session.Event{stored, done}, receipt.Registered, "Your application is registered", 4},
	} {
		t.Run(name, func(t *testing.T) {
			v := signing(t)
			v.Pages = true // of what is no certificate there is none
			play(v, typed("12345")...)
			v.Step(session.Proved{Claim: v.Proving.Claim, Proof: sessiontest.Proof(), Subject: sessiontest.Subject()})
			var slip *receipt.Slip
			for _, e := range c.events {
				if s := slipIn(v.Step(e)); s != nil {
					slip = s
				}
			}
			s := v.Scene()
			if slip == nil || slip.Kind != c.kind || len(slip.Rows) != c.rows || s.Find("title").Name.String() != c.title {
				t.Fatalf("%+v, %q", slip, s.Find("title").Name)
			}
			said := receipt.Lines(*slip)
			for i := range s.Nodes {
				said += s.Nodes[i].Name.String() + " " + s.Nodes[i].Hint.String() + "\n"
			}
			if strings.Contains(strings.ToLower(said), "certificate") || !strings.Contains(said, "Card and PIN") {
				t.Errorf("says\n%s", said)
			}
		})
	}
}

// What a register says stands in the service's order, whatever order it came in: an
// employee and a child are named before the child's birthday.
func TestDataStandInTheServicesOrder(t *testing.T) {
	order := func(shuffle bool) (ids []string) {
		v := session.New(sessiontest.Kiosk())
		for _, e := range sessiontest.Application(text.En) {
			if l, found := e.(session.LookedUp); found && shuffle {
				slices.Reverse(l.Found)
				e = l
			}
			v.Step(e)
			if v.State == session.Reviewing {
				break
			}
		}
		for _, n := range v.Scene().Nodes {
			if strings.HasPrefix(n.ID, "datum.") {
				ids = append(ids, n.ID)
			}
		}
		return ids
	}
	want := []string{"datum.name", "datum.fin", "datum.insurer", "datum.insurer_no", "datum.employee", "datum.child", "datum.born", "datum.amount"}
	for _, shuffled := range []bool{false, true} {
		if diff := cmp.Diff(want, order(shuffled)); diff != "" {
			t.Errorf("shuffled: %v\n%s", shuffled, diff)
		}
	}
}

// A refused PIN says how many tries are left in the words of the alert: that is
// all that is said unasked.
func TestARefusedPINSaysWhatIsLeft(t *testing.T) {
	for _, size := range []scene.TextSize{scene.TextSmall, scene.TextNormal, scene.TextLarge, scene.TextLargest} {
		v := signing(t)
		v.TextSize = size
		for _, r := range "86420" {
			v.Step(session.Typed{Rune: r})
		}
		v.Step(session.Entered{})
		v.Step(session.ProofFailed{Claim: v.Proving.Claim, Err: &signer.PINError{Tries: 2}})
		s := v.Scene()
		if n := s.Find("wrong"); n == nil || n.Tone != scene.Bad || !strings.Contains(n.Name[0].Say, "Tries left: 2") {
			t.Errorf("size %d: %+v", size, n)
		}
		all := 0
		for _, n := range s.Nodes {
			all += strings.Count(n.Name.String()+n.Hint.String(), "Tries left")
		}
		if all != 1 {
			t.Errorf("size %d: the tries are shown %d times", size, all)
		}
	}
}

// Who listens is told what to do when the PIN is typed.
func TestThePINsFieldSaysWhatIsNext(t *testing.T) {
	v := signing(t)
	for voice, want := range map[bool]string{false: "The screen hides them.", true: "Then choose Continue."} {
		v.Voice = voice
		s := v.Scene()
		if got := s.Find("field").Hint.String(); !strings.Contains(got, want) {
			t.Errorf("voice %v: %q", voice, got)
		}
	}
}

// Who chose what has to be signed learns which means can't, before it is too late.
func TestAMeansThatSignsNothingSaysSo(t *testing.T) {
	for service, want := range map[catalogue.ServiceID]text.Key{"childcare_sheet": "means.no_signature", "workplace_cert": ""} {
		v := session.New(sessiontest.Kiosk())
		play(v, session.LanguageChosen{Lang: text.En}, session.ServicePicked{ID: service}, session.OtherMeans{})
		if v.State != session.ChoosingMeans {
			t.Fatalf("%s: at %s", service, v.State)
		}
		for i := range v.Kiosk.Catalogue.Means {
			m := &v.Kiosk.Catalogue.Means[i]
			n := look(v).Find("means." + string(m.ID))
			if n == nil || n.Unavailable {
				continue
			}
			hint := m.Hint.In(text.En).String()
			if want != "" && !m.Sign {
				hint = text.In(text.En, want).String()
			}
			if n.Hint.String() != hint {
				t.Errorf("%s: %s says %q, want %q", service, m.ID, n.Hint, hint)
			}
		}
	}
}
