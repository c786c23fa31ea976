package keystoretest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"

	"kosk/drivers/keystore"
)

// signing checks the duties of a Keeper, and that a store that wraps tells its
// two kinds of things apart.
func signing(t *testing.T, open, another func(*testing.T) keystore.Store) {
	outside, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	makes := map[string]func(keystore.Keeper) (keystore.Key, error){
		"made inside": func(k keystore.Keeper) (keystore.Key, error) { return k.NewKey() },
		"taken over":  func(k keystore.Keeper) (keystore.Key, error) { return k.TakeKey(outside) },
	}
	for name, newKey := range makes {
		moved := name == "taken over"
		t.Run(name, func(t *testing.T) {
			s := open(t)
			k := must(newKey(s.(keystore.Keeper)))(t)
			public := k.Public().(*ecdsa.PublicKey)
			signs(t, k, public)
			if k.Moved() != moved || moved && !public.Equal(&outside.PublicKey) {
				t.Errorf("moved %v, public key its own %v", k.Moved(), public.Equal(&outside.PublicKey))
			}
			guarded := k.Guarded()
			closed(t, s)
			if _, err := k.Sign(rand.Reader, make([]byte, 32), crypto.SHA256); err == nil {
				t.Error("signs in a closed store")
			}
			s = open(t)
			defer closed(t, s)
			again := must(s.(keystore.Keeper).OpenKey(guarded))(t)
			signs(t, again, public)
			if again.Moved() != moved || !bytes.Equal(again.Guarded(), guarded) {
				t.Error("came back as another one")
			}
			if _, err := s.Unwrap(t.Context(), guarded); !errors.Is(err, keystore.ErrForeign) {
				t.Errorf("unwrapped: %v", err)
			}
			spoilt(t, s.(keystore.Keeper), guarded)
		})
		t.Run("another machine's is ErrForeign, "+name, func(t *testing.T) {
			there := another(t)
			k := must(newKey(there.(keystore.Keeper)))(t)
			closed(t, there)
			s := open(t)
			defer closed(t, s)
			if _, err := s.(keystore.Keeper).OpenKey(k.Guarded()); !errors.Is(err, keystore.ErrForeign) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("what is stored has nothing of a key that came from outside", func(t *testing.T) {
		s := open(t)
		defer closed(t, s)
		k := must(s.(keystore.Keeper).TakeKey(outside))(t)
		scalar, err := outside.Bytes()
		if err != nil || bytes.Contains(k.Guarded(), scalar) || bytes.Contains(k.Guarded(), scalar[:16]) {
			t.Errorf("it has: %v", err)
		}
	})
	t.Run("only P-256, only SHA-256, no wrapped key", func(t *testing.T) { only(t, open(t)) })
	t.Run("several sign at a time, and others wrap", func(t *testing.T) { crowd(t, open(t)) })
}

func only(t *testing.T, s keystore.Store) {
	defer closed(t, s)
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []*ecdsa.PrivateKey{nil, other} {
		if _, err := s.(keystore.Keeper).TakeKey(k); !errors.Is(err, keystore.ErrKey) {
			t.Errorf("took another key: %v", err)
		}
	}
	if _, err := s.(keystore.Keeper).OpenKey(wrap(t, s, []byte("wrapped"))); !errors.Is(err, keystore.ErrForeign) {
		t.Errorf("opened what was wrapped: %v", err)
	}
	k := must(s.(keystore.Keeper).NewKey())(t)
	for size, hash := range map[int]crypto.Hash{0: crypto.SHA256, 31: crypto.SHA256, 48: crypto.SHA384, 20: crypto.SHA1} {
		if _, err := k.Sign(rand.Reader, make([]byte, size), hash); err == nil {
			t.Errorf("signed %d bytes of %v", size, hash)
		}
	}
}

func crowd(t *testing.T, s keystore.Store) {
	defer closed(t, s)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			k, err := s.(keystore.Keeper).NewKey()
			if err != nil {
				t.Error(err)
				return
			}
			signs(t, k, k.Public().(*ecdsa.PublicKey))
			if _, err := s.Wrap(t.Context(), []byte("wrapped")); err != nil {
				t.Error(err)
			}
			signs(t, k, k.Public().(*ecdsa.PublicKey))
		})
	}
	wg.Wait()
}

// spoilt changes the guarded key: what it then signs, if anything, is its own.
func spoilt(t *testing.T, s keystore.Keeper, guarded []byte) {
	t.Helper()
	for i := range guarded {
		b := bytes.Clone(guarded)
		b[i] ^= 0x10
		if _, err := s.OpenKey(b); !errors.Is(err, keystore.ErrForeign) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
	for _, b := range [][]byte{nil, {0}, guarded[:len(guarded)-1], append(bytes.Clone(guarded), 0)} {
		if _, err := s.OpenKey(b); !errors.Is(err, keystore.ErrForeign) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	}
}

func signs(t *testing.T, k crypto.Signer, public *ecdsa.PublicKey) {
	t.Helper()
	for n := range 8 { // a number with a leading zero is one in 128
		sum := sha256.Sum256(fmt.Append(nil, "text ", n))
		signature, err := k.Sign(rand.Reader, sum[:], crypto.SHA256)
		if err != nil || !ecdsa.VerifyASN1(public, sum[:], signature) {
			t.Errorf("signature %x: %v", signature, err)
		}
	}
}

func must(k keystore.Key, err error) func(*testing.T) keystore.Key {
	return func(t *testing.T) keystore.Key {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
}
