// Package swtpm runs Debian's software TPM for tests: a machine with a seed of
// its own, whose state can be changed as other firmware would, and which can be
// switched off and on.
package swtpm

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"
)

// A Machine is a TPM that runs as long as its test.
type Machine struct {
	// Path is the socket, as tpm.Options has it.
	Path string

	dir, program string
	off          func()
}

// lifetime bounds a TPM whose test does not end.
const lifetime = 5 * time.Minute

// Start switches a new machine on. Without swtpm it skips the test.
func Start(t testing.TB) *Machine {
	t.Helper()
	program, err := exec.LookPath("swtpm")
	if err != nil {
		t.Skip("swtpm is not installed")
	}
	dir, err := os.MkdirTemp("", "tpm") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	m := &Machine{Path: filepath.Join(dir, "s"), dir: dir, program: program}
	t.Cleanup(func() {
		if m.off != nil {
			m.off()
		}
		os.RemoveAll(dir)
	})
	m.on(t)
	return m
}

func (m *Machine) on(t testing.TB) {
	t.Helper()
	cmd := exec.Command(m.program, "socket", "--tpm2", "--tpmstate", "dir="+m.dir, "--server", "type=unixio,path="+m.Path,
		"--ctrl", "type=unixio,path="+filepath.Join(m.dir, "c"), "--flags", "not-need-init,startup-clear")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end := time.AfterFunc(lifetime, func() { _ = cmd.Process.Kill() })
	m.off = func() {
		end.Stop()
		_ = cmd.Process.Kill() // after the cleanups that let it go
		_ = cmd.Wait()         // not our concern how it ends
	}
	for end := time.Now().Add(10 * time.Second); ; {
		if conn, err := net.Dial("unix", m.Path); err == nil { // it is there before it answers
			conn.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatal("swtpm does not come up")
		}
		<-time.After(10 * time.Millisecond)
	}
}

// Reboot switches the machine off without a word, and on. PCRs are as at first.
func (m *Machine) Reboot(t testing.TB) {
	t.Helper()
	m.off()
	_ = os.Remove(m.Path)
	m.on(t)
}

// Extend changes a PCR of the SHA-256 bank, as other firmware would.
func (m *Machine) Extend(t testing.TB, pcr uint32) {
	t.Helper()
	conn, err := linuxudstpm.Open(m.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = tpm2.PCRExtend{
		PCRHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(pcr), Auth: tpm2.PasswordAuth(nil)},
		Digests:   tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: make([]byte, 32)}}},
	}.Execute(conn)
	if err != nil {
		t.Fatal(err)
	}
}
