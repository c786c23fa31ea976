package paper

import (
	"bytes"
	"image"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"kosk/drivers/printer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// feed lets a machine take bytes, and returns what it answered and what came out.
func feed(t *testing.T, m *machine, in string) string {
	t.Helper()
	for _, b := range []byte(in) {
		m.receive(b)
		for m.step() {
		}
		m.changed()
	}
	out := string(m.out)
	m.out = m.out[:0]
	return out
}

func machineWith(slips *[]Slip) *machine {
	return newMachine(TMT20II(), func(s Slip) { *slips = append(*slips, s) })
}

func TestAnswers(t *testing.T) {
	const ask = "\x10\x04\x01\x10\x04\x02\x10\x04\x03\x10\x04\x04"
	var none []Slip
	for _, c := range []struct {
		name    string
		prepare func(*machine)
		in, out string
	}{
		{"healthy", func(*machine) {}, ask, "\x12\x12\x12\x12"},
		{"no paper", func(m *machine) { m.paper = printer.PaperOut }, ask, "\x1a\x32\x12\x7e"},
		{"near end", func(m *machine) { m.paper = printer.PaperLow }, ask, "\x12\x12\x12\x1e"},
		{"cover open", func(m *machine) { m.cover = true }, ask, "\x1a\x16\x12\x12"},
		{"blade stuck", func(m *machine) { m.cutter = true }, "x\n\x1dV\x42\x00" + ask, "\x1a\x52\x1a\x12"},
		{"sensors", func(m *machine) { m.paper = printer.PaperLow }, "\x1dr\x01", "\x03"},
		{"no sensors without paper", func(m *machine) { m.paper = printer.PaperOut }, "\x1dr\x01", ""},
		{"a job's id", func(*machine) {}, "\x1d(H\x06\x0000abcd", "\x37\x22abcd\x00"},
		{"cleared", func(m *machine) { m.paper = printer.PaperOut }, "old\n\x10\x14\x08\x01\x03\x14\x01\x06\x02\x08", "\x37\x25\x00"},
		{"model", func(*machine) {}, "\x1dI\x43", "_TM-T20II\x00"},
		{"by itself", func(*machine) {}, "\x1da\x0e", "\x10\x00\x00\x00"},
		{"mute", func(m *machine) { m.muted = true }, ask + "\x1dr\x01", ""},
		{"asked in the middle of a picture", func(*machine) {}, "\x1dv0\x00\x03\x00\x01\x00\x10\x04\x01", "\x12"},
	} {
		m := machineWith(&none)
		c.prepare(m)
		if got := feed(t, m, c.in); got != c.out {
			t.Errorf("%s: answered % X, want % X", c.name, got, c.out)
		}
	}
}

func TestTheStateIsSaidWhenItChanges(t *testing.T) {
	var slips []Slip
	m := machineWith(&slips)
	m.roll = 100
	got := feed(t, m, "\x1da\x0e"+strings.Repeat("line\n", 10))
	if want := "\x10\x00\x00\x00\x18\x00\x0f\x00"; got != want {
		t.Errorf("said % X, want % X", got, want)
	}
	if len(slips) != 1 || !slips[0].Torn {
		t.Errorf("%d pieces came out", len(slips))
	}
}

func TestWhatIsSetIsWhatIsRead(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"turkish page":    {"\x1bt\x30\xd6\xf0\xfe\xfd\n", "Öğşı"},
		"cyrillic page":   {"\x1bt\x2e\xcf\xf0\xe8\xe2\xe5\xf2\n", "Привет"},
		"reset page":      {"\x1bt\x2e\x1b@\x80\n", "Ç"},
		"moved head":      {"a\x1b$\x78\x00b\n", "a         b"},
		"double size":     {"\x1d!\x11AB\n", "AB"},
		"full line wraps": {strings.Repeat("x", 50) + "\n", strings.Repeat("x", 48) + "\nxx"},
		"code":            {"\x1d(k\x04\x001A2\x00\x1d(k\x08\x001P0SALAM\x1d(k\x03\x001Q0", "[QR SALAM]"},
	} {
		var slips []Slip
		m := machineWith(&slips)
		feed(t, m, c.in+"\x1dV\x42\x00")
		if len(slips) != 1 || slips[0].Text != c.want {
			t.Errorf("%s: %+v, want %q", name, slips, c.want)
		}
		if m.noise != 0 {
			t.Errorf("%s: %d bytes of noise", name, m.noise)
		}
	}
}

func TestACodeWiderThanThePaperIsNotPrinted(t *testing.T) {
	var slips []Slip
	m := machineWith(&slips)
	feed(t, m, "\x1d(k\x03\x001C\x10\x1d(k\x03\x011P0"+strings.Repeat("a", 256)+"\x1d(k\x03\x001Q0.\n\x1dV\x42\x00")
	if len(slips) != 1 || slips[0].Text != "." {
		t.Errorf("%+v", slips)
	}
}

func TestACutInALineIsIgnored(t *testing.T) {
	var slips []Slip
	feed(t, machineWith(&slips), "begun\x1dV\x42\x00")
	if len(slips) != 0 {
		t.Error("cut")
	}
}

func TestPictures(t *testing.T) {
	for name, in := range map[string]string{
		"raster":      "\x1dv0\x00\x02\x00\x02\x00\xff\xff\xff\xff",
		"graphics":    "\x1d(L\x0e\x000p0\x01\x011\x10\x00\x02\x00\xff\xff\xff\xff\x1d(L\x02\x0002",
		"large":       "\x1d8L\x0e\x00\x00\x000p0\x01\x011\x10\x00\x02\x00\xff\xff\xff\xff\x1d(L\x02\x0002",
		"in the line": "\x1b*\x21\x02\x00\xff\xff\x00\xff\xff\x00\n",
	} {
		var slips []Slip
		m := machineWith(&slips)
		feed(t, m, in+"\x1dV\x42\x00")
		if len(slips) != 1 || black(slips[0].PNG) != 32 || m.noise != 0 {
			t.Errorf("%s: %d slips, %d bytes of noise", name, len(slips), m.noise)
			for _, s := range slips {
				t.Errorf("%d dots", black(s.PNG))
			}
		}
	}
}

func TestOnlyCutsCut(t *testing.T) {
	for command, want := range map[string]int{"\x00": 1, "1": 1, "B\x00": 1, "h\x10": 1, "C": 0, "\xff": 0, "a\x00": 0} {
		var slips []Slip
		m := machineWith(&slips)
		feed(t, m, "ink\n\x1dV"+command)
		if len(slips) != want || m.noise != 0 {
			t.Errorf("GS V %q: %d slips, want %d, and %d bytes of noise", command, len(slips), want, m.noise)
		}
	}
}

// TestItSaysByItselfOnlyWhatItWasAsked is GS a n: bit 1 on-line, bit 2 errors, bit
// 3 the roll.
func TestItSaysByItselfOnlyWhatItWasAsked(t *testing.T) {
	hands := map[string]func(*machine){
		"cover": func(m *machine) { m.cover = true },
		"blade": func(m *machine) { m.stuck = true },
		"low":   func(m *machine) { m.paper = printer.PaperLow },
	}
	for _, c := range []struct {
		n    byte
		hand string
		says string
	}{
		{0x02, "cover", "\x38\x00\x00\x00"},
		{0x02, "blade", "\x18\x08\x00\x00"},
		{0x02, "low", ""},
		{0x04, "cover", ""},
		{0x04, "blade", "\x18\x08\x00\x00"},
		{0x08, "cover", ""},
		{0x08, "low", "\x10\x00\x03\x00"},
		{0x01, "low", ""},
		{0xFF, "low", "\x10\x00\x03\x00"},
		{0x00, "cover", ""},
	} {
		m := machineWith(new([]Slip))
		want := map[bool]string{true: "\x10\x00\x00\x00"}[c.n != 0]
		if first := feed(t, m, "\x1da"+string([]byte{c.n})); first != want {
			t.Errorf("GS a %02x: it says % x at once", c.n, first)
		}
		hands[c.hand](m)
		m.changed()
		m.changed()
		if string(m.out) != c.says {
			t.Errorf("GS a %02x, %s: it says % x, want % x", c.n, c.hand, m.out, c.says)
		}
	}
}

func TestTheAreaOfALine(t *testing.T) {
	for in, want := range map[string]string{
		"\x1dW\x60\x00twelve letters\n":                      "twelve l\netters",
		"\x1dW\x60\x00\x1b@twelve letters\n":                 "twelve letters",
		"\x1dW\xff\xfftwelve letters\n":                      "twelve letters",
		"\x1dk\x04KOSK\x00\x1dkI\x0c{BKo{C\x14\x1a{B{{\n":    "[CODE39 KOSK]\n[CODE128 Ko2026{]",
		"\x1dW\x60\x00\x1dk\x04WIDER THAN THE AREA\x00ink\n": "ink",
		"\x1dk\x02no digits\x00ink\n":                        "ink",
	} {
		var slips []Slip
		m := machineWith(&slips)
		feed(t, m, in+"\x1dV1")
		if len(slips) != 1 || slips[0].Text != want || m.noise != 0 {
			t.Errorf("%q: %d slips, %d bytes of noise, want %q", in, len(slips), m.noise, want)
			for _, s := range slips {
				t.Errorf("%q", s.Text)
			}
		}
	}
}

func black(img image.Image) int {
	n := 0
	for _, v := range img.(*image.Paletted).Pix {
		n += int(v)
	}
	return n
}

func FuzzMachine(f *testing.F) {
	golden, err := filepath.Glob("../escpos/testdata/*-az.escpos")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range golden {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("\x1b&\x03\x20\x7e\x0c\x1d(k\xff\xff1P0\x1dv0\x00\xff\xff\xff\xff\x10\x14\x08"))
	f.Add([]byte("\x1b*\x21\xff\xff\x1bD\x01\x02\x00\x1dkA\xffabc\x1d8L\xff\xff\xff\xff"))
	f.Add([]byte("\x1d(k\x03\x001Q0\x1d(L\x02\x0002\x1d(H\x06\x0000abcd\x1d!\xffA\x1b3\xff\n\n"))
	f.Add([]byte("\x1dh\x50\x1dw\x03\x1dH\x03\x1dkI\x06{BKosk\x1dk\x02201234567890\x00\x1dW\x20\x00\x1dL\x10\x00wide\n\x1dkE\x03A-1"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 4096 {
			return
		}
		m := newMachine(TMT20II(), func(Slip) {})
		for _, b := range in {
			m.receive(b)
			before := len(m.buffer)
			for m.step() {
				if len(m.buffer) >= before {
					t.Fatal("a step took nothing")
				}
				before = len(m.buffer)
			}
		}
		if m.page.H > slipMost || len(m.buffer) > len(in) {
			t.Fatalf("%d rows, %d bytes held", m.page.H, len(m.buffer))
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("\x1b&\x03\x20\x7e\x0c\x1d(k\xff\xff1P0\x1dv0\x00\xff\xff\xff\xff\x10\x14\x08"))
	f.Add([]byte("\x1b*\x21\xff\xff\x1bD\x01\x02\x00\x1dkA\xffabc\x1d8L\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, in []byte) {
		for len(in) > 0 {
			c, n := parse(in)
			if n < 0 || n > len(in) || len(c.args) > n {
				t.Fatalf("%q takes %d of %d bytes", c.name, n, len(in))
			}
			if n == 0 {
				return // it waits for more
			}
			in = in[n:]
		}
	})
}

func opened(t *testing.T, o Options) *Paper {
	t.Helper()
	p, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// TestItSaysWaitInItsOwnWay stops printers with more to print than they hold.
func TestItSaysWaitInItsOwnWay(t *testing.T) {
	for name, model := range Models() {
		synctest.Test(t, func(t *testing.T) {
			p := opened(t, Options{Model: model(), Memory: true})
			host, err := p.Dial()
			if err != nil {
				t.Fatal(err)
			}
			defer host.Close()
			var said []byte
			go func() {
				for b := make([]byte, 64); ; {
					n, err := host.Read(b)
					if err != nil {
						return
					}
					said = append(said, b[:n]...)
				}
			}()
			p.Cover(true)
			if _, err := host.Write(t.Context(), bytes.Repeat([]byte("wait\n"), 1000)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			p.Cover(false)
			synctest.Wait()
			want := map[bool]string{true: "\x13\x11"}[strings.HasPrefix(name, "epson")]
			if string(said) != want {
				t.Errorf("%s: it says % x, want % x", name, said, want)
			}
		})
	}
}

func TestAStrangerPrintsOnTheLine(t *testing.T) {
	came := make(chan Slip, 1)
	p := opened(t, Options{OnSlip: func(s Slip) { came <- s }})
	line, err := os.OpenFile(p.Path(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer line.Close()
	if _, err := line.WriteString("\x1b@Hello\n\x1dV\x42\x00\x10\x04\x01"); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 1)
	if _, err := io.ReadFull(line, answer); err != nil || answer[0] != 0x12 {
		t.Errorf("answered % X, %v", answer, err)
	}
	select {
	case s := <-came:
		if s.Text != "Hello" || !bytes.Contains(s.Raw, []byte("Hello")) {
			t.Errorf("came out as %q", s.Text)
		}
	case <-time.After(time.Minute):
		t.Error("nothing came out")
	}
}

func TestTheLinkStaysThroughUnplugAndGoesWithClose(t *testing.T) {
	link := filepath.Join(t.TempDir(), "printer")
	p, err := Open(Options{Link: link})
	if err != nil {
		t.Fatal(err)
	}
	p.Unplug()
	if _, err := os.Lstat(link); !os.IsNotExist(err) {
		t.Errorf("unplugged, and the link is there: %v", err)
	}
	if err := p.Replug(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(link); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Lstat(link); !os.IsNotExist(err) {
		t.Errorf("closed, and the link is there: %v", err)
	}
	p.SetPaper(printer.PaperOut) // hands on a printer that is gone do nothing
}
