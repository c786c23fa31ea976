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
	"slices"
	"strings"
	"testing"
	"time"

	"kosk/drivers/card/cardtest"
	"kosk/drivers/card/pcsc"
	"kosk/drivers/card/vcard"
	"kosk/drivers/signer"
	"kosk/drivers/signer/pkcs11"
)

// typist is the environment variable that makes this program one that signs once,
// with the PIN that comes on its standard input, and then waits to be looked at.
// The virtual card is another process then: it knows its PIN.
const typist = "KOSK_TEST_TYPIST"

func TestMain(m *testing.M) {
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
	opener, err := pkcs11.Load(pkcs11.Options{Prefix: "Virtual PCD", Reader: reader})
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
	_, err = s.Sign(ctx, signer.Signature, pin, crypto.SHA256, make([]byte, 32))
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

// mostMapped is the longest mapping that is read: Go keeps longer ones in reserve.
const mostMapped = 1 << 28

// copies says where in a process each of the texts stands: the names of the
// mappings. All are looked for in one reading, since there is a lot to read.
func copies(t *testing.T, pid int, texts map[string][]byte) map[string][]string {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	found := map[string][]string{}
	b, overlap := make([]byte, 1<<20), int64(-1) // one byte less than the longest text
	for _, text := range texts {
		overlap = max(overlap, int64(len(text))-1)
	}
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		f := strings.Fields(line)
		if strings.HasPrefix(f[len(f)-1], "[v") || !strings.HasPrefix(f[1], "r") { // the kernel's own
			continue
		}
		if _, err := fmt.Sscanf(f[0], "%x-%x", &from, &to); err != nil {
			t.Fatal(err)
		}
		if to-from > mostMapped {
			continue
		}
		where := "memory without a name"
		if len(f) > 5 {
			where = f[5]
		}
		for err := error(nil); err == nil && from+overlap < to; {
			var n int
			if n, err = mem.ReadAt(b[:min(int64(len(b)), to-from)], from); n == 0 {
				t.Logf("%s is not read: %v", line, err)
			}
			for what, text := range texts {
				for range bytes.Count(b[:n], text) {
					found[what] = append(found[what], where)
				}
			}
			from += int64(n) - overlap
		}
	}
	return found
}

// After a signature, and after a PIN that the card refuses, this process holds no
// copy of what was typed, whole or eight digits of it: neither in our memory, nor
// in that of the binding and of OpenSC's module. Before, it holds the one. Without
// Forgetful this fails: OpenSC 0.23 leaves a dump of the command.
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
	for want, typed := range map[string][]byte{"signed": pin, "refused": wrong} {
		t.Run(want, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), lifetime)
			defer cancel()
			cmd := exec.CommandContext(ctx, os.Args[0])
			cmd.Env = append(os.Environ(), typist+"=1", "GLIBC_TUNABLES="+pkcs11.Forgetful)
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
			if _, err := in.Write(typed); err != nil {
				t.Fatal(err)
			}
			if !lines.Scan() || lines.Text() != "typed" {
				t.Fatalf("it says %q", lines.Text())
			}
			if found := copies(t, cmd.Process.Pid, map[string][]byte{"pin": typed})["pin"]; len(found) != 1 {
				t.Errorf("before it is given, the pin is in %q", found)
			}
			if _, err := in.Write([]byte{'\n'}); err != nil {
				t.Fatal(err)
			}
			if !lines.Scan() || lines.Text() != want {
				t.Fatalf("it says %q", lines.Text())
			}
			parts := map[string][]byte{}
			for i := range len(typed) - 7 {
				parts[fmt.Sprintf("digits %d to %d as text", i+1, i+8)] = typed[i : i+8]
				parts[fmt.Sprintf("digits %d to %d as a dump", i+1, i+8)] = fmt.Appendf(nil, "% x", typed[i:i+8])
			}
			for what, where := range copies(t, cmd.Process.Pid, parts) {
				t.Errorf("%s stay in %q", what, where)
			}
		})
	}
}
