package device

import (
	"kosk/device/scene"
	"kosk/device/session"
)

// present shows and says what the visit has come to. The focus stays where it
// was if that is still there; a scene that only changed is said where it changed.
func (k *Kiosk) present() {
	k.vacant.Store(k.visit.State == session.Attracting)
	k.light()
	s := k.visit.Scene()
	fresh := s.ID != k.shown.ID
	k.refocus(&s, fresh)
	moved := k.focus != "" && k.focus != k.said
	k.said, k.shown = k.focus, s
	k.Show(scene.View{Scene: s, Focus: k.focus, Ring: k.ring, TextSize: k.visit.TextSize, Contrast: k.visit.Contrast})
	if starts := k.visit.Voice && !k.Voice.Enabled(); starts {
		k.Voice.Scene(s, k.focus)
		k.Voice.Enable(true) // greets, and reads the scene itself
		return
	}
	k.Voice.Enable(k.visit.Voice)
	if moved && !fresh {
		k.Voice.Focus(s, k.focus)
		return
	}
	k.Voice.Scene(s, k.focus)
}

// refocus keeps the focus in the scene: on the field to type in; else, for who
// listens, on the first thing that isn't said when the scene opens, so that the way
// to it doesn't lead through what was just heard; for who uses keys, on the first
// thing to do.
func (k *Kiosk) refocus(s *scene.Scene, fresh bool) {
	if !fresh && s.Find(k.focus) != nil {
		return
	}
	field := s.Role(scene.Field)
	switch {
	case field != nil && (k.visit.Voice || k.ring):
		k.focus = field.ID
	case k.visit.Voice:
		k.focus = firstUnsaid(s)
	case k.ring:
		k.focus = firstToDo(s)
	default:
		k.focus = ""
	}
}

// firstUnsaid is the first node of the page itself that voice doesn't read when the
// scene opens. A figure shows what is said before it, and the way out isn't where
// anybody begins.
func firstUnsaid(s *scene.Scene) string {
	for i := range s.Nodes {
		n := &s.Nodes[i]
		switch n.Role {
		case scene.Banner, scene.Tool, scene.Eyebrow, scene.Title, scene.Lead, scene.Step, scene.Figure, scene.Back, scene.Leave:
			continue
		}
		if alert := n.Role == scene.Note && n.Tone == scene.Bad; !alert && n.Focusable(true) {
			return n.ID
		}
	}
	return "title"
}

// firstToDo is the first node of the page itself that does something; the way out,
// where there is nothing else.
func firstToDo(s *scene.Scene) string {
	out := ""
	for i := range s.Nodes {
		n := &s.Nodes[i]
		switch {
		case n.Action == nil || n.Role == scene.Tool:
		case n.Role != scene.Back && n.Role != scene.Leave:
			return n.ID
		case out == "":
			out = n.ID
		}
	}
	return out
}
