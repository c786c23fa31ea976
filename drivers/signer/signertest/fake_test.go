package signertest_test

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509/pkix"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kosk/drivers/card"
	"kosk/drivers/signer"
	"kosk/drivers/signer/signertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newFake(t *testing.T) *signertest.Fake {
	t.Helper()
	f, err := signertest.NewFake(pkix.Name{SerialNumber: "5ARPXK2"})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// The fake passes the suite that the real make passes.
func TestFake(t *testing.T) {
	signertest.Run(t, func(t *testing.T) signertest.Rig {
		f := newFake(t)
		f.Remove()
		put := func(fin string, used int) {
			t.Helper()
			if err := f.Insert(pkix.Name{SerialNumber: fin}, used); err != nil {
				t.Fatal(err)
			}
		}
		return signertest.Rig{
			Opener: f, PIN: map[signer.Key]string{signer.Authentication: signertest.PIN1, signer.Signature: signertest.PIN2},
			Insert: func(used int) { put("5ARPXK2", used) }, Swap: func() { put("7QWLZM4", 0) }, Remove: f.Remove,
			Stop: func() { f.Err = card.ErrNoService }, Start: func() { f.Err = nil },
		}
	})
}

func TestFakeHasAPad(t *testing.T) {
	f := newFake(t)
	f.Pad = true
	s, err := f.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(nil)
	tests := []struct {
		name, typed, sent string
		want              error
	}{
		{"right", signertest.PIN2, "", nil},
		{"cancel", "", "", signer.ErrCancelled},
		{"wrong", "99999", "", signer.ErrWrongPIN},
		{"given by us", signertest.PIN2, signertest.PIN2, signer.ErrPINLength},
	}
	for _, tt := range tests {
		f.Typed = tt.typed
		if _, err := s.Sign(t.Context(), signer.Signature, []byte(tt.sent), crypto.SHA256, sum[:]); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	if n := len(f.Signed()); n != 1 {
		t.Errorf("%d digests signed", n)
	}
}

func TestFakeIsSlow(t *testing.T) {
	f := newFake(t)
	f.Slow = time.Hour
	s, err := f.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	sum := sha256.Sum256(nil)
	if _, err := s.Sign(ctx, signer.Signature, []byte(signertest.PIN2), crypto.SHA256, sum[:]); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Sign = %v", err)
	}
}
