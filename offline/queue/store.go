package queue

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"kosk/offline"
)

// The buckets. Numbers in keys are big endian, so that order is numeric.
var (
	metaBucket    = []byte("meta")    // "schema", "boot" -> uint64
	headBucket    = []byte("head")    // seq -> header
	bodyBucket    = []byte("body")    // seq, chunk uint32 -> up to 2,000 bytes
	streamBucket  = []byte("stream")  // stream, seq -> nothing; the least seq of a stream is its head
	dueBucket     = []byte("due")     // class uint8, seq -> nothing; heads of streams only
	idemBucket    = []byte("idem")    // id -> state uint8, seq, SHA-256 of the body
	parkedBucket  = []byte("parked")  // seq -> reason
	receiptBucket = []byte("receipt") // seq -> id, receipt; the least seq is forgotten first
	buckets       = [][]byte{metaBucket, headBucket, bodyBucket, streamBucket, dueBucket, idemBucket, parkedBucket, receiptBucket}
)

// A State is where an id stands.
type State uint8

// The states of an id.
const (
	Queued   State = iota + 1 // not yet acknowledged by the bus
	Parked                    // kept for an operator
	Finished                  // the bus has it; the receipt is kept for a while
)

// view is what the operations of one transaction share. Its counters take
// effect with the commit.
type view struct {
	q      *Queue
	room   int64 // pages
	bytes  int   // written by this transaction
	depth  Stats
	dirty  bool  // something was written
	ready  bool  // a head of a stream is new
	failed error // a write was half done: the transaction must not be committed
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

func (v *view) put(tx *bolt.Tx, e Entry, body []byte) error {
	if _, _, sum, ok := lookUp(tx, e.ID); ok {
		if sum != e.sum {
			return offline.ErrConflict
		}
		return nil
	}
	if pagesFor(e.Size) > v.room {
		return offline.ErrFull
	}
	heads := tx.Bucket(headBucket)
	heads.FillPercent = 0.9 // only ever appended to
	first := headOf(tx, e.stream) == 0
	err := v.write(
		func() (err error) { e.Seq, err = heads.NextSequence(); return err },
		func() error { return heads.Put(seqKey(e.Seq), e.header()) },
		func() error { return putBody(tx, e.Seq, body) },
		func() error { return tx.Bucket(streamBucket).Put(streamKey(e), nil) },
		func() error { return tx.Bucket(idemBucket).Put([]byte(e.ID), idemValue(Queued, e)) },
		func() error {
			if !first {
				return nil
			}
			return tx.Bucket(dueBucket).Put(dueKey(e), nil)
		},
	)
	v.room -= pagesFor(e.Size)
	v.bytes += e.Size
	v.depth.Queued++
	v.depth.Bytes += int64(e.Size)
	v.ready = v.ready || first
	return err
}

func (v *view) sending(tx *bolt.Tx, id string) error {
	e, err := queued(tx, id)
	if err != nil {
		return err
	}
	e.MaybeSent = true
	e.Attempts++
	return v.write(func() error { return tx.Bucket(headBucket).Put(seqKey(e.Seq), e.header()) })
}

func (v *view) done(tx *bolt.Tx, id string, receipt []byte) error {
	e, err := queued(tx, id)
	if err != nil {
		if state, _, _, ok := lookUp(tx, id); ok && state == Finished {
			return nil // told twice
		}
		return err
	}
	v.depth.Queued--
	v.depth.Bytes -= int64(e.Size)
	v.depth.Receipts++
	return v.write(
		func() error { return v.leaveStream(tx, e) },
		func() error { return tx.Bucket(headBucket).Delete(seqKey(e.Seq)) },
		func() error { return deleteBody(tx, e) },
		func() error { return tx.Bucket(idemBucket).Put([]byte(id), idemValue(Finished, e)) },
		func() error {
			return tx.Bucket(receiptBucket).Put(seqKey(e.Seq), append([]byte(id), receipt...))
		},
		func() error { return v.forgetOldest(tx) },
	)
}

func (v *view) park(tx *bolt.Tx, id, reason string) error {
	e, err := queued(tx, id)
	if err != nil {
		return err
	}
	v.depth.Queued--
	v.depth.Parked++
	return v.write(
		func() error { return v.leaveStream(tx, e) },
		func() error { return tx.Bucket(idemBucket).Put([]byte(id), idemValue(Parked, e)) },
		func() error { return tx.Bucket(parkedBucket).Put(seqKey(e.Seq), []byte(reason)) },
	)
}

// leaveStream takes e out of its stream and makes the next one due.
func (v *view) leaveStream(tx *bolt.Tx, e Entry) error {
	if err := tx.Bucket(streamBucket).Delete(streamKey(e)); err != nil {
		return err
	}
	if err := tx.Bucket(dueBucket).Delete(dueKey(e)); err != nil {
		return err
	}
	next := headOf(tx, e.stream)
	if next == 0 {
		return nil
	}
	n, err := parseHeader(next, tx.Bucket(headBucket).Get(seqKey(next)))
	if err != nil {
		return err
	}
	v.ready = true
	return tx.Bucket(dueBucket).Put(dueKey(n), nil)
}

// forgetOldest keeps the receipts within their bound.
func (v *view) forgetOldest(tx *bolt.Tx) error {
	receipts := tx.Bucket(receiptBucket)
	for ; v.depth.Receipts > v.q.opts.MaxReceipts; v.depth.Receipts-- {
		k, r := receipts.Cursor().First()
		if err := tx.Bucket(idemBucket).Delete(bytes.Clone(r[:idSize])); err != nil {
			return err
		}
		if err := receipts.Delete(bytes.Clone(k)); err != nil {
			return err
		}
	}
	return nil
}

// queued returns the entry of an id that is waiting for delivery.
func queued(tx *bolt.Tx, id string) (Entry, error) {
	state, seq, _, ok := lookUp(tx, id)
	if !ok || state != Queued {
		return Entry{}, offline.ErrNotFound
	}
	return parseHeader(seq, tx.Bucket(headBucket).Get(seqKey(seq)))
}

func lookUp(tx *bolt.Tx, id string) (state State, seq uint64, sum [sha256.Size]byte, ok bool) {
	b := tx.Bucket(idemBucket).Get([]byte(id))
	if len(b) != 1+8+sha256.Size {
		return 0, 0, sum, false
	}
	copy(sum[:], b[9:])
	return State(b[0]), binary.BigEndian.Uint64(b[1:]), sum, true
}

// headOf returns the sequence number of the stream's first item; 0: none.
func headOf(tx *bolt.Tx, stream [sha256.Size]byte) uint64 {
	k, _ := tx.Bucket(streamBucket).Cursor().Seek(stream[:])
	if len(k) != sha256.Size+8 || !bytes.HasPrefix(k, stream[:]) {
		return 0
	}
	return binary.BigEndian.Uint64(k[sha256.Size:])
}

func seqKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

func streamKey(e Entry) []byte { return binary.BigEndian.AppendUint64(bytes.Clone(e.stream[:]), e.Seq) }

func dueKey(e Entry) []byte { return binary.BigEndian.AppendUint64([]byte{byte(e.Class)}, e.Seq) }

func chunkKey(seq uint64, n int) []byte { return binary.BigEndian.AppendUint32(seqKey(seq), uint32(n)) }

func idemValue(s State, e Entry) []byte {
	b := binary.BigEndian.AppendUint64([]byte{byte(s)}, e.Seq)
	return append(b, e.sum[:]...)
}

func putBody(tx *bolt.Tx, seq uint64, body []byte) error {
	b := tx.Bucket(bodyBucket)
	for n := 0; len(body) > 0; n++ {
		size := min(chunkSize, len(body))
		if err := b.Put(chunkKey(seq, n), body[:size]); err != nil {
			return err
		}
		body = body[size:]
	}
	return nil
}

func deleteBody(tx *bolt.Tx, e Entry) error {
	b := tx.Bucket(bodyBucket)
	for n := range chunksFor(e.Size) {
		if err := b.Delete(chunkKey(e.Seq, n)); err != nil {
			return err
		}
	}
	return nil
}

// Load returns the item's sealed body. ErrDamaged: the disk did not give back
// what was stored.
func (q *Queue) Load(e Entry) ([]byte, error) {
	body := make([]byte, 0, e.Size)
	err := q.db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket(bodyBucket)
		for n := range chunksFor(e.Size) {
			body = append(body, b.Get(chunkKey(e.Seq, n))...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", e.ID, err)
	}
	if sha256.Sum256(body) != e.sum {
		return nil, fmt.Errorf("load %s: body of %d bytes: %w", e.ID, len(body), ErrDamaged)
	}
	return body, nil
}

// Heads calls visit with the head of every stream, by class and then by order
// of Put, until visit returns false. visit must not call the queue.
func (q *Queue) Heads(visit func(Entry) bool) error {
	return q.db.View(func(tx *bolt.Tx) error {
		heads := tx.Bucket(headBucket)
		c := tx.Bucket(dueBucket).Cursor()
		for k, _ := c.First(); k != nil; k, _ = c.Next() {
			seq := binary.BigEndian.Uint64(k[1:])
			e, err := parseHeader(seq, heads.Get(seqKey(seq)))
			if err != nil {
				return err
			}
			if !visit(e) {
				return nil
			}
		}
		return nil
	})
}

// A Found is what Find returns.
type Found struct {
	Entry          // with Finished only ID and Seq
	State   State  //
	Reason  string // with Parked
	Receipt []byte // with Finished
}

// Find tells where an id stands. offline.ErrNotFound: the queue does not hold
// it, or has forgotten its receipt.
func (q *Queue) Find(id string) (Found, error) {
	var f Found
	err := q.db.View(func(tx *bolt.Tx) error {
		state, seq, _, ok := lookUp(tx, id)
		if !ok {
			return offline.ErrNotFound
		}
		f.State = state
		if state == Finished {
			f.ID, f.Seq = id, seq
			f.Receipt = bytes.Clone(tx.Bucket(receiptBucket).Get(seqKey(seq))[idSize:])
			return nil
		}
		f.Reason = string(tx.Bucket(parkedBucket).Get(seqKey(seq)))
		var err error
		f.Entry, err = parseHeader(seq, tx.Bucket(headBucket).Get(seqKey(seq)))
		return err
	})
	if err != nil {
		return Found{}, fmt.Errorf("find %s: %w", id, err)
	}
	return f, nil
}

// oldest is when the oldest queued item was put.
func (q *Queue) oldest() (time.Time, error) {
	var at time.Time
	err := q.db.View(func(tx *bolt.Tx) error {
		c := tx.Bucket(headBucket).Cursor()
		for k, h := c.First(); k != nil; k, h = c.Next() {
			if tx.Bucket(parkedBucket).Get(k) != nil {
				continue
			}
			e, err := parseHeader(binary.BigEndian.Uint64(k), h)
			at = e.Created
			return err
		}
		return nil
	})
	return at, err
}
