package escpos_test

import (
	"bytes"
	"flag"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"kosk/drivers/printer"
	"kosk/drivers/printer/escpos"
	"kosk/drivers/printer/paper"
)

var update = flag.Bool("update", false, "write the golden files anew")

// composed are the slips that device/receipt composes, as its own tests keep
// them: style, text and right part of each line.
const composed = "../../../device/receipt/testdata"

func loadSlip(t testing.TB, file string) printer.Slip {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := printer.Slip{ID: filepath.Base(file)}
	for line := range strings.Lines(string(b)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		style, err := strconv.Atoi(f[0])
		if err != nil || len(f) != 3 {
			t.Fatalf("%s: line %q", file, line)
		}
		s.Lines = append(s.Lines, printer.Line{Style: printer.Style(style), Text: f[1], Right: f[2]})
	}
	return s
}

// printed is what comes out of a virtual printer of that model.
func printed(t *testing.T, profile string, slip printer.Slip) paper.Slip {
	t.Helper()
	model := models[profile]()
	p := putPaper(t, paper.Options{Model: model})
	e := open(t, escpos.Options{Path: p.Path(), Profile: profile, Baud: 115200})
	if outcome, err := e.Print(t.Context(), slip); outcome != printer.Confirmed {
		t.Fatalf("print: %v, %v", outcome, err)
	}
	p.TearOff()
	if n := p.Noise(); n != 0 {
		t.Errorf("%d bytes were no command", n)
	}
	out := p.Slips()
	if len(out) != 1 {
		t.Fatalf("%d slips came out", len(out))
	}
	return out[0]
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s differs:\n%s", name, cmp.Diff(string(want), string(got)))
	}
}

// TestEverySlipOnEveryModel prints all composed slips, and looks at bytes, text
// and code. The pictures of some are kept: look at them when they change.
func TestEverySlipOnEveryModel(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(composed, "*.slip"))
	if err != nil || len(files) < 13 {
		t.Fatalf("%d composed slips, %v", len(files), err)
	}
	for profile := range models {
		for _, file := range files {
			name := profile + "-" + strings.TrimSuffix(filepath.Base(file), ".slip")
			t.Run(name, func(t *testing.T) {
				slip := loadSlip(t, file)
				out := printed(t, profile, slip)
				golden(t, name+".txt", []byte(out.Text+"\n"))
				if profile == "epson-tm-t20ii" {
					golden(t, name+".escpos", out.Raw)
				}
				if strings.HasSuffix(name, "final-az") || strings.HasSuffix(name, "provisional-ru") || strings.HasSuffix(name, "test-az") {
					goldenPicture(t, name+".png", out.PNG)
				}
				wordsAreThere(t, slip, out.Text)
				codeIsThere(t, slip, out.PNG)
			})
		}
	}
}

func goldenPicture(t *testing.T, name string, img image.Image) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		var b bytes.Buffer
		if err := png.Encode(&b, img); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	if w, g := want.(*image.Paletted), img.(*image.Paletted); w.Rect != g.Rect || !bytes.Equal(w.Pix, g.Pix) {
		t.Errorf("%s looks different", name)
	}
}

// wordsAreThere checks that every word of the slip is on the paper, in order,
// however it was wrapped.
func wordsAreThere(t *testing.T, slip printer.Slip, text string) {
	t.Helper()
	rest := strings.Join(strings.Fields(text), " ")
	for _, line := range slip.Lines {
		if line.Style == printer.Code {
			continue
		}
		for _, word := range strings.Fields(line.Text) {
			_, after, found := strings.Cut(rest, word)
			if !found {
				t.Fatalf("%q of %q isn't on the paper, or not in its place", word, line.Text)
			}
			rest = after
		}
	}
}

// codeIsThere decodes the QR code from the picture of the paper.
func codeIsThere(t *testing.T, slip printer.Slip, img image.Image) {
	t.Helper()
	for _, line := range slip.Lines {
		if line.Style != printer.Code {
			continue
		}
		bitmap, err := gozxing.NewBinaryBitmapFromImage(img)
		if err != nil {
			t.Fatal(err)
		}
		got, err := qrcode.NewQRCodeReader().Decode(bitmap, map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_TRY_HARDER: true})
		if err != nil {
			t.Fatalf("the code can't be read: %v", err)
		}
		if got.GetText() != line.Text {
			t.Errorf("the code says %q, want %q", got.GetText(), line.Text)
		}
	}
}

func TestLongCodesAreStillRead(t *testing.T) {
	for _, n := range []int{20, 300, 700, 1100} {
		slip := printer.Slip{ID: "code", Lines: []printer.Line{{Style: printer.Code, Text: strings.Repeat("KOSK:2026/", n/10)}}}
		codeIsThere(t, slip, printed(t, "epson-tm-t20ii", slip).PNG)
	}
}
