package server

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"kosk/cmd/bus/msglog"
)

// TestWhatIsNotListedIsForgotten: a bus that runs for long holds no more in memory
// than one that was started just now.
func TestWhatIsNotListedIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChanges()
		c.submitted("a", "kept open", 1)
		for i := range 100 {
			id := fmt.Sprint("old", i)
			c.submitted("b", id, uint64(2+2*i))
			c.decided(id, uint64(3+2*i))
		}
		time.Sleep(listedFor / 2)
		c.decided("kept open", 300)
		c.submitted("b", "young", 301)
		if page, _, _ := c.after("b", 0); len(page) != 101 {
			t.Errorf("%d are listed, want 101", len(page))
		}
		time.Sleep(listedFor/2 + time.Hour)
		c.submitted("c", "new", 302)
		if len(c.owner) != 3 || len(c.noted) != 3 || len(c.last) != 3 {
			t.Errorf("holds %d submissions, %d notes, %d stations, want 3 of each", len(c.owner), len(c.noted), len(c.last))
		}
		if page, newest, _ := c.after("a", 0); len(page) != 1 || page[0].Seq != 300 || newest != 300 {
			t.Errorf("what changed since it came: %+v, %d", page, newest)
		}
		if page, newest, _ := c.after("b", 0); len(page) != 1 || page[0].ID != "young" || newest != 301 {
			t.Errorf("%+v, %d", page, newest)
		}
		c.decided("old0", 303) // asked for by its id, as after a new start
		if page, _, _ := c.after("b", 301); len(page) != 0 {
			t.Errorf("%+v", page)
		}
	})
}

// TestAccessesOfOnePersonAreBounded: they are counted all, and named as far as an
// answer names them.
func TestAccessesOfOnePersonAreBounded(t *testing.T) {
	a := newAccesses()
	for i := range 10*maxAccesses + 7 {
		a.add(msglog.Entry{Person: "p", Call: fmt.Sprint(i), Status: 200})
		if n := len(a.all["p"].newest); n > 2*maxAccesses {
			t.Fatalf("holds %d", n)
		}
		newest, n := a.of("p")
		if n != i+1 || len(newest) != min(n, maxAccesses) || newest[0].Call != fmt.Sprint(i) || newest[len(newest)-1].Call != fmt.Sprint(i+1-len(newest)) {
			t.Fatalf("after %d: %d named of %d, from %s to %s", i+1, len(newest), n, newest[0].Call, newest[len(newest)-1].Call)
		}
	}
}
