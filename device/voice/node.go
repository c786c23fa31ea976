package voice

import (
	"strconv"

	"kosk/device/scene"
	"kosk/device/text"
	"kosk/device/voice/say"
)

// describe returns what is said of a node that has the focus, in sentences: its
// name, what it is and in what state; its value; what helps; what the round key
// does to it, where that isn't plain.
func describe(sc *scene.Scene, n *scene.Node) []text.Words {
	if n.Decorative {
		return nil
	}
	lang := sc.Lang
	name := n.Name
	if r := []rune(name.String()); n.Role == scene.Key && len(r) == 1 {
		name = say.Rune(lang, r[0])
	}
	if role, ok := roles[n.Role]; ok {
		name = text.Join(", ", name, text.In(lang, role))
	}
	if n.Selected {
		name = text.Join(", ", name, text.In(lang, "voice.state.selected"))
	}
	if n.Unavailable {
		name = text.Join(", ", name, text.In(lang, "voice.state.unavailable"))
	}
	value := n.Value
	if n.Role == scene.Field && value.Empty() {
		value = text.In(lang, "voice.state.empty")
	}
	does := n.Does
	if !does.Empty() {
		does = text.Join(", ", does, text.In(lang, roles[scene.Button]))
	}
	return some(name, value, n.Hint, does, position(sc, n))
}

// roles are the words for what a node is. What is only read has none.
var roles = map[scene.Role]text.Key{
	scene.Heading: "voice.role.heading",
	scene.Note:    "voice.role.note",
	scene.Figure:  "voice.role.figure",
	scene.Tile:    "voice.role.choice",
	scene.Choice:  "voice.role.choice",
	scene.Field:   "voice.role.field",
	scene.Button:  "voice.role.button",
	scene.Code:    "voice.role.code",
	scene.Tool:    "voice.role.button",
	scene.Back:    "voice.role.button",
	scene.Leave:   "voice.role.button",
	scene.Next:    "voice.role.button",
}

// position says "2 of 5" of a choice among several.
func position(sc *scene.Scene, n *scene.Node) text.Words {
	if n.Role != scene.Tile && n.Role != scene.Choice {
		return nil
	}
	at, all := 0, 0
	for i := range sc.Nodes {
		if sc.Nodes[i].Role == n.Role && !sc.Nodes[i].Decorative {
			all++
			if sc.Nodes[i].ID == n.ID {
				at = all
			}
		}
	}
	if all < 2 {
		return nil
	}
	return text.In(sc.Lang, "voice.state.position",
		text.Arg{Name: "n", Words: figure(sc.Lang, at)}, text.Arg{Name: "all", Words: figure(sc.Lang, all)})
}

// figure is a number as words.
func figure(lang text.Lang, n int) text.Words {
	return text.Say(lang, text.Plain, strconv.Itoa(n))
}

// some leaves out what is empty.
func some(all ...text.Words) []text.Words {
	var out []text.Words
	for _, w := range all {
		if !w.Empty() {
			out = append(out, w)
		}
	}
	return out
}

// private reports whether a node is heard through headphones only. A number that
// is a person's makes it so, whatever the node says of itself.
func private(n *scene.Node) bool {
	return n.Private || personal(n.Name) || personal(n.Value) || personal(n.Hint)
}

func personal(w text.Words) bool {
	for _, s := range w {
		if s.Kind == text.FIN || s.Kind == text.DocNo || s.Kind == text.Spelt {
			return true
		}
	}
	return false
}

// opening returns the messages that a new scene is opened with, without the
// eyebrow that was heard before.
func opening(sc *scene.Scene, focus, heard string) []message {
	var out []message
	if !sc.MustHear.Empty() {
		out = append(out, message{class: mustHear, scene: sc.ID, words: some(sc.MustHear)})
	}
	say := func(role scene.Role) {
		if n := sc.Role(role); n != nil && !n.Decorative {
			out = append(out, message{class: navigation, scene: sc.ID, node: n.ID, private: private(n), words: some(n.Name, n.Value)})
		}
	}
	if n := sc.Role(scene.Title); n == nil || n.Name.String() != sc.MustHear.String() { // said already
		say(scene.Title)
	}
	for i := range sc.Nodes { // what went wrong isn't kept for after the name of the service
		if isAlert(&sc.Nodes[i]) {
			out = append(out, alertOf(sc, &sc.Nodes[i]))
		}
	}
	if n := sc.Role(scene.Eyebrow); n != nil && n.Name.String() != heard {
		say(scene.Eyebrow)
	}
	say(scene.Lead)
	if n := sc.Find(focus); n != nil && !isOpening(n) {
		out = append(out, focused(sc, n))
	}
	return out
}

// isOpening reports whether the node is said anyway when a scene opens.
func isOpening(n *scene.Node) bool {
	return n.Role == scene.Title || n.Role == scene.Eyebrow || n.Role == scene.Lead || isAlert(n)
}

func isAlert(n *scene.Node) bool {
	return n.Role == scene.Note && n.Tone == scene.Bad && !n.Decorative
}

func alertOf(sc *scene.Scene, n *scene.Node) message {
	words := some(text.Join(". ", text.In(sc.Lang, "voice.role.alert"), n.Name), n.Value, n.Hint)
	return message{class: alert, scene: sc.ID, node: n.ID, private: private(n), words: words, tone: alarm}
}

func focused(sc *scene.Scene, n *scene.Node) message {
	m := message{
		class: navigation, scene: sc.ID, node: n.ID, private: private(n), words: describe(sc, n),
		typed: n.Role == scene.Key || n.Role == scene.Field && !n.Value.Empty() || n.Typed,
	}
	if n.Typed { // its name is ours: who has no headphones hears which it is, and what it does
		bare := *n
		bare.Value, bare.Hint, bare.Private = nil, nil, false
		m.open = describe(sc, &bare)
	}
	return m
}
