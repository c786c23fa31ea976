package queue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

const schema = 1

// Open opens the queue's file, or makes it, and checks what is there. Errors:
// ErrInUse, ErrDamaged (the file is left as it is), and those of the system.
func Open(path string, o Options) (*Queue, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		if err := create(path, o); err != nil {
			return nil, fmt.Errorf("create queue: %w", err)
		}
	}
	q, err := open(path, o, nil)
	if err != nil {
		return nil, fmt.Errorf("open queue %s: %w", filepath.Base(path), err)
	}
	return q, nil
}

// settings are bbolt's. The map is as large as the file may ever grow, so that
// no commit waits for readers in order to map it anew.
func (o Options) settings() *bolt.Options {
	return &bolt.Options{
		Timeout:         o.LockWait,
		FreelistType:    bolt.FreelistMapType,
		NoFreelistSync:  true,
		PageSize:        pageSize,
		MaxSize:         int(o.MaxSize),
		InitialMmapSize: int(o.MaxSize),
	}
}

// create makes the file under another name and gives it its own only when it is
// whole: a cut in a file's very first transaction leaves one that can't be opened.
func create(path string, o Options) error {
	temp := path + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, err := bolt.Open(temp, 0o600, o.settings())
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return tx.Bucket(metaBucket).Put([]byte("schema"), binary.BigEndian.AppendUint64(nil, schema))
	})
	if err := errors.Join(err, db.Sync(), db.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// open opens an existing file. openFile is nil but in tests that break the file.
func open(path string, o Options, openFile func(string, int, os.FileMode) (*os.File, error)) (*Queue, error) {
	if err := checkFile(path, o.LockWait); err != nil {
		return nil, err
	}
	settings := o.settings()
	settings.OpenFile = openFile
	db, err := bolt.Open(path, 0o600, settings)
	if errors.Is(err, berrors.ErrTimeout) {
		err = ErrInUse
	}
	if err != nil {
		return nil, err
	}
	db.AllocSize = int(min(1<<20, o.MaxSize/16)) / pageSize * pageSize
	q := &Queue{
		db: db, opts: o,
		ops: make(chan *op), stopped: make(chan struct{}), changed: make(chan struct{}, 1),
	}
	if err := errors.Join(q.begin(), q.measure()); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	o.Log.Info("queue open", "boot", q.boot, "queued", q.depth.Queued, "parked", q.depth.Parked)
	return q, nil
}

// begin counts this opening, and what is there.
func (q *Queue) begin() error {
	return q.db.Update(func(tx *bolt.Tx) error {
		for _, name := range buckets {
			if tx.Bucket(name) == nil {
				return fmt.Errorf("bucket %s is missing: %w", name, ErrDamaged)
			}
		}
		meta := tx.Bucket(metaBucket)
		if v := meta.Get([]byte("schema")); len(v) != 8 || binary.BigEndian.Uint64(v) != schema {
			return fmt.Errorf("schema %x is not known: %w", v, ErrDamaged)
		}
		if v := meta.Get([]byte("boot")); len(v) == 8 {
			q.boot = binary.BigEndian.Uint64(v)
		}
		q.boot++
		var err error
		if q.depth, err = audit(tx); err != nil {
			return err
		}
		if q.depth.Queued > 0 {
			q.ring()
		}
		return meta.Put([]byte("boot"), binary.BigEndian.AppendUint64(nil, q.boot))
	})
}
