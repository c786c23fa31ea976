package jetstream

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"kosk/cmd/bus/ledger"
)

// aged is a ledger of twenty entries, of which end takes the ten oldest, as the
// retention would. The walk by whom the test is about has asked before how far it
// has to go.
func aged(t *testing.T) (l *Ledger, end func()) {
	t.Helper()
	l, err := Open(t.Context(), Config{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	const old = time.Second
	for i := range 20 {
		if i == 10 {
			<-time.After(old + 100*time.Millisecond)
		}
		if _, _, err := l.Append(t.Context(), fmt.Sprint("k", i), []byte("body")); err != nil {
			t.Fatal(err)
		}
	}
	keep := func(age time.Duration) {
		c := wanted(false)
		c.MaxAge = age
		if _, err := l.js.UpdateStream(context.WithoutCancel(t.Context()), c); err != nil {
			t.Fatal(err)
		}
	}
	return l, func() {
		keep(old)
		for {
			state, err := l.state(t.Context())
			if err != nil || state.FirstSeq > 11 {
				t.Fatalf("begins at %d, %v", state.FirstSeq, err)
			}
			if state.FirstSeq == 11 {
				break
			}
			<-time.After(5 * time.Millisecond)
		}
		keep(ledger.Retention)
	}
}

// TestEntriesEndDuringAWalk: the oldest ones may be gone when the walk comes to
// them. That is no damage, whether it had begun or not.
func TestEntriesEndDuringAWalk(t *testing.T) {
	for name, begun := range map[string]bool{"before its first": false, "between its first and its second": true} {
		t.Run(name, func(t *testing.T) {
			l, end := aged(t)
			state, err := l.state(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			last := ledger.Entry{}
			if begun {
				if last, err = l.at(t.Context(), 1); err != nil {
					t.Fatal(err)
				}
			}
			end()
			var seen []uint64
			err = l.walk(t.Context(), last, state.LastSeq, func(e ledger.Entry) error { seen = append(seen, e.Seq); return nil })
			if err != nil || len(seen) != 10 || seen[0] != 11 || seen[9] != 20 {
				t.Errorf("saw %v, %v", seen, err)
			}
			if n, err := l.Verify(t.Context()); err != nil || n != 10 {
				t.Errorf("%d entries, %v", n, err)
			}
		})
	}
}

// TestAGapIsDamage: what is missing behind the oldest entry was not taken by the
// retention.
func TestAGapIsDamage(t *testing.T) {
	l, _ := aged(t)
	if last, err := l.skip(t.Context(), ledger.Entry{Seq: 5}); err == nil {
		t.Errorf("goes on after %d", last.Seq)
	}
}
