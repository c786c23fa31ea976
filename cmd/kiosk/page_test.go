package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kosk/drivers/card/vcard"
)

// A sheetPrinter is the raw port of one that speaks PJL: it says when a page is out.
type sheetPrinter struct {
	net.Listener
	pages chan []byte // PDF
}

func newSheetPrinter(t *testing.T) *sheetPrinter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &sheetPrinter{l, make(chan []byte, 8)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.hear(c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return p
}

// hear takes one connection's job.
func (p *sheetPrinter) hear(c net.Conn) {
	const exit = "\x1b%-12345X"
	in := bufio.NewReader(c)
	var name string
	var job bytes.Buffer
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		switch said := strings.TrimPrefix(line, exit); {
		case strings.HasPrefix(said, "@PJL INFO STATUS"):
			_, _ = fmt.Fprint(c, "@PJL INFO STATUS\r\nCODE=10001\r\nONLINE=TRUE\r\n\f")
		case strings.HasPrefix(said, "@PJL JOB NAME="):
			name = strings.Trim(strings.TrimSpace(strings.TrimPrefix(said, "@PJL JOB NAME=")), `"`)
			_, _ = fmt.Fprintf(c, "@PJL USTATUS JOB\r\nSTART\r\nNAME=%q\r\n\f", name)
		case strings.HasPrefix(said, "@PJL EOJ"):
			p.pages <- job.Bytes()
			_, _ = fmt.Fprintf(c, "@PJL USTATUS JOB\r\nEND\r\nNAME=%q\r\nPAGES=1\r\n\f", name)
		case strings.HasPrefix(said, "@PJL"):
		default:
			job.WriteString(strings.TrimSuffix(line, exit+"@PJL\r\n"))
		}
	}
}

// TestAPageIsGenuineUntilItIsTakenBack prints a certificate as a page, and has the
// page's file judged by who has nothing but the bus's key and list.
func TestAPageIsGenuineUntilItIsTakenBack(t *testing.T) {
	sheets := newSheetPrinter(t)
	w := newWorld(t)
	w.rig.StopKiosk()
	w.do(w.rig.Configure(fmt.Sprintf("[document]\nmake = \"raw\"\naddress = \"socket://%s\"\n", sheets.Addr())))
	w.actor.Forget()
	w.do(w.rig.StartKiosk())
	w.sees("attract")
	w.do(w.actor.Settles(w.ctx))
	w.toCAN(vcard.Profile{})
	w.toReview()
	w.do(w.actor.ToResult(w.ctx))
	var pdf []byte
	select {
	case pdf = <-sheets.pages:
	case <-time.After(30 * time.Second):
		log, _ := os.ReadFile(filepath.Join(w.rig.Out, "kiosk.log"))
		t.Fatalf("no page came:\n%s", last(log, 2500))
	}
	w.do(w.actor.TakesSlip(w.ctx))
	w.busHas(1)

	page, key, list := filepath.Join(w.rig.Out, "page.pdf"), filepath.Join(w.rig.Out, "bus.pub"), filepath.Join(w.rig.Out, "revoked.cose")
	public, code := w.program("bus", "key", "--dir", filepath.Join(w.rig.Dir, "bus"))
	if code != 0 {
		t.Fatal(public)
	}
	w.do(errors.Join(os.WriteFile(page, pdf, 0o600), os.WriteFile(key, []byte(public), 0o600)))
	said, code := w.program("kioskctl", "verify", page, "--key", key)
	if code != 0 || !strings.Contains(said, "GENUINE") {
		t.Fatalf("exit code %d: %s", code, said)
	}
	_, number, _ := strings.Cut(said, "number")
	number = strings.Fields(number)[0]
	for _, args := range [][]string{
		{"revoke", number, "--reason", "issued in error"}, {"revocations", "--out", list},
	} {
		if out, code := w.program("bus", append(args, "--dir", filepath.Join(w.rig.Dir, "bus"))...); code != 0 {
			t.Fatal(out)
		}
	}
	if said, code := w.program("kioskctl", "verify", page, "--key", key, "--revoked", list); code != 4 || !strings.Contains(said, "REVOKED") {
		t.Errorf("exit code %d: %s", code, said)
	}
	w.rig.StopKiosk()
	w.publish("9999.1", "") // of which no word stands on the page: published when a kiosk asks
	w.do(w.rig.StartKiosk())
	w.do(w.actor.LogSays(w.ctx, "catalogue taken", "9999.1", 20*time.Second))
	words := filepath.Join(w.rig.Out, "catalogue.json")
	w.runs("bus", "catalogue", "show", "--out", words, "--dir", filepath.Join(w.rig.Dir, "bus"))
	for list, want := range map[string]int{"": 6, list: 4} { // unknown, but for what is certain
		args := []string{"verify", page, "--key", key, "--catalogue", words}
		if list != "" {
			args = append(args, "--revoked", list)
		}
		if said, code := w.program("kioskctl", args...); code != want || !strings.Contains(said, "could not be compared") {
			t.Errorf("without its catalogue: exit code %d, want %d: %s", code, want, said)
		}
	}
	if said, code := w.program("kioskctl", "verify", page, "--key", w.strangersKey()); code != 6 {
		t.Errorf("by another's key: exit code %d: %s", code, said)
	}
}

// strangersKey is the key of a bus that has nothing to do with it.
func (w *world) strangersKey() string {
	w.Helper()
	dir := filepath.Join(w.rig.Dir, "other")
	if out, code := w.program("bus", "station", "add", "KIOSK-001", "--dir", dir); code != 0 { // founds a bus
		w.Fatal(out)
	}
	public, _ := w.program("bus", "key", "--dir", dir)
	path := filepath.Join(w.rig.Out, "other.pub")
	w.do(os.WriteFile(path, []byte(public), 0o600))
	return path
}

// program runs one of ours and returns what it said and its exit code.
func (w *world) program(name string, args ...string) (said string, code int) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(bin, name), args...).CombinedOutput()
	if exit, is := errors.AsType[*exec.ExitError](err); is {
		return string(out), exit.ExitCode()
	}
	w.do(err)
	return string(out), 0
}
