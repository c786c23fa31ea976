package jetstream

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"kosk/cmd/bus/ledger"
)

// How long a commit may take, and how much may be in one.
const (
	maxLine      = 256
	gatherShare  = 8 // of what the last batch took
	gatherAtMost = 2 * time.Millisecond
	maxLineBytes = 16 << 20
	commitWithin = 30 * time.Second
	firstPause   = 20 * time.Millisecond
	longestPause = time.Second
)

// A waiter is one key in the line, for all who wait for it.
type waiter struct {
	key  string
	hash [32]byte
	body []byte

	sent [][32]byte // sums of the entries that were sent for it, by the holder of the turn

	done  chan struct{} // closed when what is below is set
	entry ledger.Entry
	mine  bool // entry is what this line sent
	err   error
}

// settled reports whether the waiter has its answer.
func (w *waiter) settled() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// Append is Ledger's. Its context is looked at before the entry is in the
// line; from then on the answer is waited for, since it is worth having.
//
// Whoever appends puts the entry in a line; one of those who wait sends the
// whole line in one batch, which costs one sync (group commit). One batch is on
// its way at a time: two of half the size are no faster, and the second would have
// to be taken back when the first is refused.
func (l *Ledger) Append(ctx context.Context, key string, body []byte) (ledger.Entry, bool, error) {
	if len(key) > ledger.MaxKey || len(body) > ledger.MaxBody {
		return ledger.Entry{}, false, fmt.Errorf("append: %w", ledger.ErrTooLong)
	}
	if err := ctx.Err(); err != nil {
		return ledger.Entry{}, false, fmt.Errorf("append: %w", err)
	}
	hash := sha256.Sum256(body)
	w, first := l.enter(key, hash, body)
	for waiting := true; waiting; {
		select {
		case <-w.done:
			waiting = false
		case l.turn <- struct{}{}:
			if !w.settled() { // who has an answer leaves the turn to those who have none
				l.commit(context.WithoutCancel(ctx))
			}
			<-l.turn
		}
	}
	switch {
	case w.err != nil:
		return ledger.Entry{}, false, fmt.Errorf("append: %w", w.err)
	case w.entry.Hash != hash:
		return w.entry, false, fmt.Errorf("append: %w", ledger.ErrConflict)
	}
	return w.entry, first && w.mine, nil
}

// enter puts an entry in the line. first is false when the key stands there
// already: then the waiter is that one's.
func (l *Ledger) enter(key string, hash [32]byte, body []byte) (w *waiter, first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w, ok := l.queued[key]; ok {
		return w, false
	}
	w = &waiter{key: key, hash: hash, body: body, done: make(chan struct{})}
	l.queued[key] = w
	l.line = append(l.line, w)
	l.gatheredLocked()
	return w, true
}

// gather waits for those whom the last batch has let go: most come back with
// their next entry at once, and one more in a batch costs a cluster far less than
// a commit of its own. It waits for a small share of what that batch took, and not
// at all after a single entry. The embedded engine commits a few while it would
// wait. Only the holder of the turn calls it.
func (l *Ledger) gather() {
	if l.server != nil || l.batch < 2 {
		return
	}
	enough := make(chan struct{})
	l.mu.Lock()
	l.target, l.enough = min(len(l.line)+l.batch, maxLine), enough
	l.gatheredLocked()
	l.mu.Unlock()
	timer := time.NewTimer(min(l.took/gatherShare, gatherAtMost))
	defer timer.Stop()
	select {
	case <-enough:
	case <-timer.C:
	}
}

// gatheredLocked ends gather when the line is long enough. The caller holds mu.
func (l *Ledger) gatheredLocked() {
	if l.enough != nil && len(l.line) >= l.target {
		close(l.enough)
		l.enough = nil
	}
}

// nextLine takes from the line what fits into one commit: one, as long as few
// wait.
func (l *Ledger) nextLine() []*waiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if 0 < len(l.line) && len(l.line) < l.backlog {
		line := l.line[:1:1]
		l.line = l.line[1:]
		return line
	}
	bytes, n := 0, 0
	for n < len(l.line) && n < maxLine {
		if bytes += len(l.line[n].body); bytes > maxLineBytes && n > 0 {
			break
		}
		n++
	}
	line := l.line[:n:n]
	l.line = l.line[n:]
	return line
}

// commit sends the line as it stands. Only the holder of the turn calls it.
func (l *Ledger) commit(ctx context.Context) {
	l.gather()
	line := l.nextLine()
	ctx, cancel := context.WithTimeout(ctx, commitWithin)
	defer cancel()
	start := time.Now()
	err := l.settle(ctx, line)
	l.batch, l.took = len(line), time.Since(start)
	if err != nil {
		l.batch = 0
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range line {
		delete(l.queued, w.key)
		if w.entry.Seq == 0 {
			w.err = err
		} else {
			l.tellLocked(w.entry)
		}
		w.body = nil
		close(w.done)
	}
}

// settle finds the place of every waiter in the line, and returns why those
// that have none then have none.
//
// A cluster is asked again: what its leader shows, a majority has synced. The
// embedded engine is not: after a sync that failed it shows what may not be on
// the disk. Then the ledger refuses for ever, until the files are read again.
func (l *Ledger) settle(ctx context.Context, line []*waiter) error {
	if l.broken != nil {
		return l.broken
	}
	doubt := false
	err := l.attempt(ctx, line)
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		if errors.Is(err, errStale) {
			err = l.attempt(ctx, line) // at once: a key that was there already is no trouble
		}
		if err == nil {
			return nil
		}
		doubt = doubt || errors.Is(err, errDoubt)
		passing := errors.Is(err, errDoubt) || errors.Is(err, errStale) || errors.Is(err, ledger.ErrUnavailable)
		if l.server != nil || !passing || l.gone() || rest(ctx, pause) != nil {
			break
		}
		err = l.attempt(ctx, line)
	}
	switch {
	case (doubt || l.gone()) && l.server != nil:
		l.broken = fmt.Errorf("%w: %w", ledger.ErrUnknown, err)
		return l.broken
	case doubt || l.gone():
		return fmt.Errorf("%w: %w", ledger.ErrUnknown, err)
	case errors.Is(err, errStale):
		return fmt.Errorf("%w: %w", ledger.ErrUnavailable, err)
	}
	return err
}

// attempt looks for those who have a place already, when the head isn't known
// for certain, and sends the others. Errors: errStale, errDoubt, ErrUnavailable,
// ErrDamaged; after all of them the head is to be read again.
func (l *Ledger) attempt(ctx context.Context, line []*waiter) error {
	if !l.sure {
		if err := l.catchUp(ctx, line); err != nil {
			return err
		}
	}
	var open []*waiter
	for _, w := range line {
		if w.entry.Seq == 0 {
			open = append(open, w)
		}
	}
	if len(open) == 0 {
		return nil
	}
	entries := make([]ledger.Entry, 0, len(open))
	last, at := l.head, time.Now()
	for _, w := range open {
		last = ledger.Next(last, w.key, at, w.hash)
		w.sent = append(w.sent, last.Sum)
		entries = append(entries, last)
	}
	l.sure = false
	if err := l.publish(ctx, entries, open); err != nil {
		return err
	}
	for i, w := range open {
		w.entry, w.mine = entries[i], true
	}
	l.head, l.sure = last, true
	if l.mark.due(at) {
		if err := l.mark.write(last); err != nil {
			l.log.Warn("mark not written", "err", err)
		}
	}
	return nil
}

// catchUp reads the head, and which keys of the line are there already. One of
// ours is ours still: its answer was lost.
func (l *Ledger) catchUp(ctx context.Context, line []*waiter) error {
	head, err := l.readHead(ctx)
	if err != nil {
		return err
	}
	for _, w := range line {
		if w.entry.Seq != 0 {
			continue
		}
		e, _, err := l.find(ctx, w.key)
		if errors.Is(err, ledger.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		w.entry, w.mine = e, slices.Contains(w.sent, e.Sum)
	}
	l.head, l.sure = head, true
	return nil
}

// rest waits, or returns early with an error when ctx ends.
func rest(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
