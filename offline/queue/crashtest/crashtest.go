// Package crashtest cuts the power of a queue in every way that a test can: by
// killing its process, by taking the file system away, by rebuilding what a
// disk may hold after a cut, and by failing its system calls.
//
// It knows the queue by its public calls alone. Each gate is a test of its own
// (gate*_test.go), and beside each stands a control: a kiosk or a disk that
// breaks a promise, which the gate must notice. Start with promises.
package crashtest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"kosk/offline"
	"kosk/offline/queue"
)

// writers is how many goroutines put at the same time; each has its own stream.
const writers = 3

// id makes the n-th ULID.
func id(n int) string { return fmt.Sprintf("01JDTEST%018d", n) }

// numberOf is the n of an id, also of one that was salted by a kiosk that lies.
func numberOf(id string) (int, error) { return strconv.Atoi(id[len(id)-12:]) }

// body is what item n holds: different for each, and of one to three chunks.
func body(n int) []byte {
	b := bytes.Repeat(fmt.Appendf(nil, "body %d, ", n), 800)
	return b[:300+n*131%5000]
}

func item(n int, stream string) offline.Item {
	return offline.Item{ID: id(n), Stream: stream, Class: offline.Today, Body: body(n)}
}

// What the writer does with item n after Put: the fate of each is known from n.
const (
	fates     = 5
	fateDone  = 1 // and 2: sent and acknowledged
	fateDone2 = 2
	fatePark  = 3
)

// promises are what a queue has acknowledged, by the numbers of the items.
type promises struct {
	stored, finished, parked map[int]bool
	ended                    bool     // the writer did all it was told
	complaints               []string // what it could not do

	body   func(n int) []byte // what item n holds
	sealed bool               // the notes are under wrapped keys, none of which may be lost
}

func newPromises() *promises {
	return &promises{stored: map[int]bool{}, finished: map[int]bool{}, parked: map[int]bool{}, body: body}
}

// note takes down one line that the writer has said.
func (p *promises) note(line string) error {
	if line == "" {
		return nil
	}
	switch line[0] {
	case '=':
		return nil
	case '.':
		p.ended = true
		return nil
	case '!':
		p.complaints = append(p.complaints, line[1:])
		return nil
	}
	n, err := strconv.Atoi(line[1:])
	set, ok := map[byte]map[int]bool{'+': p.stored, '-': p.finished, '*': p.parked}[line[0]]
	if err != nil || !ok {
		return fmt.Errorf("the writer said %q", line)
	}
	set[n] = true
	return nil
}

func (p *promises) copy() *promises {
	return &promises{stored: maps.Clone(p.stored), finished: maps.Clone(p.finished), parked: maps.Clone(p.parked), body: p.body, sealed: p.sealed}
}

// broken opens the queue at path and returns which promises it does not keep:
// it can't be opened, or ends the process; an item is gone, in another state, with
// another body, or out of order in its stream.
func (p *promises) broken(path string, o queue.Options) (found []string) {
	defer func() {
		if r := recover(); r != nil {
			found = append(found, fmt.Sprintf("panic: %v", r))
		}
	}()
	q, err := open(context.Background(), path, o, p.sealed)
	if err != nil {
		return []string{err.Error()}
	}
	defer func() {
		if err := q.Close(); err != nil {
			found = append(found, err.Error())
		}
	}()
	last := map[int]queue.Found{}
	for _, n := range slices.SortedFunc(maps.Keys(p.stored), cmp.Compare) {
		f, err := q.Find(id(n))
		if err != nil {
			found = append(found, fmt.Sprintf("item %d was acknowledged and is gone: %v", n, err))
			continue
		}
		if why := p.misplaced(n, f.State); why != "" {
			found = append(found, why)
		}
		if f.State == queue.Finished {
			continue
		}
		if p.sealed && (f.Sealed || f.Created.IsZero()) {
			found = append(found, fmt.Sprintf("item %d: the key of its notes is lost", n))
		}
		if b, err := q.Load(f.Entry); err != nil || !bytes.Equal(b, p.body(n)) {
			found = append(found, fmt.Sprintf("item %d: another body, %v", n, err))
		}
		if before := last[n%writers]; before.Seq >= f.Seq {
			found = append(found, fmt.Sprintf("item %d is before %s in its stream", n, before.ID))
		}
		last[n%writers] = f
	}
	return found
}

// misplaced says what is wrong with the state of item n, or nothing.
func (p *promises) misplaced(n int, s queue.State) string {
	may := map[int]queue.State{fateDone: queue.Finished, fateDone2: queue.Finished, fatePark: queue.Parked}[n%fates]
	switch {
	case p.finished[n] && s != queue.Finished, p.parked[n] && s != queue.Parked:
		return fmt.Sprintf("item %d was ended and is in state %d", n, s)
	case s != queue.Queued && s != may && !p.finished[n] && !p.parked[n]:
		return fmt.Sprintf("item %d is in state %d, which nobody asked for", n, s)
	}
	return ""
}
