package provision

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"kosk/device/keep"
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
	if err := keep.Remove(filepath.Join(dir, NextFile)); err != nil {
		return fmt.Errorf("save station: %w", err)
	}
	if err := keep.Key(filepath.Join(dir, File), b); err != nil {
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
