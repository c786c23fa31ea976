// Package export reads what `kioskctl queue export` writes: requests that a kiosk
// holds and can't deliver, sealed as they are, each a line of JSON and the body.
//
// It checks that they are whole, and can't open them. Several exports behind each
// other in one file (cat a b > c) are an export too. Start at Each.
package export

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"kosk/device/request"
)

// ErrExport says that bytes are no export, or not all of one, or not as they were
// written. Compare with errors.Is.
var ErrExport = errors.New("not a whole export")

// maxHead is the longest line of JSON.
const maxHead = 4 << 10

// An Item is one request.
type Item struct {
	ID     request.ID
	Sealed []byte // the envelope
	Kiosk  Kiosk
}

// A Kiosk is what the kiosk said of a request. Nothing proves it, and nothing
// depends on it.
type Kiosk struct {
	State    string `json:"state"`            // queued, parked
	Reason   string `json:"reason,omitempty"` // of parked
	Attempts int    `json:"attempts"`
	Maybe    bool   `json:"maybe_sent"`
}

// head is the line of JSON; what else it may hold is for people.
type head struct {
	ID     string `json:"id"`
	Size   int    `json:"size"`
	SHA256 string `json:"sha256"` // of the body
	Kiosk
}

// Each calls seen with every request of an export, in order, and stops at the first
// error. One that holds none is ErrExport as well.
func Each(r io.Reader, seen func(Item) error) error {
	in := bufio.NewReaderSize(r, maxHead)
	for n := 1; ; n++ {
		if _, err := in.Peek(1); errors.Is(err, io.EOF) && n > 1 {
			return nil
		}
		item, err := read(in)
		if err != nil {
			return fmt.Errorf("request %d of the export: %w", n, err)
		}
		if err := seen(item); err != nil {
			return err
		}
	}
}

func read(in *bufio.Reader) (Item, error) {
	line, err := in.ReadSlice('\n')
	switch {
	case errors.Is(err, io.EOF):
		return Item{}, fmt.Errorf("%w: its first line doesn't end", ErrExport)
	case errors.Is(err, bufio.ErrBufferFull):
		return Item{}, fmt.Errorf("%w: its first line is too long", ErrExport)
	case err != nil:
		return Item{}, err
	}
	var h head
	if err := json.Unmarshal(line, &h); err != nil {
		return Item{}, fmt.Errorf("%w: its first line is not the one of an export", ErrExport)
	}
	id, err := request.ParseID(h.ID)
	if err != nil {
		return Item{}, fmt.Errorf("%w: %w", ErrExport, err)
	}
	if h.Size <= 0 || h.Size > request.MaxSealed {
		return Item{}, fmt.Errorf("%w: %s: size", ErrExport, id)
	}
	sealed := make([]byte, h.Size)
	if _, err := io.ReadFull(in, sealed); errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return Item{}, fmt.Errorf("%w: %s: it was cut off", ErrExport, id)
	} else if err != nil {
		return Item{}, err
	}
	if sum := sha256.Sum256(sealed); hex.EncodeToString(sum[:]) != h.SHA256 {
		return Item{}, fmt.Errorf("%w: %s: it was changed", ErrExport, id)
	}
	return Item{ID: id, Sealed: sealed, Kiosk: h.Kiosk}, nil
}
