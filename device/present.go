package device

import (
	"kosk/device/scene"
)

// present shows and says what the visit has come to. The rules are: a scene
// that is new is said whole; one that only changed is said where it changed;
// the focus stays where it was if that is still there.
func (k *Kiosk) present() {
	s := k.visit.Scene()
	fresh := s.ID != k.shown.ID || title(&s) != title(&k.shown) || s.Lang != k.shown.Lang
	k.refocus(&s, s.ID != k.shown.ID)
	moved := k.focus != "" && k.focus != k.said
	k.said = k.focus
	news := changed(&k.shown, &s)
	spoke := k.Voice.Enabled()
	k.Voice.Enable(k.visit.Voice)
	k.shown = s
	k.Show(scene.View{Scene: s, Focus: k.focus, Ring: k.ring, TextSize: k.visit.TextSize, Contrast: k.visit.Contrast})
	switch {
	case fresh || !spoke && k.visit.Voice:
		k.Voice.Scene(s, k.focus)
	case moved:
		k.Voice.Focus(s, k.focus)
	default:
		for _, n := range news {
			k.Voice.Status(n.Name)
		}
	}
}

func title(s *scene.Scene) string {
	if n := s.Role(scene.Title); n != nil {
		return n.Name.String()
	}
	return ""
}

// refocus keeps the focus in the scene: on the title for who listens, on the
// first thing to do for who uses keys.
func (k *Kiosk) refocus(s *scene.Scene, fresh bool) {
	if !fresh && s.Find(k.focus) != nil {
		return
	}
	switch {
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

// changed lists the notes and signs of progress that the new scene has and the
// old one hadn't, or had with other words.
func changed(old, s *scene.Scene) []*scene.Node {
	var news []*scene.Node
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if n.Role != scene.Note && n.Role != scene.Progress {
			continue
		}
		if was := old.Find(n.ID); was == nil || was.Name.String() != n.Name.String() {
			news = append(news, n)
		}
	}
	return news
}
