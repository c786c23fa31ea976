package queue

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kosk/offline"
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

// childPuts wears the queue in, and then puts, between two marks in its trace.
func childPuts(path string) {
	size, _ := strconv.Atoi(os.Getenv("SIZE"))
	producers, _ := strconv.Atoi(os.Getenv("PRODUCERS"))
	q := begin(path, Options{MaxSize: 256 << 20})
	var t quiet
	from := worn(&t, q, size)
	before, _ := q.Stats()
	fmt.Println("from here")
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			for n := p; n < tracedPuts; n += producers {
				stop("put", q.Put(context.Background(), offline.Item{ID: id(from + n), Stream: fmt.Sprint(n), Body: make([]byte, size)}))
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
func traced(t testing.TB, size, producers int) cost {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed")
	}
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 120*time.Second)
	defer cancel()
	cmd := child(ctx, "puts", filepath.Join(dir, "queue"), fmt.Sprint("SIZE=", size), fmt.Sprint("PRODUCERS=", producers))
	cmd.Args = append([]string{strace, "-f", "-qq", "-s", "20", "-e", "trace=pwrite64,fdatasync,fsync,ftruncate,write", "-e", "signal=none", "-o", filepath.Join(dir, "trace")}, os.Args[0], "-test.run=^$")
	cmd.Path = strace
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
		if synced.MatchString(line) {
			syncs++
		}
		if m := wrote.FindStringSubmatch(line); m != nil {
			n, _ := strconv.Atoi(m[1])
			bytesOut += n
		}
	}
	return cost{float64(syncs) / float64(commits), float64(bytesOut) / float64(tracedPuts*size)}
}

func TestACommitIsTwoSyncsAndFewBytes(t *testing.T) {
	for _, c := range []struct {
		size, producers int
		most            float64
	}{{2048, 1, 16}, {2048, 8, 6}, {65536, 1, 1.6}} {
		t.Run(fmt.Sprintf("%d bytes, %d producers", c.size, c.producers), func(t *testing.T) {
			got := traced(t, c.size, c.producers)
			t.Logf("%.2f syncs a commit, %.2f bytes written for each byte", got.syncs, got.written)
			if got.syncs != 2 || got.written > c.most || got.written < 1 {
				t.Errorf("want exactly 2, and at most %v", c.most)
			}
		})
	}
}

// childHold puts a body that came sealed, tells that it has, and waits. It is
// told nothing else of the citizen, but a word of its own, so that a scan that
// finds nothing can be told from one that is blind.
func childHold(path string) {
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
	<-time.After(time.Minute)
	fmt.Println(canary)
}

// A strings-scan over the file, what was logged, and the memory of a process
// that holds requests finds nothing of the citizen: bodies are sealed for the
// bus before they come here, streams are keyed hashes.
func TestAScanOfFileLogAndMemoryFindsNobody(t *testing.T) {
	planted := []string{"PLANTED-NAME-ƏLİYEV", "5ZXK9Q7", "PLANTED-ANSWER-CHILD-BENEFIT"}
	path := filepath.Join(t.TempDir(), "queue")
	must(t, os.WriteFile(path+".body", sealedBody(t, strings.Join(planted, " ")), 0o600))
	mac := hmac.New(sha256.New, []byte("a key of the kiosk's"))
	mac.Write([]byte(planted[1]))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := child(ctx, "hold", path, fmt.Sprintf("STREAM=%x", mac.Sum(nil)), "CANARY=a-word-of-its-own")
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	defer func() { cancel(); cmd.Wait() }()
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
	for where, b := range map[string][]byte{"file": file, "log": log, "memory": memory} {
		for _, word := range planted {
			if bytes.Contains(b, []byte(word)) {
				t.Errorf("%q is in the %s", word, where)
			}
		}
	}
	if bytes.Contains(file, []byte(trace)) {
		t.Error("the trace is in the file")
	}
	if !bytes.Contains(memory, []byte("A-WORD-OF-ITS-OWN")) || !bytes.Contains(log, []byte("queue open")) || !bytes.Contains(file, []byte(id(2))) {
		t.Errorf("the scan is blind: log %q", log)
	}
}

// sealedBody seals as the bus's public key would: with a key that the queue's process never has.
func sealedBody(t *testing.T, plain string) []byte {
	k := keys{}
	must(t, k.add(1, newKey()))
	b, err := k.seal(1, []byte(plain), nil)
	must(t, err)
	return b
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
	n, err := fill(q, 20_000)
	stop("fill", err)
	s, _ := q.Stats()
	fmt.Println("full", n, s.DiskFull)
}

func TestAFileThatMayNotGrowRefusesPutsAndTakesAcknowledgements(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	out, err := child(ctx, "limited", filepath.Join(t.TempDir(), "queue")).CombinedOutput()
	var n int
	var full bool
	if _, e := fmt.Sscanf(string(out), "full %d %v", &n, &full); e != nil || err != nil || n < 80 || !full {
		t.Errorf("%d puts, full %v, %v: %s", n, full, err, out)
	}
	t.Logf("%d puts of 20,000 bytes in a file of 3 MiB", n)
}

func TestAFullDiskRefusesPutsAndTakesAcknowledgements(t *testing.T) {
	for _, ballast := range []int64{0, 2 << 20} {
		t.Run(fmt.Sprintf("ballast of %d bytes", ballast), func(t *testing.T) {
			dir := t.TempDir()
			if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
				t.Skipf("can't mount a disk of 8 MiB (root can): %v", err)
			}
			defer unix.Unmount(dir, unix.MNT_DETACH)
			path := filepath.Join(dir, "queue")
			q, stop := running(t, path, Options{Ballast: ballast})
			n, err := fill(q, 20_000)
			must(t, err)
			s, err := q.Stats()
			must(t, err)
			t.Logf("%d puts of 20,000 bytes on a disk of 8 MiB", n)
			if n < 300 || !s.DiskFull {
				t.Errorf("%d puts; %+v", n, s)
			}
			if _, err := os.Stat(path + ".ballast"); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the ballast is still there: %v", err)
			}
			stop()
			// Somebody else takes what is left.
			f, err := os.Create(filepath.Join(dir, "log"))
			must(t, err)
			for err == nil {
				_, err = f.Write(make([]byte, 4096))
			}
			f.Close()
			q, stop = running(t, path, Options{})
			must(t, q.Done(t.Context(), id(n), []byte("receipt")))
			if err := q.Room(offline.MaxBody); err != nil {
				t.Errorf("room in a file with free pages: %v", err)
			}
			stop()
		})
	}
}

// childThrough has many items go in and out, and prints the most bytes of bodies and receipts that
// were live at a time, the file's, and the process's anonymous ones.
func childThrough(path string) {
	total, err := strconv.Atoi(os.Getenv("THROUGH"))
	stop("number", err)
	const producers, window = 8, 60
	q := begin(path, Options{})
	var peak, anonymous atomic.Int64
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			for n := range total / producers {
				at := func(n int) int { return n*producers + p }
				size := 1200 + at(n)%3000
				stop("put", q.Put(context.Background(), item(at(n), fmt.Sprint(at(n)%50), size)))
				if n >= window {
					stop("done", q.Done(context.Background(), id(at(n-window)), make([]byte, 600)))
				}
				if n%500 == 0 {
					s, _ := q.Stats()
					grow(&peak, s.Bytes+int64(s.Receipts)*600)
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

// KOSK_QUEUE_THROUGH is how many items go in and out; 100,000 is the long form.
func TestTheFileAndMemoryStaySmall(t *testing.T) {
	through := cmp.Or(os.Getenv("KOSK_QUEUE_THROUGH"), "4000")
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	out, err := child(ctx, "through", filepath.Join(t.TempDir(), "queue"), "THROUGH="+through).CombinedOutput()
	var peak, file, anonymous int64
	if _, e := fmt.Sscanf(string(out), "peak %d file %d anonymous %d", &peak, &file, &anonymous); e != nil || err != nil {
		t.Fatalf("%v, %v: %s", e, err, out)
	}
	t.Logf("%s in and out: %d bytes of bodies and receipts at most, file of %d, anonymous memory %d", through, peak, file, anonymous)
	if float64(file) > 1.2*float64(peak)+4<<20 {
		t.Error("the file is too large")
	}
	if anonymous > 32<<20 && !raced() {
		t.Error("too much memory")
	}
}

// raced reports whether the race detector is in this binary: its shadow memory
// is not the queue's.
func raced() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
