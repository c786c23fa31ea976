package provision

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Save writes the station into dir, for its owner only. After nil it survives
// a power cut; before, the former file stands.
func Save(dir string, s *Station) error {
	b, err := s.bytes()
	if err != nil {
		return fmt.Errorf("save station: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("save station: %w", err)
	}
	// A pair that was to follow the former one must not follow this one.
	if err := scrapped(filepath.Join(dir, NextFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("save station: %w", err)
	}
	if err := replace(dir, File, b, uncut); err != nil {
		return fmt.Errorf("save station: %w", err)
	}
	return nil
}

func (s *Station) file() (file, error) {
	recipient, ok := s.Recipient.(fmt.Stringer)
	if !ok || s.Key == nil || s.BusCACert == nil || s.ReceiptKey == nil {
		return file{}, errors.New("incomplete station")
	}
	receiptKey, err := x509.MarshalPKIXPublicKey(s.ReceiptKey)
	if err != nil {
		return file{}, err
	}
	f := file{
		Version: versionPlain, Name: s.Name, URL: s.URL, Provider: s.Provider, BusCA: armour("CERTIFICATE", s.BusCACert.Raw),
		Recipient: recipient.String(), ReceiptKey: armour("PUBLIC KEY", receiptKey), StreamKey: s.StreamKey,
	}
	for _, der := range s.Certificate.Certificate {
		f.Chain += armour("CERTIFICATE", der)
	}
	switch key := s.Key.(type) {
	case *ecdsa.PrivateKey:
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return file{}, err
		}
		f.Key = armour("PRIVATE KEY", der)
	case guarded:
		f.Version, f.Guarded = versionGuarded, key.Guarded()
	default:
		return file{}, errors.New("kind of key")
	}
	return f, s.paired()
}

// paired says whether the certificate is the key's.
func (s *Station) paired() error {
	public, ok := s.Key.Public().(*ecdsa.PublicKey)
	if !ok || len(s.Certificate.Certificate) == 0 {
		return errors.New("incomplete station")
	}
	if leaf, err := x509.ParseCertificate(s.Certificate.Certificate[0]); err != nil || !public.Equal(leaf.PublicKey) {
		return errors.New("certificate of another key")
	}
	return nil
}

func armour(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// replace writes a file beside the old one, syncs it, and renames it over. before
// is asked at each step; what it refuses is a power cut, which cleans nothing up.
// What the old one held is overwritten when the new one is safe.
func replace(dir, name string, b []byte, before func(step string) error) error {
	old := outgoing(filepath.Join(dir, name))
	defer old.close()
	tmp, err := os.CreateTemp(dir, name+".*") // mode 0600
	if err != nil {
		return err
	}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"write", func() error { _, err := tmp.Write(b); return err }},
		{"sync", tmp.Sync},
		{"close", tmp.Close},
		{"rename", func() error { return os.Rename(tmp.Name(), filepath.Join(dir, name)) }},
		{"sync folder", func() error { return syncDir(dir) }},
	} {
		if err := before(step.name); err != nil {
			return errors.Join(err, tmp.Close())
		}
		if err := step.do(); err != nil {
			_ = tmp.Close()           // is closed already, or never will be
			_ = os.Remove(tmp.Name()) // is renamed already, or of no use
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	old.overwrite()
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
