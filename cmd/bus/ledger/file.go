package ledger

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// File is a ledger in one append-only file.
//
// The rules are: whoever appends puts the entry in a line; one of those who
// wait writes the whole line in one write and one sync (group commit, no
// timer); only then does anybody hear of it. A write or sync that fails makes
// the ledger refuse for ever: what is on the disk is unknown until the file is
// read again. At the start the file is replayed and every hash checked; what a
// cut left unsynced at its end is cut off, damage before that is refused.
type File struct {
	file *os.File
	turn chan struct{} // holds one token while a commit runs

	mu     sync.Mutex // guards all below
	index  map[string]int
	slots  []slot // by sequence number, from 1
	size   int64
	line   []*waiter
	queued map[string]*waiter
	waits  map[string]*wait
	broken error
	cut    int64
}

// maxCommit bounds the bytes of one commit, and so of a torn tail.
const maxCommit = 64 << 20

// A slot is where the body of an entry lies.
type slot struct {
	entry  Entry
	offset int64
	length int
}

type waiter struct {
	key  string
	hash [32]byte
	body []byte
	done chan struct{} // closed when entry or err is set
	slot slot
	err  error
}

// OpenFile opens or makes the ledger at path. Errors: ErrInUse, ErrDamaged.
func OpenFile(path string) (*File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	l := &File{
		file: f, turn: make(chan struct{}, 1),
		index: map[string]int{}, queued: map[string]*waiter{}, waits: map[string]*wait{},
	}
	if err := l.start(path); err != nil {
		return nil, fmt.Errorf("open ledger: %w", errors.Join(err, f.Close()))
	}
	return l, nil
}

func (l *File) start(path string) error {
	if err := unix.Flock(int(l.file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return ErrInUse
	}
	if err := l.replay(); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// replay reads the file from its start, builds the index and cuts the torn tail.
func (l *File) replay() error {
	info, err := l.file.Stat()
	if err != nil {
		return err
	}
	var last Entry
	var buf []byte
	r := bufio.NewReaderSize(io.NewSectionReader(l.file, 0, info.Size()), 1<<20)
	for l.size < info.Size() {
		if buf, err = readRecord(r, buf); err != nil && !errors.Is(err, errTorn) {
			return err
		}
		e, _, length, size, err := decode(buf)
		if err != nil || !follows(last, e, buf[length-size:length]) {
			return l.cutTail(info.Size())
		}
		e.Sum = e.sum()
		l.keep(slot{entry: e, offset: l.size + int64(length-size), length: size})
		l.size += int64(length)
		last = e
	}
	return nil
}

// readRecord reads one record into buf, or into a longer one. With errTorn it
// returns nothing.
func readRecord(r *bufio.Reader, buf []byte) ([]byte, error) {
	head, err := r.Peek(headLength)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	n, err := lengthOf(head)
	if err != nil {
		return nil, err
	}
	buf = slices.Grow(buf[:0], int(n))[:n]
	_, err = io.ReadFull(r, buf)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, errTorn
	}
	return buf, err
}

// cutTail cuts the file at l.size, unless a later commit, or more than one commit
// can leave, proves that what lies there had been synced and was damaged since.
func (l *File) cutTail(end int64) error {
	if end-l.size > maxCommit {
		return fmt.Errorf("%w: entry %d", ErrDamaged, len(l.slots)+1)
	}
	tail := make([]byte, end-l.size)
	if _, err := l.file.ReadAt(tail, l.size); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if laterCommit(tail, l.size) {
		return fmt.Errorf("%w: entry %d", ErrDamaged, len(l.slots)+1)
	}
	if err := l.file.Truncate(l.size); err != nil {
		return err
	}
	l.cut = int64(len(tail))
	return l.file.Sync()
}

// Cut is how many unsynced bytes were cut off when the file was opened.
func (l *File) Cut() int64 { return l.cut }

// keep adds a slot to the index. The caller holds mu or is alone.
func (l *File) keep(s slot) {
	l.slots = append(l.slots, s)
	l.index[s.entry.Key] = len(l.slots)
	if w, ok := l.waits[s.entry.Key]; ok {
		close(w.there)
		delete(l.waits, s.entry.Key)
	}
}

// Append is Ledger's. Its context is looked at before the entry is in the
// line; from then on the answer is waited for, since it is worth having.
func (l *File) Append(ctx context.Context, key string, body []byte) (Entry, bool, error) {
	if len(key) > MaxKey || len(body) > MaxBody {
		return Entry{}, false, fmt.Errorf("append: %w", ErrTooLong)
	}
	if err := ctx.Err(); err != nil {
		return Entry{}, false, fmt.Errorf("append: %w", err)
	}
	w, mine, err := l.enter(key, body)
	if err != nil {
		return Entry{}, false, fmt.Errorf("append: %w", err)
	}
	for waiting := true; waiting; {
		select {
		case <-w.done:
			waiting = false
		case l.turn <- struct{}{}:
			l.commit()
			<-l.turn
		}
	}
	switch {
	case w.err != nil:
		return Entry{}, false, fmt.Errorf("append: %w", w.err)
	case w.slot.entry.Hash != sha256.Sum256(body):
		return w.slot.entry, false, fmt.Errorf("append: %w", ErrConflict)
	}
	return w.slot.entry, mine, nil
}

// enter puts an entry in the line. mine is false when the key is held or stands
// in the line already: then the waiter is that one's.
func (l *File) enter(key string, body []byte) (w *waiter, mine bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n, ok := l.index[key]; ok {
		w = &waiter{slot: l.slots[n-1], done: make(chan struct{})}
		close(w.done)
		return w, false, nil
	}
	if l.broken != nil {
		return nil, false, l.broken
	}
	if w, ok := l.queued[key]; ok {
		return w, false, nil
	}
	w = &waiter{key: key, hash: sha256.Sum256(body), body: body, done: make(chan struct{})}
	l.queued[key] = w
	l.line = append(l.line, w)
	return w, true, nil
}

// commit writes the line as it stands. Only the holder of the turn calls it.
func (l *File) commit() {
	l.mu.Lock()
	line, size, err := l.nextLine(), l.size, l.broken
	var last Entry
	if n := len(l.slots); n > 0 {
		last = l.slots[n-1].entry
	}
	l.mu.Unlock()
	if len(line) == 0 {
		return
	}
	if err == nil {
		err = l.write(line, size, last)
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range line {
		delete(l.queued, w.key)
		if w.err = err; err == nil {
			l.keep(w.slot)
			l.size = w.slot.offset + int64(w.slot.length)
		}
		w.body = nil
		close(w.done)
	}
	if err != nil {
		l.broken = err
	}
}

// nextLine takes from the line what fits into one commit.
func (l *File) nextLine() []*waiter {
	bytes, n := 0, 0
	for n < len(l.line) {
		bytes += headLength + len(l.line[n].key) + len(l.line[n].body)
		if bytes > maxCommit {
			break
		}
		n++
	}
	line := l.line[:n:n]
	l.line = l.line[n:]
	return line
}

// write puts the line at the end of the file and syncs it.
func (l *File) write(line []*waiter, size int64, last Entry) error {
	at := time.UnixMilli(time.Now().UnixMilli()).UTC()
	var b []byte
	for _, w := range line {
		e := Entry{Seq: last.Seq + 1, Key: w.key, At: at, Hash: w.hash, Previous: last.Sum}
		e.Sum = e.sum()
		b = encode(b, e, w.body, size)
		w.slot = slot{entry: e, offset: size + int64(len(b)-len(w.body)), length: len(w.body)}
		last = e
	}
	if _, err := l.file.WriteAt(b, size); err != nil {
		return fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	if err := unix.Fdatasync(int(l.file.Fd())); err != nil {
		return fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return nil
}

// Get is Ledger's.
func (l *File) Get(_ context.Context, key string) (Entry, []byte, error) {
	l.mu.Lock()
	n, ok := l.index[key]
	var s slot
	if ok {
		s = l.slots[n-1]
	}
	l.mu.Unlock()
	if !ok {
		return Entry{}, nil, fmt.Errorf("get: %w", ErrNotFound)
	}
	body := make([]byte, s.length)
	if _, err := l.file.ReadAt(body, s.offset); err != nil {
		return Entry{}, nil, fmt.Errorf("get: %w", err)
	}
	if sha256.Sum256(body) != s.entry.Hash {
		return Entry{}, nil, fmt.Errorf("get: %w: entry %d", ErrDamaged, s.entry.Seq)
	}
	return s.entry, body, nil
}

// A wait is for one key, by one or more.
type wait struct {
	there chan struct{} // closed when the key is there
	n     int           // how many wait
}

// Wait is Ledger's.
func (l *File) Wait(ctx context.Context, key string) (Entry, error) {
	e, w := l.look(key)
	if w == nil {
		return e, nil
	}
	select {
	case <-w.there:
		e, _ = l.look(key)
		return e, nil
	case <-ctx.Done():
		l.leave(key, w)
		return Entry{}, fmt.Errorf("wait: %w", context.Cause(ctx))
	}
}

// look returns the entry under the key, or something to wait on.
func (l *File) look(key string) (Entry, *wait) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n, ok := l.index[key]; ok {
		return l.slots[n-1].entry, nil
	}
	w, ok := l.waits[key]
	if !ok {
		w = &wait{there: make(chan struct{})}
		l.waits[key] = w
	}
	w.n++
	return Entry{}, w
}

// leave forgets a key that nobody waits for any more.
func (l *File) leave(key string, w *wait) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.n--; w.n == 0 && l.waits[key] == w {
		delete(l.waits, key)
	}
}

// Each is Ledger's.
func (l *File) Each(ctx context.Context, after uint64, seen func(Entry) error) error {
	l.mu.Lock()
	slots := l.slots[min(after, uint64(len(l.slots))):]
	l.mu.Unlock()
	for _, s := range slots {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := seen(s.entry); err != nil {
			return err
		}
	}
	return nil
}

// Close closes the file. Nobody may be appending.
func (l *File) Close() error { return l.file.Close() }
