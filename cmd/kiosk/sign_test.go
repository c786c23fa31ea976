package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"kosk/cmd/kiosksim/rig"
	"kosk/cmd/kiosksim/stage"
	"kosk/cmd/kiosksim/visit"
	"kosk/device/text"
	"kosk/drivers/card/vcard"
)

// comes is somebody with a card, up to the choice of a service.
func (w *world) comes(lang string, p vcard.Profile) {
	w.Helper()
	w.voice = false
	w.do(w.actor.Settles(w.ctx))
	w.touches("lang." + lang)
	w.sees("home")
	w.touches("with-card")
	w.sees("card")
	w.inserts(p)
	w.sees("can")
	w.types(visit.Person().CAN)
	w.sees("choosing")
}

// approves waits for the phone's code and says yes on the phone.
func (w *world) approves() {
	w.Helper()
	w.do(w.actor.SeesNode(w.ctx, "approve", "number"))
	_, err := w.rig.Phone(visit.Person().FIN, true)
	w.do(err)
}

// listensFast is listens, at the fastest speech.
func (w *world) listensFast() {
	w.Helper()
	w.touches("tool.voice")
	for range 3 { // 125, 150, 200 %
		w.do(w.hands.Press(w.ctx, stage.F6))
	}
	w.voice = true
}

// registered is how a signed visit ends: the screen and the slip say so, and n
// requests are at the bus.
func (w *world) registered(n int, slip ...string) rig.BusStatus {
	w.Helper()
	w.sees("result")
	w.do(w.actor.TakesSlip(w.ctx))
	all := w.rig.Paper.Slips()
	paper := all[len(all)-1].Text
	for _, want := range slip {
		if !strings.Contains(paper, want) {
			w.Errorf("the slip doesn't say %q:\n%s", want, paper)
		}
	}
	return w.busHas(n)
}

// Citizens sign what they saw: with the card's PIN2, by SİMA when the card's PINs
// are blocked, and after a wrong PIN2. The bus checks each signature over the
// bytes. The last one pulls the card out while it signs: nothing is sent.
func TestApplicationsAreSigned(t *testing.T) {
	w := newWorld(t)
	w.signsWithPIN2()
	w.signsBySIMA()
	w.signsAtLast()
	w.pullsTheCard()
	w.loggedAll(3)
}

func (w *world) signsWithPIN2() {
	w.Helper()
	w.comes("az", vcard.Profile{})
	w.do(w.actor.ToSheet(w.ctx))
	w.touches("next")
	w.sees("consent")
	w.listensFast()
	w.hears("az", "consent.lead_sign")
	w.touches("next")
	w.sees("pin")
	w.hears("az", "pin.lead.sign")
	w.do(w.actor.Signs(w.ctx, visit.PIN2))
	w.registered(1, "Müraciət qeydə alındı", "Cavabın son tarixi", "Vəsiqə və PİN kod", "30 manat")
	w.hears("az", "application.result.done.title")
	w.do(w.actor.Leaves(w.ctx))
}

// The card's PINs are blocked: both are said to be, the phone stands in for each,
// and what was filled in stays.
func (w *world) signsBySIMA() {
	w.Helper()
	w.comes("ru", vcard.Profile{PINUsed: 3})
	w.touches("service.childcare_sheet")
	bySIMA := func() {
		w.sees("problem")
		w.touches("retry")
		w.sees("means")
		w.touches("means.sima")
		w.approves()
	}
	bySIMA()
	w.sees("question")
	w.touches("option.fund")
	w.sees("review")
	w.touches("next")
	w.sees("consent")
	w.touches("next")
	bySIMA()
	w.registered(2, "Обращение зарегистрировано", "Фонд, на карту работника", "SİMA")
	w.do(w.actor.Leaves(w.ctx))
}

// A wrong PIN2 costs a try and nothing else. The language is changed under the
// words that were agreed to: what is signed and sent is what was read.
func (w *world) signsAtLast() {
	w.Helper()
	w.comes("en", vcard.Profile{})
	w.do(w.actor.ToSheet(w.ctx))
	w.do(w.actor.ToSigning(w.ctx))
	w.listensFast()
	w.do(w.actor.Signs(w.ctx, "54321"))
	w.do(w.actor.SeesNode(w.ctx, "pin", "wrong"))
	for i, lang := range []text.Lang{text.En, text.Az, text.Ru} {
		if i > 0 {
			w.touches("tool.language")
		}
		w.hears(lang, "fault.wrong_pin.lead")
	}
	w.do(w.actor.Signs(w.ctx, visit.PIN2))
	w.registered(3, "Обращение зарегистрировано", "Удостоверение и PIN-код")
	w.do(w.actor.Leaves(w.ctx))
}

func (w *world) pullsTheCard() {
	w.Helper()
	w.comes("az", vcard.Profile{})
	w.do(w.actor.ToSheet(w.ctx))
	w.do(w.actor.ToSigning(w.ctx))
	w.listensFast()
	w.do(w.actor.Signs(w.ctx, visit.PIN2))
	w.do(w.rig.Slot.Remove())
	w.sees("parting")
	w.hears("az", "parting.unsigned.title")
	w.busHas(3)
}

// loggedAll finds n signed requests in the bus's message log, by the ids that the
// kiosk's log has.
func (w *world) loggedAll(n int) {
	w.Helper()
	log, err := os.ReadFile(filepath.Join(w.rig.Out, "kiosk.log"))
	w.do(err)
	ids := regexp.MustCompile(`"msg":"request stored","request_id":"([0-9A-Z]{26})"`).FindAllSubmatch(log, -1)
	if len(ids) != n {
		w.Errorf("%d requests were stored, want %d", len(ids), n)
	}
	for _, id := range ids {
		ctx, cancel := context.WithTimeout(w.ctx, 20*time.Second)
		out, err := exec.CommandContext(ctx, filepath.Join(bin, "bus"), "log", "show", string(id[1]), "--dir", filepath.Join(w.rig.Dir, "bus")).CombinedOutput()
		cancel()
		if err != nil || !strings.Contains(string(out), `"used_service":"childcare_sheet"`) || !strings.Contains(string(out), `"evidence":"holder_verified"`) {
			w.Errorf("the bus's log says %s, %v", out, err)
		}
	}
}
