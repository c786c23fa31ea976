package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"kosk/offline"
)

// When the disk leaves it unknown what is stored, the person is still told so:
// the kiosk ends by itself, when nobody is there.
func TestADoubtDoesNotTakeTheWordsOffTheScreen(t *testing.T) {
	gone := errors.New("the person has gone")
	retired := make(chan struct{})
	err := together(t.Context(), map[string]func(context.Context) error{
		"queue": func(context.Context) error { return fmt.Errorf("commit: %w", offline.ErrUnknown) },
		"kiosk": func(ctx context.Context) error {
			select {
			case <-retired:
				return gone
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	}, func() { close(retired) })
	if !errors.Is(err, gone) {
		t.Errorf("ended with %v", err)
	}
}

func TestPartsEndTogether(t *testing.T) {
	broken := errors.New("broken")
	err := together(t.Context(), map[string]func(context.Context) error{
		"voice": func(context.Context) error { return broken },
		"kiosk": func(ctx context.Context) error { <-ctx.Done(); return nil },
	}, func() { t.Error("retired without a doubt") })
	if !errors.Is(err, broken) {
		t.Errorf("ended with %v", err)
	}
}

// A log without a file of its own leaves the program its standard error: the
// last words are said there.
func TestALogWithoutAFileIsLent(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out, err := open("", f)
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("kiosk: not enrolled\n"); err != nil {
		t.Errorf("closed what was lent: %v", err)
	}
}
