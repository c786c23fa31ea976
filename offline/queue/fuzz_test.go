package queue

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// A scratch is a change of a file: so many bytes of a number are written over
// what stands at a place in a page. It reaches behind the checksum of a meta
// page, which a decaying disk can't, and a program gone wrong can.
type scratch struct {
	page, at uint16
	width    byte
	value    uint64
}

func (s scratch) on(b []byte) {
	var number [8]byte
	binary.NativeEndian.PutUint64(number[:], s.value)
	pages := len(b) / pageSize
	if s.width >= 128 && s.at >= 256 { // the beginning of a page is where it breaks
		s.at %= 256
	}
	copy(b[int(s.page)%pages*pageSize+int(s.at)%pageSize:], number[:1+s.width%8])
	for id := range 2 {
		m := b[id*pageSize+pageHeaderSize:]
		sum := fnv.New64a()
		sum.Write(m[:metaSumAt])
		binary.NativeEndian.PutUint64(m[metaSumAt:], sum.Sum64())
	}
}

// fresh are the pages of a file that bbolt has just made, with a list of free
// pages; worn those of a queue, without what was never used.
func fresh(t testing.TB) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fresh")
	db, err := bolt.Open(path, 0o600, &bolt.Options{PageSize: pageSize})
	must(t, err)
	must(t, db.Update(func(tx *bolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return tx.Bucket(metaBucket).Put(schemaKey, binary.BigEndian.AppendUint64(nil, schema))
	}))
	must(t, db.Close())
	b, err := os.ReadFile(path)
	must(t, err)
	return b
}

// inMemory is a folder on a disk in memory, where there is one.
func inMemory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "kosk-queue-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	return dir
}

// openScratched opens what is left of a file, reads all, and puts and finishes
// an item, in this goroutine: bbolt must be shown nothing on which it panics.
func openScratched(t testing.TB, path string) (opened bool) {
	q, err := Open(path, Options{MaxSize: 1 << 20, LockWait: 1})
	if err != nil {
		return false
	}
	defer q.Close()
	for n := range 8 {
		if f, err := q.Find(id(n)); err == nil && f.State != Finished {
			if _, err := q.Load(f.Entry); err != nil && !errors.Is(err, ErrDamaged) {
				t.Errorf("load %d: %v", n, err)
			}
		}
	}
	rec, err := q.newRecord(item(1000, "s", 5000))
	must(t, err)
	answer := make(chan error, 3)
	q.commit([]*op{
		{apply: func(v *view) error { return v.put(rec, item(1000, "s", 5000).Body) }, answer: answer},
		{apply: func(v *view) error { return v.done(id(1000), nil) }, answer: answer},
		{apply: func(v *view) error { return v.done(id(1), nil) }, answer: answer},
	})
	return true
}

// FuzzOpen scratches good files twice, and opens them by bbolt: what the checker
// lets pass, bbolt must be able to bear, because it panics where nobody recovers.
func FuzzOpen(f *testing.F) {
	path := filepath.Join(inMemory(f), "queue")
	backlog(f, path)
	whole, err := os.ReadFile(path)
	must(f, err)
	files := [][]byte{fresh(f), whole}
	f.Add(false, uint16(2), uint16(8), byte(1), uint64(leafFlag), uint16(0), uint16(40), byte(7), uint64(3))      // no list of free pages
	f.Add(false, uint16(1), uint16(48), byte(7), uint64(0), uint16(0), uint16(48), byte(7), uint64(0))            // the list is a meta page
	f.Add(false, uint16(4), uint16(10), byte(1), uint64(manyFree), uint16(4), uint16(16), byte(7), uint64(1<<60)) // a list of very many
	f.Add(false, uint16(4), uint16(16), byte(7), uint64(3), uint16(4), uint16(10), byte(1), uint64(1))            // the list names a page of the tree
	f.Add(true, uint16(0), uint16(8), byte(1), uint64(0), uint16(0), uint16(64), byte(7), uint64(1<<40))          // a meta page that only bbolt believes
	f.Add(true, uint16(9), uint16(8), byte(1), uint64(branchFlag), uint16(9), uint16(10), byte(1), uint64(0))
	f.Fuzz(func(t *testing.T, used bool, page1, at1 uint16, width1 byte, value1 uint64, page2, at2 uint16, width2 byte, value2 uint64) {
		b := bytes.Clone(files[0])
		if used {
			b = bytes.Clone(files[1])
		}
		b = append(b, make([]byte, 9)...)
		scratch{page1, at1, width1, value1}.on(b)
		scratch{page2, at2, width2, value2}.on(b)
		b = b[:len(b)-9]
		here := filepath.Join(inMemory(t), "queue")
		must(t, os.WriteFile(here, b, 0o600))
		openScratched(t, here)
		if _, err := os.Stat(here); err != nil {
			t.Error(err)
		}
	})
}
