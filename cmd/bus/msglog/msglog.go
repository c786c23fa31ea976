// Package msglog is the bus's record of the messages that went through it: for
// each a line with who, what, when and keyed digests of both bodies, chained by
// hashes; and heads of the chain, signed, which may bear RFC 3161 stamps.
//
// It holds no body and no personal data. Verify needs the files and the public
// key alone. See README.md of the bus for what is durable when. Start at Open
// and Verify.
package msglog

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"kosk/device/seal"
)

// The rules are: an entry is written before its answer leaves, so it survives
// the end of the process; it is synced at once when Options.Durable says so, else
// within Options.Every. A head is signed only over what was synced. What a power
// cut left behind the last head is cut off when the log is opened; anything else
// that is wrong keeps the log from opening. After a failed write or sync the log refuses.
// Opening reads what came after the last checkpoint; Past reads what came before, and
// what it finds wrong keeps the log from opening the next time.

// Errors of the log. Compare with errors.Is.
var (
	// ErrDamaged says that the log is not what was written.
	ErrDamaged = errors.New("message log damaged")
	// ErrBroken says that the log can't be written any more.
	ErrBroken = errors.New("message log can't be written")
	// ErrNotFound says that no entry is about the id.
	ErrNotFound = errors.New("no such message")
)

// An Entry is one exchange. Digests are HMAC-SHA-256 with a secret of the bus:
// a question is so short that a plain hash could be guessed.
type Entry struct {
	Seq          uint64    `json:"seq"` // from 1, without gaps
	At           time.Time `json:"at"`  // by the bus's clock, UTC
	Prev         string    `json:"prev"`
	Request      string    `json:"request"`           // X-Road-Request-Id, the bus's own
	Message      string    `json:"message,omitempty"` // X-Road-Id, the client's
	Issue        string    `json:"issue,omitempty"`   // X-Road-Issue
	Client       string    `json:"client,omitempty"`
	Service      string    `json:"service,omitempty"`
	Call         string    `json:"call,omitempty"`
	Submission   string    `json:"submission,omitempty"`
	AskedBytes   int       `json:"asked_bytes"`
	Asked        string    `json:"asked"`
	AnswerBytes  int       `json:"answer_bytes"`
	Answer       string    `json:"answer"`
	Status       int       `json:"status"` // 0: the answer was lost
	Error        string    `json:"error,omitempty"`
	Person       string    `json:"person,omitempty"`  // keyed hash of whose data it is about
	Purpose      string    `json:"purpose,omitempty"` // what they were asked for: a service's id
	UsedAgency   string    `json:"used_agency,omitempty"`
	UsedService  string    `json:"used_service,omitempty"` // counted as one use
	LedgerSeq    uint64    `json:"ledger_seq,omitempty"`   // of an accepted submission
	EvidenceSays string    `json:"evidence,omitempty"`     // how far the chip was believed, by the bus
	By           string    `json:"by,omitempty"`           // who carried it here, where that wasn't the client: "uid:1000"
}

// A line is an entry on disk: sum is the SHA-256 of the entry's bytes.
type line struct {
	Sum   string          `json:"sum"`
	Entry json.RawMessage `json:"entry"`
}

// A Head is the signed word that the chain up to an entry is this one.
type Head struct {
	N     uint64    `json:"n"`    // counts heads, from 1
	Prev  string    `json:"prev"` // SHA-256 of the line of the head before
	Seq   uint64    `json:"seq"`  // the last entry
	Sum   string    `json:"sum"`  // of that entry
	At    time.Time `json:"at"`
	First uint64    `json:"first"` // the first entry that is kept; those before were pruned
}

const (
	headKind   = "kosk-log-head"
	headsFile  = "heads.jsonl"
	stampsFile = "stamps.jsonl"
	maxLine    = 16 << 10
)

// Options of a log.
type Options struct {
	Key     *ecdsa.PrivateKey // signs heads
	Durable bool              // each entry is synced before Append returns; appenders share syncs
	Every   time.Duration     // between heads; a second when zero
	Stamper Stamper           // may be nil
	Missed  func(error)       // gets why a stamp did not come; may be nil
	Seen    func(Entry)       // gets every entry in order, those that Open reads and those to come; must not call the log; may be nil
	Settle  func() error      // called before a checkpoint: stores what Seen was told, which the next Open won't tell again; may be nil
	Unset   func(error)       // gets why there is no checkpoint, or none that fits: Open read all, or the next one reads more; may be nil

	whole bool // read everything
}

// A Stamper gets stamps for heads. RFC 3161.
type Stamper interface {
	// Stamp returns a token over the SHA-256 digest.
	Stamp(ctx context.Context, digest [32]byte) ([]byte, error)
}

// A Log is open for appending.
type Log struct {
	dir string
	Options
	cut int64

	syncing sync.Mutex // held by who syncs; guards synced
	synced  uint64

	mu     sync.Mutex // guards all below
	file   *os.File
	month  string
	last   Entry
	sum    string
	place  place // of the last entry
	size   int64 // of file
	first  uint64
	broken error

	setting sync.Mutex // guards denied and the checkpoint's file
	denied  bool       // Past found damage: no checkpoint any more

	heads     *os.File // Run's and Close's alone from here
	headsSize int64
	head      Head
	headLine  string // SHA-256 of the last head's line
	headPlace headPlace
	from      *checkpoint // where Open began; nil: at the beginning
	set       *checkpoint // the newest
	setAt     time.Time
}

// A place is where the line of an entry begins.
type place struct {
	Month string `json:"month"` // "2025-01"
	At    int64  `json:"at"`
}

// A headPlace is where the line of a head begins, and the place of its entry.
type headPlace struct {
	at    int64
	entry place
}

// month names the file of an entry.
func month(at time.Time) string { return at.UTC().Format("2006-01") }

// Open opens or makes the log in dir. Errors: ErrDamaged.
func Open(dir string, o Options) (*Log, error) {
	if o.Every == 0 {
		o.Every = time.Second
	}
	l := &Log{dir: dir, Options: o, first: 1}
	if err := l.open(); err != nil {
		return nil, fmt.Errorf("open message log: %w", err)
	}
	return l, nil
}

func (l *Log) open() (err error) {
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return err
	}
	seen := func(e Entry, sum string) {
		l.last, l.sum = e, sum
		if l.Seen != nil {
			l.Seen(e)
		}
	}
	r, err := l.readTail(seen)
	if err != nil {
		return err
	}
	for _, t := range r.torn {
		if err := os.Truncate(t.path, t.at); err != nil {
			return err
		}
		l.cut += t.bytes
	}
	l.head, l.headLine, l.synced = r.Head, r.headLine, r.last
	l.place, l.headPlace, l.set, l.setAt = r.place, r.headPlace, l.from, time.Now()
	if l.last.Seq == 0 && l.from != nil { // nothing came after the checkpoint
		l.last, l.sum = l.from.entry, l.from.Head.Sum
	}
	l.first = max(1, r.Head.First)
	if l.heads, err = os.OpenFile(filepath.Join(l.dir, headsFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
		return err
	}
	if l.headsSize, err = sizeOf(l.heads); err != nil {
		return err
	}
	return l.turn(month(time.Now()))
}

// Cut is how many bytes of a torn line were cut off when the log was opened.
func (l *Log) Cut() int64 { return l.cut }

func sizeOf(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// turn goes on in the file of a month. The caller holds mu or is alone.
func (l *Log) turn(name string) error {
	f, err := os.OpenFile(filepath.Join(l.dir, name+".jsonl"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if l.file != nil { // what was written there must not be forgotten by later syncs
		if err := errors.Join(unix.Fdatasync(int(l.file.Fd())), l.file.Close()); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	l.file, l.month = f, name
	if l.size, err = sizeOf(f); err != nil {
		return err
	}
	return syncFolder(l.dir)
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Broken says why nothing can be appended any more, or nil.
func (l *Log) Broken() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken
}

// Append writes an entry. Its place, time and chaining are set here.
func (l *Log) Append(e Entry) (Entry, error) {
	e, err := l.write(e)
	if err == nil && l.Durable {
		err = l.sync(e.Seq)
	}
	if err != nil {
		return Entry{}, fmt.Errorf("append to message log: %w", err)
	}
	return e, nil
}

func (l *Log) write(e Entry) (Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return Entry{}, l.broken
	}
	e.Seq, e.At, e.Prev = l.last.Seq+1, time.Now().UTC().Truncate(time.Millisecond), l.sum
	if e.At.Before(l.last.At) {
		e.At = l.last.At // the clock was set back; the chain's order is the truth
	}
	b, sum, err := encode(e)
	if err != nil {
		return Entry{}, err
	}
	if m := month(e.At); m != l.month {
		if err := l.turn(m); err != nil {
			l.broken = fmt.Errorf("%w: %w", ErrBroken, err)
			return Entry{}, l.broken
		}
	}
	if _, err := l.file.Write(b); err != nil {
		l.broken = fmt.Errorf("%w: %w", ErrBroken, err)
		return Entry{}, l.broken
	}
	l.last, l.sum, l.place = e, sum, place{l.month, l.size}
	l.size += int64(len(b))
	if l.Seen != nil {
		l.Seen(e)
	}
	return e, nil
}

// encode gives the line of an entry and its sum.
func encode(e Entry) (b []byte, sum string, err error) {
	raw, err := json.Marshal(e)
	if err != nil {
		return nil, "", err
	}
	h := sha256.Sum256(raw)
	sum = hex.EncodeToString(h[:])
	b, err = json.Marshal(line{Sum: sum, Entry: raw})
	if len(b) >= maxLine {
		return nil, "", errors.New("entry too long")
	}
	return append(b, '\n'), sum, err
}

// Sync makes durable what has been appended so far.
func (l *Log) Sync() error {
	l.mu.Lock()
	last := l.last.Seq
	l.mu.Unlock()
	if err := l.sync(last); err != nil {
		return fmt.Errorf("sync message log: %w", err)
	}
	return nil
}

// sync makes everything up to an entry durable. Whoever waits here while another
// syncs finds that done for it as well.
func (l *Log) sync(upto uint64) error {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	if l.synced >= upto {
		return nil
	}
	l.mu.Lock()
	file, last, broken := l.file, l.last.Seq, l.broken
	l.mu.Unlock()
	if broken != nil {
		return broken
	}
	// A file that was closed meanwhile had been synced by turn.
	if err := file.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.broken = fmt.Errorf("%w: %w", ErrBroken, err)
		return l.broken
	}
	l.synced = last
	return nil
}

// Run signs a head over what an earlier process left unsigned, one at every interval
// in which something was written, until ctx ends, and then the last one. Now and then,
// and in the end, it sets a checkpoint.
func (l *Log) Run(ctx context.Context) error {
	if _, err := l.Sign(); err != nil {
		return err
	}
	tick := time.NewTicker(l.Every)
	defer tick.Stop()
	var stamped time.Time
	for {
		select {
		case <-ctx.Done():
			_, err := l.Sign()
			if err == nil {
				l.checkpoint()
			}
			return err
		case <-tick.C:
		}
		h, err := l.Sign()
		if err != nil {
			return err
		}
		if l.due() {
			l.checkpoint()
		}
		if l.Stamper != nil && h.Seq > 0 && time.Since(stamped) >= stampEvery {
			stamped = time.Now() // a service that is down isn't asked more often
			if err := l.stamp(ctx, h); err != nil {
				return err
			}
		}
	}
}

// Sign syncs what is written and signs a head over it, unless the last head is
// already that.
func (l *Log) Sign() (Head, error) {
	l.mu.Lock()
	last, sum, first, place := l.last.Seq, l.sum, l.first, l.place
	l.mu.Unlock()
	if last == l.head.Seq && first == max(1, l.head.First) {
		return l.head, nil
	}
	if err := l.sync(last); err != nil {
		return Head{}, fmt.Errorf("sign head: %w", err)
	}
	h := Head{N: l.head.N + 1, Prev: l.headLine, Seq: last, Sum: sum, At: time.Now().UTC(), First: first}
	raw, err := json.Marshal(h)
	if err != nil {
		return Head{}, err
	}
	b, err := seal.Sign(headKind, raw, l.Key)
	if err != nil {
		return Head{}, err
	}
	if _, err := l.heads.Write(append(b, '\n')); err != nil {
		return Head{}, fmt.Errorf("sign head: %w: %w", ErrBroken, err)
	}
	if err := unix.Fdatasync(int(l.heads.Fd())); err != nil {
		return Head{}, fmt.Errorf("sign head: %w: %w", ErrBroken, err)
	}
	l.head, l.headLine, l.headPlace = h, hexSum(b), headPlace{l.headsSize, place}
	l.headsSize += int64(len(b)) + 1
	return h, nil
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Close closes the files. Run must have ended.
func (l *Log) Close() error { return errors.Join(l.file.Close(), l.heads.Close()) }

// Find returns the entries about an id, the oldest first: a submission's, or one
// of the ids of a message. It reads the files alone.
func Find(dir, id string) ([]Entry, error) {
	var found []Entry
	names, err := months(dir)
	if err != nil {
		return nil, fmt.Errorf("find message: %w", err)
	}
	for _, name := range names {
		err := eachLine(filepath.Join(dir, name), func(b []byte, whole bool, _ int64) error {
			if !whole || !bytes.Contains(b, []byte(id)) {
				return nil
			}
			e, _, err := decode(b)
			if err == nil && (e.Submission == id || e.Request == id || e.Message == id || e.Issue == id) {
				found = append(found, e)
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("find message: %s: %w", name, err)
		}
	}
	if len(found) == 0 {
		return nil, ErrNotFound
	}
	return found, nil
}

// months lists the files of the chain, the oldest first.
func months(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".jsonl")
		if _, err := time.Parse("2006-01", name); ok && err == nil {
			names = append(names, e.Name())
		}
	}
	return names, nil // ReadDir sorts
}

// eachLine calls seen with each line, without its end; whole is false for a last
// one that has none.
func eachLine(path string, seen func(b []byte, whole bool, at int64) error) error {
	return eachLineFrom(path, 0, seen)
}

// eachLineFrom is eachLine for the lines from a place on.
func eachLineFrom(path string, at int64, seen func(b []byte, whole bool, at int64) error) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Seek(at, io.SeekStart); err != nil {
		return err
	}
	r := bufio.NewReaderSize(f, 64<<10)
	for {
		b, err := r.ReadSlice('\n')
		if len(b) > 0 && !errors.Is(err, bufio.ErrBufferFull) {
			whole := b[len(b)-1] == '\n'
			if err := seen(bytes.TrimSuffix(b, []byte("\n")), whole, at); err != nil {
				return err
			}
			at += int64(len(b))
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("%w: a line is too long", ErrDamaged)
		case err != nil:
			return err
		}
	}
}

// decode reads the line of an entry and checks its sum.
func decode(b []byte) (e Entry, sum string, err error) {
	var l line
	if err := json.Unmarshal(b, &l); err != nil {
		return Entry{}, "", fmt.Errorf("%w: a line is no entry", ErrDamaged)
	}
	if again, err := json.Marshal(l); err != nil || !bytes.Equal(again, b) { // there is one way to write a line
		return Entry{}, "", fmt.Errorf("%w: a line is written otherwise", ErrDamaged)
	}
	if hexSum(l.Entry) != l.Sum {
		return Entry{}, "", fmt.Errorf("%w: an entry was changed", ErrDamaged)
	}
	if err := json.Unmarshal(l.Entry, &e); err != nil {
		return Entry{}, "", fmt.Errorf("%w: a line is no entry", ErrDamaged)
	}
	return e, l.Sum, nil
}
