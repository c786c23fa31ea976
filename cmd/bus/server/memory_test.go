package server

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

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

// TestWhatCameMeanwhile: what is noted while those of before the start are read, in
// whichever order the two come, is listed as if it had come after them.
func TestWhatCameMeanwhile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []noted
		decided := map[string]bool{}
		for i := range rapid.IntRange(0, 20).Draw(t, "entries") {
			n := noted{station: "a", id: fmt.Sprint(i), seq: uint64(i + 1), at: time.Now()}
			if k := rapid.IntRange(0, max(0, i-1)).Draw(t, "decides"); i > 0 && rapid.Bool().Draw(t, "decision") && all[k].station != "" && !decided[all[k].id] {
				n.station, n.id = "", all[k].id
				decided[n.id] = true
			}
			all = append(all, n)
		}
		want := newChanges()
		for _, n := range all {
			want.submittedAt(n)
		}
		got := newChanges()
		got.filling = true
		from := rapid.IntRange(0, len(all)).Draw(t, "early from")
		upto := rapid.IntRange(from, len(all)).Draw(t, "told up to") // the walk may see some of them as well
		err := got.fill(func(take func(noted)) error {
			for i, n := range all {
				if i >= from {
					got.submittedAt(n)
				}
				if i < upto {
					take(n)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		page, newest, _ := got.after("a", 0)
		wantPage, wantNewest, _ := want.after("a", 0)
		if !slices.Equal(page, wantPage) || newest != wantNewest {
			t.Errorf("got %v, %d; want %v, %d", page, newest, wantPage, wantNewest)
		}
	})
}

// TestLooksOfBeforeAndSince: those that are read late come first.
func TestLooksOfBeforeAndSince(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 5*maxAccesses).Draw(t, "looks")
		from := rapid.IntRange(0, n).Draw(t, "since")
		want, since, past := newAccesses(), newAccesses(), newAccesses()
		for i := range n {
			e := msglog.Entry{Person: fmt.Sprint("p", i%2), Call: fmt.Sprint(i)}
			want.add(e)
			if i >= from {
				since.add(e)
			} else {
				past.add(e)
			}
		}
		since.precede(past)
		for _, person := range []string{"p0", "p1", "nobody"} {
			got, count := since.of(person)
			wantLooks, wantCount := want.of(person)
			if !slices.Equal(got, wantLooks) || count != wantCount {
				t.Fatalf("%s: %d of %d, want %d of %d", person, len(got), count, len(wantLooks), wantCount)
			}
		}
	})
}
