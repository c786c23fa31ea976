package all_test

import (
	"errors"
	"path/filepath"
	"testing"

	"kosk/drivers/all"
	"kosk/drivers/keystore"
	"kosk/drivers/panel"
	"kosk/drivers/panel/gpio"
)

func TestPanelsByName(t *testing.T) {
	p, err := all.Panel("desk", filepath.Join(t.TempDir(), "lamps.jsonl"), gpio.Options{})
	if err != nil || p.Close() != nil {
		t.Errorf("desk: %v", err)
	}
	if p, err := all.Panel("none", "", gpio.Options{}); p != nil || err != nil {
		t.Errorf("none: %v, %v", p, err)
	}
	if p, err := all.Panel("desk", t.TempDir(), gpio.Options{}); p != nil || err == nil {
		t.Errorf("a folder: %v, %v", p, err)
	}
	wired := gpio.Options{Chip: "none", Lines: map[panel.Lamp]string{panel.CardReader: "0"}}
	if p, err := all.Panel("gpio", "", wired); p != nil || !errors.Is(err, panel.ErrUnplugged) {
		t.Errorf("no chip: %v, %v", p, err)
	}
	if _, err := all.Panel("neon", "", gpio.Options{}); !errors.As(err, &all.ErrNoMake{}) {
		t.Errorf("no such make: %v", err)
	}
}

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
