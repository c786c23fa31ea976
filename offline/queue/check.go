package queue

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// bbolt trusts its file: on a damaged one it panics, partly in a goroutine of
// its own where nobody can recover, or follows a loop of pages until the stack ends. So
// an existing file is read first, page by page, without a map, and everything
// that bbolt will follow is followed here with bounds. The rules are:
//   - at least one meta page is whole, and the newest whole one counts;
//   - every page reached lies below the high-water mark and in the file, says
//     its own number, and is reached once;
//   - every element lies in its page; keys ascend, within the bounds that the
//     branch above gives.
//
// What records say is checked by their own checksums, in record.go.

// The layout of a bbolt file, version 2, in the machine's byte order.
const (
	boltMagic      = 0xED0CDAED
	boltVersion    = 2
	pageHeaderSize = 16
	elementSize    = 16
	metaSumAt      = 56 // after magic, version, page size, flags, root (2), free list, high water, transaction
	branchFlag     = 0x01
	leafFlag       = 0x02
	metaFlag       = 0x04
	bucketFlag     = 0x01
	noFreelist     = ^uint64(0)
	maxDepth       = 24 // of branches; a full 64 GiB file needs 8
)

// checkFile checks the file at path while nobody else may write to it.
func checkFile(path string, wait time.Duration) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := lock(f, wait); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return checkPages(f, info.Size())
}

// lock waits for the lock that bbolt takes. It goes with f.
func lock(f *os.File, wait time.Duration) error {
	const pause = 20 * time.Millisecond
	for end := time.Now().Add(wait); ; {
		err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		if time.Now().After(end) {
			return ErrInUse
		}
		<-time.After(pause)
	}
}

// A walk follows the pages of one file.
type walk struct {
	r    io.ReaderAt
	high uint64 // pages from here on are not in use
	seen []bool // by page
}

func checkPages(r io.ReaderAt, size int64) error {
	meta, err := newestMeta(r, size)
	if err != nil {
		return err
	}
	root, free := binary.NativeEndian.Uint64(meta[16:]), binary.NativeEndian.Uint64(meta[32:])
	high := binary.NativeEndian.Uint64(meta[40:])
	if high < 3 || high > uint64(size/pageSize) {
		return damage("%d pages in use, the file has %d", high, size/pageSize)
	}
	if free != noFreelist && free >= high {
		return damage("free list at page %d of %d", free, high)
	}
	w := &walk{r: r, high: high, seen: make([]bool, high)}
	w.seen[0], w.seen[1] = true, true
	return w.page(root, bounds{}, 0)
}

// bounds of the keys below a branch's element; below nil: no upper bound.
type bounds struct{ least, below []byte }

func (b bounds) holds(key []byte) bool {
	return bytes.Compare(b.least, key) <= 0 && (b.below == nil || bytes.Compare(key, b.below) < 0)
}

func damage(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrDamaged)
}

// newestMeta returns the meta record that bbolt will use.
func newestMeta(r io.ReaderAt, size int64) ([]byte, error) {
	var best []byte
	var bestTx uint64
	if size < 4*pageSize || size%pageSize != 0 {
		return nil, damage("file of %d bytes", size)
	}
	for id := range int64(2) {
		page := make([]byte, pageSize)
		if _, err := r.ReadAt(page, id*pageSize); err != nil {
			return nil, fmt.Errorf("read page %d: %w", id, err)
		}
		m := page[pageHeaderSize : pageHeaderSize+metaSumAt+8]
		sum := fnv.New64a()
		sum.Write(m[:metaSumAt])
		whole := binary.NativeEndian.Uint32(m) == boltMagic &&
			binary.NativeEndian.Uint32(m[4:]) == boltVersion &&
			binary.NativeEndian.Uint32(m[8:]) == pageSize &&
			binary.NativeEndian.Uint16(page[8:]) == metaFlag &&
			binary.NativeEndian.Uint64(m[metaSumAt:]) == sum.Sum64()
		if tx := binary.NativeEndian.Uint64(m[48:]); whole && (best == nil || tx > bestTx) {
			best, bestTx = m, tx
		}
	}
	if best == nil {
		return nil, damage("no meta page is whole")
	}
	return best, nil
}

// read returns the page id with its overflow, and marks it as reached.
func (w *walk) read(id uint64) ([]byte, error) {
	if id < 2 || id >= w.high {
		return nil, damage("page %d of %d", id, w.high)
	}
	head := make([]byte, pageHeaderSize)
	if _, err := w.r.ReadAt(head, int64(id)*pageSize); err != nil {
		return nil, fmt.Errorf("read page %d: %w", id, err)
	}
	pages := uint64(binary.NativeEndian.Uint32(head[12:])) + 1
	if own := binary.NativeEndian.Uint64(head); own != id || id+pages > w.high {
		return nil, damage("page %d says %d and %d pages", id, own, pages)
	}
	for n := id; n < id+pages; n++ {
		if w.seen[n] {
			return nil, damage("page %d is used twice", n)
		}
		w.seen[n] = true
	}
	page := make([]byte, pages*pageSize)
	if _, err := w.r.ReadAt(page, int64(id)*pageSize); err != nil {
		return nil, fmt.Errorf("read page %d: %w", id, err)
	}
	return page, nil
}

// page follows the tree from page id, whose keys must lie within b.
func (w *walk) page(id uint64, b bounds, depth int) error {
	page, err := w.read(id)
	if err != nil {
		return err
	}
	switch flags := binary.NativeEndian.Uint16(page[8:]); {
	case flags == branchFlag && depth < maxDepth:
		return w.branch(id, page, b, depth)
	case flags == leafFlag:
		return w.leaf(id, page, b, depth)
	default:
		return damage("page %d has flags %#x at depth %d", id, flags, depth)
	}
}

func (w *walk) branch(id uint64, page []byte, b bounds, depth int) error {
	count := int(binary.NativeEndian.Uint16(page[10:]))
	if count == 0 || pageHeaderSize+count*elementSize > len(page) {
		return damage("branch %d has %d elements", id, count)
	}
	keys := make([][]byte, count)
	for i := range keys {
		at := pageHeaderSize + i*elementSize
		pos, ksize := binary.NativeEndian.Uint32(page[at:]), binary.NativeEndian.Uint32(page[at+4:])
		key, ok := cut(page, at, pos, ksize)
		if !ok || !b.holds(key) || i > 0 && bytes.Compare(keys[i-1], key) >= 0 {
			return damage("branch %d: key %d", id, i)
		}
		keys[i] = key
	}
	for i, key := range keys {
		child := binary.NativeEndian.Uint64(page[pageHeaderSize+i*elementSize+8:])
		within := bounds{least: key, below: b.below}
		if i+1 < count {
			within.below = keys[i+1]
		}
		if err := w.page(child, within, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) leaf(id uint64, page []byte, b bounds, depth int) error {
	var last []byte
	for i := range int(binary.NativeEndian.Uint16(page[10:])) {
		at := pageHeaderSize + i*elementSize
		if at+elementSize > len(page) {
			return damage("leaf %d is cut short", id)
		}
		flags, pos := binary.NativeEndian.Uint32(page[at:]), binary.NativeEndian.Uint32(page[at+4:])
		ksize, vsize := binary.NativeEndian.Uint32(page[at+8:]), binary.NativeEndian.Uint32(page[at+12:])
		both, ok := cut(page, at, pos, uint32(min(uint64(ksize)+uint64(vsize), 1<<31)))
		if !ok || ksize == 0 {
			return damage("leaf %d: element %d", id, i)
		}
		key, value := both[:ksize], both[ksize:]
		if !b.holds(key) || i > 0 && bytes.Compare(last, key) >= 0 {
			return damage("leaf %d: key %d", id, i)
		}
		last = key
		if flags&bucketFlag == 0 {
			continue
		}
		if err := w.bucket(id, value, depth); err != nil {
			return err
		}
	}
	return nil
}

// bucket follows a bucket's own tree: root page, sequence; root 0 means that a
// leaf page follows in place.
func (w *walk) bucket(id uint64, value []byte, depth int) error {
	if len(value) < 16 || depth >= maxDepth {
		return damage("leaf %d: bucket of %d bytes at depth %d", id, len(value), depth)
	}
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		return w.page(root, bounds{}, depth+1)
	}
	inline := value[16:]
	if len(inline) < pageHeaderSize || binary.NativeEndian.Uint16(inline[8:]) != leafFlag {
		return damage("leaf %d: bucket in place", id)
	}
	return w.leaf(id, inline, bounds{}, depth+1)
}

// cut returns size bytes at pos, counted from the element at.
func cut(page []byte, at int, pos, size uint32) ([]byte, bool) {
	from := uint64(at) + uint64(pos)
	if from+uint64(size) > uint64(len(page)) {
		return nil, false
	}
	return page[from : from+uint64(size)], true
}
