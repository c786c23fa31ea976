package paper

import "golang.org/x/text/encoding/charmap"

// A Model is what a virtual printer behaves like.
type Model struct {
	Maker   string                    // as GS I 66 says
	Name    string                    // as GS I 67 says
	Dots    int                       // printable width
	Pages   map[byte]*charmap.Charmap // of ESC t n
	Glyphs  bool                      // ESC &
	QR      bool                      // GS ( k
	Process bool                      // GS ( H fn 48
	Clears  bool                      // DLE DC4 fn 8
	Auto    bool                      // GS a
	Cutter  bool                      // GS V; without one, a slip ends when it is torn off
	Recover bool                      // an error whose cause is gone waits for DLE ENQ
	Macros  bool                      // GS :, GS ^
	XonXoff bool                      // says "wait" by XOFF; others by a wire that a pseudo terminal hasn't got

	// Presenter is how a slip is held out and taken back: "custom" (GS e, DLE EOT
	// 20, GS E0, FS C0), "citizen" (GS R, DLE EOT 4 bit 6), or "" for none.
	Presenter string
	StepMM    float64 // of GS e 3
}

// Holds reports whether it holds slips out.
func (m Model) Holds() bool { return m.Presenter != "" }

// Models are the virtual models by the name of the real ones.
func Models() map[string]func() Model {
	return map[string]func() Model{
		"epson-tm-t20ii": TMT20II, "epson-tm-t88v": TMT88V, "epson-tm-t88iii": TMT88III,
		"custom-kpm": CustomKPM, "custom-vkp": CustomVKP, "citizen-ppu-700": PPU700, "clone-58": Clone58,
	}
}

// TMT20II is an Epson TM-T20II with 80 mm paper.
func TMT20II() Model {
	return Model{
		Maker: "EPSON", Name: "TM-T20II", Dots: 576, Glyphs: true, QR: true, Process: true, Clears: true, Auto: true, Cutter: true, Recover: true, Macros: true, XonXoff: true,
		Pages: map[byte]*charmap.Charmap{
			0: charmap.CodePage437, 2: charmap.CodePage850, 16: charmap.Windows1252, 17: charmap.CodePage866,
			18: charmap.CodePage852, 19: charmap.CodePage858, 45: charmap.Windows1250, 46: charmap.Windows1251,
			47: charmap.Windows1253, 48: charmap.Windows1254,
		},
	}
}

// TMT88V is an Epson TM-T88V: 180 dots an inch on the same paper.
func TMT88V() Model {
	m := TMT20II()
	m.Name, m.Dots = "TM-T88V", 512
	return m
}

// TMT88III is an Epson TM-T88III: no Turkish page, no QR codes, no process IDs.
func TMT88III() Model {
	m := TMT20II()
	m.Name, m.Dots, m.QR, m.Process = "TM-T88III", 512, false, false
	for _, n := range []byte{45, 46, 47, 48} {
		delete(m.Pages, n)
	}
	return m
}

// Clone58 is a cheap printer for 58 mm paper: text, pictures and simple status,
// no more.
func Clone58() Model {
	return Model{
		Maker: "POS", Name: "POS-58", Dots: 384,
		Pages: map[byte]*charmap.Charmap{
			0: charmap.CodePage437, 16: charmap.Windows1252, 17: charmap.CodePage866, 59: charmap.CodePage866,
			73: charmap.Windows1251, 91: charmap.Windows1254,
		},
	}
}

// CustomKPM is a Custom KPM kiosk printer: a presenter that retracts, a status
// of its own, text and pictures.
func CustomKPM() Model {
	return Model{
		Maker: "CUSTOM", Name: "KPM216H", Dots: 640, Glyphs: true, Cutter: true, Macros: true, Presenter: "custom", StepMM: 0.625,
		Pages: map[byte]*charmap.Charmap{
			0: charmap.CodePage437, 2: charmap.CodePage850, 16: charmap.Windows1252, 17: charmap.CodePage866, 19: charmap.CodePage858,
		},
	}
}

// CustomVKP is a Custom VKP80: narrower, and with a coarser presenter.
func CustomVKP() Model {
	m := CustomKPM()
	m.Name, m.Dots, m.StepMM = "VKP80", 576, 7.3
	return m
}

// PPU700 is a Citizen PPU-700: the cut presents, GS R takes back.
func PPU700() Model {
	m := CustomKPM()
	m.Maker = "CITIZEN"
	m.Name, m.Dots, m.Presenter, m.StepMM, m.Recover = "PPU-700", 576, "citizen", 0, true
	return m
}
