// Package pcsc is the card.Reader of the PC/SC daemon, pcscd. It finds the daemon
// where PCSCLITE_CSOCK_NAME says; the client library reads that variable once, at
// the first call in a process.
//
// The daemon may die and come back, and readers may be unplugged: Watch says so
// and goes on. What lies in the card is none of its business: see eid.
package pcsc

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/ebfe/scard"

	"kosk/drivers/card"
)

// maxName is MAX_READERNAME of pcsclite.h.
const maxName = 128

// A Reader is one slot of the daemon. It holds nothing open between calls.
type Reader struct {
	prefix string
	log    *slog.Logger

	mu   sync.Mutex
	held *sight // what Watch sees; nil while none runs
}

// A sight is what a Watch has told last.
type sight struct {
	slot card.Slot
	err  error // why there is no reader
}

// Open chooses the first slot whose name begins with reader; "" takes the first
// of all. The daemon and the slot need not be there yet: Watch waits for them,
// and Connect answers card.ErrNoReader. log may be nil.
func Open(reader string, log *slog.Logger) (*Reader, error) {
	if len(reader) >= maxName || strings.ContainsRune(reader, 0) {
		return nil, fmt.Errorf("open reader: no reader has such a name: %q", reader)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Reader{prefix: reader, log: log}, nil
}

// find names the slots that are ours, in the daemon's order.
func (r *Reader) find(ctx *scard.Context) ([]string, error) {
	names, err := ctx.ListReaders()
	if errors.Is(err, scard.ErrNoReadersAvailable) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var ours []string
	for _, n := range names {
		if strings.HasPrefix(n, r.prefix) {
			ours = append(ours, n)
		}
	}
	return ours, nil
}

// contractErrors says in the contract's words what the daemon says in its own.
var contractErrors = map[scard.Error]error{
	scard.ErrRemovedCard:        card.ErrRemoved,
	scard.ErrNotTransacted:      card.ErrRemoved,
	scard.ErrResetCard:          card.ErrRemoved,
	scard.ErrNoSmartcard:        card.ErrNoCard,
	scard.ErrUnresponsiveCard:   card.ErrMute,
	scard.ErrUnpoweredCard:      card.ErrMute,
	scard.ErrProtoMismatch:      card.ErrMute,
	scard.ErrNoService:          card.ErrNoService,
	scard.ErrServiceStopped:     card.ErrNoService,
	scard.ErrSecurityViolation:  card.ErrNoService, // said to us, or by a daemon that is killed in mid-answer
	scard.ErrInvalidHandle:      card.ErrNoReader,
	scard.ErrCommError:          card.ErrNoReader,
	scard.ErrReaderUnavailable:  card.ErrNoReader,
	scard.ErrUnknownReader:      card.ErrNoReader,
	scard.ErrNoReadersAvailable: card.ErrNoReader,
}

// translate wraps an error of the daemon in the contract's sentinel.
func translate(err error) error {
	var code scard.Error
	if !errors.As(err, &code) {
		return err
	}
	if sentinel, known := contractErrors[code]; known {
		return fmt.Errorf("%w: %w", sentinel, err)
	}
	return err
}
