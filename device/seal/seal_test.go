package seal

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"kosk/device/seal/sealtest"
)

func TestOpensWhatWasSealed(t *testing.T) {
	key := sealtest.Key(t)
	want := []byte(`{"seq":7}`)
	sealed, err := Sign("kosk-test", want, key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Open("kosk-test", sealed, &key.PublicKey)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("opened %q, %v", got, err)
	}
	again, err := Sign("kosk-test", want, key)
	if err != nil || !bytes.Equal(again, sealed) {
		t.Errorf("sealing twice differs: %v", err)
	}
}

// Who has the payload from elsewhere needs the signature alone.
func TestASealIsItsPayloadAndItsSignature(t *testing.T) {
	key := sealtest.Key(t)
	payload := []byte(`{"seq":7}`)
	sealed, err := Sign("kosk-test", payload, key)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := Signature(sealed)
	if err != nil {
		t.Fatal(err)
	}
	joined, err := Join("kosk-test", payload, signature)
	if err != nil || !bytes.Equal(joined, sealed) {
		t.Errorf("joined %s, want %s: %v", joined, sealed, err)
	}
	joined, err = Join("kosk-test", []byte(`{"seq":8}`), signature)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open("kosk-test", joined, &key.PublicKey); !errors.Is(err, ErrSeal) {
		t.Errorf("another payload: %v", err)
	}
	if _, err := Signature([]byte("{")); !errors.Is(err, ErrSeal) {
		t.Errorf("no seal: %v", err)
	}
}

func TestRefusesEveryOtherThing(t *testing.T) {
	key := sealtest.Key(t)
	sealed, err := Sign("kosk-test", []byte(`{"seq":7}`), key)
	if err != nil {
		t.Fatal(err)
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if got, err := Open("kosk-test", changed, &key.PublicKey); err == nil {
			t.Fatalf("byte %d changed: opened %q", i, got)
		}
	}
	if _, err := Open("kosk-other", sealed, &key.PublicKey); !errors.Is(err, ErrSeal) {
		t.Errorf("another kind: %v", err)
	}
	if _, err := Open("kosk-test", sealed, &sealtest.Key(t).PublicKey); !errors.Is(err, ErrSeal) {
		t.Errorf("another key: %v", err)
	}
	if _, err := Open("kosk-test", []byte(string(sealed)+strings.Repeat(" {}", 2)), &key.PublicKey); !errors.Is(err, ErrSeal) {
		t.Errorf("something behind: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	key := sealtest.Key(f)
	sealed, err := Sign("kosk-test", []byte(`{}`), key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add([]byte(`{"payload":"","protected":"","signature":""}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		payload, err := Open("kosk-test", b, &key.PublicKey)
		if err == nil && string(payload) != "{}" {
			t.Errorf("opened %q, which was never sealed", payload)
		}
	})
}
