package queue

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

const schema = 2

// errOldSchema says that the file is of schema 1.
var errOldSchema = errors.New("file of an older schema")

// Open opens the queue's file, or makes it, and checks what is there. Nobody
// guards the data keys: they lie in the file. Errors: ErrInUse, ErrDamaged
// (the file is left as it is; see Options.Salvage), and those of the system.
func Open(path string, o Options) (*Queue, error) {
	return openWith(path, o, keeper{})
}

// OpenSealed is Open with somebody who guards the data keys. Items whose key
// can't be unwrapped any more are delivered all the same (see Entry.Sealed).
func OpenSealed(ctx context.Context, path string, o Options, w Wrapper) (*Queue, error) {
	return openWith(path, o, keeperOf(ctx, w))
}

// OpenReader opens the file of a stopped kiosk to look at it: whatever would
// change it is ErrReadOnly. w may be nil: notes stay sealed then.
func OpenReader(ctx context.Context, path string, o Options, w Wrapper) (*Queue, error) {
	o.readOnly, o.Salvage = true, false
	if w == nil {
		return openWith(path, o, keeper{})
	}
	return openWith(path, o, keeperOf(ctx, w))
}

// A keeper is a Wrapper, or nobody, for the time of an opening. What it wraps
// begins with how that was done.
type keeper struct{ wrapWith, unwrapWith func([]byte) ([]byte, error) }

const (
	keyBare    = 0 // safe from mix-ups, and from nobody who has the file
	keyWrapped = 1
)

func keeperOf(ctx context.Context, w Wrapper) keeper {
	return keeper{
		func(b []byte) ([]byte, error) { return w.Wrap(ctx, b) },
		func(b []byte) ([]byte, error) { return w.Unwrap(ctx, b) },
	}
}

func (k keeper) wrap(key []byte) ([]byte, error) {
	if k.wrapWith == nil {
		return append([]byte{keyBare}, key...), nil
	}
	wrapped, err := k.wrapWith(key)
	return append([]byte{keyWrapped}, wrapped...), err
}

// unwrap gives back a key that was left bare to everybody, and another to
// whoever has wrapped it.
func (k keeper) unwrap(b []byte) ([]byte, error) {
	switch {
	case len(b) > 0 && b[0] == keyBare:
		return append([]byte(nil), b[1:]...), nil
	case len(b) == 0 || b[0] != keyWrapped:
		return nil, damage("data key of %d bytes", len(b))
	case k.unwrapWith == nil:
		return nil, errNoKey
	}
	return k.unwrapWith(b[1:])
}

func openWith(path string, o Options, k keeper) (*Queue, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) && !o.readOnly {
		if err := create(path, o); err != nil {
			return nil, fmt.Errorf("create queue: %w", err)
		}
	}
	q, err := openOrRescue(path, o, k)
	if err != nil {
		return nil, fmt.Errorf("open queue %s: %w", filepath.Base(path), err)
	}
	return q, nil
}

// openOrRescue opens the file. One of an older schema, or a damaged one, is
// first written anew.
func openOrRescue(path string, o Options, k keeper) (*Queue, error) {
	q, err := open(path, o, k)
	old, damaged := errors.Is(err, errOldSchema), errors.Is(err, ErrDamaged)
	if o.readOnly || !old && !(damaged && o.Salvage) {
		return q, err
	}
	cause := err
	report, err := rescue(path, o, k, cause)
	if isFull(err) && os.Remove(ballastOf(path)) == nil {
		report, err = rescue(path, o, k, cause)
	}
	if err != nil {
		return nil, err
	}
	if q, err = open(path, o, k); err != nil {
		return nil, err
	}
	report.Sealed = q.report.Sealed
	q.report = report
	o.Log.Warn("queue written anew", "what", report.Action, "items", report.Items, "lost", len(report.Lost), "receipts", report.Receipts, "cause", report.Cause)
	return q, nil
}

// settings are bbolt's. The map is as large as the file may ever grow, so that
// no commit waits for readers in order to map it anew. The array of free pages
// gives neighbours to a body, which the disk writes as one; the map gives any.
func (o Options) settings() *bolt.Options {
	return &bolt.Options{
		Timeout:         o.LockWait,
		FreelistType:    bolt.FreelistArrayType,
		NoFreelistSync:  true,
		PageSize:        pageSize,
		InitialMmapSize: int(o.MaxSize) + 2*pageSize,
		ReadOnly:        o.readOnly,
	}
}

// create makes the file under another name and gives it its own only when it is
// whole: a cut in a file's very first transaction leaves one that can't be opened.
func create(path string, o Options) error {
	return replace(path, o, func(*bolt.DB) error { return nil })
}

// replace writes a new file, has fill put in what belongs there, and lets it
// take the place of the one at path.
func replace(path string, o Options, fill func(*bolt.DB) error) error {
	temp := path + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, err := bolt.Open(temp, 0o600, o.settings())
	if err != nil {
		return err
	}
	db.NoSync, db.AllocSize = true, growStep // nobody sees the file before it is synced
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return tx.Bucket(metaBucket).Put(schemaKey, binary.BigEndian.AppendUint64(nil, schema))
	})
	if err == nil {
		err = fill(db)
	}
	var high int64
	if err == nil {
		err = db.View(func(tx *bolt.Tx) error { high = tx.Size(); return nil })
	}
	if err = errors.Join(err, db.Close()); err == nil {
		err = settle(temp, high, min(o.MaxSize, max(firstSize, high+headroom*pageSize)))
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// settle gives every page of a file its block on the disk, and syncs it: from
// high on, bbolt has left holes.
func settle(path string, high, size int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	size = size / pageSize * pageSize
	err = f.Truncate(high)
	if err == nil && size > high {
		err = extend(f, high, size)
	}
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// open opens an existing file.
func open(path string, o Options, k keeper) (*Queue, error) {
	if err := checkFile(path, o.LockWait); err != nil {
		return nil, err
	}
	q := &Queue{
		path: path, opts: o, keys: keys{},
		ops: make(chan *op), stopped: make(chan struct{}), changed: make(chan struct{}, 1),
	}
	if err := q.openFile(path); err != nil {
		return nil, err
	}
	if err := q.begin(k); err != nil {
		return nil, errors.Join(err, q.db.Close())
	}
	s, _ := q.Stats()
	o.Log.Info("queue open", "boot", q.boot, "queued", s.Queued, "parked", s.Parked)
	return q, nil
}

// openFile opens the file by bbolt.
func (q *Queue) openFile(path string) error {
	settings := q.opts.settings()
	settings.OpenFile = func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
		q.file, err = q.opts.openFile(name, flag, mode)
		return q.file, err
	}
	db, err := bolt.Open(path, 0o600, settings)
	if errors.Is(err, berrors.ErrTimeout) {
		err = ErrInUse
	}
	if err != nil {
		return err
	}
	info, err := q.file.Stat()
	if err != nil {
		return errors.Join(err, db.Close())
	}
	db.AllocSize = 0
	q.db = db
	q.size = info.Size() / pageSize * pageSize
	q.db.MaxSize = int(q.size)
	return nil
}

// begin reads what is there, and makes this opening's data key.
func (q *Queue) begin(k keeper) error {
	if err := q.view(func(tx *bolt.Tx) error { return q.load(tx, k) }); err != nil {
		return err
	}
	if q.index.count.queued > 0 {
		q.ring()
	}
	if q.opts.readOnly {
		return nil
	}
	if err := q.measure(); err != nil {
		return err
	}
	if err := q.makeBallast(); err != nil {
		return fmt.Errorf("ballast: %w", err)
	}
	q.reserve(0)
	if err := q.rotate(k); err != nil {
		return err
	}
	if q.wasteful() {
		if _, err := q.compact(); err != nil {
			q.opts.Log.Warn("not compacted", "err", err)
		}
		if err := q.Err(); err != nil {
			return err
		}
	}
	return q.measure()
}

// load reads the schema, the keys and the index.
func (q *Queue) load(tx *bolt.Tx, k keeper) error {
	meta := tx.Bucket(metaBucket)
	if meta == nil {
		return damage("bucket meta is missing")
	}
	switch v := meta.Get(schemaKey); {
	case len(v) == 8 && binary.BigEndian.Uint64(v) == 1:
		return errOldSchema
	case len(v) != 8 || binary.BigEndian.Uint64(v) != schema:
		return damage("schema %x is not known", v)
	}
	for _, name := range buckets {
		if tx.Bucket(name) == nil {
			return damage("bucket %s is missing", name)
		}
	}
	if v := meta.Get(bootKey); len(v) == 8 {
		q.boot = binary.BigEndian.Uint64(v)
	}
	if err := q.loadKeys(meta, k); err != nil {
		return err
	}
	var err error
	q.index, q.report.Sealed, err = audit(tx, &q.keys)
	if err == nil && q.report.Sealed > 0 {
		q.opts.Log.Warn("notes can't be read: their key is not to be had", "items", q.report.Sealed)
	}
	return err
}

// loadKeys unwraps the keys of earlier openings. One that can't be unwrapped
// costs the notes under it, and nothing else.
func (q *Queue) loadKeys(meta *bolt.Bucket, k keeper) error {
	c := meta.Cursor()
	for key, v := c.Seek(keyPrefix); epochOf(key) != 0; key, v = c.Next() {
		wrapped, ok := opened(v)
		if !ok {
			return damage("data key %x", key)
		}
		plain, err := k.unwrap(wrapped)
		if err == nil {
			err = q.keys.add(epochOf(key), plain)
		}
		if err != nil {
			q.opts.Log.Warn("data key not unwrapped", "epoch", epochOf(key), "err", err)
		}
	}
	return nil
}

func keyOf(epoch uint64) []byte {
	return binary.BigEndian.AppendUint64(append([]byte(nil), keyPrefix...), epoch)
}

// epochOf returns the epoch of a data key's key in meta; 0: it is none.
func epochOf(key []byte) uint64 {
	if len(key) != len(keyPrefix)+8 || string(key[:len(keyPrefix)]) != string(keyPrefix) {
		return 0
	}
	return binary.BigEndian.Uint64(key[len(keyPrefix):])
}

// rotate makes this opening's data key and forgets those that nothing lies
// under any more. It is one transaction: a cut leaves the keys as they were.
func (q *Queue) rotate(k keeper) error {
	q.boot++
	key := newKey()
	wrapped, err := k.wrap(key)
	if err != nil {
		return fmt.Errorf("wrap data key: %w", err)
	}
	if err := q.keys.add(q.boot, key); err != nil {
		return err
	}
	used := map[uint64]bool{}
	for _, n := range q.index.ids {
		used[n.epoch] = true
	}
	return q.db.Update(func(tx *bolt.Tx) error {
		meta := tx.Bucket(metaBucket)
		var old [][]byte
		c := meta.Cursor()
		for key, _ := c.Seek(keyPrefix); epochOf(key) != 0; key, _ = c.Next() {
			if !used[epochOf(key)] {
				old = append(old, keyOf(epochOf(key)))
			}
		}
		for _, key := range old {
			if err := meta.Delete(key); err != nil {
				return err
			}
		}
		if err := meta.Put(keyOf(q.boot), closed(wrapped)); err != nil {
			return err
		}
		return meta.Put(bootKey, binary.BigEndian.AppendUint64(nil, q.boot))
	})
}
