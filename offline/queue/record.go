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
// 16 + 2*(16+10+2000) = 4,068. So a body costs 1.02 times its length, needs no
// runs of free pages, and what still fits can be told before it is written.
const (
	pageSize      = 4096
	chunkSize     = 2000
	chunksPerPage = 2
)

// overheadPages is what a Put may cost beside its body: the leaf that it shares
// with the one before, its own first leaf, and branches with a split above them.
const overheadPages = 10

// pagesFor is the number of pages that a body of size bytes takes at most.
func pagesFor(size int) int64 {
	return int64((chunksFor(size)+chunksPerPage-1)/chunksPerPage) + overheadPages
}

func chunksFor(size int) int { return (size + chunkSize - 1) / chunkSize }

// The header of a record: fixed, big endian, closed by CRC32C. What delivery
// and order need is in the clear; the rest are notes, and sealed (seal.go).
const (
	headerVersion = 2
	idSize        = 26 // ULID
	stationSize   = 32
	traceSize     = 55 // traceparent of version 00

	atVersion  = 0  // uint8
	atClass    = 1  // uint8
	atFlags    = 2  // uint16
	atAttempts = 4  // uint32
	atSeq      = 8  // uint64, order: never depends on a clock
	atEpoch    = 16 // uint64, how often the file had been opened; names the data key
	atLength   = 24 // uint32, body in bytes
	atChunks   = 28 // uint32
	atID       = 32
	atStream   = atID + idSize          // SHA-256 of the stream's keyed hash
	atSum      = atStream + sha256.Size // SHA-256 of the sealed body
	atNotes    = atSum + sha256.Size
	atCRC      = atNotes + notesSize + sealSize // uint32, CRC32C of all before it
	headerSize = atCRC + crc32.Size             // 267
)

// The notes, before they are sealed.
const (
	noteCreated = 0  // int64, wall clock in Unix nanoseconds: a hint, never an order
	noteUptime  = 8  // int64, CLOCK_BOOTTIME in nanoseconds
	noteTTL     = 16 // int64, nanoseconds; 0: never expires
	noteFlags   = 24 // uint8
	noteTraced  = 25 // uint8, length of the traceparent
	noteTrace   = 26
	noteStation = noteTrace + traceSize
	notesSize   = noteStation + stationSize // 113
)

// Flags of a header, and of its notes.
const (
	flagMaybeSent = 1 << 0
	flagBlock     = 1 << 1 // its refusal blocks its stream

	flagTrusted = 1 << 0 // the clock was known to be right
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// An Entry is what the queue knows of an item without its body.
type Entry struct {
	ID        string
	Seq       uint64 // order of Put
	Boot      uint64 // Seq is of the file's opening number Boot
	Class     offline.Class
	Refused   offline.Policy // what its refusal means for its stream
	Size      int            // sealed bytes
	Attempts  int            // how often it was about to be sent
	MaybeSent bool           // the bus may have it

	// Sealed says that the notes can't be read: their key is not to be had. The
	// fields below are zero then. The item is delivered all the same, and never expires.
	Sealed  bool
	Created time.Time     // by this kiosk's clock, which may be wrong
	Trusted bool          // the clock was known to be right
	TTL     time.Duration //
	Trace   string        // traceparent, or empty

	stream  [sha256.Size]byte
	sum     [sha256.Size]byte
	uptime  time.Duration
	station string
}

// Stream tells items of one stream from those of others.
func (e Entry) Stream() [sha256.Size]byte { return e.stream }

// Station is the number of the kiosk that took the item in.
func (e Entry) Station() string { return e.station }

// Expired reports whether the item has outlived its TTL by now, a time that must
// be known to be right. What was put by a clock that wasn't trusted never expires,
// nor what may have been sent: it may have taken effect.
func (e Entry) Expired(now time.Time) bool {
	return e.Trusted && !e.MaybeSent && e.TTL > 0 && now.Sub(e.Created) > e.TTL
}

// newRecord checks the item and makes its entry, all but the sequence number.
func (q *Queue) newRecord(item offline.Item) (Entry, error) {
	switch {
	case !validID(item.ID):
		return Entry{}, fmt.Errorf("id is not a ulid: %w", ErrItem)
	case len(item.Body) == 0 || len(item.Body) > offline.MaxBody:
		return Entry{}, fmt.Errorf("body of %d bytes: %w", len(item.Body), ErrItem)
	case item.Class > offline.Whenever || item.TTL < 0 || item.Stream == "":
		return Entry{}, fmt.Errorf("class %d, ttl %v, stream of %d bytes: %w", item.Class, item.TTL, len(item.Stream), ErrItem)
	case item.Refused > offline.Block || len(item.Trace) > traceSize:
		return Entry{}, fmt.Errorf("policy %d, trace of %d bytes: %w", item.Refused, len(item.Trace), ErrItem)
	}
	var up unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &up); err != nil {
		return Entry{}, fmt.Errorf("clock: %w", err)
	}
	return Entry{
		ID: item.ID, Boot: q.boot, Class: item.Class, Refused: item.Refused, TTL: item.TTL, Trace: item.Trace, Size: len(item.Body),
		Created: time.Now(), uptime: time.Duration(up.Nano()), station: q.opts.Station,
		Trusted: q.opts.ClockTrusted != nil && q.opts.ClockTrusted(),
		stream:  sha256.Sum256([]byte(item.Stream)), sum: sha256.Sum256(item.Body),
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

// header writes the entry's header; the notes are sealed by k.
func (e Entry) header(k *keys) ([]byte, error) {
	b := make([]byte, headerSize)
	b[atVersion], b[atClass] = headerVersion, byte(e.Class)
	binary.BigEndian.PutUint64(b[atSeq:], e.Seq)
	binary.BigEndian.PutUint64(b[atEpoch:], e.Boot)
	binary.BigEndian.PutUint32(b[atLength:], uint32(e.Size))
	binary.BigEndian.PutUint32(b[atChunks:], uint32(chunksFor(e.Size)))
	copy(b[atID:atStream], e.ID)
	copy(b[atStream:], e.stream[:])
	copy(b[atSum:], e.sum[:])
	sealed, err := k.seal(e.Boot, e.notes(), noteData(b))
	if err != nil {
		return nil, fmt.Errorf("seal notes: %w", err)
	}
	copy(b[atNotes:atCRC], sealed)
	return e.mark(b), nil
}

// mark writes what changes while an item waits: it is not sealed, so that it
// can be told without the key.
func (e Entry) mark(b []byte) []byte {
	var flags uint16
	if e.MaybeSent {
		flags |= flagMaybeSent
	}
	if e.Refused == offline.Block {
		flags |= flagBlock
	}
	binary.BigEndian.PutUint16(b[atFlags:], flags)
	binary.BigEndian.PutUint32(b[atAttempts:], uint32(e.Attempts))
	binary.BigEndian.PutUint32(b[atCRC:], crc32.Checksum(b[:atCRC], castagnoli))
	return b
}

// noteData is what the seal of the notes holds fast beside them: sequence
// number, epoch, id, stream and the body's sum.
func noteData(header []byte) []byte {
	return append([]byte("note"), header[atSeq:atNotes]...)
}

func (e Entry) notes() []byte {
	b := make([]byte, notesSize)
	binary.BigEndian.PutUint64(b[noteCreated:], uint64(e.Created.UnixNano()))
	binary.BigEndian.PutUint64(b[noteUptime:], uint64(e.uptime))
	binary.BigEndian.PutUint64(b[noteTTL:], uint64(e.TTL))
	if e.Trusted {
		b[noteFlags] = flagTrusted
	}
	b[noteTraced] = byte(len(e.Trace))
	copy(b[noteTrace:noteStation], e.Trace)
	copy(b[noteStation:], e.station)
	return b
}

// readNotes opens the sealed notes of a header into e, if their key is to be had.
func (e *Entry) readNotes(k *keys, header []byte) error {
	b, known, err := k.open(e.Boot, header[atNotes:atCRC], noteData(header))
	if !known {
		e.Sealed = true
		return nil
	}
	if err != nil || int(b[noteTraced]) > traceSize {
		return damage("header %d: notes", e.Seq)
	}
	e.Created = time.Unix(0, int64(binary.BigEndian.Uint64(b[noteCreated:])))
	e.uptime = time.Duration(binary.BigEndian.Uint64(b[noteUptime:]))
	e.TTL = time.Duration(binary.BigEndian.Uint64(b[noteTTL:]))
	e.Trusted = b[noteFlags]&flagTrusted != 0
	e.Trace = string(b[noteTrace : noteTrace+int(b[noteTraced])])
	e.station = string(bytes.TrimRight(b[noteStation:], "\x00"))
	return nil
}

// parseHeader reads the header stored under seq, all but its notes.
func parseHeader(seq uint64, b []byte) (Entry, error) {
	if len(b) != headerSize || binary.BigEndian.Uint32(b[atCRC:]) != crc32.Checksum(b[:atCRC], castagnoli) {
		return Entry{}, damage("header %d: checksum", seq)
	}
	if b[atVersion] != headerVersion {
		return Entry{}, damage("header %d: version %d is not known", seq, b[atVersion])
	}
	flags := binary.BigEndian.Uint16(b[atFlags:])
	e := Entry{
		ID:        string(b[atID:atStream]),
		Seq:       binary.BigEndian.Uint64(b[atSeq:]),
		Boot:      binary.BigEndian.Uint64(b[atEpoch:]),
		Class:     offline.Class(b[atClass]),
		Size:      int(binary.BigEndian.Uint32(b[atLength:])),
		Attempts:  int(binary.BigEndian.Uint32(b[atAttempts:])),
		MaybeSent: flags&flagMaybeSent != 0,
	}
	if flags&flagBlock != 0 {
		e.Refused = offline.Block
	}
	copy(e.stream[:], b[atStream:])
	copy(e.sum[:], b[atSum:])
	if e.Seq != seq || chunksFor(e.Size) != int(binary.BigEndian.Uint32(b[atChunks:])) || !validID(e.ID) ||
		e.Class > offline.Whenever || e.Size == 0 || e.Size > offline.MaxBody {
		return Entry{}, damage("header %d: disagrees with its place", seq)
	}
	return e, nil
}

// readHeader is parseHeader with the notes.
func readHeader(k *keys, seq uint64, b []byte) (Entry, error) {
	e, err := parseHeader(seq, b)
	if err != nil {
		return Entry{}, err
	}
	return e, e.readNotes(k, b)
}

// What stands in the buckets receipt and parked is closed by CRC32C too.
//
// A receipt is id, sum of the body, epoch, and the bus's receipt, sealed.
const (
	receiptSum    = idSize
	receiptEpoch  = receiptSum + sha256.Size
	receiptSealed = receiptEpoch + 8
)

func (e Entry) receipt(k *keys, epoch uint64, receipt []byte) ([]byte, error) {
	b := append([]byte(e.ID), e.sum[:]...)
	b = binary.BigEndian.AppendUint64(b, epoch)
	sealed, err := k.seal(epoch, receipt, receiptData(e.Seq, b))
	if err != nil {
		return nil, fmt.Errorf("seal receipt: %w", err)
	}
	return closed(append(b, sealed...)), nil
}

func receiptData(seq uint64, clear []byte) []byte {
	return append(binary.BigEndian.AppendUint64([]byte("receipt"), seq), clear[:receiptSealed]...)
}

// parseReceipt reads what stands under seq, all but the receipt itself.
func parseReceipt(seq uint64, b []byte) (node, error) {
	b, ok := opened(b)
	if !ok || len(b) < receiptSealed+sealSize || !validID(string(b[:idSize])) {
		return node{}, damage("receipt %d", seq)
	}
	n := node{id: string(b[:idSize]), seq: seq, state: Finished, epoch: binary.BigEndian.Uint64(b[receiptEpoch:])}
	copy(n.sum[:], b[receiptSum:])
	return n, nil
}

// closed appends the CRC32C of b to it.
func closed(b []byte) []byte {
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// opened takes off what closed appended; false: it does not fit.
func opened(b []byte) ([]byte, bool) {
	at := len(b) - crc32.Size
	if at < 0 || binary.BigEndian.Uint32(b[at:]) != crc32.Checksum(b[:at], castagnoli) {
		return nil, false
	}
	return b[:at], true
}
