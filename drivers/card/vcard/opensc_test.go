package vcard_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kosk/drivers/card/cardtest"
	"kosk/drivers/card/vcard"
)

// inserted puts a card into a new slot.
func inserted(t *testing.T, p vcard.Profile) (*vcard.Slot, *vcard.PKI) {
	t.Helper()
	s := openSlot(t, t.Context())
	pki, err := vcard.NewPKI()
	if err != nil {
		t.Fatal(err)
	}
	c, err := vcard.New(pki, cardtest.Aygun(), p)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Insert(c); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	await(t, ctx, "the card", func() bool { _, err := tool(t, s, "opensc-tool", "--atr"); return err == nil })
	return s, pki
}

// tool runs a program of OpenSC as any Debian has it.
func tool(t *testing.T, s *vcard.Slot, name string, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("skipped: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "PCSCLITE_CSOCK_NAME="+s.Socket())
	out, err := cmd.CombinedOutput()
	t.Logf("%s %s\n%s", name, strings.Join(args, " "), out)
	return string(out), err
}

// must runs a program that has to succeed and to say these things.
func must(t *testing.T, s *vcard.Slot, wants []string, name string, args ...string) string {
	t.Helper()
	out, err := tool(t, s, name, args...)
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	for _, want := range wants {
		if !strings.Contains(out, want) {
			t.Errorf("%s does not say %q", name, want)
		}
	}
	return out
}

// The stock OpenSC has to find PINs, keys and certificates on the card, and to
// pass its own test of them, with nothing configured.
func TestStockOpenSCKnowsTheCard(t *testing.T) {
	s, _ := inserted(t, vcard.Profile{})
	must(t, s, []string{"AzeDIT 3.5"}, "opensc-tool", "--name")
	must(t, s, []string{"PIN1", "PIN2", "PUK", "Tries left     : 3", "AA1234567", "5ARPXK2", "Private EC Key", "X.509 Certificate"},
		"pkcs15-tool", "--dump")
	out := must(t, s, []string{"No errors"}, "pkcs11-tool", "--login", "--pin", vcard.DefaultPIN1, "--test")
	if strings.Contains(out, "ERR:") {
		t.Error("the test has errors")
	}
	out = must(t, s, []string{"No errors"}, "pkcs11-tool", "--slot-index", "1", "--login", "--pin", vcard.DefaultPIN2, "--test")
	if strings.Contains(out, "ERR:") {
		t.Error("the test of the second key has errors")
	}
}

// A signature by the stock tools has to verify with the stock openssl, whose
// chain to the card's own authority it checks, too.
func TestStockToolsSignAndVerify(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skipf("skipped: %v", err)
	}
	s, pki := inserted(t, vcard.Profile{})
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for name, content := range map[string][]byte{"text": []byte("seen by the citizen"), "root.der": pki.People()} {
		if err := os.WriteFile(in(name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if out, err := exec.CommandContext(ctx, openssl, args...).CombinedOutput(); err != nil {
			t.Errorf("openssl %v: %v: %s", args, err, out)
		}
	}
	for _, key := range []struct{ id, pin string }{{"01", vcard.DefaultPIN1}, {"02", vcard.DefaultPIN2}} {
		must(t, s, nil, "pkcs15-tool", "--read-certificate", key.id, "--output", in("cert.pem"))
		run("dgst", "-sha384", "-binary", "-out", in("digest"), in("text"))
		must(t, s, nil, "pkcs15-crypt", "--sign", "--key", key.id, "--pin", key.pin, "--sha-384", "--input", in("digest"),
			"--signature-format", "openssl", "--output", in("signature"))
		run("x509", "-in", in("cert.pem"), "-noout", "-pubkey", "-out", in("key.pem"))
		run("dgst", "-sha384", "-verify", in("key.pem"), "-signature", in("signature"), in("text"))
		run("x509", "-inform", "DER", "-in", in("root.der"), "-out", in("root.pem"))
		run("verify", "-CAfile", in("root.pem"), in("cert.pem"))
	}
}

// Counters, blocking and the PUK, as the stock tools see them. What happens to a
// PIN stays when the card is pulled out.
func TestStockToolsBlockAndUnblockPINs(t *testing.T) {
	s, _ := inserted(t, vcard.Profile{})
	verify := func(pin string) (string, error) {
		return tool(t, s, "pkcs15-tool", "--verify-pin", "--auth-id", "01", "--pin", pin)
	}
	for left := 2; left >= 0; left-- {
		if _, err := verify("9999"); err == nil {
			t.Fatal("a wrong PIN was taken")
		}
		want := "Tries left     : " + string(rune('0'+left))
		must(t, s, []string{want}, "pkcs15-tool", "--list-pins")
	}
	if _, err := verify(vcard.DefaultPIN1); err == nil {
		t.Error("a blocked PIN was taken")
	}
	must(t, s, nil, "pkcs15-tool", "--unblock-pin", "--auth-id", "01", "--puk", vcard.DefaultPUK, "--new-pin", "4321")
	if _, err := verify("4321"); err != nil {
		t.Error("the new PIN is refused")
	}
	must(t, s, nil, "pkcs15-tool", "--change-pin", "--auth-id", "01", "--pin", "4321", "--new-pin", "87654")
	if _, err := verify("87654"); err != nil {
		t.Error("the changed PIN is refused")
	}
	if _, err := verify("4321"); err == nil {
		t.Error("the old PIN is taken")
	}
}
