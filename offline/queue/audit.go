package queue

import (
	"bytes"
	"encoding/binary"

	bolt "go.etcd.io/bbolt"
)

// audit reads every header and receipt and makes the index of them. A file
// that passes is whole but for bodies, which are checked when they are loaded: so
// the code that delivers needn't doubt what it reads. The rules are:
//   - an item is a header, and all the parts of the body that the header names;
//   - a parked reason has its item; no id is there twice;
//   - the numbers that are still to be given lie above all that are;
//   - there is nothing else.
//
// sealed counts the notes whose key is not to be had.
func audit(tx *bolt.Tx, k *keys) (x *index, sealed int, err error) {
	x = newIndex()
	parked := 0
	c := tx.Bucket(itemBucket).Cursor()
	for key, h := c.First(); key != nil; {
		seq := seqOf(key)
		if !bytes.Equal(key, itemKey(seq, 0)) {
			return nil, 0, damage("item key %x", key)
		}
		e, err := readHeader(k, seq, h)
		if err != nil {
			return nil, 0, err
		}
		state := Queued
		if reason := tx.Bucket(parkedBucket).Get(seqKey(seq)); reason != nil {
			if _, ok := opened(reason); !ok {
				return nil, 0, damage("parked %d: checksum", seq)
			}
			state = Parked
			parked++
		}
		if e.Sealed {
			sealed++
		}
		if _, twice := x.ids[e.ID]; twice {
			return nil, 0, damage("header %d: its id is there twice", seq)
		}
		x.apply([]node{e.node(state)})
		// The parts are keys in a row: it is enough to look at the last. Parts of an
		// item that is parked as damaged may be missing.
		last, _ := c.Seek(itemKey(seq, chunksFor(e.Size)))
		if !bytes.Equal(last, itemKey(seq, chunksFor(e.Size))) && state != Parked {
			return nil, 0, damage("item %d: parts are missing", seq)
		}
		key, h = c.Seek(itemKey(seq, chunksFor(e.Size)+1))
	}
	if n := tx.Bucket(parkedBucket).Stats().KeyN; n != parked {
		return nil, 0, damage("%d reasons for %d parked items", n, parked)
	}
	if err := auditReceipts(tx, x); err != nil {
		return nil, 0, err
	}
	for _, n := range x.ids {
		if given := tx.Bucket(itemBucket).Sequence(); n.seq > given {
			return nil, 0, damage("item %d: only %d numbers were given", n.seq, given)
		}
	}
	return x, sealed, nil
}

func auditReceipts(tx *bolt.Tx, x *index) error {
	return tx.Bucket(receiptBucket).ForEach(func(k, r []byte) error {
		if len(k) != 8 {
			return damage("receipt key of %d bytes", len(k))
		}
		n, err := parseReceipt(binary.BigEndian.Uint64(k), r)
		if err != nil {
			return err
		}
		if _, twice := x.ids[n.id]; twice {
			return damage("receipt %d: its id is there twice", n.seq)
		}
		x.apply([]node{n})
		return nil
	})
}

// seqOf is the number that a key begins with; 0: it is too short.
func seqOf(key []byte) uint64 {
	if len(key) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(key)
}
