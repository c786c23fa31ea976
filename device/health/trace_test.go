package health

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestSpansFormOneTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Recorder
		root := NewTrace()
		endRoot := r.Root(root, "confirm")
		within, end := r.Begin(root, "seal")
		time.Sleep(20 * time.Millisecond)
		end("")
		end("twice") // is once
		endRoot("full")
		carried := ParseTrace(root.Parent())
		if carried != root || within == root {
			t.Fatalf("%v carried as %v; within %v", root, carried, within)
		}
		spans, _ := r.Take()
		if len(spans) != 2 {
			t.Fatalf("%d spans", len(spans))
		}
		seal, confirm := spans[0], spans[1]
		if seal.Trace != confirm.Trace || seal.Parent != confirm.ID || confirm.Parent != "" || seal.ID == confirm.ID {
			t.Errorf("seal %+v, confirm %+v", seal, confirm)
		}
		if seal.End.Sub(seal.Start) != 20*time.Millisecond || seal.Name != "seal" || seal.Error != "" || confirm.Error != "full" {
			t.Errorf("seal %+v, confirm %+v", seal, confirm)
		}
		if !isHex(seal.Trace, 32) || !isHex(seal.ID, 16) {
			t.Errorf("ids %q, %q", seal.Trace, seal.ID)
		}
		if spans, _ = r.Take(); len(spans) != 0 {
			t.Error("taken twice")
		}
	})
}

func TestNoTraceIsNoSpan(t *testing.T) {
	var r Recorder
	for _, s := range []string{
		"", "00-1-2-3", "01-" + NewTrace().Parent()[3:], NewTrace().Parent()[:54], NewTrace().Parent() + "-1",
		"00-00000000000000000000000000000000-0102030405060708-01", "00-0102030405060708090a0b0c0d0e0f10-0000000000000000-01",
		"00-0102030405060708090A0B0C0D0E0F10-0102030405060708-01",
	} {
		tr := ParseTrace(s)
		if tr.Parent() != "" {
			t.Errorf("%q is %q", s, tr.Parent())
		}
		_, end := r.Begin(tr, "deliver")
		end("")
		r.Root(tr, "confirm")("")
	}
	if spans, _ := r.Take(); len(spans) != 0 {
		t.Errorf("%d spans", len(spans))
	}
	var none *Recorder
	_, end := none.Begin(NewTrace(), "seal")
	end("")
	none.Root(NewTrace(), "confirm")("")
	none.Fault("fault.mute")
	none.GiveBack(none.Take())
}

// What nobody fetches is bounded, and what could not be delivered comes again.
func TestARecorderForgetsTheOldest(t *testing.T) {
	var r Recorder
	for i := range maxSpans + 100 {
		_, end := r.Begin(NewTrace(), fmt.Sprint(i))
		end("")
	}
	spans, _ := r.Take()
	if len(spans) != reportSpans || spans[0].Name != "100" {
		t.Fatalf("%d spans from %s", len(spans), spans[0].Name)
	}
	r.GiveBack(spans, nil)
	for want := 100; ; {
		spans, _ := r.Take()
		if len(spans) == 0 {
			if want != maxSpans+100 {
				t.Errorf("the last was %d", want)
			}
			break
		}
		for _, s := range spans {
			if s.Name != fmt.Sprint(want) {
				t.Fatalf("got %s, want %d", s.Name, want)
			}
			want++
		}
	}
}

func TestFaultsAreCountedByKind(t *testing.T) {
	var r Recorder
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 10 {
				r.Fault("fault.no_paper")
				r.Fault("")
			}
		})
	}
	all.Wait()
	r.Fault("fault.mute")
	_, faults := r.Take()
	if len(faults) != 2 || faults[0] != (Fault{"fault.mute", 1}) || faults[1] != (Fault{"fault.no_paper", 40}) {
		t.Fatalf("%v", faults)
	}
	r.Fault("fault.mute")
	r.GiveBack(nil, faults)
	if _, faults = r.Take(); faults[0].Count != 2 {
		t.Errorf("given back: %v", faults)
	}
	for i := range maxKinds + 5 {
		r.Fault(fmt.Sprintf("fault.%03d", i))
	}
	_, faults = r.Take()
	if len(faults) != maxKinds+1 || faults[maxKinds] != (Fault{otherKinds, 5}) {
		t.Errorf("%d kinds, the last %v", len(faults), faults[len(faults)-1])
	}
}

func FuzzParseTrace(f *testing.F) {
	f.Add(NewTrace().Parent())
	f.Add("00--")
	f.Fuzz(func(t *testing.T, s string) {
		if p := ParseTrace(s); p.Parent() != "" && ParseTrace(p.Parent()) != p {
			t.Errorf("%q", s)
		}
	})
}
