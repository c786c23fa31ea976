package paper_test

import (
	"context"
	"errors"
	"fmt"
	"image/png"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"kosk/drivers/printer"
	"kosk/drivers/printer/paper"
)

// installed is where build/foreign/install puts the programs of others.
const installed = "../../../out/foreign/node_modules"

// node runs a stranger against a line, and says what it said.
func node(t *testing.T, name, script string, args ...string) (string, error) {
	t.Helper()
	program, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no stranger: node isn't installed (build/deps)")
	}
	folder, err := filepath.Abs(installed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
		t.Skipf("no stranger: %s isn't installed (build/foreign/install)", name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	said, err := exec.CommandContext(ctx, program, append([]string{"testdata/" + script, folder}, args...)...).CombinedOutput()
	return string(said), err
}

// bridge is a serial device server: what comes over TCP goes to the printer's
// line, and back.
func bridge(t *testing.T, p *paper.Paper, address string) string {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			carry(t, conn, p.Path())
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

func carry(t *testing.T, conn net.Conn, path string) {
	line, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Error(err)
		conn.Close()
		return
	}
	back := make(chan struct{})
	go func() {
		defer close(back)
		_, _ = io.Copy(conn, line)
	}()
	_, _ = io.Copy(line, conn)
	_ = line.SetReadDeadline(time.Unix(1, 0))
	<-back
	line.Close()
	conn.Close()
}

func open(t *testing.T, o paper.Options) *paper.Paper {
	t.Helper()
	p, err := paper.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// thermal runs node-thermal-printer: GS r, text, pictures of QR codes' kind.
func thermal(t *testing.T, p *paper.Paper, what string) (string, error) {
	t.Helper()
	return node(t, "node-thermal-printer", "stranger.js", "tcp://"+bridge(t, p, "127.0.0.1:0"), "EPSON", what)
}

// receiptio runs receiptio, which always calls port 9100: DLE EOT 2, DLE ENQ 2,
// GS I, GS a, and GS r when all is printed. It says how the printer is.
func receiptio(t *testing.T, p *paper.Paper, args ...string) string {
	t.Helper()
	id := os.Getpid()<<4 + int(calls.Add(1))
	host := fmt.Sprintf("127.%d.%d.%d", 9+id>>16&63, id>>8&255, 1+id&127)
	bridge(t, p, host+":9100")
	said, err := node(t, "receiptio", "receiptio.js", append([]string{host}, args...)...)
	if err != nil {
		t.Fatalf("%v, it says %q", err, said)
	}
	return strings.TrimSpace(said)
}

var calls atomic.Int32

func TestADriverOfOthersAsksAndPrints(t *testing.T) {
	for _, model := range []func() paper.Model{paper.TMT20II, paper.TMT88V, paper.CustomKPM} {
		came := make(chan paper.Slip, 1)
		p := open(t, paper.Options{Model: model(), OnSlip: func(s paper.Slip) { came <- s }})
		said, err := thermal(t, p, "print")
		if err != nil || !strings.Contains(said, "status 00") || !strings.Contains(said, "printed") {
			t.Fatalf("%s: %v, it says %q", model().Name, err, said)
		}
		if model().Holds() { // it knows of no presenter: the slip waits inside
			for deadline := time.Now().Add(time.Minute); !strings.Contains(p.Hanging(), "Привет, 12.50"); {
				if time.Now().After(deadline) {
					t.Fatalf("%s: inside is\n%s", model().Name, p.Hanging())
				}
			}
			continue
		}
		want := []string{"Stranger & Sons", "Привет, 12.50", "TOTAL 12.50", "PAID", "left", "right", "[QR HTTPS://STRANGER.EXAMPLE/42]"}
		onPaper(t, p, came, "HTTPS://STRANGER.EXAMPLE/42", want...)
	}
}

// onPaper waits for a slip and looks for words and a code on it.
func onPaper(t *testing.T, p *paper.Paper, came chan paper.Slip, qr string, words ...string) {
	t.Helper()
	var slip paper.Slip
	select {
	case slip = <-came:
	case <-time.After(time.Minute):
		t.Fatal("nothing came out")
	}
	for _, want := range words {
		if !strings.Contains(slip.Text, want) {
			t.Errorf("%q isn't on\n%s", want, slip.Text)
		}
	}
	if n := p.Noise(); n != 0 {
		t.Errorf("%d bytes were no command", n)
	}
	bitmap, err := gozxing.NewBinaryBitmapFromImage(slip.PNG)
	if err != nil {
		t.Fatal(err)
	}
	code, err := qrcode.NewQRCodeReader().Decode(bitmap, map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_TRY_HARDER: true})
	if err != nil || code.GetText() != qr {
		t.Errorf("the code on the picture: %v, %v", code, err)
	}
}

func TestADriverOfOthersSeesThePaper(t *testing.T) {
	for state, want := range map[printer.Paper]string{printer.PaperFull: "status 00", printer.PaperLow: "status 03"} {
		p := open(t, paper.Options{})
		p.SetPaper(state)
		said, err := thermal(t, p, "status")
		if err != nil || !strings.Contains(said, want) {
			t.Errorf("%v: %v, it says %q", state, err, said)
		}
	}
	var gone *exec.ExitError
	p := open(t, paper.Options{})
	p.Mute(true)
	if said, err := thermal(t, p, "status"); !errors.As(err, &gone) || !strings.Contains(said, "timeout") {
		t.Errorf("mute: %v, it says %q", err, said)
	}
}

func TestASecondDriverOfOthersPrintsAndIsToldThatAllIsOut(t *testing.T) {
	for _, model := range []func() paper.Model{paper.TMT20II, paper.TMT88V} {
		came := make(chan paper.Slip, 1)
		p := open(t, paper.Options{Model: model(), OnSlip: func(s paper.Slip) { came <- s }})
		if said := receiptio(t, p, "print", "epson"); said != "success" {
			t.Fatalf("%s: it says %q", model().Name, said)
		}
		onPaper(t, p, came, "HTTPS://STRANGER.EXAMPLE/43", "Stranger & Sons", "Asparagus", "TOTAL", "6.00")
	}
}

func TestASecondDriverOfOthersSeesEveryTrouble(t *testing.T) {
	for _, c := range []struct {
		name  string
		model func() paper.Model
		hand  func(*paper.Paper)
		want  string
	}{
		{"nothing", paper.TMT20II, func(*paper.Paper) {}, "online"},
		{"cover open", paper.TMT20II, func(p *paper.Paper) { p.Cover(true) }, "coveropen"},
		{"cover open, Citizen", paper.PPU700, func(p *paper.Paper) { p.Cover(true) }, "coveropen"},
		{"paper out", paper.TMT88III, func(p *paper.Paper) { p.SetPaper(printer.PaperOut) }, "paperempty"},
		{"paper jammed", paper.TMT20II, func(p *paper.Paper) { p.Jam(true) }, "error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := open(t, paper.Options{Model: c.model()})
			c.hand(p)
			if said := receiptio(t, p, "printer", "epson"); said != c.want {
				t.Errorf("it says %q, want %q", said, c.want)
			}
		})
	}
}

func TestASecondDriverOfOthersFindsOutWhatThePrinterIs(t *testing.T) {
	p := open(t, paper.Options{})
	if said := receiptio(t, p, "print", ""); said != "success" {
		t.Errorf("it says %q", said)
	}
}

// TestBarCodesOfOthersAreReadByOthers prints bar codes by receiptio, and has zbar
// read them on the paper.
func TestBarCodesOfOthersAreReadByOthers(t *testing.T) {
	zbar, err := exec.LookPath("zbarimg")
	if err != nil {
		t.Skip("no stranger: zbarimg isn't installed (build/deps)")
	}
	const doc = "{code:2012345678903;option:ean,3,80,hri}\n\n{code:23456789;option:itf,3,80}\n\n{code:KOSK-42;option:code39,2,80,hri}\n\n{code:Kosk2026;option:code128,2,80,hri}\n\n{code:A1234B;option:codabar,3,80,hri}\n\n{code:KOSK93;option:code93,2,80}\n"
	came := make(chan paper.Slip, 1)
	p := open(t, paper.Options{OnSlip: func(s paper.Slip) { came <- s }})
	if said := receiptio(t, p, "print", "epson", doc); said != "success" {
		t.Fatalf("it says %q", said)
	}
	slip := <-came
	file, err := os.Create(filepath.Join(t.TempDir(), "slip.png"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := png.Encode(file, slip.PNG); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	read, err := exec.CommandContext(ctx, zbar, "--quiet", "--nodbus", file.Name()).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"EAN-13:2012345678903", "I2/5:23456789", "CODE-39:KOSK-42", "CODE-128:Kosk2026", "Codabar:A1234B", "CODE-93:KOSK93"} {
		if !strings.Contains(string(read), want+"\n") {
			t.Errorf("%s isn't among\n%s", want, read)
		}
	}
	for _, want := range []string{"[EAN 2012345678903]", "[CODE128 Kosk2026]"} {
		if !strings.Contains(slip.Text, want) {
			t.Errorf("%q isn't on\n%s", want, slip.Text)
		}
	}
}
