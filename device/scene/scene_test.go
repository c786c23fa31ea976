package scene

import (
	"strings"
	"testing"

	"kosk/device/text"
)

func words(s string) text.Words { return text.Say(text.En, text.Plain, s) }

// page has every sort of node that the focus treats in its own way.
func page() *Scene {
	s := new(Scene)
	s.Add(
		Node{ID: "title", Role: Title, Name: words("Title")},
		Node{ID: "ornament", Role: Figure, Decorative: true, Name: words("x"), Action: 1},
		Node{ID: "a", Role: Choice, Name: words("A"), Action: 1},
		Node{ID: "empty", Role: Text},
		Node{ID: "b", Role: Choice, Name: words("B"), Action: 1, Unavailable: true},
		Node{ID: TurnNext, Role: Turn, Name: words("More"), Action: 1},
		Node{ID: "value", Role: Datum, Value: words("V")},
	)
	return s
}

func TestMove(t *testing.T) {
	for _, c := range []struct {
		name  string
		from  string
		by    int
		voice bool
		want  string
	}{
		{"from nowhere forward", "", 1, false, "a"},
		{"from nowhere back", "", -1, false, "b"},
		{"to what is unavailable too", "a", 1, false, "b"},
		{"round", "b", 1, false, "a"},
		{"round, back", "a", -1, false, "b"},
		{"twice round", "a", 4, false, "a"},
		{"from what has gone", "gone", 1, false, "a"},
		{"from what can't have the focus", "ornament", -1, false, "b"},
		{"with the voice from the first", "", 1, true, "title"},
		{"with the voice to a value, past ornaments and turns", "b", 1, true, "value"},
		{"with the voice round", "value", 1, true, "title"},
	} {
		if got := page().Move(c.from, c.by, c.voice); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if got := new(Scene).Move("a", 1, true); got != "" {
		t.Errorf("on an empty page: %q", got)
	}
}

func TestFind(t *testing.T) {
	s := page()
	if n := s.Find("a"); n == nil || n.Name.String() != "A" || s.Find("z") != nil {
		t.Error("found the wrong node")
	}
	if n := s.Role(Choice); n == nil || n.ID != "a" || s.Role(Code) != nil {
		t.Error("found the wrong role")
	}
}

// What was typed is in no log, whoever prints an input.
func TestInputsAreNamedWithoutWhatWasTyped(t *testing.T) {
	for want, i := range map[string]Input{
		"activate next": {Activate: "next"}, "focus next": {Focus: "next"}, "command 3": {Command: Select}, "rune": {Rune: '7'},
	} {
		if got := i.String(); got != want || strings.Contains(got, "7") {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestRolesHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for r := Title; r <= Turn; r++ {
		if s := r.String(); s == "" || seen[s] {
			t.Errorf("role %d is called %q", r, s)
		}
		seen[r.String()] = true
	}
}
