// Package provision keeps what makes this machine a certain kiosk: the
// station's name, its key and certificate, and the keys of its bus. `kioskctl
// enrol` saves it once; the kiosk loads it at every start.
//
// Everything is in one file, readable by its owner only and replaced as a
// whole: a machine is enrolled or it is not. Where a keystore.Keeper guards the
// key, the file has what only that can use; else it has the key itself. A Wallet
// exchanges it while the kiosk runs.
package provision

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"filippo.io/age"

	"kosk/device/keep"
)

// File is the name of the file in the kiosk's state folder.
const File = "station.json"

// Errors of loading. Compare with errors.Is.
var (
	// ErrNotEnrolled says that there is no station here: run `kioskctl enrol`.
	ErrNotEnrolled = errors.New("not enrolled")
	// ErrDamaged says that the file is there and can't be used.
	ErrDamaged = errors.New("station file damaged")
	// ErrExposed says that others than the owner may read the file.
	ErrExposed = errors.New("station file readable by others")
)

// A Station is this kiosk towards its bus.
type Station struct {
	Name        string
	Key         crypto.Signer     // ECDSA, P-256: signs envelopes and provisional slips, and is the TLS key
	Certificate tls.Certificate   // of Key, with its chain
	BusCA       *x509.CertPool    // who may be the bus
	BusCACert   *x509.Certificate // the only member of BusCA
	URL         string            // "https://host:port", without a path
	Provider    Provider
	Recipient   age.Recipient    // requests are sealed to it
	ReceiptKey  *ecdsa.PublicKey // verifies receipts and certificates
	StreamKey   []byte           // 32 bytes, made here, for request.Stream
}

// A Provider is an X-Road subsystem: the parts of its path. PR-REST, 4.1.
type Provider struct {
	Instance  string `json:"instance"` // "AZ-TEST"
	Class     string `json:"class"`    // "GOV"
	Member    string `json:"member"`   // "10001"
	Subsystem string `json:"subsystem"`
}

// ProviderOf reads the provider from a station's certificate: its subject's O is
// the member ("AZ-TEST/GOV/10001"), its OU the subsystem.
func ProviderOf(cert *x509.Certificate) (Provider, error) {
	s := cert.Subject
	if len(s.Organization) != 1 || len(s.OrganizationalUnit) != 1 {
		return Provider{}, errors.New("certificate names no provider")
	}
	parts := strings.Split(s.Organization[0], "/")
	if len(parts) != 3 {
		return Provider{}, errors.New("certificate names no member")
	}
	return Provider{Instance: parts[0], Class: parts[1], Member: parts[2], Subsystem: s.OrganizationalUnit[0]}, nil
}

// serviceCode of the one service that kiosks use.
const serviceCode = "intake"

// Base is the path under which the bus's calls lie:
// "/r1/AZ-TEST/GOV/10001/kiosk/intake".
func (p Provider) Base() string {
	return "/r1/" + p.Instance + "/" + p.Service()
}

// Service is the service without its instance: "GOV/10001/kiosk/intake".
func (p Provider) Service() string {
	return p.Class + "/" + p.Member + "/" + p.Subsystem + "/" + serviceCode
}

// Client is this station as X-Road-Client: a subsystem of the provider's member
// with the station's name, "AZ-TEST/GOV/10001/KIOSK-001".
func (s *Station) Client() string {
	p := s.Provider
	return p.Instance + "/" + p.Class + "/" + p.Member + "/" + s.Name
}

// TLSConfig is for connections to the bus: TLS 1.3 with the station's
// certificate, and nobody but the bus on the other side.
func (s *Station) TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{s.Certificate},
		RootCAs:      s.BusCA,
	}
}

// LogValue is the station's name alone.
func (s Station) LogValue() slog.Value { return slog.StringValue(s.Name) }

// String is the station's name alone: keys are never printed.
func (s Station) String() string { return s.Name }

// Format writes the station's name for every verb.
func (s Station) Format(w fmt.State, _ rune) { _, _ = w.Write([]byte(s.Name)) }

// MarshalJSON is the station's name alone: only Save writes the rest.
func (s Station) MarshalJSON() ([]byte, error) { return json.Marshal(s.Name) }

// NewStreamKey makes a key for request.Stream.
func NewStreamKey() []byte {
	key := make([]byte, streamKeyLength)
	_, _ = rand.Read(key) // never fails, see crypto/rand
	return key
}

const streamKeyLength = 32

// file is the station on disk. Keys and certificates are PEM.
type file struct {
	Version    int      `json:"v"`
	Name       string   `json:"name"`
	URL        string   `json:"url"`
	Provider   Provider `json:"provider"`
	Key        string   `json:"key,omitempty"`     // in the clear; or it is
	Guarded    []byte   `json:"guarded,omitempty"` // as keystore.Key has it
	Chain      string   `json:"certificate"`
	BusCA      string   `json:"bus_ca"`
	Recipient  string   `json:"recipient"`
	ReceiptKey string   `json:"receipt_key"`
	StreamKey  []byte   `json:"stream_key"`
}

// Versions of the file. Programs that know no keystore.Keeper know only the first.
const (
	versionPlain   = 1
	versionGuarded = 2
)

// Load reads the station from dir. Where a keystore guards its key, it can sign
// only after Unlock. Errors: ErrNotEnrolled, ErrDamaged, ErrExposed.
func Load(dir string) (*Station, error) {
	path := filepath.Join(dir, File)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("load station: %w", ErrNotEnrolled)
	}
	if err != nil {
		return nil, fmt.Errorf("load station: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("load station: %w", ErrExposed)
	}
	b, err := keep.ReadKey(path)
	if err != nil {
		return nil, fmt.Errorf("load station: %w", err)
	}
	s, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("load station: %w: %w", ErrDamaged, err)
	}
	return s, nil
}

var identifier = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.=-]{0,63}$`)

// parse reads the file; its errors never quote it.
func parse(b []byte) (*Station, error) {
	var f file
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, errors.New("not json")
	}
	if f.Version != versionPlain && f.Version != versionGuarded {
		return nil, fmt.Errorf("version %d", f.Version)
	}
	for _, part := range []string{f.Name, f.Provider.Instance, f.Provider.Class, f.Provider.Member, f.Provider.Subsystem} {
		if !identifier.MatchString(part) {
			return nil, errors.New("name or provider")
		}
	}
	if u, err := url.Parse(f.URL); err != nil || u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return nil, errors.New("url is not https://host:port")
	}
	if len(f.StreamKey) != streamKeyLength {
		return nil, errors.New("stream key")
	}
	s := &Station{Name: f.Name, URL: f.URL, Provider: f.Provider, StreamKey: f.StreamKey}
	var err error
	if s.Key, s.Certificate, err = parsePair(f); err != nil {
		return nil, err
	}
	if s.BusCACert, err = parseCertificate(f.BusCA); err != nil {
		return nil, errors.New("certificate of the bus's authority")
	}
	s.BusCA = x509.NewCertPool()
	s.BusCA.AddCert(s.BusCACert)
	if s.Recipient, err = age.ParseHybridRecipient(f.Recipient); err != nil {
		return nil, errors.New("recipient")
	}
	if s.ReceiptKey, err = parsePublicKey(f.ReceiptKey); err != nil {
		return nil, errors.New("receipt key")
	}
	return s, nil
}

// parsePair reads the key, in the one form or the other, and its certificate.
func parsePair(f file) (crypto.Signer, tls.Certificate, error) {
	if f.Version == versionPlain {
		cert, err := tls.X509KeyPair([]byte(f.Chain), []byte(f.Key))
		if err != nil || f.Guarded != nil {
			return nil, cert, errors.New("key or certificate")
		}
		key, ok := cert.PrivateKey.(*ecdsa.PrivateKey)
		if !ok {
			return nil, cert, errors.New("kind of key")
		}
		return key, cert, nil
	}
	var cert tls.Certificate
	for block, rest := pem.Decode([]byte(f.Chain)); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			cert.Certificate = append(cert.Certificate, block.Bytes)
		}
	}
	if len(cert.Certificate) == 0 || len(f.Guarded) == 0 || f.Key != "" {
		return nil, cert, errors.New("key or certificate")
	}
	var err error
	if cert.Leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
		return nil, cert, errors.New("key or certificate")
	}
	public, ok := cert.Leaf.PublicKey.(*ecdsa.PublicKey)
	if !ok || public.Curve != elliptic.P256() {
		return nil, cert, errors.New("kind of key")
	}
	key := locked{public, f.Guarded}
	cert.PrivateKey = key
	return key, cert, nil
}

func parseCertificate(text string) (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("no pem")
	}
	return x509.ParseCertificate(block.Bytes)
}

func parsePublicKey(text string) (*ecdsa.PublicKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("no pem")
	}
	return ParseReceiptKey(block.Bytes)
}

// NewStation is a station as enrolment made it: its own certificate and key, and
// the bus's authority, both certificates X.509 in DER. What to seal to and what to
// verify with is still to be asked of the bus, over its line.
func NewStation(name, url string, key crypto.Signer, certificate, authority []byte) (*Station, error) {
	s := &Station{
		Name: name, Key: key, URL: url, StreamKey: NewStreamKey(), BusCA: x509.NewCertPool(),
		Certificate: tls.Certificate{Certificate: [][]byte{certificate}, PrivateKey: key},
	}
	leaf, err := x509.ParseCertificate(certificate)
	if err != nil {
		return nil, err
	}
	if s.Provider, err = ProviderOf(leaf); err != nil {
		return nil, err
	}
	if s.BusCACert, err = x509.ParseCertificate(authority); err != nil {
		return nil, err
	}
	s.BusCA.AddCert(s.BusCACert)
	return s, nil
}

// ParseReceiptKey reads a P-256 key from a SubjectPublicKeyInfo in DER, as the
// bus's /v1/keys gives it.
func ParseReceiptKey(der []byte) (*ecdsa.PublicKey, error) {
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, errors.New("no public key")
	}
	public, ok := key.(*ecdsa.PublicKey)
	if !ok || public.Params().BitSize != 256 {
		return nil, errors.New("no p-256 key")
	}
	return public, nil
}
