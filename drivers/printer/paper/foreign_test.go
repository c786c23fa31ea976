package paper_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"kosk/drivers/printer"
	"kosk/drivers/printer/paper"
)

// installed is where build/foreign/install puts the programs of others.
const installed = "../../../out/foreign/node_modules"

// node runs the stranger against a line, and says what it said.
func node(t *testing.T, line, kind, what string) (string, error) {
	t.Helper()
	program, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no stranger: node isn't installed (build/deps)")
	}
	folder, err := filepath.Abs(installed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(folder, "node-thermal-printer")); err != nil {
		t.Skip("no stranger: node-thermal-printer isn't installed (build/foreign/install)")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	said, err := exec.CommandContext(ctx, program, "testdata/stranger.js", folder, line, kind, what).CombinedOutput()
	return string(said), err
}

// bridge is a serial device server: what comes over TCP goes to the printer's
// line, and back.
func bridge(t *testing.T, p *paper.Paper) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
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
	return "tcp://" + l.Addr().String()
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

func TestADriverOfOthersAsksAndPrints(t *testing.T) {
	came := make(chan paper.Slip, 1)
	p := open(t, paper.Options{OnSlip: func(s paper.Slip) { came <- s }})
	said, err := node(t, bridge(t, p), "EPSON", "print")
	if err != nil || !strings.Contains(said, "status 00") || !strings.Contains(said, "printed") {
		t.Fatalf("%v, it says %q", err, said)
	}
	var slip paper.Slip
	select {
	case slip = <-came:
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came out")
	}
	for _, want := range []string{"Stranger & Sons", "Привет, 12.50", "TOTAL 12.50", "PAID", "left", "right", "[QR HTTPS://STRANGER.EXAMPLE/42]"} {
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
	if err != nil || code.GetText() != "HTTPS://STRANGER.EXAMPLE/42" {
		t.Errorf("the code on the picture: %v, %v", code, err)
	}
}

func TestADriverOfOthersSeesThePaper(t *testing.T) {
	for state, want := range map[printer.Paper]string{printer.PaperFull: "status 00", printer.PaperLow: "status 03"} {
		p := open(t, paper.Options{})
		p.SetPaper(state)
		said, err := node(t, bridge(t, p), "EPSON", "status")
		if err != nil || !strings.Contains(said, want) {
			t.Errorf("%v: %v, it says %q", state, err, said)
		}
	}
	var gone *exec.ExitError
	p := open(t, paper.Options{})
	p.Mute(true)
	if said, err := node(t, bridge(t, p), "EPSON", "status"); !errors.As(err, &gone) || !strings.Contains(said, "timeout") {
		t.Errorf("mute: %v, it says %q", err, said)
	}
}
