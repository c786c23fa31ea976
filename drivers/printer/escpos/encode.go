package escpos

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"kosk/drivers/printer"
	"kosk/drivers/printer/dots"
)

// The rules of the encoder are: what the printer can set travels as text; a
// letter that no code page has travels once as a glyph and then as one byte,
// under a code that the slip doesn't use otherwise; what is left is drawn, as
// narrow and as low as it is. Every job begins with ESC @ and sends its glyphs
// anew, since nobody knows what the printer went through in between.

// lendable are the codes that glyphs may borrow: ASCII that slips rarely use.
const lendable = "~`^|\\{}_[]<>#$&*@=\"';?!+%"

// The two halves of the lattice tile travel as glyphs under these names, from
// Unicode's private use area.
const (
	latticeLeft  = '\uE000'
	latticeRight = '\uE001'
)

const (
	markSide = 40  // dots, printed twice as large
	codeMost = 360 // a QR code is at most this wide: 45 mm
	bandMost = 256 // rows of one GS v 0
	bandPace = 48  // the same on paper, for a printer that takes a slip piece by piece
	paceMost = 96  // bytes of a piece, and dots of it on paper, but for the row that exceeds them
	feedCut  = 0   // dots fed beyond the cutter
)

// A job is a slip in the printer's language.
type job struct {
	bytes []byte
	dots  int   // how long the slip is on the paper
	ends  []int // of its pieces but the last; each ends with GS r 1
}

// An encoder turns slips into bytes for one model. It isn't changed by use.
type encoder struct {
	profile Profile
	face    *dots.Face
	mark    func() *dots.Bitmap
	lattice *dots.Bitmap
}

// theFace is drawn once: every glyph always looks the same.
var theFace = sync.OnceValue(dots.NewFace)

func newEncoder(p Profile) *encoder {
	return &encoder{
		profile: p,
		face:    theFace(),
		mark:    sync.OnceValue(func() *dots.Bitmap { return dots.Mark(markSide) }),
		lattice: dots.Lattice(),
	}
}

// encode is the slip from ESC @ to the cut.
func (e *encoder) encode(slip printer.Slip) (job, error) {
	w := &writer{encoder: e, out: make([]byte, 0, 2048), pitch: -1, page: -1}
	rows := lay(slip, e.profile.Columns)
	w.put(0x1B, 0x40) // ESC @, which undoes these two
	w.put(e.profile.AutoStatus...)
	w.put(e.profile.Setup...)
	if e.profile.Macros {
		w.put(witnessDefined...)
	}
	w.lend(rows)
	for _, r := range rows {
		if err := w.row(r); err != nil {
			return job{}, err
		}
		w.milestone()
	}
	w.cut()
	if i := realTime(w.out); i >= 0 {
		return job{}, fmt.Errorf("real-time command % X at byte %d of the slip", w.out[i:i+2], i)
	}
	return job{bytes: w.out, dots: w.dots, ends: w.ends}, nil
}

// milestone ends a piece of a slip for a printer that takes it so: it is asked for
// an answer. Whoever switches it off and on makes it miss one.
func (w *writer) milestone() {
	if !w.profile.pieces() || len(w.out)-w.end < paceMost && w.dots-w.endDots < paceMost {
		return
	}
	w.put(sensorAsked...)
	w.end, w.endDots = len(w.out), w.dots
	w.ends = append(w.ends, w.end)
}

// A writer holds what the printer's settings are while a slip is written.
type writer struct {
	*encoder
	out   []byte
	dots  int
	look  look
	pitch int
	page  int // index of the profile's page, -1 at first
	lent  []lent

	ends         []int // see milestone
	end, endDots int   // of the last piece
}

// lent is a letter and the code under which its glyph travels.
type lent struct {
	r    rune
	code byte
}

func (w *writer) put(b ...byte) { w.out = append(w.out, b...) }

// lend defines a glyph for every letter that no page has, while codes last.
func (w *writer) lend(rows []row) {
	if !w.profile.Glyphs {
		return
	}
	var used [128]bool
	var need []rune
	for _, r := range rows {
		if r.style == printer.Lattice {
			need = appendNew(need, latticeLeft, latticeRight)
		}
		if r.style != printer.Body {
			continue
		}
		for _, c := range r.text + r.right {
			if c < 128 {
				used[c] = true
			} else if _, _, ok := w.paged(c); !ok {
				need = appendNew(need, c)
			}
		}
	}
	for _, code := range []byte(lendable) {
		if len(w.lent) == len(need) {
			break
		}
		if !used[code] {
			w.lent = append(w.lent, lent{need[len(w.lent)], code})
		}
	}
	w.define()
}

func appendNew(all []rune, rs ...rune) []rune {
	for _, r := range rs {
		if !slices.Contains(all, r) {
			all = append(all, r)
		}
	}
	return all
}

// define sends the glyphs, ESC &, and switches them on, ESC % 1.
func (w *writer) define() {
	for _, l := range w.lent {
		w.put(0x1B, 0x26, 3, l.code, l.code, dots.CellW)
		w.out = append(w.out, disarm(columns(w.glyph(l.r)))...)
	}
	if len(w.lent) > 0 {
		w.put(0x1B, 0x25, 1)
	}
}

func (w *writer) glyph(r rune) *dots.Bitmap {
	shift := 0
	switch r {
	case latticeLeft:
	case latticeRight:
		shift = dots.CellW
	default:
		return w.face.Glyph(r)
	}
	half := dots.New(dots.CellW, dots.CellH)
	half.Draw(w.lattice, -shift, 0, 1, 1)
	return half
}

// columns is a glyph as ESC & wants it: three bytes a column, from the left.
func columns(g *dots.Bitmap) []byte {
	data := make([]byte, g.W*3)
	for x := range g.W {
		for y := range g.H {
			if g.At(x, y) {
				data[x*3+y/8] |= 0x80 >> (y % 8)
			}
		}
	}
	return data
}

// paged finds a letter in a code page, the current one first.
func (w *writer) paged(r rune) (page int, code byte, ok bool) {
	if w.page >= 0 {
		if c, ok := w.profile.Pages[w.page].set.EncodeRune(r); ok {
			return w.page, c, true
		}
	}
	for i, p := range w.profile.Pages {
		if c, ok := p.set.EncodeRune(r); ok {
			return i, c, true
		}
	}
	return 0, 0, false
}

func (w *writer) lentCode(r rune) (byte, bool) {
	for _, l := range w.lent {
		if l.r == r {
			return l.code, true
		}
	}
	return 0, false
}

// canSet reports whether the printer can set all of s as text.
func (w *writer) canSet(s string) bool {
	for _, r := range s {
		if r < 128 {
			continue
		}
		if _, ok := w.lentCode(r); ok {
			continue
		}
		if _, _, ok := w.paged(r); !ok {
			return false
		}
	}
	return true
}

func (w *writer) row(r row) error {
	switch r.style {
	case printer.Gap:
		w.feed(airGap)
	case printer.Rule:
		w.feed(airRule)
		w.raster(rule(w.profile.Dots), 3)
		w.feed(airRule)
	case printer.Lattice:
		w.latticeRow()
	case printer.Mark:
		w.raster(w.mark(), 3)
		w.feed(airRule)
	case printer.Code:
		return w.code(r.text)
	default:
		w.text(r)
	}
	return nil
}

// text sets a line of characters, or draws it if the printer can't.
func (w *writer) text(r row) {
	if !w.canSet(r.text + r.right) {
		w.drawn(r)
		return
	}
	w.setPitch(r.pitch)
	w.setLook(r.look)
	w.letters(r.text)
	if r.right != "" {
		column := w.profile.Columns/r.look.width() - width(r.right)
		x := column * r.look.width() * dots.CellW
		w.put(0x1B, 0x24, byte(x), byte(x>>8)) // ESC $
		w.letters(r.right)
	}
	w.put('\n')
	w.dots += max(r.pitch, r.look.height())
}

func (w *writer) letters(s string) {
	for _, r := range s {
		code, ok := byte(r), r < 128
		if !ok {
			code, ok = w.lentCode(r)
		}
		if !ok {
			var page int
			page, code, _ = w.paged(r)
			if page != w.page {
				w.page = page
				w.put(0x1B, 0x74, w.profile.Pages[page].N) // ESC t
			}
		}
		w.put(code)
	}
}

// setLook sends only what changes: ESC E bold, GS ! size, GS B reverse.
func (w *writer) setLook(l look) {
	if l.bold != w.look.bold {
		w.put(0x1B, 0x45, bit(l.bold, 1))
	}
	if l.wide != w.look.wide || l.tall != w.look.tall {
		w.put(0x1D, 0x21, bit(l.wide, 0x10)|bit(l.tall, 1))
	}
	if l.reverse != w.look.reverse {
		w.put(0x1D, 0x42, bit(l.reverse, 1))
	}
	w.look = l
}

func bit(on bool, b byte) byte {
	if on {
		return b
	}
	return 0
}

// setPitch is ESC 3: dots from line to line. A taller letter makes its own room.
func (w *writer) setPitch(n int) {
	if n != w.pitch {
		w.pitch = n
		w.put(0x1B, 0x33, byte(n))
	}
}

// feed moves the paper, ESC J.
func (w *writer) feed(n int) {
	w.dots += n
	for ; n > 0; n -= 255 {
		w.put(0x1B, 0x4A, byte(min(n, 255)))
	}
}

// drawn sets a line of characters as a picture, which the printer makes as wide
// and as high as it shall be.
func (w *writer) drawn(r row) {
	wide, tall := r.look.width(), r.look.height()/dots.CellH
	b := dots.New(w.profile.Dots/wide, dots.CellH)
	draw := func(s string, column int) {
		for _, c := range s {
			g := w.face.Glyph(c)
			if r.look.bold {
				g = dots.Bold(g)
			}
			b.Draw(g, column*dots.CellW/wide, 0, 1, 1)
			column += wide
		}
	}
	draw(r.text, 0)
	draw(r.right, w.profile.Columns-width(r.right)*wide)
	if r.look.reverse {
		b.Invert(0, 0, w.profile.Columns*dots.CellW/wide, b.H)
	}
	ink, above, below := b.Crop()
	w.feed(above * tall)
	w.raster(ink, byte(wide-1)|byte(tall-1)<<1)
	w.feed(below*tall + max(0, r.pitch-r.look.height()))
}

// raster prints a bitmap from the left edge, GS v 0, in bands; mode 1 doubles
// each dot in width, mode 2 in height, and 3 both ways.
func (w *writer) raster(b *dots.Bitmap, mode byte) {
	most, tall := bandMost, 1+int(mode>>1)
	if w.profile.pieces() {
		most = bandPace / tall
	}
	for y := 0; y < b.H; y += most {
		band := b.Rows(y, min(most, b.H-y))
		w.put(0x1D, 0x76, 0x30, mode,
			byte(band.Stride()), byte(band.Stride()>>8), byte(band.H), byte(band.H>>8))
		w.out = append(w.out, disarm(slices.Clone(band.Bits))...)
		w.dots += band.H * tall
		w.milestone()
	}
}

func rule(wide int) *dots.Bitmap {
	b := dots.New(wide/2, 1)
	b.Fill(0, 0, b.W, 1)
	return b
}

func (w *writer) latticeRow() {
	w.feed(airLattice)
	defer w.feed(airLattice)
	tiles := w.profile.Columns / 2
	if w.canSet(string([]rune{latticeLeft, latticeRight})) {
		w.text(row{text: strings.Repeat(string([]rune{latticeLeft, latticeRight}), tiles), pitch: dots.CellH})
		return
	}
	b := dots.New(w.profile.Dots, dots.CellH)
	for i := range tiles {
		b.Draw(w.lattice, i*w.lattice.W, 0, 1, 1)
	}
	ink, above, below := b.Crop()
	w.feed(above)
	w.raster(ink, 0)
	w.feed(below)
}

// code prints a QR code in the middle, as large as 45 mm allow, with the
// higher level of protection where there is room for modules of 0.5 mm.
func (w *writer) code(text string) error {
	level, size := dots.LevelM, 0
	for _, l := range []dots.Level{dots.LevelM, dots.LevelL} {
		modules := dots.Modules(text, l)
		if modules == 0 {
			continue
		}
		// Four white modules must stay on both sides, ISO/IEC 18004, 9.1.
		level, size = l, min(8, codeMost/modules, w.profile.Dots/(modules+8))
		if size >= 4 {
			break
		}
	}
	if size < 2 {
		return fmt.Errorf("qr code of %d bytes on %d dots: %w", len(text), w.profile.Dots, printer.ErrTooLong)
	}
	quiet := 4 * size // four white modules above and below, too
	w.feed(quiet)
	defer w.feed(quiet)
	n := len(text) + 3
	if !w.profile.QR || realTime([]byte{byte(n), byte(n >> 8)}) >= 0 || realTime([]byte(text)) >= 0 {
		return w.drawnCode(text, level, size)
	}
	w.put(0x1B, 0x61, 1)                                           // ESC a: middle
	w.put(0x1D, 0x28, 0x6B, 4, 0, 0x31, 0x41, 0x32, 0)             // fn 165: model 2
	w.put(0x1D, 0x28, 0x6B, 3, 0, 0x31, 0x43, byte(size))          // fn 167: dots a module
	w.put(0x1D, 0x28, 0x6B, 3, 0, 0x31, 0x45, 0x30+byte(level))    // fn 169: level
	w.put(0x1D, 0x28, 0x6B, byte(n), byte(n>>8), 0x31, 0x50, 0x30) // fn 180: store
	w.out = append(w.out, text...)                                 //
	w.put(0x1D, 0x28, 0x6B, 3, 0, 0x31, 0x51, 0x30, 0x1B, 0x61, 0) // fn 181: print; ESC a: left
	w.dots += dots.Modules(text, level) * size
	return nil
}

// drawnCode prints a QR code as a picture. Its modules are an even number of dots
// wide if they aren't tiny, so that the printer doubles them: a quarter of the
// bytes.
func (w *writer) drawnCode(text string, level dots.Level, size int) error {
	code, err := dots.QR(text, level)
	if err != nil {
		return fmt.Errorf("%w: %w", printer.ErrTooLong, err)
	}
	times, mode := 1, byte(0)
	if size >= 4 {
		size, times, mode = size&^1, 2, 3
	}
	side := code.W * size
	b := dots.New(w.profile.Dots/times, side/times)
	b.Draw(code, (w.profile.Dots-side)/2/times, 0, size/times, size/times)
	ink, _, _ := b.Crop() // its top and bottom rows are never white
	w.raster(ink, mode)
	return nil
}

// cut feeds the last line out of the machine and cuts behind it. A printer
// without a cutter feeds it past the tear bar.
func (w *writer) cut() {
	switch w.profile.Cut {
	case "partial":
		w.put(0x1D, 0x56, 66, feedCut)
	case "full":
		w.put(0x1D, 0x56, 65, feedCut)
	default:
		w.feed(12 * dots.PerMM)
		return
	}
	w.put(w.profile.Present...)
	w.dots += 15 * dots.PerMM // from the head to the cutter
}

// cutOff is a cut with nothing printed before it.
func (e *encoder) cutOff() []byte {
	w := &writer{encoder: e}
	w.put(0x1B, 0x40)
	w.cut()
	return w.out
}

// realTime is where a real-time command begins in what should be none, or -1:
// DLE EOT, DLE ENQ and DLE DC4 are obeyed wherever they stand.
func realTime(b []byte) int {
	for i := 0; i+1 < len(b); i++ {
		if b[i] == 0x10 && (b[i+1] == 0x04 || b[i+1] == 0x05 || b[i+1] == 0x14) {
			return i
		}
	}
	return -1
}

// disarm blackens one more dot wherever dots happen to look like a real-time
// command. A lone 10h at the end is changed too: it could join what follows.
func disarm(b []byte) []byte {
	for i := realTime(b); i >= 0; i = realTime(b) {
		b[i] |= 0x08
	}
	if n := len(b); n > 0 && b[n-1] == 0x10 {
		b[n-1] |= 0x08
	}
	return b
}
