package msglog

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"kosk/device/seal"
)

// files are those of a folder, by name.
type files map[string][]byte

func filesIn(t testing.TB, dir string) files {
	t.Helper()
	all := files{}
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		all[n.Name()] = readFile(t, filepath.Join(dir, n.Name()))
	}
	return all
}

// in makes a folder of them.
func (f files) in(t testing.TB, dir string) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	for name, b := range f {
		put(t, filepath.Join(dir, name), b)
	}
}

func (f files) without(name string) files {
	rest := maps.Clone(f)
	delete(rest, name)
	return rest
}

// A told is what a log told of its entries.
type told struct {
	since, past []Entry
	cut         int64
	unset       []error
}

func (t told) all() []Entry { return append(slices.Clone(t.past), t.since...) }

// reopen opens a log, reads its past, and closes it.
func reopen(dir string, o Options) (tell told, err error) {
	o.Seen = func(e Entry) { tell.since = append(tell.since, e) }
	o.Unset = func(err error) { tell.unset = append(tell.unset, err) }
	l, err := Open(dir, o)
	if err != nil {
		return tell, err
	}
	tell.cut = l.Cut()
	err = l.Past(context.Background(), func(e Entry) { tell.past = append(tell.past, e) })
	return tell, errors.Join(err, l.Close())
}

// marked makes a log of so many entries with a head over every few and checkpoints
// after some of those heads, and returns it with its checkpoints, the oldest first.
func marked(t testing.TB, dir string, o Options, n, perHead int, after ...int) (set [][]byte) {
	t.Helper()
	l, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if _, err := l.Append(Entry{Request: fmt.Sprintf("r%d", i), Status: 200}); err != nil {
			t.Fatal(err)
		}
		if i%perHead == perHead-1 {
			if _, err := l.Sign(); err != nil {
				t.Fatal(err)
			}
		}
		if slices.Contains(after, i+1) {
			if err := l.setCheckpoint(); err != nil {
				t.Fatal(err)
			}
			set = append(set, readFile(t, filepath.Join(dir, checkpointFile)))
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return set
}

func TestReadsWhatCameAfterTheCheckpoint(t *testing.T) {
	dir, o := t.TempDir(), Options{Key: newKey(t)}
	marked(t, dir, o, 23, 5, 10)
	got, err := reopen(dir, o)
	if err != nil || len(got.since) != 13 || len(got.past) != 10 || got.unset != nil {
		t.Fatalf("%d since, %d past, %v, %v", len(got.since), len(got.past), got.unset, err)
	}
	for i, e := range got.all() {
		if e.Seq != uint64(i+1) || e.Request != fmt.Sprintf("r%d", i) {
			t.Errorf("entry %d: %+v", i, e)
		}
	}
	whole := o
	whole.whole = true
	if again, err := reopen(dir, whole); err != nil || !slices.Equal(again.since, got.all()) || again.past != nil {
		t.Errorf("%v: the whole is another", err)
	}
	if r, err := Verify(dir, &o.Key.PublicKey, nil, nil); err != nil || r.Entries != 23 || r.Known != 10 {
		t.Errorf("%+v, %v", r, err)
	}
}

// It goes on from a checkpoint at which it ended, in another month too.
func TestGoesOnFromItsLastEntry(t *testing.T) {
	dir, o := t.TempDir(), Options{Key: newKey(t)}
	marked(t, dir, o, 4, 2, 4)
	for i := range 3 {
		l, err := Open(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		if l.from == nil {
			t.Fatal("there was no checkpoint")
		}
		e, err := l.Append(Entry{})
		if err != nil || e.Seq != uint64(5+i) {
			t.Fatalf("entry %d, %v", e.Seq, err)
		}
		if _, err := l.Sign(); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(l.setCheckpoint(), l.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := Verify(dir, &o.Key.PublicKey, nil, nil); err != nil || r.Entries != 7 || r.Known != 7 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestRunSetsCheckpoints: when it is time, and in the end; and who has counts has
// stored them by then.
func TestRunSetsCheckpoints(t *testing.T) {
	dir, o := t.TempDir(), Options{Key: newKey(t), Every: time.Millisecond}
	settled := 0
	o.Settle = func() error { settled++; return nil }
	l, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	for range checkpointEntries + 1 {
		if _, err := l.Append(Entry{}); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(20 * time.Second); ; {
		if _, err := os.Stat(filepath.Join(dir, checkpointFile)); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("no checkpoint came")
		}
	}
	if _, err := l.Append(Entry{}); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := errors.Join(<-ended, l.Close()); err != nil {
		t.Fatal(err)
	}
	c, err := readCheckpoint(dir, &o.Key.PublicKey)
	if err != nil || c.Head.Seq != checkpointEntries+2 || settled < 2 {
		t.Errorf("%+v, %v; settled %d times", c, err, settled)
	}
}

// What can't be stored keeps the checkpoint away, and nothing else.
func TestWithoutSettlingNoCheckpoint(t *testing.T) {
	dir, o := t.TempDir(), Options{Key: newKey(t)}
	var unset error
	o.Settle, o.Unset = func() error { return fs.ErrPermission }, func(err error) { unset = err }
	l, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(Entry{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := errors.Join(l.Run(ctx), l.Close()); err != nil {
		t.Error(err)
	}
	if _, err := readCheckpoint(dir, &o.Key.PublicKey); !errors.Is(err, errNoCheckpoint) || !errors.Is(unset, fs.ErrPermission) {
		t.Errorf("%v, %v", err, unset)
	}
}

// TestACheckpointThatDoesNotFit: torn, forged, another log's, an old one.
func TestACheckpointThatDoesNotFit(t *testing.T) {
	o := Options{Key: newKey(t)}
	dir, other := t.TempDir(), t.TempDir()
	set := marked(t, dir, o, 12, 2, 4, 8)
	good := filesIn(t, dir)
	foreign := marked(t, other, o, 12, 3, 9) // of the same key
	forger := newKey(t)
	c, err := parseCheckpoint(bytes.TrimSpace(set[1]), &o.Key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	resealed := func(key *ecdsa.PrivateKey, change func(*checkpoint)) []byte {
		again := *c
		change(&again)
		raw, err := json.Marshal(again)
		if err != nil {
			t.Fatal(err)
		}
		b, err := seal.Sign(checkpointKind, raw, key)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	tests := []struct {
		name    string
		content []byte
		since   int // entries after it; 12: it didn't count
		damaged bool
	}{
		{"as it is", set[1], 4, false},
		{"an old one", set[0], 8, false},
		{"empty", nil, 12, false},
		{"torn", set[1][:len(set[1])/2], 12, false},
		{"too long", append(bytes.Clone(set[1]), make([]byte, maxCheckpoint)...), 12, false},
		{"another key's", resealed(forger, func(*checkpoint) {}), 12, false},
		{"a head is no checkpoint", bytes.SplitAfter(good[headsFile], []byte("\n"))[1], 12, false},
		{"another place", resealed(o.Key, func(c *checkpoint) { c.Entry.At++ }), 12, false},
		{"another entry's place", resealed(o.Key, func(c *checkpoint) { c.Entry.At = 0 }), 12, false},
		{"another head's place", resealed(o.Key, func(c *checkpoint) { c.HeadAt = 0 }), 12, false},
		{"behind the end", resealed(o.Key, func(c *checkpoint) { c.Entry.At = 1 << 40 }), 12, false},
		{"a month that isn't there", resealed(o.Key, func(c *checkpoint) { c.Entry.Month = "2001-01" }), 12, false},
		{"a path", resealed(o.Key, func(c *checkpoint) { c.Entry.Month = "../x" }), 12, false},
		{"another log's of the same key", foreign[0], 0, true}, // the chain that was promised isn't there
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			good.in(t, dir)
			put(t, filepath.Join(dir, checkpointFile), tt.content)
			got, err := reopen(dir, o)
			if tt.damaged {
				if !errors.Is(err, ErrDamaged) {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil || len(got.since) != tt.since || len(got.all()) != 12 {
				t.Fatalf("%d since, %d in all, %v", len(got.since), len(got.all()), err)
			}
			if told := len(got.unset) > 0; told != (tt.since == 12) {
				t.Errorf("told: %v", got.unset)
			}
			if _, err := Verify(dir, &o.Key.PublicKey, nil, nil); err != nil {
				t.Errorf("verify: %v", err)
			}
		})
	}
}

// TestPastFindsWhatOpenDoesNotRead: what was changed before the checkpoint ends the
// log, and keeps it from opening again.
func TestPastFindsWhatOpenDoesNotRead(t *testing.T) {
	dir, o := t.TempDir(), Options{Key: newKey(t)}
	marked(t, dir, o, 12, 2, 8)
	path := theMonth(t, dir)
	put(t, path, bytes.Replace(readFile(t, path), []byte(`"status":200`), []byte(`"status":201`), 1))
	l, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Past(t.Context(), func(Entry) {}); !errors.Is(err, ErrDamaged) {
		t.Errorf("past: %v", err)
	}
	if _, err := l.Append(Entry{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := errors.Join(l.Run(ctx), l.Close()); err != nil { // which would set one
		t.Error(err)
	}
	if _, err := Open(dir, o); !errors.Is(err, ErrDamaged) {
		t.Errorf("again: %v", err)
	}
	if _, err := Verify(dir, &o.Key.PublicKey, nil, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("verify: %v", err)
	}
}

func TestPastEndsWithItsContext(t *testing.T) {
	dir, o := t.TempDir(), Options{Key: newKey(t)}
	marked(t, dir, o, 12, 2, 8)
	l, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = l.Past(ctx, func(e Entry) {
		if e.Seq == 3 {
			cancel()
		} else if e.Seq > 3 {
			t.Errorf("told entry %d", e.Seq)
		}
	})
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrDamaged) {
		t.Errorf("got %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := readCheckpoint(dir, &o.Key.PublicKey); err != nil {
		t.Errorf("the checkpoint: %v", err)
	}
}

// A log cut together with its heads is found by the checkpoint that was left, which
// nothing but a head that somebody kept could before.
func TestACheckpointFindsWhatWasCutWithItsHeads(t *testing.T) {
	dir, o := t.TempDir(), Options{Key: newKey(t)}
	marked(t, dir, o, 12, 2, 8)
	path, heads := theMonth(t, dir), filepath.Join(dir, headsFile)
	put(t, path, bytes.Join(bytes.SplitAfter(readFile(t, path), []byte("\n"))[:6], nil))
	put(t, heads, bytes.Join(bytes.SplitAfter(readFile(t, heads), []byte("\n"))[:3], nil))
	if _, err := Open(dir, o); !errors.Is(err, ErrDamaged) {
		t.Errorf("open: %v", err)
	}
	if _, err := Verify(dir, &o.Key.PublicKey, nil, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("verify: %v", err)
	}
}

// After a pruning the next Open tells everything: who pruned has stored nothing of it.
func TestPruningEndsTheCheckpoint(t *testing.T) {
	dir, o := t.TempDir(), Options{Key: newKey(t)}
	set := marked(t, dir, o, 12, 2, 6, 10)
	c, err := parseCheckpoint(bytes.TrimSpace(set[1]), &o.Key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	path := theMonth(t, dir)
	lines := bytes.SplitAfter(readFile(t, path), []byte("\n"))
	old := filepath.Join(dir, "2019-03.jsonl") // as if the first eight were of an earlier month
	put(t, old, bytes.Join(lines[:8], nil))
	put(t, path, bytes.Join(lines[8:], nil))
	c.Entry.At = int64(len(lines[8])) // where entry 10 stands now
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if set[1], err = seal.Sign(checkpointKind, raw, o.Key); err != nil {
		t.Fatal(err)
	}
	whole := o
	whole.whole = true
	l, err := Open(dir, whole)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := l.prune(9, "2020-01"); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := reopen(dir, o); err != nil || len(got.since) != 4 {
		t.Errorf("as it was left: %d since, %v", len(got.since), err)
	}
	put(t, filepath.Join(dir, checkpointFile), set[0])
	if got, err := reopen(dir, o); err != nil || len(got.since) != 4 {
		t.Errorf("a checkpoint at what went: %d since, %v", len(got.since), err)
	}
	put(t, filepath.Join(dir, checkpointFile), set[1]) // one behind the cut
	if got, err := reopen(dir, o); err != nil || len(got.since) != 4 || len(got.unset) != 1 || !errors.Is(got.unset[0], errPruned) {
		t.Errorf("a checkpoint behind the cut: %d since, %v, %v", len(got.since), got.unset, err)
	}
	put(t, old, bytes.Join(lines[:8], nil)) // and before it removed
	if got, err := reopen(dir, o); err != nil || len(got.all()) != 12 {
		t.Errorf("half pruned: %d entries, %v", len(got.all()), err)
	}
}

// A disk is what a power cut can leave of a log's folder: of each file as much as
// was synced, or more; of the checkpoint, which is replaced as a whole, any since the
// last that was made durable.
type disk struct {
	month, heads             []byte
	monthSynced, headsSynced int
	checkpoints              [][]byte // that may be there; nil: none
	signed                   uint64   // by the last head that was synced
}

// TestPowerCuts takes logs through appends, heads, checkpoints and new starts, and
// cuts the power after each step of each: what Open finds is the chain that was
// written, as far as it was signed or further, however much it had to read; and the
// chain goes on from there, one.
func TestPowerCuts(t *testing.T) {
	o := Options{Key: newKey(t)}
	dir, cut := t.TempDir(), t.TempDir()
	now := month(time.Now()) + monthSuffix
	rapid.Check(t, func(t *rapid.T) {
		d := &disk{checkpoints: [][]byte{nil}}
		written := map[uint64]string{} // sums
		if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil {
			t.Fatal(err)
		}
		l, err := Open(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 10).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"append", "append", "append", "sign", "sign", "checkpoint", "restart"}).Draw(t, "step") {
			case "append":
				e, err := l.Append(Entry{Request: "r"})
				if err != nil {
					t.Fatal(err)
				}
				written[e.Seq] = l.sum
			case "sign":
				d.look(dir, now)
				if _, err := l.Sign(); err != nil {
					t.Fatal(err)
				}
				d.monthSynced = len(d.month)
				d.cut(t, cut, now, o, written) // the entries are synced, of the head some bytes
				d.look(dir, now)
				d.cut(t, cut, now, o, written)
				d.headsSynced, d.signed = len(d.heads), l.head.Seq
			case "checkpoint":
				if err := l.setCheckpoint(); err != nil {
					t.Fatal(err)
				}
				b, err := os.ReadFile(filepath.Join(dir, checkpointFile))
				if err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Fatal(err)
				}
				d.checkpoints = append(d.checkpoints, b)
				d.cut(t, cut, now, o, written)
				d.checkpoints = d.checkpoints[len(d.checkpoints)-1:] // its folder is synced
			case "restart":
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				if l, err = Open(dir, o); err != nil {
					t.Fatal(err)
				}
			}
			d.look(dir, now)
			d.cut(t, cut, now, o, written)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// look takes in what was written.
func (d *disk) look(dir, month string) {
	d.month, _ = os.ReadFile(filepath.Join(dir, month))
	d.heads, _ = os.ReadFile(filepath.Join(dir, headsFile))
}

// cut makes what a power cut may leave, and opens it.
func (d *disk) cut(t *rapid.T, dir, month string, o Options, written map[uint64]string) {
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	left := func(b []byte, synced int, name string) []byte {
		if synced > len(b) {
			t.Fatalf("%s: %d of %d bytes are synced", name, synced, len(b))
		}
		n := rapid.IntRange(synced, len(b)).Draw(t, name)
		return append(bytes.Clone(b[:n]), make([]byte, rapid.IntRange(0, 3).Draw(t, "zeros")*min(1, len(b)-n))...)
	}
	f := files{month: left(d.month, d.monthSynced, "month"), headsFile: left(d.heads, d.headsSynced, "heads")}
	if b := rapid.SampledFrom(d.checkpoints).Draw(t, "checkpoint"); b != nil {
		f[checkpointFile] = b
	}
	for name, b := range f {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := Open(dir, o)
	if err != nil {
		if headWritten := bytes.Contains(f[headsFile], []byte{0}); headWritten && errors.Is(err, ErrDamaged) {
			t.Fatalf("zeros among the heads: %v", err)
		}
		t.Fatalf("open: %v", err)
	}
	if l.last.Seq < d.signed || l.last.Seq > 0 && written[l.last.Seq] != l.sum {
		t.Fatalf("opened at entry %d with sum %s, signed are %d, written was %s", l.last.Seq, l.sum, d.signed, written[l.last.Seq])
	}
	err = l.Past(context.Background(), func(e Entry) {})
	if _, errA := l.Append(Entry{Request: "after"}); errA != nil {
		err = errors.Join(err, errA)
	}
	if _, errS := l.Sign(); errS != nil {
		err = errors.Join(err, errS)
	}
	if err := errors.Join(err, l.setCheckpoint(), l.Close()); err != nil {
		t.Fatal(err)
	}
	r, err := Verify(dir, &o.Key.PublicKey, nil, nil)
	if err != nil || r.Known != r.Last || r.Last != l.last.Seq {
		t.Fatalf("%+v, %v", r, err)
	}
}

// TestACheckpointHidesNothing changes the files at will, and holds what a log finds
// that has a checkpoint against what one finds that has none: it never opens what the
// other refuses, and never to another chain.
func TestACheckpointHidesNothing(t *testing.T) {
	o := Options{Key: newKey(t)}
	dir := t.TempDir()
	set := marked(t, dir, o, 14, 2, 4, 8)
	good := filesIn(t, dir)
	name := filepath.Base(theMonth(t, dir))
	refused, opened := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		f := maps.Clone(good)
		for range rapid.IntRange(1, 2).Draw(rt, "changes") {
			which := rapid.SampledFrom([]string{name, name, headsFile, checkpointFile}).Draw(rt, "file")
			f[which] = changed(rt, f[which])
		}
		if rapid.IntRange(0, 3).Draw(rt, "old") == 0 {
			f[checkpointFile] = set[0]
		}
		f.in(t, dir)
		got, err := reopen(dir, o)
		f.without(checkpointFile).in(t, dir)
		want, errWhole := reopen(dir, o)
		f.in(t, dir)
		_, errVerify := Verify(dir, &o.Key.PublicKey, nil, nil)
		for _, e := range []error{err, errWhole, errVerify} {
			if e != nil && !errors.Is(e, ErrDamaged) {
				rt.Fatalf("another error: %v", e)
			}
		}
		switch {
		case err == nil && errWhole != nil:
			rt.Fatalf("hidden: %v", errWhole)
		case err == nil && (!slices.Equal(got.all(), want.all()) || got.cut != want.cut):
			rt.Fatalf("%d entries and %d cut, want %d and %d", len(got.all()), got.cut, len(want.all()), want.cut)
		case err != nil && errVerify == nil:
			rt.Fatalf("verify finds nothing: %v", err)
		case err != nil && errWhole == nil && len(want.all()) >= 8 && !strings.Contains(err.Error(), "checkpoint"):
			rt.Fatalf("found only with a checkpoint: %v", err)
		case err != nil:
			refused++
		default:
			opened++
		}
	})
	if refused == 0 || opened == 0 {
		t.Errorf("%d refused, %d opened: the test saw one side only", refused, opened)
	}
	t.Logf("%d refused, %d opened", refused, opened)
}

// changed is a file after somebody was at it.
func changed(t *rapid.T, b []byte) []byte {
	lines := bytes.SplitAfter(b, []byte("\n"))
	i, j := rapid.IntRange(0, len(lines)-1).Draw(t, "i"), rapid.IntRange(0, len(lines)-1).Draw(t, "j")
	switch rapid.SampledFrom([]string{"byte", "cut", "drop", "swap", "twice", "status"}).Draw(t, "change") {
	case "byte":
		b = bytes.Clone(b)
		if len(b) > 0 {
			b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "with"))
		}
		return b
	case "cut":
		return b[:rapid.IntRange(0, len(b)).Draw(t, "at")]
	case "drop":
		return bytes.Join(slices.Delete(slices.Clone(lines), i, i+1), nil)
	case "swap":
		lines = slices.Clone(lines)
		lines[i], lines[j] = lines[j], lines[i]
		return bytes.Join(lines, nil)
	case "twice":
		return bytes.Join(slices.Insert(slices.Clone(lines), i, lines[j]), nil)
	}
	return bytes.Replace(b, []byte(`"status":200`), []byte(`"status":500`), 1+i)
}

func FuzzParseCheckpoint(f *testing.F) {
	dir, o := f.TempDir(), Options{Key: newKey(f)}
	set := marked(f, dir, o, 4, 2, 4)
	f.Add(bytes.TrimSpace(set[0]))
	f.Add([]byte(`{"payload":"e30","protected":"","signature":""}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseCheckpoint(b, &o.Key.PublicKey)
		if err == nil && (c.Head.Seq != 4 || c.Head.N != 2) {
			t.Errorf("a checkpoint that nobody signed: %+v", c)
		}
	})
}

// BenchmarkOpenLong opens a log of a million entries, a head over every thousand:
// with its checkpoint ten thousand entries before the end, and without one. It says
// how many times longer the whole takes.
func BenchmarkOpenLong(b *testing.B) {
	const n, perHead = 1_000_000, 1000
	dir, o := b.TempDir(), Options{Key: newKey(b)}
	marked(b, dir, o, n, perHead, n-checkpointEntries)
	open := func() time.Duration {
		begin := time.Now()
		l, err := Open(dir, o)
		if err != nil {
			b.Fatal(err)
		}
		took := time.Since(begin)
		if l.last.Seq != n {
			b.Fatalf("opened at entry %d", l.last.Seq)
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
		return took
	}
	var tail, whole time.Duration
	b.ResetTimer()
	for range b.N {
		tail += open()
		o.whole = true
		whole += open()
		o.whole = false
	}
	b.ReportMetric(tail.Seconds()*1000/float64(b.N), "tail-ms")
	b.ReportMetric(whole.Seconds()*1000/float64(b.N), "whole-ms")
	b.ReportMetric(float64(whole)/float64(tail), "times")
}
