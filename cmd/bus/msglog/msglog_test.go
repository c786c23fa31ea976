package msglog

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"kosk/device/seal"

	"github.com/digitorus/timestamp"
	"pgregory.net/rapid"
)

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// write makes a log of n entries in parts of a few, each under a head.
func write(t testing.TB, dir string, o Options, n, perHead int) {
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
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func theMonth(t testing.TB, dir string) string {
	t.Helper()
	names, err := months(dir)
	if err != nil || len(names) != 1 {
		t.Fatalf("%v, %v", names, err)
	}
	return filepath.Join(dir, names[0])
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func put(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestGoesOnWhereItEnded(t *testing.T) {
	dir, o := t.TempDir(), Options{Key: newKey(t), Durable: true}
	write(t, dir, o, 5, 2)
	var seen []uint64
	again := o
	again.Seen = func(e Entry) { seen = append(seen, e.Seq) }
	write(t, dir, again, 5, 5)
	if want := []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}; !slices.Equal(seen, want) {
		t.Errorf("saw %v", seen)
	}
	r, err := Verify(dir, &o.Key.PublicKey, nil, nil)
	if err != nil || r.Entries != 10 || r.Signed != 10 || r.Heads != 3 || r.Unsigned != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if found, err := Find(dir, "r3"); err != nil || len(found) != 2 {
		t.Errorf("r3 is there %d times, %v", len(found), err)
	}
	if _, err := Find(dir, "r9"); !errors.Is(err, ErrNotFound) {
		t.Errorf("r9: %v", err)
	}
}

// Each manipulation of the lines under a head must be found, and so must each of
// the heads but the loss of the last, which only somebody who kept it can tell.
func TestFindsEveryManipulation(t *testing.T) {
	dir, o := t.TempDir(), Options{Key: newKey(t)}
	write(t, dir, o, 12, 4)
	entries, heads := theMonth(t, dir), filepath.Join(dir, headsFile)
	good, goodHeads := readFile(t, entries), readFile(t, heads)
	kept, _, err := LastHead(dir, &o.Key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	known, err := ParseHead(kept, &o.Key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(good, []byte("\n"))[:12]
	headLines := bytes.SplitAfter(goodHeads, []byte("\n"))[:3]
	join := func(l ...[]byte) []byte { return bytes.Join(l, nil) }
	swap := slices.Clone(lines)
	swap[4], swap[5] = swap[5], swap[4]
	tests := []struct {
		name           string
		entries, heads []byte
	}{
		{"an entry left out", join(slices.Delete(slices.Clone(lines), 6, 7)...), goodHeads},
		{"the first left out", join(lines[1:]...), goodHeads},
		{"the last left out", join(lines[:11]...), goodHeads},
		{"two swapped", join(swap...), goodHeads},
		{"one twice", join(slices.Insert(slices.Clone(lines), 3, lines[3])...), goodHeads},
		{"all gone", nil, goodHeads},
		{"a status changed", bytes.Replace(good, []byte(`"status":200`), []byte(`"status":201`), 1), goodHeads},
		{"a head left out", good, join(headLines[0], headLines[2])},
		{"heads swapped", good, join(headLines[1], headLines[0], headLines[2])},
		{"log and last head cut", join(lines[:8]...), join(headLines[:2]...)},
		{"everything cut", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			put(t, entries, tt.entries)
			put(t, heads, tt.heads)
			if _, err := Verify(dir, &o.Key.PublicKey, &known, nil); !errors.Is(err, ErrDamaged) {
				t.Errorf("verify: %v", err)
			}
		})
	}
	put(t, entries, good)
	put(t, heads, goodHeads)
	if _, err := Verify(dir, &newKey(t).PublicKey, nil, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("another key: %v", err)
	}
	if _, err := Verify(dir, &o.Key.PublicKey, &known, nil); err != nil {
		t.Errorf("untouched: %v", err)
	}
}

// TestOpenFindsForgedHeads: it checks the last signature alone, which covers every
// head before it.
func TestOpenFindsForgedHeads(t *testing.T) {
	dir, o, forger := t.TempDir(), Options{Key: newKey(t)}, newKey(t)
	write(t, dir, o, 12, 4)
	path := filepath.Join(dir, headsFile)
	good := readFile(t, path)
	for i := range 3 {
		lines := bytes.SplitAfter(bytes.Clone(good), []byte("\n"))[:3]
		raw, err := seal.Open(headKind, bytes.TrimSpace(lines[i]), &o.Key.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		forged, err := seal.Sign(headKind, raw, forger)
		if err != nil {
			t.Fatal(err)
		}
		lines[i] = append(forged, '\n')
		put(t, path, bytes.Join(lines, nil))
		if _, err := Open(dir, o); !errors.Is(err, ErrDamaged) {
			t.Errorf("head %d signed with another key: %v", i+1, err)
		}
		if _, err := Verify(dir, &o.Key.PublicKey, nil, nil); !errors.Is(err, ErrDamaged) {
			t.Errorf("verify: head %d signed with another key: %v", i+1, err)
		}
	}
	put(t, path, good)
	l, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// TestOpenFindsWhatHeadsDeny: a chain that is whole in itself, and is another one.
func TestOpenFindsWhatHeadsDeny(t *testing.T) {
	dir, other, o := t.TempDir(), t.TempDir(), Options{Key: newKey(t)}
	write(t, dir, o, 12, 4)
	l, err := Open(other, Options{Key: newKey(t)})
	if err != nil {
		t.Fatal(err)
	}
	for range 12 {
		if _, err := l.Append(Entry{Request: "another"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	put(t, theMonth(t, dir), readFile(t, theMonth(t, other)))
	if _, err := Open(dir, o); !errors.Is(err, ErrDamaged) {
		t.Errorf("open: %v", err)
	}
	if _, err := Verify(dir, &o.Key.PublicKey, nil, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("verify: %v", err)
	}
}

// BenchmarkOpen opens a log of so many heads, one over each entry: a bus that is
// never idle signs 86,400 a day.
func BenchmarkOpen(b *testing.B) {
	const heads = 2000
	dir, o := b.TempDir(), Options{Key: newKey(b)}
	write(b, dir, o, heads, 1)
	b.ResetTimer()
	for range b.N {
		l, err := Open(dir, o)
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/heads, "us/head")
}

// A whole new chain, made by somebody who has the files and not the key, is found.
func TestFindsEveryChangedByte(t *testing.T) {
	dir, o := t.TempDir(), Options{Key: newKey(t)}
	write(t, dir, o, 6, 3)
	path := theMonth(t, dir)
	good := readFile(t, path)
	rapid.Check(t, func(rt *rapid.T) {
		b := bytes.Clone(good)
		i := rapid.IntRange(0, len(b)-1).Draw(rt, "at")
		b[i] ^= byte(rapid.IntRange(1, 255).Draw(rt, "with"))
		put(t, path, b)
		if _, err := Verify(dir, &o.Key.PublicKey, nil, nil); !errors.Is(err, ErrDamaged) {
			rt.Errorf("byte %d: %v", i, err)
		}
	})
}

func TestWhatAPowerCutLeaves(t *testing.T) {
	dir, o := t.TempDir(), Options{Key: newKey(t)}
	write(t, dir, o, 6, 4) // two entries behind the head
	path, heads := theMonth(t, dir), filepath.Join(dir, headsFile)
	good, goodHeads := readFile(t, path), readFile(t, heads)
	lines := bytes.SplitAfter(good, []byte("\n"))
	signed := len(bytes.Join(lines[:4], nil))
	for cut := signed; cut < len(good); cut += 7 {
		put(t, path, append(bytes.Clone(good[:cut]), 0, 0, 0))
		put(t, heads, append(bytes.Clone(goodHeads), `{"payl`...))
		l, err := Open(dir, o)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if l.Cut() == 0 {
			t.Errorf("cut at %d is not told", cut)
		}
		if e, err := l.Append(Entry{}); err != nil || e.Seq < 5 {
			t.Errorf("cut at %d: entry %d, %v", cut, e.Seq, err)
		}
		if _, err := l.Sign(); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := Verify(dir, &o.Key.PublicKey, nil, nil); err != nil {
			t.Errorf("cut at %d: %v", cut, err)
		}
	}
	put(t, path, good[:signed-1])
	put(t, heads, goodHeads)
	if _, err := Open(dir, o); !errors.Is(err, ErrDamaged) {
		t.Errorf("a signed entry cut: %v", err)
	}
}

func TestManyAppendersShareSyncs(t *testing.T) {
	dir, o := t.TempDir(), Options{Key: newKey(t), Durable: true}
	l, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 20 {
				if _, err := l.Append(Entry{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if _, err := l.Sign(); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if r, err := Verify(dir, &o.Key.PublicKey, nil, nil); err != nil || r.Entries != 320 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestALogThatCannotBeWrittenRefuses(t *testing.T) {
	l, err := Open(t.TempDir(), Options{Key: newKey(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(Entry{}); !errors.Is(err, ErrBroken) || !errors.Is(l.Broken(), ErrBroken) {
		t.Errorf("append: %v", err)
	}
}

func TestPrunedLogVerifies(t *testing.T) {
	dir, o := t.TempDir(), Options{Key: newKey(t)}
	write(t, dir, o, 6, 3)
	path := theMonth(t, dir)
	lines := bytes.SplitAfter(readFile(t, path), []byte("\n"))
	// The first four were written in an earlier month: their times are their own affair.
	old := filepath.Join(dir, "2019-03.jsonl")
	put(t, old, bytes.Join(lines[:4], nil))
	put(t, path, bytes.Join(lines[4:], nil))
	if _, err := Prune(dir, "9999-01", o); err == nil {
		t.Error("everything was pruned")
	}
	l, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := l.prune(5, "2020-01"); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := Verify(dir, &o.Key.PublicKey, nil, nil)
	if err != nil || r.First != 5 || r.Entries != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	put(t, old, bytes.Join(lines[:4], nil)) // as if it had been cut off before it removed
	if _, err := Verify(dir, &o.Key.PublicKey, nil, nil); err != nil {
		t.Errorf("half pruned: %v", err)
	}
}

// authority is a TSA as RFC 3161 has it, made with the library's other half.
func authority(t *testing.T) (*httptest.Server, *x509.CertPool) {
	t.Helper()
	key := newKey(t)
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test tsa"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, IsCA: true, BasicConstraintsValid: true,
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		q, err := timestamp.ParseRequest(b)
		if err != nil {
			t.Error(err)
			return
		}
		answer, err := (&timestamp.Timestamp{
			HashAlgorithm: q.HashAlgorithm, HashedMessage: q.HashedMessage, Time: time.Now(),
			Policy: asn1.ObjectIdentifier{1, 2, 3, 4}, AddTSACertificate: q.Certificates,
		}).CreateResponseWithOpts(cert, key, crypto.SHA256)
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(answer)
	}))
	t.Cleanup(srv.Close)
	return srv, roots
}

func TestStampsOfHeads(t *testing.T) {
	srv, roots := authority(t)
	dir, o := t.TempDir(), Options{
		Key: newKey(t), Every: 5 * time.Millisecond,
		Stamper: TSA{URL: srv.URL, Client: srv.Client()},
	}
	l, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(Entry{Request: "r"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	for ctx.Err() == nil {
		if b, err := os.ReadFile(filepath.Join(dir, stampsFile)); err == nil && bytes.HasSuffix(b, []byte("\n")) {
			break
		}
	}
	cancel()
	if err := errors.Join(<-ended, l.Close()); err != nil {
		t.Fatal(err)
	}
	r, err := Verify(dir, &o.Key.PublicKey, nil, roots)
	if err != nil || r.Stamps != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	_, others := authority(t)
	if _, err := Verify(dir, &o.Key.PublicKey, nil, others); !errors.Is(err, ErrDamaged) {
		t.Errorf("another authority's roots: %v", err)
	}
	token, err := o.Stamper.Stamp(t.Context(), [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, stampsFile), fmt.Appendf(nil, "{\"seq\":1,\"token\":%q}\n", base64.StdEncoding.EncodeToString(token)))
	if _, err := Verify(dir, &o.Key.PublicKey, nil, roots); !errors.Is(err, ErrDamaged) {
		t.Errorf("a stamp over something else: %v", err)
	}
}

// An authority that is away is no reason to stop, and no secret.
func TestStampsThatDoNotCome(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(srv.Close)
	missed := make(chan error, 1)
	dir := t.TempDir()
	l, err := Open(dir, Options{
		Key: newKey(t), Every: time.Millisecond, Stamper: TSA{URL: srv.URL, Client: srv.Client()},
		Missed: func(err error) { missed <- err },
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(Entry{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	select {
	case err := <-missed:
		if err == nil {
			t.Error("missed without a reason")
		}
	case <-ctx.Done():
		t.Error("nothing was said")
	}
	cancel()
	if err := errors.Join(<-ended, l.Close()); err != nil {
		t.Error(err)
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, durable := range []bool{false, true} {
		b.Run(fmt.Sprintf("durable=%v", durable), func(b *testing.B) {
			l, err := Open(b.TempDir(), Options{Key: newKey(b), Durable: durable})
			if err != nil {
				b.Fatal(err)
			}
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := l.Append(Entry{Request: "r", Asked: hex.EncodeToString(make([]byte, 32))}); err != nil {
						b.Error(err)
					}
				}
			})
			if err := l.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	b, _, err := encode(Entry{Seq: 1, Request: "r"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.TrimSpace(b))
	f.Add([]byte(`{"sum":"","entry":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, sum, err := decode(b)
		if err == nil && len(sum) != 64 {
			t.Errorf("sum %q", sum)
		}
	})
}

func FuzzTokenIn(f *testing.F) {
	f.Add([]byte{0x30, 0x03, 0x02, 0x01, 0x00})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := tokenIn(b, [32]byte{}); err == nil {
			t.Error("a stamp from nowhere")
		}
	})
}
