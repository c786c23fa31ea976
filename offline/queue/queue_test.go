package queue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"kosk/offline"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(crashWriter); path != "" {
		writeUntilKilled(path)
	}
	if work := os.Getenv(childWork); work != "" {
		children[work](os.Getenv(childPath))
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// id makes the n-th ULID of a test.
func id(n int) string { return fmt.Sprintf("01JDTEST%018d", n) }

func item(n int, stream string, size int) offline.Item {
	return offline.Item{ID: id(n), Stream: stream, Class: offline.Today, Body: bytes.Repeat([]byte{byte(n)}, size)}
}

// running opens the queue and runs its writer until the test or stop ends it.
func running(t testing.TB, path string, o Options) (q *Queue, stop func()) {
	t.Helper()
	q, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	return q, run(t, q)
}

func run(t testing.TB, q *Queue) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-ended, q.Close()); err != nil && q.Err() == nil {
			t.Errorf("stop: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func heads(t testing.TB, q *Queue) (ids []string) {
	t.Helper()
	if err := q.Heads(func(e Entry) bool { ids = append(ids, e.ID); return true }); err != nil {
		t.Fatal(err)
	}
	return ids
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAnItemOutlivesTheProcess(t *testing.T) {
	path, ctx := filepath.Join(inMemory(t), "queue"), t.Context()
	q, stop := running(t, path, Options{Station: "ST-0001"})
	put := item(1, "s", 5000)
	put.TTL = time.Hour
	must(t, q.Put(ctx, put))
	must(t, q.Sending(ctx, put.ID))
	stop()

	q, _ = running(t, path, Options{})
	select {
	case <-q.Changed():
	default:
		t.Error("a queue that opens with items does not say so")
	}
	f, err := q.Find(put.ID)
	must(t, err)
	body, err := q.Load(f.Entry)
	must(t, err)
	if !bytes.Equal(body, put.Body) || f.State != Queued || !f.MaybeSent || f.Attempts != 1 || f.TTL != time.Hour || f.Class != offline.Today || f.station != "ST-0001" || f.Boot != 1 {
		t.Errorf("found %+v and %d bytes", f, len(body))
	}
	if time.Since(f.Created) > time.Minute || f.uptime == 0 {
		t.Errorf("created %v, uptime %v", f.Created, f.uptime)
	}
}

func TestPuttingTwiceIsPuttingOnce(t *testing.T) {
	q, _ := running(t, filepath.Join(inMemory(t), "queue"), Options{})
	ctx := t.Context()
	must(t, q.Put(ctx, item(1, "s", 10)))
	must(t, q.Put(ctx, item(1, "s", 10)))
	other := item(1, "s", 11)
	if err := q.Put(ctx, other); !errors.Is(err, offline.ErrConflict) {
		t.Errorf("another body under the same id: %v", err)
	}
	must(t, q.Done(ctx, id(1), []byte("receipt")))
	must(t, q.Done(ctx, id(1), []byte("receipt")))
	must(t, q.Put(ctx, item(1, "s", 10)))
	if err := q.Put(ctx, other); !errors.Is(err, offline.ErrConflict) {
		t.Errorf("another body under a finished id: %v", err)
	}
	s, err := q.Stats()
	must(t, err)
	if s.Queued != 0 || s.Receipts != 1 || s.Bytes != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestHeadsAreInOrderOfClassAndPut(t *testing.T) {
	q, _ := running(t, filepath.Join(inMemory(t), "queue"), Options{})
	ctx := t.Context()
	later := item(1, "a", 1)
	later.Class = offline.Whenever
	waiting := item(4, "c", 1)
	waiting.Class = offline.Waiting
	for _, i := range []offline.Item{later, item(2, "b", 1), item(3, "b", 1), waiting, item(5, "a", 1)} {
		must(t, q.Put(ctx, i))
	}
	steps := []struct {
		do   func() error
		want []string
	}{
		{func() error { return nil }, []string{id(4), id(2), id(1)}},
		{func() error { return q.Done(ctx, id(2), []byte("r")) }, []string{id(4), id(3), id(1)}},
		{func() error { return q.Park(ctx, id(1), "bus_refused") }, []string{id(4), id(3), id(5)}},
		{func() error { return q.Done(ctx, id(4), []byte("r")) }, []string{id(3), id(5)}},
	}
	for i, s := range steps {
		must(t, s.do())
		if d := cmp.Diff(s.want, heads(t, q)); d != "" {
			t.Errorf("step %d: %s", i, d)
		}
	}
	f, err := q.Find(id(1))
	must(t, err)
	if f.State != Parked || f.Reason != "bus_refused" {
		t.Errorf("found %+v", f)
	}
	for what, err := range map[string]error{
		"finish a parked item": q.Done(ctx, id(1), nil),
		"park a finished item": q.Park(ctx, id(2), "x"),
		"send what is not":     q.Sending(ctx, id(9)),
	} {
		if !errors.Is(err, offline.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestBadItemsAreNotStored(t *testing.T) {
	q, _ := running(t, filepath.Join(inMemory(t), "queue"), Options{})
	change := map[string]func(*offline.Item){
		"no id":            func(i *offline.Item) { i.ID = "" },
		"id not a ulid":    func(i *offline.Item) { i.ID = strings.Repeat("I", 26) },
		"id too large":     func(i *offline.Item) { i.ID = strings.Repeat("8", 26) },
		"no body":          func(i *offline.Item) { i.Body = nil },
		"body too long":    func(i *offline.Item) { i.Body = make([]byte, offline.MaxBody+1) },
		"no stream":        func(i *offline.Item) { i.Stream = "" },
		"class out of use": func(i *offline.Item) { i.Class = 3 },
		"negative ttl":     func(i *offline.Item) { i.TTL = -1 },
	}
	for name, change := range change {
		i := item(1, "s", 10)
		change(&i)
		if err := q.Put(t.Context(), i); !errors.Is(err, ErrItem) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := heads(t, q); len(got) != 0 {
		t.Errorf("stored %v", got)
	}
}

func TestAFullQueueRefusesPutsAndTakesAcknowledgements(t *testing.T) {
	path, ctx := filepath.Join(inMemory(t), "queue"), t.Context()
	q, stop := running(t, path, Options{MaxSize: 2 << 20})
	const size = 40_000
	n := 0
	for ; q.Room(size) == nil; n++ {
		must(t, q.Put(ctx, item(n, fmt.Sprint(n), size)))
	}
	if err := q.Put(ctx, item(n, "s", size)); !errors.Is(err, offline.ErrFull) || errors.Is(err, offline.ErrUnknown) {
		t.Errorf("put into a full queue: %v", err)
	}
	if _, err := q.Find(id(n)); !errors.Is(err, offline.ErrNotFound) {
		t.Errorf("a refused item is there: %v", err)
	}
	if used := n * size; used < 3<<19 {
		t.Errorf("only %d bytes fit into %d", used, 2<<20)
	}
	for i := range n {
		must(t, q.Sending(ctx, id(i)))
		must(t, q.Done(ctx, id(i), bytes.Repeat([]byte{1}, 400)))
	}
	must(t, q.Put(ctx, item(n, "s", size)))
	stop()
	info, err := os.Stat(path)
	must(t, err)
	if info.Size() > 2<<20 {
		t.Errorf("file of %d bytes", info.Size())
	}
}

// What Room reckons is an estimate; bbolt's bound is not.
func TestTheFileNeverPassesItsBound(t *testing.T) {
	path, ctx := filepath.Join(inMemory(t), "queue"), t.Context()
	q, stop := running(t, path, Options{MaxSize: 1 << 20})
	n := 0
	for ; n < 1000; n++ {
		q.room.Store(1 << 40)
		if err := q.Put(ctx, item(n, fmt.Sprint(n), 20_000)); err != nil {
			if !errors.Is(err, offline.ErrFull) || errors.Is(err, offline.ErrUnknown) {
				t.Fatal(err)
			}
			break
		}
	}
	if n < 30 || n == 1000 || q.Err() != nil {
		t.Errorf("%d items fit; the queue says %v", n, q.Err())
	}
	for i := range n / 2 {
		must(t, q.Done(ctx, id(i), []byte("receipt")))
	}
	must(t, q.Put(ctx, item(n, "s", 20_000)))
	stop()
	q, _ = running(t, path, Options{MaxSize: 1 << 20})
	if got := len(heads(t, q)); got != n-n/2+1 {
		t.Errorf("%d heads, not %d", got, n-n/2+1)
	}
	if info, err := os.Stat(path); err != nil || info.Size() > 1<<20 {
		t.Errorf("file of %d bytes, %v", info.Size(), err)
	}
}

func TestReceiptsAreBounded(t *testing.T) {
	q, _ := running(t, filepath.Join(inMemory(t), "queue"), Options{MaxReceipts: 3})
	ctx := t.Context()
	for n := range 5 {
		must(t, q.Put(ctx, item(n, "s", 1)))
		must(t, q.Done(ctx, id(n), []byte{byte(n)}))
	}
	for n := range 5 {
		f, err := q.Find(id(n))
		if n < 2 && !errors.Is(err, offline.ErrNotFound) {
			t.Errorf("receipt %d: %v", n, err)
		}
		if n >= 2 && (err != nil || f.State != Finished || !bytes.Equal(f.Receipt, []byte{byte(n)})) {
			t.Errorf("receipt %d: %+v, %v", n, f, err)
		}
	}
}

func TestManyProducersShareCommits(t *testing.T) {
	q, _ := running(t, filepath.Join(inMemory(t), "queue"), Options{})
	before := q.db.Stats().TxN // one read transaction follows every commit
	var wg sync.WaitGroup
	const producers, each = 8, 40
	for p := range producers {
		wg.Go(func() {
			for n := range each {
				if err := q.Put(t.Context(), item(p*each+n, fmt.Sprint(p), 2048)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if commits := q.db.Stats().TxN - before; commits > producers*each/2 {
		t.Errorf("%d commits for %d puts", commits, producers*each)
	}
	s, err := q.Stats()
	must(t, err)
	if s.Queued != producers*each || len(heads(t, q)) != producers {
		t.Errorf("stats %+v", s)
	}
}

func TestAfterAFailedCommitNothingIsAcknowledged(t *testing.T) {
	path, ctx := filepath.Join(inMemory(t), "queue"), t.Context()
	q, stop := running(t, path, Options{})
	must(t, q.Put(ctx, item(1, "s", 10)))
	stop()

	var file *os.File
	q, err := Open(path, Options{openFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
		var err error
		file, err = os.OpenFile(name, flag, mode)
		return file, err
	}})
	must(t, err)
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx) }()
	must(t, file.Close()) // every write fails from now on
	if err := q.Put(ctx, item(2, "s", 10)); !errors.Is(err, offline.ErrUnknown) {
		t.Errorf("put: %v", err)
	}
	if err := <-ended; !errors.Is(err, offline.ErrUnknown) {
		t.Errorf("run: %v", err)
	}
	if err := q.Put(ctx, item(3, "s", 10)); !errors.Is(err, ErrStopped) || errors.Is(err, offline.ErrUnknown) || !errors.Is(q.Err(), offline.ErrUnknown) {
		t.Errorf("the next put: %v; the queue says %v", err, q.Err())
	}
	q.Close()

	q, _ = running(t, path, Options{})
	if _, err := q.Find(id(1)); err != nil {
		t.Errorf("what was acknowledged before: %v", err)
	}
}

func TestPutHeedsItsContextAndTheEndOfRun(t *testing.T) {
	q, err := Open(filepath.Join(inMemory(t), "queue"), Options{})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := q.Put(ctx, item(1, "s", 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("put before Run: %v", err)
	}
	must(t, q.Run(ctx))
	if err := q.Put(t.Context(), item(1, "s", 1)); !errors.Is(err, ErrStopped) {
		t.Errorf("put after Run: %v", err)
	}
	must(t, q.Close())
}

func TestAFileThatIsHeldIsInUse(t *testing.T) {
	path := filepath.Join(inMemory(t), "queue")
	running(t, path, Options{})
	if _, err := Open(path, Options{LockWait: time.Millisecond}); !errors.Is(err, ErrInUse) {
		t.Errorf("second open: %v", err)
	}
}

func TestACutWhileMakingTheFileLeavesNothing(t *testing.T) {
	path := filepath.Join(inMemory(t), "queue")
	must(t, os.WriteFile(path+".new", []byte("half a file"), 0o600))
	q, _ := running(t, path, Options{})
	must(t, q.Put(t.Context(), item(1, "s", 1)))
}
