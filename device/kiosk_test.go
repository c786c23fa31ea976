package device_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kosk/device"
	"kosk/device/request"
	"kosk/device/scene"
	"kosk/device/session"
	"kosk/device/text"
	"kosk/device/voice"
	"kosk/drivers/card"
	"kosk/drivers/printer"
	"kosk/offline"
)

// The whole visit, by touch: what is stored is what was answered and believed,
// and what is printed is what the bus signed.
func TestACertificate(t *testing.T) {
	visit(t, func(w *world) {
		w.at(session.Attracting)
		if n := w.printer.clears(); n != 1 {
			t.Errorf("cleared %d times at the start", n)
		}
		w.toConsent()
		w.touch("next")
		w.at(session.Sending)
		w.wait(2 * time.Second)
		v := w.at(session.Ending)
		if n := v.Scene.Find("finish"); !n.Unavailable {
			t.Error("one can leave while the slip is printing")
		}
		w.wait(3 * time.Second)
		d := w.outbox.draft()
		if d.Holder.FIN != "5ARPXK2" || d.Holder.Surname != "Məmmədova" || d.Assurance != "holder_verified" || d.Answers["purpose"] != "bank" || d.Lang != "en" {
			t.Error("the request isn't what the person said and the chip proved")
		}
		if d.Consent.Person != "Aygün Məmmədova" || d.Consent.AgreedAt.IsZero() || len(d.Evidence.SOD) == 0 {
			t.Error("the consent or the evidence is missing")
		}
		if says := w.printer.says(); !strings.Contains(says, request.GroupNumber(d.ID.Number())) || !strings.Contains(says, "Xəzər") {
			t.Errorf("the slip says:\n%s", says)
		}
		w.touch("finish")
		w.toAttract()
		w.keepsSecrets(d)
	})
}

// keepsSecrets searches everything that was written for what nobody may read.
func (w *world) keepsSecrets(d request.Draft) {
	w.t.Helper()
	number := d.ID.Number()
	for _, own := range []string{
		"5ARPXK2", "Aygün", "AYGÜN", "AYGUEN", pin1, pin2, "Məmmədova", "MƏMMƏDOVA", "MAMMADOVA", "AA1234567", can, "1990-05-12", "900512",
		number, request.GroupNumber(number), "Xəzər", "490154203237518",
	} {
		for name, log := range map[string]*notes{"the log": w.log, "the speech log": w.speech} {
			if i := strings.Index(log.String(), own); i >= 0 {
				w.t.Errorf("%s holds %q: ...%s...", name, own, log.String()[max(0, i-80):i])
			}
		}
	}
	if w.log.String() == "" {
		w.t.Error("nothing was logged at all")
	}
}

// The same by keys and ears alone, on the loudspeaker.
func TestACertificateByKeys(t *testing.T) {
	visit(t, func(w *world) {
		w.key(scene.FocusNext) // the first key starts the voice
		if w.at(session.Attracting); !strings.Contains(w.log.String(), "line") {
			t.Error("no news of the line")
		}
		w.choose("lang.en")
		w.choose("with-card")
		w.put()
		w.at(session.AskingCAN)
		w.types("7391641")
		w.key(scene.Erase)
		w.types("4")
		w.key(scene.WhereAmI)
		w.wait(20 * time.Second)
		withheld := false
		for _, e := range w.said() {
			withheld = withheld || e.Scene == "can" && e.Withheld
			if e.Node == "field" && (strings.Contains(e.Text, "seven") || strings.ContainsAny(e.Text, "0123456789")) {
				t.Errorf("the number is said aloud: %q", e.Text)
			}
		}
		if !withheld {
			t.Error("what was typed isn't said to be private")
		}
		w.choose("next")
		w.wait(3 * time.Second)
		w.choose("service.workplace_cert")
		w.at(session.AskingPIN)
		w.types(pin1)
		w.wait(10 * time.Second)
		w.choose("field")
		w.at(session.Filling)
		w.choose("option.bank")
		w.wait(time.Second)
		w.choose("next")
		w.choose("next")
		w.wait(10 * time.Second)
		w.at(session.Ending)
		d := w.outbox.draft()
		w.choose("finish")
		w.at(session.TakingCard)
		w.wait(30 * time.Second) // asked for again, three times
		asked := 0
		for _, e := range w.said() {
			if e.Class == "must-hear" && e.State == "finished" && strings.HasPrefix(e.Text, "Take your card") {
				asked++
			}
		}
		if asked != 4 {
			t.Errorf("the card was asked for %d times in 30 seconds, want 4", asked)
		}
		w.toAttract()
		w.keepsSecrets(d)
	})
}

// said is the speech log.
func (w *world) said() []voice.Entry {
	w.t.Helper()
	var all []voice.Entry
	for l := range strings.Lines(w.speech.String()) {
		var e voice.Entry
		check(w.t, json.Unmarshal([]byte(l), &e))
		all = append(all, e)
	}
	return all
}

// choose goes round with the arrow to a node, and presses the round key.
func (w *world) choose(id string) {
	w.t.Helper()
	for range 60 {
		if w.view().Focus == id {
			w.key(scene.Select)
			return
		}
		w.key(scene.FocusNext)
	}
	w.t.Fatalf("%s: %q is never reached", w.view().Scene.ID, id)
}

func TestACheckWithoutACard(t *testing.T) {
	visit(t, func(w *world) {
		w.touch("lang.az", "without-card", "service.imei_check")
		w.types("490154203237518")
		w.touch("next")
		w.at(session.Looking)
		w.wait(time.Second)
		w.at(session.Answering)
		w.touch("print")
		w.wait(3 * time.Second)
		if !strings.Contains(w.printer.says(), "4901 5420 3237 518") {
			t.Error("the slip doesn't say what was asked")
		}
		w.touch("finish")
		w.at(session.Parting)
		w.wait(6 * time.Second)
		w.at(session.Attracting)
		w.keepsSecrets(request.Draft{ID: "01KAMQ0000000000000000TEST"})
	})
}

func TestLineDown(t *testing.T) {
	visit(t, func(w *world) {
		w.tracker.goes = offline.Stored
		w.line <- offline.ErrLineDown
		w.toChoosing()
		w.pick()
		w.touch("option.bank")
		w.at(session.Reviewing)
		if w.lookup.asked > 0 {
			t.Error("a register was asked without a line")
		}
		w.touch("next", "next")
		w.at(session.Sending)
		w.wait(1600 * time.Millisecond) // nobody waits eight seconds for nothing
		w.at(session.Ending)
		w.wait(3 * time.Second)
		d := w.outbox.draft()
		says := w.printer.says()
		if !strings.Contains(says, request.GroupNumber(d.ID.Number())) || !strings.Contains(strings.ToLower(says), "provisional") {
			t.Errorf("the slip says:\n%s", says)
		}
	})
}

// What comes of a request decides what is shown: only what the bus has signed is
// a certificate.
func TestOutcomes(t *testing.T) {
	for _, c := range []struct {
		name  string
		set   func(w *world)
		state session.State
		title string
	}{
		{"done", func(*world) {}, session.Ending, "Your certificate is ready"},
		{"accepted within the wait", func(w *world) { w.tracker.goes = offline.Accepted }, session.Ending, "Your request is accepted"},
		{"only stored", func(w *world) { w.tracker.goes = offline.Stored }, session.Ending, "Your request is stored"},
		{"refused", func(w *world) { w.tracker.goes, w.tracker.reason = offline.Refused, "no_contract" }, session.Failing, "No employment contract found"},
		{"another datum than was signed", func(w *world) {
			w.tracker.spoil = func(o *request.Outcome) { o.Data[0].Value = "another" }
		}, session.Ending, "Your request is accepted"},
		{"a token that nobody signed", func(w *world) {
			w.tracker.spoil = func(o *request.Outcome) { o.Token[len(o.Token)-1] ^= 1 }
		}, session.Ending, "Your request is accepted"},
		{"no room", func(w *world) { w.outbox.err = offline.ErrFull }, session.Failing, "Requests can't be taken now"},
	} {
		t.Run(c.name, func(t *testing.T) {
			visit(t, func(w *world) {
				c.set(w)
				w.toConsent()
				w.touch("next")
				w.wait(12 * time.Second)
				if got := w.at(c.state).Scene.Role(scene.Title).Name.String(); got != c.title {
					t.Errorf("%q, want %q", got, c.title)
				}
			})
		})
	}
}

func TestLookupFaults(t *testing.T) {
	for _, c := range []struct {
		name, raw string
		err       error
		title     string
	}{
		{"line down", "", fmt.Errorf("look up: %w", offline.ErrLineDown), "No connection"},
		{"another bus", "", offline.ErrBusIdentity, "No secure connection"},
		{"silent agency", "", offline.ErrAgency, "The agency doesn't answer"},
		{"an answer that is none", "{", nil, "The agency doesn't answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			visit(t, func(w *world) {
				w.lookup.raw, w.lookup.err = c.raw, c.err
				w.touch("lang.en", "service.imei_check")
				w.types("490154203237518")
				w.touch("next")
				w.wait(time.Second)
				if got := w.at(session.Failing).Scene.Role(scene.Title).Name.String(); got != c.title {
					t.Errorf("%q, want %q", got, c.title)
				}
			})
		})
	}
}

func TestWrongCAN(t *testing.T) {
	visit(t, func(w *world) {
		w.toCAN()
		w.types("000000")
		w.wait(3 * time.Second)
		if v := w.at(session.AskingCAN); v.Scene.Find("wrong") == nil {
			t.Error("nothing says so")
		}
		w.types(can)
		w.wait(3 * time.Second)
		w.at(session.Choosing)
	})
}

// A chip that never answers is given up, and said to be mute.
func TestASilentChip(t *testing.T) {
	visit(t, func(w *world) {
		w.chip.instead = func(ctx context.Context, _ card.Card, _ string, _ func([]byte)) (*card.Chip, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		w.toCAN()
		w.types(can)
		w.wait(29 * time.Second)
		w.at(session.Reading)
		w.wait(2 * time.Second)
		if got := w.at(session.Failing).Scene.Role(scene.Title).Name.String(); got != "The card does not answer" {
			t.Errorf("%q", got)
		}
	})
}

// What was read for somebody who has left is nobody's.
func TestALateHolderIsDropped(t *testing.T) {
	visit(t, func(w *world) {
		late := make(chan struct{})
		read := w.chip.HolderReader
		w.chip.instead = func(ctx context.Context, c card.Card, can string, early func([]byte)) (*card.Chip, error) {
			<-late
			return read.ReadHolder(context.WithoutCancel(ctx), c, can, early)
		}
		w.toCAN()
		w.types(can)
		w.touch("leave")
		w.toAttract()
		from := len(w.seen(0))
		close(late)
		w.wait(3 * time.Second)
		w.at(session.Attracting)
		w.touch("lang.en", "with-card")
		w.put()
		w.at(session.AskingCAN)
		for _, v := range w.seen(from) {
			for _, n := range v.Scene.Nodes {
				if s := n.Name.String() + n.Value.String(); strings.Contains(s, "Aygün") || strings.Contains(s, "Ayg") {
					t.Errorf("%s shows the last person: %q", v.Scene.ID, s)
				}
			}
		}
	})
}

// Nor is it the next person's, whose own card is being read just then.
func TestALateHolderIsNotTheNextOnes(t *testing.T) {
	visit(t, func(w *world) {
		late := make(chan struct{})
		read := w.chip.HolderReader
		w.chip.instead = func(ctx context.Context, c card.Card, can string, early func([]byte)) (*card.Chip, error) {
			<-late
			return read.ReadHolder(context.WithoutCancel(ctx), c, can, early)
		}
		for range 6 { // one of them would get through
			w.toCAN()
			w.types(can)
			w.touch("leave")
			w.toAttract()
		}
		w.chip.instead = func(ctx context.Context, _ card.Card, _ string, _ func([]byte)) (*card.Chip, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		w.toCAN()
		w.types(can)
		close(late)
		w.wait(10 * time.Second)
		if v := w.at(session.Reading); v.Scene.Find("early") != nil {
			t.Error("greeted by another's name")
		}
	})
}

// The next person hears the voice as everybody does; but headphones that are
// still in are still in.
func TestTheVoiceIsAsEverybodyMeetsIt(t *testing.T) {
	visit(t, func(w *world) {
		louder := func() string {
			w.key(scene.Louder)
			w.wait(10 * time.Second)
			all := w.said()
			for i := len(all) - 1; i >= 0; i-- {
				if e := all[i]; e.Scene == "" && e.Text != "" && e.State == "finished" {
					return e.Text + " by " + e.Route
				}
			}
			t.Fatal("nothing is said of the volume")
			return ""
		}
		w.key(scene.HeadphonesIn)
		w.touch("lang.en")
		first := louder()
		if louder() == first {
			t.Error("the volume doesn't change")
		}
		w.key(scene.Cancel)
		w.wait(6 * time.Second)
		w.at(session.Attracting)
		w.key(scene.ToggleVoice)
		w.touch("lang.en")
		w.wait(20 * time.Second)
		if got := louder(); got != first || !strings.HasSuffix(got, "headphones") {
			t.Errorf("the next person hears %q, want %q", got, first)
		}
	})
}

// A slip that is cut off by its person's leaving changes nothing for the next.
func TestALatePrintIsDropped(t *testing.T) {
	visit(t, func(w *world) {
		w.printer.takes = 40 * time.Second
		w.toConsent()
		w.touch("next")
		w.wait(2 * time.Second)
		w.at(session.Ending)
		w.key(scene.Cancel)
		w.toAttract()
		if len(w.printer.slips) > 0 {
			t.Error("printed for somebody who has left")
		}
		w.printer.takes = time.Second
		w.touch("lang.en", "service.imei_check")
		w.types("490154203237518")
		w.touch("next")
		w.wait(time.Second)
		if v := w.at(session.Answering); v.Scene.Find("paper") != nil || v.Scene.Find("print") == nil {
			t.Error("the next person is told of the last one's slip")
		}
	})
}

func TestTheCardLeavesWhileTheSlipComes(t *testing.T) {
	visit(t, func(w *world) {
		w.toConsent()
		w.touch("next")
		w.wait(1500 * time.Millisecond)
		w.at(session.Ending)
		w.pull()
		w.at(session.Ending)
		w.wait(3 * time.Second)
		if v := w.at(session.Ending); v.Scene.Find("paper") == nil || v.Scene.Find("number") == nil {
			t.Error("the result is gone")
		}
		w.printer.says()
		w.wait(20 * time.Second)
		w.at("still-there")
		w.wait(45 * time.Second)
		w.at(session.Parting)
	})
}

// Agreed is agreed: the request is stored though the person has left, once, and
// nothing is printed.
func TestStoringGoesOnWithoutThePerson(t *testing.T) {
	visit(t, func(w *world) {
		w.outbox.hold = make(chan struct{})
		w.toConsent()
		w.touch("next")
		w.at(session.Sending)
		w.pull()
		if v := w.at(session.Parting); v.Scene.Role(scene.Title).Name.String() != "Your request is being stored" {
			t.Errorf("told %q", v.Scene.Role(scene.Title).Name)
		}
		w.wait(6 * time.Second)
		w.at(session.Attracting)
		close(w.outbox.hold)
		w.wait(20 * time.Second)
		w.at(session.Attracting)
		w.keepsSecrets(w.outbox.draft())
		if len(w.printer.slips) > 0 {
			t.Error("printed for somebody who has left")
		}
	})
}

// In doubt the number is shown, the visit ends in peace, and then the process.
func TestDoubtEndsInARestart(t *testing.T) {
	visit(t, func(w *world) {
		w.outbox.err = offline.ErrUnknown
		w.toConsent()
		w.touch("next")
		v := w.at(session.Failing)
		if n := v.Scene.Find("number"); n == nil || len(n.Value.String()) < 12 {
			t.Error("no number")
		}
		w.touch("finish")
		w.at(session.TakingCard)
		w.pull()
		w.at(session.Parting)
		select {
		case err := <-w.ended:
			t.Fatalf("ended before the person has gone: %v", err)
		default:
		}
		w.wait(6 * time.Second)
		if err := <-w.ended; !errors.Is(err, device.ErrRestart) {
			t.Errorf("ended with %v", err)
		}
	})
}

// A queue that broke beside the visit ends the process as well, and not before
// the person has gone.
func TestRetire(t *testing.T) {
	visit(t, func(w *world) {
		w.toChoosing()
		w.kiosk.Retire()
		w.touch("service.workplace_cert")
		if v := w.at(session.Failing); !strings.Contains(v.Scene.Role(scene.Title).Name.String(), "taken now") {
			t.Errorf("told %q", v.Scene.Role(scene.Title).Name)
		}
		w.pull()
		w.at(session.Parting)
		w.wait(6 * time.Second)
		select {
		case err := <-w.ended:
			if !errors.Is(err, device.ErrRestart) {
				t.Errorf("ended with %v", err)
			}
		default:
			t.Error("goes on without a queue")
		}
	})
}

// Nothing is said to be stored before it is.
func TestStoredIsSaidWhenItIs(t *testing.T) {
	visit(t, func(w *world) {
		w.outbox.hold = make(chan struct{})
		w.toConsent()
		w.touch("next")
		v := w.at(session.Sending)
		if n := v.Scene.Role(scene.Progress).Name.String(); n != "Storing your request." {
			t.Errorf("told %q before it is stored", n)
		}
		if v.Scene.Find("number") != nil {
			t.Error("a number before it is stored")
		}
		close(w.outbox.hold)
		w.wait(20 * time.Second)
		w.at(session.Ending)
	})
}

// Each slip of an answer is one of its own: no second person's is a copy of the
// first one's. And where there is no code, none is spoken of.
func TestSlipsOfAnswers(t *testing.T) {
	visit(t, func(w *world) {
		ask := func() {
			w.touch("lang.en", "without-card", "service.imei_check")
			w.types("490154203237518")
			w.touch("next")
			w.wait(time.Second)
			w.touch("print")
			w.wait(3 * time.Second)
		}
		for range 2 {
			ask()
			w.touch("finish")
			w.wait(6 * time.Second)
		}
		if s := w.printer.slips; len(s) != 2 || s[0].ID == s[1].ID {
			t.Errorf("two slips of one id: %d", len(s))
		}
		w.printer.outcome, w.printer.err = printer.Failed, fmt.Errorf("print: %w", printer.ErrNoPaper)
		ask()
		v := w.at(session.Answering)
		if n := v.Scene.Find("paper"); n == nil || strings.Contains(n.Name.String(), "code") || v.Scene.Role(scene.Code) != nil {
			t.Errorf("a code is spoken of that isn't there: %v", n)
		}
	})
}

// The doubt isn't forgotten with the person.
func TestDoubtAfterThePersonLeft(t *testing.T) {
	visit(t, func(w *world) {
		w.outbox.hold, w.outbox.err = make(chan struct{}), offline.ErrUnknown
		w.toConsent()
		w.touch("next")
		w.pull()
		w.wait(6 * time.Second)
		w.at(session.Attracting)
		close(w.outbox.hold)
		w.wait(time.Second)
		select {
		case err := <-w.ended:
			if !errors.Is(err, device.ErrRestart) {
				t.Errorf("ended with %v", err)
			}
		default:
			t.Error("goes on in doubt")
		}
	})
}

func TestClearedAtEveryEnd(t *testing.T) {
	for name, end := range map[string]func(w *world){
		"leave":  func(w *world) { w.key(scene.Cancel); w.toAttract() },
		"card":   func(w *world) { w.pull(); w.wait(6 * time.Second); w.at(session.Attracting) },
		"idle":   func(w *world) { w.wait(3 * time.Minute); w.toAttract() },
		"thanks": func(w *world) { w.touch("next"); w.wait(5 * time.Second); w.touch("finish"); w.toAttract() },
	} {
		t.Run(name, func(t *testing.T) {
			visit(t, func(w *world) {
				w.toConsent()
				before := w.printer.clears()
				end(w)
				if w.printer.clears() == before {
					t.Error("the printer keeps what it was sent")
				}
			})
		})
	}
}

// Nobody here for so long: a warning, and 45 seconds later all is forgotten.
func TestIdle(t *testing.T) {
	for _, c := range []struct {
		name string
		way  func(w *world)
		want time.Duration
	}{
		{"before the card", func(w *world) { w.touch("lang.en") }, 60 * time.Second},
		{"when the holder is known", func(w *world) { w.toChoosing() }, 120 * time.Second},
		{"with the voice", func(w *world) {
			w.key(scene.ToggleVoice)
			w.touch("lang.en")
			w.wait(time.Minute) // all is said
			w.key(scene.Hush)
		}, 300 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			visit(t, func(w *world) {
				c.way(w)
				was := w.view().Scene.ID
				w.kiosk.Input(scene.Input{Focus: "title"}) // a page is turned: somebody is here
				synctest.Wait()
				w.wait(c.want - 100*time.Millisecond)
				w.at(session.State(was))
				w.wait(200 * time.Millisecond)
				w.at("still-there")
				w.key(scene.FocusNext) // any key extends
				w.at(session.State(was))
				w.wait(c.want - 100*time.Millisecond)
				w.at(session.State(was))
				w.wait(200 * time.Millisecond)
				w.at("still-there")
				w.wait(44 * time.Second)
				w.at("still-there")
				w.wait(time.Second)
				if id := w.view().Scene.ID; id != string(session.Parting) && id != string(session.TakingCard) {
					t.Errorf("at %s", id)
				}
			})
		})
	}
}

// News of the line is nobody's presence.
func TestALineThatComesAndGoesKeepsNobodyHere(t *testing.T) {
	visit(t, func(w *world) {
		w.toChoosing()
		from := time.Now()
		for w.view().Scene.ID != "still-there" {
			w.line <- offline.ErrLineDown
			w.wait(10 * time.Second)
			w.line <- nil
			w.wait(10 * time.Second)
			if time.Since(from) > 3*time.Minute {
				t.Fatal("the person's name stands for ever")
			}
		}
		w.line <- offline.ErrLineDown
		w.wait(30 * time.Second)
		w.line <- nil
		w.wait(16 * time.Second)
		w.at(session.TakingCard)
	})
}

// The card is asked for every eight seconds, in words that must be heard.
func TestTheCardIsAskedFor(t *testing.T) {
	visit(t, func(w *world) {
		w.toChoosing()
		w.touch("leave")
		said := w.at(session.TakingCard).Scene.MustHear.String()
		asked := time.Now()
		for n := range time.Duration(4) {
			w.wait(time.Until(asked.Add((n+1)*8*time.Second - time.Millisecond)))
			if got := w.view().Scene.MustHear.String(); got != said {
				t.Error("asked too early")
			}
			w.wait(time.Millisecond)
			got := w.at(session.TakingCard).Scene.MustHear.String()
			if got == said || !strings.HasPrefix(got, "Take your card") {
				t.Errorf("asked with %q after %q", got, said)
			}
			said = got
		}
		w.toAttract()
	})
}

// Who has taken the card isn't asked for it any longer, and hears how it ended.
func TestTheCardIsNotAskedForOnceItIsOut(t *testing.T) {
	visit(t, func(w *world) {
		w.toChoosing()
		w.key(scene.HeadphonesIn)
		w.wait(20 * time.Second)
		w.key(scene.Cancel)
		w.at(session.TakingCard)
		w.wait(100 * time.Millisecond)
		taken := time.Now()
		w.pull()
		w.at(session.Parting)
		w.wait(5 * time.Second)
		asked, thanked := "", false
		for _, e := range w.said() {
			if e.Class == "must-hear" {
				asked = e.State
				if late := e.T.Sub(taken); late > 100*time.Millisecond {
					t.Errorf("%q is %s %v after the card was taken", e.Text, e.State, late)
				}
			}
			thanked = thanked || e.Scene == "parting" && e.State == "finished" && e.Text == "Stopped"
		}
		if asked != "interrupted" || !thanked {
			t.Errorf("the demand was %s; the parting words were said: %v", asked, thanked)
		}
	})
}

// Who listens meets each screen at the first thing that its opening words haven't
// said: nothing has to be heard twice on the way to it, and the title is said.
func TestTheFocusBeginsAfterWhatWasSaid(t *testing.T) {
	visit(t, func(w *world) {
		w.key(scene.HeadphonesIn)
		at := func(s session.State, node string) {
			t.Helper()
			w.wait(20 * time.Second)
			if got := w.at(s).Focus; got != node {
				t.Errorf("%s begins at %q, want %q", s, got, node)
			}
			title := w.view().Scene.Role(scene.Title)
			for _, e := range w.said() {
				if e.Scene == string(s) && (e.Node == title.ID || e.Text == title.Name.String()) && e.State == "finished" {
					return
				}
			}
			t.Errorf("%s: the title isn't said", s)
		}
		at(session.Attracting, "choose")
		w.key(scene.FocusNext)
		w.choose("lang.en")
		at(session.Home, "with-card")
		w.key(scene.Select)
		at(session.AskingCard, "no-card")
		w.put()
		at(session.AskingCAN, "field")
		w.types(can)
		w.key(scene.Select)
		at(session.Choosing, "service.workplace_cert")
		w.key(scene.Select)
		at(session.AskingPIN, "field")
		w.types(pin1)
		w.key(scene.Select)
		at(session.Filling, "option.bank")
		w.key(scene.Select)
		at(session.Reviewing, "datum.name")
		w.choose("next")
		at(session.Consenting, "consent.person")
		w.choose("next")
		at(session.Ending, "number")
		w.choose("finish")
		at(session.TakingCard, "bye")
		w.pull()
		w.wait(3 * time.Second)
		if got := w.at(session.Parting).Focus; got != "forgot" {
			t.Errorf("the end begins at %q", got)
		}
	})
}

// Who uses keys without the voice begins at what the screen is for, never at the
// way out; and on a field the round key means that all is typed.
func TestKeysBeginAtWhatTheScreenIsFor(t *testing.T) {
	visit(t, func(w *world) {
		at := func(s session.State, node string) {
			t.Helper()
			w.wait(3 * time.Second)
			if v := w.at(s); v.Focus != node || !v.Ring {
				t.Errorf("%s begins at %q, want %q", s, v.Focus, node)
			}
		}
		w.touch("lang.en")
		w.key(scene.FocusNext)
		w.choose("with-card")
		w.put()
		at(session.AskingCAN, "field")
		w.types(can)
		at(session.Choosing, "service.workplace_cert")
		w.key(scene.Select)
		at(session.AskingPIN, "field")
		w.types(pin1)
		w.key(scene.Select)
		at(session.Filling, "option.bank")
		w.wait(121 * time.Second)
		if v := w.view(); v.Scene.ID != "still-there" || v.Focus != "still" {
			t.Fatalf("%s begins at %q", v.Scene.ID, v.Focus)
		}
		w.key(scene.Select)
		at(session.Filling, "option.bank")
	})
}

func TestNoPaper(t *testing.T) {
	visit(t, func(w *world) {
		w.printer.outcome, w.printer.err = printer.Failed, fmt.Errorf("print: %w", printer.ErrNoPaper)
		w.toConsent()
		w.touch("next")
		w.wait(5 * time.Second)
		v := w.at(session.Ending)
		n := v.Scene.Role(scene.Code)
		if n == nil || len(n.Data) == 0 {
			t.Fatal("no code in the slip's place")
		}
		w.touch("finish")
		w.toAttract()
	})
}

// A full queue is said before anybody fills in a form.
func TestFull(t *testing.T) {
	visit(t, func(w *world) {
		w.outbox.full = true
		w.toChoosing()
		w.touch("service.workplace_cert")
		if got := w.at(session.Failing).Scene.Role(scene.Title).Name.String(); got != "Requests can't be taken now" {
			t.Errorf("%q", got)
		}
	})
}

// Changing how one is met keeps what was typed and where one is.
func TestSettingsKeepWhatWasTyped(t *testing.T) {
	visit(t, func(w *world) {
		w.toCAN()
		w.types("739")
		w.key(scene.CycleLanguage, scene.CycleText, scene.CycleContrast)
		v := w.at(session.AskingCAN)
		if got := v.Scene.Role(scene.Field).Value.String(); got != "739" {
			t.Errorf("the field holds %q", got)
		}
		if v.Scene.Lang != "az" || v.TextSize != scene.TextLarge || v.Contrast != scene.ContrastBlackOnWhite || !v.Ring {
			t.Errorf("lang %s, size %d, contrast %d, ring %v", v.Scene.Lang, v.TextSize, v.Contrast, v.Ring)
		}
		w.key(scene.Cancel)
		w.toAttract()
		if v := w.view(); v.TextSize != scene.TextNormal || v.Contrast != scene.ContrastDefault || v.Ring || v.Focus != "" {
			t.Errorf("the next person is met with size %d, contrast %d, ring %v, focus %q", v.TextSize, v.Contrast, v.Ring, v.Focus)
		}
	})
}

// Run ends with its context, in the middle of anything, and leaves nothing running.
func TestRunEndsWithItsContext(t *testing.T) {
	visit(t, func(w *world) {
		w.toConsent()
		w.touch("next")
		w.stop()
		if err := <-w.ended; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	})
}

// Input never blocks, whoever hammers at the screen.
func TestInputNeverBlocks(t *testing.T) {
	k := device.New(device.Parts{})
	for range 1000 {
		k.Input(scene.Input{Command: scene.Select})
	}
}

// TestABrokenVisitIsHealed: a panic in the loop ends the visit, wiped, and the
// next person is met as everybody is.
func TestABrokenVisitIsHealed(t *testing.T) {
	visit(t, func(w *world) {
		w.toChoosing()
		w.outbox.mu.Lock()
		w.outbox.breaks = true
		w.outbox.mu.Unlock()
		w.touch("service.workplace_cert")
		v := w.at(session.TakingCard)
		for _, n := range v.Scene.Nodes {
			if strings.Contains(n.Name.String()+n.Value.String(), "Aygün") {
				t.Errorf("%s still names the person", n.ID)
			}
		}
		if !strings.Contains(w.log.String(), "msg=broken") {
			t.Error("the log doesn't say what happened")
		}
		w.pull()
		w.touch("again", "lang.ru")
		if w.view().Scene.Lang != text.Ru {
			t.Errorf("the next person is met in %s", w.view().Scene.Lang)
		}
	})
}

// A card that the program breaks over ends its visit and not the kiosk.
func TestAnEffectThatBreaksIsHealed(t *testing.T) {
	visit(t, func(w *world) {
		w.chip.instead = func(context.Context, card.Card, string, func([]byte)) (*card.Chip, error) { panic("no such length") }
		w.toCAN()
		w.types(can)
		w.wait(time.Second)
		w.at(session.TakingCard)
		if !strings.Contains(w.log.String(), "msg=broken") {
			t.Error("the log doesn't say what happened")
		}
		w.chip.instead = nil
		w.pull()
		w.touch("again")
		w.toChoosing()
	})
}

// TestTheInvitation: an idle kiosk says from time to time that it can be used
// without sight.
func TestTheInvitation(t *testing.T) {
	visit(t, func(w *world) {
		w.wait(invite - time.Second)
		if got := w.said(); len(got) != 0 {
			t.Fatalf("said before its time: %+v", got)
		}
		w.wait(2 * time.Second)
		if got := w.said(); len(got) == 0 {
			t.Error("nothing was said")
		}
	})
}
