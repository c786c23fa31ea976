package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
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
	news   chan struct{} // closed at the next commit
	broken error
	cut    int64
}

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
		index: map[string]int{}, queued: map[string]*waiter{}, news: make(chan struct{}),
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

// window is how much of the file is looked at in one go; a record is shorter.
const window = headLength + MaxKey + MaxBody

// replay reads the file from its start, builds the index and cuts the torn tail.
func (l *File) replay() error {
	info, err := l.file.Stat()
	if err != nil {
		return err
	}
	var last Entry
	buf := make([]byte, 0, 64<<10)
	for l.size < info.Size() {
		e, length, body, err := l.readRecord(&buf, info.Size())
		if err != nil && !errors.Is(err, errTorn) {
			return err
		}
		if err != nil || !follows(last, e, body) {
			return l.cutTail(info.Size())
		}
		e.Sum = e.sum()
		l.keep(slot{entry: e, offset: l.size + int64(length-len(body)), length: len(body)})
		l.size += int64(length)
		last = e
	}
	return nil
}

// readRecord reads the record at l.size, looking at little of the file first.
func (l *File) readRecord(buf *[]byte, end int64) (Entry, int, []byte, error) {
	for want := int64(64 << 10); ; want = window {
		want = min(want, end-l.size)
		if int64(cap(*buf)) < want {
			*buf = make([]byte, want)
		}
		b := (*buf)[:want]
		if _, err := l.file.ReadAt(b, l.size); err != nil && !errors.Is(err, io.EOF) {
			return Entry{}, 0, nil, err
		}
		e, _, length, body, err := decode(b)
		if err == nil {
			return e, length, b[length-body : length], nil
		}
		if want == min(window, end-l.size) {
			return Entry{}, 0, nil, err
		}
	}
}

// cutTail cuts the file at l.size, unless a later commit proves that what lies
// there had been synced and was damaged since.
func (l *File) cutTail(end int64) error {
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
	line, size, err := l.line, l.size, l.broken
	var last Entry
	if n := len(l.slots); n > 0 {
		last = l.slots[n-1].entry
	}
	l.line = nil
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
		return
	}
	close(l.news)
	l.news = make(chan struct{})
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

// Wait is Ledger's.
func (l *File) Wait(ctx context.Context, key string) (Entry, error) {
	for {
		l.mu.Lock()
		n, ok := l.index[key]
		news := l.news
		var e Entry
		if ok {
			e = l.slots[n-1].entry
		}
		l.mu.Unlock()
		if ok {
			return e, nil
		}
		select {
		case <-ctx.Done():
			return Entry{}, fmt.Errorf("wait: %w", context.Cause(ctx))
		case <-news:
		}
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
