package escpos_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kosk/drivers/printer"
	"kosk/drivers/printer/dots"
	"kosk/drivers/printer/escpos"
	"kosk/drivers/printer/paper"
)

// foreign is where build/foreign/install puts the programs of others.
const foreign = "../../../out/foreign/node_modules"

// A part is what the decoder takes for one thing: a command, text, a picture.
type part struct {
	Name    string // "ESC t", "GS v0"; "STX" is text
	Bytes   []byte
	Text    string
	Picture *struct {
		Width, Height int
		Dots          []byte // 0 is black
	}
}

// script runs a script of testdata with the programs of others.
func script(t *testing.T, needs, name string, in []byte, args ...string) []byte {
	t.Helper()
	program, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no stranger: node isn't installed (build/deps)")
	}
	folder, err := filepath.Abs(foreign)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(folder, needs)); err != nil {
		t.Skipf("no stranger: %s isn't installed (build/foreign/install)", needs)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append([]string{"testdata/" + name, folder}, args...)...)
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		t.Fatalf("%s: %v, it says %s", name, err, exit.Stderr)
	} else if err != nil {
		t.Fatal(err)
	}
	return out
}

// overheard is what goes down the line for a slip, from ESC @ to the question
// whether it is out.
func overheard(t *testing.T, profile string, slip printer.Slip) (sent []byte) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { // a busy machine is no mute printer
		p := putPaper(t, paper.Options{Model: models[profile](), Memory: true})
		e := open(t, escpos.Overhear(escpos.Options{Profile: profile, Baud: 115200}, p, func(b []byte) {
			switch {
			case bytes.HasPrefix(b, []byte{0x10}): // how the printer is, asked between two pieces
			case bytes.HasPrefix(b, []byte("\x1b@")):
				sent = bytes.Clone(b)
			default:
				sent = append(sent, b...)
			}
		}))
		if outcome, err := e.Print(t.Context(), slip); outcome != printer.Confirmed {
			t.Fatalf("print: %v, %v", outcome, err)
		}
	})
	return sent
}

// decoded is a slip as the decoder reads it off the line.
func decoded(t *testing.T, sent []byte) []part {
	t.Helper()
	var parts []part
	if err := json.Unmarshal(script(t, "npos", "decoder.js", sent), &parts); err != nil {
		t.Fatal(err)
	}
	return parts
}

// TestADecoderOfOthersReadsTheSlips has npos take apart what is on the line for
// the receipt in three languages and for a certificate. It must know every
// command, and read every word and code, and see one cut behind all of them.
func TestADecoderOfOthersReadsTheSlips(t *testing.T) {
	slips := []printer.Slip{escpos.ThirtyLines(), loadSlip(t, filepath.Join(composed, "final-az.slip"))}
	for profile := range models {
		for _, slip := range slips {
			t.Run(profile+" "+slip.ID, func(t *testing.T) {
				t.Parallel()
				parts := decoded(t, overheard(t, profile, slip))
				text := letters(t, parts, slip)
				if profile == "clone-58" {
					drawnWordsAreThere(t, parts, slip, text)
				} else {
					wordsAreThere(t, slip, text)
				}
				codeIsRead(t, parts, slip)
				cutIsLast(t, parts, models[profile]().Cutter)
			})
		}
	}
}

// letters is the text of a slip. A code that was lent to a glyph is the letter
// whose dots in the font are those of the glyph.
func letters(t *testing.T, parts []part, slip printer.Slip) string {
	t.Helper()
	face, lent := dots.NewFace(), map[rune]rune{}
	var text strings.Builder
	for _, p := range parts {
		switch p.Name {
		case "ESC &":
			code := rune(p.Bytes[3])
			if p.Bytes[2] != 3 || p.Bytes[3] != p.Bytes[4] || p.Bytes[5] != 12 {
				t.Fatalf("a glyph of another size: % X", p.Bytes[:6])
			}
			lent[code] = '◆' // ornament
			for _, l := range slip.Lines {
				for _, r := range l.Text + l.Right {
					if r > 126 && differ(p.Bytes[6:], face.Glyph(r)) <= 2 {
						lent[code] = r
					}
				}
			}
		case "ESC $":
			text.WriteByte(' ')
		case "STX":
			text.WriteString(strings.Map(func(r rune) rune {
				if l, ok := lent[r]; ok {
					return l
				}
				return r
			}, p.Text))
		}
	}
	return text.String()
}

// differ counts the dots in which a glyph, three bytes a column from the left,
// isn't the font's: one that would look like a command is blackened on purpose.
func differ(columns []byte, g *dots.Bitmap) int {
	n := 0
	for x := range g.W {
		for y := range g.H {
			if (columns[x*3+y/8]&(0x80>>(y%8)) != 0) != g.At(x, y) {
				n++
			}
		}
	}
	return n
}

// drawnWordsAreThere looks for the words that are set as text in the text, and
// for those with letters that the printer doesn't have on the decoder's pictures,
// which tesseract reads: all but headings, which are pulled to twice their
// height, and Russian words between Azerbaijani ones.
func drawnWordsAreThere(t *testing.T, parts []part, slip printer.Slip, text string) {
	t.Helper()
	read, drawn := stranger(t, "tesseract", picture(t, parts), "-", "-l", "aze", "--psm", "6", "--dpi", "203"), 0
	for _, line := range slip.Lines {
		if line.Style == printer.Code {
			continue
		}
		for _, word := range strings.Fields(line.Text) {
			word = strings.Trim(word, ".,!–“”/")
			if strings.Contains(text, word) || line.Style == printer.Heading || word[0] >= 0xD0 {
				continue
			}
			drawn++
			if !strings.Contains(read, word) {
				t.Errorf("%q is neither in the text nor on the pictures:\n%s\n%s", word, text, read)
			}
		}
	}
	if drawn < 15 {
		t.Errorf("%d words are drawn", drawn)
	}
}

// codeIsRead checks a QR code that is printed by the printer against the bytes
// of another driver, and has zbar read one that is a picture.
func codeIsRead(t *testing.T, parts []part, slip printer.Slip) {
	t.Helper()
	i := slices.IndexFunc(slip.Lines, func(l printer.Line) bool { return l.Style == printer.Code })
	want := slip.Lines[i].Text
	var native []byte
	var size, level string
	for _, p := range parts {
		if p.Name != "GS (k" {
			continue
		}
		native = append(native, p.Bytes...)
		switch p.Bytes[6] {
		case 0x43: // dots a module
			size = strconv.Itoa(int(p.Bytes[7]))
		case 0x45:
			level = string("LMQH"[p.Bytes[7]&3])
		}
	}
	if native == nil {
		got := stranger(t, "zbarimg", "--quiet", "--raw", "--nodbus", picture(t, parts))
		if got = strings.TrimSuffix(got, "\n"); got != want {
			t.Errorf("the code on the pictures is %q, want %q", got, want)
		}
		return
	}
	if other := script(t, "node-thermal-printer", "qr.js", nil, size, level, want); !bytes.Equal(native, other) {
		t.Errorf("another driver prints %q as\n% X, not as\n% X", want, other, native)
	}
}

// cutIsLast checks that the slip is cut once, and only held out and asked about
// after that.
func cutIsLast(t *testing.T, parts []part, cutter bool) {
	t.Helper()
	cuts := 0
	for _, p := range parts {
		switch {
		case p.Name == "GS V":
			cuts++
		case cuts > 0 && !slices.Contains([]string{"GS (H", "GS r", "GS ^", "GS e\x03"}, p.Name):
			t.Errorf("%s follows the cut", p.Name)
		}
	}
	if want := map[bool]int{true: 1}[cutter]; cuts != want {
		t.Errorf("%d cuts, want %d", cuts, want)
	}
}

// picture draws what is no text of a slip, as the decoder has it, into a file.
func picture(t *testing.T, parts []part) string {
	t.Helper()
	const margin, wide, tall = 40, 720, 6000
	img := image.NewGray(image.Rect(0, 0, wide, tall))
	for i := range img.Pix {
		img.Pix[i] = 0xFF
	}
	y := margin
	for _, p := range parts {
		switch {
		case p.Name == "STX":
			y += 30
		case p.Name == "ESC J":
			y += int(p.Bytes[2])
		case p.Picture != nil:
			wide, tall := 1+int(p.Bytes[3]&1), 1+int(p.Bytes[3]>>1&1)
			for at, dot := range p.Picture.Dots {
				for n := range wide * tall {
					img.SetGray(margin+at%p.Picture.Width*wide+n%wide, y+at/p.Picture.Width*tall+n/wide, color.Gray{dot})
				}
			}
			y += p.Picture.Height * tall
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img.SubImage(image.Rect(0, 0, wide, y+margin))); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "pictures.png")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
