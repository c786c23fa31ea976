package document

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"kosk/drivers/printer"
)

// anAnswer is a printer's, as RFC 8010, appendix A has them.
func anAnswer(status uint16, state int32, reasons ...string) []byte {
	r := &request{}
	r.Write(binary.BigEndian.AppendUint16(nil, ippVersion))
	r.Write(binary.BigEndian.AppendUint16(nil, status))
	r.Write(binary.BigEndian.AppendUint32(nil, 7))
	r.WriteByte(tagOperation)
	r.add(tagCharset, "attributes-charset", "utf-8")
	r.WriteByte(tagPrinter)
	r.add(tagEnum, "printer-state", string(binary.BigEndian.AppendUint32(nil, uint32(state))))
	r.add(tagKeyword, "printer-state-reasons", reasons...)
	return r.bytes()
}

func TestReasonsAreStates(t *testing.T) {
	for _, c := range []struct {
		state   int32
		reasons []string
		want    error
		paper   printer.Paper
	}{
		{3, []string{"none"}, nil, printer.PaperFull},
		{4, []string{"media-low-warning"}, nil, printer.PaperLow},
		{5, []string{"media-empty-error"}, printer.ErrNoPaper, printer.PaperOut},
		{5, []string{"media-low-report", "media-jam-error"}, printer.ErrJammed, printer.PaperJammed},
		{5, []string{"cover-open"}, printer.ErrCoverOpen, printer.PaperUnknown},
		{5, []string{"none"}, printer.ErrOffline, printer.PaperFull},
		{3, []string{"toner-empty-error"}, printer.ErrOffline, printer.PaperUnknown},
		{3, []string{"offline-report"}, printer.ErrOffline, printer.PaperUnknown},
	} {
		a, err := parse(anAnswer(0, c.state, c.reasons...))
		if err != nil {
			t.Fatal(err)
		}
		if s := ippStatus(a.all(tagPrinter)[0]); s.Err() != c.want || s.Paper != c.paper {
			t.Errorf("%d %v: %+v, %v", c.state, c.reasons, s, s.Err())
		}
	}
}

func TestWhoseWordCompletedIs(t *testing.T) {
	for device, want := range map[string]bool{"": true, "ipp://p/ipp/print": true, "ipps://p": true, "socket://p": false, "usb://x": false, "file:/dev/null": false} {
		g := group{tagPrinter, map[string][]value{}}
		if device != "" {
			g.values["device-uri"] = []value{{tagURI, []byte(device)}}
		}
		if got := confirms(g); got != want {
			t.Errorf("%q: %v", device, got)
		}
	}
}

func TestCutAnswersAreErrors(t *testing.T) {
	whole := anAnswer(0, 3, "none", "media-low-report")
	for n := range whole {
		if _, err := parse(whole[:n]); err == nil {
			t.Errorf("%d of %d bytes are believed", n, len(whole))
		}
	}
}

func TestEndsOfJobs(t *testing.T) {
	job := func(state, pages int32) group {
		number := func(n int32) []value {
			return []value{{tagInteger, binary.BigEndian.AppendUint32(nil, uint32(n))}}
		}
		g := group{tagJob, map[string][]value{"job-state": number(state)}}
		if pages >= 0 {
			g.values["job-impressions-completed"] = number(pages)
		}
		return g
	}
	for _, c := range []struct {
		name         string
		state, pages int32
		confirms     bool
		want         printer.Outcome
	}{
		{"completed by the printer", 9, -1, true, printer.Confirmed},
		{"handed on by a queue", 9, 1, false, printer.Unknown},
		{"aborted before a page", 8, 0, true, printer.Failed},
		{"aborted after a page", 8, 1, true, printer.Unknown},
		{"cancelled by who doesn't count", 7, -1, true, printer.Unknown},
		{"still at it", 5, 0, true, 0},
	} {
		if got, _, ended := ippOutcome(job(c.state, c.pages), c.confirms); got != c.want || ended != (c.want != 0) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add(anAnswer(0, 3, "none"))
	f.Add(anAnswer(0x0406, 5, "media-jam-error", "other"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := parse(b)
		if err != nil {
			return
		}
		for _, g := range a.groups {
			_ = ippStatus(g).Err()
			_, _, _ = ippOutcome(g, true)
		}
	})
}

func FuzzReply(f *testing.F) {
	f.Add("@PJL INFO STATUS\r\nCODE=10001\r\nDISPLAY=\"READY\"\r\nONLINE=TRUE\r\n\f")
	f.Add("@PJL USTATUS JOB\r\nEND\r\nNAME=\"a\"\r\nPAGES=1\r\n\f")
	f.Fuzz(func(t *testing.T, s string) {
		in := bufio.NewReaderSize(strings.NewReader(s), maxReply)
		for {
			r, err := readReply(in)
			if err != nil {
				return
			}
			_ = pjlStatus(r).Err()
		}
	})
}

func FuzzCode(f *testing.F) {
	f.Add([]byte("/Subject <FEFF00410042>"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := Code(bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
	})
}
