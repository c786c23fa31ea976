package escpos_test

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

var (
	troubles = flag.Int("troubles", 200, "runs of random troubles on a line in memory")
	cuts     = flag.Int("cuts", 60, "places of a slip, on each model, at which it loses power")
	wired    = flag.Int("wired", 7, "runs of random troubles on a real pseudo terminal")
)

// TestRandomTroubles lets everything go wrong in any order and holds to what a
// citizen is promised. The clock jumps, so that waiting costs nothing:
// -troubles 10000 takes a minute or two.
func TestRandomTroubles(t *testing.T) {
	for run := range *troubles {
		profile, moves := chance(run)
		t.Run(fmt.Sprint(run), func(t *testing.T) {
			t.Parallel()
			defer explain(t, profile, moves)
			synctest.Test(t, func(t *testing.T) { trouble(newWorld(t, profile, true), moves) })
		})
	}
}

func TestRandomTroublesOnARealLine(t *testing.T) {
	for run := range *wired {
		profile, moves := chance(run)
		t.Run(fmt.Sprint(run), func(t *testing.T) {
			t.Parallel()
			defer explain(t, profile, moves)
			trouble(newWorld(t, profile, false), moves)
		})
	}
}

func explain(t *testing.T, profile string, moves []string) {
	if t.Failed() {
		t.Logf("%s: %s", profile, strings.Join(moves, ", "))
	}
}

// chance draws a model and what happens to it. It is seeded by the run, so that
// a failure can be repeated.
func chance(run int) (profile string, moves []string) {
	names := slices.Sorted(maps.Keys(hands))
	single := rapid.Custom(func(t *rapid.T) string {
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			return "print"
		case 1:
			return "again"
		case 2: // while a slip is printed
			return fmt.Sprintf("%s@%d", rapid.SampledFrom(names).Draw(t, "hand"), rapid.IntRange(0, 900).Draw(t, "ms"))
		case 3:
			return rapid.SampledFrom(heals).Draw(t, "heal")
		}
		return rapid.SampledFrom(names).Draw(t, "hand")
	})
	models := slices.Sorted(maps.Keys(models))
	return models[run%len(models)], rapid.SliceOfN(single, 8, 18).Example(run)
}

func trouble(w *world, moves []string) {
	n := 0
	for i, move := range moves {
		if i == len(moves)/3 {
			w.watch()
		}
		name, at, within := strings.Cut(move, "@")
		hand := hands[name]
		if hand != nil && !within {
			hand(w)
			continue
		}
		if name != "again" || n == 0 {
			n++
		}
		id := fmt.Sprintf("slip-%d", n)
		if !within {
			w.printed(id)
			continue
		}
		switch name {
		case "restart", "visit ends", "slip not taken": // they wait for the slip, or end it with the world
			hand, within = hands["unplugged"], true
		case "power cycle":
			if !w.macros { // README.md, what doesn't hold: it takes half a second to be noticed
				hand, within = hands["outage"], true
			}
		}
		ms, _ := time.ParseDuration(at + "ms")
		done := make(chan struct{})
		timer := time.AfterFunc(ms, func() { defer close(done); hand(w) })
		outcome := w.print(id, 6)
		if !timer.Stop() {
			<-done
		}
		w.happened(id, outcome)
	}
	w.end()
}
