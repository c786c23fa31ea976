package escpos

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// The rules of the journal are: a slip's state is on the disk before the first
// byte of that state is on the line; a slip found half-way at start is unknown
// and stays so; a torn last line is a line never written; nothing but the
// slip's id and state, and the account of paper, is ever in it.

// A State is how far a slip has come.
type State string

// The states of a slip, in their order.
const (
	Queued    State = "queued"    // not one byte is on the line
	Sending   State = "sending"   // some bytes may be
	Sent      State = "sent"      // all bytes are
	Confirmed State = "confirmed" // the printer said that it is out
	Unknown   State = "unknown"   // it may be out
	Failed    State = "failed"    // it isn't
)

// printed reports whether a slip may be out. One that is sending or sent between
// two prints is so because the disk didn't take what came after.
func (s State) printed() bool { return s == Sending || s == Sent || s == Confirmed || s == Unknown }

var states = []State{Queued, Sending, Sent, Confirmed, Unknown, Failed}

const (
	journalMost = 256 << 10 // bytes, beyond which old slips are forgotten
	journalKeep = 1000      // slips
	temporary   = ".slips"  // begins the name of a file that takes the journal's place
)

// A journal keeps the states of slips in a file. Without a path it forgets
// them with the process.
type journal struct {
	hangs bool // a piece of a slip that isn't known to be out may hang uncut

	path string

	mu     sync.Mutex
	file   *os.File
	size   int64 // of the file
	least  int64 // as long as the file was when it was last shortened
	states map[string]State
	order  []string // ids as they came
	roll   account
}

func openJournal(path string) (*journal, error) {
	j := &journal{states: map[string]State{}, roll: newAccount(time.Now())}
	if path == "" {
		return j, nil
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	j.file, j.path = file, path
	if err := j.load(path); err != nil {
		j.close()
		return nil, fmt.Errorf("read journal: %w", err)
	}
	for _, id := range j.order {
		if err := j.settle(id); err != nil {
			j.close()
			return nil, err
		}
	}
	return j, nil
}

// load reads the file, cuts off a torn last line and shortens what has grown
// too long.
func (j *journal) load(path string) error {
	all, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), temporary+"*"))
	if err != nil {
		return err
	}
	for _, name := range left { // by a power cut
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	whole := bytes.LastIndexByte(all, '\n') + 1
	if whole < len(all) {
		if err := j.file.Truncate(int64(whole)); err != nil {
			return err
		}
	}
	lines := bufio.NewScanner(bytes.NewReader(all[:whole]))
	lines.Buffer(nil, max(bufio.MaxScanTokenSize, whole+1)) // a line of noise ends nothing
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		switch {
		case len(f) == 3 && slices.Contains(states, State(f[1])):
			j.note(f[2], State(f[1]))
		case len(f) > 2 && f[1] == "paper":
			if a, ok := parseAccount(f[2:]); ok {
				j.roll = a
			}
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if j.size = int64(whole); j.size > journalMost {
		return j.shorten()
	}
	return nil
}

// settle ends what an earlier process left half-way.
func (j *journal) settle(id string) error {
	switch j.states[id] {
	case Queued:
		return j.record(id, Failed)
	case Sending, Sent:
		return j.record(id, Unknown)
	}
	return nil
}

// shorten writes the last slips to a new file and puts it in the old one's place.
func (j *journal) shorten() error {
	drop := max(0, len(j.order)-journalKeep)
	for _, id := range j.order[:drop] {
		delete(j.states, id)
	}
	j.order = j.order[drop:]
	next, err := os.CreateTemp(filepath.Dir(j.path), temporary)
	if err != nil {
		return err
	}
	defer os.Remove(next.Name()) // nothing is left of that name once it was renamed
	for _, id := range j.order {
		fmt.Fprintf(next, "%s %s %s\n", time.Now().UTC().Format(time.RFC3339), j.states[id], id)
	}
	fmt.Fprint(next, accountLine(time.Now(), j.roll))
	if err := errors.Join(next.Sync(), next.Close()); err != nil {
		return err
	}
	file, err := os.OpenFile(next.Name(), os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil {
		err = os.Rename(next.Name(), j.path)
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	j.file.Close()
	j.file, j.size, j.least = file, info.Size(), info.Size()
	return syncDir(j.path)
}

func syncDir(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

func (j *journal) note(id string, s State) {
	if _, known := j.states[id]; !known {
		j.order = append(j.order, id)
	}
	j.states[id] = s
	switch s {
	case Sending, Sent, Unknown:
		j.hangs = true
	case Confirmed:
		j.hangs = false
	}
}

// record puts a state on the disk.
func (j *journal) record(id string, s State) error { return j.recordUse(id, s, 0) }

// recordUse puts a state on the disk, and in the same write that so many
// millimetres of paper are used.
func (j *journal) recordUse(id string, s State, mm int) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if id == "" || strings.ContainsAny(id, " \t\n\v\f\r\u0085\u00A0") {
		return fmt.Errorf("journal: slip id %q can't be written", id)
	}
	now := time.Now().UTC()
	lines := fmt.Sprintf("%s %s %s\n", now.Format(time.RFC3339), s, id)
	roll := j.roll
	if mm > 0 {
		roll.use(mm)
		lines += accountLine(now, roll)
	}
	if err := j.write(lines); err != nil {
		return err
	}
	j.roll = roll
	j.note(id, s)
	j.trim()
	return nil
}

// account changes the account of paper, on the disk too if it is another then.
func (j *journal) account(change func(*account)) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	roll := j.roll
	change(&roll)
	if roll == j.roll {
		return nil
	}
	j.roll = roll
	defer j.trim()
	return j.write(accountLine(time.Now(), roll))
}

// paper is the account of paper.
func (j *journal) paper() account {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.roll
}

// write appends lines and waits until they are on the disk.
func (j *journal) write(lines string) error {
	if j.file == nil {
		return nil
	}
	if _, err := j.file.WriteString(lines); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	j.size += int64(len(lines))
	return nil
}

// trim shortens the file when it has grown too long, and twice as long as it was
// when that was done last. What can't be shortened works: it is tried again with
// the next line.
func (j *journal) trim() {
	if j.file != nil && j.size > max(journalMost, 2*j.least) {
		_ = j.shorten()
	}
}

// state is how far a slip has come, "" when it was never heard of.
func (j *journal) state(id string) State {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.states[id]
}

func (j *journal) close() error {
	if j.file == nil {
		return nil
	}
	return j.file.Close()
}
