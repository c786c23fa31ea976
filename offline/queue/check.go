package queue

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// bbolt trusts its file: on a damaged one it panics, partly in a goroutine of
// its own where nobody can recover, or follows a loop of pages until the stack ends. So
// an existing file is read first, page by page, without a map, and everything
// that bbolt will follow is followed here with bounds. The rules are:
//   - at least one meta page is whole, and the newest whole one counts; one that
//     bbolt would take for whole is whole in every other respect too;
//   - where there is a list of free pages, it is one, and names no page of the tree;
//   - every page reached lies below the high-water mark and in the file, says
//     its own number, and is reached once;
//   - every element lies in its page; keys ascend, within the bounds that the
//     branch above gives.
//
// What records say is checked by their own checksums, in record.go. The same
// walk, made lenient, finds what is left of a damaged file (rescue.go).

// The layout of a bbolt file, version 2, in the machine's byte order.
const (
	boltMagic        = 0xED0CDAED
	boltVersion      = 2
	pageHeaderSize   = 16
	elementSize      = 16
	metaSumAt        = 56 // after magic, version, page size, flags, root (2), free list, high water, transaction
	branchFlag       = 0x01
	leafFlag         = 0x02
	metaFlag         = 0x04
	freelistFlag     = 0x10
	manyFree         = 0xFFFF // as a count: the first entry is the count
	bucketFlag       = 0x01
	bucketHeaderSize = 16
	noFreelist       = ^uint64(0)
	maxDepth         = 24 // of branches; a full 64 GiB file needs 8
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

	// visit, if there is one, is shown every element that is no bucket: the bucket
	// that it is in, and where its value stands in the file.
	visit func(bucket, key, value []byte, at int64)
	// lost, if there is one, is told the keys of what can't be followed, and the walk goes on.
	lost   func(bucket []byte, b bounds)
	bucket []byte // where the walk is
}

func checkPages(r io.ReaderAt, size int64) error {
	metas, err := wholeMetas(r, size)
	if err != nil {
		return err
	}
	for _, m := range metas { // of the older one bbolt believes the page size
		if m.odd != nil {
			return m.odd
		}
	}
	w := &walk{r: r}
	if err := w.from(metas[0], size); err != nil {
		return err
	}
	return w.free(metas[0].free)
}

// A meta is what a meta page says.
type meta struct {
	root, free, high, tx uint64
	odd                  error // why nobody but bbolt would take it for whole
}

// from follows the tree of one meta page.
func (w *walk) from(m meta, size int64) error {
	if m.high < 3 || m.high > uint64(size/pageSize) {
		return damage("%d pages in use, the file has %d", m.high, size/pageSize)
	}
	w.high, w.seen = m.high, make([]bool, m.high)
	w.seen[0], w.seen[1] = true, true
	return w.page(m.root, bounds{}, 0)
}

// free checks the list of free pages, after the tree.
func (w *walk) free(id uint64) error {
	if id == noFreelist {
		return nil // bbolt makes it from the tree
	}
	page, err := w.read(id)
	if err != nil {
		return fmt.Errorf("free list: %w", err)
	}
	list, count := page[pageHeaderSize:], uint64(binary.NativeEndian.Uint16(page[10:]))
	if count == manyFree {
		count, list = binary.NativeEndian.Uint64(list), list[8:]
	}
	if flags := binary.NativeEndian.Uint16(page[8:]); flags != freelistFlag || count > uint64(len(list)/8) {
		return damage("free list at page %d has flags %#x and %d entries", id, flags, count)
	}
	for i := range count {
		n := binary.NativeEndian.Uint64(list[8*i:])
		if n < 2 || n >= w.high || w.seen[n] {
			return damage("free list: page %d of %d is not free", n, w.high)
		}
		w.seen[n] = true
	}
	return nil
}

// bounds of the keys below a branch's element; below nil: no upper bound.
type bounds struct{ least, below []byte }

func (b bounds) holds(key []byte) bool {
	return bytes.Compare(b.least, key) <= 0 && (b.below == nil || bytes.Compare(key, b.below) < 0)
}

func damage(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrDamaged)
}

// wholeMetas returns the meta pages that bbolt would take for whole, the one
// that it will use first.
func wholeMetas(r io.ReaderAt, size int64) ([]meta, error) {
	var metas []meta
	if size < 4*pageSize {
		return nil, damage("file of %d bytes", size)
	}
	for id := range uint64(2) {
		page := make([]byte, pageSize)
		if _, err := r.ReadAt(page, int64(id)*pageSize); err != nil {
			return nil, fmt.Errorf("read page %d: %w", id, err)
		}
		if m, ok := metaOf(page, id); ok {
			metas = append(metas, m)
		}
	}
	if len(metas) == 0 {
		return nil, damage("no meta page is whole")
	}
	slices.SortStableFunc(metas, func(a, b meta) int { return cmp.Compare(b.tx, a.tx) })
	return metas, nil
}

func metaOf(page []byte, id uint64) (meta, bool) {
	b := page[pageHeaderSize : pageHeaderSize+metaSumAt+8]
	sum := fnv.New64a()
	sum.Write(b[:metaSumAt])
	if binary.NativeEndian.Uint32(b) != boltMagic || binary.NativeEndian.Uint32(b[4:]) != boltVersion ||
		binary.NativeEndian.Uint64(b[metaSumAt:]) != sum.Sum64() {
		return meta{}, false
	}
	m := meta{
		root: binary.NativeEndian.Uint64(b[16:]), free: binary.NativeEndian.Uint64(b[32:]),
		high: binary.NativeEndian.Uint64(b[40:]), tx: binary.NativeEndian.Uint64(b[48:]),
	}
	own, flags, pages := binary.NativeEndian.Uint64(page), binary.NativeEndian.Uint16(page[8:]), binary.NativeEndian.Uint32(b[8:])
	if own != id || flags != metaFlag || pages != pageSize || m.tx%2 != id {
		m.odd = damage("meta page %d says %d, flags %#x, pages of %d bytes, transaction %d", id, own, flags, pages, m.tx)
	}
	return m, true
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
	err := w.follow(id, b, depth)
	if errors.Is(err, ErrDamaged) && w.lost != nil {
		w.lost(w.bucket, b)
		return nil
	}
	return err
}

func (w *walk) follow(id uint64, b bounds, depth int) error {
	page, err := w.read(id)
	if err != nil {
		return err
	}
	switch flags := binary.NativeEndian.Uint16(page[8:]); {
	case flags == branchFlag && depth < maxDepth:
		return w.branch(id, page, b, depth)
	case flags == leafFlag:
		return w.leaf(id, page, int64(id)*pageSize, b, depth)
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
		if !ok || ksize == 0 || !b.holds(key) || i > 0 && bytes.Compare(keys[i-1], key) >= 0 {
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

// leaf reads a leaf that stands in the file at base.
func (w *walk) leaf(id uint64, page []byte, base int64, b bounds, depth int) error {
	var last []byte
	for i := range int(binary.NativeEndian.Uint16(page[10:])) {
		e, ok := elementOf(page, i)
		if !ok {
			return damage("leaf %d: element %d", id, i)
		}
		if !b.holds(e.key) || i > 0 && bytes.Compare(last, e.key) >= 0 {
			return damage("leaf %d: key %d", id, i)
		}
		last = e.key
		if e.bucket {
			if err := w.down(id, e, base, depth); err != nil {
				return err
			}
		} else if w.visit != nil {
			w.visit(w.bucket, e.key, e.value, base+int64(e.at))
		}
	}
	return nil
}

// An element is one of a leaf.
type element struct {
	bucket     bool
	key, value []byte
	at         int // where the value stands in the page
}

func elementOf(page []byte, i int) (element, bool) {
	at := pageHeaderSize + i*elementSize
	if at+elementSize > len(page) {
		return element{}, false
	}
	flags, pos := binary.NativeEndian.Uint32(page[at:]), binary.NativeEndian.Uint32(page[at+4:])
	ksize, vsize := binary.NativeEndian.Uint32(page[at+8:]), binary.NativeEndian.Uint32(page[at+12:])
	both, ok := cut(page, at, pos, uint32(min(uint64(ksize)+uint64(vsize), 1<<31)))
	if !ok || ksize == 0 {
		return element{}, false
	}
	return element{flags&bucketFlag != 0, both[:ksize], both[ksize:], at + int(pos) + int(ksize)}, true
}

// down follows a bucket's own tree: root page, sequence; root 0 means that a
// leaf page follows in place.
func (w *walk) down(id uint64, e element, base int64, depth int) error {
	if len(e.value) < bucketHeaderSize || depth >= maxDepth {
		return damage("leaf %d: bucket of %d bytes at depth %d", id, len(e.value), depth)
	}
	above := w.bucket
	w.bucket = e.key
	defer func() { w.bucket = above }()
	if w.visit != nil {
		w.visit(e.key, nil, e.value[8:bucketHeaderSize], base+int64(e.at)+8) // its sequence
	}
	if root := binary.NativeEndian.Uint64(e.value); root != 0 {
		return w.page(root, bounds{}, depth+1)
	}
	inline := e.value[bucketHeaderSize:]
	if len(inline) < pageHeaderSize || binary.NativeEndian.Uint16(inline[8:]) != leafFlag {
		return damage("leaf %d: bucket in place", id)
	}
	return w.leaf(id, inline, base+int64(e.at)+bucketHeaderSize, bounds{}, depth+1)
}

// cut returns size bytes at pos, counted from the element at.
func cut(page []byte, at int, pos, size uint32) ([]byte, bool) {
	from := uint64(at) + uint64(pos)
	if from+uint64(size) > uint64(len(page)) {
		return nil, false
	}
	return page[from : from+uint64(size)], true
}
