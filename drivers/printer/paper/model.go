package paper

import "golang.org/x/text/encoding/charmap"

// A Model is what a virtual printer behaves like.
type Model struct {
	Name    string
	Dots    int                       // printable width
	Pages   map[byte]*charmap.Charmap // of ESC t n
	Glyphs  bool                      // ESC &
	QR      bool                      // GS ( k
	Process bool                      // GS ( H fn 48
	Clears  bool                      // DLE DC4 fn 8
	Auto    bool                      // GS a
	Cutter  bool                      // GS V; without one, a slip ends when it is torn off
}

// TMT20II is an Epson TM-T20II with 80 mm paper.
func TMT20II() Model {
	return Model{
		Name: "TM-T20II", Dots: 576, Glyphs: true, QR: true, Process: true, Clears: true, Auto: true, Cutter: true,
		Pages: map[byte]*charmap.Charmap{
			0: charmap.CodePage437, 2: charmap.CodePage850, 16: charmap.Windows1252, 17: charmap.CodePage866,
			18: charmap.CodePage852, 19: charmap.CodePage858, 45: charmap.Windows1250, 46: charmap.Windows1251,
			47: charmap.Windows1253, 48: charmap.Windows1254,
		},
	}
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
		Name: "POS-58", Dots: 384,
		Pages: map[byte]*charmap.Charmap{
			0: charmap.CodePage437, 16: charmap.Windows1252, 17: charmap.CodePage866, 59: charmap.CodePage866,
			73: charmap.Windows1251, 91: charmap.Windows1254,
		},
	}
}
