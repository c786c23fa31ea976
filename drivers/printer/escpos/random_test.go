package escpos_test

import (
	"flag"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"kosk/drivers/printer"
	"kosk/drivers/printer/escpos"
	"kosk/drivers/printer/paper"
)

var troubles = flag.Int("troubles", 20, "runs of random troubles")

// TestRandomTroubles lets everything go wrong in any order and holds to what a
// citizen is promised: no slip twice without the mark, none claimed that isn't
// out, none out that was called failed, no two people's slips on one piece.
func TestRandomTroubles(t *testing.T) {
	for run := range *troubles {
		// The generator is seeded by the run, so that a failure can be repeated.
		moves := rapid.SliceOfN(rapid.SampledFrom(moveNames), 10, 20).Example(run)
		if !t.Run(fmt.Sprint(run), func(t *testing.T) { trouble(t, moves) }) {
			t.Fatalf("moves %v", moves)
		}
	}
}

var moveNames = []string{"print", "print", "print", "again", "out", "low", "short roll", "full", "full", "cover", "shut", "blade", "free", "mute", "heard", "unplug", "replug", "clear", "restart"}

func trouble(t *testing.T, moves []string) {
	p := putPaper(t, paper.Options{})
	o := escpos.Options{
		Path: p.Path(), Profile: "epson-tm-t20ii", Baud: 115200,
		Journal: filepath.Join(t.TempDir(), "slips"), Patience: 500 * time.Millisecond,
	}
	e := open(t, o)
	hands := map[string]func(){
		"out": func() { p.SetPaper(printer.PaperOut) }, "low": func() { p.SetPaper(printer.PaperLow) },
		"short roll": func() { p.SetRoll(12) }, "full": func() { p.SetPaper(printer.PaperFull) },
		"cover": func() { p.Cover(true) }, "shut": func() { p.Cover(false) },
		"blade": func() { p.Cutter(true) }, "free": func() { p.Cutter(false) },
		"mute": func() { p.Mute(true) }, "heard": func() { p.Mute(false) },
		"unplug": p.Unplug, "replug": func() { _ = p.Replug() },
		"restart": func() {
			e.Close()
			e = open(t, o)
		},
	}
	outcomes := map[string][]printer.Outcome{}
	left := map[string]int{} // ends of slips that were out when their people had left
	n := 0
	// A whole slip that a stuck blade holds back falls when it is freed.
	blade := slices.Contains(moves, "blade")
	for _, move := range moves {
		if hand := hands[move]; hand != nil {
			hand()
			continue
		}
		if move == "clear" {
			if e.Clear(t.Context()) == nil && !blade {
				for id := range outcomes {
					left[id] = ends(p, id)
				}
			}
			continue
		}
		if move == "print" || n == 0 {
			n++
		}
		id := fmt.Sprintf("slip-%d", n)
		outcome, err := e.Print(t.Context(), oneOf(id))
		if (outcome == printer.Confirmed) != (err == nil) {
			t.Errorf("%s: %v, %v", id, outcome, err)
		}
		outcomes[id] = append(outcomes[id], outcome)
		delete(left, id)
		promises(t, p, id, outcomes[id])
	}
	p.SetPaper(printer.PaperFull) // what the printer still holds would come now
	p.Cover(false)
	for id := range outcomes {
		promises(t, p, id, outcomes[id])
	}
	for id, n := range left {
		if now := ends(p, id); now != n {
			t.Errorf("%s went on printing after its person had left", id)
		}
	}
}

// ends counts how often the last line of a slip is out.
func ends(p *paper.Paper, id string) int {
	n := 0
	for _, text := range texts(p) {
		n += strings.Count(text+"\n", "end "+id+"\n")
	}
	return n
}

var anySlip = regexp.MustCompile(`slip-\d+`)

func oneOf(id string) printer.Slip {
	s := printer.Slip{ID: id, Lines: []printer.Line{{Style: printer.Heading, Text: "begin " + id}}}
	for range 6 {
		s.Lines = append(s.Lines, printer.Line{Text: "ə", Right: id + "."})
	}
	s.Lines = append(s.Lines, printer.Line{Text: "end " + id})
	return s
}

func promises(t *testing.T, p *paper.Paper, id string, outcomes []printer.Outcome) {
	t.Helper()
	unmarked, whole, pieces := 0, 0, 0
	for _, text := range texts(p) {
		if !strings.Contains(text, "begin "+id+"\n") && !strings.Contains(text, id+".") {
			continue
		}
		pieces++
		if all := anySlip.FindAllString(text, -1); slices.ContainsFunc(all, func(s string) bool { return s != all[0] }) {
			t.Errorf("two slips on one piece:\n%s", text)
		}
		if strings.Contains(text, "begin "+id+"\n") && strings.HasSuffix(text, "end "+id) {
			whole++
			if !strings.Contains(text, "COPY") {
				unmarked++
			}
		}
	}
	confirmed, sent := 0, 0
	for _, o := range outcomes {
		if o == printer.Confirmed {
			confirmed++
		}
		if o != printer.Failed {
			sent++
		}
	}
	if unmarked > 1 {
		t.Errorf("%s is out %d times without the mark", id, unmarked)
	}
	if whole < confirmed {
		t.Errorf("%s was confirmed %d times and is out %d times", id, confirmed, whole)
	}
	if sent == 0 && pieces > 0 {
		t.Errorf("%s failed, and %d pieces of it are out", id, pieces)
	}
}
