package document

import (
	"bytes"
	"fmt"
	"image/png"
	"io"
	"strings"

	"github.com/go-fonts/dejavu/dejavusans"
	"github.com/go-fonts/dejavu/dejavusansbold"
	"github.com/signintech/gopdf"

	"kosk/drivers/printer"
	"kosk/drivers/printer/dots"
)

// The page, in millimetres. ISO 216 A4; the margins are what sheet printers
// leave white and a file's holes take.
const (
	pageW, pageH = 210.0, 297.0
	left, right  = 25.0, 190.0
	top, bottom  = 18.0, 279.0
	labelW       = 52.0 // of the column of labels
	codeW        = 48.0 // of the code with its quiet zone, ISO/IEC 18004, 9.1
	quiet        = 4    // modules
	pad          = 4.0  // around the panel of facts
)

// A font size, in points, and what it takes on the page.
type font struct {
	bold bool
	size float64
	line float64 // mm from line to line
}

var (
	bodyFont    = font{false, 10.5, 5.2}
	strongFont  = font{true, 11.5, 5.8}
	smallFont   = font{false, 9, 4.6}
	headingFont = font{true, 20, 9}
	numberFont  = font{true, 17, 8}
)

// copyMark stands on a page that was printed before.
const copyMark = "SURƏT / КОПИЯ / COPY"

// Draw draws a slip as A4 pages in PDF. A small line and the strong one after
// it are a label and its fact, side by side; the facts stand on a pattern in
// which a photocopy shows the word for copy. The text of the code stands in the
// document's /Subject as well: see Code. The same slip gives the same bytes.
// Errors: printer.ErrTooLong for a code that no QR code holds.
func Draw(slip printer.Slip) ([]byte, error) {
	d := &drawing{pdf: &gopdf.GoPdf{}}
	d.pdf.Start(gopdf.Config{PageSize: *gopdf.PageSizeA4, Unit: gopdf.UnitMM})
	d.pdf.SetInfo(gopdf.PdfInfo{Title: slip.ID, Subject: codeOf(slip), Producer: "Köşk"})
	d.try(d.pdf.AddTTFFontData(regular, dejavusans.TTF))
	d.try(d.pdf.AddTTFFontData(bold, dejavusansbold.TTF))
	d.whole()
	d.page()
	if slip.Copy {
		d.bar(copyMark)
	}
	lines := slip.Lines
	for len(lines) > 0 && d.err == nil {
		lines = lines[d.next(lines):]
	}
	d.closePanel()
	if d.err != nil {
		return nil, fmt.Errorf("draw page: %w", d.err)
	}
	return d.pdf.GetBytesPdfReturnErr()
}

const regular, bold = "regular", "bold"

// codeOf is the text of the slip's code.
func codeOf(slip printer.Slip) string {
	for _, l := range slip.Lines {
		if l.Style == printer.Code {
			return l.Text
		}
	}
	return ""
}

// A drawing is a page in the making. Facts are kept until their panel is whole,
// since the pattern lies below them.
type drawing struct {
	pdf   *gopdf.GoPdf
	y     float64 // where the next line begins
	facts []fact
	err   error
}

type fact struct{ label, value string }

func (d *drawing) try(err error) {
	if d.err == nil {
		d.err = err
	}
}

func (d *drawing) page() {
	d.pdf.AddPage()
	d.y = top
}

// room begins a page if what is h high doesn't fit on this one.
func (d *drawing) room(h float64) {
	if d.y+h > bottom {
		d.page()
	}
}

// next draws what the lines begin with and returns how many they were.
func (d *drawing) next(lines []printer.Line) int {
	l := lines[0]
	if l.Style == printer.Small && len(lines) > 1 && lines[1].Style == printer.Strong {
		d.facts = append(d.facts, fact{l.Text, lines[1].Text})
		return 2
	}
	if l.Style == printer.Gap && len(d.facts) > 0 {
		return 1
	}
	if l.Style == printer.Code {
		return d.code(lines)
	}
	d.closePanel()
	switch l.Style {
	case printer.Heading:
		d.text(headingFont, l.Text)
		d.y += 2
	case printer.Numerals:
		d.text(numberFont, l.Text)
	case printer.Strong:
		d.pair(strongFont, l)
	case printer.Small:
		d.text(smallFont, l.Text)
	case printer.Reversed:
		d.bar(l.Text)
	case printer.Rule:
		d.y += 2
		d.pdf.SetLineWidth(0.25)
		d.pdf.Line(left, d.y, right, d.y)
		d.y += 3
	case printer.Lattice:
		d.lattice()
	case printer.Mark:
		d.mark()
	case printer.Gap:
		d.y += 3
	default:
		d.pair(bodyFont, l)
	}
	return 1
}

// parts are the letters of which parts of other letters are made: Ы holds І, which
// is I, and Ё holds Е, which is E. Of what it writes the library takes only the
// parts along, not theirs.
const parts = "EIe"

// whole takes parts into both fonts.
func (d *drawing) whole() {
	for _, f := range []font{bodyFont, strongFont} {
		d.use(f)
		if d.err == nil {
			_, err := d.pdf.MeasureTextWidth(parts)
			d.try(err)
		}
	}
}

func (d *drawing) use(f font) {
	name := regular
	if f.bold {
		name = bold
	}
	d.try(d.pdf.SetFont(name, "", f.size))
}

// write sets text with its upper left corner at x and the present height,
// wrapped at words, and returns how far down it came.
func (d *drawing) write(f font, x, width float64, text string) float64 {
	if text == "" {
		return 0
	}
	d.use(f)
	lines, err := d.pdf.SplitTextWithWordWrap(printable(text), width)
	d.try(err)
	for i, line := range lines {
		d.pdf.SetXY(x, d.y+float64(i)*f.line)
		d.try(d.pdf.Cell(nil, line))
	}
	return float64(len(lines)) * f.line
}

// printable is text in letters that the font has: it lacks the manat sign.
func printable(text string) string { return strings.ReplaceAll(text, "₼", "AZN") }

func (d *drawing) text(f font, text string) {
	d.room(2 * f.line)
	d.y += d.write(f, left, right-left, text)
}

// pair sets a line with something at its right edge.
func (d *drawing) pair(f font, l printer.Line) {
	d.room(2 * f.line)
	if l.Right == "" {
		d.text(f, l.Text)
		return
	}
	d.use(f)
	w, err := d.pdf.MeasureTextWidth(printable(l.Right))
	d.try(err)
	d.write(f, right-w, w+1, l.Right)
	d.y += max(f.line, d.write(f, left, right-left-w-4, l.Text))
}

// bar is white on black across the page.
func (d *drawing) bar(text string) {
	const h = 8.0
	d.room(h + 3)
	d.pdf.SetFillColor(0, 0, 0)
	d.pdf.RectFromUpperLeftWithStyle(left, d.y, right-left, h, "F")
	d.pdf.SetTextColor(255, 255, 255)
	d.use(strongFont)
	w, err := d.pdf.MeasureTextWidth(text)
	d.try(err)
	d.pdf.SetXY((left+right-w)/2, d.y+2)
	d.try(d.pdf.Cell(nil, text))
	d.pdf.SetTextColor(0, 0, 0)
	d.y += h + 3
}

// closePanel draws the facts that were kept, on the pattern. What doesn't fit on
// this page goes on the next.
func (d *drawing) closePanel() {
	for len(d.facts) > 0 && d.err == nil {
		d.room(4 * strongFont.line)
		n, h := 0, 2*pad
		for n < len(d.facts) {
			more := d.height(d.facts[n])
			if d.y+h+more > bottom && n > 0 {
				break
			}
			h, n = h+more, n+1
		}
		d.pattern(h)
		d.y += pad
		for _, f := range d.facts[:n] {
			d.write(smallFont, left+pad, labelW-2, f.label)
			d.write(strongFont, left+pad+labelW, right-left-2*pad-labelW, f.value)
			d.y += d.height(f)
		}
		d.y += pad + 2
		if d.facts = d.facts[n:]; len(d.facts) > 0 {
			d.page()
		}
	}
	d.facts = nil
}

// height is that of a fact, with the air below it.
func (d *drawing) height(f fact) float64 {
	tall := func(f font, width float64, text string) float64 {
		d.use(f)
		lines, err := d.pdf.SplitTextWithWordWrap(printable(text)+" ", width)
		d.try(err)
		return float64(len(lines)) * f.line
	}
	return max(tall(smallFont, labelW-2, f.label), tall(strongFont, right-left-2*pad-labelW, f.value)) + 1.6
}

// pattern is the panel below the facts, h mm high.
func (d *drawing) pattern(h float64) {
	var b bytes.Buffer
	d.try((&png.Encoder{CompressionLevel: png.DefaultCompression}).Encode(&b, Pattern(right-left, h)))
	holder, err := gopdf.ImageHolderByBytes(b.Bytes())
	d.try(err)
	if d.err == nil {
		d.try(d.pdf.ImageByHolder(holder, left, d.y, &gopdf.Rect{W: right - left, H: h}))
	}
	d.pdf.SetLineWidth(0.35)
	d.pdf.RectFromUpperLeft(left, d.y, right-left, h)
}

// code draws the code at the left, and the lines to its end at its right: what
// it is for. It returns how many lines that were.
func (d *drawing) code(lines []printer.Line) int {
	d.closePanel()
	b, err := dots.QR(lines[0].Text, dots.LevelM)
	if err != nil {
		d.try(fmt.Errorf("%w: %w", printer.ErrTooLong, err))
		return 1
	}
	d.room(codeW + 4)
	d.y += 2
	start := d.y
	d.modules(b, left, start, codeW)
	used := 1
	for used < len(lines) && (lines[used].Style == printer.Small || lines[used].Style == printer.Body) {
		f := smallFont
		if lines[used].Style == printer.Body {
			f = bodyFont
		}
		d.y += d.write(f, left+codeW+6, right-left-codeW-6, lines[used].Text) + 1
		used++
	}
	d.y = start + codeW + 2
	return used
}

// modules draws the black dots of a bitmap as rectangles, a run at a time, in a
// square of w mm with the quiet zone inside.
func (d *drawing) modules(b *dots.Bitmap, x, y, w float64) {
	side := w / float64(b.W+2*quiet)
	d.pdf.SetFillColor(0, 0, 0)
	for row := range b.H {
		for from := 0; from < b.W; from++ {
			to := from
			for to < b.W && b.At(to, row) {
				to++
			}
			if to > from {
				// A hair more to the right and below, so that no white line shows between rows.
				d.pdf.RectFromUpperLeftWithStyle(x+float64(from+quiet)*side, y+float64(row+quiet)*side,
					float64(to-from)*side, side*1.02, "F")
				from = to
			}
		}
	}
}

// mark is the office's mark.
func (d *drawing) mark() {
	const w = 16.0
	d.room(w)
	d.stamp(dots.Mark(192), left, d.y, w)
	d.y += w + 3
}

// lattice is the ornament as a band.
func (d *drawing) lattice() {
	tile := dots.Lattice()
	const h = 4.0
	w := h * float64(tile.W) / float64(tile.H)
	d.room(h + 4)
	for x := left; x+w <= right+0.01; x += w {
		d.stamp(tile, x, d.y, w)
	}
	d.y += h + 3
}

// stamp draws a bitmap w mm wide.
func (d *drawing) stamp(b *dots.Bitmap, x, y, w float64) {
	var out bytes.Buffer
	d.try(png.Encode(&out, b.Image(0, 0, 0)))
	holder, err := gopdf.ImageHolderByBytes(out.Bytes())
	d.try(err)
	if d.err == nil {
		d.try(d.pdf.ImageByHolder(holder, x, y, &gopdf.Rect{W: w, H: w * float64(b.H) / float64(b.W)}))
	}
}

// Code reads the text of the code in a page that Draw made, or "". It is for
// comparing a file with what was signed: draw again, and compare the bytes.
func Code(pdf io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(pdf, maxPDF))
	if err != nil {
		return "", fmt.Errorf("read page: %w", err)
	}
	_, after, found := bytes.Cut(b, []byte("/Subject <FEFF"))
	hex, _, ends := bytes.Cut(after, []byte(">"))
	if !found || !ends {
		return "", nil
	}
	return utf16Hex(hex), nil
}

// maxPDF is more than any page of ours has, in bytes.
const maxPDF = 16 << 20
