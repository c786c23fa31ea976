package escpos_test

import (
	"flag"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"kosk/drivers/printer"
	"kosk/drivers/printer/escpos"
)

var onWire = flag.Int("interruptions", 10, "interruptions on a real pseudo terminal; 0 is all of them")

// ways bring a printer into each word of the table.
var ways = map[string]func(*world) (printing chan printer.Outcome){
	"idle": nil, "lineUp": nil, "mediaNotPresent": nil, "coverClosed": nil, "cutterFine": nil, "headFine": nil, "paperFull": seen(""),
	"sending":      func(w *world) chan printer.Outcome { w.paper.Slow(4800); return w.begins(60) },
	"sent":         func(w *world) chan printer.Outcome { return w.begins(20) },
	"unsure":       seen("unplugged", "replugged"),
	"held":         func(w *world) chan printer.Outcome { return w.fails("roll ends") },
	"tail":         func(w *world) chan printer.Outcome { c := w.fails("roll ends"); w.visitEnds(); return c },
	"lineMute":     seen("mute"),
	"lineGone":     seen("unplugged"),
	"paperUnknown": func(w *world) chan printer.Outcome { w.kiosk.Close(); w.paper.Unplug(); w.start(); return nil },
	"paperLow":     seen("paper low"),
	"paperOut":     seen("paper out"),
	"paperJammed":  seen("jam"),
	"mediaPresent": func(w *world) chan printer.Outcome { w.printed("slip-1"); return nil },
	"mediaJammed": func(w *world) chan printer.Outcome {
		w.printed("slip-1")
		w.paper.Hold(true)
		hands["retract"](w)
		w.paper.Hold(false)
		return nil
	},
	"mediaRetracted": func(w *world) chan printer.Outcome { w.printed("slip-1"); hands["retract"](w); return nil },
	"coverOpen":      seen("cover opened"),
	"cutterFault":    func(w *world) chan printer.Outcome { return w.fails("blade stuck") },
	"headFault":      seen("head hot"),
}

// seen lets something happen and the kiosk look at it.
func seen(names ...string) func(*world) chan printer.Outcome {
	return func(w *world) chan printer.Outcome {
		for _, name := range names {
			if name != "" {
				hands[name](w)
			}
			hands["status"](w)
		}
		return nil
	}
}

// begins starts to print, and leaves it going on.
func (w *world) begins(lines int) chan printer.Outcome {
	done := make(chan printer.Outcome, 1)
	go func() { done <- w.print("slip-1", lines) }()
	return done
}

// fails prints into a trouble.
func (w *world) fails(hand string) chan printer.Outcome {
	hands[hand](w)
	w.printed("slip-1")
	return nil
}

// TestEveryInterruptionInEveryState is generated from the table: whatever word
// the path is in, whatever happens then, the promises hold and a healed printer
// prints again.
func TestEveryInterruptionInEveryState(t *testing.T) {
	for _, profile := range []string{"custom-kpm", "epson-tm-t20ii"} {
		interruptions(t, profile, func(t *testing.T, word, hand string) {
			synctest.Test(t, func(t *testing.T) { interrupted(newWorld(t, profile, true), word, hand) })
		}, 1)
	}
}

func TestInterruptionsOnARealLine(t *testing.T) {
	every := 1
	if *onWire > 0 {
		every = len(escpos.AllWords()) * len(hands) / *onWire
	}
	interruptions(t, "custom-vkp", func(t *testing.T, word, hand string) {
		interrupted(newWorld(t, "custom-vkp", false), word, hand)
	}, every)
}

func interruptions(t *testing.T, profile string, run func(t *testing.T, word, hand string), every int) {
	n := 0
	for _, word := range escpos.AllWords() {
		if _, known := ways[word]; !known {
			t.Fatalf("no way leads to %s", word)
		}
		if !models[profile]().Holds() && (word == "mediaPresent" || word == "mediaRetracted" || word == "mediaJammed") {
			continue // this model has no slot that holds a slip
		}
		for _, hand := range slices.Sorted(maps.Keys(hands)) {
			if n++; n%every == 0 {
				t.Run(profile+"/"+word+"/"+hand, func(t *testing.T) {
					t.Parallel()
					run(t, word, hand)
				})
			}
		}
	}
}

func interrupted(w *world, word, hand string) {
	var going chan printer.Outcome
	if way := ways[word]; way != nil {
		going = way(w)
	}
	for tries := 0; !slices.Contains(w.kiosk.Words(), word); tries++ {
		if tries == 2000 {
			w.t.Fatalf("not %s but %v", word, w)
		}
		w.wait(2 * time.Millisecond)
	}
	if going != nil && hand == "restart" {
		w.kiosk.Close() // it ends the slip; the new process is the hand's
	}
	hands[hand](w)
	if going != nil {
		w.happened("slip-1", <-going)
	}
	w.paper.Slow(0)
	w.printed("slip-1")
	w.visitEnds()
	w.printed("slip-2")
	w.end()
}
