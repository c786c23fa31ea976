package queue

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"kosk/offline"
)

// What an operator may ask and do. The kiosk's own goroutines may call all of it.

// A Filter says which ids List is to give. The zero value gives all.
type Filter struct {
	States []State         // none: all
	Class  []offline.Class // none: all; finished ids have none
	Before time.Time       // zero: any; put before, as far as known
}

func (f Filter) keeps(n *node) bool {
	return (len(f.States) == 0 || slices.Contains(f.States, n.state)) &&
		(len(f.Class) == 0 || n.state != Finished && slices.Contains(f.Class, n.class)) &&
		(f.Before.IsZero() || n.created != 0 && time.Unix(0, n.created).Before(f.Before))
}

// List returns what the filter keeps, by order of Put.
func (q *Queue) List(f Filter) ([]Found, error) {
	nodes := q.index.all(f.keeps)
	list := make([]Found, 0, len(nodes))
	err := q.view(func(tx *bolt.Tx) error {
		for _, n := range nodes {
			item, err := q.found(tx, n.id, n.seq)
			if errors.Is(err, offline.ErrNotFound) {
				continue // gone since the index was read
			}
			if err != nil {
				return err
			}
			list = append(list, item)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	return list, nil
}

// Show is Find.
func (q *Queue) Show(id string) (Found, error) { return q.Find(id) }

// Requeue puts a parked item back to where it stood in its stream. ErrDamaged:
// its body is lost.
func (q *Queue) Requeue(ctx context.Context, id string) error {
	return q.change(ctx, "requeue", id, func(v *view) error { return v.requeue(id) })
}

// Release lets a stream go on past a parked item that blocks it. The item stays.
func (q *Queue) Release(ctx context.Context, id string) error {
	return q.change(ctx, "release", id, func(v *view) error { return v.release(id) })
}

// Expire parks every item that has outlived its TTL by now and was never sent,
// with offline.ReasonExpired, and returns their ids. Nothing expires by a clock that
// Options.ClockTrusted does not vouch for, now or when the item was put.
func (q *Queue) Expire(ctx context.Context, now time.Time) ([]string, error) {
	if q.opts.ClockTrusted == nil || !q.opts.ClockTrusted() {
		return nil, nil
	}
	var ids []string
	for _, n := range q.index.all(func(n *node) bool { return n.expired(now) }) {
		err := q.Park(ctx, n.id, offline.ReasonExpired)
		switch {
		case err == nil:
			ids = append(ids, n.id)
		case errors.Is(err, offline.ErrNotFound) || errors.Is(err, ErrItem): // delivered, or sent, meanwhile
		default:
			return ids, fmt.Errorf("expire: %w", err)
		}
	}
	return ids, nil
}

func (n *node) expired(now time.Time) bool {
	return n.state == Queued && !n.sent && n.ttl > 0 && n.trusted && now.Sub(time.Unix(0, n.created)) > n.ttl
}

// An export is the first line of what Export writes.
type export struct {
	ID       string `json:"id"`
	Seq      uint64 `json:"seq"`
	State    string `json:"state"`
	Reason   string `json:"reason,omitempty"`
	Class    uint8  `json:"class"`
	Attempts int    `json:"attempts"`
	Maybe    bool   `json:"maybe_sent"`
	Size     int    `json:"size"`
	SHA256   string `json:"sha256"` // of the body
}

// Export writes a queued or parked item: a line of JSON, and then the body as it
// is, which stays sealed for the bus. Notes are not exported.
func (q *Queue) Export(id string, w io.Writer) error {
	f, err := q.Find(id)
	if err == nil && f.State == Finished {
		err = offline.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	body, err := q.Load(f.Entry)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	head, err := json.Marshal(export{
		f.ID, f.Seq, f.State.String(), f.Reason, uint8(f.Class), f.Attempts, f.MaybeSent, f.Size, hex.EncodeToString(f.sum[:]),
	})
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if _, err := w.Write(append(append(head, '\n'), body...)); err != nil {
		return fmt.Errorf("export %s: %w", id, err)
	}
	return nil
}

// A Checked is what Check has read.
type Checked struct {
	Items, Receipts int
	Bytes           int64    // of bodies
	Damaged         []string // ids whose body is not what was stored
	Sealed          int      // items whose notes can't be read
}

// Check reads everything there is, bodies too. A damaged body is counted; any
// other damage is ErrDamaged.
func (q *Queue) Check() (Checked, error) {
	var c Checked
	err := q.view(func(tx *bolt.Tx) error {
		x, sealed, err := audit(tx, &q.keys)
		if err != nil {
			return err
		}
		c = Checked{Items: x.count.queued + x.count.parked, Receipts: x.count.receipts, Sealed: sealed}
		items := tx.Bucket(itemBucket)
		for _, n := range x.all(func(n *node) bool { return n.state != Finished }) {
			e, err := parseHeader(n.seq, items.Get(itemKey(n.seq, 0)))
			if err != nil {
				return err
			}
			if _, err := body(items, e); err != nil {
				c.Damaged = append(c.Damaged, n.id)
			}
			c.Bytes += int64(n.size)
		}
		return nil
	})
	if err != nil {
		return c, fmt.Errorf("check: %w", err)
	}
	return c, nil
}
