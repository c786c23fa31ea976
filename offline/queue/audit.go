package queue

import (
	"bytes"
	"encoding/binary"

	bolt "go.etcd.io/bbolt"
)

// audit reads every key and header, and counts. A file that passes is whole
// but for bodies, which are checked when they are loaded: so the code that
// delivers needn't doubt what it reads. The rules are:
//   - a header that is not parked has its id queued and its place in a stream,
//     and is due exactly when it is the first of its stream;
//   - a parked header has its id parked; a receipt has its id finished;
//   - there is nothing else.
func audit(tx *bolt.Tx) (Stats, error) {
	var s Stats
	if err := auditHeads(tx, &s); err != nil {
		return s, err
	}
	if err := auditReceipts(tx, &s); err != nil {
		return s, err
	}
	for _, c := range []struct {
		bucket []byte
		want   int
	}{
		{idemBucket, s.Queued + s.Parked + s.Receipts},
		{streamBucket, s.Queued},
		{parkedBucket, s.Parked},
	} {
		if n := tx.Bucket(c.bucket).Stats().KeyN; n != c.want {
			return s, damage("bucket %s holds %d, not %d", c.bucket, n, c.want)
		}
	}
	return s, nil
}

func auditHeads(tx *bolt.Tx, s *Stats) error {
	due := 0
	err := tx.Bucket(headBucket).ForEach(func(k, h []byte) error {
		if len(k) != 8 {
			return damage("head key of %d bytes", len(k))
		}
		e, err := parseHeader(binary.BigEndian.Uint64(k), h)
		if err != nil {
			return err
		}
		state, seq, sum, ok := lookUp(tx, e.ID)
		if !ok || seq != e.Seq || sum != e.sum {
			return damage("header %d: its id is elsewhere", e.Seq)
		}
		s.Bytes += int64(e.Size)
		switch parked := tx.Bucket(parkedBucket).Get(k) != nil; {
		case parked && state == Parked:
			s.Parked++
			return nil
		case parked || state != Queued || !has(tx, streamBucket, streamKey(e)):
			return damage("header %d: state %d, parked %v", e.Seq, state, parked)
		}
		s.Queued++
		first := headOf(tx, e.stream) == e.Seq
		if first {
			due++
		}
		if first != has(tx, dueBucket, dueKey(e)) {
			return damage("header %d: first of its stream %v, due %v", e.Seq, first, !first)
		}
		return nil
	})
	if n := tx.Bucket(dueBucket).Stats().KeyN; err == nil && n != due {
		return damage("%d items are due, not %d", n, due)
	}
	return err
}

func auditReceipts(tx *bolt.Tx, s *Stats) error {
	return tx.Bucket(receiptBucket).ForEach(func(k, r []byte) error {
		if len(k) != 8 || len(r) < idSize {
			return damage("receipt %x of %d bytes", k, len(r))
		}
		state, seq, _, ok := lookUp(tx, string(r[:idSize]))
		if !ok || state != Finished || seq != binary.BigEndian.Uint64(k) {
			return damage("receipt %x: its id is elsewhere", k)
		}
		s.Receipts++
		return nil
	})
}

// has reports whether the key is there; Get alone can't tell an empty value.
func has(tx *bolt.Tx, bucket, key []byte) bool {
	k, _ := tx.Bucket(bucket).Cursor().Seek(key)
	return bytes.Equal(k, key)
}
