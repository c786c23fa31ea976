package queue

import (
	"cmp"
	"crypto/sha256"
	"slices"
	"sync"
	"time"

	"kosk/offline"
)

// The index is what can be told from headers and receipts: which id is where,
// whose turn it is. It is made anew at every opening and never stored: so it
// can't disagree with the file, and a Put touches no page for it. It
// changes only after the commit that it follows. The rules of order are:
//   - within a stream, by order of Put; only the first is due;
//   - between streams, by rank: the sequence number plus Ageing for each class
//     that stands between the item and Waiting;
//   - a parked item whose policy is Block holds back all that were put behind it
//     in its stream.
//
// So an item of class Whenever precedes every Waiting one that was put more
// than 2*Ageing items later: the bound is counted in items and needs no clock.

// Ageing is how many later items of the class above may overtake one.
const Ageing = 64

// A node is one id.
type node struct {
	id      string
	seq     uint64
	epoch   uint64
	sum     [sha256.Size]byte
	stream  [sha256.Size]byte
	state   State
	class   offline.Class
	blocks  bool // its refusal holds back its stream
	sent    bool // the bus may have it
	size    int
	created int64 // Unix nanoseconds; 0: not known
	trusted bool  // created is right
	ttl     time.Duration
}

func (e Entry) node(s State) node {
	n := node{
		id: e.ID, seq: e.Seq, epoch: e.Boot, sum: e.sum, stream: e.stream, state: s,
		class: e.Class, blocks: e.Refused == offline.Block, sent: e.MaybeSent, size: e.Size, ttl: e.TTL,
	}
	if !e.Sealed {
		n.created, n.trusted = e.Created.UnixNano(), e.Trusted
	}
	return n
}

// A turn is a head's place among the heads.
type turn struct{ rank, seq uint64 }

func (t turn) compare(o turn) int {
	return cmp.Or(cmp.Compare(t.rank, o.rank), cmp.Compare(t.seq, o.seq))
}

// A line is what waits in one stream: sequence numbers, ascending.
type line struct {
	queued   []uint64
	blocking []uint64 // parked, and holding back what was put behind them
	due      bool
	turn     turn // while due
}

type index struct {
	mu    sync.RWMutex
	ids   map[string]*node
	seqs  map[uint64]*node // queued and parked
	lines map[[sha256.Size]byte]*line
	due   []turn // ascending
	count counts
}

// counts are what the index adds up.
type counts struct {
	queued, parked, receipts int
	bytes                    int64
	class                    [offline.Whenever + 1]int
}

func newIndex() *index {
	return &index{ids: map[string]*node{}, seqs: map[uint64]*node{}, lines: map[[sha256.Size]byte]*line{}}
}

// get returns a copy of what is known of an id.
func (x *index) get(id string) (node, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if n := x.ids[id]; n != nil {
		return *n, true
	}
	return node{}, false
}

// apply makes changes of one commit visible together. A node without a state is
// forgotten. It reports whether another head is due.
func (x *index) apply(changes []node) (ready bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, n := range changes {
		if old := x.ids[n.id]; old != nil {
			x.take(old)
		}
		if n.state != 0 {
			x.put(&n)
		}
		ready = x.settle(n.stream) || ready
	}
	return ready
}

// put takes a node in; settle follows.
func (x *index) put(n *node) {
	x.ids[n.id] = n
	switch n.state {
	case Finished:
		x.count.receipts++
		return
	case Queued:
		l := x.line(n.stream)
		l.queued = insert(l.queued, n.seq)
		x.count.queued++
		x.count.class[n.class]++
	case Parked:
		if n.blocks {
			l := x.line(n.stream)
			l.blocking = insert(l.blocking, n.seq)
		}
		x.count.parked++
	}
	x.seqs[n.seq] = n
	x.count.bytes += int64(n.size)
}

// take takes a node out; settle follows.
func (x *index) take(n *node) {
	delete(x.ids, n.id)
	switch n.state {
	case Finished:
		x.count.receipts--
		return
	case Queued:
		l := x.line(n.stream)
		l.queued = remove(l.queued, n.seq)
		x.count.queued--
		x.count.class[n.class]--
	case Parked:
		if n.blocks {
			l := x.line(n.stream)
			l.blocking = remove(l.blocking, n.seq)
		}
		x.count.parked--
	}
	delete(x.seqs, n.seq)
	x.count.bytes -= int64(n.size)
}

func (x *index) line(stream [sha256.Size]byte) *line {
	l := x.lines[stream]
	if l == nil {
		l = &line{}
		x.lines[stream] = l
	}
	return l
}

// settle finds out whose turn it is in a stream. It reports whether that is new.
func (x *index) settle(stream [sha256.Size]byte) (ready bool) {
	l := x.lines[stream]
	if l == nil {
		return false
	}
	was, wasDue := l.turn, l.due
	l.due = len(l.queued) > 0 && (len(l.blocking) == 0 || l.queued[0] < l.blocking[0])
	if l.due {
		first := l.queued[0]
		l.turn = turn{first + uint64(x.seqs[first].class)*Ageing, first}
	}
	if wasDue && (!l.due || was != l.turn) {
		if i, ok := slices.BinarySearchFunc(x.due, was, turn.compare); ok {
			x.due = slices.Delete(x.due, i, i+1)
		}
	}
	if ready = l.due && (!wasDue || was != l.turn); ready {
		i, _ := slices.BinarySearchFunc(x.due, l.turn, turn.compare)
		x.due = slices.Insert(x.due, i, l.turn)
	}
	if len(l.queued)+len(l.blocking) == 0 {
		delete(x.lines, stream)
	}
	return ready
}

func insert(s []uint64, v uint64) []uint64 {
	i, _ := slices.BinarySearch(s, v)
	return slices.Insert(s, i, v)
}

func remove(s []uint64, v uint64) []uint64 {
	if i, ok := slices.BinarySearch(s, v); ok {
		s = slices.Delete(s, i, i+1)
	}
	return s
}

// heads returns up to most sequence numbers that are due, from place from on.
func (x *index) heads(from, most int) []uint64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var seqs []uint64
	for i := from; i < min(len(x.due), from+most); i++ {
		seqs = append(seqs, x.due[i].seq)
	}
	return seqs
}

// all returns copies of the nodes that keep says yes to, by order of Put.
func (x *index) all(keep func(*node) bool) []node {
	x.mu.RLock()
	var ns []node
	for _, n := range x.ids {
		if keep(n) {
			ns = append(ns, *n)
		}
	}
	x.mu.RUnlock()
	slices.SortFunc(ns, func(a, b node) int { return cmp.Compare(a.seq, b.seq) })
	return ns
}

// stats counts, and looks for the oldest of each class.
func (x *index) stats() Stats {
	x.mu.RLock()
	defer x.mu.RUnlock()
	s := Stats{Queued: x.count.queued, Parked: x.count.parked, Receipts: x.count.receipts, Bytes: x.count.bytes, Class: x.count.class}
	for _, l := range x.lines {
		if len(l.queued) > 0 && !l.due {
			s.Blocked++
		}
	}
	for _, n := range x.seqs {
		if n.state != Queued || n.created == 0 {
			continue
		}
		at := time.Unix(0, n.created)
		for _, oldest := range []*time.Time{&s.Oldest, &s.OldestOf[n.class]} {
			if oldest.IsZero() || at.Before(*oldest) {
				*oldest = at
			}
		}
	}
	return s
}
