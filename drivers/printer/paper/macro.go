package paper

import "bytes"

// A macro is commands kept under GS : and obeyed again by GS ^. ESC @ leaves it,
// a reset or a loss of power doesn't.

// macroMost is what a macro holds; commands beyond are not kept.
const macroMost = 2048

// beginOrEnd is GS :. What comes between two of them is obeyed and kept.
func (m *machine) beginOrEnd([]byte) {
	if !m.model.Macros {
		return
	}
	m.defining = !m.defining
	if m.defining {
		m.macro = nil
	}
}

// learn keeps a command while a macro is defined.
func (m *machine) learn(c command, all []byte) {
	if m.defining && c.name != "GS :" && c.name != "GS ^" && c.name != "real time" && len(m.macro)+len(all) <= macroMost {
		m.macro = append(m.macro, all...)
	}
}

// runMacro is GS ^: so many times. Within a definition it ends and forgets that.
// A macro that waits for the feed button isn't built.
func (m *machine) runMacro(a []byte) {
	if m.defining {
		m.defining, m.macro = false, nil
		return
	}
	if a[2]&1 == 1 {
		return
	}
	for range a[0] {
		for rest := bytes.Clone(m.macro); len(rest) > 0 && !m.stopped(); {
			c, n := parse(rest)
			if n == 0 {
				return // cut off by the limit
			}
			m.obey(c)
			rest = rest[n:]
		}
	}
}
