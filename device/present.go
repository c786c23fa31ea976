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

// refocus keeps the focus in the scene: for who listens, on the field to type in
// or on the title; for who uses keys, on the first thing to do.
func (k *Kiosk) refocus(s *scene.Scene, fresh bool) {
	if !fresh && s.Find(k.focus) != nil {
		return
	}
	switch {
	case k.visit.Voice && s.Role(scene.Field) != nil:
		k.focus = s.Role(scene.Field).ID
	case k.visit.Voice:
		k.focus = "title"
	case k.ring:
		k.focus = firstToDo(s)
	default:
		k.focus = ""
	}
}

// firstToDo is the first node of the page itself that does something.
func firstToDo(s *scene.Scene) string {
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if n.Action != nil && n.Role != scene.Tool {
			return n.ID
		}
	}
	return ""
}
