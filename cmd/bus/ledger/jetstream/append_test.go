package jetstream

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestGather: who was let go by a batch is waited for, but not for long, and
// nobody after a single entry.
func TestGather(t *testing.T) {
	const took = 8 * time.Millisecond
	for name, c := range map[string]struct {
		batch, waiting int // how many were in the last batch, and are in the line
		back           int // how many of them come, one each 10 µs
		took, want     time.Duration
	}{
		"after a single entry nobody is waited for":  {batch: 1, waiting: 1, back: 60, took: took},
		"after a failure nobody is waited for":       {batch: 0, waiting: 1, back: 60, took: took},
		"all come back":                              {batch: 63, waiting: 1, back: 63, took: took, want: 630 * time.Microsecond},
		"some come back":                             {batch: 63, waiting: 1, back: 5, took: took, want: took / gatherShare},
		"nobody comes back after a slow one":         {batch: 2, waiting: 1, took: time.Minute, want: gatherAtMost},
		"the line is as long as one batch can carry": {batch: maxLine, waiting: maxLine, took: took},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &Ledger{queued: map[string]*waiter{}, batch: c.batch, took: c.took}
				for i := range c.waiting {
					l.enter(fmt.Sprint("waiting", i), [32]byte{}, nil)
				}
				var all sync.WaitGroup
				all.Go(func() {
					for i := range c.back {
						<-time.After(10 * time.Microsecond)
						l.enter(fmt.Sprint("back", i), [32]byte{}, nil)
					}
				})
				start := time.Now()
				l.gather()
				if got := time.Since(start); got != c.want {
					t.Errorf("waited %v, want %v", got, c.want)
				}
				all.Wait()
				l.enter("later", [32]byte{}, nil) // nobody waits any more
			})
		})
	}
}
