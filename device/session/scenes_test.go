package session_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"kosk/device/scene"
	"kosk/device/session"
	"kosk/device/session/sessiontest"
	"kosk/device/text"
	"kosk/drivers/printer"
	"kosk/offline"
)

// met is every scene that the tests know of, by its name, in one language.
func met(lang text.Lang) map[string]scene.Scene {
	all := map[string]scene.Scene{}
	for _, s := range sessiontest.Journey(lang) {
		all[s.ID] = s
	}
	in := func(name string, v *session.Visit) {
		v.Lang = lang
		all[name] = v.Scene()
	}
	for _, s := range session.States {
		v := reach(s)
		in(string(s), v)
		v.TextSize = scene.TextLargest
		in(string(s)+", largest", v)
		v.Line, v.Full, v.NoReader = offline.ErrLineDown, true, true
		in(string(s)+", all down", v)
	}
	faults := []session.Fault{session.FaultOf(errors.New("unforeseen"))}
	for _, told := range session.Faults() {
		faults = append(faults, told.Fault)
	}
	for _, reason := range session.Reasons() {
		faults = append(faults, session.Refusal(reason))
	}
	for _, f := range faults {
		v := reach(session.Failing)
		v.Fault = f
		in("problem, "+string(f.Key), v)
	}
	for _, stage := range []session.Stage{session.Stored, session.Accepted, session.Done} {
		for _, p := range []session.SlipPrinted{
			{Outcome: printer.Confirmed},
			{Outcome: printer.Unknown},
			{Outcome: printer.Failed, Err: printer.ErrNoPaper},
			{Outcome: printer.Failed, Err: printer.ErrCoverOpen},
			{Outcome: printer.Failed, Err: printer.ErrJammed},
		} {
			v := reach(session.Ending)
			v.Step(p)
			v.Stage = stage
			in("result, "+string(v.PrintWord)+string(rune('0'+stage)), v)
		}
	}
	wrong := reach(session.AskingCAN)
	wrongCAN(wrong)
	in("can, wrong", wrong)
	short := reach(session.AskingCAN)
	play(short, session.Typed{Rune: '1'}, session.Entered{})
	in("can, short", short)
	heard := reach(session.AskingNumber)
	heard.Voice, heard.Zone.Only = true, true
	in("number, heard", heard)
	check := session.New(sessiontest.Kiosk())
	play(check, sessiontest.Check(lang)[:3]...)
	in("imei", check)
	play(check, session.Typed{Rune: '1'}, session.Entered{})
	in("imei, short", check)
	return all
}

func eachScene(t *testing.T, do func(t *testing.T, name string, s *scene.Scene)) {
	t.Helper()
	for _, lang := range text.Langs {
		t.Run(string(lang), func(t *testing.T) {
			for name, s := range met(lang) {
				do(t, name, &s)
			}
		})
	}
}

// counts reports whether a node's words are ours and on the page. The tools and
// the step stand in the top bar, TEST above it, a figure's words are its
// alternative, and turns of pages come with the layout.
func counts(n *scene.Node) bool {
	switch n.Role {
	case scene.Tool, scene.Step, scene.Banner, scene.Figure, scene.Turn, scene.Key:
		return false
	}
	return true
}

// ours are the words of a node that we have written: not the person's own data,
// not the names of services, agencies and registers.
func ours(n *scene.Node) []string {
	var all []string
	add := func(w text.Words) {
		if !w.Empty() {
			all = append(all, w.String())
		}
	}
	switch {
	case n.Role == scene.Eyebrow:
	case strings.HasPrefix(n.ID, "service."):
		if n.Unavailable {
			add(n.Hint)
		}
	case n.ID == "consent.operations" || n.ID == "consent.period" || n.ID == "consent.deletion":
		add(n.Name)
		add(n.Value)
	case n.Role == scene.Datum && n.ID != "number" && !strings.HasPrefix(n.ID, "consent."):
		// a datum's label is the service's, its value the person's, its source a register
	case n.Role == scene.Datum:
		add(n.Name)
	default:
		add(n.Name)
		add(n.Hint)
	}
	return all
}

func words(s string) int {
	return len(strings.FieldsFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '\'' && r != '’' && r != '-'
	}))
}

// mostWords is how many of our words stand on a screen. The law names six things
// that a consent has to say; that screen has them, and no more.
func mostWords(name string) int {
	if strings.HasPrefix(name, string(session.Consenting)) {
		return 60
	}
	return 40
}

func TestAScreenHasFewWords(t *testing.T) {
	eachScene(t, func(t *testing.T, name string, s *scene.Scene) {
		n := 0
		var all []string
		for i := range s.Nodes {
			if counts(&s.Nodes[i]) {
				for _, w := range ours(&s.Nodes[i]) {
					n += words(w)
					all = append(all, w)
				}
			}
		}
		if n > mostWords(name) {
			t.Errorf("%s: %d words: %q", name, n, all)
		}
	})
}

var sentence = regexp.MustCompile(`[.!?:;\n]+(\s|$)`)

func TestSentencesAreShort(t *testing.T) {
	eachScene(t, func(t *testing.T, name string, s *scene.Scene) {
		for i := range s.Nodes {
			for _, w := range ours(&s.Nodes[i]) {
				for _, one := range sentence.Split(w, -1) {
					if words(one) > 12 {
						t.Errorf("%s, %s: %d words: %q", name, s.Nodes[i].ID, words(one), one)
					}
				}
			}
		}
	})
}

func TestAScreenHasFewChoices(t *testing.T) {
	eachScene(t, func(t *testing.T, name string, s *scene.Scene) {
		groups, in := 0, 0
		before := scene.Role(0)
		for i := range s.Nodes {
			r := s.Nodes[i].Role
			if r != scene.Tile && r != scene.Choice {
				before = r
				continue
			}
			if r != before {
				groups, in = groups+1, 0
			}
			before = r
			if in++; in > 7 {
				t.Errorf("%s: more than 7 choices in a group", name)
			}
		}
		if groups > 3 {
			t.Errorf("%s: %d groups of choices", name, groups)
		}
	})
}

func TestNodesAreWhole(t *testing.T) {
	eachScene(t, func(t *testing.T, name string, s *scene.Scene) {
		ids := map[string]bool{}
		titles := 0
		for i := range s.Nodes {
			n := &s.Nodes[i]
			if n.ID == "" || ids[n.ID] {
				t.Errorf("%s: the id %q stands twice or is empty", name, n.ID)
			}
			ids[n.ID] = true
			if n.Role == scene.Title {
				titles++
			}
			switch {
			case n.Decorative:
			case n.Name.Empty():
				t.Errorf("%s: %s has no name", name, n.ID)
			case n.Role == scene.Field && n.Hint.Empty():
				t.Errorf("%s: the field %s has no hint", name, n.ID)
			case n.Role == scene.Code && len(n.Data) == 0:
				t.Errorf("%s: the code %s carries nothing", name, n.ID)
			case n.Role == scene.Figure && n.Icon == "":
				t.Errorf("%s: the figure %s shows nothing", name, n.ID)
			}
			if n.Unavailable && n.Role == scene.Choice && n.Hint.Empty() {
				t.Errorf("%s: %s doesn't say why it is unavailable", name, n.ID)
			}
		}
		if titles != 1 || s.Kind == 0 || s.Lang == "" {
			t.Errorf("%s: %d titles, kind %d, language %q", name, titles, s.Kind, s.Lang)
		}
		if !s.Test || s.Nodes[0].Role != scene.Banner {
			t.Errorf("%s: TEST doesn't stand above it", name)
		}
	})
}

// The focus goes round through everything, both ways, and nobody is trapped.
func TestFocusGoesRound(t *testing.T) {
	eachScene(t, func(t *testing.T, name string, s *scene.Scene) {
		for _, voice := range []bool{false, true} {
			ring := 0
			for i := range s.Nodes {
				if s.Nodes[i].Focusable(voice) {
					ring++
				}
			}
			at, seen := s.Move("", 1, voice), map[string]bool{}
			for range ring {
				seen[at] = true
				next := s.Move(at, 1, voice)
				if back := s.Move(next, -1, voice); back != at {
					t.Errorf("%s, voice %v: a step back from %s leads to %s, not %s", name, voice, next, back, at)
				}
				at = next
			}
			if at != s.Move("", 1, voice) || len(seen) != ring {
				t.Errorf("%s, voice %v: %d of %d nodes on the way round", name, voice, len(seen), ring)
			}
			for i := range s.Nodes {
				if n := &s.Nodes[i]; (n.Action != nil || voice && n.Role == scene.Title) && !seen[n.ID] {
					t.Errorf("%s, voice %v: %s is never reached", name, voice, n.ID)
				}
			}
		}
	})
}

// Every scene but the first and the one that waits for the card has a way out.
func TestThereIsAWayOut(t *testing.T) {
	eachScene(t, func(t *testing.T, name string, s *scene.Scene) {
		if s.Kind == scene.Attract || strings.HasPrefix(name, string(session.TakingCard)) {
			return
		}
		for i := range s.Nodes {
			switch s.Nodes[i].Action.(type) {
			case session.WentBack, session.Cancelled, session.Finished:
				return
			}
		}
		t.Errorf("%s: no way out", name)
	})
}

// What is the person's own is marked so, for the voice.
func TestWhatIsPersonalIsPrivate(t *testing.T) {
	eachScene(t, func(t *testing.T, name string, s *scene.Scene) {
		for i := range s.Nodes {
			n := &s.Nodes[i]
			said := n.Name.String() + " " + n.Value.String() + " " + n.Hint.String()
			for _, own := range []string{"Aygün", "Məmmədova", "5ARPXK2", "Xəzər", "mühasib", "482 913 507 264"} {
				if strings.Contains(said, own) && !n.Private {
					t.Errorf("%s: %s says %q to everybody", name, n.ID, own)
				}
			}
		}
	})
}
