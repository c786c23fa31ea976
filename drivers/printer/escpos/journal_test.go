package escpos

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"kosk/drivers/printer"
	"kosk/drivers/printer/paper"
)

func reopened(t *testing.T, path string) *journal {
	t.Helper()
	j, err := openJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.close() })
	return j
}

func TestWhatWasLeftHalfWayIsUnknownAfterAStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slips")
	j := reopened(t, path)
	want := map[string]State{}
	for state, after := range map[State]State{
		Queued: Failed, Sending: Unknown, Sent: Unknown, Confirmed: Confirmed, Unknown: Unknown, Failed: Failed,
	} {
		id := "slip-" + string(state)
		want[id] = after
		if err := j.record(id, Queued); err != nil {
			t.Fatal(err)
		}
		if err := j.record(id, state); err != nil {
			t.Fatal(err)
		}
	}
	j = reopened(t, path) // as after a kill: the first was never closed
	for id, state := range want {
		if got := j.state(id); got != state {
			t.Errorf("%s is %s, want %s", id, got, state)
		}
	}
	if again := reopened(t, path); again.state("slip-sent") != Unknown {
		t.Error("unknown doesn't stay unknown")
	}
}

func TestAPieceMayHangUntilAnotherSlipIsOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slips")
	j := reopened(t, path)
	for _, c := range []struct {
		id    string
		state State
		hangs bool
	}{{"a", Sending, true}, {"b", Failed, true}, {"b", Unknown, true}, {"c", Confirmed, false}} {
		if err := j.record(c.id, c.state); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if j = reopened(t, path); j.hangs != c.hangs {
				t.Errorf("%s %s: hangs is %v", c.id, c.state, j.hangs)
			}
		}
	}
}

// A power cut can leave any beginning of the file.
func TestATornJournalIsReadToItsLastWholeLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slips")
	j := reopened(t, path)
	for i := range 3 {
		id := fmt.Sprintf("slip-%d", i)
		for _, s := range []State{Queued, Sending, Sent, Confirmed} {
			if err := j.record(id, s); err != nil {
				t.Fatal(err)
			}
		}
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) {
		cut := filepath.Join(t.TempDir(), "cut")
		if err := os.WriteFile(cut, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		j := reopened(t, cut)
		for i := range 3 {
			id := fmt.Sprintf("slip-%d", i)
			begun := strings.Contains(string(whole[:n]), "sending "+id+"\n")
			done := strings.Contains(string(whole[:n]), "confirmed "+id+"\n")
			got := j.state(id)
			if done && got != Confirmed || begun && !done && got != Unknown || !begun && got != "" && got != Failed {
				t.Fatalf("cut at %d: %s is %q", n, id, got)
			}
		}
		if err := j.record("next", Queued); err != nil {
			t.Fatal(err)
		}
		if after := reopened(t, cut); after.state("next") != Failed {
			t.Fatalf("cut at %d: the next line is lost", n)
		}
	}
}

func TestAnOldJournalIsShortened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slips")
	var b strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&b, "2026-11-22T02:25:12Z confirmed slip-%05d\n", i)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	j := reopened(t, path)
	if j.state("slip-09999") != Confirmed || j.state("slip-00000") != "" {
		t.Error("the wrong slips are forgotten")
	}
	if err := j.record("slip-new", Queued); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() > journalMost {
		t.Errorf("%d bytes, %v", info.Size(), err)
	}
	if reopened(t, path).state("slip-new") != Failed {
		t.Error("what came after the shortening is lost")
	}
}

// A journal that is never opened anew is bounded, too, and so is what it knows.
func TestAJournalThatRunsForYearsIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slips")
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), temporary+"123"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	j := reopened(t, path)
	j.mu.Lock()
	for i := range 4_000 { // as by record, without its sync
		j.note(fmt.Sprintf("slip-%05d", i), Confirmed)
	}
	j.size = journalMost
	j.mu.Unlock()
	var most int64
	for i := range 200 {
		if err := j.record(fmt.Sprintf("new-%05d", i), Confirmed); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if most = max(most, info.Size()); info.Size() != j.size && i > 0 {
			t.Errorf("%d bytes, thought %d", info.Size(), j.size)
		}
	}
	if most == 0 || most > journalMost || len(j.states) > journalKeep+200 || len(j.order) != len(j.states) {
		t.Errorf("at most %d bytes; knows %d of %d slips", most, len(j.states), len(j.order))
	}
	again := reopened(t, path)
	for _, j := range []*journal{j, again} {
		if j.state("new-00199") != Confirmed || j.state("slip-03999") != Confirmed || j.state("slip-00000") != "" {
			t.Error("the wrong slips are forgotten")
		}
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); err != nil || len(left) != 1 {
		t.Errorf("left %q, %v", left, err)
	}
	if again.size != j.size {
		t.Errorf("%d bytes, and then %d", j.size, again.size)
	}
}

func TestIDsThatBreakALineAreRefused(t *testing.T) {
	j := reopened(t, filepath.Join(t.TempDir(), "slips"))
	for _, id := range []string{"", "a b", "a\nconfirmed b"} {
		if err := j.record(id, Queued); err == nil {
			t.Errorf("%q was recorded", id)
		}
	}
}

// TestASlipIsACopyThoughTheDiskForgotIt has the disk fail behind each state of a
// slip: out it is, or may be, and the next print of it must say so.
func TestASlipIsACopyThoughTheDiskForgotIt(t *testing.T) {
	for _, last := range []State{Sending, Sent} {
		synctest.Test(t, func(t *testing.T) { forgetful(t, last) })
	}
}

func forgetful(t *testing.T, last State) {
	var kiosk *Printer
	var fails sync.Once
	fail := func() {
		if kiosk != nil && kiosk.State("slip") == last {
			fails.Do(func() { kiosk.journal.close() })
		}
	}
	p, err := paper.Open(paper.Options{Memory: true, MMPerSecond: 150, OnSlip: func(paper.Slip) { fail() }})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	o := Options{Profile: "epson-tm-t20ii", Journal: filepath.Join(t.TempDir(), "slips"), Log: slog.New(slog.DiscardHandler)}
	kiosk, err = Open(t.Context(), Overhear(o, p, func([]byte) { fail() }))
	if err != nil {
		t.Fatal(err)
	}
	defer kiosk.Close()
	slip := printer.Slip{ID: "slip", Lines: []printer.Line{{Text: "once"}}}
	if _, err := kiosk.Print(t.Context(), slip); kiosk.State("slip") != last {
		t.Fatalf("it is %s, want %s, %v", kiosk.State("slip"), last, err)
	}
	kiosk.journal.file = reopened(t, filepath.Join(t.TempDir(), "slips")).file
	if outcome, err := kiosk.Print(t.Context(), slip); outcome != printer.Confirmed {
		t.Fatal(outcome, err)
	}
	for i, out := range p.Slips() {
		if strings.Contains(out.Text, copyMark) != (i > 0) {
			t.Errorf("%s: slip %d is\n%s", last, i, out.Text)
		}
	}
	if n := len(p.Slips()); n != 2 {
		t.Errorf("%s: %d slips came out", last, n)
	}
}
