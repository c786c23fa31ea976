// Package ledger remembers for ever what the bus has accepted and what the
// agencies have done: entries under keys, each written once, in one order, each
// bound to the one before it by a hash.
//
// It knows no request and no person: bodies are sealed before they come here.
// Start at the interface Ledger. The make is in jetstream, the duties of any make
// are in ledgertest.
package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"
)

// Errors of a ledger. Compare with errors.Is.
var (
	// ErrConflict says that the key holds another body.
	ErrConflict = errors.New("key holds another body")
	// ErrNotFound says that nothing is held under the key.
	ErrNotFound = errors.New("no such key")
	// ErrUnknown says that the entry may or may not be stored. The process must
	// end and look the key up when it starts again.
	ErrUnknown = errors.New("outcome of the append unknown")
	// ErrUnavailable says that the engine refused or could not be asked: the entry
	// is not stored, and may be appended again later.
	ErrUnavailable = errors.New("ledger unavailable")
	// ErrDamaged says that what is stored was changed or lost after it had been
	// acknowledged.
	ErrDamaged = errors.New("ledger damaged")
	// ErrNotDurable says that the engine would acknowledge what it has not synced,
	// or doesn't say whether it would.
	ErrNotDurable = errors.New("ledger not durable")
	// ErrOldFormat says that an earlier version of the bus wrote what is there.
	ErrOldFormat = errors.New("ledger of an earlier version: move it away to begin a new one")
	// ErrInUse says that another process has the ledger open.
	ErrInUse = errors.New("ledger in use")
	// ErrTooLong says that a key or body is over the limits.
	ErrTooLong = errors.New("key or body too long")
)

// Limits of an entry, in bytes.
const (
	MaxKey  = 200
	MaxBody = 8 << 20
)

// Retention is how long an entry is held: longer than any kiosk may be offline.
const Retention = 400 * 24 * time.Hour

// An Entry is one thing that happened.
type Entry struct {
	Seq      uint64 // from 1, without gaps
	Key      string
	At       time.Time // when it was appended; whole milliseconds, UTC
	Hash     [32]byte  // SHA-256 of the body
	Previous [32]byte  // Sum of the entry before; zeros for the first
	Sum      [32]byte  // over all of the above, see sum
}

// Next makes the entry that comes after last, bound to it.
func Next(last Entry, key string, at time.Time, hash [32]byte) Entry {
	e := Entry{
		Seq: last.Seq + 1, Key: key, At: time.UnixMilli(at.UnixMilli()).UTC(),
		Hash: hash, Previous: last.Sum,
	}
	e.Sum = e.sum()
	return e
}

// Follows reports whether e is whole in itself and comes directly after last.
func (e Entry) Follows(last Entry) bool {
	return e.Seq == last.Seq+1 && e.Previous == last.Sum && e.Sum == e.sum()
}

// WithSum returns e with its Sum, for a make that stores all but that.
func (e Entry) WithSum() Entry {
	e.Sum = e.sum()
	return e
}

// sum binds an entry to its predecessor.
func (e Entry) sum() [32]byte {
	h := sha256.New()
	var n [20]byte
	binary.BigEndian.PutUint64(n[0:], e.Seq)
	binary.BigEndian.PutUint64(n[8:], uint64(e.At.UnixMilli()))
	binary.BigEndian.PutUint32(n[16:], uint32(len(e.Key)))
	h.Write(n[:])
	h.Write([]byte(e.Key))
	h.Write(e.Hash[:])
	h.Write(e.Previous[:])
	return [32]byte(h.Sum(nil))
}

// A Ledger appends once and never forgets.
type Ledger interface {
	// Append stores body under key. After nil it survives a power cut at any
	// moment. created is false when the same body was there already: then the
	// entry is the first one. ErrConflict: the entry of the other body is
	// returned. ErrUnknown, ErrUnavailable: see there.
	Append(ctx context.Context, key string, body []byte) (e Entry, created bool, err error)
	// Get returns an entry and its body, or ErrNotFound.
	Get(ctx context.Context, key string) (Entry, []byte, error)
	// Wait returns the entry under key as soon as there is one, or the cause of
	// ctx when it ends first.
	Wait(ctx context.Context, key string) (Entry, error)
	// Each calls seen with the entries after the sequence number, in order, as
	// they are when it is called, and stops at the first error. ErrDamaged: one is
	// missing or isn't bound to the one before it. What is older than the ledger's
	// retention is left out, and so is what becomes so before the walk comes to it.
	Each(ctx context.Context, after uint64, seen func(Entry) error) error
}
