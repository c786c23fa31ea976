// Package registry is who the bus knows: its own keys and certificates, the
// stations that may talk to it, and the one-time codes with which they enrol.
//
// Everything lies in one folder as small files, replaced as a whole, so that
// `bus station add` works beside a bus that is serving. Secrets of codes are
// kept as hashes. Start at Open.
package registry

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"time"

	"kosk/device/keep"
)

// Errors of the registry. Compare with errors.Is.
var (
	// ErrName says that a name can't stand in an X-Road identifier.
	ErrName = errors.New("name may hold only letters a-z, A-Z, digits, - . =")
	// ErrNoBus says that nothing in the folder is a bus's.
	ErrNoBus = errors.New("no bus lives here: 'bus serve' makes one")
	// ErrUnknown says that no such station is registered.
	ErrUnknown = errors.New("unknown station")
	// ErrCode says that a one-time code is wrong, used, or too old.
	ErrCode = errors.New("code wrong, used or expired")
	// ErrCSR says that a certificate request can't be granted.
	ErrCSR = errors.New("certificate request refused")
	// ErrTooMany says that a station holds as many certificates as it may.
	ErrTooMany = errors.New("station holds too many certificates")
)

// maxHeld is how many good certificates a station may hold: each stays good to its
// end, and in the station's file for ever. One that renews in a loop fills no disk.
const maxHeld = 64

// CodeLife is how long a one-time code may be used.
const CodeLife = 24 * time.Hour

// Name of a station, and other parts of X-Road identifiers here.
var Name = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.=-]{0,63}$`)

// A Registry is the folder of one bus.
type Registry struct {
	dir         string
	keys        *Keys
	directory   reading[Directory]
	trust       reading[Trust]
	revokedList revokedCache
}

// A Station is a kiosk that the bus knows.
type Station struct {
	Name         string        `json:"name"`
	Added        time.Time     `json:"added"`
	Removed      time.Time     `json:"removed,omitzero"`
	Code         *code         `json:"code,omitempty"`
	Certificates []Certificate `json:"certificates,omitempty"` // the newest first
}

type code struct {
	Hash    string    `json:"hash"` // hex of the SHA-256 of the secret, which has 130 random bits
	Expires time.Time `json:"expires"`
}

// A Certificate was issued to a station. All that are not over remain good, so
// that the old one and the new one overlap.
type Certificate struct {
	Serial   string    `json:"serial"` // hex
	NotAfter time.Time `json:"not_after"`
	Key      []byte    `json:"key"` // SubjectPublicKeyInfo, DER
	Revoked  bool      `json:"revoked,omitempty"`
}

// An Organisation is the X-Road subsystem that stations belong to, as it stands
// in their certificates.
type Organisation struct {
	Member    string // "AZ-TEST/GOV/10001": the subject's O
	Subsystem string // "kiosk": the subject's OU
}

// Open opens the registry in dir and makes the bus's keys when there are none.
func Open(dir string) (*Registry, error) {
	if err := os.MkdirAll(filepath.Join(dir, "stations"), 0o700); err != nil {
		return nil, fmt.Errorf("open registry: %w", err)
	}
	r := &Registry{dir: dir}
	err := r.locked(func() (err error) {
		r.keys, err = openKeys(dir)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open registry: %w", err)
	}
	return r, nil
}

// OpenExisting is Open for what makes no sense without a bus: a key of one that
// was made by a slip of the pen verifies nothing. Errors: ErrNoBus.
func OpenExisting(dir string) (*Registry, error) {
	_, err := os.Stat(filepath.Join(dir, keysFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", dir, ErrNoBus)
	}
	if err != nil {
		return nil, fmt.Errorf("open registry: %w", err)
	}
	return Open(dir)
}

// Dir is the folder.
func (r *Registry) Dir() string { return r.dir }

// Secret returns the bus's 32 random bytes of a name, made at the first call
// and kept for ever: what keyed hashes are made with.
func (r *Registry) Secret(name string) ([]byte, error) {
	var secret []byte
	err := r.locked(func() error {
		path := filepath.Join(r.dir, name+".secret")
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			secret = make([]byte, 32)
			_, _ = rand.Read(secret) // never fails, see crypto/rand
			return keep.File(path, []byte(hex.EncodeToString(secret)+"\n"))
		}
		if err != nil {
			return err
		}
		if secret, err = hex.DecodeString(strings.TrimSpace(string(b))); err != nil || len(secret) != 32 {
			return errors.New("damaged file")
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w", name, err)
	}
	return secret, nil
}

// Keys are the bus's own.
func (r *Registry) Keys() *Keys { return r.keys }

// Add registers a station, or gives a registered one a new code, and returns
// the code to enrol it with: STATION.SECRET.FINGERPRINT, the last being the
// first 16 bytes of the SHA-256 of the bus's CA certificate in hex, by which
// the kiosk knows its bus.
func (r *Registry) Add(station string, now time.Time) (string, error) {
	if !Name.MatchString(station) {
		return "", fmt.Errorf("add station: %w", ErrName)
	}
	secret := rand.Text()
	sum := sha256.Sum256([]byte(secret))
	err := r.locked(func() error {
		s, err := r.Station(station)
		if errors.Is(err, ErrUnknown) {
			s, err = Station{Name: station, Added: now.UTC()}, nil
		}
		if err != nil {
			return err
		}
		s.Removed = time.Time{}
		s.Code = &code{Hash: hex.EncodeToString(sum[:]), Expires: now.Add(CodeLife).UTC()}
		return r.store(s)
	})
	if err != nil {
		return "", fmt.Errorf("add station: %w", err)
	}
	return station + "." + secret + "." + r.keys.Fingerprint(), nil
}

// Station returns a station, or ErrUnknown.
func (r *Registry) Station(name string) (Station, error) {
	if !Name.MatchString(name) {
		return Station{}, ErrUnknown
	}
	b, err := os.ReadFile(r.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return Station{}, ErrUnknown
	}
	if err != nil {
		return Station{}, fmt.Errorf("read station: %w", err)
	}
	var s Station
	if err := json.Unmarshal(b, &s); err != nil || s.Name != name {
		return Station{}, fmt.Errorf("read station %s: damaged file", name)
	}
	return s, nil
}

// path escapes nothing: Name admits no separator, and no name starts with a dot.
func (r *Registry) path(name string) string {
	return filepath.Join(r.dir, "stations", name+".json")
}

// Stations lists all stations by name.
func (r *Registry) Stations() ([]Station, error) {
	entries, err := os.ReadDir(filepath.Join(r.dir, "stations"))
	if err != nil {
		return nil, fmt.Errorf("list stations: %w", err)
	}
	var all []Station
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok {
			continue
		}
		s, err := r.Station(name)
		if err != nil {
			return nil, fmt.Errorf("list stations: %w", err)
		}
		all = append(all, s)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all, nil
}

// StationKeys are the public keys that a station has had, the newest first: a
// request may wait in a kiosk for longer than its certificate lives.
func (r *Registry) StationKeys(name string) ([]crypto.PublicKey, error) {
	s, err := r.Station(name)
	if err != nil {
		return nil, err
	}
	var keys []crypto.PublicKey
	for _, c := range s.Certificates {
		key, err := x509.ParsePKIXPublicKey(c.Key)
		if err != nil {
			return nil, fmt.Errorf("read station: %w", err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// Holds says whether the certificate, already verified against the bus's CA, is
// one that the named station was given and still has.
func (r *Registry) Holds(cert *x509.Certificate) (string, bool) {
	s, err := r.Station(cert.Subject.CommonName)
	if err != nil {
		return "", false
	}
	serial := hex.EncodeToString(cert.SerialNumber.Bytes())
	for _, c := range s.Certificates {
		if c.Serial == serial && !c.Revoked {
			return s.Name, true
		}
	}
	return "", false
}

// Enrol spends a station's one-time code and issues a certificate for the
// request (PKCS#10, DER, P-256). Its subject is the station's name under the
// organisation, by which the kiosk learns who its provider is. The code is spent even if the kiosk never gets
// the answer: then it needs a new one. Errors: ErrCode, ErrCSR.
func (r *Registry) Enrol(station, secret string, org Organisation, csr []byte, now time.Time) (*x509.Certificate, error) {
	var cert *x509.Certificate
	err := r.locked(func() error {
		s, err := r.Station(station)
		if errors.Is(err, ErrUnknown) {
			return ErrCode
		}
		if err != nil {
			return err
		}
		if !s.Code.fits(secret, now) {
			return ErrCode
		}
		key, err := checkCSR(csr)
		if err != nil {
			return err
		}
		if cert, err = r.keys.issueStation(station, org, key, now); err != nil {
			return err
		}
		s.Code = nil
		s.remember(cert)
		return r.store(s)
	})
	if err != nil {
		return nil, fmt.Errorf("enrol: %w", err)
	}
	return cert, nil
}

// Renew issues a further certificate to the station that holds one, for a new
// request. RFC 7030, 4.2.2. Both are good until each one's end. The request's
// key must be a new one or that of the certificate; its subject isn't looked at.
// Errors: ErrUnknown when the certificate is no longer held, ErrCSR, ErrTooMany.
func (r *Registry) Renew(held *x509.Certificate, org Organisation, csr []byte, now time.Time) (*x509.Certificate, error) {
	var cert *x509.Certificate
	err := r.locked(func() error {
		name, ok := r.Holds(held)
		if !ok || now.After(held.NotAfter) {
			return ErrUnknown
		}
		s, err := r.Station(name)
		if err != nil {
			return err
		}
		if s.held(now) >= maxHeld {
			return ErrTooMany
		}
		key, err := checkCSR(csr)
		if err != nil {
			return err
		}
		if cert, err = r.keys.issueStation(name, org, key, now); err != nil {
			return err
		}
		s.remember(cert)
		return r.store(s)
	})
	if err != nil {
		return nil, fmt.Errorf("renew: %w", err)
	}
	return cert, nil
}

// held counts the certificates that are good.
func (s *Station) held(now time.Time) (n int) {
	for _, c := range s.Certificates {
		if !c.Revoked && now.Before(c.NotAfter) {
			n++
		}
	}
	return n
}

func (s *Station) remember(cert *x509.Certificate) {
	s.Certificates = append([]Certificate{{
		Serial:   hex.EncodeToString(cert.SerialNumber.Bytes()),
		NotAfter: cert.NotAfter, Key: cert.RawSubjectPublicKeyInfo,
	}}, s.Certificates...)
}

// fits compares in constant time. A nil code fits nothing.
func (c *code) fits(secret string, now time.Time) bool {
	if c == nil || now.After(c.Expires) {
		return false
	}
	sum := sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare([]byte(hex.EncodeToString(sum[:])), []byte(c.Hash)) == 1
}

func checkCSR(der []byte) (*ecdsa.PublicKey, error) {
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("%w: not pkcs#10", ErrCSR)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("%w: signature", ErrCSR)
	}
	key, ok := csr.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Params().BitSize != 256 {
		return nil, fmt.Errorf("%w: key is not p-256", ErrCSR)
	}
	return key, nil
}

func (r *Registry) store(s Station) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return keep.File(r.path(s.Name), append(b, '\n'))
}

// CodeOpen says whether a one-time code waits to be used.
func (s Station) CodeOpen(now time.Time) bool { return s.Code != nil && !now.After(s.Code.Expires) }

// Remove shuts a station out: its certificates are good for nothing from now
// on. Its keys stay, since what was accepted from it is still to be opened. Add
// lets it in again, with a new enrolment.
func (r *Registry) Remove(station string, now time.Time) error {
	err := r.locked(func() error {
		s, err := r.Station(station)
		if err != nil {
			return err
		}
		s.Removed, s.Code = now.UTC(), nil
		for i := range s.Certificates {
			s.Certificates[i].Revoked = true
		}
		return r.store(s)
	})
	if err != nil {
		return fmt.Errorf("remove station: %w", err)
	}
	return nil
}
