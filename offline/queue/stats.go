package queue

import (
	"slices"
	"sync"
	"time"

	"kosk/offline"
)

// Stats counts what the queue holds, and how it fares.
type Stats struct {
	Queued   int                             // items that the bus has not acknowledged
	Class    [offline.Whenever + 1]int       // of these, by class
	Blocked  int                             // streams that a parked item holds back
	Parked   int                             // items that need an operator
	Receipts int                             // receipts kept
	Bytes    int64                           // sealed bytes of queued and parked items
	Room     int64                           // the longest body that still fits, in bytes
	Oldest   time.Time                       // when the oldest queued item was put; zero: none, or not known
	OldestOf [offline.Whenever + 1]time.Time // the same, by class

	FileBytes int64 // of the file, in use
	Bound     int64 // bytes that the file may grow to
	DiskFull  bool  // the disk gave no more when the file was to grow

	// Since Open.
	Delivered  int           // items finished
	Duplicates int           // puts of what was there already
	Commits    int           // transactions synced
	CommitP50  time.Duration // of the last 512 commits
	CommitP99  time.Duration
	CommitMax  time.Duration
}

// Stats counts what is there.
func (q *Queue) Stats() (Stats, error) {
	s := q.index.stats()
	s.Room = max(0, q.room.Load()-overheadPages) * chunksPerPage * chunkSize
	s.FileBytes, s.Bound, s.DiskFull = q.inUse.Load(), q.bound(), q.full.Load()
	s.Commits, s.CommitP50, s.CommitP99, s.CommitMax = q.latency.sum()
	q.mu.Lock()
	defer q.mu.Unlock()
	s.Delivered, s.Duplicates = q.tally.delivered, q.tally.duplicates
	return s, nil
}

// latency remembers how long the last commits took.
type latency struct {
	mu   sync.Mutex
	last [512]time.Duration
	n    int
}

func (l *latency) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last[l.n%len(l.last)] = d
	l.n++
}

func (l *latency) sum() (n int, p50, p99, longest time.Duration) {
	l.mu.Lock()
	n = l.n
	last := slices.Clone(l.last[:min(l.n, len(l.last))])
	l.mu.Unlock()
	if len(last) == 0 {
		return 0, 0, 0, 0
	}
	slices.Sort(last)
	return n, last[len(last)/2], last[len(last)*99/100], last[len(last)-1]
}
