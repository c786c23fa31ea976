package pkcs11_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	hsm "github.com/miekg/pkcs11"

	"kosk/drivers/card/cardtest"
	"kosk/drivers/card/vcard"
	"kosk/drivers/signer"
	"kosk/drivers/signer/pkcs11"
	"kosk/drivers/signer/signertest"
)

// build builds a module of testdata.
func build(t *testing.T, name string) string {
	t.Helper()
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skipf("skipped: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	headers, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/miekg/pkcs11").Output()
	if err != nil {
		t.Fatal(err)
	}
	module := filepath.Join(t.TempDir(), name+".so")
	cmd := exec.CommandContext(ctx, gcc, "-shared", "-fPIC", "-o", module, "-I", strings.TrimSpace(string(headers)), "testdata/"+name+".c", "-ldl")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return module
}

// The virtual reader has no pad, so a module stands between that says it has, and
// that refuses a PIN from us. What lies behind it is the real one and the card.
func TestPINIsTypedOnTheReadersPad(t *testing.T) {
	d := newDesk(t)
	stock, err := pkcs11.Stock()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("KOSK_PAD_MODULE", stock)
	pad, err := pkcs11.Load(t.Context(), pkcs11.Options{Module: build(t, "pinpad"), Prefix: "Virtual PCD", Reader: d.reader})
	if err != nil {
		t.Fatal(err)
	}
	d.insert(cardtest.Aygun(), vcard.Profile{})
	s, err := pad.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if p, err := s.PIN(t.Context(), signer.Signature); err != nil || !p.Pad || p.Tries != 3 {
		t.Errorf("PIN = %+v, %v", p, err)
	}
	tests := []struct {
		name, typed, sent string
		want              error
		left              int
	}{
		{"right", vcard.DefaultPIN2, "", nil, 3},
		{"cancel", "", "", signer.ErrCancelled, 3},
		{"wrong", "99999", "", signer.ErrWrongPIN, 2},
		{"not typed there", "", vcard.DefaultPIN2, signer.ErrPINLength, 2},
		{"wrong again", "99999", "", signer.ErrWrongPIN, 1},
		{"the last try", vcard.DefaultPIN2, "", signer.ErrLastTry, 1},
	}
	for _, tt := range tests {
		t.Setenv("KOSK_PAD_TYPED", tt.typed)
		var pin []byte
		if tt.sent != "" {
			pin = []byte(tt.sent)
		}
		if _, err := s.Sign(t.Context(), signer.Signature, pin, crypto.SHA256, digest[:]); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if p, err := s.PIN(t.Context(), signer.Signature); err != nil || p.Tries != tt.left {
			t.Errorf("%s: %+v, %v, want %d left", tt.name, p, err, tt.left)
		}
	}
}

// softModule is where Debian has SoftHSM, for every architecture.
const softModule = "/usr/lib/softhsm/libsofthsm2.so"

const softPIN = "135790"

// A SoftHSM token has both keys behind one PIN, as no card of ours has them: one
// of them RSA, which wants the PIN again for every signature.
func TestAnotherModule(t *testing.T) {
	if _, err := os.Stat(softModule); err != nil {
		t.Skipf("skipped: package softhsm2 is not installed: %v", err)
	}
	dir := t.TempDir()
	conf := filepath.Join(dir, "softhsm2.conf")
	if err := os.WriteFile(conf, []byte("directories.tokendir = "+dir+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", conf)
	fillToken(t)
	o, err := pkcs11.Load(t.Context(), pkcs11.Options{Module: softModule})
	if err != nil {
		t.Fatal(err)
	}
	s, err := o.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []signer.Key{signer.Authentication, signer.Signature} {
		cert, err := s.Certificate(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			got, err := s.Sign(t.Context(), key, []byte(softPIN), crypto.SHA256, digest[:])
			if err != nil {
				t.Fatalf("%v: %v", key, err)
			}
			if err := signertest.Verify(cert, crypto.SHA256, digest[:], got); err != nil {
				t.Errorf("%v: %v", key, err)
			}
		}
	}
	var refused *signer.PINError
	if _, err := s.Sign(t.Context(), signer.Signature, []byte("000000"), crypto.SHA256, digest[:]); !errors.As(err, &refused) || refused.Tries < 1 {
		t.Errorf("wrong PIN: %v", err)
	}
	if _, err := s.Sign(t.Context(), signer.Signature, []byte("12"), crypto.SHA256, digest[:]); !errors.Is(err, signer.ErrPINLength) {
		t.Errorf("short PIN: %v", err)
	}
}

// fillToken makes a token with an RSA key to sign and an EC key to log in. Keys are
// imported, so that their certificates can be made here.
func fillToken(t *testing.T) {
	t.Helper()
	m := hsm.New(softModule)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(m.Initialize())
	defer m.Finalize()
	slots, err := m.GetSlotList(false)
	must(err)
	must(m.InitToken(slots[0], "00000000", "token"))
	slots, err = m.GetSlotList(true)
	must(err)
	session, err := m.OpenSession(slots[0], hsm.CKF_SERIAL_SESSION|hsm.CKF_RW_SESSION)
	must(err)
	must(m.Login(session, hsm.CKU_SO, "00000000"))
	must(m.InitPIN(session, softPIN))
	must(m.Logout(session))
	must(m.Login(session, hsm.CKU_USER, softPIN))
	put := func(id byte, usage x509.KeyUsage, key crypto.Signer, more ...*hsm.Attribute) {
		t.Helper()
		tmpl := &x509.Certificate{
			SerialNumber: big.NewInt(int64(id)), Subject: pkix.Name{SerialNumber: "5ARPXK2"}, KeyUsage: usage, NotAfter: time.Now().AddDate(1, 0, 0),
		}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
		must(err)
		_, err = m.CreateObject(session, []*hsm.Attribute{
			hsm.NewAttribute(hsm.CKA_CLASS, hsm.CKO_CERTIFICATE), hsm.NewAttribute(hsm.CKA_CERTIFICATE_TYPE, hsm.CKC_X_509),
			hsm.NewAttribute(hsm.CKA_TOKEN, true), hsm.NewAttribute(hsm.CKA_PRIVATE, false), hsm.NewAttribute(hsm.CKA_ID, []byte{id}),
			hsm.NewAttribute(hsm.CKA_SUBJECT, tmpl.RawSubject), hsm.NewAttribute(hsm.CKA_VALUE, der),
		})
		must(err)
		_, err = m.CreateObject(session, append([]*hsm.Attribute{
			hsm.NewAttribute(hsm.CKA_CLASS, hsm.CKO_PRIVATE_KEY), hsm.NewAttribute(hsm.CKA_TOKEN, true), hsm.NewAttribute(hsm.CKA_PRIVATE, true),
			hsm.NewAttribute(hsm.CKA_ID, []byte{id}), hsm.NewAttribute(hsm.CKA_SIGN, true),
		}, more...))
		must(err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	put(1, x509.KeyUsageContentCommitment, key,
		hsm.NewAttribute(hsm.CKA_KEY_TYPE, hsm.CKK_RSA), hsm.NewAttribute(hsm.CKA_ALWAYS_AUTHENTICATE, true),
		hsm.NewAttribute(hsm.CKA_MODULUS, key.N.Bytes()), hsm.NewAttribute(hsm.CKA_PUBLIC_EXPONENT, big.NewInt(int64(key.E)).Bytes()),
		hsm.NewAttribute(hsm.CKA_PRIVATE_EXPONENT, key.D.Bytes()), hsm.NewAttribute(hsm.CKA_PRIME_1, key.Primes[0].Bytes()),
		hsm.NewAttribute(hsm.CKA_PRIME_2, key.Primes[1].Bytes()), hsm.NewAttribute(hsm.CKA_EXPONENT_1, key.Precomputed.Dp.Bytes()),
		hsm.NewAttribute(hsm.CKA_EXPONENT_2, key.Precomputed.Dq.Bytes()), hsm.NewAttribute(hsm.CKA_COEFFICIENT, key.Precomputed.Qinv.Bytes()))
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	secret, err := ec.Bytes()
	must(err)
	params, err := asn1.Marshal(asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7})
	must(err)
	put(2, x509.KeyUsageDigitalSignature, ec, hsm.NewAttribute(hsm.CKA_KEY_TYPE, hsm.CKK_EC),
		hsm.NewAttribute(hsm.CKA_EC_PARAMS, params), hsm.NewAttribute(hsm.CKA_VALUE, secret))
}

func TestNoModule(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text.so")
	if err := os.WriteFile(text, []byte("no library"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/nowhere/opensc-pkcs11.so", text} {
		if _, err := pkcs11.Load(t.Context(), pkcs11.Options{Module: path}); !errors.Is(err, pkcs11.ErrNoModule) {
			t.Errorf("%s: %v, want no module", path, err)
		}
	}
}
