package session_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"kosk/device/session"
	"kosk/device/session/sessiontest"
	"kosk/device/text"
	"kosk/drivers/card"
	"kosk/drivers/panel"
	"kosk/drivers/printer"
)

// A lit is what the three lamps show; "" is off.
type lit struct{ card, slip, page panel.Pattern }

func lamps(v *session.Visit) lit {
	short := func(l panel.Lamp) panel.Pattern {
		p, told := v.Lamps()[l]
		switch {
		case !told:
			return "not told"
		case p == panel.Off:
			return ""
		}
		return p
	}
	return lit{short(panel.CardReader), short(panel.ReceiptPrinter), short(panel.DocumentPrinter)}
}

// litIn are the states in which a lamp is lit on the usual ways; in all others
// none is.
var litIn = map[session.State]lit{
	session.AskingCard:    {card: panel.Slow},
	session.AskingCAN:     {card: panel.Continuous},
	session.Reading:       {card: panel.Continuous},
	session.Choosing:      {card: panel.Continuous},
	session.ChoosingMeans: {}, // reached without a card
	session.OpeningKeys:   {card: panel.Continuous},
	session.AskingPIN:     {card: panel.Continuous},
	session.VerifyingPIN:  {card: panel.Continuous},
	session.Filling:       {card: panel.Continuous},
	session.Prefilling:    {card: panel.Continuous},
	session.Reviewing:     {card: panel.Continuous},
	session.Consenting:    {card: panel.Continuous},
	session.Sending:       {card: panel.Continuous},
	session.Ending:        {card: panel.Continuous, slip: panel.Continuous}, // it is still printed
	session.TakingCard:    {card: panel.Medium},
}

// litAfter is where an event in a state makes it another than litIn of the state
// that it leads to.
var litAfter = map[session.State]map[string]lit{
	session.AskingCAN: {"CardOut": {card: panel.Slow}}, // put it in again, says the problem
	session.Reading:   {"CardOut": {card: panel.Slow}},
	session.AskingPIN: {"ReaderWent": {card: panel.Continuous}, "OtherMeans": {card: panel.Continuous}}, // by another means, or again
	session.Sending:   {"PutFailed": {card: panel.Continuous}, "RefusedCame": {card: panel.Continuous}},
	session.Answering: {"WentBack": {}, "PrintAsked": {slip: panel.Continuous}, "SlipPresented": {slip: panel.Slow}, "SlipPrinted": {slip: panel.Slow}},
	session.Ending: {
		"CardOut": {slip: panel.Continuous}, "SlipPrinted": {panel.Continuous, panel.Slow, ""}, "SlipPresented": {panel.Continuous, panel.Slow, ""},
		"PagePrinted": {panel.Continuous, panel.Continuous, panel.Slow},
	},
	session.Failing:    {"Retried": {card: panel.Medium}, "CardOut": {card: panel.Slow}}, // take it out; put it in again
	session.TakingCard: {"SlipPresented": {panel.Medium, panel.Slow, ""}},
	session.Parting:    {"SlipPresented": {slip: panel.Slow}},
}

// Every state and every event lead to the lamps of the table.
func TestTheLampsOfEveryStateAndEvent(t *testing.T) {
	for _, s := range session.States {
		if got := lamps(reach(s)); got != litIn[s] {
			t.Errorf("%s: %+v, want %+v", s, got, litIn[s])
		}
		for _, e := range sample() {
			v := reach(s)
			v.Step(e)
			want, ok := litAfter[s][nameOf(e)]
			if !ok {
				want = litIn[v.State]
			}
			if got := lamps(v); got != want {
				t.Errorf("%s, %s, which leads to %s: %+v, want %+v", s, nameOf(e), v.State, got, want)
			}
		}
	}
}

// Whoever leaves, from wherever, leaves no lamp behind but the one that asks for
// the card, until it is out.
func TestNoLampStaysLitForWhoHasLeft(t *testing.T) {
	for _, s := range session.States {
		for _, e := range []session.Event{session.Cancelled{}, session.IdledOut{}, session.CardOut{}} {
			v := reach(s)
			play(v, e, session.Cancelled{}) // some states outlive a card
			want := lit{}
			if v.State == session.TakingCard {
				want.card = panel.Medium
			}
			if got := lamps(v); got != want {
				t.Errorf("%s, %T: %s with %+v", s, e, v.State, got)
			}
			play(v, session.CardOut{}, session.TimeUp{})
			if got := lamps(v); got != (lit{}) || v.State != session.Attracting {
				t.Errorf("%s, %T: %s with %+v", s, e, v.State, got)
			}
		}
	}
}

// A step is an event and the lamps after it.
type step struct {
	do   session.Event
	want lit
}

// A story is told at a kiosk with a printer for pages, or without.
type story struct {
	pages bool
	steps []step
}

// storiesOfPaper are what can become of slip and page, from when they are printed.
func storiesOfPaper() map[string]story {
	slow, quick, medium, on := panel.Slow, panel.Quick, panel.Medium, panel.Continuous
	out := session.SlipPrinted{Outcome: printer.Confirmed}
	return map[string]story{
		"taken at once": {false, []step{
			{session.SlipPresented{}, lit{slip: slow}},
			{out, lit{slip: slow}},
			{session.SlipTaken{}, lit{}},
			{session.Finished{}, lit{card: medium}},
			{session.CardOut{}, lit{}},
		}},
		"told out before it is held out": {false, []step{
			{out, lit{slip: slow}}, {session.SlipPresented{}, lit{slip: slow}}, {session.SlipTaken{}, lit{}},
		}},
		"asked for, and taken": {false, []step{
			{session.SlipPresented{}, lit{slip: slow}},
			{out, lit{slip: slow}},
			{session.SlipNotTaken{}, lit{slip: quick}},
			{session.SlipNotTaken{}, lit{slip: quick}},
			{session.SlipTaken{}, lit{}},
		}},
		"taken back": {false, []step{
			{session.SlipPresented{}, lit{slip: slow}},
			{out, lit{slip: slow}},
			{session.SlipNotTaken{}, lit{slip: quick}},
			{session.SlipRetracted{}, lit{}},
		}},
		"left behind": {false, []step{
			{session.SlipPresented{}, lit{slip: slow}},
			{out, lit{slip: slow}},
			{session.Finished{}, lit{medium, slow, ""}},
			{session.SlipNotTaken{}, lit{medium, quick, ""}},
			{session.CardOut{}, lit{slip: quick}},
			{session.TimeUp{}, lit{slip: quick}},
			{session.SlipRetracted{}, lit{}},
		}},
		"left for the next person": {false, []step{
			{session.SlipPresented{}, lit{slip: slow}},
			{out, lit{slip: slow}},
			{session.Finished{}, lit{medium, slow, ""}},
			{session.CardOut{}, lit{slip: slow}},
			{session.CardIn{}, lit{card: on}},
			{session.SlipNotTaken{}, lit{card: on}},
			{session.SlipRetracted{}, lit{card: on}},
		}},
		"failed":  {false, []step{{session.SlipPrinted{Outcome: printer.Failed, Err: printer.ErrNoPaper}, lit{}}}},
		"unknown": {false, []step{{session.SlipPrinted{Outcome: printer.Unknown}, lit{}}}},
		"a page and its slip": {true, []step{
			{session.PagePrinted{Outcome: printer.Confirmed}, lit{"", on, slow}},
			{session.SlipPresented{}, lit{"", slow, slow}},
			{out, lit{"", slow, slow}},
			{session.SlipTaken{}, lit{page: slow}},
			{session.Finished{}, lit{card: medium}},
		}},
		"no page": {true, []step{{session.PagePrinted{Outcome: printer.Failed}, lit{slip: on}}}},
	}
}

func TestTheLampsOfPaper(t *testing.T) {
	for name, tt := range storiesOfPaper() {
		t.Run(name, func(t *testing.T) {
			k := sessiontest.Kiosk()
			k.Pages = tt.pages
			v := session.New(k)
			for _, e := range sessiontest.Certificate(text.En) {
				if _, is := e.(session.SlipPrinted); is {
					break
				}
				v.Step(e)
			}
			on := panel.Continuous
			if want := (lit{on, on, ""}); !tt.pages && lamps(v) != want || tt.pages && lamps(v) != (lit{on, "", on}) {
				t.Fatalf("printing: %+v", lamps(v))
			}
			for i, s := range tt.steps {
				v.Step(s.do)
				if v.State == session.Ending { // with the card in
					s.want.card = on
				}
				if got := lamps(v); got != s.want {
					t.Errorf("%d, %T: %+v, want %+v", i, s.do, got, s.want)
				}
			}
		})
	}
}

// The card is asked for where there is a reader, and back where it must be put in
// anew.
func TestTheLampOfTheCard(t *testing.T) {
	v := reach(session.AskingCard)
	v.NoReader = true
	if lamps(v).card != "" {
		t.Error("a card is invited, and there is no reader")
	}
	v.NoReader = false
	v.CardIn = true // it was tried too often
	if lamps(v).card != panel.Medium {
		t.Error("a card that is to be put in anew is not asked for")
	}
	v.Step(session.CardOut{})
	if lamps(v).card != panel.Slow {
		t.Error("and then not invited")
	}
}

// The lamp of a card that is in doesn't go out before the card is asked back: not
// between two pieces of work, and not while somebody reads or types.
func TestTheLampOfACardInUseStaysLit(t *testing.T) {
	for name, visit := range map[string][]session.Event{"certificate": sessiontest.Certificate(text.En), "application": sessiontest.Application(text.En)} {
		v := session.New(sessiontest.Signing())
		for _, e := range visit {
			v.Step(e)
			want := panel.Off
			switch {
			case v.State == session.TakingCard:
				want = panel.Medium
			case v.CardIn:
				want = panel.Continuous
			case v.State == session.AskingCard:
				want = panel.Slow
			}
			if got := v.Lamps()[panel.CardReader]; got != want {
				t.Errorf("%s, %T, which leads to %s: %s, want %s", name, e, v.State, got, want)
			}
		}
	}
}

// Nor does it say "leave it" where the scene says to take the card.
func TestTheLampOfACardThatIsOfNoUse(t *testing.T) {
	v := session.New(sessiontest.Kiosk())
	for _, e := range append(until(session.Reading), session.ReadFailed{Err: card.ErrForeign}) {
		v.Step(e)
	}
	if v.State != session.Failing || !v.CardIn || lamps(v).card != "" {
		t.Errorf("%s, card in: %v, lamp %q", v.State, v.CardIn, lamps(v).card)
	}
}

// Whatever happens: every lamp is told something that there is; together they
// flash three times a second at most (WCAG 2.3.1); none says what the scene
// doesn't; and nobody's slip or page is asked for while nobody is here.
func TestLampsOnRandomWalks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "choice") }
		v := begin(c)
		for range c(30) {
			for _, e := range next(c, v) {
				v.Step(e)
			}
			checkLamps(t, v)
		}
	})
}

func checkLamps(t fataler, v *session.Visit) {
	hz := 0.0
	all := v.Lamps()
	for _, l := range panel.Lamps() {
		r, err := all[l].Rhythm()
		if err != nil {
			t.Fatalf("%s: %s: %v", v.State, l, err)
		}
		if r.Lit > 0 && r.Dark > 0 {
			hz += float64(time.Second) / float64(r.Lit+r.Dark)
		}
	}
	if hz > 3 || len(all) != len(panel.Lamps()) {
		t.Fatalf("%s: %v flash %.1f times a second", v.State, all, hz)
	}
	is, s := lamps(v), v.Scene()
	switch {
	case is.card == panel.Continuous && !v.CardIn:
		t.Fatalf("%s: the card is said to be in", v.State)
	case is.card == "" && v.CardIn && v.Carded && v.State != session.Attracting && v.State != session.Failing:
		t.Fatalf("%s: the visit stands on a card in the dark", v.State)
	}
	switch {
	case v.State == session.Attracting && is != lit{}, v.State == session.Parting && is != lit{slip: is.slip}:
		t.Fatalf("%s: %+v", v.State, is)
	case v.State == session.TakingCard && is.card != panel.Medium, is.page != "" && v.State != session.Ending:
		t.Fatalf("%s: %+v", v.State, is)
	case v.Help || v.Warning: // over the scene that is meant
	case is.slip != "" && s.Find("slip") == nil && s.Find("paper") == nil && !v.Paging, is.page != "" && s.Find("page") == nil:
		t.Fatalf("%s: %+v, and the scene says nothing of it", v.State, is)
	}
}
