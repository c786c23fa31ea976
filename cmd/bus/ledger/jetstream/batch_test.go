package jetstream

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"
)

// What waits is committed as one atomic batch once it is many, and each by itself
// as long as it is few: the engine's own messages tell.
func TestABacklogIsOneBatch(t *testing.T) {
	l, err := Open(t.Context(), Config{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	stored := 0
	for _, waiting := range []int{embeddedBacklog - 1, 5 * embeddedBacklog} {
		l.turn <- struct{}{} // so that all have to wait
		var all sync.WaitGroup
		for i := range waiting {
			all.Go(func() {
				if _, created, err := l.Append(t.Context(), fmt.Sprint("of ", waiting, " ", i), []byte("body")); err != nil || !created {
					t.Errorf("created %v, %v", created, err)
				}
			})
		}
		for inLine := 0; inLine < waiting; <-time.After(time.Millisecond) {
			l.mu.Lock()
			inLine = len(l.line)
			l.mu.Unlock()
		}
		<-l.turn
		all.Wait()
		batches := map[string]int{}
		for seq := stored + 1; seq <= stored+waiting; seq++ {
			m, err := l.stream.GetMsg(t.Context(), uint64(seq))
			if err != nil {
				t.Fatal(err)
			}
			if id := m.Header.Get(headBatch); id != "" {
				batches[id]++
			}
		}
		stored += waiting
		if waiting < embeddedBacklog && len(batches) != 0 || waiting >= embeddedBacklog && len(batches) != 1 {
			t.Errorf("%d that waited were in batches of %v", waiting, batches)
		}
		for _, n := range batches {
			if n != waiting {
				t.Errorf("%d of %d are in the batch", n, waiting)
			}
		}
	}
}
