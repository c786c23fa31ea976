package jetstream_test

import (
	"log/slog"
	"path/filepath"
	"testing"

	"kosk/cmd/bus/ledger/jetstream"
	"kosk/cmd/bus/ledger/ledgertest"
)

// quiet is a log that nobody reads.
var quiet = slog.New(slog.DiscardHandler)

// inFolder opens the embedded ledger of a folder.
func inFolder(dir string) ledgertest.Open {
	return func(t testing.TB) ledgertest.Ledger {
		t.Helper()
		l, err := jetstream.Open(t.Context(), jetstream.Config{Dir: dir, Log: quiet})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
}

func TestEmbedded(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T) ledgertest.Open { return inFolder(filepath.Join(t.TempDir(), "ledger")) })
}

// TestEmbeddedCrash kills the process at random moments.
func TestEmbeddedCrash(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ledger")
	ledgertest.Crash{
		Rounds: rounds(t, 20), Env: []string{"LEDGER_DIR=" + dir}, Open: inFolder(dir), Harm: ledgertest.Kill,
	}.Run(t)
}
