package identity

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"kosk/device/keep"
	"kosk/drivers/card/icao"
)

// The rules for bundles are:
//
//   - A kiosk with a trust key takes only what was signed with it.
//   - A kiosk without one takes only unsigned bundles that say development.
//   - A signed bundle whose version is lower than one that was accepted before
//     is refused. The highest is remembered in a file beside the bundle.
//   - Every anchor is a certification authority's, and every revocation list is
//     signed by an anchor. One that isn't spoils the bundle.

// Why a bundle is not taken; ErrUnsigned and ErrRollback come inside ErrBundle.
var (
	// ErrBundle says that a file is no trust bundle for this kiosk.
	ErrBundle = errors.New("bad trust bundle")
	// ErrUnsigned says that the operator's signature is missing, or wrong.
	ErrUnsigned = errors.New("not signed with the trust key")
	// ErrRollback says that a newer bundle was accepted before.
	ErrRollback = errors.New("older than one accepted before")
)

// maxBundle bounds the file; all states' certificates together are under 2 MiB.
const maxBundle = 8 << 20

// A Bundle is what a kiosk has to know of the states' authorities: JSON with
// certificates (CSCA, ICAO 9303-12) and their revocation lists in base64 of DER.
type Bundle struct {
	Version     int       `json:"version"`               // counts up; a lower one never replaces a higher
	Issued      time.Time `json:"issued"`                // when it was put together
	Development bool      `json:"development"`           // its cards are not real: every screen and slip says so
	Anchors     [][]byte  `json:"anchors"`               // certificates, DER
	Revocations [][]byte  `json:"revocations,omitempty"` // revocation lists, DER

	// Persons are the authorities of persons' own certificates, and Providers the
	// certificates of those whose word for a person is taken; DER. They stand apart:
	// a person's key must never sign a document, nor for somebody else.
	Persons   [][]byte `json:"persons,omitempty"`
	Providers [][]byte `json:"providers,omitempty"`
}

// Anchors are whom signatures may lead to. They are read-only once made.
type Anchors struct {
	Version     int
	Issued      time.Time
	Development bool

	certificates []*icao.Certificate
	lists        []*icao.RevocationList
	persons      []*icao.Certificate
	providers    []*icao.Certificate
}

// Len is how many certificates there are.
func (a *Anchors) Len() int { return len(a.certificates) }

// Certificates are the anchors, in the order of the bundle.
func (a *Anchors) Certificates() []*icao.Certificate { return slices.Clone(a.certificates) }

// RevocationLists are the authorities' lists, in the order of the bundle.
func (a *Anchors) RevocationLists() []*icao.RevocationList { return slices.Clone(a.lists) }

// Days is the age of the bundle in whole days.
func (a *Anchors) Days(now time.Time) int { return max(0, int(now.Sub(a.Issued)/(24*time.Hour))) }

// NewAnchors reads the certificates and revocation lists of a bundle. It doesn't
// ask who put them together: see LoadBundle.
func NewAnchors(b Bundle) (*Anchors, error) {
	if b.Version < 1 || b.Issued.IsZero() || len(b.Anchors) == 0 {
		return nil, fmt.Errorf("%w: version, date or anchors are missing", ErrBundle)
	}
	a := &Anchors{Version: b.Version, Issued: b.Issued, Development: b.Development}
	var err error
	if a.certificates, err = parseAll("anchor", b.Anchors, true); err != nil {
		return nil, err
	}
	if a.persons, err = parseAll("authority of persons", b.Persons, true); err != nil {
		return nil, err
	}
	if a.providers, err = parseAll("provider", b.Providers, false); err != nil {
		return nil, err
	}
	for i, der := range b.Revocations {
		list, err := icao.ParseRevocationList(der)
		if err != nil {
			return nil, fmt.Errorf("%w: revocation list %d: %w", ErrBundle, i, err)
		}
		if err := a.issued(list); err != nil {
			return nil, fmt.Errorf("%w: revocation list %d: %w", ErrBundle, i, err)
		}
		a.lists = append(a.lists, list)
	}
	return a, nil
}

// parseAll reads certificates that are all certification authorities' or all not.
func parseAll(what string, ders [][]byte, ca bool) ([]*icao.Certificate, error) {
	var all []*icao.Certificate
	for i, der := range ders {
		cert, err := icao.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("%w: %s %d: %w", ErrBundle, what, i, err)
		}
		switch {
		case ca && !cert.CA:
			return nil, fmt.Errorf("%w: %s %d is no certification authority", ErrBundle, what, i)
		case !ca && cert.CA:
			return nil, fmt.Errorf("%w: %s %d is a certification authority", ErrBundle, what, i)
		}
		all = append(all, cert)
	}
	return all, nil
}

// issued says whether an anchor signed the list.
func (a *Anchors) issued(list *icao.RevocationList) error {
	last := errors.New("no anchor has its issuer's name")
	for _, c := range slices.Concat(a.certificates, a.persons) {
		if !list.Issuer.Equal(c.Subject) {
			continue
		}
		if last = list.CheckSignatureFrom(c); last == nil {
			return nil
		}
	}
	return last
}

// LoadBundle reads a trust bundle's file by the rules above. It writes nothing.
// A nil key is none. Errors: ErrBundle, with ErrUnsigned or ErrRollback in it
// where they are the reason, or those of the file.
func LoadBundle(path string, key *ecdsa.PublicKey) (*Anchors, error) {
	a, err := loadBundle(path, key)
	if err != nil {
		return nil, fmt.Errorf("load trust bundle: %s: %w", path, err)
	}
	return a, nil
}

func loadBundle(path string, key *ecdsa.PublicKey) (*Anchors, error) {
	data, err := readBundle(path)
	if err != nil {
		return nil, err
	}
	a, err := openBundle(data, key)
	if err != nil || key == nil {
		return a, err
	}
	accepted, err := acceptedVersion(path)
	if err != nil {
		return nil, err
	}
	if a.Version < accepted {
		return nil, fmt.Errorf("%w: %w: version %d after %d", ErrBundle, ErrRollback, a.Version, accepted)
	}
	return a, nil
}

// OpenBundle judges a trust bundle that is in no file yet, as one from the line. It
// doesn't know what was accepted before: its caller holds the version against the
// one in use. Errors: ErrBundle, with ErrUnsigned in it where that is the reason.
func OpenBundle(data []byte, key *ecdsa.PublicKey) (*Anchors, error) {
	a, err := openBundle(data, key)
	if err != nil {
		return nil, fmt.Errorf("open trust bundle: %w", err)
	}
	return a, nil
}

func openBundle(data []byte, key *ecdsa.PublicKey) (*Anchors, error) {
	payload, seal, err := takeApart(data)
	if err != nil {
		return nil, err
	}
	if err := seal.check(key); err != nil {
		return nil, err
	}
	b, err := decode(payload)
	if err != nil {
		return nil, err
	}
	if key == nil && !b.Development {
		return nil, fmt.Errorf("%w: %w, and not for development", ErrBundle, ErrUnsigned)
	}
	return NewAnchors(b)
}

// AcceptBundle is LoadBundle for the kiosk itself: it remembers the version, so
// that no lower one is taken from then on.
func AcceptBundle(path string, key *ecdsa.PublicKey) (*Anchors, error) {
	a, err := LoadBundle(path, key)
	if err != nil || key == nil {
		return a, err
	}
	accepted, err := acceptedVersion(path)
	if err == nil && a.Version > accepted {
		err = keep.Public(memory(path), []byte(strconv.Itoa(a.Version)+"\n"))
	}
	if err != nil {
		return nil, fmt.Errorf("accept trust bundle: %w", err)
	}
	return a, nil
}

// memory is the file beside the bundle that keeps the highest accepted version.
func memory(path string) string { return path + ".accepted" }

// acceptedVersion is 0 when none was accepted yet. A file that can't be read is an
// error: whoever can spoil it could otherwise roll back.
func acceptedVersion(path string) (int, error) {
	b, err := os.ReadFile(memory(path))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%w: %s holds no version", ErrBundle, memory(path))
	}
	return n, nil
}

// InspectBundle reads a bundle for somebody who wants to see it, and says whether
// it claims a signature. It checks neither signature nor version: nobody's card
// may be believed on its word.
func InspectBundle(path string) (b Bundle, signed bool, err error) {
	data, err := readBundle(path)
	var payload []byte
	var s seal
	if err == nil {
		payload, s, err = takeApart(data)
	}
	if err == nil {
		b, err = decode(payload)
	}
	if err != nil {
		return Bundle{}, false, fmt.Errorf("inspect trust bundle: %s: %w", path, err)
	}
	return b, s.signature != nil, nil
}

// readBundle reads a file that may be a bundle, or a signed one.
func readBundle(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxBundle+1)) // takeApart says that it is too long
}

// takeApart gives the bundle and its seal, which may be none.
func takeApart(data []byte) (payload []byte, s seal, err error) {
	if len(data) > maxBundle {
		return nil, seal{}, fmt.Errorf("%w: over %d bytes", ErrBundle, maxBundle)
	}
	return unseal(data)
}

func decode(payload []byte) (b Bundle, err error) { return b, strict(payload, &b) }

// strict reads one JSON object that has no unknown keys, and nothing behind it.
func strict(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%w: %w", ErrBundle, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows it", ErrBundle)
	}
	return nil
}

// WriteBundle writes an unsigned bundle, which must be one for development. The
// file is replaced as a whole: a reader sees the old one or the new one.
func WriteBundle(path string, b Bundle) error {
	if !b.Development {
		return fmt.Errorf("write trust bundle: %w: %w, and not for development", ErrBundle, ErrUnsigned)
	}
	data, err := encode(b)
	if err == nil {
		err = keep.Public(path, data)
	}
	if err != nil {
		return fmt.Errorf("write trust bundle: %w", err)
	}
	return nil
}

// WriteSignedBundle writes a bundle that kiosks with this key's other half take.
func WriteSignedBundle(path string, b Bundle, key *ecdsa.PrivateKey) error {
	data, err := encode(b)
	if err == nil {
		data, err = sealed(data, key)
	}
	if err == nil {
		err = keep.Public(path, data)
	}
	if err != nil {
		return fmt.Errorf("write signed trust bundle: %w", err)
	}
	return nil
}

// encode gives the file of a bundle that can be read again.
func encode(b Bundle) ([]byte, error) {
	if _, err := NewAnchors(b); err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(b, "", "  ")
	return append(data, '\n'), err
}
