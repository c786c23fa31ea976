package pkcs11_test

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kosk/drivers/card"
	"kosk/drivers/card/cardtest"
	"kosk/drivers/card/vcard"
	"kosk/drivers/signer"
	"kosk/drivers/signer/pkcs11"
)

// children lists the errands that a process has started and that are still there.
func children(t *testing.T, of int) (found []string) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil { // it has ended meanwhile
			continue
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		var state string
		var parent int
		if _, err := fmt.Sscan(rest, &state, &parent); err == nil && parent == of {
			env, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "environ"))
			if strings.Contains(string(env), "KOSK_PKCS11_ERRAND=") || state == "Z" {
				found = append(found, filepath.Dir(path))
			}
		}
	}
	return found
}

// A module that crashes, ends the program, hangs or chatters, at any of its
// functions, takes nothing with it: there is an error with words, no process is
// left, no try is lost, the card has forgotten the PIN, and the next signature is made.
func TestModuleThatGoesMad(t *testing.T) {
	d := newDesk(t)
	stock, err := pkcs11.Stock()
	if err != nil {
		t.Fatal(err)
	}
	module := build(t, "mad")
	t.Setenv("KOSK_MAD_MODULE", stock)
	mad, err := pkcs11.Load(t.Context(), pkcs11.Options{Module: module, Prefix: "Virtual PCD", Reader: d.reader})
	if err != nil {
		t.Fatal(err)
	}
	d.insert(cardtest.Aygun(), vcard.Profile{})
	wants := map[string]error{"crash": card.ErrProtocol, "exit": card.ErrProtocol, "hang": context.DeadlineExceeded, "chatter": nil}
	for _, at := range []string{"load", "initialize", "login", "sign", "finalize"} {
		for how, want := range wants {
			t.Run(how+" at "+at, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				s, err := mad.Open(ctx) // the module is still well for this
				if err != nil {
					t.Fatal(err)
				}
				t.Setenv("KOSK_MAD_AT", at)
				t.Setenv("KOSK_MAD_HOW", how)
				if how == "hang" {
					ctx, cancel = context.WithTimeout(t.Context(), time.Second)
					defer cancel()
				}
				begun := time.Now()
				signature, err := sign(ctx, s, signer.Signature)
				if !errors.Is(err, want) || err == nil && len(signature) == 0 {
					t.Errorf("signature of %d bytes, %v, want %v", len(signature), err, want)
				}
				if took := time.Since(begun); took > 20*time.Second {
					t.Errorf("it took %v", took)
				}
				t.Setenv("KOSK_MAD_AT", "")
				if _, err := s.PIN(t.Context(), signer.Signature); err != nil { // it waits for what is left of the errand
					t.Fatal(err)
				}
				d.forgot(how)
				if got, err := sign(t.Context(), s, signer.Signature); err != nil || len(got) == 0 {
					t.Errorf("the next one: %v", err)
				}
				if p, err := s.PIN(t.Context(), signer.Signature); err != nil || p.Tries != 3 {
					t.Errorf("afterwards %+v, %v", p, err)
				}
				if left := children(t, os.Getpid()); len(left) > 0 {
					t.Errorf("left: %q", left)
				}
			})
		}
	}
}

// A module that writes more than anybody reads on what it finds open, or that leaves
// a process behind that holds all of it, keeps nobody waiting.
func TestModuleThatHoldsWhatItFindsOpen(t *testing.T) {
	d := newDesk(t)
	stock, err := pkcs11.Stock()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("KOSK_MAD_MODULE", stock)
	mad, err := pkcs11.Load(t.Context(), pkcs11.Options{Module: build(t, "mad"), Prefix: "Virtual PCD", Reader: d.reader})
	if err != nil {
		t.Fatal(err)
	}
	d.insert(cardtest.Aygun(), vcard.Profile{})
	s, err := mad.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for how, want := range map[string]error{"flood": card.ErrProtocol, "fork": nil} {
		t.Run(how, func(t *testing.T) {
			t.Setenv("KOSK_MAD_AT", "load") // later the process left would hold the card as well
			t.Setenv("KOSK_MAD_HOW", how)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if signature, err := sign(ctx, s, signer.Signature); !errors.Is(err, want) || err == nil && len(signature) == 0 {
				t.Errorf("signature of %d bytes, %v, want %v", len(signature), err, want)
			}
			t.Setenv("KOSK_MAD_AT", "")
			if got, err := sign(ctx, s, signer.Signature); err != nil || len(got) == 0 {
				t.Errorf("the next one: %v", err)
			}
		})
	}
}

// A program that doesn't begin with Main is told so, and doesn't start itself
// for ever.
func TestProgramWithoutMain(t *testing.T) {
	t.Setenv("KOSK_PKCS11_ERRAND", "load")
	if _, err := pkcs11.Load(t.Context(), pkcs11.Options{Module: "/nowhere.so"}); err == nil || !strings.Contains(err.Error(), "Main") {
		t.Errorf("error = %v", err)
	}
}

// An errand that nobody waits for any more is not done: a PIN that was typed is
// not sent.
func TestErrandThatWasGivenUpSendsNothing(t *testing.T) {
	d := newDesk(t)
	c := d.insert(cardtest.Aygun(), vcard.Profile{})
	s := d.open()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	before := c.Commands()
	if _, err := s.Sign(ctx, signer.Signature, []byte("00000"), crypto.SHA256, digest[:]); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v", err)
	}
	if c.Commands() != before {
		t.Errorf("%d commands", c.Commands()-before)
	}
}

// A process that does an errand doesn't outlive the program that started it.
func TestErrandEndsWithItsProgram(t *testing.T) {
	d := newDesk(t)
	d.insert(cardtest.Aygun(), vcard.Profile{})
	stock, err := pkcs11.Stock()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), typist+"="+build(t, "mad"), "KOSK_MAD_MODULE="+stock, "KOSK_MAD_AT=initialize", "KOSK_MAD_HOW=hang")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait() //nolint:errcheck // it is killed
	var left []string
	for len(left) == 0 && ctx.Err() == nil {
		<-time.After(10 * time.Millisecond)
		left = slices.DeleteFunc(children(t, cmd.Process.Pid), func(process string) bool {
			env, err := os.ReadFile(filepath.Join(process, "environ"))
			return err != nil || !strings.Contains(string(env), "KOSK_PKCS11_ERRAND=tokens") // the one before only loads, and ends
		})
	}
	if len(left) != 1 {
		t.Fatalf("its processes: %q", left)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for ctx.Err() == nil {
		if env, err := os.ReadFile(filepath.Join(left[0], "environ")); err != nil || len(env) == 0 {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Errorf("%s is still there", left[0])
}
