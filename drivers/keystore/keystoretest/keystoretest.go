// Package keystoretest is the suite that every keystore.Store passes.
package keystoretest

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"

	"kosk/drivers/keystore"
)

// Run checks the duties that the contract states. open opens the same store
// every time it is called, another opens one of another machine.
func Run(t *testing.T, open, another func(*testing.T) keystore.Store) {
	key := []byte("0123456789abcdef0123456789abcdef")
	t.Run("what was wrapped comes back, also from a store that was opened anew", func(t *testing.T) {
		s := open(t)
		wrapped := wrap(t, s, key)
		unwraps(t, s, wrapped, key)
		closed(t, s)
		s = open(t)
		defer closed(t, s)
		unwraps(t, s, wrapped, key)
	})
	t.Run("the key is not to be seen, and no two wrappings are alike", func(t *testing.T) {
		s := open(t)
		defer closed(t, s)
		one, two := wrap(t, s, key), wrap(t, s, key)
		if bytes.Equal(one, two) || bytes.Contains(one, key) {
			t.Errorf("wrapped %x and %x", one, two)
		}
	})
	t.Run("keys are from one byte to MaxKey long", func(t *testing.T) {
		s := open(t)
		defer closed(t, s)
		for _, size := range []int{1, keystore.MaxKey} {
			k := bytes.Repeat([]byte{7}, size)
			unwraps(t, s, wrap(t, s, k), k)
		}
		for _, size := range []int{0, keystore.MaxKey + 1} {
			if _, err := s.Wrap(t.Context(), make([]byte, size)); !errors.Is(err, keystore.ErrKey) {
				t.Errorf("%d bytes: %v", size, err)
			}
		}
	})
	t.Run("what was changed, cut or made up is ErrForeign", func(t *testing.T) { foreign(t, open(t), key) })
	t.Run("another machine's is ErrForeign", func(t *testing.T) {
		other := another(t)
		wrapped := wrap(t, other, key)
		closed(t, other)
		s := open(t)
		defer closed(t, s)
		if _, err := s.Unwrap(t.Context(), wrapped); !errors.Is(err, keystore.ErrForeign) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a context that has ended ends it", func(t *testing.T) {
		s := open(t)
		defer closed(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Wrap(ctx, key); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("several at a time", func(t *testing.T) {
		s := open(t)
		defer closed(t, s)
		var wg sync.WaitGroup
		for n := range 4 {
			wg.Go(func() {
				k := bytes.Repeat([]byte{byte(n)}, 32)
				wrapped, err := s.Wrap(t.Context(), k)
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := s.Unwrap(t.Context(), wrapped); err != nil || !bytes.Equal(got, k) {
					t.Errorf("%x, %v", got, err)
				}
			})
		}
		wg.Wait()
	})
	probe := open(t)
	_, keeps := probe.(keystore.Keeper)
	closed(t, probe)
	if keeps {
		t.Run("keys that sign", func(t *testing.T) { signing(t, open, another) })
	}
}

func foreign(t *testing.T, s keystore.Store, key []byte) {
	defer closed(t, s)
	wrapped := wrap(t, s, key)
	for i := range wrapped {
		b := bytes.Clone(wrapped)
		b[i] ^= 0x10
		if got, err := s.Unwrap(t.Context(), b); !errors.Is(err, keystore.ErrForeign) {
			t.Fatalf("byte %d changed: %x, %v", i, got, err)
		}
	}
	for _, b := range [][]byte{nil, {0}, wrapped[:len(wrapped)-1], append(bytes.Clone(wrapped), 0), bytes.Repeat([]byte{0xff}, 300)} {
		if _, err := s.Unwrap(t.Context(), b); !errors.Is(err, keystore.ErrForeign) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	}
}

func wrap(t *testing.T, s keystore.Store, key []byte) []byte {
	t.Helper()
	wrapped, err := s.Wrap(t.Context(), key)
	if err != nil {
		t.Fatalf("wrap: %v", err)
	}
	return wrapped
}

func unwraps(t *testing.T, s keystore.Store, wrapped, want []byte) {
	t.Helper()
	got, err := s.Unwrap(t.Context(), wrapped)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("unwrapped %x, %v", got, err)
	}
}

func closed(t *testing.T, s keystore.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}
