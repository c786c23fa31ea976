package queue

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"kosk/offline"
)

// The buckets. Numbers in keys are big endian, so that order is numeric.
var (
	metaBucket    = []byte("meta")    // "schema", "boot" -> uint64; "key", epoch -> wrapped data key
	itemBucket    = []byte("item")    // seq, part uint16 -> header (part 0), or up to 2,000 bytes of the body
	parkedBucket  = []byte("parked")  // seq -> reason
	receiptBucket = []byte("receipt") // seq -> id, sum, receipt; the least seq is forgotten first
	buckets       = [][]byte{metaBucket, itemBucket, parkedBucket, receiptBucket}

	schemaKey = []byte("schema")
	bootKey   = []byte("boot")
	keyPrefix = []byte("key")
)

// A State is where an id stands.
type State uint8

// The states of an id.
const (
	Queued   State = iota + 1 // not yet acknowledged by the bus
	Parked                    // kept for an operator
	Finished                  // the bus has it; the receipt is kept for a while
)

func (s State) String() string {
	switch s {
	case Queued:
		return "queued"
	case Parked:
		return "parked"
	case Finished:
		return "finished"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// view is what the operations of one transaction share. What they change takes
// effect with the commit.
type view struct {
	q        *Queue
	tx       *bolt.Tx
	items    *bolt.Bucket
	room     int64 // pages
	bytes    int   // written by this transaction
	receipts int
	dirty    bool             // something was written
	failed   error            // a write was half done: the transaction must not be committed
	changes  []node           // in the order made
	latest   map[string]*node // the last change of each id
	tally    tally
}

// tally is what the operations of one transaction add to the counters.
type tally struct{ delivered, duplicates int }

func (q *Queue) newView(tx *bolt.Tx) *view {
	q.index.mu.RLock()
	receipts := q.index.count.receipts
	q.index.mu.RUnlock()
	v := &view{q: q, tx: tx, items: tx.Bucket(itemBucket), room: q.room.Load(), receipts: receipts, latest: map[string]*node{}}
	v.items.FillPercent = 1 // all but only ever appended to
	return v
}

// node tells where an id stands, as the operations so far have left it.
func (v *view) node(id string) (n node, ok bool) {
	if n := v.latest[id]; n != nil {
		return *n, n.state != 0
	}
	return v.q.index.get(id)
}

func (v *view) change(n node) {
	v.changes = append(v.changes, n)
	v.latest[n.id] = &n
}

// write runs steps that must all succeed. The caller has checked everything.
func (v *view) write(steps ...func() error) error {
	v.dirty = true
	for _, step := range steps {
		if err := step(); err != nil {
			v.failed = err
			return err
		}
	}
	return nil
}

func (v *view) put(e Entry, body []byte) error {
	if n, ok := v.node(e.ID); ok {
		if n.sum != e.sum {
			return offline.ErrConflict
		}
		v.tally.duplicates++
		return nil
	}
	if pagesFor(e.Size) > v.room {
		return offline.ErrFull
	}
	v.room -= pagesFor(e.Size)
	v.bytes += e.Size
	return v.write(
		func() (err error) { e.Seq, err = v.items.NextSequence(); return err },
		func() error { return v.putHeader(e) },
		func() error { return putBody(v.items, e.Seq, body) },
		func() error { v.change(e.node(Queued)); return nil },
	)
}

func (v *view) putHeader(e Entry) error {
	h, err := e.header(&v.q.keys)
	if err != nil {
		return err
	}
	return v.items.Put(itemKey(e.Seq, 0), h)
}

// entry returns an item that is in the state, and its header.
func (v *view) entry(id string, s State) (Entry, node, []byte, error) {
	n, ok := v.node(id)
	if !ok || n.state != s {
		return Entry{}, n, nil, offline.ErrNotFound
	}
	h := v.items.Get(itemKey(n.seq, 0))
	e, err := parseHeader(n.seq, h)
	return e, n, bytes.Clone(h), err
}

func (v *view) sending(id string) error {
	e, n, h, err := v.entry(id, Queued)
	if err != nil {
		return err
	}
	e.MaybeSent, n.sent = true, true
	e.Attempts++
	return v.write(
		func() error { return v.items.Put(itemKey(e.Seq, 0), e.mark(h)) },
		func() error { v.change(n); return nil },
	)
}

func (v *view) done(id string, receipt []byte) error {
	n, ok := v.node(id)
	switch {
	case ok && n.state == Finished:
		return nil // told twice
	case !ok || n.state != Queued:
		return offline.ErrNotFound
	}
	e := Entry{ID: id, Seq: n.seq, Size: n.size, sum: n.sum}
	r, err := e.receipt(&v.q.keys, v.q.boot, receipt)
	if err != nil {
		return err
	}
	n.state, n.epoch, n.size = Finished, v.q.boot, 0
	v.receipts++
	v.tally.delivered++
	return v.write(
		func() error { return deleteItem(v.items, e.Seq, e.Size) },
		func() error { return v.tx.Bucket(receiptBucket).Put(seqKey(e.Seq), r) },
		func() error { v.change(n); return nil },
		v.forgetOldest,
	)
}

func (v *view) park(id, reason string) error {
	n, ok := v.node(id)
	switch {
	case !ok || n.state != Queued:
		return offline.ErrNotFound
	case n.sent && reason == offline.ReasonExpired:
		return fmt.Errorf("expire what may have been sent: %w", ErrItem)
	}
	n.state = Parked
	return v.write(
		func() error { return v.tx.Bucket(parkedBucket).Put(seqKey(n.seq), closed([]byte(reason))) },
		func() error { v.change(n); return nil },
	)
}

// requeue puts a parked item back where it stood in its stream.
func (v *view) requeue(id string) error {
	e, n, _, err := v.entry(id, Parked)
	if err != nil {
		return err
	}
	if _, err := body(v.items, e); err != nil {
		return err
	}
	n.state = Queued
	return v.write(
		func() error { return v.tx.Bucket(parkedBucket).Delete(seqKey(n.seq)) },
		func() error { v.change(n); return nil },
	)
}

// release lets a stream go on past a parked item that blocks it.
func (v *view) release(id string) error {
	e, n, h, err := v.entry(id, Parked)
	if err != nil {
		return err
	}
	e.Refused, n.blocks = offline.Skip, false
	return v.write(
		func() error { return v.items.Put(itemKey(e.Seq, 0), e.mark(h)) },
		func() error { v.change(n); return nil },
	)
}

// forgetOldest keeps the receipts within their bound.
func (v *view) forgetOldest() error {
	receipts := v.tx.Bucket(receiptBucket)
	for ; v.receipts > v.q.opts.MaxReceipts; v.receipts-- {
		k, r := receipts.Cursor().First()
		n, err := parseReceipt(binary.BigEndian.Uint64(k), r)
		if err != nil {
			return err
		}
		if err := receipts.Delete(bytes.Clone(k)); err != nil {
			return err
		}
		v.change(node{id: n.id})
	}
	return nil
}

func seqKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

func itemKey(seq uint64, part int) []byte {
	key := binary.BigEndian.AppendUint64(make([]byte, 0, 10), seq)
	return binary.BigEndian.AppendUint16(key, uint16(part))
}

func putBody(items *bolt.Bucket, seq uint64, body []byte) error {
	key := itemKey(seq, 0) // one for all: Put keeps a copy
	for part := 1; len(body) > 0; part++ {
		size := min(chunkSize, len(body))
		binary.BigEndian.PutUint16(key[8:], uint16(part))
		if err := items.Put(key, body[:size]); err != nil {
			return err
		}
		body = body[size:]
	}
	return nil
}

func deleteItem(items *bolt.Bucket, seq uint64, size int) error {
	for part := range chunksFor(size) + 1 {
		if err := items.Delete(itemKey(seq, part)); err != nil {
			return err
		}
	}
	return nil
}

// body reads what putBody wrote.
func body(items *bolt.Bucket, e Entry) ([]byte, error) {
	b := make([]byte, 0, e.Size)
	for part := range chunksFor(e.Size) {
		b = append(b, items.Get(itemKey(e.Seq, part+1))...)
	}
	if sha256.Sum256(b) != e.sum {
		return nil, damage("body of %d bytes", len(b))
	}
	return b, nil
}

// Load returns the item's sealed body. ErrDamaged: the disk did not give back
// what was stored. offline.ErrNotFound: it has been finished meanwhile.
func (q *Queue) Load(e Entry) ([]byte, error) {
	var b []byte
	err := q.view(func(tx *bolt.Tx) (err error) {
		items := tx.Bucket(itemBucket)
		if items.Get(itemKey(e.Seq, 0)) == nil {
			return offline.ErrNotFound
		}
		b, err = body(items, e)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", e.ID, err)
	}
	return b, nil
}

// Heads calls visit with the head of every stream that is not held back, by
// class with ageing (see Ageing) and by order of Put, until visit returns
// false. visit must not call the queue.
func (q *Queue) Heads(visit func(Entry) bool) error {
	const most = 64
	for from := 0; ; from += most {
		seqs := q.index.heads(from, most)
		more := true
		err := q.view(func(tx *bolt.Tx) error {
			for _, seq := range seqs {
				h := tx.Bucket(itemBucket).Get(itemKey(seq, 0))
				if h == nil || tx.Bucket(parkedBucket).Get(seqKey(seq)) != nil {
					continue // left since the index was read
				}
				e, err := readHeader(&q.keys, seq, h)
				if err != nil {
					return err
				}
				if more = visit(e); !more {
					return nil
				}
			}
			return nil
		})
		if err != nil || !more || len(seqs) < most {
			return err
		}
	}
}

// A Found is what Find returns.
type Found struct {
	Entry          // with Finished only ID and Seq
	State   State  //
	Reason  string // with Parked
	Receipt []byte // with Finished; nil when its key is not to be had
}

// Find tells where an id stands. offline.ErrNotFound: the queue does not hold
// it, or has forgotten its receipt.
func (q *Queue) Find(id string) (Found, error) {
	n, ok := q.index.get(id)
	if !ok {
		return Found{}, fmt.Errorf("find %s: %w", id, offline.ErrNotFound)
	}
	var f Found
	err := q.view(func(tx *bolt.Tx) (err error) { f, err = q.found(tx, id, n.seq); return err })
	if err != nil {
		return Found{}, fmt.Errorf("find %s: %w", id, err)
	}
	return f, nil
}

// found reads from the file where an id stands: the index gave no more than its
// number, which never changes, because the file may be a commit ahead of it.
func (q *Queue) found(tx *bolt.Tx, id string, seq uint64) (f Found, err error) {
	if h := tx.Bucket(itemBucket).Get(itemKey(seq, 0)); h != nil {
		f.State = Queued
		if reason := tx.Bucket(parkedBucket).Get(seqKey(seq)); reason != nil {
			clear, ok := opened(reason)
			if !ok {
				return f, damage("parked %d", seq)
			}
			f.State, f.Reason = Parked, string(clear)
		}
		f.Entry, err = readHeader(&q.keys, seq, h)
		return f, err
	}
	r := tx.Bucket(receiptBucket).Get(seqKey(seq))
	if r == nil {
		return f, offline.ErrNotFound
	}
	n, err := parseReceipt(seq, r)
	if err != nil {
		return f, err
	}
	f.State, f.ID, f.Seq, f.sum = Finished, id, seq, n.sum
	end := len(r) - 4
	plain, known, err := q.keys.open(n.epoch, r[receiptSealed:end], receiptData(seq, r))
	if known && err != nil {
		return f, damage("receipt %d: seal", seq)
	}
	f.Receipt, f.Sealed = plain, !known
	return f, nil
}
