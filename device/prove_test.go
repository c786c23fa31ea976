package device_test

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kosk/device/identity"
	"kosk/device/request"
	"kosk/device/scene"
	"kosk/device/session"
	"kosk/device/text"
	"kosk/drivers/card"
	"kosk/drivers/signer"
)

// toPIN goes to the question for PIN1.
func (w *world) toPIN() {
	w.t.Helper()
	w.toChoosing()
	w.touch("service.workplace_cert")
	w.at(session.AskingPIN)
}

// says is the text of a node that must be there.
func (w *world) says(id string) string {
	w.t.Helper()
	v := w.view()
	n := v.Scene.Find(id)
	if n == nil {
		w.t.Fatalf("%s: no %q", v.Scene.ID, id)
	}
	return n.Name.String()
}

// A wrong PIN says how many tries are left; the last one is the holder's.
func TestTheLastTryIsNotSpent(t *testing.T) {
	visit(t, func(w *world) {
		w.toPIN()
		if got := w.says("tries"); got != "Tries left: 3" {
			t.Errorf("before the first: %q", got)
		}
		w.types("000")
		w.touch("next")
		if w.at(session.AskingPIN); w.says("wrong") == "" || w.keys.Tries[signer.Authentication] != 3 {
			t.Error("too short a PIN went to the card")
		}
		w.types("0")
		w.touch("next")
		w.at(session.AskingPIN)
		if got := w.says("tries"); got != "Tries left: 2" || w.says("wrong") == "" {
			t.Errorf("after the first: %q", got)
		}
		w.types("0000")
		w.touch("next")
		w.at(session.Failing)
		if got := w.says("title"); !strings.Contains(got, "last try") {
			t.Errorf("after the second: %q", got)
		}
		w.touch("retry")
		v := w.at(session.ChoosingMeans)
		if n := v.Scene.Find("means.card"); n == nil || !n.Unavailable {
			t.Error("the card is offered again")
		}
		w.touch("means.card")
		w.at(session.ChoosingMeans)
		if n := w.keys.Tries[signer.Authentication]; n != 1 || len(w.keys.Broken) > 0 {
			t.Errorf("%d tries left on the card; %v", n, w.keys.Broken)
		}
		w.key(scene.Cancel)
		w.toAttract()
		w.keepsSecrets(request.Draft{ID: "01KAMQ0000000000000000TEST"})
	})
}

func TestPINsOfCardsInTrouble(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(w *world)
		title string
	}{
		"blocked":       {func(w *world) { w.keys.Tries[signer.Authentication] = 0 }, "PIN1 is blocked"},
		"one try left":  {func(w *world) { w.keys.Tries[signer.Authentication] = 1 }, "The last try is not used here"},
		"without keys":  {func(w *world) { w.keys.Err = signer.ErrNoKeys }, "The card has no keys"},
		"mute":          {func(w *world) { w.keys.Err = card.ErrMute }, "The card does not answer"},
		"in no reader":  {func(w *world) { w.keys.Err = card.ErrNoReader }, "Cards can't be read now"},
		"unforeseeable": {func(w *world) { w.keys.Err = errors.New("PLANTED") }, "It didn't work"},
	} {
		t.Run(name, func(t *testing.T) {
			visit(t, func(w *world) {
				w.toChoosing()
				c.spoil(w)
				w.touch("service.workplace_cert")
				w.at(session.Failing)
				if got := w.says("title"); got != c.title {
					t.Errorf("says %q", got)
				}
			})
		})
	}
}

// On the reader's own pad no PIN comes here.
func TestAPadOnTheReader(t *testing.T) {
	visit(t, func(w *world) {
		w.keys.Pad = true
		w.toChoosing()
		w.touch("service.workplace_cert")
		w.at(session.Filling)
		if len(w.keys.Broken) > 0 || w.keys.Spent[signer.Authentication] != 1 {
			t.Errorf("%v, %v", w.keys.Broken, w.keys.Spent)
		}
	})
}

// Who is verified is asked once, and the login goes with the request.
func TestTheLoginIsInTheEnvelope(t *testing.T) {
	visit(t, func(w *world) {
		w.toConsent()
		w.touch("next")
		w.wait(6 * time.Second)
		d := w.outbox.draft()
		if err := d.CheckProofs(true, false, w.verify); err != nil {
			t.Error(err)
		}
		if err := d.CheckProofs(true, true, w.verify); !errors.Is(err, request.ErrSignature) {
			t.Errorf("unsigned: %v", err)
		}
		elsewhere := d
		elsewhere.Station = "test-2"
		if err := elsewhere.CheckProofs(true, false, w.verify); !errors.Is(err, request.ErrStatement) {
			t.Errorf("a login at another station: %v", err)
		}
		later := d
		later.CreatedAt = d.CreatedAt.Add(24 * time.Hour)
		if err := later.CheckProofs(true, false, w.verify); !errors.Is(err, request.ErrStatement) {
			t.Errorf("a login of yesterday: %v", err)
		}
		other := d
		other.Holder.FIN = "1QK8M3T"
		if err := other.CheckProofs(true, false, w.verify); !errors.Is(err, request.ErrSignature) {
			t.Errorf("somebody else's login: %v", err)
		}
		if n := w.keys.Spent[signer.Authentication]; n != 1 {
			t.Errorf("%d logins", n)
		}
	})
}

// verify is what the bus does with a proof.
func (w *world) verify(use string, p request.Proof) (string, error) {
	s, err := identity.Proof{
		Means: identity.MeansID(p.Means), Statement: p.Statement, Certificate: p.Certificate, Signature: p.Signature, Word: p.Word,
	}.Check(identity.Use(use), w.anchors, time.Now())
	return s.FIN, err
}

// What the citizen signs is what stood on the screens, and nothing else: the
// lines are read off the views, and are those in the signed bytes.
func TestWhatIsSignedIsWhatWasSeen(t *testing.T) {
	visiting(t, true, func(w *world) {
		w.toConsent()
		consent := w.view().Scene
		var review scene.Scene
		for _, v := range w.seen(0) {
			if v.Scene.ID == string(session.Reviewing) {
				review = v.Scene
			}
		}
		w.touch("next")
		w.at(session.AskingPIN)
		if w.says("title") != "Type PIN2 to sign" {
			t.Error(w.says("title"))
		}
		w.touch("back") // the person looks at the consent once more
		w.touch("next")
		w.at(session.AskingPIN)
		w.touch("tool.language") // what was read stays what is signed, and sent
		w.types(pin2)
		w.touch("next")
		w.wait(6 * time.Second)
		w.at(session.Ending)
		d := w.outbox.draft()
		if err := d.CheckProofs(true, true, w.verify); err != nil {
			t.Fatal(err)
		}
		if w.view().Scene.Lang == text.En || d.Lang != "en" || d.Consent.Operator != consent.Find("consent.operator").Value.String() {
			t.Error("the language of the envelope isn't the one that was read")
		}
		s, err := request.ParseStatement(d.CitizenSignature.Statement)
		check(t, err)
		var seen []request.Line
		for _, on := range []scene.Scene{review, consent} {
			for _, n := range on.Nodes {
				switch n.Role {
				case scene.Eyebrow, scene.Title, scene.Lead, scene.Note, scene.Datum:
					seen = append(seen, request.Line{ID: on.ID + "/" + n.ID, Name: n.Name.String(), Value: n.Value.String(), Hint: n.Hint.String()})
				}
			}
		}
		if diff := cmp.Diff(lines(seen), lines(s.Shown)); diff != "" || len(seen) < 12 {
			t.Errorf("%d lines were seen; signed is something else:\n%s", len(seen), diff)
		}
		if s.Request != d.ID || s.Lang != "en" || s.Answers["purpose"] != "bank" || w.keys.Signing != signer.Signature {
			t.Error("the signature is of another request")
		}
		if cert, err := x509.ParseCertificate(d.CitizenSignature.Certificate); err != nil || cert.KeyUsage != x509.KeyUsageContentCommitment {
			t.Errorf("%v", err)
		}
		altered := d
		altered.Answers = request.Answers{"purpose": "school"}
		if err := altered.CheckProofs(true, true, w.verify); !errors.Is(err, request.ErrStatement) {
			t.Errorf("another answer under the same signature: %v", err)
		}
		altered = d
		altered.Consent.Purpose = "something else"
		if err := altered.CheckProofs(true, true, w.verify); !errors.Is(err, request.ErrStatement) {
			t.Errorf("another consent under the same signature: %v", err)
		}
		w.keepsSecrets(d)
	})
}

// lines are lines that can be looked at: their own print hides them.
func lines(all []request.Line) []string {
	var out []string
	for _, l := range all {
		out = append(out, l.ID+" | "+l.Name+" | "+l.Value+" | "+l.Hint)
	}
	return out
}

// PIN digits are heard as tones, in headphones too, and the field says how many.
func TestPINsAreNotSaid(t *testing.T) {
	visit(t, func(w *world) {
		w.touch("lang.en")
		w.key(scene.HeadphonesIn)
		w.touch("with-card")
		w.put()
		w.types(can)
		w.touch("next")
		w.wait(3 * time.Second)
		w.touch("service.workplace_cert")
		w.at(session.AskingPIN)
		w.wait(20 * time.Second)
		before := len(w.said())
		for _, d := range "8642" {
			w.types(string(d))
			w.wait(200 * time.Millisecond) // each tone to its end
		}
		w.key(scene.WhereAmI)
		w.wait(20 * time.Second)
		if v := w.view(); v.Scene.Find("field").Value.String() != "••••" {
			t.Errorf("the field shows %q", v.Scene.Find("field").Value)
		}
		tones := 0
		for _, e := range w.said()[before:] {
			if e.State == "finished" && e.Tone == "typed" {
				tones++
			}
			for _, own := range []string{"eight", "six", "four", "two", "8", "6", "2"} {
				if strings.Contains(strings.ToLower(e.Text), own) {
					t.Errorf("said: %q", e.Text)
				}
			}
		}
		if tones != 4 {
			t.Errorf("%d tones for 4 digits", tones)
		}
	})
}

// Withdrawn is withdrawn: what the phone says later changes nothing.
func TestAnApprovalIsWithdrawn(t *testing.T) {
	visit(t, func(w *world) {
		begin, err := json.Marshal(identity.ApprovalAnswer{ID: "7", State: identity.ApprovalWaiting})
		check(t, err)
		w.lookup.mu.Lock()
		w.lookup.raw = string(begin)
		w.lookup.mu.Unlock()
		w.touch("lang.en", "with-card", "other", "means.sima")
		w.wait(2 * time.Second)
		v := w.at(session.Approving)
		if v.Scene.Role(scene.Code) == nil || len(v.Scene.Find("number").Value.String()) != 4 {
			t.Error("there is nothing to scan or to compare")
		}
		w.touch("back")
		w.at(session.ChoosingMeans)
		w.lookup.mu.Lock()
		asked := w.lookup.asked
		w.lookup.mu.Unlock()
		w.wait(10 * time.Second)
		w.at(session.ChoosingMeans)
		w.lookup.mu.Lock()
		defer w.lookup.mu.Unlock()
		if w.lookup.asked > asked {
			t.Errorf("asked %d times after it was withdrawn", w.lookup.asked-asked)
		}
	})
}

// Nobody waits for a phone for ever.
func TestAnApprovalLapses(t *testing.T) {
	visit(t, func(w *world) {
		w.lookup.mu.Lock()
		w.lookup.raw = `{"id":"7","state":"waiting"}`
		w.lookup.mu.Unlock()
		w.touch("lang.en", "with-card", "other", "means.sima")
		w.wait(125 * time.Second)
		w.at(session.Failing)
		if got := w.says("title"); got != "The phone didn't answer" {
			t.Error(got)
		}
		w.touch("retry")
		w.at(session.ChoosingMeans)
	})
}
