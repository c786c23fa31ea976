package queue

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"kosk/offline"
)

// A damaged file is not mended: what can be read of it is written to a new one,
// and it stays beside that for whoever wants to look. The rules are:
//   - if the other meta page's tree is whole, it counts, and to it come the items
//     of the transactions after it that can be found;
//   - else what the newest tree still leads to counts, and whatever on any page
//     carries a good checksum and belongs where the tree is broken;
//   - an item whose body is lost is kept, parked as damaged: its number was promised;
//   - it is not known whether an item was sent after what was found of it was
//     written. So all count as maybe sent: the bus is asked first, and none expires.
//
// A file of schema 1 is written anew by the same means, and loses nothing.

// What Open may have done to a file.
const (
	Upgraded   = "upgraded"    // it was of an older schema
	RolledBack = "rolled back" // its last transaction was damaged
	Salvaged   = "salvaged"    // record by record
)

// A Report tells what Open met and did, for the operator and for health.
type Report struct {
	Action   string   // Upgraded, RolledBack, Salvaged; empty: the file was whole
	Cause    error    // what was wrong
	Aside    string   // where the damaged file lies
	Items    int      // items kept, parked ones with them
	Receipts int      // receipts kept
	Lost     []string // ids whose body is lost: they are parked as damaged
	Sealed   int      // items whose notes can't be read: their key is not to be had
}

// asides is how many damaged files are kept.
const asides = 3

// rescue writes the file at path anew.
func rescue(path string, o Options, k keeper, cause error) (Report, error) {
	report := Report{Cause: cause}
	f, err := os.Open(path)
	if err != nil {
		return report, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return report, err
	}
	h := newHaul(f, info.Size())
	if errors.Is(cause, errOldSchema) {
		report.Action, err = Upgraded, h.strict()
	} else {
		report.Action, err = h.salvage()
	}
	if err != nil {
		return report, err
	}
	if h.upgrade, err = newUpgrade(h.boot, k); err != nil {
		return report, err
	}
	if report.Action != Upgraded {
		if report.Aside, err = setAside(path); err != nil {
			return report, fmt.Errorf("set the damaged file aside: %w", err)
		}
	}
	return report, replace(path, o, func(db *bolt.DB) error { return h.write(db, &report) })
}

// setAside gives the damaged file a second name, under which it stays.
func setAside(path string) (string, error) {
	var name string
	for n := 1; ; n++ {
		name = fmt.Sprintf("%s.damaged-%d", path, n)
		_, err := os.Lstat(name)
		if errors.Is(err, os.ErrNotExist) {
			break
		}
		if n == asides {
			if err := os.Remove(name); err != nil {
				return "", err
			}
			break
		}
	}
	return name, errors.Join(os.Link(path, name), syncDir(filepath.Dir(path)))
}

// A place is where a value stands in the file.
type place struct {
	at   int64
	size int
}

// A haul is what was found in a file.
type haul struct {
	f        io.ReaderAt
	size     int64
	heads    map[uint64][]byte  // seq -> header of this schema
	old      map[uint64][]byte  // seq -> header of schema 1
	parts    map[string][]place // key -> where such a part was seen
	parked   map[uint64]string
	receipts map[uint64][]byte
	oldWords map[uint64][]byte            // receipts of schema 1
	oldSums  map[string][sha256.Size]byte // id -> sum, of schema 1
	keys     map[uint64][]byte            // epoch -> wrapped data key
	boot     uint64
	last     uint64 // sequence number given last
	upgrade  *upgrade
	doubtful bool // all may have been sent
}

func newHaul(f io.ReaderAt, size int64) *haul {
	return &haul{
		f: f, size: size, heads: map[uint64][]byte{}, old: map[uint64][]byte{}, parts: map[string][]place{},
		parked: map[uint64]string{}, receipts: map[uint64][]byte{}, oldWords: map[uint64][]byte{},
		oldSums: map[string][sha256.Size]byte{}, keys: map[uint64][]byte{},
	}
}

// strict takes in the newest tree of a file that is whole.
func (h *haul) strict() error {
	metas, err := wholeMetas(h.f, h.size)
	if err != nil {
		return err
	}
	w := &walk{r: h.f, visit: h.take}
	return w.from(metas[0], h.size)
}

// salvage finds what it can, and says which way.
func (h *haul) salvage() (string, error) {
	metas, err := wholeMetas(h.f, h.size)
	if err != nil && !errors.Is(err, ErrDamaged) {
		return "", err
	}
	h.doubtful = true
	for n, m := range metas {
		if !h.whole(m) {
			continue
		}
		w := &walk{r: h.f, visit: h.take}
		if err := w.from(m, h.size); err != nil {
			return "", err
		}
		after := h.last
		return []string{Salvaged, RolledBack}[n], h.scan(func(seq uint64) bool { return seq > after })
	}
	var broken []bounds
	everything := len(metas) == 0
	if !everything {
		w := &walk{r: h.f, visit: h.take, lost: func(bucket []byte, b bounds) {
			everything = everything || bucket == nil
			broken = append(broken, b)
		}}
		if err := w.from(metas[0], h.size); err != nil && !errors.Is(err, ErrDamaged) {
			return "", err
		} else if err != nil {
			everything = true
		}
	}
	return Salvaged, h.scan(func(seq uint64) bool {
		return everything || slices.ContainsFunc(broken, func(b bounds) bool { return b.mayHold(seq) })
	})
}

// mayHold reports whether keys that begin with seq may lie within b.
func (b bounds) mayHold(seq uint64) bool {
	return bytes.Compare(b.least, seqKey(seq+1)) < 0 && (b.below == nil || bytes.Compare(seqKey(seq), b.below) < 0)
}

// whole reports whether a tree, and the headers in it, are whole.
func (h *haul) whole(m meta) bool {
	good := true
	w := &walk{r: h.f, visit: func(bucket, key, value []byte, _ int64) {
		if bytes.Equal(bucket, itemBucket) && len(key) == 10 && binary.BigEndian.Uint16(key[8:]) == 0 {
			_, err := parseHeader(seqOf(key), value)
			good = good && err == nil
		}
	}}
	return w.from(m, h.size) == nil && good
}

// scan looks at every page of the file for leaves, whether anything leads to
// them or not. Items are taken only if want says so; parts of all.
func (h *haul) scan(want func(seq uint64) bool) error {
	// bbolt doesn't split a leaf of four elements: ours take three pages at most.
	run := make([]byte, 3*pageSize)
	for at := int64(2 * pageSize); at+pageSize <= h.size; at += pageSize {
		page := run[:min(int64(len(run)), h.size-at)]
		if _, err := h.f.ReadAt(page, at); err != nil {
			return fmt.Errorf("read page %d: %w", at/pageSize, err)
		}
		if binary.NativeEndian.Uint16(page[8:]) != leafFlag {
			continue
		}
		page = page[:min(len(page), pageSize*(1+int(min(binary.NativeEndian.Uint32(page[12:]), 2))))]
		for i := range int(min(binary.NativeEndian.Uint16(page[10:]), pageSize/elementSize)) {
			e, ok := elementOf(page, i)
			if !ok || e.bucket || len(e.key) == 8+2 && isHeader(e.key) && !want(seqOf(e.key)) {
				continue
			}
			h.take(nil, e.key, e.value, at+int64(e.at))
		}
	}
	return nil
}

func isHeader(key []byte) bool { return binary.BigEndian.Uint16(key[8:]) == 0 }

// take takes in one element: it is known by its form and its checksum, since
// its bucket may not be known. What was found first counts.
func (h *haul) take(bucket, key, value []byte, at int64) {
	seq := seqOf(key)
	switch {
	case key == nil:
		if bytes.Equal(bucket, itemBucket) || bytes.Equal(bucket, oldHeadBucket) {
			h.last = max(h.last, binary.NativeEndian.Uint64(value))
		}
	case bytes.Equal(key, bootKey) && len(value) == 8:
		h.boot = max(h.boot, binary.BigEndian.Uint64(value))
	case epochOf(key) != 0:
		if _, ok := opened(value); ok {
			h.keys[epochOf(key)] = bytes.Clone(value)
			h.boot = max(h.boot, epochOf(key))
		}
	case len(key) == 10 && isHeader(key):
		h.takeHeader(seq, value)
	case len(key) == 10 || len(key) == 12:
		h.parts[string(key)] = append(h.parts[string(key)], place{at, len(value)})
	case len(key) == 8:
		h.takeOther(bucket, seq, value)
	case bytes.Equal(bucket, oldIdemBucket) && len(key) == idSize && len(value) == 9+sha256.Size:
		h.oldSums[string(key)] = [sha256.Size]byte(value[9:])
	}
}

func (h *haul) takeHeader(seq uint64, value []byte) {
	e, err := parseHeader(seq, value)
	if err != nil {
		return
	}
	if was, err := parseHeader(seq, h.heads[seq]); err == nil && (was.ID != e.ID || was.Attempts >= e.Attempts) {
		return
	}
	h.heads[seq] = bytes.Clone(value)
	h.last, h.boot = max(h.last, seq), max(h.boot, e.Boot)
}

func (h *haul) takeOther(bucket []byte, seq uint64, value []byte) {
	switch {
	case bytes.Equal(bucket, oldHeadBucket):
		h.old[seq] = bytes.Clone(value)
		return
	case bucket != nil && len(h.old)+len(h.oldSums) > 0: // schema 1 has no checksums here
		if bytes.Equal(bucket, parkedBucket) {
			h.parked[seq] = string(value)
		} else {
			h.oldWords[seq] = bytes.Clone(value)
		}
		return
	}
	clear, ok := opened(value)
	if !ok {
		return
	}
	if _, err := parseReceipt(seq, value); err == nil {
		h.receipts[seq] = bytes.Clone(value)
		h.last = max(h.last, seq)
	} else if _, known := h.parked[seq]; !known {
		h.parked[seq] = string(clear)
	}
}

// write puts the haul into a new file.
func (h *haul) write(db *bolt.DB, report *Report) error {
	finished := map[string]bool{}
	for seq, r := range h.receipts {
		n, _ := parseReceipt(seq, r)
		finished[n.id] = true
		delete(h.heads, seq)
	}
	for seq := range h.old {
		b, err := h.upgrade.header(seq, h.old[seq])
		if err != nil {
			return err
		}
		h.heads[seq] = b
	}
	seqs := slices.Sorted(maps.Keys(h.heads))
	for len(seqs) > 0 {
		n := 0
		err := db.Update(func(tx *bolt.Tx) error {
			for written := 0; n < len(seqs) && written < maxBatchBytes; n++ {
				size, err := h.writeItem(tx, seqs[n], finished, report)
				if err != nil {
					return err
				}
				written += size
			}
			return nil
		})
		if err != nil {
			return err
		}
		seqs = seqs[n:]
	}
	return db.Update(func(tx *bolt.Tx) error { return h.writeRest(tx, report) })
}

// writeItem writes one item, if its id is not finished or there already.
func (h *haul) writeItem(tx *bolt.Tx, seq uint64, finished map[string]bool, report *Report) (int, error) {
	header := h.heads[seq]
	e, err := parseHeader(seq, header)
	if err != nil {
		return 0, err
	}
	if finished[e.ID] {
		return 0, nil
	}
	finished[e.ID] = true
	report.Items++
	if h.doubtful {
		e.MaybeSent = true
		header = e.mark(header)
	}
	items := tx.Bucket(itemBucket)
	items.FillPercent = 1
	body, err := h.body(e)
	reason, parked := h.parked[seq]
	if errors.Is(err, ErrDamaged) {
		report.Lost = append(report.Lost, e.ID)
		reason, parked = offline.ReasonDamaged, true
	} else if err != nil {
		return 0, err
	}
	err = errors.Join(items.Put(itemKey(seq, 0), header), putBody(items, seq, body))
	if parked {
		err = errors.Join(err, tx.Bucket(parkedBucket).Put(seqKey(seq), closed([]byte(reason))))
	}
	return len(body), err
}

// body puts a body together. Parts may have been seen in several places, when
// a number was given again after a transaction that failed.
func (h *haul) body(e Entry) ([]byte, error) {
	for try := 0; ; try++ {
		b, more := make([]byte, 0, e.Size), false
		for part := range chunksFor(e.Size) {
			seen := h.parts[string(itemKey(e.Seq, part+1))]
			if len(seen) == 0 {
				seen = h.parts[string(binary.BigEndian.AppendUint32(seqKey(e.Seq), uint32(part)))] // schema 1
			}
			if len(seen) == 0 {
				return nil, damage("part %d is missing", part)
			}
			p := seen[min(try, len(seen)-1)]
			more = more || try+1 < len(seen)
			chunk := make([]byte, p.size)
			if _, err := h.f.ReadAt(chunk, p.at); err != nil {
				return nil, fmt.Errorf("read part: %w", err)
			}
			b = append(b, chunk...)
		}
		if sha256.Sum256(b) == e.sum {
			return b, nil
		}
		if !more {
			return nil, damage("body of %d bytes", len(b))
		}
	}
}

func (h *haul) writeRest(tx *bolt.Tx, report *Report) error {
	receipts, meta := tx.Bucket(receiptBucket), tx.Bucket(metaBucket)
	for seq, r := range h.oldWords {
		b, err := h.upgrade.receipt(seq, r, h.oldSums)
		if err != nil {
			return err
		}
		h.receipts[seq] = b
	}
	seen := map[string]bool{}
	for _, seq := range slices.Sorted(maps.Keys(h.receipts)) {
		n, err := parseReceipt(seq, h.receipts[seq])
		if err != nil || seen[n.id] {
			continue
		}
		seen[n.id] = true
		report.Receipts++
		if err := receipts.Put(seqKey(seq), h.receipts[seq]); err != nil {
			return err
		}
	}
	h.keys[h.upgrade.epoch] = h.upgrade.wrapped
	for epoch, wrapped := range h.keys {
		if err := meta.Put(keyOf(epoch), wrapped); err != nil {
			return err
		}
	}
	return errors.Join(
		meta.Put(bootKey, binary.BigEndian.AppendUint64(nil, h.upgrade.epoch)),
		tx.Bucket(itemBucket).SetSequence(h.last),
	)
}

// An upgrade makes records of this schema out of those of schema 1, under a
// data key of its own.
type upgrade struct {
	epoch   uint64
	wrapped []byte
	keys    keys
}

func newUpgrade(boot uint64, k keeper) (*upgrade, error) {
	u := &upgrade{epoch: boot + 1, keys: keys{}}
	key := newKey()
	wrapped, err := k.wrap(key)
	if err != nil {
		return nil, fmt.Errorf("wrap data key: %w", err)
	}
	u.wrapped = closed(wrapped)
	return u, u.keys.add(u.epoch, key)
}

// The buckets of schema 1 that this one has not: the item's header, seq ->
// header; its body, seq, chunk uint32 -> bytes; id -> state, seq, sum.
var (
	oldHeadBucket = []byte("head")
	oldIdemBucket = []byte("idem")
)

// The header of schema 1, as far as it differs.
const (
	oldCreated = 36
	oldUptime  = 44
	oldTTL     = 52
	oldStation = 60
	oldID      = oldStation + stationSize
	oldStream  = oldID + idSize
	oldSum     = oldStream + sha256.Size
	oldCRC     = oldSum + sha256.Size
	oldSize    = oldCRC + crc32.Size // 218
)

// header makes a header of one of schema 1.
func (u *upgrade) header(seq uint64, b []byte) ([]byte, error) {
	if len(b) != oldSize || b[0] != 1 || binary.BigEndian.Uint32(b[oldCRC:]) != crc32.Checksum(b[:oldCRC], castagnoli) {
		return nil, damage("header %d of schema 1", seq)
	}
	e := Entry{
		ID: string(b[oldID:oldStream]), Seq: seq, Boot: u.epoch, Class: offline.Class(b[atClass]),
		Size:      int(binary.BigEndian.Uint32(b[28:])),
		Attempts:  int(binary.BigEndian.Uint32(b[atAttempts:])),
		MaybeSent: binary.BigEndian.Uint16(b[atFlags:])&flagMaybeSent != 0,
		Created:   time.Unix(0, int64(binary.BigEndian.Uint64(b[oldCreated:]))),
		uptime:    time.Duration(binary.BigEndian.Uint64(b[oldUptime:])),
		TTL:       time.Duration(binary.BigEndian.Uint64(b[oldTTL:])),
		station:   string(bytes.TrimRight(b[oldStation:oldID], "\x00")),
		stream:    [sha256.Size]byte(b[oldStream:oldSum]),
		sum:       [sha256.Size]byte(b[oldSum:oldCRC]),
	}
	return e.header(&u.keys)
}

// receipt makes a receipt of one of schema 1: id and the bus's receipt.
func (u *upgrade) receipt(seq uint64, b []byte, sums map[string][sha256.Size]byte) ([]byte, error) {
	if len(b) < idSize {
		return nil, damage("receipt %d of schema 1", seq)
	}
	e := Entry{ID: string(b[:idSize]), Seq: seq, sum: sums[string(b[:idSize])]}
	return e.receipt(&u.keys, u.epoch, b[idSize:])
}
