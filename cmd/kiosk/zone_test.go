package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kosk/cmd/kiosksim/visit"
	"kosk/drivers/card/vcard"
)

// These citizens open their chip by what its machine readable zone says.

// saysNothing searches the logs of the kiosk for what was typed of the zone.
func (w *world) saysNothing() {
	w.Helper()
	p := visit.Person()
	for _, name := range []string{"kiosk.log", "speech.jsonl", "trace.jsonl", "kiosk.err"} {
		b, err := os.ReadFile(filepath.Join(w.rig.Out, name))
		w.do(err)
		for _, own := range []string{
			p.DocumentNumber, p.DocumentNumber[2:], p.BirthDate.Format("02012006"), p.BirthDate.Format("02.01.2006"),
			p.Expires.Format("02012006"), p.Expires.Format("02.01.2006"), p.Expires.Format("2006-01-02"), "key.A",
		} {
			if name != "trace.jsonl" && strings.Contains(string(b), own) || strings.Contains(string(b), `"focus":"`+own) {
				w.Errorf("%s holds %q", name, own)
			}
		}
	}
}

// A chip without PACE asks for the zone by itself: by touch, with the way to the
// certificate after it as everybody's.
func TestAChipWithoutPACEIsReadAtTheWindow(t *testing.T) {
	w := newWorld(t)
	r, err := w.actor.CertificateByZone(w.ctx, "az")
	w.do(err)
	if r.Slip == nil || !r.Slip.Confirmed || r.Assurance != "genuine" {
		t.Errorf("%+v", r)
	}
	w.busHas(1)
	w.saysNothing()
	t.Logf("%d touches, %d characters, %d APDUs, card %d ms, whole visit %d ms", r.Touches, r.Typed, r.APDUs, r.CardMS, r.TotalMS)
}

// Who has a worn card, and can't see the screen, does without its access number: by
// keys and voice alone, with a wrong year first.
func TestAWornCardIsReadByKeysAndVoice(t *testing.T) {
	w := newWorld(t)
	r, err := w.actor.CertificateByZoneWithKeys(w.ctx, "az")
	w.do(err)
	if r.Slip == nil || !r.Slip.Confirmed || r.Assurance != "genuine" || r.Spoken == 0 {
		t.Errorf("%+v", r)
	}
	w.hears("az", "fault.wrong_mrz.lead")
	w.busHas(1)
	w.saysNothing()
	t.Logf("%d keys, %d characters, %d spoken, whole visit %d ms", r.Touches, r.Typed, r.Spoken, r.TotalMS)
}

// What is said of the questions is said in every language, and a date that is none is
// told at its field.
func TestTheQuestionsOfTheZoneAreSaid(t *testing.T) {
	w := newWorld(t)
	w.listens()
	w.toCAN(vcard.Profile{BAC: true})
	w.types(visit.Person().CAN)
	w.sees("number")
	w.hearsInAll("number.title", "number.why")
	w.do(w.actor.Settles(w.ctx))
	w.touches("tool.language")
	w.do(w.actor.Settles(w.ctx))
	w.do(w.actor.TouchDigits(w.ctx, visit.Person().DocumentNumber))
	w.touches("next")
	w.sees("birth")
	w.hearsInAll("birth.title", "birth.lead")
	w.do(w.actor.Settles(w.ctx))
	w.do(w.actor.TouchDigits(w.ctx, "31021990"))
	w.touches("next")
	w.do(w.actor.SeesNode(w.ctx, "birth", "wrong"))
	w.touches("tool.language")
	w.hearsInAll("date.wrong")
}
