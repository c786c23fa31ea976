package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"kosk/drivers/card/icao"
)

// ErrBundle says that a file is no trust bundle.
var ErrBundle = errors.New("bad trust bundle")

// maxBundle bounds the file; all states' certificates together are under 2 MiB.
const maxBundle = 8 << 20

// A Bundle is a file of trust anchors: JSON with the certificates of the
// certification authorities (CSCA, ICAO 9303-12) in base64 of DER.
type Bundle struct {
	Version     int       `json:"version"`     // counts up; a lower one never replaces a higher
	Issued      time.Time `json:"issued"`      // when it was put together
	Development bool      `json:"development"` // its cards are not real: every screen and slip says so
	Anchors     [][]byte  `json:"anchors"`     // certificates, DER
}

// Anchors are whom signatures may lead to. They are read-only once made.
type Anchors struct {
	Version     int
	Issued      time.Time
	Development bool

	certificates []*icao.Certificate
}

// Len is how many certificates there are.
func (a *Anchors) Len() int { return len(a.certificates) }

// NewAnchors reads the certificates of a bundle. One that can't be read, or is
// no certification authority's, spoils the bundle.
func NewAnchors(b Bundle) (*Anchors, error) {
	if b.Version < 1 || b.Issued.IsZero() || len(b.Anchors) == 0 {
		return nil, fmt.Errorf("%w: version, date or anchors are missing", ErrBundle)
	}
	a := &Anchors{Version: b.Version, Issued: b.Issued, Development: b.Development}
	for i, der := range b.Anchors {
		cert, err := icao.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("%w: anchor %d: %w", ErrBundle, i, err)
		}
		if !cert.CA {
			return nil, fmt.Errorf("%w: anchor %d is no certification authority", ErrBundle, i)
		}
		a.certificates = append(a.certificates, cert)
	}
	return a, nil
}

// LoadBundle reads a trust bundle's file.
func LoadBundle(path string) (*Anchors, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("load trust bundle: %w", err)
	}
	defer f.Close()
	b, err := decode(io.LimitReader(f, maxBundle))
	if err != nil {
		return nil, fmt.Errorf("load trust bundle: %s: %w", path, err)
	}
	a, err := NewAnchors(b)
	if err != nil {
		return nil, fmt.Errorf("load trust bundle: %s: %w", path, err)
	}
	return a, nil
}

// decode reads one JSON object that has no unknown keys, and nothing behind it.
func decode(r io.Reader) (Bundle, error) {
	var b Bundle
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(&b); err != nil {
		return Bundle{}, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Bundle{}, fmt.Errorf("%w: something follows it", ErrBundle)
	}
	return b, nil
}

// WriteBundle writes a trust bundle's file. It is replaced as a whole: a reader
// sees the old one or the new one.
func WriteBundle(path string, b Bundle) error {
	if _, err := NewAnchors(b); err != nil {
		return fmt.Errorf("write trust bundle: %w", err)
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetIndent("", "  ")
	if err := e.Encode(b); err != nil {
		return fmt.Errorf("write trust bundle: %w", err)
	}
	if err := replace(path, out.Bytes()); err != nil {
		return fmt.Errorf("write trust bundle: %w", err)
	}
	return nil
}

func replace(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // the first error is the one to tell
		}
	}()
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
