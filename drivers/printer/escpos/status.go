package escpos

import "kosk/drivers/printer"

// realTimeStatus adds the answer to DLE EOT n to what is known.
func realTimeStatus(s *printer.Status, n string, b byte) {
	switch n {
	case "1":
		s.Online = b&0x08 == 0
	case "2":
		s.CoverOpen = b&0x04 != 0
		if b&0x20 != 0 {
			s.Paper = printer.PaperOut
		}
	case "3":
		s.Cutter = b&0x08 != 0
		s.Fault = b&(0x04|0x20|0x40) != 0
	case "4":
		roll(s, b&0x60 != 0, b&0x0C != 0)
	}
}

// roll tells the paper of the two sensors; an end that is known stays known.
func roll(s *printer.Status, end, nearEnd bool) {
	switch {
	case end || s.Paper == printer.PaperOut:
		s.Paper = printer.PaperOut
	case nearEnd:
		s.Paper = printer.PaperLow
	default:
		s.Paper = printer.PaperFull
	}
}

// autoStatusOf reads the four bytes of GS a.
func autoStatusOf(d [4]byte) printer.Status {
	s := printer.Status{
		Online:    d[0]&0x08 == 0,
		CoverOpen: d[0]&0x20 != 0,
		Cutter:    d[1]&0x08 != 0,
		Fault:     d[1]&(0x04|0x20|0x40) != 0,
	}
	roll(&s, d[2]&0x0C != 0, d[2]&0x03 != 0)
	return s
}

// customStatus reads the four bytes of Custom's DLE EOT 20: paper, user,
// recoverable and unrecoverable errors.
func customStatus(d [4]byte) printer.Status {
	s := printer.Status{
		CoverOpen: d[1]&0x03 != 0,
		Cutter:    d[3]&0x03 != 0,
		Fault:     d[2]&(0x01|0x02|0x08) != 0 || d[3]&(0x04|0x08) != 0,
	}
	roll(&s, d[0]&0x01 != 0, d[0]&0x04 != 0)
	s.Online = s.Err() == nil || !s.CoverOpen && s.Paper != printer.PaperOut && !s.Cutter && !s.Fault
	return s
}
