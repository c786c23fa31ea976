package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"
)

// A record on disk, big-endian:
//
//	magic 4 | crc32c 4 | key length 4 | body length 4 | commit 8 | seq 8 |
//	at 8 | hash 32 | previous 32 | key | body
//
// The CRC is over all that follows it. commit is the offset of the first record
// that was synced together with this one: a later commit in the file proves
// that this one had been synced.
var magic = []byte("kLg1")

const headLength = 4 + 4 + 4 + 4 + 8 + 8 + 8 + 32 + 32

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errTorn says that no whole record starts here.
var errTorn = errors.New("torn record")

// encode appends the record of e to b.
func encode(b []byte, e Entry, body []byte, commit int64) []byte {
	start := len(b)
	b = append(b, magic...)
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(len(e.Key)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
	b = binary.BigEndian.AppendUint64(b, uint64(commit))
	b = binary.BigEndian.AppendUint64(b, e.Seq)
	b = binary.BigEndian.AppendUint64(b, uint64(e.At.UnixMilli()))
	b = append(b, e.Hash[:]...)
	b = append(b, e.Previous[:]...)
	b = append(b, e.Key...)
	b = append(b, body...)
	binary.BigEndian.PutUint32(b[start+4:], crc32.Checksum(b[start+8:], castagnoli))
	return b
}

// lengthOf is the whole length of the record that head starts, or errTorn.
func lengthOf(head []byte) (int64, error) {
	if len(head) < headLength || !bytes.Equal(head[:4], magic) {
		return 0, errTorn
	}
	key, body := binary.BigEndian.Uint32(head[8:]), binary.BigEndian.Uint32(head[12:])
	if key > MaxKey || body > MaxBody {
		return 0, errTorn
	}
	return headLength + int64(key) + int64(body), nil
}

// decode reads the record at the start of b: the entry without its sum, its
// commit, its whole length, and the length of the body at its end.
func decode(b []byte) (e Entry, commit int64, length, body int, err error) {
	n, err := lengthOf(b)
	if err != nil || n > int64(len(b)) {
		return Entry{}, 0, 0, 0, errTorn
	}
	length, body = int(n), int(binary.BigEndian.Uint32(b[12:]))
	if crc32.Checksum(b[8:length], castagnoli) != binary.BigEndian.Uint32(b[4:]) {
		return Entry{}, 0, 0, 0, errTorn
	}
	e = Entry{
		Seq: binary.BigEndian.Uint64(b[24:]),
		At:  time.UnixMilli(int64(binary.BigEndian.Uint64(b[32:]))).UTC(),
		Key: string(b[headLength : length-body]),
	}
	copy(e.Hash[:], b[40:])
	copy(e.Previous[:], b[72:])
	return e, int64(binary.BigEndian.Uint64(b[16:])), length, body, nil
}

// follows checks that e is the successor of last and that its body is the one
// that was hashed.
func follows(last, e Entry, body []byte) bool {
	return e.Seq == last.Seq+1 && e.Previous == last.Sum && sha256.Sum256(body) == e.Hash
}

// laterCommit says whether b, which starts at offset base with a bad record,
// holds a whole record of a commit that began after it.
func laterCommit(b []byte, base int64) bool {
	for i := 1; ; i++ {
		next := bytes.Index(b[min(i, len(b)):], magic)
		if next < 0 {
			return false
		}
		i += next
		if _, commit, _, _, err := decode(b[i:]); err == nil && commit > base && commit <= base+int64(i) {
			return true
		}
	}
}
