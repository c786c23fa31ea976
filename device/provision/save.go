package provision

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Save writes the station into dir, for its owner only. After nil it survives
// a power cut; before, the former file stands.
func Save(dir string, s *Station) error {
	f, err := s.file()
	if err != nil {
		return fmt.Errorf("save station: %w", err)
	}
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("save station: %w", err)
	}
	if _, err := parse(b); err != nil {
		return fmt.Errorf("save station: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("save station: %w", err)
	}
	if err := replace(dir, File, append(b, '\n')); err != nil {
		return fmt.Errorf("save station: %w", err)
	}
	return nil
}

func (s *Station) file() (file, error) {
	recipient, ok := s.Recipient.(fmt.Stringer)
	if !ok || s.Key == nil || s.BusCACert == nil || s.ReceiptKey == nil {
		return file{}, errors.New("incomplete station")
	}
	key, err := x509.MarshalPKCS8PrivateKey(s.Key)
	if err != nil {
		return file{}, err
	}
	receiptKey, err := x509.MarshalPKIXPublicKey(s.ReceiptKey)
	if err != nil {
		return file{}, err
	}
	f := file{
		Version: fileVersion, Name: s.Name, URL: s.URL, Provider: s.Provider,
		Key: armour("PRIVATE KEY", key), BusCA: armour("CERTIFICATE", s.BusCACert.Raw),
		Recipient: recipient.String(), ReceiptKey: armour("PUBLIC KEY", receiptKey), StreamKey: s.StreamKey,
	}
	for _, der := range s.Certificate.Certificate {
		f.Chain += armour("CERTIFICATE", der)
	}
	return f, nil
}

func armour(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// replace writes a file beside the old one, syncs it, and renames it over.
func replace(dir, name string, b []byte) error {
	tmp, err := os.CreateTemp(dir, name+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails once it is renamed
	if _, err = tmp.Write(b); err == nil {
		err = tmp.Sync()
	}
	if err := errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), filepath.Join(dir, name)); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
