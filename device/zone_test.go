package device_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"kosk/device/request"
	"kosk/device/scene"
	"kosk/device/session"
	"kosk/drivers/card"
)

// wantsZone has the chip refuse the access number, as one without PACE does.
func (w *world) wantsZone() {
	w.chip.instead = func(context.Context, card.Card, string, func([]byte)) (*card.Chip, error) {
		return nil, fmt.Errorf("read holder: %w", card.ErrWantsMRZ)
	}
}

// saysNothingOfTheZone searches what was written for what was typed, as it was typed,
// shown and said.
func (w *world) saysNothingOfTheZone() {
	w.t.Helper()
	for _, own := range []string{
		"AA1234567", "aa1234567", "AA 1234567", "1234567", "12051990", "12.05.1990", "12051980", "12.05.1980", "1990-05-12", "01032033",
		"01.03.2033", "2033-03-01", "900512", "330301", "twelfth of May", "first of March", "eigh, Alpha", "Alpha",
	} {
		for name, log := range map[string]*notes{"the log": w.log, "the speech log": w.speech} {
			if i := strings.Index(log.String(), own); i >= 0 {
				w.t.Errorf("%s holds %q: ...%s...", name, own, log.String()[max(0, i-200):i])
			}
		}
	}
	w.keepsSecrets(request.Draft{ID: "01KAMQ0000000000000000TEST"})
}

// A chip without PACE leads to the three questions by itself; a wrong day is mended
// alone, with the card out to look at it, and the PIN is asked as ever.
func TestAChipIsOpenedByItsZone(t *testing.T) {
	visit(t, func(w *world) {
		w.wantsZone()
		w.toCAN()
		w.types(can)
		w.wait(time.Second)
		w.at(session.AskingNumber)
		w.touch("key.A", "key.A")
		for _, d := range "1234567" {
			w.touch("key." + string(d))
		}
		w.at(session.AskingBirth)
		w.types("12051980")
		w.at(session.AskingExpiry)
		w.types("01032033")
		w.at(session.Reading)
		w.wait(3 * time.Second)
		w.at(session.CheckingZone)
		w.pull()
		w.touch("change.birth", "key.erase", "key.erase", "key.9", "key.0")
		w.at(session.CheckingZone)
		w.touch("next")
		w.at(session.AskingCard)
		w.put()
		w.wait(3 * time.Second)
		w.at(session.Choosing)
		w.pick()
		w.touch("leave")
		w.toAttract()
		w.saysNothingOfTheZone()
	})
}

// The same by keys and ears: by the person's wish, on headphones, where all is said and
// nothing of it written.
func TestAZoneByKeys(t *testing.T) {
	visit(t, func(w *world) {
		w.key(scene.HeadphonesIn)
		w.choose("lang.en")
		w.choose("with-card")
		w.put()
		w.at(session.AskingCAN)
		w.choose("no-can")
		if v := w.at(session.AskingNumber); v.Focus != "field" {
			t.Errorf("the focus is on %q", v.Focus)
		}
		w.key(scene.FocusNext, scene.Select, scene.Select) // A, A: the first key after the field
		if v := w.view(); v.Scene.Find("field").Value.String() != "AA" || v.Focus != "field" {
			t.Errorf("%q is typed, the focus is on %q", v.Scene.Find("field").Value.String(), v.Focus)
		}
		w.wait(20 * time.Second)
		from := len(w.said())
		w.choose("key.turn")
		w.wait(5 * time.Second)
		heard := w.said()[from:]
		if last := heard[len(heard)-1]; last.Text != "Letters" || last.State != "finished" || w.view().Scene.Find("key.Z") == nil {
			t.Errorf("of the letters the voice says %+v", last)
		}
		w.types("1234567")
		w.wait(20 * time.Second)
		w.choose("field")
		w.at(session.AskingBirth)
		w.types("12051980")
		w.key(scene.WhereAmI)
		w.wait(20 * time.Second)
		w.choose("field")
		w.types("01032033")
		w.wait(20 * time.Second)
		w.choose("field")
		w.wait(5 * time.Second)
		w.at(session.CheckingZone)
		for range 20 { // all rows are heard
			w.key(scene.FocusNext)
			w.wait(20 * time.Second)
		}
		w.choose("change.birth")
		w.key(scene.Erase, scene.Erase)
		w.types("90")
		w.choose("next")
		w.at(session.CheckingZone)
		w.choose("next")
		w.wait(3 * time.Second)
		w.at(session.Choosing)
		w.key(scene.Cancel)
		w.toAttract()
		w.saysNothingOfTheZone()
		typed := 0
		for _, e := range w.said() {
			if e.Scene == "zone-check" && e.Private && (e.Length > 0 || e.Node != "" || e.Text != "") {
				t.Errorf("of an entry the speech log has %+v", e)
			}
			if e.Scene == "zone-check" && e.Private {
				typed++
			}
		}
		if typed == 0 {
			t.Error("the entries were never said")
		}
	})
}

// Without headphones the keys sound and say nothing, and of what was typed only its
// name is heard.
func TestAZoneOnTheLoudspeaker(t *testing.T) {
	visit(t, func(w *world) {
		w.key(scene.FocusNext)
		w.choose("lang.en")
		w.choose("with-card")
		w.put()
		w.choose("no-can")
		for _, entry := range []string{"aa1234567", "12051980", "01032033"} {
			from := len(w.said())
			w.types(entry)
			w.wait(10 * time.Second)
			tones := 0
			for _, e := range w.said()[from:] {
				if e.Tone == "typed" && e.State == "queued" {
					tones++
				}
				if e.Private {
					t.Errorf("private words on the loudspeaker: %+v", e)
				}
			}
			if tones != len(entry) {
				t.Errorf("%d tones for %d characters", tones, len(entry))
			}
			w.choose("field")
		}
		w.wait(5 * time.Second)
		w.at(session.CheckingZone)
		from := len(w.said())
		for range 20 {
			w.key(scene.FocusNext)
			w.wait(10 * time.Second)
		}
		heard := map[string]bool{}
		for _, e := range w.said()[from:] {
			heard[e.Text] = true
		}
		for _, want := range []string{"Card number", "Date of birth", "Valid until", "Change, button", "Plug in headphones to hear this."} {
			if !heard[want] {
				t.Errorf("%q isn't said", want)
			}
		}
		w.saysNothingOfTheZone()
	})
}

// A keyboard's small letters are typed as the capitals that the card has, and said so:
// in Azerbaijani a small i is another letter than I.
func TestALetterIsSaidAsItIsTyped(t *testing.T) {
	for lang, want := range map[string]string{"az": "ı, nöqtəsiz i\n", "en": "eye, India\n"} {
		visit(t, func(w *world) {
			w.key(scene.HeadphonesIn)
			w.choose("lang." + lang)
			w.choose("with-card")
			w.put()
			w.choose("no-can")
			w.wait(20 * time.Second)
			w.types("i")
			w.wait(5 * time.Second)
			if v := w.at(session.AskingNumber); v.Scene.Find("field").Value.String() != "I" {
				t.Fatalf("%q is typed", v.Scene.Find("field").Value.String())
			}
			if all := w.heard.String(); !strings.Contains(all, want) {
				t.Errorf("%s: I is said as %q", lang, all[max(0, len(all)-60):])
			}
		})
	}
}

// Who takes the card out to look at it, or puts it in, is there: nobody asks them whether
// they are.
func TestACardThatIsMovedIsASignOfLife(t *testing.T) {
	visit(t, func(w *world) {
		w.toCAN()
		w.touch("no-can")
		for range 3 {
			w.wait(50 * time.Second)
			w.at(session.AskingNumber)
			w.pull()
			w.wait(50 * time.Second)
			w.at(session.AskingNumber)
			w.put()
		}
		w.wait(61 * time.Second)
		w.at("still-there")
	})
}
