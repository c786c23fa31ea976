package paper

import "time"

// A presenter holds a slip out at the slot and can take it back. What is
// printed while one is there pushes it out: it falls, as from a real one.

// present takes what was cut to the presenter. Citizen's holds it out at once,
// Custom's waits to be told.
func (m *machine) present() {
	m.letGo()
	s, ink := m.piece(false)
	if !ink {
		return // white paper is thrown out
	}
	m.within = &s
	if m.model.Presenter == "citizen" {
		m.holdOut()
	}
}

func (m *machine) holdOut() {
	if m.within != nil {
		m.slot, m.lapse = true, time.Time{}
		if m.set.patience > 0 {
			m.lapse = time.Now().Add(m.set.patience)
		}
		m.emit(*m.within)
		m.within = nil
	}
}

// letGo makes room: what is in the presenter falls into the hand or onto the floor.
func (m *machine) letGo() {
	m.holdOut()
	m.slot = false
}

// lapsed takes back a slip that was held out long enough, and says how long to
// wait for that, 0 for no end.
func (m *machine) lapsed() time.Duration {
	if !m.slot || m.lapse.IsZero() {
		return 0
	}
	if wait := time.Until(m.lapse); wait > 0 {
		return wait
	}
	m.lapse = time.Time{}
	m.takeBack()
	return 0
}

// takeBack retracts what is at the slot into the bin.
func (m *machine) takeBack() {
	if m.slot && !m.holding {
		m.slot = false
		m.back()
	}
}

// ejector is Custom's GS e: 2 retract, 3 hold out, 5 eject, 6 say how it is.
func (m *machine) ejector(a []byte) {
	if m.model.Presenter != "custom" {
		return
	}
	switch a[0] {
	case 2:
		m.takeBack()
	case 3:
		if float64(a[1])*m.model.StepMM >= 1 {
			m.holdOut()
		}
	case 5:
		m.letGo()
	case 6:
		m.say(bit(m.slot, 0x08) | bit(m.within != nil || m.slot, 0x04) | bit(m.jammed, 0x80))
	}
}

// collect is Citizen's GS R: 0 retract now, 1 retract so many seconds after a slip
// is held out, by itself, or never for 0.
func (m *machine) collect(a []byte) {
	if m.model.Presenter != "citizen" {
		return
	}
	switch a[0] {
	case 0, '0':
		m.takeBack()
	case 1, '1':
		if a[1] <= 9 {
			m.set.patience = time.Duration(a[1]) * time.Second
		}
	}
}
