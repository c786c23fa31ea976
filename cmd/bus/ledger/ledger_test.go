package ledger

import (
	"testing"
	"time"
)

func TestAChangedEntryDoesNotFollow(t *testing.T) {
	first := Next(Entry{}, "a", time.UnixMilli(5), [32]byte{1})
	second := Next(first, "b", time.UnixMilli(6), [32]byte{2})
	if !first.Follows(Entry{}) || !second.Follows(first) {
		t.Error("what was made doesn't follow")
	}
	for name, change := range map[string]func(*Entry){
		"seq":      func(e *Entry) { e.Seq++ },
		"key":      func(e *Entry) { e.Key = "c" },
		"at":       func(e *Entry) { e.At = e.At.Add(time.Millisecond) },
		"hash":     func(e *Entry) { e.Hash[31]++ },
		"previous": func(e *Entry) { e.Previous[0]++ },
		"sum":      func(e *Entry) { e.Sum[0]++ },
	} {
		e := second
		change(&e)
		if e.Follows(first) {
			t.Errorf("%s was changed, and it follows still", name)
		}
		if name != "sum" && e.WithSum().Sum == second.Sum {
			t.Errorf("%s isn't part of the sum", name)
		}
	}
}
