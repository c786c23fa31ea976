package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"kosk/cmd/bus/ledger"
)

// Headers of a batch: all of its messages are stored, or none is.
const (
	headBatch       = "Nats-Batch-Id"
	headBatchPlace  = "Nats-Batch-Sequence" // from 1
	headBatchCommit = "Nats-Batch-Commit"   // on the last message
)

// storeFailed is the engine's word for a write or sync that failed: some of it
// may be on the disk.
const storeFailed = 10077

// What publish can answer beside nil.
var (
	// errStale: nothing was stored, since a key or the head isn't as expected.
	errStale = errors.New("not as expected")
	// errDoubt: it may be stored.
	errDoubt = errors.New("no answer")
)

// publish stores the entries in their order, with one sync for all. Each is
// stored only where it was meant: as the first under its key and directly after
// its predecessor. So a publish that comes late, after others, is refused by the
// engine, and may be made again when in doubt. Errors: errStale, errDoubt,
// ErrUnavailable.
func (l *Ledger) publish(ctx context.Context, entries []ledger.Entry, line []*waiter) error {
	id := ""
	if len(entries) > 1 {
		id = nats.NewInbox()[len(nats.InboxPrefix):]
	}
	for i, e := range entries {
		m := encode(e, line[i].body)
		m.Header[js.ExpectedStreamHeader] = []string{streamName}
		m.Header[js.ExpectedLastSubjSeqHeader] = []string{"0"}
		if i == 0 { // within a batch the order is the batch's
			m.Header[js.ExpectedLastSeqHeader] = []string{strconv.FormatUint(e.Seq-1, 10)}
		}
		if id != "" {
			m.Header[headBatch] = []string{id}
			m.Header[headBatchPlace] = []string{strconv.Itoa(i + 1)}
		}
		if i < len(entries)-1 {
			if err := l.conn.PublishMsg(m); err != nil {
				return fmt.Errorf("%w: %w", ledger.ErrUnavailable, err) // the commit was not sent
			}
			continue
		}
		if id != "" {
			m.Header[headBatchCommit] = []string{"1"}
		}
		return l.ask(ctx, m, e.Seq)
	}
	return nil
}

// ask publishes the message that ends a batch, or stands alone, and reads the
// engine's answer.
func (l *Ledger) ask(ctx context.Context, m *nats.Msg, seq uint64) error {
	ctx, cancel := context.WithTimeout(ctx, l.patience())
	defer cancel()
	reply, err := l.conn.RequestMsgWithContext(ctx, m)
	switch {
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: %w", ledger.ErrUnavailable, err) // it never left
	case err != nil:
		return fmt.Errorf("%w: %w", errDoubt, err)
	}
	return judge(reply.Data, seq)
}

// patience is how long one answer of the engine is waited for.
func (l *Ledger) patience() time.Duration {
	if l.server != nil {
		return embeddedPatience
	}
	return patience
}

// judge reads an acknowledgement. seq is the place that the last entry must have.
func judge(data []byte, seq uint64) error {
	var ack struct {
		Stream string       `json:"stream"`
		Seq    uint64       `json:"seq"`
		Error  *js.APIError `json:"error"`
	}
	if err := json.Unmarshal(data, &ack); err != nil {
		return fmt.Errorf("%w: %w", errDoubt, err)
	}
	switch {
	case ack.Error == nil && ack.Seq == seq && ack.Stream == streamName:
		return nil
	case ack.Error == nil:
		return fmt.Errorf("%w: entry %d stored at %d", errDoubt, seq, ack.Seq)
	case ack.Error.ErrorCode == js.JSErrCodeStreamWrongLastSequence, ack.Error.ErrorCode == js.JSErrCodeStreamWrongLastSequenceConstant:
		return fmt.Errorf("%w: %w", errStale, ack.Error)
	case ack.Error.ErrorCode == storeFailed:
		return fmt.Errorf("%w: %w", errDoubt, ack.Error)
	default:
		return fmt.Errorf("%w: %w", ledger.ErrUnavailable, ack.Error)
	}
}
