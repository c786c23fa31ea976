package msglog

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"kosk/device/keep"
	"kosk/device/seal"
)

// The rules of checkpoints are:
//
//   - A checkpoint is signed, and says where a signed head and its entry stand in the
//     files. It is written, as a whole, when both are synced: what it says survives
//     every power cut.
//   - It only says where reading may begin. It counts when the lines that stand there
//     are the very ones that it names. One that is missing, not ours, or doesn't fit
//     makes Open read everything, which finds what is the matter.
//   - One that is ours is also a promise: a log without its head is ErrDamaged.
//   - An old one makes Open read more, and nothing else.
//   - What lies before it is not trusted but proved later, by Past. When that finds
//     damage, the checkpoint goes and none follows: the next Open reads everything.

const (
	checkpointKind = "kosk-log-checkpoint"
	checkpointFile = "checkpoint.json"
	maxCheckpoint  = 4 << 10
	monthSuffix    = ".jsonl"

	// How far the log goes on before the next checkpoint: what an Open has to read.
	checkpointEntries = 10_000
	checkpointEvery   = time.Minute
)

// A checkpoint is where the log stood when a head was signed.
type checkpoint struct {
	Head    Head   `json:"head"`
	HeadSum string `json:"head_sum"` // SHA-256 of the head's line
	HeadAt  int64  `json:"head_at"`  // where it begins
	Entry   place  `json:"entry"`    // of the head's entry

	entry    Entry // what stands there
	next     int64 // where the entry after it begins
	nextHead int64
}

// errPruned says that a log was pruned after a checkpoint.
var errPruned = errors.New("the log was pruned since")

// errNoCheckpoint says that none was ever set, or that it went.
var errNoCheckpoint = errors.New("there is no checkpoint")

// parseCheckpoint reads a checkpoint and checks that it is ours.
func parseCheckpoint(b []byte, key *ecdsa.PublicKey) (*checkpoint, error) {
	if len(b) > maxCheckpoint {
		return nil, errors.New("checkpoint: too long")
	}
	raw, err := seal.Open(checkpointKind, b, key)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	var c checkpoint
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	if _, err := time.Parse("2006-01", c.Entry.Month); err != nil || c.HeadAt < 0 || c.Entry.At < 0 || c.Head.N == 0 || c.Head.Seq == 0 {
		return nil, errors.New("checkpoint: it makes no sense")
	}
	return &c, nil
}

// readCheckpoint reads the one that lies in a folder.
func readCheckpoint(dir string, key *ecdsa.PublicKey) (*checkpoint, error) {
	f, err := os.Open(filepath.Join(dir, checkpointFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoCheckpoint
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxCheckpoint+1))
	if err != nil {
		return nil, err
	}
	return parseCheckpoint(bytes.TrimSuffix(b, []byte("\n")), key)
}

// find looks for the lines that a checkpoint names.
func (c *checkpoint) find(dir string) error {
	b, err := lineAt(filepath.Join(dir, headsFile), c.HeadAt)
	if err != nil {
		return err
	}
	if hexSum(b) != c.HeadSum {
		return errors.New("checkpoint: its head doesn't stand there")
	}
	c.nextHead = c.HeadAt + int64(len(b)) + 1
	if b, err = lineAt(filepath.Join(dir, c.Entry.Month+monthSuffix), c.Entry.At); err != nil {
		return err
	}
	e, sum, err := decode(b)
	if err != nil || e.Seq != c.Head.Seq || sum != c.Head.Sum {
		return errors.New("checkpoint: its entry doesn't stand there")
	}
	c.entry, c.next = e, c.Entry.At+int64(len(b))+1
	return nil
}

// lineAt reads the line that begins at a place.
func lineAt(path string, at int64) (line []byte, err error) {
	err = eachLineFrom(path, at, func(b []byte, whole bool, _ int64) error {
		if whole {
			line = bytes.Clone(b)
		}
		return errEnough
	})
	if line == nil || !errors.Is(err, errEnough) {
		return nil, errors.Join(errors.New("checkpoint: nothing stands there"), err)
	}
	return line, nil
}

// beginAt makes a reading go on behind a checkpoint, and says where the next head
// stands.
func (r *reading) beginAt(c *checkpoint) (heads int64) {
	r.Head, r.headLine, r.compared = c.Head, c.HeadSum, c.Head.N
	r.headPlace, r.place = headPlace{c.HeadAt, c.Entry}, c.Entry
	r.First, r.last, r.end = max(1, c.Head.First), c.Head.Seq, c.Head.Sum
	return c.nextHead
}

// readTail reads what came after the checkpoint, or everything.
func (l *Log) readTail(seen func(Entry, string)) (*reading, error) {
	key := &l.Key.PublicKey
	c, err := readCheckpoint(l.dir, key)
	if err == nil && !l.whole {
		if err = c.find(l.dir); err == nil {
			var r *reading
			r, err = read(l.dir, key, scope{repair: true, from: c}, seen)
			if !errors.Is(err, errPruned) {
				l.from = c
				return r, err
			}
		}
	}
	if err != nil && !errors.Is(err, errNoCheckpoint) && l.Unset != nil {
		l.Unset(err)
	}
	return read(l.dir, key, scope{repair: true, known: c}, seen)
}

// Past reads what Open has left unread, and proves it: seen gets those entries, in
// order. It may run beside everything else, and ends early with ctx. After ErrDamaged
// there is no checkpoint any more, and the log won't open again.
func (l *Log) Past(ctx context.Context, seen func(Entry)) error {
	if l.from == nil {
		return nil
	}
	ended := func() error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return nil
	}
	_, err := read(l.dir, &l.Key.PublicKey, scope{upto: l.from, known: l.from, ended: ended}, func(e Entry, _ string) { seen(e) })
	if errors.Is(err, ErrDamaged) {
		err = errors.Join(err, l.deny())
	}
	if err != nil {
		return fmt.Errorf("read past of message log: %w", err)
	}
	return nil
}

// deny takes the checkpoint away, for good.
func (l *Log) deny() error {
	l.setting.Lock()
	defer l.setting.Unlock()
	l.denied = true
	if err := os.Remove(filepath.Join(l.dir, checkpointFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncFolder(l.dir)
}

// due says whether it is time for a checkpoint.
func (l *Log) due() bool {
	set := uint64(0)
	if l.set != nil {
		set = l.set.Head.Seq
	}
	return l.head.Seq >= set+checkpointEntries || l.head.Seq > set && time.Since(l.setAt) >= checkpointEvery
}

// checkpoint sets one at the newest head, unless there is one. A log goes on without:
// its next Open reads more.
func (l *Log) checkpoint() {
	if err := l.setCheckpoint(); err != nil && l.Unset != nil {
		l.Unset(err)
	}
}

func (l *Log) setCheckpoint() error {
	l.setAt = time.Now() // what fails isn't tried at once again
	if l.head.Seq == 0 || l.set != nil && l.set.Head.N == l.head.N {
		return nil
	}
	if l.Settle != nil {
		if err := l.Settle(); err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		}
	}
	c := checkpoint{Head: l.head, HeadSum: l.headLine, HeadAt: l.headPlace.at, Entry: l.headPlace.entry}
	raw, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	b, err := seal.Sign(checkpointKind, raw, l.Key)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	l.setting.Lock()
	defer l.setting.Unlock()
	if l.denied {
		return nil
	}
	if err := keep.File(filepath.Join(l.dir, checkpointFile), append(b, '\n')); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	l.set = &c
	return nil
}
