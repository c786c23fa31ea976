package provision

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sync"

	"kosk/device/keep"
	"kosk/drivers/keystore"
)

// Renewal exchanges the station's key and certificate while the kiosk runs. The
// rules are:
//   - the next pair lies beside the current one as a whole station file, so that
//     taking its place is one rename: there is no moment without a pair;
//   - a next file of another enrolment is none, and so is a damaged one, and one
//     that the keystore doesn't open any more;
//   - what a cut left half written holds a key, and is removed at the next start.

// NextFile is the name of the next pair's file in the state folder.
const NextFile = "station.next.json"

// ErrNoNext says that there is no next pair to promote.
var ErrNoNext = errors.New("no next pair")

// A Wallet keeps the station's pairs of key and certificate for a renewer
// (offline/bus.Wallet), and signs with the current one. Its methods may be called
// from several goroutines.
type Wallet struct {
	dir string

	mu   sync.Mutex // guards both below
	now  *Station
	keys keystore.Store // nil before Unlock
}

var _ crypto.Signer = (*Wallet)(nil)

// OpenWallet reads the station from dir. Where a keystore guards its key, the
// wallet can sign only after Unlock. Errors are Load's.
func OpenWallet(dir string) (*Wallet, error) {
	now, err := Load(dir)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{File, NextFile} {
		if err := keep.Sweep(filepath.Join(dir, name)); err != nil {
			return nil, fmt.Errorf("open wallet: %w", err)
		}
	}
	return &Wallet{dir: dir, now: now}, nil
}

// Station is the station with its current pair. It doesn't change; ask again.
func (w *Wallet) Station() *Station {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// Pairs returns the pair in use, and the next one if Keep has stored it and
// Promote has not happened; else next has no certificate.
func (w *Wallet) Pairs() (current, next tls.Certificate, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, err := w.next()
	switch {
	case errors.Is(err, ErrNoNext):
		return w.now.Certificate, tls.Certificate{}, nil
	case err != nil:
		return tls.Certificate{}, tls.Certificate{}, err
	}
	return w.now.Certificate, s.Certificate, nil
}

// next is the station with its next pair, or ErrNoNext.
func (w *Wallet) next() (*Station, error) {
	b, err := keep.ReadKey(filepath.Join(w.dir, NextFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoNext
	}
	if err != nil {
		return nil, fmt.Errorf("next pair: %w", err)
	}
	s, err := parse(b)
	if err != nil || s.Name != w.now.Name || s.URL != w.now.URL || s.Provider != w.now.Provider || !bytes.Equal(s.StreamKey, w.now.StreamKey) {
		return nil, ErrNoNext // the stream key is made anew with every enrolment
	}
	s, err = s.Unlock(w.keys)
	if errors.Is(err, keystore.ErrState) || errors.Is(err, keystore.ErrForeign) || errors.Is(err, ErrNoKeeper) {
		return nil, ErrNoNext
	}
	if err != nil {
		return nil, fmt.Errorf("next pair: %w", err)
	}
	return s, nil
}

// NewKey makes a P-256 key for the next pair, where the keystore keeps keys in
// it; Keep stores what it must.
func (w *Wallet) NewKey() (crypto.Signer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if keeper, ok := w.keys.(keystore.Keeper); ok {
		return keeper.NewKey()
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// Keep stores the next pair beside the current one. After nil it survives a power cut.
func (w *Wallet) Keep(next tls.Certificate) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	key, ok := next.PrivateKey.(crypto.Signer)
	if !ok {
		return errors.New("keep next pair: kind of key")
	}
	s := *w.now
	s.Key, s.Certificate = key, next
	b, err := s.bytes()
	if err == nil {
		err = keep.Key(filepath.Join(w.dir, NextFile), b)
	}
	if err != nil {
		return fmt.Errorf("keep next pair: %w", err)
	}
	return nil
}

// Promote makes the next pair the current one. After nil that survives a power
// cut; after an error the one or the other is current at the next start, and both
// are good. ErrNoNext: there is none.
func (w *Wallet) Promote() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	next, err := w.next()
	if err != nil {
		return fmt.Errorf("promote: %w", err)
	}
	err = keep.Succeed(filepath.Join(w.dir, NextFile), filepath.Join(w.dir, File))
	if err == nil || errors.Is(err, keep.ErrUnsettled) {
		w.now = next // this is what the folder holds now
	}
	if err != nil {
		return fmt.Errorf("promote: %w", err)
	}
	return nil
}

// Public is the current key's.
func (w *Wallet) Public() crypto.PublicKey { return w.Station().Key.Public() }

// Sign signs with the current key. The bus knows a station's earlier keys: what
// was signed before a renewal is good after it.
func (w *Wallet) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return w.Station().Key.Sign(random, digest, opts)
}

// bytes is the station's file.
func (s *Station) bytes() ([]byte, error) {
	f, err := s.file()
	if err != nil {
		return nil, err
	}
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return nil, err
	}
	if _, err := parse(b); err != nil {
		return nil, err
	}
	return append(b, '\n'), nil
}
