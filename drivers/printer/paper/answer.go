package paper

import (
	"bytes"
	"fmt"
	"time"

	"kosk/drivers/printer"
	"kosk/drivers/printer/dots"
)

// say puts an answer on the line.
func (m *machine) say(b ...byte) {
	if !m.muted {
		m.out = append(m.out, b...)
	}
}

var clearBuffers = []byte{dle, 0x14, 8, 1, 3, 20, 1, 6, 2, 8}

// Custom's hardware reset, with the line kept open and not.
var (
	resetOpen = []byte{fs, 0xC0, 0x18, 0x10, 0x14, 0x1B}
	resetShut = []byte{fs, 0xC0, 0x18, 0x10, 0x14, 0x1A}
)

// empty forgets what was received and not printed.
func (m *machine) empty() {
	m.buffer = nil
	m.line = line{}
}

// restart is what happens when the power comes back: paper stays where it is,
// all else is forgotten.
func (m *machine) restart() {
	m.empty()
	m.reset()
	m.stuck, m.jammed = m.cutter && m.stuck, m.jam
	m.real = m.real[:0]
	m.macro, m.defining = nil, false
}

// outage takes the power away for a while.
func (m *machine) outage(d time.Duration) {
	for m.step() { // what had time enough is on paper
	}
	m.restart()
	m.off = time.Now().Add(d)
}

// realTime obeys the command that the last bytes received make, if any.
func (m *machine) realTime() bool {
	b := m.real
	n := len(b)
	switch {
	case n >= 3 && b[n-3] == dle && b[n-2] == 0x04 && b[n-1] >= 1 && b[n-1] <= 4:
		m.say(m.status(b[n-1]))
	case n >= 3 && b[n-3] == dle && b[n-2] == 0x05 && (b[n-1] == 1 || b[n-1] == 2):
		m.recover(b[n-1] == 2)
	case bytes.HasSuffix(b, clearBuffers) && m.model.Clears:
		m.empty()
		m.say(0x37, 0x25, 0)
	case m.model.Presenter == "custom" && n >= 3 && b[n-3] == dle && b[n-2] == 0x04 && b[n-1] == 20:
		m.say(m.fullStatus()...)
	case m.model.Presenter == "custom" && (bytes.HasSuffix(b, resetOpen) || bytes.HasSuffix(b, resetShut)):
		m.restart()
	default:
		return false
	}
	return true
}

// recover ends an error whose cause is gone, DLE ENQ.
func (m *machine) recover(clear bool) {
	was := m.stuck || m.jammed
	m.stuck, m.jammed = m.stuck && m.cutter, m.jam
	if clear && was && !m.stuck && !m.jammed {
		m.empty()
	}
}

// status answers DLE EOT n.
func (m *machine) status(n byte) byte {
	b := byte(0x12)
	out := m.paper == printer.PaperOut
	switch n {
	case 1:
		b |= bit(m.stopped(), 0x08)
	case 2:
		b |= bit(m.cover, 0x04) | bit(out, 0x20) | bit(m.stuck || m.jammed, 0x40)
	case 3:
		b |= bit(m.jammed, 0x04) | bit(m.stuck, 0x08) | bit(m.head, 0x40)
	case 4:
		b |= bit(out || m.paper == printer.PaperLow, 0x0C) | bit(out, 0x60)
		if m.model.Presenter == "citizen" {
			b = b&^0x40 | bit(m.slot, 0x40)
		}
	}
	return b
}

// fullStatus answers Custom's DLE EOT 20.
func (m *machine) fullStatus() []byte {
	out := m.paper == printer.PaperOut
	return []byte{
		dle, 0x0F,
		bit(out, 0x01) | bit(out || m.paper == printer.PaperLow, 0x04) | bit(m.slot, 0x20),
		bit(m.cover, 0x02),
		bit(m.head, 0x01) | bit(m.jammed, 0x40),
		bit(m.stuck, 0x01),
	}
}

// sensors answers GS r 1.
func (m *machine) sensors() byte {
	out := m.paper == printer.PaperOut
	return bit(out || m.paper == printer.PaperLow, 0x03) | bit(out, 0x0C)
}

func bit(on bool, b byte) byte {
	if on {
		return b
	}
	return 0
}

// auto is GS a: from now on the state is said whenever a part of it changes that
// was asked for.
func (m *machine) auto(a []byte) {
	if !m.model.Auto {
		return
	}
	m.autoFor = a[0]
	if a[0] != 0 {
		m.said = m.autoStatus()
		m.say(m.said[:]...)
	}
}

func (m *machine) autoStatus() [4]byte {
	return [4]byte{
		0x10 | bit(m.stopped(), 0x08) | bit(m.cover, 0x20),
		bit(m.jammed, 0x04) | bit(m.stuck, 0x08) | bit(m.head, 0x40), m.sensors(), 0,
	}
}

// autoFull is Custom's GS E0: the full status from now on, whenever it changes.
func (m *machine) autoFull(a []byte) {
	if m.model.Presenter == "custom" {
		m.fullFor = a[0]
		m.saidFull = string(m.fullStatus())
	}
}

// changed says the state if it isn't what was said last.
func (m *machine) changed() {
	if now := string(m.fullStatus()); m.fullFor == 0x0F && now != m.saidFull {
		m.saidFull = now
		m.say([]byte(now)...)
	}
	now := m.autoStatus()
	for i, bit := range []byte{0x02, 0x04, 0x08} { // on-line, errors, the roll
		if m.autoFor&bit != 0 && now[i] != m.said[i] {
			m.said = now
			m.say(now[:]...)
			return
		}
	}
}

// sensor is GS r.
func (m *machine) sensor(a []byte) {
	switch a[0] {
	case 1, 49:
		m.say(m.sensors())
	case 2, 50:
		m.say(0)
	}
}

// identify is GS I.
func (m *machine) identify(a []byte) {
	switch a[0] {
	case 1, 49:
		m.say(0x20)
	case 2, 50:
		m.say(bit(m.model.Cutter, 0x02))
	case 3, 51:
		m.say(0x01)
	case 65:
		m.say(append([]byte("_1.00"), 0)...)
	case 66:
		m.say(append([]byte("_"+m.model.Maker), 0)...)
	case 67:
		m.say(append([]byte("_"+m.model.Name), 0)...)
	case 68:
		m.say(append([]byte("_0000000000"), 0)...)
	}
}

// group is GS ( and its functions: QR codes, answers, graphics.
func (m *machine) group(a []byte) {
	fn, p := a[0], a[3:]
	switch {
	case fn == 'k' && len(p) >= 3 && p[0] == 49 && m.model.QR:
		m.qrFn(p[1], p[2:])
	case fn == 'H' && len(p) == 6 && p[0] == 48 && p[1] == 48 && m.model.Process:
		m.flush()
		m.say(append(append([]byte{0x37, 0x22}, p[2:]...), 0)...)
	case fn == 'L':
		m.graphicsFn(p)
	}
}

// qrFn is GS ( k for QR codes.
func (m *machine) qrFn(fn byte, p []byte) {
	switch fn {
	case 67:
		if p[0] >= 1 && p[0] <= 16 {
			m.qr.size = int(p[0])
		}
	case 69:
		if p[0] >= 48 && p[0] <= 51 {
			m.qr.level = dots.Level(p[0] - 48)
		}
	case 80:
		m.qr.data = string(p[1:])
	case 81:
		m.printQR()
	}
}

// printQR prints the stored code; one that is wider than the paper is not
// printed at all.
func (m *machine) printQR() {
	code, err := dots.QR(m.qr.data, m.qr.level)
	if err != nil || code.W*m.qr.size > m.width() || len(m.cells) > 0 {
		return
	}
	m.text = append(m.text, fmt.Sprintf("[QR %s]", m.qr.data))
	m.picture(code, m.qr.size, m.qr.size)
}

// graphicsFn is GS ( L and GS 8 L: store a raster picture (112), print it (50).
func (m *machine) graphicsFn(p []byte) {
	if len(p) < 2 {
		return
	}
	switch p[1] {
	case 112:
		if len(p) < 10 {
			return
		}
		w, h := word(p[6:]), word(p[8:])
		if len(p[10:]) == (w+7)/8*h {
			m.graphics = &dots.Bitmap{W: w, H: h, Bits: bytes.Clone(p[10:])}
			m.scaleX, m.scaleY = 1+int(p[3]&2)/2, 1+int(p[4]&2)/2
		}
	case 2, 50:
		if m.graphics != nil {
			m.flush()
			m.picture(m.graphics, m.scaleX, m.scaleY)
			m.graphics = nil
		}
	}
}
