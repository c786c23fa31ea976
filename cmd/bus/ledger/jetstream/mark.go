package jetstream

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"kosk/cmd/bus/ledger"
	"kosk/device/keep"
)

// A mark is the newest entry that this bus remembers outside of the engine: an
// engine that has lost it, or holds another one there, is refused. So an older
// copy of the ledger, or a cut that the engine has mended by forgetting, is seen.
type mark struct {
	path string
	last time.Time // when it was written
}

// markEvery is how often the mark follows the ledger's head.
const markEvery = time.Second

type marked struct {
	Seq uint64 `json:"seq"`
	Sum string `json:"sum"` // hex
}

// read returns the marked entry; only Seq and Sum are set. There is none at Seq 0.
func (m *mark) read() (ledger.Entry, error) {
	raw, err := os.ReadFile(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return ledger.Entry{}, nil
	}
	if err != nil {
		return ledger.Entry{}, err
	}
	var f marked
	if err := json.Unmarshal(raw, &f); err != nil {
		return ledger.Entry{}, fmt.Errorf("%w: mark: %w", ledger.ErrDamaged, err)
	}
	sum, ok := sumOf(f.Sum)
	if !ok || f.Seq == 0 {
		return ledger.Entry{}, fmt.Errorf("%w: mark", ledger.ErrDamaged)
	}
	return ledger.Entry{Seq: f.Seq, Sum: sum}, nil
}

// due reports whether the mark is old enough to be written again.
func (m *mark) due(now time.Time) bool { return now.Sub(m.last) >= markEvery }

// write replaces the mark as a whole. e has been acknowledged.
func (m *mark) write(e ledger.Entry) error {
	if e.Seq == 0 {
		return nil
	}
	m.last = time.Now()
	raw, err := json.Marshal(marked{Seq: e.Seq, Sum: hex.EncodeToString(e.Sum[:])})
	if err != nil {
		return err
	}
	return keep.File(m.path, raw)
}
