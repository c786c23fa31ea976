package msglog

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// dirVariable tells this test binary to be a writer of the log in a folder, with the
// key that lies beside it.
const dirVariable = "MSGLOG_DIR"

// childLimit is the deadline of a writer.
const childLimit = 3 * time.Minute

func TestMain(m *testing.M) {
	dir := os.Getenv(dirVariable)
	if dir == "" {
		os.Exit(m.Run())
	}
	if err := writeOn(dir, time.Now().Add(childLimit)); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// writeOn writes, signs and sets checkpoints, and says what is signed.
func writeOn(dir string, end time.Time) error {
	der, err := os.ReadFile(dir + ".key")
	if err != nil {
		return err
	}
	key, err := x509.ParseECPrivateKey(der)
	if err != nil {
		return err
	}
	l, err := Open(dir, Options{Key: key, Durable: true})
	if err != nil {
		return err
	}
	for time.Now().Before(end) {
		for range 1 + rand.IntN(3) {
			if _, err := l.Append(Entry{Request: "r"}); err != nil {
				return err
			}
		}
		h, err := l.Sign()
		if err != nil {
			return err
		}
		fmt.Println("signed", h.Seq) // one write: it is acknowledged
		if err := l.setCheckpoint(); err != nil {
			return err
		}
	}
	return nil
}

// TestKilled kills writers at random moments: the log opens from its checkpoint, has
// all that was signed, its past is proved, and the chain is one.
func TestKilled(t *testing.T) {
	dir, key := filepath.Join(t.TempDir(), "log"), newKey(t)
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir+".key", der)
	signed, fromCheckpoint := uint64(0), 0
	for round := range 12 {
		signed = max(signed, killed(t, dir, round%2 == 1))
		l, err := Open(dir, Options{Key: key})
		if err != nil {
			t.Fatal(err)
		}
		if l.last.Seq < signed {
			t.Errorf("opened at entry %d, and %d was signed", l.last.Seq, signed)
		}
		if l.from != nil {
			fromCheckpoint++
		}
		past := uint64(0)
		if err := l.Past(t.Context(), func(Entry) { past++ }); err != nil {
			t.Error(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		verifyUpTo(t, dir, &key.PublicKey, signed)
	}
	if signed == 0 || fromCheckpoint == 0 {
		t.Errorf("%d signed, %d times from a checkpoint: the test saw nothing", signed, fromCheckpoint)
	}
	t.Logf("%d signed, %d times from a checkpoint", signed, fromCheckpoint)
}

func verifyUpTo(t *testing.T, dir string, key *ecdsa.PublicKey, signed uint64) {
	t.Helper()
	if r, err := Verify(dir, key, nil, nil); err != nil || r.Signed < signed {
		t.Errorf("%+v, %v", r, err)
	}
}

// words are what a writer says; first is closed with its first.
type words struct {
	all   bytes.Buffer
	once  sync.Once
	first chan struct{}
}

func (w *words) Write(b []byte) (int, error) {
	defer w.once.Do(func() { close(w.first) })
	return w.all.Write(b)
}

// killed lets a writer write for a while, and says up to where it said to have signed.
// With begun it is one that has signed: on a busy machine the others may all be killed
// before they do.
func killed(t *testing.T, dir string, begun bool) (signed uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), childLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), dirVariable+"="+dir)
	said := words{first: make(chan struct{})}
	cmd.Stdout = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if begun {
		select {
		case <-said.first:
		case <-ctx.Done():
		}
	}
	<-time.After(time.Duration(20+rand.IntN(150)) * time.Millisecond)
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
		t.Fatalf("it wasn't killed: %v %s", err, said.all.String())
	}
	for line := range strings.Lines(said.all.String()) {
		if _, err := fmt.Sscanf(line, "signed %d\n", &signed); err != nil {
			break // its last line may be cut
		}
	}
	return signed
}
