package device_test

import (
	"strings"
	"testing"
	"time"

	"kosk/device/scene"
	"kosk/device/session"
	"kosk/drivers/printer"
	"kosk/offline"
)

// note is what a node says, "" when it isn't there.
func (w *world) note(id string) string {
	if n := w.view().Scene.Find(id); n != nil {
		return n.Name.String()
	}
	return ""
}

// toSlip goes on until the slip is printed.
func (w *world) toSlip() {
	w.t.Helper()
	w.toConsent()
	w.touch("next")
	w.wait(6 * time.Second)
	w.at(session.Ending)
}

func TestASlipAtTheSlotIsAskedForUntilItIsTaken(t *testing.T) {
	visit(t, func(w *world) {
		w.toSlip()
		w.printer.happens(printer.MediaPresented)
		if got := w.note("slip"); got != "Take your slip." || w.note("paper") != "" {
			t.Errorf("presented: %q, %q", got, w.note("paper"))
		}
		before := w.note("slip")
		for range 3 {
			w.printer.happens(printer.MediaNotTaken)
			if n := w.view().Scene.Find("slip"); n == nil || n.Tone != scene.Bad || n.Name.String() == before {
				t.Error("the reminder says nothing new")
			}
			before = w.note("slip")
		}
		w.printer.happens(printer.MediaTaken)
		if w.note("slip") != "" || w.note("paper") != "You have your slip." {
			t.Errorf("taken: %q, %q", w.note("slip"), w.note("paper"))
		}
		w.touch("finish")
		if w.note("slip") != "" {
			t.Error("what was taken is asked for")
		}
	})
}

func TestASlipThatIsTakenBackIsACode(t *testing.T) {
	visit(t, func(w *world) {
		w.toSlip()
		w.printer.happens(printer.MediaPresented)
		w.printer.happens(printer.MediaAutoRetracted)
		if v := w.at(session.Ending); !strings.Contains(w.note("paper"), "drawn back") || v.Scene.Find("code") == nil {
			t.Errorf("%q", w.note("paper"))
		}
	})
}

// Who leaves without the slip is asked for it to the end; the kiosk waits for as
// long as the presenter does.
func TestASlipIsAskedForAfterTheVisit(t *testing.T) {
	visit(t, func(w *world) {
		w.toSlip()
		w.printer.happens(printer.MediaPresented)
		w.touch("finish")
		w.at(session.TakingCard)
		if w.note("slip") == "" {
			t.Error("the slip isn't asked for with the card")
		}
		w.pull()
		w.wait(20 * time.Second)
		w.at(session.Parting)
		if w.note("slip") == "" {
			t.Error("the slip isn't asked for at the end")
		}
		w.printer.happens(printer.MediaAutoRetracted)
		w.wait(6 * time.Second)
		w.at(session.Attracting)
	})
}

// A printer that never tells what became of the slip doesn't hold the kiosk up.
func TestPartingEndsWithoutTheSlip(t *testing.T) {
	visit(t, func(w *world) {
		w.toSlip()
		w.printer.happens(printer.MediaPresented)
		w.touch("finish")
		w.pull()
		w.wait(70 * time.Second)
		w.at(session.Attracting)
	})
}

func TestTheNextPersonNeverSeesTheSlip(t *testing.T) {
	visit(t, func(w *world) {
		w.toSlip()
		w.printer.happens(printer.MediaPresented)
		w.touch("finish")
		w.pull()
		w.touch("again")
		w.at(session.Attracting)
		if w.printer.taken != 0 {
			t.Error("taken back while nobody begins")
		}
		w.touch("lang.en")
		if w.printer.taken != 1 {
			t.Errorf("taken back %d times", w.printer.taken)
		}
		w.touch("back")
		w.printer.happens(printer.MediaAutoRetracted)
		w.toChoosing()
		w.pull()
		if w.at(session.Parting); w.note("slip") != "" {
			t.Error("another's slip is asked for")
		}
	})
}

func TestPages(t *testing.T) {
	for _, c := range []struct {
		outcome printer.Outcome
		page    string // what is said of it
		slip    string // the slip's heading
		facts   bool   // the slip is the certificate
	}{
		{printer.Confirmed, "Take the certificate from the page printer.", "Certificate printed", false},
		{printer.Unknown, "The page may be out. Please look.", "Certificate", true},
		{printer.Failed, "The page was not printed. Your certificate is on the slip.", "Certificate", true},
	} {
		t.Run(c.outcome.String(), func(t *testing.T) {
			paging(t, func(w *world) {
				w.pages.outcome = c.outcome
				w.toConsent()
				w.touch("next")
				w.wait(4 * time.Second)
				if w.at(session.Ending); w.note("page") != "The certificate is printing on an A4 page." || w.note("paper") != "" {
					t.Errorf("%q, %q", w.note("page"), w.note("paper"))
				}
				if !w.view().Scene.Find("finish").Unavailable {
					t.Error("one can leave while the page is printing")
				}
				w.wait(6 * time.Second)
				v := w.at(session.Ending)
				if w.note("page") != c.page || w.note("paper") != "Take your slip." || (v.Scene.Find("code") != nil) != c.facts {
					t.Errorf("%q, %q", w.note("page"), w.note("paper"))
				}
				if says := w.printer.says(); !strings.Contains(says, c.slip+"\n") || strings.Contains(says, "Xəzər") != c.facts {
					t.Errorf("the slip says:\n%s", says)
				}
				if v.Scene.Find("slip.1") == nil || w.pages.pages != 1 {
					t.Errorf("%d pages, or what they say isn't on the screen", w.pages.pages)
				}
				cleared := w.pages.cleared
				w.touch("finish")
				w.toAttract()
				if w.pages.cleared == cleared {
					t.Error("the page printer isn't cleared when the visit ends")
				}
			})
		})
	}
}

// Without either printer the certificate is a code on the screen.
func TestNeitherPageNorSlip(t *testing.T) {
	paging(t, func(w *world) {
		w.pages.outcome = printer.Failed
		w.printer.outcome, w.printer.err = printer.Failed, printer.ErrJammed
		w.toConsent()
		w.touch("next")
		w.wait(10 * time.Second)
		if v := w.at(session.Ending); w.note("page") != "" || !strings.Contains(w.note("paper"), "stuck") || v.Scene.Find("code") == nil {
			t.Errorf("%q, %q", w.note("page"), w.note("paper"))
		}
	})
}

// A disk that hangs isn't waited for: the person gets the number, and the doubt
// is noted.
func TestADiskThatHangs(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		title string
	}{
		"in doubt":    {offline.ErrUnknown, "We will find out the result"},
		"never taken": {nil, "The kiosk is restarting"},
	} {
		t.Run(name, func(t *testing.T) {
			visit(t, func(w *world) {
				w.toConsent()
				w.outbox.hold, w.outbox.err = make(chan struct{}), c.err
				w.touch("next")
				w.wait(7 * time.Second)
				w.at(session.Sending)
				w.wait(2 * time.Second)
				if got := w.at(session.Failing).Scene.Role(scene.Title).Name.String(); got != c.title {
					t.Errorf("%q, want %q", got, c.title)
				}
				if doubt := c.err != nil; (len(w.doubts) == 1) != doubt || (w.note("number") != "") != doubt {
					t.Errorf("doubts %d, number %q", len(w.doubts), w.note("number"))
				}
			})
		})
	}
}

// The number can be corrected while the chip is read with it; what the first
// reading says is then dropped.
func TestTheNumberCanBeCorrected(t *testing.T) {
	visit(t, func(w *world) {
		w.toCAN()
		w.types("739165")
		w.at(session.Reading)
		w.touch("back")
		if got := w.at(session.AskingCAN).Scene.Find("field").Value.String(); got != "739 165" {
			t.Errorf("what was typed is %q", got)
		}
		w.touch("key.erase")
		w.types("4")
		w.wait(5 * time.Second)
		w.at(session.Choosing)
	})
}

// Who listens says when the number is complete.
func TestTheVoiceWaitsForTheWord(t *testing.T) {
	visit(t, func(w *world) {
		w.key(scene.FocusNext)
		w.touch("lang.en", "with-card")
		w.put()
		w.types(can)
		w.wait(3 * time.Second)
		w.at(session.AskingCAN)
		w.touch("next")
		w.wait(5 * time.Second)
		w.at(session.Choosing)
	})
}
