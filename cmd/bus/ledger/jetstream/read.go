package jetstream

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	js "github.com/nats-io/nats.go/jetstream"

	"kosk/cmd/bus/ledger"
)

// Get is Ledger's.
func (l *Ledger) Get(ctx context.Context, key string) (ledger.Entry, []byte, error) {
	e, body, err := l.find(ctx, key)
	if err != nil {
		return ledger.Entry{}, nil, fmt.Errorf("get: %w", err)
	}
	return e, body, nil
}

// find reads the entry under a key and checks the body against it.
func (l *Ledger) find(ctx context.Context, key string) (ledger.Entry, []byte, error) {
	if len(key) > ledger.MaxKey {
		return ledger.Entry{}, nil, ledger.ErrNotFound
	}
	ctx, cancel := context.WithTimeout(ctx, l.patience())
	defer cancel()
	m, err := l.stream.GetLastMsgForSubject(ctx, subjectOf(key))
	return whole(m, err)
}

// whole makes an entry of a message that was read with its body.
func whole(m *js.RawStreamMsg, err error) (ledger.Entry, []byte, error) {
	if errors.Is(err, js.ErrMsgNotFound) {
		return ledger.Entry{}, nil, ledger.ErrNotFound
	}
	if err != nil {
		return ledger.Entry{}, nil, fmt.Errorf("%w: %w", ledger.ErrUnavailable, err)
	}
	e, err := decode(m.Subject, m.Header, m.Sequence)
	if err != nil {
		return ledger.Entry{}, nil, err
	}
	if sha256.Sum256(m.Data) != e.Hash {
		return ledger.Entry{}, nil, fmt.Errorf("%w: entry %d: body", ledger.ErrDamaged, e.Seq)
	}
	return e, m.Data, nil
}

// readHead reads the newest entry. When all are older than the retention only
// its place is known: the next entry begins a new chain.
func (l *Ledger) readHead(ctx context.Context) (ledger.Entry, error) {
	state, err := l.state(ctx)
	if err != nil {
		return ledger.Entry{}, err
	}
	switch {
	case state.Lost != nil, state.NumDeleted > 0:
		return ledger.Entry{}, fmt.Errorf("%w: %d entries are missing", ledger.ErrDamaged, state.NumDeleted)
	case state.Msgs == 0 && state.LastSeq > 0 && time.Since(state.LastTime) < ledger.Retention:
		return ledger.Entry{}, fmt.Errorf("%w: entry %d is missing", ledger.ErrDamaged, state.LastSeq)
	case state.Msgs == 0:
		return ledger.Entry{Seq: state.LastSeq}, nil
	}
	e, err := l.at(ctx, state.LastSeq)
	if errors.Is(err, ledger.ErrNotFound) {
		return ledger.Entry{}, fmt.Errorf("%w: entry %d is missing", ledger.ErrDamaged, state.LastSeq)
	}
	return e, err
}

// state asks the engine, and of a cluster its leader, how the stream stands.
func (l *Ledger) state(ctx context.Context) (js.StreamState, error) {
	ctx, cancel := context.WithTimeout(ctx, l.patience())
	defer cancel()
	info, err := l.stream.Info(ctx)
	if err != nil {
		return js.StreamState{}, fmt.Errorf("%w: %w", ledger.ErrUnavailable, err)
	}
	return info.State, nil
}

// at reads the entry at a place.
func (l *Ledger) at(ctx context.Context, seq uint64) (ledger.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, l.patience())
	defer cancel()
	m, err := l.stream.GetMsg(ctx, seq)
	e, _, err := whole(m, err)
	return e, err
}

// A wait is for one key, by one or more.
type wait struct {
	there chan struct{} // closed when entry is set
	entry ledger.Entry
	n     int // how many wait
}

// Wait is Ledger's.
func (l *Ledger) Wait(ctx context.Context, key string) (ledger.Entry, error) {
	w := l.join(key) // first, so that nothing passes between the look and the wait
	defer l.leave(key, w)
	e, _, err := l.find(ctx, key)
	if err == nil {
		return e, nil
	}
	if ctx.Err() == nil && !errors.Is(err, ledger.ErrNotFound) {
		return ledger.Entry{}, fmt.Errorf("wait: %w", err)
	}
	select {
	case <-w.there:
		return w.entry, nil
	case <-ctx.Done():
		return ledger.Entry{}, fmt.Errorf("wait: %w", context.Cause(ctx))
	}
}

func (l *Ledger) join(key string) *wait {
	l.mu.Lock()
	defer l.mu.Unlock()
	w, ok := l.waits[key]
	if !ok {
		w = &wait{there: make(chan struct{})}
		l.waits[key] = w
	}
	w.n++
	return w
}

// leave forgets a key that nobody waits for any more.
func (l *Ledger) leave(key string, w *wait) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.n--; w.n == 0 && l.waits[key] == w {
		delete(l.waits, key)
	}
}

// tellLocked ends the waits for an entry. The caller holds mu.
func (l *Ledger) tellLocked(e ledger.Entry) {
	if w, ok := l.waits[e.Key]; ok {
		w.entry = e
		close(w.there)
		delete(l.waits, e.Key)
	}
}

// Each is Ledger's. Bodies are not read: see Verify.
func (l *Ledger) Each(ctx context.Context, after uint64, seen func(ledger.Entry) error) error {
	state, err := l.state(ctx)
	if err != nil {
		return fmt.Errorf("each: %w", err)
	}
	if state.Msgs == 0 || state.LastSeq <= after {
		return nil
	}
	last := ledger.Entry{Seq: max(after, state.FirstSeq-1)} // what is older than the retention has gone
	return l.walk(ctx, last, state.LastSeq, seen)
}

// walk calls seen with the entries after last, up to a sequence number.
func (l *Ledger) walk(ctx context.Context, last ledger.Entry, upto uint64, seen func(ledger.Entry) error) error {
	f := feed{sent: l.sent, at: l.at, late: late}
	defer f.stop()
	for last.Seq < upto {
		e, err := f.next(ctx, last.Seq+1)
		if errors.Is(err, ledger.ErrNotFound) || err == nil && e.Seq > last.Seq+1 {
			last, err = l.skip(ctx, last)
		}
		if err != nil {
			return fmt.Errorf("each: %w", err)
		}
		if e.Seq <= last.Seq {
			continue // it has gone as well
		}
		if last.Sum == ([32]byte{}) && e.Seq > 1 {
			last.Sum = e.Previous // where the walk begins there is nothing to compare with
		}
		if !e.Follows(last) {
			return fmt.Errorf("each: %w: entry %d doesn't follow entry %d", ledger.ErrDamaged, e.Seq, last.Seq)
		}
		if err := seen(e); err != nil {
			return err
		}
		last = e
	}
	return nil
}

// skip goes on with the oldest entry that there is, when the next one after last
// has outlived the retention meanwhile: the engine takes the oldest away while
// others read. ErrDamaged: it is missing for another reason.
func (l *Ledger) skip(ctx context.Context, last ledger.Entry) (ledger.Entry, error) {
	state, err := l.state(ctx)
	if err != nil {
		return last, err
	}
	if state.FirstSeq <= last.Seq+1 {
		return last, fmt.Errorf("%w: entry %d is missing", ledger.ErrDamaged, last.Seq+1)
	}
	return ledger.Entry{Seq: state.FirstSeq - 1}, nil
}

// sent has the engine send the entries from a place on, without their bodies.
func (l *Ledger) sent(ctx context.Context, from uint64) (js.MessagesContext, error) {
	c, err := l.js.OrderedConsumer(ctx, streamName, js.OrderedConsumerConfig{
		DeliverPolicy: js.DeliverByStartSequencePolicy, OptStartSeq: from, HeadersOnly: true,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ledger.ErrUnavailable, err)
	}
	messages, err := c.Messages()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ledger.ErrUnavailable, err)
	}
	return messages, nil
}

func entryOf(m js.Msg) (ledger.Entry, error) {
	meta, err := m.Metadata()
	if err != nil {
		return ledger.Entry{}, err
	}
	return decode(m.Subject(), m.Headers(), meta.Sequence.Stream)
}

// Verify reads the whole ledger, bodies too, and returns how many entries it
// holds, or ErrDamaged with the first that is missing, changed or out of order.
func (l *Ledger) Verify(ctx context.Context) (n int, err error) {
	err = l.Each(ctx, 0, func(e ledger.Entry) error {
		again, err := l.at(ctx, e.Seq)
		if errors.Is(err, ledger.ErrNotFound) {
			_, err := l.skip(ctx, ledger.Entry{Seq: e.Seq - 1})
			return err
		}
		if err != nil {
			return fmt.Errorf("entry %d: %w", e.Seq, err)
		}
		if again != e {
			return fmt.Errorf("%w: entry %d", ledger.ErrDamaged, e.Seq)
		}
		n++
		return nil
	})
	return n, err
}
