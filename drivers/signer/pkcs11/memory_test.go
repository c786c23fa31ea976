package pkcs11_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"kosk/drivers/card/cardtest"
	"kosk/drivers/card/pcsc"
	"kosk/drivers/card/vcard"
	"kosk/drivers/signer"
	"kosk/drivers/signer/pkcs11"
	"kosk/drivers/signer/signertest"
)

// typist is the environment variable that makes this program one that signs once,
// with the PIN that comes on its standard input, and then waits to be looked at:
// in a "process" of the driver's, or "here"; or with the module of that path.
// The virtual card is another process then: it knows its PIN.
const typist = "KOSK_TEST_TYPIST"

func TestMain(m *testing.M) {
	if pkcs11.Main() {
		return
	}
	if os.Getenv(typist) != "" {
		if err := signAndWait(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(cardtest.Main(m))
}

func signAndWait() error {
	ctx, cancel := context.WithTimeout(context.Background(), lifetime)
	defer cancel()
	reader, err := pcsc.Open("Virtual PCD", nil)
	if err != nil {
		return err
	}
	module := ""
	if how := os.Getenv(typist); filepath.IsAbs(how) {
		module = how
	}
	opener, err := pkcs11.Load(ctx, pkcs11.Options{Module: module, Prefix: "Virtual PCD", Reader: reader})
	if err != nil {
		return err
	}
	s, err := opener.Open(ctx)
	if err != nil {
		return err
	}
	pin := make([]byte, longest)
	if _, err := io.ReadFull(os.Stdin, pin); err != nil {
		return err
	}
	pause := func(word string) {
		fmt.Println(word)
		_, _ = os.Stdin.Read(make([]byte, 1))
	}
	pause("typed")
	if os.Getenv(typist) == "here" {
		err = s.(*pkcs11.Signer).SignHere(pin, crypto.SHA256, make([]byte, 32))
	} else {
		_, err = s.Sign(ctx, signer.Signature, pin, crypto.SHA256, make([]byte, 32))
	}
	if errors.Is(err, signer.ErrWrongPIN) {
		pause("refused")
		return nil
	}
	if err == nil {
		pause("signed")
	}
	return err
}

// lifetime is how long a typist may take, and be looked at, at most.
const lifetime = 5 * time.Minute

// longest is how many digits a PIN may have: in fewer, others' bytes look like it.
const longest = 12

// copies says where in a process texts stand.
func copies(t *testing.T, pid int, texts map[string][]byte) map[string][]string {
	t.Helper()
	found, err := signertest.Copies(pid, texts)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A typedPIN is what a typist is made to do, and what it says then.
type typedPIN struct {
	how  string // "process", or "here": in the typist's own process
	pin  []byte
	want string
}

// leaves has a typist type a PIN, and says where it then stands in its memory,
// whole or eight digits of it.
func leaves(t *testing.T, p typedPIN) map[string][]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), lifetime)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), typist+"="+p.how)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
			t.Error(err)
		}
	}()
	lines := bufio.NewScanner(out)
	if _, err := in.Write(p.pin); err != nil {
		t.Fatal(err)
	}
	if !lines.Scan() || lines.Text() != "typed" {
		t.Fatalf("it says %q", lines.Text())
	}
	if found := copies(t, cmd.Process.Pid, map[string][]byte{"pin": p.pin})["pin"]; len(found) != 1 {
		t.Errorf("before it is given, the pin is in %q", found)
	}
	if _, err := in.Write([]byte{'\n'}); err != nil {
		t.Fatal(err)
	}
	if !lines.Scan() || lines.Text() != p.want {
		t.Fatalf("it says %q", lines.Text())
	}
	parts := map[string][]byte{}
	for i := range len(p.pin) - 7 {
		parts[fmt.Sprintf("digits %d to %d as text", i+1, i+8)] = p.pin[i : i+8]
		parts[fmt.Sprintf("digits %d to %d as a dump", i+1, i+8)] = fmt.Appendf(nil, "% x", p.pin[i:i+8])
	}
	return copies(t, cmd.Process.Pid, parts)
}

// After a signature, and after a PIN that the card refuses, this process holds no
// copy of what was typed, whole or eight digits of it. Before, it holds the one.
// The control: with the module in this process some are found, since OpenSC 0.23
// leaves a dump of the command.
func TestThePINDoesNotStayInMemory(t *testing.T) {
	d := newDesk(t)
	pin := make([]byte, longest)
	for i := range pin {
		pin[i] = '0' + byte(mathrand.IntN(10))
	}
	who := cardtest.Aygun()
	who.PIN2 = string(pin)
	d.insert(who, vcard.Profile{})
	wrong := bytes.Clone(pin)
	slices.Reverse(wrong)
	for _, p := range []typedPIN{{"process", pin, "signed"}, {"process", wrong, "refused"}} {
		if found := leaves(t, p); len(found) > 0 {
			t.Errorf("%s, the pin stays: %q", p.want, found)
		}
	}
	if found := leaves(t, typedPIN{"here", pin, "signed"}); len(found) == 0 {
		t.Error("nothing is found where something must be")
	}
}
