package main

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// After each visit connections are let go at once; what Fyne keeps is looked for
// when its time is over, once for visits that follow each other.
func TestForgetterClearsUpAtOnceAndLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		var done []string
		note := func(what string) func() {
			return func() { done = append(done, what+" "+time.Since(begun).String()) }
		}
		f := newForgetter(note("let"))
		f.repaint = note("repaint")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- f.run(ctx) }()
		for _, at := range []time.Duration{0, 30 * time.Second, 200 * time.Second} {
			time.Sleep(at - time.Since(begun))
			f.visitEnded()
			f.visitEnded() // it never blocks
			synctest.Wait()
		}
		time.Sleep(time.Hour)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		// The second call of each pair may be taken as one more end, or not.
		done = slices.Compact(done)
		want := []string{
			"let 0s", "let 30s", "repaint 1m2s", "let 1m14s",
			"let 3m20s", "repaint 3m52s", "let 4m4s",
		}
		if !slices.Equal(done, want) {
			t.Errorf("done: %q, want %q", done, want)
		}
	})
}
