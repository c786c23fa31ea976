package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"kosk/device/keep"
	"kosk/device/request"
)

// listHolds is how long a list of revocations may be relied upon.
const listHolds = 7 * 24 * time.Hour

// listEvery is how often one is signed that says the same: whoever asks rarely has
// six days then.
const listEvery = 24 * time.Hour

// A Revocation is one certificate that was taken back.
type Revocation struct {
	Number string    `json:"number"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason"` // for operators
}

type revocationsOnDisk struct {
	Seq uint64       `json:"seq"`
	All []Revocation `json:"revoked"`
}

// Revoke takes the certificate with the number back, for good. Doing it twice is
// doing it once.
func (r *Registry) Revoke(number, reason string, now time.Time) error {
	return r.locked(func() error {
		disk, err := r.revocations()
		if err != nil {
			return err
		}
		if slices.ContainsFunc(disk.All, func(v Revocation) bool { return v.Number == number }) {
			return nil
		}
		disk.Seq++
		disk.All = append(disk.All, Revocation{number, now.UTC().Truncate(time.Second), reason})
		b, err := json.MarshalIndent(disk, "", "  ")
		if err != nil {
			return err
		}
		return keep.File(r.revoked(), b)
	})
}

func (r *Registry) revoked() string { return filepath.Join(r.dir, "revoked.json") }

func (r *Registry) revocations() (d revocationsOnDisk, err error) {
	b, err := os.ReadFile(r.revoked())
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &d)
	}
	if err != nil {
		return d, fmt.Errorf("read revocations: %w", err)
	}
	return d, nil
}

// A RevocationList is a signed list, with what it says of itself.
type RevocationList struct {
	Signed     []byte // COSE_Sign1, see request.VerifyRevocations
	Seq        uint64
	NextUpdate time.Time
}

// revokedCache keeps the list that is being handed out.
type revokedCache struct {
	mu   sync.Mutex // guards all below
	kept *RevocationList
}

// RevocationList is the list that everybody gets: a new one when something was
// taken back, and once a day.
func (r *Registry) RevocationList(now time.Time) (*RevocationList, error) {
	c := &r.revokedList
	c.mu.Lock()
	defer c.mu.Unlock()
	disk, err := r.revocations()
	if err != nil {
		return nil, err
	}
	if c.kept != nil && c.kept.Seq == disk.Seq && now.Before(c.kept.NextUpdate.Add(listEvery-listHolds)) {
		return c.kept, nil
	}
	b, err := r.sign(disk, now)
	if err != nil {
		return nil, err
	}
	c.kept = &RevocationList{Signed: b, Seq: disk.Seq, NextUpdate: now.Add(listHolds).UTC().Truncate(time.Second)}
	return c.kept, nil
}

// Revocations is the list as verifiers take it along, signed, good for a week.
func (r *Registry) Revocations(now time.Time) ([]byte, error) {
	disk, err := r.revocations()
	if err != nil {
		return nil, err
	}
	return r.sign(disk, now)
}

func (r *Registry) sign(disk revocationsOnDisk, now time.Time) ([]byte, error) {
	list := request.Revocations{Seq: disk.Seq, IssuedAt: now, NextUpdate: now.Add(listHolds)}
	for _, v := range disk.All {
		list.Revoke(v.Number)
	}
	return request.SignRevocations(list, r.keys.Receipt)
}
