package all_test

import (
	"errors"
	"path/filepath"
	"testing"

	"kosk/drivers/all"
	"kosk/drivers/keystore"
)

func TestKeystoresByName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	s, err := all.Keystore("file", path)
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := s.Wrap(t.Context(), []byte("key"))
	if key, e := s.Unwrap(t.Context(), wrapped); err != nil || e != nil || string(key) != "key" {
		t.Errorf("%q, %v, %v", key, err, e)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if s, err := all.Keystore("tpm", path+".none"); !errors.Is(err, keystore.ErrNoStore) || s != nil {
		t.Errorf("no tpm: %v, %v", s, err)
	}
	if _, err := all.Keystore("paper", path); !errors.As(err, &all.ErrNoMake{}) {
		t.Errorf("no such make: %v", err)
	}
}
