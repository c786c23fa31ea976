package escpos

import "kosk/drivers/printer"

// realTimeStatus adds the answer to DLE EOT n to what is known. media says where
// a slip at the slot shows: "eot-4" takes bit 6 of the fourth for it.
func realTimeStatus(s *printer.Status, n string, b byte, media string) {
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
		s.Fault = b&0x20 != 0
		s.Head = b&0x40 != 0 // it cools down by itself
		jam(s, b&0x04 != 0)
	case "4":
		end := byte(0x60)
		if media == "eot-4" {
			end = 0x20
			s.Media = atSlot(b&0x40 != 0)
		}
		roll(s, b&end != 0, b&0x0C != 0)
	}
}

func atSlot(there bool) printer.Media {
	if there {
		return printer.MediaPresent
	}
	return printer.MediaNotPresent
}

// jam is a mechanism that doesn't move: on a thermal printer, paper is in it.
func jam(s *printer.Status, on bool) {
	if on {
		s.Paper = printer.PaperJammed
	}
}

// roll tells the paper of the two sensors; an end that is known stays known.
func roll(s *printer.Status, end, nearEnd bool) {
	switch {
	case s.Paper == printer.PaperJammed:
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
		Fault:     d[1]&0x20 != 0,
		Head:      d[1]&0x40 != 0,
	}
	jam(&s, d[1]&0x04 != 0)
	roll(&s, d[2]&0x0C != 0, d[2]&0x03 != 0)
	return s
}

// customStatus reads the four bytes of Custom's DLE EOT 20: paper, user,
// recoverable and unrecoverable errors.
func customStatus(d [4]byte) printer.Status {
	s := printer.Status{
		CoverOpen: d[1]&0x02 != 0,
		Cutter:    d[3]&0x03 != 0,
		Head:      d[1]&0x01 != 0 || d[2]&0x01 != 0,
		Fault:     d[2]&(0x02|0x08) != 0 || d[3]&(0x04|0x08) != 0,
		Media:     atSlot(d[0]&0x20 != 0),
	}
	jam(&s, d[2]&0x40 != 0)
	roll(&s, d[0]&0x01 != 0, d[0]&0x04 != 0)
	s.Online = true
	s.Online = s.Err() == nil
	return s
}
