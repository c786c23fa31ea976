package jetstream_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"

	"kosk/cmd/bus/ledger/jetstream"
	"kosk/cmd/bus/ledger/ledgertest"
)

// TestMain runs the binary as a writer for the suite of crashes when it is told to.
func TestMain(m *testing.M) {
	dir := os.Getenv("LEDGER_DIR")
	if dir == "" {
		os.Exit(m.Run())
	}
	if err := write(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(dir string) error {
	ctx := context.Background()
	l, err := jetstream.Open(ctx, jetstream.Config{
		Dir: dir, Log: quiet, URL: os.Getenv("LEDGER_URL"), System: os.Getenv("LEDGER_SYSTEM"),
	})
	if err != nil {
		return err
	}
	if os.Getenv(oneByOne) != "" {
		err = appendOneByOne(ctx, l)
	} else {
		err = ledgertest.Write(ctx, l, os.Getenv("LEDGER_ROUND"), os.Stdin, os.Stdout)
	}
	if end := l.Close(); err == nil {
		err = end
	}
	return err
}

// rounds is how many rounds of a crash suite to run: short, unless told.
func rounds(t *testing.T, short int) int {
	t.Helper()
	s := os.Getenv("LEDGER_CRASH_ROUNDS")
	if s == "" {
		return short
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
