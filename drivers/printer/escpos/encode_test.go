package escpos

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"kosk/drivers/printer"
)

// thirtyLines is the receipt of the comparison: thirty lines in three languages,
// with mark, number and QR code.
func thirtyLines() printer.Slip {
	s := printer.Slip{ID: "thirty"}
	add := func(style printer.Style, text string) {
		s.Lines = append(s.Lines, printer.Line{Style: style, Text: text})
	}
	add(printer.Mark, "")
	for _, l := range []string{
		"Köşk – dövlət xidmətləri|Müraciət qəbul edildi|Xidmət: iş yerindən arayış|Əmək və Sosial Müdafiə Nazirliyi|Müraciət edən: AYGÜN M.|Tarix: 22 noyabr 2026, 10:05|Cavab 5 iş günü ərzində hazır olacaq.|Məbləğ: ödənişsiz|Təşəkkür edirik!",
		"Köşk – государственные услуги|Обращение принято|Услуга: справка с места работы|Министерство труда и соцзащиты|Заявитель: AYGÜN M.|Дата: 22 ноября 2026, 10:05|Ответ будет готов за 5 рабочих дней.|Сумма: бесплатно|Спасибо!",
		"Köşk – government services|Request accepted|Service: certificate of employment|Ministry of Labour|Applicant: AYGÜN M.|Date: 22 November 2026, 10:05|The answer will be ready in 5 working days.|Amount: free of charge|Thank you!",
	} {
		lines := strings.Split(l, "|")
		add(printer.Strong, lines[0])
		add(printer.Heading, lines[1])
		for _, text := range lines[2:] {
			add(printer.Body, text)
		}
	}
	add(printer.Rule, "")
	add(printer.Small, "Nömrə / Номер / Number")
	add(printer.Numerals, "248 301 775 204")
	add(printer.Small, "kosk.example")
	add(printer.Code, "HTTPS://KOSK.EXAMPLE/R/248301775204?S=6BFOXNTS3DHPVO13J2YRVAQR86VPG")
	add(printer.Lattice, "")
	return s
}

func encoderFor(t testing.TB, name string) *encoder {
	t.Helper()
	p, err := ProfileNamed(name)
	if err != nil {
		t.Fatal(err)
	}
	return newEncoder(p)
}

func TestTheReceiptOfThirtyLinesIsSmallAndQuick(t *testing.T) {
	e := encoderFor(t, "epson-tm-t20ii")
	slip := thirtyLines()
	lines := 0
	for _, r := range lay(slip, 48) {
		if r.text != "" && r.style == printer.Body {
			lines++
		}
	}
	j, err := e.encode(slip)
	if err != nil {
		t.Fatal(err)
	}
	if lines != 30 || len(j.bytes) > 1500 {
		t.Errorf("%d lines are %d bytes, want 30 lines in at most 1500", lines, len(j.bytes))
	}
	best := time.Hour
	for range 20 {
		start := time.Now()
		if _, err := e.encode(slip); err != nil {
			t.Fatal(err)
		}
		best = min(best, time.Since(start))
	}
	limit := time.Millisecond
	if raceDetector { // it makes this thirty times slower
		limit *= 30
	}
	if best > limit {
		t.Errorf("encoding takes %v, want under %v", best, limit)
	}
}

// A printer without QR codes gets a picture of one. It doubles the dots itself:
// sent dot for dot the receipt would be 20,000 bytes, ten seconds at 19,200 baud.
func TestADrawnCodeIsSmall(t *testing.T) {
	all, err := Profiles()
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range all {
		if p.QR {
			continue
		}
		j, err := newEncoder(p).encode(printer.Slip{ID: "code", Lines: []printer.Line{{Style: printer.Code, Text: "HTTPS://KOSK.EXAMPLE/R/248301775204?S=6BFOXNTS3DHPVO13J2YRVAQR86VPG"}}})
		if err != nil || len(j.bytes) > 4600 {
			t.Errorf("%s: a code is %d bytes, %v", name, len(j.bytes), err)
		}
	}
}

func BenchmarkSlip(b *testing.B) {
	e := encoderFor(b, "epson-tm-t20ii")
	slip := thirtyLines()
	n := 0
	for b.Loop() {
		j, err := e.encode(slip)
		if err != nil {
			b.Fatal(err)
		}
		n = len(j.bytes)
	}
	b.ReportMetric(float64(n), "slip.bytes")
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N), "slip.encode_us")
	b.ReportMetric(float64(n)*10/19200, "slip.seconds_19200")
}

func TestProfilesAreSound(t *testing.T) {
	all, err := Profiles()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"epson-tm-t20ii", "epson-tm-t88v", "epson-tm-t88iii", "custom-kpm", "custom-vkp", "citizen-ppu-700", "clone-58"} {
		if _, ok := all[want]; !ok {
			t.Errorf("no profile %s", want)
		}
	}
	for name := range all {
		if j, err := encoderFor(t, name).encode(thirtyLines()); err != nil || j.dots < 1000 {
			t.Errorf("%s: %d dots, %v", name, j.dots, err)
		}
	}
	if _, err := ProfileNamed("abacus"); !errors.Is(err, ErrProfile) {
		t.Errorf("abacus: %v", err)
	}
}

func TestLinesFitAndLoseNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOf(rapid.StringMatching(`[a-zəğışА-Я0-9.,]{1,60}`)).Draw(t, "words")
		columns := rapid.IntRange(4, 60).Draw(t, "columns")
		lines := wrap(strings.Join(words, " "), columns)
		for _, l := range lines {
			if utf8.RuneCountInString(l) > columns || l != strings.TrimSpace(l) || l == "" {
				t.Fatalf("line %q in %d columns", l, columns)
			}
		}
		if got, want := strings.ReplaceAll(strings.Join(lines, ""), " ", ""), strings.Join(words, ""); got != want {
			t.Fatalf("%q became %q", want, got)
		}
	})
}

func TestARightPartStandsAtTheEdge(t *testing.T) {
	rows := lay(printer.Slip{Lines: []printer.Line{
		{Text: "Ödəniş", Right: "12,50 ₼"},
		{Text: "ad", Right: strings.Repeat("x", 31)},
	}}, 32)
	if len(rows) != 3 || rows[0].right != "12,50 ₼" || rows[1].right != "" || rows[2].text != "" || rows[2].right == "" {
		t.Errorf("laid as %+v", rows)
	}
}

func TestNoTextIsEverACommand(t *testing.T) {
	profiles, err := Profiles()
	if err != nil {
		t.Fatal(err)
	}
	encoders := map[string]*encoder{}
	for name, p := range profiles {
		encoders[name] = newEncoder(p)
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		style := printer.Style(rapid.IntRange(0, 10).Draw(t, "style"))
		slip := printer.Slip{Lines: []printer.Line{{Style: style, Text: text + "\x10\x04\x01\x1b@\x1dV", Right: text}}}
		for name, e := range encoders {
			j, err := e.encode(slip)
			if errors.Is(err, printer.ErrTooLong) {
				continue
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if at := realTime(j.bytes); at >= 0 {
				t.Fatalf("%s: a real-time command at %d", name, at)
			}
			if cuts := bytes.Count(j.bytes, []byte{0x1D, 'V'}); cuts > 1 && style != printer.Code {
				t.Fatalf("%s: %d cuts", name, cuts)
			}
		}
	})
}

func TestDotsThatLookLikeACommandAreDisarmed(t *testing.T) {
	for _, b := range [][]byte{{0x10, 0x04, 0x01}, {0x10, 0x05}, {0x00, 0x10, 0x14, 0x08}, {0x10, 0x10, 0x04}, {0xFF, 0x10}} {
		before := fmt.Sprintf("% X", b)
		after := disarm(b)
		if realTime(after) >= 0 || after[len(after)-1] == 0x10 {
			t.Errorf("%s became % X", before, after)
		}
	}
	if got := disarm([]byte{0x10, 0x00, 0x04}); !bytes.Equal(got, []byte{0x10, 0x00, 0x04}) {
		t.Errorf("harmless dots became % X", got)
	}
}

func TestACodeTooLargeIsRefused(t *testing.T) {
	e := encoderFor(t, "clone-58")
	_, err := e.encode(printer.Slip{Lines: []printer.Line{{Style: printer.Code, Text: strings.Repeat("a", 4000)}}})
	if !errors.Is(err, printer.ErrTooLong) {
		t.Errorf("%v, want too long", err)
	}
}

func TestTheSorterTellsAnswersApart(t *testing.T) {
	var s sorter
	var got []event
	for _, b := range []byte{
		0x12, 0x11, 0x1A, // two real-time replies, XON between
		0x14, 0x00, 0x13, 0x0C, 0x0F, // automatic status with XOFF inside
		0x37, 0x22, 'a', 'b', 'c', 'd', 0x00, // a job is out
		0x37, 0x25, 0x00, // cleared
		0x0C,       // GS r
		0x10, 0x00, // an automatic status torn by
		0x16, // a real-time reply
	} {
		if e, ok := s.next(b); ok {
			got = append(got, e)
		}
	}
	want := []event{
		{realTimeReply, [4]byte{0x12}},
		{realTimeReply, [4]byte{0x1A}},
		{autoStatus, [4]byte{0x14, 0x00, 0x0C, 0x0F}},
		{processReply, [4]byte{'a', 'b', 'c', 'd'}},
		{kind: clearedReply},
		{sensorReply, [4]byte{0x0C}},
		{realTimeReply, [4]byte{0x16}},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	custom := sorter{custom: true}
	got = nil
	for _, b := range []byte{0x10, 0x0F, 0x01, 0x02, 0x11, 0x00, 0x0C} {
		if e, ok := custom.next(b); ok {
			got = append(got, e)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint([]event{{customReply, [4]byte{0x01, 0x02, 0x11, 0x00}}, {sensorReply, [4]byte{0x0C}}}) {
		t.Errorf("custom: %v", got)
	}
}

func FuzzSorter(f *testing.F) {
	f.Add([]byte{0x12, 0x14, 0, 0x0F, 0x0F, 0x37, 0x22, 'a', 'b', 'c', 'd', 0, 0x37, 0x25, 0}, false)
	f.Add([]byte{0x10, 0x0F, 1, 2, 3, 4, 0x5F, 'T', 'M', 0}, true)
	f.Add(bytes.Repeat([]byte{0x37}, 200), false)
	f.Fuzz(func(t *testing.T, in []byte, custom bool) {
		s := sorter{custom: custom}
		for _, b := range in {
			if e, ok := s.next(b); ok && (e.kind < realTimeReply || e.kind > customReply) {
				t.Fatalf("event %v", e)
			}
			if len(s.held) > blockMost {
				t.Fatalf("%d bytes held", len(s.held))
			}
		}
		// Whatever came before, a healthy printer is understood again at the latest
		// when what it left open must be over.
		for range blockMost + 1 {
			s.next(0x5F)
		}
		s.next(0)
		if e, ok := s.next(0x12); !ok || e.kind != realTimeReply {
			t.Fatalf("deaf after % X", in)
		}
	})
}

func TestStatusBytes(t *testing.T) {
	for _, c := range []struct {
		replies [4]byte
		want    printer.Status
	}{
		{[4]byte{0x16, 0x12, 0x12, 0x12}, printer.Status{Online: true, Paper: printer.PaperFull}},
		{[4]byte{0x1A, 0x32, 0x12, 0x7E}, printer.Status{Paper: printer.PaperOut}},
		{[4]byte{0x12, 0x12, 0x12, 0x1E}, printer.Status{Online: true, Paper: printer.PaperLow}},
		{[4]byte{0x1A, 0x16, 0x12, 0x12}, printer.Status{CoverOpen: true, Paper: printer.PaperFull}},
		{[4]byte{0x1A, 0x52, 0x1A, 0x12}, printer.Status{Cutter: true, Paper: printer.PaperFull}},
		{[4]byte{0x1A, 0x52, 0x32, 0x12}, printer.Status{Fault: true, Paper: printer.PaperFull}},
		{[4]byte{0x1A, 0x12, 0x52, 0x12}, printer.Status{Head: true, Paper: printer.PaperFull}},
		{[4]byte{0x1A, 0x52, 0x16, 0x12}, printer.Status{Paper: printer.PaperJammed}},
	} {
		var s printer.Status
		for i, b := range c.replies {
			realTimeStatus(&s, fmt.Sprint(i+1), b, "")
		}
		if s != c.want {
			t.Errorf("% X: %+v, want %+v", c.replies, s, c.want)
		}
	}
	if s := autoStatusOf([4]byte{0x38, 0x08, 0x0F, 0}); !s.CoverOpen || !s.Cutter || s.Online || s.Paper != printer.PaperOut {
		t.Errorf("automatic: %+v", s)
	}
	if s := customStatus([4]byte{0x04, 0, 0, 0}); !s.Online || s.Paper != printer.PaperLow || s.Err() != nil {
		t.Errorf("custom, near the end: %+v", s)
	}
	if s := customStatus([4]byte{0x01, 0x02, 0, 0x01}); s.Online || s.Paper != printer.PaperOut || !s.CoverOpen || !s.Cutter {
		t.Errorf("custom, all wrong: %+v", s)
	}
}

// What each bit means, alone.
var (
	onlyUp      = printer.Status{Online: true, Paper: printer.PaperFull}
	onlyOffline = printer.Status{Paper: printer.PaperFull}
	onlyCover   = printer.Status{Online: true, Paper: printer.PaperFull, CoverOpen: true}
	onlyCutter  = printer.Status{Online: true, Paper: printer.PaperFull, Cutter: true}
	onlyHead    = printer.Status{Online: true, Paper: printer.PaperFull, Head: true}
	onlyFault   = printer.Status{Online: true, Paper: printer.PaperFull, Fault: true}
	onlyLow     = printer.Status{Online: true, Paper: printer.PaperLow}
	onlyOut     = printer.Status{Online: true, Paper: printer.PaperOut}
	onlyJammed  = printer.Status{Online: true, Paper: printer.PaperJammed}
	onlySlip    = printer.Status{Online: true, Paper: printer.PaperFull, Media: printer.MediaPresent}
)

// Each bit that a maker's table gives a meaning, alone, and the fixed bits beside it.
func TestEveryRealTimeStatusBit(t *testing.T) {
	realTime := [4][8]printer.Status{
		{3: onlyOffline},
		{2: onlyCover, 5: onlyOut},
		{2: onlyJammed, 3: onlyCutter, 5: onlyFault, 6: onlyHead},
		{2: onlyLow, 3: onlyLow, 5: onlyOut, 6: onlyOut},
	}
	for n, bits := range realTime {
		for bit, want := range bits {
			if 0x93>>bit&1 == 1 { // fixed
				continue
			}
			var s printer.Status
			for i := range 4 {
				b := byte(0x12)
				if i == n {
					b |= 1 << bit
				}
				realTimeStatus(&s, fmt.Sprint(i+1), b, "")
			}
			if want == (printer.Status{}) {
				want = onlyUp
			}
			if s != want {
				t.Errorf("DLE EOT %d, bit %d: %+v, want %+v", n+1, bit, s, want)
			}
		}
	}
	var s printer.Status
	realTimeStatus(&s, "4", 0x12|0x40, "eot-4")
	if s.Media != printer.MediaPresent || s.Paper != printer.PaperFull {
		t.Errorf("a slip at the presenter: %+v", s)
	}
}

// The same of what printers say in four bytes.
func TestEveryBitOfFourBytes(t *testing.T) {
	automatic := [4][8]printer.Status{
		{3: onlyOffline, 5: onlyCover},
		{2: onlyJammed, 3: onlyCutter, 5: onlyFault, 6: onlyHead},
		{0: onlyLow, 1: onlyLow, 2: onlyOut, 3: onlyOut},
	}
	custom := [4][8]printer.Status{
		{0: onlyOut, 2: onlyLow, 5: onlySlip},
		{0: onlyHead, 1: onlyCover},
		{0: onlyHead, 1: onlyFault, 3: onlyFault, 6: onlyJammed},
		{0: onlyCutter, 1: onlyCutter, 2: onlyFault, 3: onlyFault},
	}
	for what, c := range map[string]struct {
		bits [4][8]printer.Status
		base [4]byte
		read func([4]byte) printer.Status
	}{
		"GS a":       {automatic, [4]byte{0x10}, autoStatusOf},
		"DLE EOT 20": {custom, [4]byte{}, customStatus},
	} {
		for n, bits := range c.bits {
			for bit, want := range bits {
				d := c.base
				d[n] |= 1 << bit
				if want == (printer.Status{}) {
					want = onlyUp
				}
				s := c.read(d)
				if what == "DLE EOT 20" {
					want.Online = want.Err() == nil // it says no more than its reasons
				}
				if s != want {
					t.Errorf("%s, byte %d, bit %d: %+v, want %+v", what, n+1, bit, s, want)
				}
			}
		}
	}
}
