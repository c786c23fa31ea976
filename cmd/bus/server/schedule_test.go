package server

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"kosk/cmd/bus/ledger"
)

func idOf(n int) jobID {
	id, _ := jobIDOf(fmt.Sprintf("01K9%022d", n))
	return id
}

func jobsOf(ns ...int) (all []job) {
	for _, n := range ns {
		all = append(all, job{id: idOf(n), seq: uint64(n)})
	}
	return all
}

// desk performs jobs as a test says, and remembers what came when.
type desk struct {
	mu     sync.Mutex // guards all below
	did    []string   // "3 at 100ms"
	flying int
	most   int
	shut   map[string]bool
	moved  chan struct{}
	failed int
	answer func(j job, nth int) (wait, error)
	nth    map[jobID]int
}

func newDesk(answer func(job, int) (wait, error)) *desk {
	return &desk{shut: map[string]bool{}, moved: make(chan struct{}), answer: answer, nth: map[jobID]int{}}
}

func (d *desk) duties(w *work, takes time.Duration) duties {
	return duties{
		perform: func(_ context.Context, j job) (wait, error) {
			d.mu.Lock()
			d.flying++
			d.most = max(d.most, d.flying)
			d.nth[j.id]++
			nth := d.nth[j.id]
			d.did = append(d.did, fmt.Sprint(j.seq, " at ", w.now()))
			d.mu.Unlock()
			time.Sleep(takes)
			d.mu.Lock()
			defer d.mu.Unlock()
			d.flying--
			return d.answer(j, nth)
		},
		down: func(service string) bool {
			d.mu.Lock()
			defer d.mu.Unlock()
			return d.shut[service]
		},
		changed: func() <-chan struct{} {
			d.mu.Lock()
			defer d.mu.Unlock()
			return d.moved
		},
		failed: func(job, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.failed++
		},
	}
}

func (d *desk) set(service string, shut bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut[service] = shut
	close(d.moved)
	d.moved = make(chan struct{})
}

// scheduled runs a schedule for so long, in the bubble's time, and returns what was done.
func scheduled(t *testing.T, takes, length time.Duration, answer func(job, int) (wait, error), during func(*work, *desk)) (d *desk, w *work) {
	synctest.Test(t, func(t *testing.T) {
		w, d = newWork(), newDesk(answer)
		ctx, cancel := context.WithTimeout(t.Context(), length)
		defer cancel()
		go during(w, d)
		w.run(ctx, d.duties(w, takes))
	})
	return d, w
}

func all(jobs ...int) func(*work, *desk) {
	return func(w *work, _ *desk) { w.addAll(jobsOf(jobs...)) }
}

func wantDone(t *testing.T, d *desk, want ...string) {
	t.Helper()
	if !slices.Equal(d.did, want) {
		t.Errorf("got  %q\nwant %q", d.did, want)
	}
}

var errSome = errors.New("no room for it")

func TestWhatFailsByItselfRestsByItself(t *testing.T) {
	d, w := scheduled(t, 0, time.Second, func(j job, nth int) (wait, error) {
		if j.seq == 1 && nth < 4 {
			return wait{}, errSome
		}
		return wait{}, nil
	}, all(1))
	wantDone(t, d, "1 at 0s", "1 at 100ms", "1 at 300ms", "1 at 700ms")
	if waiting, working := w.load(); waiting+working != 0 || d.failed != 3 {
		t.Errorf("%d wait, %d work, %d failed", waiting, working, d.failed)
	}
}

func TestTheLongestRests(t *testing.T) {
	d, _ := scheduled(t, 0, 24*time.Hour, func(job, int) (wait, error) { return wait{}, errSome }, all(1))
	if n := len(d.did); n < 24*6 || n > 24*6+20 {
		t.Errorf("tried %d times in a day, want six an hour", n)
	}
	d, _ = scheduled(t, 0, time.Hour, func(job, int) (wait, error) { return wait{}, ledger.ErrUnavailable }, all(1))
	if n := len(d.did); n < 360 || n > 380 {
		t.Errorf("a ledger that is away was asked %d times in an hour, want each ten seconds", n)
	}
}

// A ledger that is away is asked by one, however many wait for it; when it is back,
// all go on.
func TestOneAsksForTheLedger(t *testing.T) {
	const n = 10_000
	back := time.Time{}
	d, w := scheduled(t, 10*time.Millisecond, 2*time.Minute, func(job, int) (wait, error) {
		if time.Now().Before(back) {
			return wait{}, fmt.Errorf("append: %w", ledger.ErrUnavailable)
		}
		return wait{}, nil
	}, func(w *work, _ *desk) {
		back = time.Now().Add(time.Minute)
		var many []int
		for i := range n {
			many = append(many, i+1)
		}
		all(many...)(w, nil)
	})
	if asked := d.failed; asked > inFlight+20 {
		t.Errorf("asked %d times in a minute", asked)
	}
	if waiting, working := w.load(); waiting+working != 0 {
		t.Errorf("%d wait, %d work", waiting, working)
	}
	if d.most > inFlight {
		t.Errorf("%d in flight", d.most)
	}
}

// One that the ledger never takes doesn't stop the others.
func TestOneThatIsNeverTakenStopsNobody(t *testing.T) {
	d, w := scheduled(t, time.Millisecond, time.Minute, func(j job, _ int) (wait, error) {
		if j.seq == 1 {
			return wait{}, ledger.ErrUnavailable
		}
		return wait{}, nil
	}, func(w *work, _ *desk) {
		for i := range 600 {
			w.addAll(jobsOf(i + 1))
			time.Sleep(50 * time.Millisecond)
		}
	})
	if waiting, working := w.load(); waiting != 0 || working != 1 {
		t.Errorf("%d wait, %d work, want the one", waiting, working)
	}
	if d.nth[idOf(600)] != 1 {
		t.Error("the last never had its turn")
	}
}

func TestInOrder(t *testing.T) {
	d, _ := scheduled(t, 0, time.Second, func(j job, nth int) (wait, error) {
		if j.seq == 2 && nth == 1 {
			return wait{rest: 300 * time.Millisecond}, nil
		}
		if j.slowed != (j.seq == 2) {
			return wait{}, fmt.Errorf("job %d slowed: %v", j.seq, j.slowed)
		}
		return wait{}, nil
	}, func(w *work, d *desk) {
		w.addAll(jobsOf(2))
		time.Sleep(time.Millisecond)
		w.addAll(jobsOf(3))
		time.Sleep(300 * time.Millisecond)
		w.addAll(jobsOf(4))
	})
	wantDone(t, d, "2 at 0s", "3 at 1ms", "2 at 300ms", "4 at 301ms")
	if d.failed != 0 {
		t.Errorf("%d failed", d.failed)
	}
}

// An agency that is down holds its requests, without a goroutine for each, and
// nobody else's.
func TestAnAgencyThatIsDownHoldsItsOwn(t *testing.T) {
	const n = 2000
	var during struct{ goroutines, waiting, working int }
	before := runtime.NumGoroutine()
	d, w := scheduled(t, 0, time.Hour, func(j job, nth int) (wait, error) {
		if j.seq <= n && nth == 1 {
			return wait{agency: "x"}, nil
		}
		return wait{}, nil
	}, func(w *work, d *desk) {
		d.set("x", true)
		for i := range n {
			w.addAll(jobsOf(i + 1))
		}
		time.Sleep(time.Minute)
		w.addAll(jobsOf(n + 1))
		time.Sleep(time.Minute)
		during.goroutines = runtime.NumGoroutine() - before
		during.waiting, during.working = w.load()
		d.set("y", true)
		time.Sleep(time.Minute)
		if !w.working(idOf(n).String()) {
			t.Error("one that is held isn't in work")
		}
		d.set("x", false)
	})
	if during.goroutines > 20 || during.waiting != 0 || during.working != n {
		t.Errorf("%d goroutines, %d wait, %d work", during.goroutines, during.waiting, during.working)
	}
	if last := d.did[len(d.did)-1]; len(d.did) != 2*n+1 || !strings.HasSuffix(last, " at 3m0s") {
		t.Errorf("%d done, the last %s", len(d.did), last)
	}
	if waiting, working := w.load(); waiting+working != 0 || w.working(idOf(n).String()) {
		t.Errorf("%d wait, %d work", waiting, working)
	}
}

func TestEndsWithItsContext(t *testing.T) {
	d, _ := scheduled(t, time.Minute, time.Second, func(job, int) (wait, error) { return wait{}, context.Canceled }, all(1, 2))
	if d.failed != 0 || d.flying != 0 || len(d.did) != 2 {
		t.Errorf("%d failed, %d in flight, %d done", d.failed, d.flying, len(d.did))
	}
}

// The schedule is what a list sorted by due time and place would be.
func TestHeap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h heap
		var list []job
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			if len(list) > 0 && rapid.Bool().Draw(t, "pop") {
				got := h.pop()
				if got != list[0] {
					t.Fatalf("got %v, want %v", got, list[0])
				}
				list = list[1:]
				continue
			}
			j := job{due: time.Duration(rapid.IntRange(0, 9).Draw(t, "due")), seq: rapid.Uint64().Draw(t, "seq")}
			h.push(j)
			list = append(list, j)
			slices.SortFunc(list, func(a, b job) int {
				if a.before(b) {
					return -1
				}
				return 1
			})
		}
	})
}

// TestUndoneIsWhatHasNoDecision: after a restart at any moment, what is to be done
// is each request without a decision, once, in the ledger's order.
func TestUndoneIsWhatHasNoDecision(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want []job
		u := undone{}
		seq := uint64(0)
		for i := range rapid.IntRange(0, 100).Draw(t, "steps") {
			seq++
			switch rapid.IntRange(0, 2).Draw(t, "what") {
			case 0:
				want = append(want, job{id: idOf(i), seq: seq})
				u.note(ledger.Entry{Seq: seq, Key: submissionKey(idOf(i).String())})
			case 1:
				if len(want) > 0 {
					k := rapid.IntRange(0, len(want)-1).Draw(t, "which")
					u.note(ledger.Entry{Seq: seq, Key: outcomeKey(want[k].id.String())})
					want = slices.Delete(want, k, k+1)
				}
			case 2:
				u.note(ledger.Entry{Seq: seq, Key: "another/key"})
			}
		}
		if got := u.jobs(); !slices.Equal(got, want) {
			t.Fatalf("got %v\nwant %v", got, want)
		}
	})
}
