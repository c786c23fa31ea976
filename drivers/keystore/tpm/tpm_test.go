package tpm_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"math/big"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"
	"go.uber.org/goleak"

	"kosk/drivers/keystore"
	"kosk/drivers/keystore/keystoretest"
	"kosk/drivers/keystore/tpm"
	"kosk/drivers/keystore/tpm/swtpm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t testing.TB) string { t.Helper(); return swtpm.Start(t).Path }

func open(t testing.TB, socket string) *tpm.Store {
	t.Helper()
	s, err := tpm.Open(tpm.Options{Path: socket, PCRs: []uint{7, 16}, KeyPCRs: []uint{7, 23}})
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

func TestAChangedPCRRefuses(t *testing.T) {
	machine := swtpm.Start(t)
	s := open(t, machine.Path)
	defer s.Close()
	wrapped, err := s.Wrap(t.Context(), []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	machine.Extend(t, 5) // not one of ours
	if key, err := s.Unwrap(t.Context(), wrapped); err != nil || string(key) != "secret" {
		t.Errorf("after a change of a pcr that is not chosen: %q, %v", key, err)
	}
	machine.Extend(t, 16)
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

func TestAKeyOutlastsAnUpdateAndNotAnotherAuthority(t *testing.T) {
	machine := swtpm.Start(t)
	s := open(t, machine.Path)
	defer s.Close()
	outside, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	born, err := s.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	taken, err := s.TakeKey(outside)
	if err != nil {
		t.Fatal(err)
	}
	machine.Extend(t, 16) // what an update changes: keys are wrapped under it, and do not sign under it
	for _, k := range []keystore.Key{born, taken} {
		if _, err := s.OpenKey(k.Guarded()); err != nil {
			t.Errorf("after an update: %v", err)
		}
	}
	machine.Extend(t, 23)
	for _, k := range []keystore.Key{born, taken} {
		if _, err := k.Sign(nil, make([]byte, 32), crypto.SHA256); !errors.Is(err, keystore.ErrState) {
			t.Errorf("an open key, after a change of a chosen pcr: %v", err)
		}
		if _, err := s.OpenKey(k.Guarded()); !errors.Is(err, keystore.ErrState) {
			t.Errorf("opened after a change of a chosen pcr: %v", err)
		}
	}
	s.Close()
	machine.Reboot(t)
	s = open(t, machine.Path)
	defer s.Close()
	for _, k := range []keystore.Key{born, taken} {
		if _, err := s.OpenKey(k.Guarded()); err != nil {
			t.Errorf("in the old state again: %v", err)
		}
	}
	machine.Extend(t, 23)
	for _, k := range []keystore.Key{born, taken, born, taken} {
		if _, err := s.OpenKey(k.Guarded()); !errors.Is(err, keystore.ErrState) {
			t.Errorf("opened after a change of a chosen pcr: %v", err)
		}
	}
	for range 5 { // what was refused leaves no session and no object in the tpm, which has room for three
		if k, err := s.NewKey(); err != nil {
			t.Fatal(err)
		} else if _, err := k.Sign(nil, make([]byte, 32), crypto.SHA256); err != nil {
			t.Fatal(err)
		}
	}
}

// A certificate of a key in the TPM opens a line of TLS 1.3, and signs a request.
func TestAKeyServesAsTheClientsOfTLS(t *testing.T) {
	s := open(t, start(t))
	defer s.Close()
	k, err := s.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "K"}}, k); err != nil {
		t.Errorf("request: %v", err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	own := []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: k}}
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	server := tls.Server(far, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: own, ClientAuth: tls.RequireAnyClientCert})
	told := make(chan error, 1)
	go func() { told <- server.HandshakeContext(t.Context()) }()
	client := tls.Client(near, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: own, InsecureSkipVerify: true})
	if err := client.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	go client.Read(make([]byte, 1)) // takes the tickets
	if err := <-told; err != nil {
		t.Fatal(err)
	}
	if got := server.ConnectionState().PeerCertificates; len(got) != 1 || !bytes.Equal(got[0].Raw, der) {
		t.Errorf("the server saw %d certificates", len(got))
	}
}

// A key that was taken over can't be got out again: by our policy no more than
// by a password.
func TestATakenKeyIsNotDuplicated(t *testing.T) {
	socket := start(t)
	s := open(t, socket)
	defer s.Close()
	outside, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k, err := s.TakeKey(outside)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := linuxudstpm.Open(socket)
	if err != nil {
		t.Fatal(err)
	}
	root, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(tpm2.ECCSRKTemplate)}.Execute(conn)
	if err != nil {
		t.Fatal(err)
	}
	blob := k.Guarded()
	n := int(binary.BigEndian.Uint16(blob))
	load, err := tpm2.Load{
		ParentHandle: tpm2.AuthHandle{Handle: root.ObjectHandle, Name: root.Name, Auth: tpm2.PasswordAuth(nil)},
		InPublic:     tpm2.BytesAs2B[tpm2.TPMTPublic](blob[4 : 4+n]), InPrivate: tpm2.TPM2BPrivate{Buffer: blob[4+n:]},
	}.Execute(conn)
	if err != nil {
		t.Fatal(err)
	}
	pcrs := tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: tpm2.TPMAlgSHA256, PCRSelect: tpm2.PCClientCompatible.PCRs(7, 23)}}}
	policy, done, err := tpm2.PolicySession(conn, tpm2.TPMAlgSHA256, 16)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if _, err := (tpm2.PolicyPCR{PolicySession: policy.Handle(), Pcrs: pcrs}).Execute(conn); err != nil {
		t.Fatal(err)
	}
	for name, auth := range map[string]tpm2.Session{"password": tpm2.PasswordAuth(nil), "policy": policy} {
		_, err := tpm2.Duplicate{
			ObjectHandle:    tpm2.AuthHandle{Handle: load.ObjectHandle, Name: load.Name, Auth: auth},
			NewParentHandle: tpm2.NamedHandle{Handle: tpm2.TPMRHNull, Name: tpm2.HandleName(tpm2.TPMRHNull)},
			Symmetric:       tpm2.TPMTSymDef{Algorithm: tpm2.TPMAlgNull},
		}.Execute(conn)
		t.Logf("%s: %v", name, err)
		if err == nil {
			t.Errorf("%s gets it out", name)
		}
	}
}

func BenchmarkNewKey(b *testing.B) {
	s := open(b, start(b))
	defer s.Close()
	for b.Loop() {
		if _, err := s.NewKey(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	s := open(b, start(b))
	defer s.Close()
	k, err := s.NewKey()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := k.Sign(nil, make([]byte, 32), crypto.SHA256); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzOpenKey(f *testing.F) {
	s := open(f, start(f))
	defer s.Close()
	good, err := s.NewKey()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good.Guarded())
	f.Add([]byte{0, 1, 0, 1, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := s.OpenKey(b)
		if err == nil && !k.Public().(*ecdsa.PublicKey).Equal(good.Public()) {
			t.Errorf("opened %x", b)
		}
		if err != nil && !errors.Is(err, keystore.ErrForeign) && !errors.Is(err, keystore.ErrState) {
			t.Errorf("%v has no class", err)
		}
	})
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
