package queue

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"golang.org/x/sys/unix"

	"kosk/offline"
)

// The file's geometry. Two chunks and their keys fill a page of 4,096 bytes:
// 16 + 2*(16+12+2000) = 4,072. So a body costs 1.02 times its length, needs no
// runs of free pages, and what still fits can be told before it is written.
const (
	pageSize      = 4096
	chunkSize     = 2000
	chunksPerPage = 2
)

// overheadPages is what a Put may cost beside its body: a new leaf in each of
// five trees, and a split above it.
const overheadPages = 10

// pagesFor is the number of pages that a body of size bytes takes at most.
func pagesFor(size int) int64 {
	return int64((chunksFor(size)+chunksPerPage-1)/chunksPerPage) + overheadPages
}

func chunksFor(size int) int { return (size + chunkSize - 1) / chunkSize }

// The header of a record: fixed, big endian, closed by CRC32C.
const (
	headerVersion = 1
	idSize        = 26 // ULID
	stationSize   = 32

	atVersion  = 0  // uint8
	atClass    = 1  // uint8
	atFlags    = 2  // uint16
	atAttempts = 4  // uint32
	atSeq      = 8  // uint64, order: never depends on a clock
	atBoot     = 16 // uint64, how often the file had been opened
	atKeyEpoch = 24 // uint32, 0: nothing in the header is sealed
	atLength   = 28 // uint32, body in bytes
	atChunks   = 32 // uint32
	atCreated  = 36 // int64, wall clock in Unix nanoseconds: a hint, never an order
	atUptime   = 44 // int64, CLOCK_BOOTTIME in nanoseconds
	atTTL      = 52 // int64, nanoseconds; 0: never expires
	atStation  = 60
	atID       = atStation + stationSize
	atStream   = atID + idSize          // SHA-256 of the stream's keyed hash
	atSum      = atStream + sha256.Size // SHA-256 of the sealed body
	atCRC      = atSum + sha256.Size    // uint32, CRC32C of all before it
	headerSize = atCRC + crc32.Size     // 218
)

const flagMaybeSent = 1 << 0

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// An Entry is what the queue knows of an item without its body.
type Entry struct {
	ID        string
	Seq       uint64 // order of Put
	Boot      uint64 // Seq is of the file's opening number Boot
	Class     offline.Class
	Created   time.Time // by this kiosk's clock, which may be wrong
	TTL       time.Duration
	Size      int    // sealed bytes
	Attempts  int    // how often it was about to be sent
	MaybeSent bool   // the bus may have it
	Trace     string // traceparent of its confirmation; may be empty
	stream    [sha256.Size]byte
	sum       [sha256.Size]byte
	uptime    time.Duration
	station   string
}

// Stream tells items of one stream from those of others.
func (e Entry) Stream() [sha256.Size]byte { return e.stream }

// newRecord checks the item and makes its entry, all but the sequence number.
func (q *Queue) newRecord(item offline.Item) (Entry, error) {
	switch {
	case !validID(item.ID):
		return Entry{}, fmt.Errorf("id is not a ulid: %w", ErrItem)
	case len(item.Body) == 0 || len(item.Body) > offline.MaxBody:
		return Entry{}, fmt.Errorf("body of %d bytes: %w", len(item.Body), ErrItem)
	case item.Class > offline.Whenever || item.TTL < 0 || item.Stream == "":
		return Entry{}, fmt.Errorf("class %d, ttl %v, stream of %d bytes: %w", item.Class, item.TTL, len(item.Stream), ErrItem)
	}
	var up unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &up); err != nil {
		return Entry{}, fmt.Errorf("clock: %w", err)
	}
	return Entry{
		ID: item.ID, Boot: q.boot, Class: item.Class, TTL: item.TTL, Size: len(item.Body),
		Created: time.Now(), uptime: time.Duration(up.Nano()), station: q.opts.Station,
		stream: sha256.Sum256([]byte(item.Stream)), sum: sha256.Sum256(item.Body),
	}, nil
}

// validID reports whether id is a ULID: 26 digits of Crockford's base 32.
func validID(id string) bool {
	if len(id) != idSize || id[0] > '7' {
		return false
	}
	for _, c := range []byte(id) {
		digit := c >= '0' && c <= '9'
		letter := c >= 'A' && c <= 'Z' && c != 'I' && c != 'L' && c != 'O' && c != 'U'
		if !digit && !letter {
			return false
		}
	}
	return true
}

func (e Entry) header() []byte {
	b := make([]byte, headerSize)
	b[atVersion], b[atClass] = headerVersion, byte(e.Class)
	if e.MaybeSent {
		binary.BigEndian.PutUint16(b[atFlags:], flagMaybeSent)
	}
	binary.BigEndian.PutUint32(b[atAttempts:], uint32(e.Attempts))
	binary.BigEndian.PutUint64(b[atSeq:], e.Seq)
	binary.BigEndian.PutUint64(b[atBoot:], e.Boot)
	binary.BigEndian.PutUint32(b[atLength:], uint32(e.Size))
	binary.BigEndian.PutUint32(b[atChunks:], uint32(chunksFor(e.Size)))
	binary.BigEndian.PutUint64(b[atCreated:], uint64(e.Created.UnixNano()))
	binary.BigEndian.PutUint64(b[atUptime:], uint64(e.uptime))
	binary.BigEndian.PutUint64(b[atTTL:], uint64(e.TTL))
	copy(b[atStation:atID], e.station)
	copy(b[atID:atStream], e.ID)
	copy(b[atStream:], e.stream[:])
	copy(b[atSum:], e.sum[:])
	binary.BigEndian.PutUint32(b[atCRC:], crc32.Checksum(b[:atCRC], castagnoli))
	return b
}

// parseHeader reads the header stored under seq.
func parseHeader(seq uint64, b []byte) (Entry, error) {
	if len(b) != headerSize || binary.BigEndian.Uint32(b[atCRC:]) != crc32.Checksum(b[:atCRC], castagnoli) {
		return Entry{}, fmt.Errorf("header %d: checksum: %w", seq, ErrDamaged)
	}
	if b[atVersion] != headerVersion {
		return Entry{}, fmt.Errorf("header %d: version %d is not known", seq, b[atVersion])
	}
	e := Entry{
		ID:        string(b[atID:atStream]),
		Seq:       binary.BigEndian.Uint64(b[atSeq:]),
		Boot:      binary.BigEndian.Uint64(b[atBoot:]),
		Class:     offline.Class(b[atClass]),
		Created:   time.Unix(0, int64(binary.BigEndian.Uint64(b[atCreated:]))),
		TTL:       time.Duration(binary.BigEndian.Uint64(b[atTTL:])),
		Size:      int(binary.BigEndian.Uint32(b[atLength:])),
		Attempts:  int(binary.BigEndian.Uint32(b[atAttempts:])),
		MaybeSent: binary.BigEndian.Uint16(b[atFlags:])&flagMaybeSent != 0,
		uptime:    time.Duration(binary.BigEndian.Uint64(b[atUptime:])),
		station:   string(bytes.TrimRight(b[atStation:atID], "\x00")),
	}
	copy(e.stream[:], b[atStream:])
	copy(e.sum[:], b[atSum:])
	if e.Seq != seq || chunksFor(e.Size) != int(binary.BigEndian.Uint32(b[atChunks:])) || !validID(e.ID) {
		return Entry{}, fmt.Errorf("header %d: disagrees with its place: %w", seq, ErrDamaged)
	}
	return e, nil
}
