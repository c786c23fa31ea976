package scene

// Focus is a cursor in a scene, kept by node id so that it survives a scene
// being made anew. The rules are: the order of the list is the order of focus;
// with the voice on, static text has a place in it too (so that everything can
// be heard again), else only what can be typed into or activated; the order is a
// ring, so that nobody is trapped (EN 301 549, 5.1.6; WCAG 2.1.2).

// Focusable reports whether focus can rest on the node.
func (n *Node) Focusable(voice bool) bool {
	if n.Decorative || n.Role == Turn {
		return false
	}
	return n.Action != nil || n.Role == Field || voice && !(n.Name.Empty() && n.Value.Empty())
}

// Move returns the id of the node that is by steps after (or, negative, before)
// the one with the id from, around the ring. From an unknown id, a step forward
// leads to the first and a step back to the last. It returns "" when nothing
// can have the focus.
func (s *Scene) Move(from string, by int, voice bool) string {
	var ring []string
	at := -1
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if !n.Focusable(voice) {
			continue
		}
		if n.ID == from {
			at = len(ring)
		}
		ring = append(ring, n.ID)
	}
	if len(ring) == 0 {
		return ""
	}
	if at < 0 && by > 0 {
		at = -1
	} else if at < 0 {
		at = 0
	}
	n := len(ring)
	return ring[((at+by)%n+n)%n]
}
