package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"kosk/cmd/bus/ledger"
	"kosk/device/request"
)

// The rules of the schedule are:
//
//   - One goroutine holds all that is undecided, with one timer for whoever is due
//     next. A request that waits is 48 bytes in a slice and nothing else.
//   - Who is due longest comes first, and of equals who came first into the ledger.
//   - At most inFlight are performed at once. One whose agency is down is no longer
//     in flight: it is laid aside until the agency is up, and holds up nobody.
//   - A ledger that is away is everybody's trouble: one asks again, the others wait.
//     Whatever else fails is the request's own, may need somebody's hand, and is
//     tried again at longer and longer intervals.
//   - Nothing of this is stored: after a restart all that is undecided is due.

// inFlight is how many requests are at their agency or on their way into the ledger,
// at most: as many as the ledger commits at once.
const inFlight = 256

// Pauses before a job is tried again.
const (
	firstRest   = 100 * time.Millisecond
	longestRest = 10 * time.Second
	rareRest    = 10 * time.Minute // when it isn't the ledger that is away
)

// openAtOnce is how many requests wait for their agency opened, at most. Opening
// one is much of what it costs; what doesn't fit is opened again.
const openAtOnce = 64

// A jobID is a request's id, as it is written.
type jobID [26]byte

func jobIDOf(text string) (id jobID, ok bool) {
	return id, copy(id[:], text) == len(id) && len(text) == len(id)
}

// String is the id as text.
func (id jobID) String() string { return string(id[:]) }

// A job is a request to be decided. There is no pointer in it: a million of them are
// nothing to the garbage collector.
type job struct {
	due    time.Duration // since the schedule was made
	seq    uint64        // in the ledger
	id     jobID
	tries  uint8
	slowed bool // its agency has taken its time already
}

// before is the order in which jobs are taken up.
func (j job) before(k job) bool {
	if j.due != k.due {
		return j.due < k.due
	}
	return j.seq < k.seq
}

// A wait is what a job that isn't decided waits for: some time, or an agency that
// is down, by one of its services.
type wait struct {
	rest   time.Duration
	agency string
}

// duties are what the schedule needs of others.
type duties struct {
	perform func(context.Context, job) (wait, error) // safe for concurrent use
	down    func(service string) bool
	changed func() <-chan struct{} // closed when down may answer otherwise
	failed  func(job, error)
}

// work is what the agencies still have to do. A request that was just accepted is
// open, and stays so until its turn, which is a matter of milliseconds. The ledger
// alone says what there is to do: after a restart, or when the first try failed,
// the request is read from there.
type work struct {
	began time.Time
	wake  chan struct{} // holds a token while there may be something to do
	room  int           // for open requests

	mu      sync.Mutex // guards all below
	waiting heap
	held    map[string][]job // by the service whose agency is down
	begun   map[jobID]struct{}
	flying  int
	open    map[jobID]request.Draft
	trouble time.Duration // the last pause for the ledger; 0: it answers
	calm    time.Duration // when that pause is over
}

func newWork() *work {
	return &work{
		began: time.Now(), wake: make(chan struct{}, 1), room: openAtOnce,
		held: map[string][]job{}, begun: map[jobID]struct{}{}, open: map[jobID]request.Draft{},
	}
}

// now is the schedule's time, which no change of the clock moves.
func (w *work) now() time.Duration { return time.Since(w.began) }

func (w *work) stir() {
	select {
	case w.wake <- struct{}{}:
	default: // the token is there
	}
}

// addOpen adds a job whose request is at hand.
func (w *work) addOpen(id string, seq uint64, d request.Draft) {
	key, ok := jobIDOf(id)
	if !ok {
		return // put takes no such id
	}
	w.keepOpen(key, d)
	w.addAll([]job{{id: key, seq: seq}})
}

// addAll adds jobs that are due at once.
func (w *work) addAll(jobs []job) {
	w.mu.Lock()
	due := w.now()
	w.waiting.grow(len(jobs))
	for _, j := range jobs {
		j.due = due
		w.waiting.push(j)
	}
	w.mu.Unlock()
	w.stir()
}

// keepOpen keeps a request open for its job, if there is room.
func (w *work) keepOpen(id jobID, d request.Draft) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.open) < w.room {
		w.open[id] = d
	}
}

// draft is the request of a job, once.
func (w *work) draft(id jobID) (d request.Draft, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d, ok = w.open[id]
	delete(w.open, id)
	return d, ok
}

// working reports whether an agency has a request that isn't decided.
func (w *work) working(id string) bool {
	key, _ := jobIDOf(id)
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.begun[key]
	return ok
}

// load is how many wait for an agency to begin with, and how many were begun.
func (w *work) load() (waiting, working int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := len(w.waiting) + w.flying
	for _, jobs := range w.held {
		all += len(jobs)
	}
	return all - len(w.begun), len(w.begun)
}

// run performs every job when it is due, until ctx ends and none is in flight.
func (w *work) run(ctx context.Context, d duties) {
	var jobs sync.WaitGroup
	defer jobs.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		changed := d.changed() // first, so that no change passes between the look and the wait
		w.release(d.down)
		j, rest, ok := w.next()
		if ok {
			jobs.Go(func() { w.carryOut(ctx, d, j) })
			continue
		}
		if timer.Stop(); rest > 0 {
			timer.Reset(rest)
		}
		select {
		case <-ctx.Done():
		case <-w.wake:
		case <-timer.C:
		case <-changed:
		}
	}
}

// next takes the job that is due, or says after what time one will be; 0: after
// something has happened.
func (w *work) next() (j job, rest time.Duration, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	most := inFlight
	if w.trouble > 0 {
		most = 1
	}
	if len(w.waiting) == 0 || w.flying >= most {
		return job{}, 0, false
	}
	if rest := max(w.waiting[0].due, w.calm) - w.now(); rest > 0 {
		return job{}, rest, false
	}
	j = w.waiting.pop()
	w.begun[j.id] = struct{}{}
	w.flying++
	return j, 0, true
}

// release puts those back whose agency is up again.
func (w *work) release(down func(service string) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for service, jobs := range w.held {
		if down(service) {
			continue
		}
		delete(w.held, service)
		due := w.now()
		w.waiting.grow(len(jobs))
		for _, j := range jobs {
			j.due = due
			w.waiting.push(j)
		}
	}
}

// carryOut performs a job once, and puts it where it belongs then.
func (w *work) carryOut(ctx context.Context, d duties, j job) {
	wait, err := d.perform(ctx, j)
	if err != nil && ctx.Err() == nil {
		d.failed(j, err)
	}
	w.mu.Lock()
	w.flying--
	w.settle(j, wait, err)
	w.mu.Unlock()
	w.stir()
}

// settle puts a job where it belongs. The caller holds mu.
func (w *work) settle(j job, wait wait, err error) {
	now := w.now()
	switch away := errors.Is(err, ledger.ErrUnavailable); {
	case away && now >= w.calm: // else another told of the same trouble
		w.trouble = min(max(firstRest, 2*w.trouble), longestRest)
		w.calm = now + w.trouble
	case err == nil && wait.rest == 0 && wait.agency == "": // the ledger has taken a decision
		w.trouble, w.calm = 0, 0
	}
	switch {
	case errors.Is(err, ledger.ErrUnknown): // the process ends: it is looked up when it starts again
	case errors.Is(err, ledger.ErrUnavailable):
		j.due = now + max(w.trouble, j.pause(longestRest))
		w.again(j)
	case err != nil:
		j.due = now + j.pause(rareRest)
		w.again(j)
	case wait.agency != "":
		w.held[wait.agency] = append(w.held[wait.agency], j)
	case wait.rest > 0:
		j.due, j.slowed = now+wait.rest, true
		w.waiting.push(j)
	default:
		delete(w.begun, j.id)
	}
}

// again puts a job back that failed.
func (w *work) again(j job) {
	j.tries = min(j.tries+1, maxTries)
	w.waiting.push(j)
}

// maxTries is how far tries are counted: by then every pause is the longest.
const maxTries = 20

// pause is how long a job rests that failed, after those tries that it has had.
func (j job) pause(longest time.Duration) time.Duration { return min(firstRest<<j.tries, longest) }

// A heap has the job that comes first at its beginning.
type heap []job

// grow makes room for n more at once.
func (h *heap) grow(n int) {
	if len(*h)+n > cap(*h) && n > 1 {
		*h = append(make(heap, 0, len(*h)+n), *h...)
	}
}

func (h *heap) push(j job) {
	*h = append(*h, j)
	all := *h
	for i := len(all) - 1; i > 0; {
		parent := (i - 1) / 2
		if !all[i].before(all[parent]) {
			return
		}
		all[i], all[parent] = all[parent], all[i]
		i = parent
	}
}

func (h *heap) pop() job {
	all := *h
	first, last := all[0], len(all)-1
	all[0] = all[last]
	all = all[:last]
	for i := 0; ; {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && all[child+1].before(all[child]) {
			child++
		}
		if !all[child].before(all[i]) {
			break
		}
		all[i], all[child] = all[child], all[i]
		i = child
	}
	if *h = all; last == 0 {
		*h = nil // the room of a long line isn't kept
	}
	return first
}
