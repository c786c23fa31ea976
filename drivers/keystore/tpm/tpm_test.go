package tpm_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"
	"go.uber.org/goleak"

	"kosk/drivers/keystore"
	"kosk/drivers/keystore/keystoretest"
	"kosk/drivers/keystore/tpm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs Debian's software TPM for the time of the test and returns its socket.
func start(t testing.TB) string {
	t.Helper()
	swtpm, err := exec.LookPath("swtpm")
	if err != nil {
		t.Skip("swtpm is not installed")
	}
	dir, err := os.MkdirTemp("", "tpm") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	cmd := exec.CommandContext(ctx, swtpm, "socket", "--tpm2", "--tpmstate", "dir="+dir,
		"--server", "type=unixio,path="+socket, "--ctrl", "type=unixio,path="+filepath.Join(dir, "c"), "--flags", "not-need-init,startup-clear")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		cmd.Wait() // killed: not our concern how it ends
		os.RemoveAll(dir)
	})
	for end := time.Now().Add(10 * time.Second); ; {
		if conn, err := net.Dial("unix", socket); err == nil { // it is there before it answers
			conn.Close()
			return socket
		}
		if time.Now().After(end) {
			t.Fatal("swtpm does not come up")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func open(t testing.TB, socket string) *tpm.Store {
	t.Helper()
	s, err := tpm.Open(tpm.Options{Path: socket, PCRs: []uint{7, 16}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestKeystore(t *testing.T) {
	here, elsewhere := start(t), start(t)
	keystoretest.Run(t,
		func(t *testing.T) keystore.Store { return open(t, here) },
		func(t *testing.T) keystore.Store { return open(t, elsewhere) },
	)
}

// extend changes a PCR, as other firmware would.
func extend(t *testing.T, socket string, pcr tpm2.TPMHandle) {
	t.Helper()
	conn, err := linuxudstpm.Open(socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = tpm2.PCRExtend{
		PCRHandle: tpm2.AuthHandle{Handle: pcr, Auth: tpm2.PasswordAuth(nil)},
		Digests:   tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: make([]byte, 32)}}},
	}.Execute(conn)
	if err != nil {
		t.Fatal(err)
	}
}

func TestAChangedPCRRefuses(t *testing.T) {
	socket := start(t)
	s := open(t, socket)
	defer s.Close()
	wrapped, err := s.Wrap(t.Context(), []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	extend(t, socket, 5) // not one of ours
	if key, err := s.Unwrap(t.Context(), wrapped); err != nil || string(key) != "secret" {
		t.Errorf("after a change of a pcr that is not chosen: %q, %v", key, err)
	}
	extend(t, socket, 16)
	if key, err := s.Unwrap(t.Context(), wrapped); !errors.Is(err, keystore.ErrState) || key != nil {
		t.Errorf("after a change of a chosen one: %q, %v", key, err)
	}
	again, err := s.Wrap(t.Context(), []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if key, err := s.Unwrap(t.Context(), again); err != nil || string(key) != "secret" {
		t.Errorf("wrapped after the change: %q, %v", key, err)
	}
}

func TestNoTPMIsErrNoStore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "no")
	if _, err := tpm.Open(tpm.Options{Path: file}); !errors.Is(err, keystore.ErrNoStore) {
		t.Errorf("got %v", err)
	}
}

func BenchmarkWrap(b *testing.B) {
	s := open(b, start(b))
	defer s.Close()
	for b.Loop() {
		if _, err := s.Wrap(b.Context(), make([]byte, 32)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUnwrap(b *testing.B) {
	s := open(b, start(b))
	defer s.Close()
	wrapped, err := s.Wrap(b.Context(), make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := s.Unwrap(b.Context(), wrapped); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzUnwrap(f *testing.F) {
	socket := start(f)
	s := open(f, socket)
	defer s.Close()
	good, err := s.Wrap(context.Background(), []byte("secret"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte{0, 1, 0, 1, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		key, err := s.Unwrap(context.Background(), b)
		if err == nil && string(key) != "secret" {
			t.Errorf("unwrapped %x", key)
		}
		if err != nil && !errors.Is(err, keystore.ErrForeign) && !errors.Is(err, keystore.ErrState) {
			t.Errorf("%v has no class", err)
		}
	})
}
