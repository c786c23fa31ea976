package paper

import (
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"kosk/drivers/printer"
	"kosk/drivers/printer/dots"
)

// A machine is the printer without its line: bytes in, bytes and slips out. It
// is the property of one goroutine.
type machine struct {
	model  Model
	reader *reader
	emit   func(Slip)
	back   func() // the slip given out last was taken back

	out   []byte // answers not yet on the line
	muted bool
	noise int // bytes that were no command

	buffer []byte // received, not yet obeyed
	real   []byte // the last bytes received, looking for real-time commands
	raw    []byte // obeyed since the last cut

	off      time.Time // there is no power until then
	fuse     int       // bytes until it fails, 0 for never
	fused    time.Duration
	paper    printer.Paper
	roll     int // dots left, or -1 for plenty
	cover    bool
	cutter   bool      // the blade is stuck
	stuck    bool      // a cut has failed, and nobody has recovered it
	jam      bool      // paper is stuck in the mechanism
	jammed   bool      // it was, and nobody has recovered it
	head     bool      // the head is too hot
	slot     bool      // a slip is held out
	holding  bool      // and somebody holds on to it
	within   *Slip     // it was cut and is not held out yet
	lapse    time.Time // when it is taken back if nobody takes it; zero for never
	macro    []byte    // GS :
	defining bool      // of a macro
	fullFor  byte      // GS E0
	saidFull string
	autoFor  byte // GS a
	said     [4]byte

	page *dots.Bitmap // what is out since the last cut
	y    int
	text []string

	set settings
	line
	qr struct {
		data  string
		size  int
		level dots.Level
	}
	graphics *dots.Bitmap // stored by GS ( L
	scaleX   int
	scaleY   int
}

// settings are what ESC @ sets back.
type settings struct {
	charmap   *charmap.Charmap
	glyphs    map[byte]*dots.Bitmap
	useGlyphs bool
	bold      bool
	double    bool // struck twice: the same to the eye
	underline int
	reverse   bool
	fontB     bool
	wide      int // times
	tall      int
	align     byte
	pitch     int
	space     int
	margin    int
	area      int // GS W; 0 is all that the margin leaves
	bars      bars
	patience  time.Duration // of a presenter with a slip that nobody takes; 0 for no end
}

// A line is what waits to be printed with the next line feed.
type line struct {
	cells []cell
	x     int
	words strings.Builder
	wordX int // where the text that was read ends
}

type cell struct {
	dots *dots.Bitmap
	x    int
}

// slipMost is the longest slip drawn, in dots: four metres.
const slipMost = 4000 * dots.PerMM

// What is kept of a slip that a lost host never ends.
const (
	rawMost  = 1 << 20
	textMost = 10_000 // lines
)

const (
	toCutter    = 15 * dots.PerMM // from the head to the blade
	bufferLimit = 4096            // beyond which XOFF is said
)

func newMachine(model Model, emit func(Slip)) *machine {
	m := &machine{model: model, reader: theReader(), emit: emit, back: func() {}, paper: printer.PaperFull, roll: -1}
	m.reset()
	m.fresh()
	return m
}

// reset is ESC @.
func (m *machine) reset() {
	m.set = settings{charmap: charmap.CodePage437, glyphs: map[byte]*dots.Bitmap{}, wide: 1, tall: 1, pitch: 30, bars: asOfNew}
	if m.model.Presenter == "citizen" {
		m.set.patience = 5 * time.Second
	}
	m.line = line{}
	m.autoFor, m.fullFor = 0, 0
	m.qr.data, m.qr.size, m.qr.level = "", 3, dots.LevelL
	m.graphics = nil
}

// fresh begins a new piece of paper.
func (m *machine) fresh() {
	m.page, m.y, m.text, m.raw = dots.New(m.model.Dots, 0), 0, nil, nil
}

// stopped reports whether nothing can be printed now.
func (m *machine) stopped() bool {
	return m.paper == printer.PaperOut || m.cover || m.stuck || m.jammed || m.head
}

// receive takes a byte off the line: real-time commands are obeyed at once,
// wherever they stand, even when nothing can be printed.
func (m *machine) receive(b byte) {
	if !m.off.IsZero() && time.Now().Before(m.off) {
		return
	}
	if m.fuse == 1 {
		m.outage(m.fused)
	}
	m.fuse = max(0, m.fuse-1)
	m.buffer = append(m.buffer, b)
	m.real = append(m.real, b)
	if len(m.real) > 10 {
		m.real = m.real[1:]
	}
	if m.realTime() {
		m.real = m.real[:0]
	}
}

// step obeys one command. It returns false when there is none that could be.
func (m *machine) step() bool {
	if m.stopped() {
		return false
	}
	c, n := parse(m.buffer)
	if n == 0 {
		return false
	}
	if len(m.raw) < rawMost && c.name != "real time" {
		m.raw = append(m.raw, m.buffer[:n]...)
	}
	command := m.buffer[:n]
	m.buffer = m.buffer[n:]
	m.learn(c, command)
	m.obey(c)
	return true
}

func (m *machine) obey(c command) {
	if c.name == "GS ^" { // not in the table, since it obeys the others again
		m.runMacro(c.args)
		return
	}
	if handler, ok := handlers[c.name]; ok {
		handler(m, c.args)
		return
	}
	if c.name == "" {
		m.noise++
	}
}

// handlers obey the commands that this printer knows. What is parsed and not
// here is taken and ignored, as printers do.
var handlers = map[string]func(*machine, []byte){
	"text":      func(m *machine, a []byte) { m.letterOf(a[0]) },
	"LF":        func(m *machine, _ []byte) { m.print() },
	"HT":        func(m *machine, _ []byte) { m.tab() },
	"ESC @":     func(m *machine, _ []byte) { m.reset() },
	"ESC !":     func(m *machine, a []byte) { m.mode(a[0]) },
	"ESC $":     func(m *machine, a []byte) { m.x = word(a) },
	"ESC \\":    func(m *machine, a []byte) { m.x = max(0, m.x+int(int16(word(a)))) },
	"ESC %":     func(m *machine, a []byte) { m.set.useGlyphs = a[0]&1 == 1 },
	"ESC &":     (*machine).define,
	"ESC ?":     func(m *machine, a []byte) { delete(m.set.glyphs, a[0]) },
	"ESC *":     (*machine).bitImage,
	"ESC -":     func(m *machine, a []byte) { m.set.underline = int(a[0] & 3) },
	"ESC 2":     func(m *machine, _ []byte) { m.set.pitch = 30 },
	"ESC 3":     func(m *machine, a []byte) { m.set.pitch = int(a[0]) },
	"ESC  ":     func(m *machine, a []byte) { m.set.space = int(a[0]) },
	"ESC E":     func(m *machine, a []byte) { m.set.bold = a[0]&1 == 1 },
	"ESC G":     func(m *machine, a []byte) { m.set.double = a[0]&1 == 1 },
	"ESC J":     func(m *machine, a []byte) { m.flush(); m.advance(int(a[0])) },
	"ESC M":     func(m *machine, a []byte) { m.set.fontB = a[0]&1 == 1 },
	"ESC a":     func(m *machine, a []byte) { m.set.align = a[0] & 3 },
	"ESC d":     func(m *machine, a []byte) { m.feedLines(int(a[0])) },
	"ESC i":     func(m *machine, _ []byte) { m.cut() },
	"ESC m":     func(m *machine, _ []byte) { m.cut() },
	"ESC t":     (*machine).codePage,
	"ESC v":     func(m *machine, _ []byte) { m.say(m.sensors()) },
	"GS !":      func(m *machine, a []byte) { m.set.wide, m.set.tall = int(a[0]>>4&7)+1, int(a[0]&7)+1 },
	"GS B":      func(m *machine, a []byte) { m.set.reverse = a[0]&1 == 1 },
	"GS H":      func(m *machine, a []byte) { m.set.bars.above, m.set.bars.below = a[0]&1 == 1, a[0]&2 == 2 },
	"GS W":      func(m *machine, a []byte) { m.set.area = word(a) },
	"GS h":      func(m *machine, a []byte) { m.set.bars.tall = max(1, int(a[0])) },
	"GS k":      (*machine).barCode,
	"GS w":      func(m *machine, a []byte) { m.set.bars.wide = min(max(2, int(a[0])), 6) },
	"GS L":      func(m *machine, a []byte) { m.set.margin = min(word(a), m.model.Dots) },
	"GS I":      (*machine).identify,
	"GS V":      (*machine).cutCommand,
	"GS R":      (*machine).collect,
	"GS e":      (*machine).ejector,
	"GS \u00e0": (*machine).autoFull,
	"GS :":      (*machine).beginOrEnd,
	"GS a":      (*machine).auto,
	"GS r":      (*machine).sensor,
	"GS v":      (*machine).raster,
	"GS (":      (*machine).group,
	"GS 8":      func(m *machine, a []byte) { m.graphicsFn(a[5:]) },
}

func word(a []byte) int { return int(a[0]) | int(a[1])<<8 }

// letterOf puts a character into the line.
func (m *machine) letterOf(code byte) {
	g, r := m.glyph(code)
	if m.set.bold || m.set.double {
		g = dots.Bold(g)
	}
	if m.set.fontB {
		g = smaller(g)
	}
	w, h := g.W*m.set.wide, g.H*m.set.tall
	if m.x+w > m.width() {
		m.print()
	}
	b := dots.New(w+m.set.space, h)
	b.Draw(g, 0, 0, m.set.wide, m.set.tall)
	if m.set.underline > 0 {
		b.Fill(0, h-m.set.underline, b.W, m.set.underline)
	}
	if m.set.reverse {
		b.Invert(0, 0, b.W, b.H)
	}
	m.read(r)
	m.add(b)
	m.wordX = m.x
}

// glyph is the picture of a code and the letter it is read as.
func (m *machine) glyph(code byte) (*dots.Bitmap, rune) {
	if g, ok := m.set.glyphs[code]; ok && m.set.useGlyphs {
		r, _ := m.reader.letter(g)
		return g, r
	}
	r := rune(code)
	if code >= 0x80 {
		r = m.set.charmap.DecodeByte(code)
	}
	if r == utf8.RuneError || r == 0x7F {
		return dots.New(dots.CellW, dots.CellH), ' '
	}
	return m.reader.face.Glyph(r), r
}

// read adds a letter to the line's text, with spaces where the head was moved.
func (m *machine) read(r rune) {
	if gap := (m.x - m.wordX) / dots.CellW; gap > 0 {
		m.words.WriteString(strings.Repeat(" ", gap))
	}
	m.words.WriteRune(r)
}

func (m *machine) add(b *dots.Bitmap) {
	m.cells = append(m.cells, cell{b, m.x})
	m.x += b.W
}

// width is how many dots a line has.
func (m *machine) width() int {
	if all := m.model.Dots - m.set.margin; m.set.area == 0 || m.set.area > all {
		return all
	}
	return m.set.area
}

// print ends the line: it is drawn, and the paper moves on.
func (m *machine) print() {
	height := m.draw()
	m.advance(max(m.set.pitch, height))
}

// flush draws a line that has begun.
func (m *machine) flush() {
	if len(m.cells) > 0 {
		m.advance(m.draw())
	}
}

// draw puts the line on the page and returns its height.
func (m *machine) draw() int {
	height, width := 0, 0
	for _, c := range m.cells {
		height, width = max(height, c.dots.H), max(width, c.x+c.dots.W)
	}
	m.room(height)
	left := m.left(width)
	for _, c := range m.cells {
		m.page.Draw(c.dots, left+c.x, m.y+height-c.dots.H, 1, 1)
	}
	if len(m.text) < textMost {
		m.text = append(m.text, strings.TrimRight(m.words.String(), " "))
	}
	m.line = line{}
	return height
}

// left is where something begins that is so wide, by ESC a.
func (m *machine) left(width int) int {
	free := max(0, m.width()-width)
	return m.set.margin + free*int(min(m.set.align, 2))/2
}

func (m *machine) room(h int) { m.page.Grow(min(m.y+h, slipMost)) }

// advance moves the paper. When the roll ends in the middle of a slip, the
// piece that is out is torn off with it.
func (m *machine) advance(n int) {
	m.y = min(m.y+n, slipMost)
	if m.roll < 0 {
		return
	}
	m.roll = max(0, m.roll-n)
	if m.roll == 0 {
		m.paper = printer.PaperOut
		m.deliver(true)
	}
}

func (m *machine) feedLines(n int) {
	m.flush()
	m.advance(n * m.set.pitch)
}

// tab moves on to the next eighth column.
func (m *machine) tab() {
	const stop = 8 * dots.CellW
	m.x = (m.x/stop + 1) * stop
}

func (m *machine) mode(n byte) {
	m.set.fontB, m.set.bold = n&1 != 0, n&8 != 0
	m.set.tall, m.set.wide = 1+int(n>>4&1), 1+int(n>>5&1)
	m.set.underline = int(n >> 7)
}

func (m *machine) codePage(a []byte) {
	if page, ok := m.model.Pages[a[0]]; ok {
		m.set.charmap = page
	}
}

// define is ESC &: glyphs column by column, three bytes each.
func (m *machine) define(a []byte) {
	if !m.model.Glyphs || a[0] != 3 || a[1] < 32 || a[2] > 126 {
		return
	}
	rest := a[3:]
	for c := int(a[1]); c <= int(a[2]); c++ {
		w := int(rest[0])
		data := rest[1 : 1+w*3]
		rest = rest[1+w*3:]
		g := dots.New(dots.CellW, dots.CellH)
		for x := range min(w, dots.CellW) {
			for y := range dots.CellH {
				if data[x*3+y/8]&(0x80>>(y%8)) != 0 {
					g.Set(x, y)
				}
			}
		}
		m.set.glyphs[byte(c)] = g
	}
}

// bitImage is ESC *: a picture of 8 or 24 dots' height within the line.
func (m *machine) bitImage(a []byte) {
	high, thick := 1, 3
	if a[0] >= 32 {
		high, thick = 3, 1
	}
	wide := 2 - int(a[0]&1)
	data := a[3:]
	b := dots.New(len(data)/high*wide, high*8*thick)
	for i, v := range data {
		for bit := range 8 {
			if v&(0x80>>bit) != 0 {
				b.Fill(i/high*wide, (i%high*8+bit)*thick, wide, thick)
			}
		}
	}
	m.add(b)
}

// raster is GS v 0: a picture across the paper, printed at once.
func (m *machine) raster(a []byte) {
	if a[0] != '0' || len(m.cells) > 0 { // only at the start of a line
		return
	}
	b := &dots.Bitmap{W: word(a[2:]) * 8, H: word(a[4:]), Bits: a[6:]}
	if text := m.reader.read(b); text != "" {
		m.text = append(m.text, text)
	}
	m.picture(b, 1+int(a[1]&1), 1+int(a[1]>>1&1))
}

// picture prints a bitmap and moves on by its height.
func (m *machine) picture(b *dots.Bitmap, wide, tall int) {
	if m.y+b.H*tall > slipMost {
		return
	}
	m.room(b.H * tall)
	left := m.left(b.W * wide)
	for y := range b.H {
		for x := range min(b.W, m.model.Dots/wide+1) {
			if b.At(x, y) {
				m.page.Fill(left+x*wide, m.y+y*tall, wide, tall)
			}
		}
	}
	m.advance(b.H * tall)
}

func smaller(g *dots.Bitmap) *dots.Bitmap {
	const w, h = 9, 17
	b := dots.New(w, h)
	for y := range h {
		for x := range w {
			if g.At(x*g.W/w, y*g.H/h) {
				b.Set(x, y)
			}
		}
	}
	return b
}

// cutCommand is GS V. It is obeyed only at the start of a line. To cut at a place
// that the paper comes to later (97, 98) isn't built.
func (m *machine) cutCommand(a []byte) {
	if len(m.cells) > 0 || !m.model.Cutter {
		return
	}
	switch a[0] {
	case 0, 1, 48, 49:
		m.cut()
	case 65, 66, 103, 104:
		m.advance(toCutter + int(a[1]))
		m.cut()
	}
}

// cut lets the slip fall into the tray, unless the blade is stuck.
func (m *machine) cut() {
	switch {
	case m.paper == printer.PaperOut:
	case m.cutter:
		m.stuck = true
	case m.model.Presenter != "":
		m.present()
	default:
		m.deliver(false)
	}
}

// deliver hands out what is printed since the last cut.
func (m *machine) deliver(torn bool) {
	if s, ink := m.piece(torn); ink {
		m.emit(s)
	}
}

// piece takes what is printed since the last cut, and reports whether there is
// any ink on it.
func (m *machine) piece(torn bool) (Slip, bool) {
	page, text, raw := m.page, strings.TrimSpace(strings.Join(m.text, "\n")), m.raw
	page.Grow(m.y)
	m.fresh()
	if page.Ink() == 0 {
		return Slip{}, false
	}
	return Slip{PNG: page.Image(marginSide, marginTop, marginBottom), Text: text, Raw: raw, Torn: torn}, true
}
