package queue

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"
	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"kosk/offline"
	"kosk/offline/queue/gatetest"
)

// Tests that need a process of their own run this test binary again, with the
// work that it is to do and the file that it is to do it on.
const (
	childWork = "KOSK_QUEUE_WORK"
	childPath = "KOSK_QUEUE_PATH"
)

var children = map[string]func(path string){
	"puts": childPuts, "hold": childHold, "limited": childLimited, "through": childThrough,
}

// child is this test binary, about to do the work. It ends with ctx.
func child(ctx context.Context, work, path string, env ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^$")
	cmd.Env = append(append(os.Environ(), childWork+"="+work, childPath+"="+path), env...)
	return cmd
}

// stop ends a child that has met an error.
func stop(what string, err error) {
	if err != nil {
		fmt.Println("!", what, err)
		os.Exit(1)
	}
}

// begin opens the queue in a child and runs it.
func begin(path string, o Options) *Queue {
	q, err := Open(path, o)
	stop("open", err)
	go q.Run(context.Background())
	return q
}

// A cost is what the puts of a queue in use cost the disk.
type cost struct {
	syncs   float64 // fdatasync a commit
	written float64 // bytes written for each byte of body
}

const tracedPuts = 240

// What a queue in a child does wrong, so that a gate can be seen to notice.
const (
	wrongVariable = "KOSK_QUEUE_WRONG"
	syncsThrice   = "syncs thrice"
	syncsNever    = "syncs never" // strace answers in the kernel's place
	putsTwice     = "puts twice"  // and so writes twice as much
	neverReuses   = "never reuses"
)

// childPuts wears the queue in, and then puts, between two marks in its trace.
func childPuts(path string) {
	size, _ := strconv.Atoi(os.Getenv("SIZE"))
	producers, _ := strconv.Atoi(os.Getenv("PRODUCERS"))
	wrong := os.Getenv(wrongVariable)
	q := begin(path, Options{MaxSize: 256 << 20})
	var t quiet
	from := worn(&t, q, size)
	before, _ := q.Stats()
	fmt.Println("from here")
	put := func(n int) {
		stop("put", q.Put(context.Background(), offline.Item{ID: id(n), Stream: fmt.Sprint(n), Body: make([]byte, size)}))
	}
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			for n := p; n < tracedPuts; n += producers {
				put(from + n)
				if wrong == putsTwice {
					put(from + tracedPuts + n)
				}
				if wrong == syncsThrice {
					stop("sync", unix.Fdatasync(int(q.file.Fd())))
				}
			}
		})
	}
	wg.Wait()
	after, _ := q.Stats()
	fmt.Println("to there")
	fmt.Println("commits", after.Commits-before.Commits)
}

// quiet is a testing.TB for a child: it ends the process at the first error.
type quiet struct{ testing.TB }

func (quiet) Error(args ...any)        { stop("worn", fmt.Errorf("%v", args)) }
func (quiet) Context() context.Context { return context.Background() }

var (
	wrote  = regexp.MustCompile(`pwrite64.*= (\d+)$`)
	synced = regexp.MustCompile(`fdatasync\(`)
)

// traced has a child put under strace, and counts.
func traced(t testing.TB, l load, wrong string) cost {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), lifetime)
	defer cancel()
	cmd := child(ctx, "puts", filepath.Join(dir, "queue"), fmt.Sprint("SIZE=", l.size), fmt.Sprint("PRODUCERS=", l.producers), wrongVariable+"="+wrong)
	below := []string{"strace", "-f", "-qq", "-s", "20", "-e", "trace=pwrite64,fdatasync,fsync,ftruncate,write", "-e", "signal=none", "-o", filepath.Join(dir, "trace")}
	if wrong == syncsNever {
		below = append(below, "-e", "inject=fdatasync,fsync:retval=0")
	}
	var err error
	cmd.Path, err = exec.LookPath("strace")
	must(t, err)
	cmd.Args = append(below, cmd.Args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("child: %v: %s", err, out)
	}
	_, said, ok := strings.Cut(string(out), "commits ")
	commits, err := strconv.Atoi(strings.TrimSpace(said))
	if !ok || err != nil || commits == 0 {
		t.Fatalf("child said %q", out)
	}
	trace, err := os.ReadFile(filepath.Join(dir, "trace"))
	must(t, err)
	_, trace, _ = bytes.Cut(trace, []byte("from here"))
	trace, _, ok = bytes.Cut(trace, []byte("to there"))
	if !ok {
		t.Fatal("the trace has no marks")
	}
	var syncs, bytesOut int
	for lines := bufio.NewScanner(bytes.NewReader(trace)); lines.Scan(); {
		line := lines.Text()
		if strings.Contains(line, "(INJECTED)") {
			continue
		}
		if synced.MatchString(line) {
			syncs++
		}
		if m := wrote.FindStringSubmatch(line); m != nil {
			n, _ := strconv.Atoi(m[1])
			bytesOut += n
		}
	}
	return cost{float64(syncs) / float64(commits), float64(bytesOut) / float64(tracedPuts*l.size)}
}

// needTrace is for gates that need ptrace.
func needTrace(t *testing.T, gate string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "strace", "-qq", "-e", "trace=fsync", "true").CombinedOutput(); err != nil {
		gatetest.Blocked(t, gate, fmt.Sprintf("%v %s", err, out))
	}
}

// Gate 8, its counts: a commit is exactly two syncs, and writes few bytes.
func TestGate8ACommitIsTwoSyncsAndFewBytes(t *testing.T) {
	needTrace(t, "8.commit")
	for _, c := range []struct {
		name  string
		load  load
		wrong string
	}{
		{"2k", loads[0], ""},
		{"2k-by-eight", loads[1], ""},
		{"64k", loads[2], ""},
		{"control.syncs-thrice", loads[0], syncsThrice},
		{"control.syncs-never", loads[0], syncsNever},
		{"control.puts-twice", loads[2], putsTwice},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := traced(t, c.load, c.wrong)
			r := gatetest.Result{
				Gate: "8.commit." + c.name, Cycles: tracedPuts, Control: c.wrong != "",
				Figure: fmt.Sprintf("%.2f syncs a commit (exactly 2), %.2f bytes written for each byte (at most %v)", got.syncs, got.written, c.load.written),
			}
			if got.syncs != 2 || got.written > c.load.written || got.written < 1 {
				r.Violations = tracedPuts
			}
			gatetest.Tell(t, r, []string{r.Figure})
		})
	}
}

// Gate 8, its speed: what a put costs beside an append to a file. It is a
// matter of the disk, and measured by make crash alone.
func TestGate8APutIsAsFastAsItShouldBe(t *testing.T) {
	turns := gatetest.Scale(0, 1000)
	if turns == 0 {
		t.Skip("speed is measured by make crash: beside other tests a disk says nothing")
	}
	turns = max(200, turns) // fewer say nothing either
	for _, c := range []struct {
		name string
		load load
		more int // commits after each put
	}{{"2k", loads[0], 0}, {"2k-by-eight", loads[1], 0}, {"64k", loads[2], 0}, {"control.commits-often", loads[0], 5}} {
		t.Run(c.name, func(t *testing.T) { tellSpeed(t, "8.speed."+c.name, c.load, turns, c.more) })
	}
}

func tellSpeed(t *testing.T, gate string, l load, turns, more int) {
	s := ofRaw(t, l, turns, more)
	r := gatetest.Result{
		Gate: gate, Cycles: turns, Control: more > 0,
		Figure: fmt.Sprintf("%.3f of raw in the median turn (at least %.2f); quarters %.2f, %.2f; %.0f puts/s", s.share(50), l.least, s.share(25), s.share(75), s.ours),
	}
	if s.share(50) < l.least {
		r.Violations = turns
	}
	gatetest.Tell(t, r, []string{r.Figure})
}

// childHold puts a body that came sealed, tells that it has, and waits. It is
// told nothing else of the citizen, but a word of its own, so that a scan that
// finds nothing can be told from one that is blind.
func childHold(path string) {
	stop("core", unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 1 << 30, Max: 1 << 30}))
	sealed, err := os.ReadFile(path + ".body")
	stop("read", err)
	q, err := OpenSealed(context.Background(), path, Options{Log: slog.New(slog.NewTextHandler(os.Stdout, nil))}, &safe{mask: 0x77})
	stop("open", err)
	go q.Run(context.Background())
	canary := strings.ToUpper(os.Getenv("CANARY"))
	i := offline.Item{ID: id(1), Stream: os.Getenv("STREAM"), Body: sealed, Trace: trace}
	stop("put", q.Put(context.Background(), i))
	i.ID = id(2)
	stop("put", q.Put(context.Background(), i))
	stop("done", q.Done(context.Background(), id(1), []byte("receipt")))
	_, err = q.Load(Entry{ID: id(2), Seq: 2, Size: len(sealed), sum: sha256.Sum256(sealed)})
	stop("load", err)
	fmt.Println("ready")
	<-time.After(lifetime)
	fmt.Println(canary)
}

// lifetime is how long a child may take, and be looked at, at most.
const lifetime = 5 * time.Minute

// planted is what a request says of its citizen.
var planted = []string{"PLANTED-NAME-ƏLİYEV", "5ZXK9Q7", "PLANTED-ANSWER-CHILD-BENEFIT"}

// A strings-scan over the file, what was logged, the memory and a core dump of a
// process that holds requests finds nothing of the citizen: bodies are sealed for
// the bus before they come here, streams are keyed hashes. Of a body that is not
// sealed it finds every word, but in the logs.
func TestAScanOfFileLogMemoryAndCoreFindsNobody(t *testing.T) {
	bus, err := age.GenerateHybridIdentity()
	must(t, err)
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, bus.Recipient())
	must(t, err)
	_, err = io.WriteString(w, strings.Join(planted, " "))
	must(t, errors.Join(err, w.Close()))
	for where, b := range scanned(t, sealed.Bytes()) {
		for _, word := range append(planted, trace) {
			if bytes.Contains(b, []byte(word)) && (word != trace || where == "file") {
				t.Errorf("%q is in the %s", word, where)
			}
		}
		t.Logf("%s: %d bytes", where, len(b))
	}
	for where, b := range scanned(t, []byte(strings.Join(planted, " "))) {
		for _, word := range planted {
			if found, said := bytes.Contains(b, []byte(word)), where == "log" || where == "last words"; found == said {
				t.Errorf("not sealed: %q is in the %s: %v", word, where, found)
			}
		}
	}
}

// scanned is what a process leaves that holds a body, and that is then made to crash.
func scanned(t *testing.T, body []byte) map[string][]byte {
	path := filepath.Join(inMemory(t), "queue")
	must(t, os.WriteFile(path+".body", body, 0o600))
	mac := hmac.New(sha256.New, []byte("a key of the kiosk's"))
	mac.Write([]byte(planted[1]))
	ctx, cancel := context.WithTimeout(t.Context(), lifetime)
	defer cancel()
	cmd := child(ctx, "hold", path, fmt.Sprintf("STREAM=%x", mac.Sum(nil)), "CANARY=a-word-of-its-own", "GOTRACEBACK=crash")
	cmd.Dir = filepath.Dir(path)
	var last bytes.Buffer
	cmd.Stderr = &last
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	wait := sync.OnceValue(cmd.Wait)
	defer func() { cancel(); wait() }()
	var log []byte
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "ready"; {
		log = append(append(log, lines.Bytes()...), '\n')
	}
	memory, err := memoryOf(cmd.Process.Pid)
	if errors.Is(err, os.ErrPermission) {
		t.Skipf("may not read another process's memory: %v", err)
	}
	must(t, err)
	file, err := os.ReadFile(path)
	must(t, err)
	must(t, cmd.Process.Signal(unix.SIGABRT))
	wait()
	all := map[string][]byte{"file": file, "log": log, "memory": memory, "last words": last.Bytes()}
	core, dumped := coreIn(t, cmd.Dir, cmd.Process.Pid)
	if dumped {
		all["core"] = core
	}
	canary := []byte("A-WORD-OF-ITS-OWN")
	if !bytes.Contains(memory, canary) || dumped && !bytes.Contains(core, canary) ||
		!bytes.Contains(log, []byte("queue open")) || !bytes.Contains(file, []byte(id(2))) || !bytes.Contains(last.Bytes(), []byte("SIGABRT")) {
		t.Errorf("the scan is blind: log %q", log)
	}
	return all
}

// coreIn reads the core dump of a process that has ended in a folder, if the
// system leaves them there; what it holds is also in the memory, which is read before.
func coreIn(t *testing.T, dir string, pid int) (core []byte, dumped bool) {
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	must(t, err)
	for _, name := range []string{"core", fmt.Sprint("core.", pid)} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			return b, true
		}
	}
	t.Logf("no core dump: the system puts them at %q; the memory itself was read", bytes.TrimSpace(pattern))
	return nil, false
}

// memoryOf reads what a core dump would hold: all that the process can write to.
func memoryOf(pid int) ([]byte, error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil, err
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return nil, err
	}
	defer mem.Close()
	var all []byte
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var mode string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); err != nil || !strings.HasPrefix(mode, "rw") || to-from > 1<<28 {
			continue
		}
		b := make([]byte, to-from)
		n, err := mem.ReadAt(b, from)
		if err != nil && n == 0 && errors.Is(err, os.ErrPermission) {
			return nil, err
		}
		all = append(all, b[:n]...)
	}
	return all, nil
}

// fill puts until the queue is full, and acknowledges everything.
func fill(q *Queue, size int) (puts int, err error) {
	ctx := context.Background()
	for ; ; puts++ {
		err := q.Put(ctx, item(puts, fmt.Sprint(puts), size))
		if errors.Is(err, offline.ErrFull) && !errors.Is(err, offline.ErrUnknown) {
			break
		}
		if err != nil {
			return puts, fmt.Errorf("put %d: %w", puts, err)
		}
	}
	if err := q.Room(size); !errors.Is(err, offline.ErrFull) {
		return puts, fmt.Errorf("full, and there is room: %w", err)
	}
	for n := range puts {
		if err := errors.Join(q.Sending(ctx, id(n)), q.Done(ctx, id(n), bytes.Repeat([]byte{1}, 400))); err != nil {
			return puts, fmt.Errorf("acknowledge %d of %d: %w", n, puts, err)
		}
	}
	return puts, errors.Join(q.Put(ctx, item(puts, "s", size)), q.Err())
}

// childLimited fills a queue in a process that may write no file over 3 MiB.
func childLimited(path string) {
	limit := unix.Rlimit{Cur: 3 << 20, Max: 3 << 20}
	stop("limit", unix.Setrlimit(unix.RLIMIT_FSIZE, &limit))
	q := begin(path, Options{})
	n, err := fill(q, fillSize)
	stop("fill", err)
	s, _ := q.Stats()
	fmt.Println("full", n, s.DiskFull)
}

// Gate 6: when a disk, a limit or the bound ends it, puts are refused cleanly,
// and every acknowledgement goes through.
func TestGate6AFullDiskRefusesPutsAndTakesAcknowledgements(t *testing.T) {
	for _, c := range []struct {
		name string
		fill func(t *testing.T) (promises int, err error)
	}{
		{"6.tmpfs", func(t *testing.T) (int, error) { return fillDisk(t, 0) }},
		{"6.tmpfs-ballast", func(t *testing.T) (int, error) { return fillDisk(t, 2<<20) }},
		{"6.rlimit", fillLimited},
		{"6.bound", fillBound},
		{"6.control.no-tenth", fillWithoutTenth},
		{"6.control.plain-bbolt", fillPlain},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := gatetest.Result{Gate: c.name, Control: strings.Contains(c.name, "control")}
			var why []string
			for range min(10, gatetest.Scale(1, 10)) {
				r.Cycles++
				n, err := c.fill(t)
				if _, blocked := errors.AsType[*os.SyscallError](err); blocked {
					gatetest.Blocked(t, c.name, err.Error())
				}
				r.Promises += n
				if err != nil {
					r.Violations++
					why = append(why, err.Error())
				}
			}
			gatetest.Tell(t, r, why)
		})
	}
}

const fillSize = 20_000 // bytes of a body

func fillLimited(t *testing.T) (int, error) {
	ctx, cancel := context.WithTimeout(t.Context(), lifetime)
	defer cancel()
	out, err := child(ctx, "limited", filepath.Join(t.TempDir(), "queue")).CombinedOutput()
	var n int
	var full bool
	if _, e := fmt.Sscanf(string(out), "full %d %v", &n, &full); e != nil || err != nil || n < 80 || !full {
		return n, fmt.Errorf("%d puts in 3 MiB, full %v, %w: %s", n, full, errors.Join(e, err), out)
	}
	return n, nil
}

func fillBound(t *testing.T) (int, error) {
	path := filepath.Join(inMemory(t), "queue")
	q, stop := running(t, path, Options{MaxSize: 4 << 20})
	defer stop()
	n, err := fill(q, fillSize)
	info, e := os.Stat(path)
	if err = errors.Join(err, e); err == nil && (info.Size() > 4<<20 || n < 150) {
		err = fmt.Errorf("%d puts, file of %d", n, info.Size())
	}
	return n, err
}

// fillWithoutTenth lets puts have the room that is kept for acknowledgements.
func fillWithoutTenth(t *testing.T) (puts int, err error) {
	q, stop := running(t, filepath.Join(inMemory(t), "queue"), Options{MaxSize: 4 << 20})
	defer stop()
	for size := fillSize; size > 1; {
		q.room.Store(1 << 40)
		err := q.Put(t.Context(), item(puts, fmt.Sprint(puts), size))
		if errors.Is(err, offline.ErrFull) {
			size /= 8
			continue
		}
		must(t, err)
		puts++
	}
	for n := range puts {
		if err := q.Done(t.Context(), id(n), bytes.Repeat([]byte{1}, 400)); err != nil {
			return puts, fmt.Errorf("acknowledge %d of %d: %w", n, puts, err)
		}
	}
	return puts, nil
}

// tmpfs mounts a disk of 8 MiB.
func tmpfs(t *testing.T) (dir string, unmount func(), err error) {
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
		return dir, nil, os.NewSyscallError("mount a disk of 8 MiB (root can)", err)
	}
	return dir, func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) }, nil
}

// fillPlain does it with bbolt alone: a put fails when the disk is full, and then
// so does what would make room.
func fillPlain(t *testing.T) (puts int, err error) {
	dir, unmount, err := tmpfs(t)
	if err != nil {
		return 0, err
	}
	defer unmount()
	db, err := bolt.Open(filepath.Join(dir, "plain"), 0o600, &bolt.Options{NoFreelistSync: true, PageSize: pageSize})
	must(t, err)
	defer db.Close()
	db.AllocSize = pageSize
	change := func(do func(*bolt.Bucket) error) error {
		return db.Update(func(tx *bolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists(itemBucket)
			return errors.Join(err, do(b))
		})
	}
	for size := fillSize; size > 1; {
		if err := change(func(b *bolt.Bucket) error { return b.Put(seqKey(uint64(puts)), make([]byte, size)) }); err != nil {
			size /= 8
			continue
		}
		puts++
	}
	for n := range puts {
		if err := change(func(b *bolt.Bucket) error { return b.Delete(seqKey(uint64(n))) }); err != nil {
			return puts, fmt.Errorf("delete %d of %d: %w", n, puts, err)
		}
	}
	return puts, nil
}

// fillDisk fills a disk, has somebody else take what is left of it, and opens
// the queue again.
func fillDisk(t *testing.T, ballast int64) (puts int, err error) {
	dir, unmount, err := tmpfs(t)
	if err != nil {
		return 0, err
	}
	defer unmount()
	path := filepath.Join(dir, "queue")
	q, stop := running(t, path, Options{Ballast: ballast})
	defer stop()
	n, err := fill(q, fillSize)
	if err != nil {
		return n, err
	}
	if s, err := q.Stats(); err != nil || n < 300 || !s.DiskFull {
		return n, fmt.Errorf("%d puts, %+v, %w", n, s, err)
	}
	if _, err := os.Stat(path + ".ballast"); !errors.Is(err, os.ErrNotExist) {
		return n, fmt.Errorf("the ballast is still there: %w", err)
	}
	stop()
	f, err := os.Create(filepath.Join(dir, "log"))
	must(t, err)
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	must(t, f.Close())
	q, stop = running(t, path, Options{})
	defer stop()
	if err := q.Done(t.Context(), id(n), []byte("receipt")); err != nil {
		return n, err
	}
	return n + 1, q.Room(offline.MaxBody) // the file has free pages
}

// childThrough has many items go in and out, and prints the most bytes of bodies and receipts that
// were live at a time, the file's, and the process's anonymous ones.
func childThrough(path string) {
	total, err := strconv.Atoi(os.Getenv("THROUGH"))
	stop("number", err)
	const producers, window, receipt = 8, 60, 600
	q := begin(path, Options{MaxSize: 1 << 30})
	if os.Getenv(wrongVariable) == neverReuses {
		go forgetNothing(q)
	}
	var live, peak, anonymous atomic.Int64
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			at := func(n int) int { return n*producers + p }
			size := func(n int) int { return 1200 + at(n)%3000 }
			for n := range total / producers {
				stop("put", q.Put(context.Background(), item(at(n), fmt.Sprint(at(n)%50), size(n))))
				live.Add(int64(size(n)))
				if n >= window {
					stop("done", q.Done(context.Background(), id(at(n-window)), make([]byte, receipt)))
					live.Add(-int64(size(n - window)))
				}
				s, err := q.Stats()
				stop("stats", err)
				grow(&peak, live.Load()+int64(s.Receipts)*receipt)
				if n%100 == 0 {
					grow(&anonymous, anonymousBytes())
				}
			}
		})
	}
	wg.Wait()
	grow(&anonymous, anonymousBytes())
	info, err := os.Stat(path)
	stop("stat", err)
	fmt.Println("peak", peak.Load(), "file", info.Size(), "anonymous", anonymous.Load())
}

// forgetNothing reads without end, so that no page that is in use once can be used again.
func forgetNothing(q *Queue) {
	tick := time.NewTicker(time.Millisecond)
	for range tick.C {
		tx, err := q.db.Begin(false)
		stop("begin", err)
		runtime.KeepAlive(tx)
	}
}

func grow(to *atomic.Int64, v int64) {
	for was := to.Load(); v > was && !to.CompareAndSwap(was, v); was = to.Load() {
	}
}

func anonymousBytes() int64 {
	b, err := os.ReadFile("/proc/self/smaps_rollup")
	stop("smaps", err)
	_, after, _ := strings.Cut(string(b), "Anonymous:")
	n, err := strconv.ParseInt(strings.Fields(after)[0], 10, 64)
	stop("smaps", err)
	return n << 10
}

// Gate 9: however much goes through, the file and the memory stay small.
func TestGate9TheFileAndMemoryStaySmall(t *testing.T) {
	tellThrough(t, "9.through", max(4000, gatetest.Scale(4000, 100_000)), "")
	tellThrough(t, "9.through.control.never-reuses", max(2000, gatetest.Scale(2000, 8000)), neverReuses)
}

func tellThrough(t *testing.T, gate string, through int, wrong string) {
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	out, err := child(ctx, "through", filepath.Join(t.TempDir(), "queue"), fmt.Sprint("THROUGH=", through), wrongVariable+"="+wrong).CombinedOutput()
	var peak, file, anonymous int64
	if _, e := fmt.Sscanf(string(out), "peak %d file %d anonymous %d", &peak, &file, &anonymous); e != nil || err != nil {
		t.Fatalf("%v, %v: %s", e, err, out)
	}
	bound := int64(1.2*float64(peak)) + 4<<20
	r := gatetest.Result{
		Gate: gate, Cycles: through, Promises: through, Control: wrong != "",
		Figure: fmt.Sprintf("file of %.1f MB (at most %.1f), anonymous memory %.1f MB (at most 33.6)", float64(file)/1e6, float64(bound)/1e6, float64(anonymous)/1e6),
	}
	if file > bound || anonymous > 32<<20 && !raced() {
		r.Violations = through
	}
	gatetest.Tell(t, r, []string{r.Figure})
}

// raced reports whether the race detector is in this binary: its shadow memory
// is not the queue's.
func raced() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
