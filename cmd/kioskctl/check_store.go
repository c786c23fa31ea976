package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"kosk/device/identity"
	"kosk/offline/queue"
)

// Bounds of a disk that a kiosk can work with.
const (
	leastFree  = 64 << 20               // bytes beside the queue's own
	leastFiles = 1000                   // inodes
	slowSync   = 100 * time.Millisecond // a citizen waits for three or four
	worstSync  = time.Second
	syncs      = 9
	syncSize   = 4096
)

// disk measures free space and synced writes in the state folder.
func (c *checker) disk(ctx context.Context) row {
	dir := c.cfg.State.Dir
	times, err := syncTimes(ctx, dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return failed("there is no "+dir, "install the kiosk's package, or correct state.dir")
	case errors.Is(err, fs.ErrPermission):
		return failed("this user may not write in "+dir, "run the check as the kiosk's own user or as root; the folder must be the kiosk's own")
	case errors.Is(err, syscall.EROFS):
		return failed(dir+" is read-only", "the disk may have had errors: see dmesg; mount it for writing or replace it")
	case errors.Is(err, syscall.ENOSPC):
		return failed("the disk is full", "free space below "+dir+" (du -x -d1 "+dir+"); never delete queue.db")
	case err != nil:
		return failed(fmt.Sprintf("%s can't be written and read: %v", dir, err), "see dmesg for errors of the disk; replace it if there are any")
	}
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return failed(fmt.Sprintf("%s: %v", dir, err), "see dmesg for errors of the disk")
	}
	free := int64(s.Bavail) * int64(s.Bsize)
	slices.Sort(times)
	usual, worst := times[len(times)/2], times[len(times)-1]
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	r := judgeDisk(s, free, c.wanted(), usual)
	r.Seen = fmt.Sprintf("%s: %d MB free; a synced write takes %.1f ms, at worst %.1f ms%s", dir, free>>20, ms(usual), ms(worst), r.Seen)
	return r.with("free_mb", float64(free>>20)).with("sync_ms", ms(usual)).with("sync_worst_ms", ms(worst))
}

// wanted is the space that the queue may still take, and some more.
func (c *checker) wanted() int64 {
	most := int64(c.cfg.Queue.MaxMB) << 20
	if info, err := os.Stat(c.queueFile()); err == nil {
		most = max(0, most-info.Size())
	}
	return most + leastFree
}

// judgeDisk says how a disk stands; Seen is what to add to the figures.
func judgeDisk(s unix.Statfs_t, free, wanted int64, usual time.Duration) row {
	const room = "free space on that disk (du -x -d1 shows where it went), or lower queue.max_mb; never delete queue.db"
	switch {
	case free < leastFree:
		return failed("", room)
	case s.Files > 0 && s.Ffree < leastFiles:
		return failed("; hardly any files can be made any more", room)
	case usual > worstSync:
		return failed("", "so slow a disk is about to fail: see dmesg, and replace it")
	case int64(s.Type) == unix.TMPFS_MAGIC || int64(s.Type) == unix.RAMFS_MAGIC:
		return warned("; it lies in memory", "what is kept there is lost with the power: put state.dir on a disk")
	case free < wanted:
		return warned(fmt.Sprintf("; the queue may need %d MB", wanted>>20), room)
	case usual > slowSync:
		return warned("", "citizens wait for this disk: see dmesg for errors, use one made for many small writes")
	}
	return good("")
}

// errReadBack says that a disk returned other bytes than were written.
var errReadBack = errors.New("what was read is not what was written")

// syncTimes writes blocks, has each brought to the disk, and reads it from there.
func syncTimes(ctx context.Context, dir string) (times []time.Duration, err error) {
	f, err := os.CreateTemp(dir, ".check-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	block, back := make([]byte, syncSize), make([]byte, syncSize)
	for i := range int64(syncs) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		_, _ = rand.Read(block) // never fails, see crypto/rand
		begun := time.Now()
		if _, err := f.WriteAt(block, i*syncSize); err != nil {
			return nil, err
		}
		if err := f.Sync(); err != nil {
			return nil, err
		}
		times = append(times, time.Since(begun))
		// Else the kernel would answer from memory. Some file systems have no
		// such advice; the read is a weaker test there.
		_ = unix.Fadvise(int(f.Fd()), i*syncSize, syncSize, unix.FADV_DONTNEED)
		if _, err := f.ReadAt(back, i*syncSize); err != nil {
			return nil, err
		}
		if !bytes.Equal(block, back) {
			return nil, errReadBack
		}
	}
	return times, nil
}

func (c *checker) queueFile() string { return filepath.Join(c.cfg.State.Dir, "queue.db") }

// outbox tests the queue, and then the printer while the queue is held: a kiosk
// that runs or starts now keeps its printer to itself.
func (c *checker) outbox(ctx context.Context, tell func(row)) {
	q, r, err := c.openQueue(ctx)
	tell(r)
	if q != nil {
		defer q.Close()
	}
	taken := errors.Is(err, queue.ErrInUse)
	for _, p := range []struct {
		make string
		test func(context.Context) row
	}{{c.cfg.Printer.Make, c.printer}, {c.cfg.Lamps.Make, c.lamps}} {
		if taken && p.make != "none" && p.make != "desk" {
			tell(warned("in use by the kiosk: not asked", "to test it, stop the kiosk and check again"))
			continue
		}
		tell(p.test(ctx))
	}
}

// Bounds of a queue that is well.
const (
	lockWait  = 300 * time.Millisecond
	oldest    = 24 * time.Hour
	usualBody = 64 << 10 // bytes
)

// openQueue opens the queue if there is one that no kiosk holds, checks it and
// counts. It makes none, which the kiosk couldn't open if it is another user's,
// and changes nothing in it.
func (c *checker) openQueue(ctx context.Context) (*queue.Queue, row, error) {
	if _, err := os.Lstat(c.queueFile()); errors.Is(err, fs.ErrNotExist) {
		return nil, good("none yet; the kiosk makes it at its first start"), nil
	}
	var wrapper queue.Wrapper // nil: notes stay sealed, and so does how old they are
	if keys, err := openKeys(c.cfg); err == nil && keys != nil {
		defer keys.Close()
		wrapper = keys
	}
	q, err := queue.OpenReader(ctx, c.queueFile(), queue.Options{MaxSize: int64(c.cfg.Queue.MaxMB) << 20, LockWait: lockWait, Log: c.log}, wrapper)
	switch {
	case errors.Is(err, queue.ErrInUse):
		return nil, good("in use by the kiosk"), err
	case errors.Is(err, queue.ErrDamaged):
		return nil, failed(err.Error(), "citizens' requests are in it: don't delete it; stop the kiosk, copy the file to safety, call the operator"), err
	case errors.Is(err, fs.ErrPermission):
		return nil, failed("this user may not open "+c.queueFile(), "run the check as the kiosk's own user or as root; the file must be the kiosk's own"), err
	case err != nil:
		return nil, failed(err.Error(), "see dmesg for errors of the disk; don't delete the file"), err
	}
	s, err := q.Stats()
	if err != nil {
		return q, failed(err.Error(), "see dmesg for errors of the disk; don't delete the file"), err
	}
	s.Room = max(0, int64(c.cfg.Queue.MaxMB)<<20-s.Bytes*5/4) // about: who only reads doesn't measure pages
	r := judgeQueue(s, time.Now())
	r.Seen = fmt.Sprintf("whole; %d requests wait for the bus, %d are set aside%s", s.Queued, s.Parked, r.Seen)
	return q, r.with("queued", float64(s.Queued)).with("parked", float64(s.Parked)), nil
}

// judgeQueue says how a queue stands; Seen is what to add to the counts.
func judgeQueue(s queue.Stats, now time.Time) row {
	switch {
	case s.Room < usualBody:
		return failed("; it is full", "bring the line to the bus back so that it empties, or raise queue.max_mb")
	case s.Parked > 0:
		return warned("", "those set aside need a decision: tell the operator of the bus this station's name and the count")
	case s.Queued > 0 && !s.Oldest.IsZero() && now.Sub(s.Oldest) > oldest:
		return warned(fmt.Sprintf("; the oldest since %s", s.Oldest.UTC().Format(time.RFC3339)), "start the kiosk and see the row of the bus: they should have gone")
	}
	return good("")
}

// trust reads the file of those whom cards' signatures may lead to.
func (c *checker) trust(context.Context) row {
	path := c.cfg.Card.Bundle
	key, err := identity.LoadTrustKey(c.cfg.Card.TrustKey)
	if err != nil {
		return failed(err.Error(), "copy the operator's public key there, or correct card.trust_key")
	}
	a, err := identity.LoadBundle(path, key)
	switch {
	case errors.Is(err, identity.ErrRollback):
		return failed(err.Error(), "copy the newest trust bundle there: an older one is never taken again")
	case errors.Is(err, identity.ErrUnsigned):
		return failed(err.Error(), "copy the trust bundle that the operator signed there, and compare card.trust_key with the operator's")
	case errors.Is(err, fs.ErrNotExist):
		return failed("there is no "+path, "copy the state's trust bundle there, or correct card.bundle: without it no card is believed")
	case err != nil:
		return failed(err.Error(), "copy the state's trust bundle there anew")
	}
	days := a.Days(time.Now())
	seen := fmt.Sprintf("%d anchors, version %d of %s, %d days old", a.Len(), a.Version, a.Issued.UTC().Format(time.DateOnly), days)
	if a.Development {
		return warned(seen+", for development: every screen and slip says TEST", "copy the state's trust bundle to "+path+" before citizens come")
	}
	return good(seen).with("anchors", float64(a.Len())).with("days", float64(days))
}
