package registry

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"kosk/device/identity"
	"kosk/device/keep"
)

// ErrNoTrust says that the bus has no trust bundle, and so checks no card.
var ErrNoTrust = errors.New("no trust bundle")

const (
	trustFile    = "trust.json"
	trustKeyFile = "trust.pub"
)

// A Trust is the trust bundle that stations get and evidence is checked with.
type Trust struct {
	File    []byte // as the operator signed it
	Tag     string // of the file: hex of its SHA-256
	Anchors *identity.Anchors
}

// Trust returns the bundle as it stands now, or ErrNoTrust.
func (r *Registry) Trust() (*Trust, error) {
	t, err := r.trust.now(filepath.Join(r.dir, trustFile), func(path string) (*Trust, error) {
		return readTrust(path, filepath.Join(r.dir, trustKeyFile))
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, ErrNoTrust
	case err != nil:
		return nil, fmt.Errorf("read trust: %w", err)
	}
	return t, nil
}

// readTrust loads a bundle with the key beside it, if there is one.
func readTrust(path, keyPath string) (*Trust, error) {
	key, err := identity.LoadTrustKey(keyPath)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return loadTrust(path, key)
}

func loadTrust(path string, key *ecdsa.PublicKey) (*Trust, error) {
	anchors, err := identity.LoadBundle(path, key)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	return &Trust{File: b, Tag: hex.EncodeToString(sum[:]), Anchors: anchors}, nil
}

// SetTrust takes a bundle over: from now on it is served, and evidence checked
// with it. key is the operator's public key that signed it; nil stands for the one
// of the last time, or for a development bundle when there was none. A lower
// version than the one in use is refused. Errors: those of identity.LoadBundle.
func (r *Registry) SetTrust(path string, key *ecdsa.PublicKey) (*Trust, error) {
	var t *Trust
	err := r.locked(func() (err error) {
		own, ownKey := filepath.Join(r.dir, trustFile), filepath.Join(r.dir, trustKeyFile)
		if key == nil {
			if key, err = identity.LoadTrustKey(ownKey); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if t, err = loadTrust(path, key); err != nil {
			return err
		}
		if now, err := readTrust(own, ownKey); err == nil && now.Anchors.Version > t.Anchors.Version {
			return fmt.Errorf("%w: version %d after %d", identity.ErrRollback, t.Anchors.Version, now.Anchors.Version)
		}
		if key != nil {
			if err := writeTrustKey(ownKey, key); err != nil {
				return err
			}
		}
		return keep.File(own, t.File)
	})
	if err != nil {
		return nil, fmt.Errorf("set trust: %w", err)
	}
	return t, nil
}

func writeTrustKey(path string, key *ecdsa.PublicKey) error {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return err
	}
	return keep.File(path, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}
