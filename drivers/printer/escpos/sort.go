package escpos

// A printer answers on one line, mixed: replies to real-time commands, replies
// to buffered ones, its state whenever that changes, and XON/XOFF anywhere
// between. The fixed bits of each kind tell them apart.

// A kind is what a printer said.
type kind int

const (
	realTimeReply kind = iota + 1 // DLE EOT n: one byte
	autoStatus                    // GS a: four bytes
	sensorReply                   // GS r 1: one byte
	processReply                  // GS ( H fn 48: the four bytes of the job
	clearedReply                  // DLE DC4 fn 8
	customReply                   // DLE EOT 20 of Custom: four bytes
)

// An event is one thing that a printer said.
type event struct {
	kind kind
	data [4]byte
}

const (
	xon, xoff  = 0x11, 0x13
	blockMost  = 80   // bytes of a longer answer, beyond which it is noise
	blockHead  = 0x37 // of replies to GS ( H and DLE DC4
	infoHead   = 0x5F // of replies to GS I
	customHead = 0x10 // then 0F
)

// A sorter makes events of bytes. Noise is dropped.
type sorter struct {
	custom bool   // the printer answers in Custom's way
	held   []byte // of an answer that isn't complete
}

// next takes one byte and returns the event that it completes.
func (s *sorter) next(b byte) (event, bool) {
	switch {
	case len(s.held) == 0:
		return s.first(b)
	case s.held[0] == blockHead || s.held[0] == infoHead:
		return s.block(b)
	case s.custom:
		return s.customNext(b)
	default:
		return s.auto(b)
	}
}

// first takes the first byte of an answer.
func (s *sorter) first(b byte) (event, bool) {
	switch {
	case b == blockHead, b == infoHead, b&0x93 == 0x10:
		if s.custom && b != customHead && b&0x93 == 0x10 {
			break
		}
		s.held = append(s.held[:0], b)
	case b&0x93 == 0x12:
		return event{realTimeReply, [4]byte{b}}, true
	case b&0x90 == 0:
		return event{sensorReply, [4]byte{b}}, true
	}
	return event{}, false
}

// auto takes the later bytes of an automatic status.
func (s *sorter) auto(b byte) (event, bool) {
	if b == xon || b == xoff {
		return event{}, false
	}
	if b&0x90 != 0 {
		s.held = s.held[:0]
		return s.first(b)
	}
	s.held = append(s.held, b)
	if len(s.held) < 4 {
		return event{}, false
	}
	e := event{kind: autoStatus, data: [4]byte(s.held)}
	s.held = s.held[:0]
	return e, true
}

// customNext takes the later bytes of Custom's full status: 10 0F and four more.
func (s *sorter) customNext(b byte) (event, bool) {
	if len(s.held) == 1 && b != 0x0F {
		s.held = s.held[:0]
		return s.first(b)
	}
	s.held = append(s.held, b)
	if len(s.held) < 6 {
		return event{}, false
	}
	e := event{kind: customReply, data: [4]byte(s.held[2:6])}
	s.held = s.held[:0]
	return e, true
}

// block takes the later bytes of an answer that ends with a zero.
func (s *sorter) block(b byte) (event, bool) {
	if b == xon || b == xoff {
		return event{}, false
	}
	if b != 0 {
		s.held = append(s.held, b)
		if len(s.held) > blockMost {
			s.held = s.held[:0]
		}
		return event{}, false
	}
	block := s.held
	s.held = s.held[:0]
	switch {
	case len(block) == 6 && block[0] == blockHead && block[1] == 0x22:
		return event{processReply, [4]byte(block[2:])}, true
	case len(block) == 2 && block[0] == blockHead && block[1] == 0x25:
		return event{kind: clearedReply}, true
	}
	return event{}, false
}
