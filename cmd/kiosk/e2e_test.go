package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kosk/cmd/bus/agency"
	"kosk/cmd/kiosksim/rig"
	"kosk/cmd/kiosksim/stage"
	"kosk/cmd/kiosksim/visit"
	"kosk/device/text"
	"kosk/drivers/card/vcard"
	"kosk/drivers/panel"
	"kosk/drivers/panel/desk"
	"kosk/drivers/printer"
)

// These tests are citizens at the real thing: the kiosk program in its GL window
// under Xvfb, the real pcscd with the virtual reader, a real pseudo-terminal, the
// reference bus over mutual TLS. They act by X events only.

// bin is where the programs are, built once for all tests.
var bin string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "kosk-bin")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin = dir
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute) // a cold build of the window takes minutes
	defer cancel()
	build := exec.CommandContext(ctx, "go", "build", "-o", dir,
		"kosk/cmd/kiosk", "kosk/cmd/kioskctl", "kosk/cmd/bus", "kosk/cmd/kiosksim")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		return 1
	}
	return m.Run()
}

// A world is a kiosk with a person before it.
type world struct {
	*testing.T
	ctx   context.Context
	rig   *rig.Rig
	actor *visit.Actor
	hands *stage.Hands
	voice bool
}

// newWorld starts a whole kiosk, up to its attract screen.
func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldWith(t, rig.Options{})
}

// newWorldWith is newWorld with another printer, or a collector of traces.
func newWorldWith(t *testing.T, o rig.Options) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	dir, err := os.MkdirTemp("", "kosk") // short enough for a socket in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	server, err := stage.Serve(ctx, 1080, 1920)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	o.Dir, o.Bin, o.Out, o.Display, o.Sound = dir, bin, filepath.Join(dir, "out"), server.Display, "file"
	o.Log = slog.New(slog.DiscardHandler)
	r, err := rig.Open(ctx, o)
	if errors.Is(err, vcard.ErrNoDaemon) {
		t.Skipf("skipped: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	hands, err := stage.Open(server.Display)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hands.Close)
	w := &world{t, ctx, r, visit.New(r, hands, ""), hands, false}
	w.do(r.StartKiosk())
	w.sees("attract")
	w.do(w.actor.Settles(ctx))
	return w
}

func (w *world) do(err error) {
	w.Helper()
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(w.rig.Out, "kiosk.log"))
		w.Fatalf("%v\nkiosk.log ends:\n%s", err, last(log, 1500))
	}
}

func last(b []byte, n int) []byte { return b[max(0, len(b)-n):] }

func (w *world) sees(scene string)       { w.Helper(); w.do(w.actor.Sees(w.ctx, scene)) }
func (w *world) touches(id string)       { w.Helper(); w.do(w.actor.Touch(w.ctx, id)) }
func (w *world) inserts(p vcard.Profile) { w.Helper(); w.do(w.actor.InsertCard(p)) }

// listens turns the voice on, so that what is on the screen is said.
func (w *world) listens() {
	w.Helper()
	w.touches("tool.voice")
	w.voice = true
	w.hears("az", "voice.on")
}

// hears waits until the voice has begun to say the phrase: the speech log names
// every public utterance.
func (w *world) hears(lang text.Lang, key text.Key) {
	w.Helper()
	want := strings.ToLower(firstSentence(text.In(lang, key).String())) // "this PIN" is said "this pin"
	limit := time.Now().Add(time.Minute)
	for time.Now().Before(limit) {
		b, _ := os.ReadFile(filepath.Join(w.rig.Out, "speech.jsonl"))
		for line := range strings.Lines(string(b)) {
			if strings.Contains(strings.ToLower(line), want) && strings.Contains(line, `"lang":"`+string(lang)+`"`) {
				return
			}
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-w.ctx.Done():
			w.Fatal(w.ctx.Err())
		}
	}
	b, _ := os.ReadFile(filepath.Join(w.rig.Out, "speech.jsonl"))
	w.Fatalf("never said (%s): %q\nspeech log ends:\n%s", lang, want, last(b, 1500))
}

// firstSentence is the part of a phrase that one utterance says.
func firstSentence(s string) string {
	s, _, _ = strings.Cut(s, ". ")
	return strings.TrimRight(s, ".?!")
}

// hearsInAll checks the words of a scene in the three languages, by the key that
// changes the language.
func (w *world) hearsInAll(keys ...text.Key) {
	w.Helper()
	for i, lang := range text.Langs {
		if i > 0 {
			w.touches("tool.language")
		}
		for _, key := range keys {
			w.hears(lang, key)
		}
	}
}

// toCAN goes to the question for the access number, with a card in.
func (w *world) toCAN(p vcard.Profile) {
	w.Helper()
	w.touches("lang.az")
	w.sees("home")
	w.touches("with-card")
	w.sees("card")
	w.inserts(p)
	w.sees("can")
}

func (w *world) types(digits string) {
	w.Helper()
	w.do(w.actor.TouchDigits(w.ctx, digits))
	if w.voice { // who listens says when the number is complete
		w.touches("next")
	}
}

// toReview goes from the access number to the review.
func (w *world) toReview() {
	w.Helper()
	w.types(visit.Person().CAN)
	w.sees("choosing")
	w.do(w.actor.ToReview(w.ctx))
}

func TestAWrongAccessNumberIsSaidAndTheRightOneThenWorks(t *testing.T) {
	w := newWorld(t)
	w.listens()
	w.toCAN(vcard.Profile{})
	w.types("000000")
	w.do(w.actor.SeesNode(w.ctx, "can", "wrong"))
	w.hearsInAll("fault.wrong_can.lead")
	w.types(visit.Person().CAN)
	w.sees("choosing")
}

func TestACardPulledOutInMidReadIsSaidAndTheNextInsertionWorks(t *testing.T) {
	w := newWorld(t)
	w.listens()
	w.toCAN(vcard.Profile{RemovedAfter: 9})
	w.types(visit.Person().CAN)
	w.sees("problem")
	w.hearsInAll("fault.removed.title", "fault.removed.lead")
	w.inserts(vcard.Profile{})
	w.sees("can")
	w.types(visit.Person().CAN)
	w.sees("choosing")
}

func TestCardsThatAreNotBelievedAreRefusedInWords(t *testing.T) {
	for name, tt := range map[string]struct {
		profile vcard.Profile
		fault   text.Key
	}{
		"tampered":       {vcard.Profile{TamperedDG1: true}, "fault.tampered"},
		"cloned":         {vcard.Profile{Cloned: true}, "fault.clone"},
		"unknown signer": {vcard.Profile{UnknownSigner: true}, "fault.unknown_signer"},
		"expired":        {vcard.Profile{Expired: true}, "fault.expired"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.listens()
			w.toCAN(tt.profile)
			w.types(visit.Person().CAN)
			w.sees("problem")
			w.hearsInAll(tt.fault+".title", tt.fault+".lead")
			w.touches("finish")
			w.sees("take-card")
			w.do(w.rig.Slot.Remove())
			w.sees("parting")
		})
	}
}

// A printer with a presenter holds the slip out: it is asked for, again and
// again, and taken; the next one is not, and taken back; the last one is left
// behind, and taken back as somebody begins. The lamp beside the slot flashes,
// quicker when the slip is not taken, until it is gone or its person is; and none is
// lit when the program has ended.
func TestASlipAtTheSlot(t *testing.T) {
	w := newWorldWith(t, rig.Options{Printer: "custom-vkp"})
	lamp := w.lamp(panel.ReceiptPrinter)
	certificate := func() {
		w.toCAN(vcard.Profile{})
		w.toReview()
		w.do(w.actor.ToResult(w.ctx))
		w.do(w.actor.SeesNode(w.ctx, "result", "slip"))
	}
	leaves := func() {
		w.touches("finish")
		w.sees("take-card")
		w.do(w.rig.Slot.Remove())
		w.sees("parting")
		w.touches("again")
		w.sees("attract")
	}
	certificate()
	lamp(panel.Continuous, panel.Slow)
	w.listens()
	w.hears("az", "paper.take_again")
	lamp(panel.Quick)
	w.rig.Paper.Take()
	w.do(w.actor.SeesNode(w.ctx, "result", "paper"))
	lamp(panel.Off)
	leaves()
	w.voice = false

	certificate()
	lamp(panel.Continuous, panel.Slow)
	lamp(panel.Quick)
	lamp(panel.Off)
	w.do(w.actor.SeesNode(w.ctx, "result", "code"))
	leaves()

	certificate()
	leaves()
	lamp(panel.Continuous, panel.Slow, panel.Off)
	if n := w.rig.Paper.Retracted(); n != 1 {
		t.Errorf("%d slips were taken back, the last one while nobody begins", n)
	}
	w.touches("lang.az")
	for limit := time.Now().Add(time.Minute); w.rig.Paper.Retracted() != 2 && time.Now().Before(limit); {
		time.Sleep(50 * time.Millisecond)
	}
	if n := w.rig.Paper.Retracted(); n != 2 || w.rig.Paper.AtSlot() {
		t.Errorf("%d slips were taken back, or one is still at the slot", n)
	}

	w.sees("home")
	w.touches("with-card")
	w.sees("card")
	w.rig.StopKiosk()
	if all := w.patterns(panel.CardReader); !slices.Equal(all[max(0, len(all)-2):], []panel.Pattern{panel.Slow, panel.Off}) {
		t.Errorf("the card's lamp stays lit when the program ends: %v", all)
	}
}

// lamp returns what waits until a lamp has shown something since the last time,
// in this order and nothing else. Quick may have come before Off, by who is slow.
func (w *world) lamp(l panel.Lamp) func(want ...panel.Pattern) {
	seen := 0
	return func(want ...panel.Pattern) {
		w.Helper()
		var all []panel.Pattern
		for limit := time.Now().Add(60 * time.Second); ; {
			all = w.patterns(l)
			n := len(all)
			if n > seen && all[n-1] == want[len(want)-1] || time.Now().After(limit) {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		got := slices.Clone(all[seen:])
		if n := len(got); n > len(want) && want[len(want)-1] == panel.Off && got[n-2] == panel.Quick {
			got = slices.Delete(got, n-2, n-1)
		}
		if !slices.Equal(got, want) {
			w.Errorf("%s showed %v, want %v", l, all[seen:], want)
		}
		seen = len(all)
	}
}

// patterns are all that a lamp has shown.
func (w *world) patterns(l panel.Lamp) (all []panel.Pattern) {
	w.Helper()
	b, err := os.ReadFile(w.rig.Lamps())
	w.do(err)
	for line := range strings.Lines(string(b)) {
		var c desk.Change
		w.do(json.Unmarshal([]byte(line), &c))
		if c.Lamp == l {
			all = append(all, c.Pattern)
		}
	}
	return all
}

func TestWithoutPaperTheReceiptIsACodeOnTheScreen(t *testing.T) {
	w := newWorld(t)
	w.listens()
	w.rig.Paper.SetPaper(printer.PaperOut)
	w.toCAN(vcard.Profile{})
	w.toReview()
	w.touches("next")
	w.sees("consent")
	w.touches("next")
	w.do(w.actor.SeesNode(w.ctx, "result", "code"))
	w.hearsInAll("paper.none")
	if n := len(w.rig.Paper.Slips()); n != 0 {
		t.Errorf("%d slips came out of a printer without paper", n)
	}
	w.busHas(1)
}

// busHas waits until the bus has accepted and decided n requests, and no more.
func (w *world) busHas(n int) rig.BusStatus {
	w.Helper()
	limit := time.Now().Add(time.Minute)
	for {
		s, err := w.rig.BusStatus()
		w.do(err)
		if s.Accepted > n || s.Effects > n {
			w.Fatalf("%d accepted, %d took effect: want %d", s.Accepted, s.Effects, n)
		}
		if s.Accepted == n && s.Effects == n {
			return s
		}
		if time.Now().After(limit) {
			w.Fatalf("%d accepted, %d took effect: want %d", s.Accepted, s.Effects, n)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-w.ctx.Done():
			w.Fatal(w.ctx.Err())
		}
	}
}

// TestOtherMeansThanTheCardsOwnKeys proves the holder by telephone and by password,
// at the window, over the real bus, which checks each proof itself.
func TestOtherMeansThanTheCardsOwnKeys(t *testing.T) {
	person := visit.Person()
	phone, user, code, password := agency.Credentials(agency.Population()[0])
	approves := func(w *world) {
		w.sees("approve")
		w.do(w.actor.SeesNode(w.ctx, "approve", "number"))
		if _, err := w.rig.Phone(person.FIN, true); err != nil {
			w.Fatal(err)
		}
	}
	enters := func(w *world, digits string) {
		w.sees("credential")
		w.do(w.actor.TouchDigits(w.ctx, digits))
		w.touches("next")
	}
	for means, proves := range map[string]func(w *world){
		"sima": func(w *world) {
			w.do(w.actor.SeesNode(w.ctx, "approve", "code"))
			approves(w)
		},
		"imza": func(w *world) {
			enters(w, phone)
			w.do(w.actor.Settles(w.ctx))
			enters(w, user)
			approves(w)
		},
		"code": func(w *world) {
			enters(w, code)
			w.do(w.actor.Settles(w.ctx))
			enters(w, password)
		},
	} {
		t.Run(means, func(t *testing.T) {
			w := newWorld(t)
			w.toCAN(vcard.Profile{})
			w.types(person.CAN)
			w.sees("choosing")
			w.touches("service.workplace_cert")
			w.sees("pin")
			w.touches("other")
			w.sees("means")
			w.touches("means." + means)
			proves(w)
			w.sees("question")
			w.touches("option.bank")
			w.sees("review")
			w.do(w.actor.ToResult(w.ctx))
			w.do(w.actor.TakesSlip(w.ctx))
			w.busHas(1)
		})
	}
}

func TestABusThatAppliesAndThenTimesOutHasOneEffect(t *testing.T) {
	w := newWorld(t)
	w.do(w.rig.BusFault("lost-answer", "--service", "intake", "--times", "1"))
	w.toCAN(vcard.Profile{})
	w.toReview()
	w.do(w.actor.ToResult(w.ctx))
	w.do(w.actor.TakesSlip(w.ctx))
	w.busHas(1)
	w.do(w.actor.LogSays(w.ctx, "delivered", "", time.Minute))
	w.rig.StopKiosk()
	left, parked, err := w.rig.QueueStats()
	w.do(err)
	if left+parked != 0 {
		t.Errorf("%d left in the queue, %d parked", left, parked)
	}
}

func TestABusWithAWrongCertificateGetsNothing(t *testing.T) {
	w := newWorld(t)
	w.listens()
	w.do(w.rig.BusFault("wrong-certificate"))
	w.rig.Line.Cut()
	w.do(w.rig.Line.Restore())
	w.do(w.actor.LogSays(w.ctx, "line", "not trusted", 40*time.Second))
	w.touches("lang.az")
	w.sees("home")
	w.touches("service.imei_check")
	w.sees("problem")
	w.hearsInAll("fault.bus_identity.title", "fault.bus_identity.lead")
	w.touches("leave")
	w.sees("parting")
	w.touches("again")
	w.sees("attract")
	// A request of the next person, who doesn't listen, is taken all the same, waits,
	// and is delivered once to the real bus.
	w.voice = false
	w.toCAN(vcard.Profile{})
	w.toReview()
	w.do(w.actor.ToResult(w.ctx))
	w.busHas(0)
	w.do(w.rig.BusFault("clear"))
	w.busHas(1)
}

func TestWithTheLineDownTheCheckSaysSo(t *testing.T) {
	w := newWorld(t)
	w.listens()
	w.rig.Line.Cut()
	w.do(w.actor.LogSays(w.ctx, "line", "line down", 40*time.Second))
	w.touches("lang.az")
	w.sees("home")
	w.touches("service.imei_check")
	w.sees("problem")
	w.hearsInAll("fault.line_down.title", "fault.line_down.lead")
}

func TestAConfigurationWithAnUnknownKeyStopsTheProgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kiosk.toml")
	if err := os.WriteFile(path, []byte("[panel]\nwidth_mm = 268.0\ncolour = \"red\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(bin, "kiosk"), "--config", path).CombinedOutput()
	if err == nil || !strings.Contains(string(out), path+":3: unknown key panel.colour") {
		t.Errorf("err %v, output %q", err, out)
	}
}

// TestTheJourney is what `make run` does: every visit, in three languages, at the
// largest text, by keys and voice, with the line cut and the kiosk killed.
func TestTheJourney(t *testing.T) {
	if err := vcard.Installed(t.Context()); err != nil {
		t.Skipf("skipped: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "kiosksim"), "visit", "--out", filepath.Join(t.TempDir(), "visit"))
	cmd.WaitDelay = 15 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
