package catalogue

import (
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"kosk/device/seal"
)

// A catalogue travels as a manifest, sealed by the bus (see device/seal). The
// rules of its versions are:
//
//   - Version counts what a bus has published, up by one with every change. It
//     never goes back, and one number never stands for two contents.
//   - Catalogue is the catalogue's own version, dotted numbers, which requests and
//     consents name. It never goes back either.
//   - Format is what a program must know to offer the catalogue. A key that it
//     doesn't know is ignored, as everywhere in the bus's contract, and so a key
//     that must not be ignored comes with a higher Format. What a higher Format
//     needs, and an unknown level, kind, or type of a field, is refused as a whole,
//     with ErrNewer: half a catalogue is none.
//   - A Delta leads from one version to another. It carries the signature of the
//     manifest it leads to: who applies it has the sealed manifest, or knows that
//     it hasn't.

// Kinds of what is sealed.
const (
	KindManifest = "kosk-catalogue"
	KindDelta    = "kosk-catalogue-delta"
)

// Format is the highest that this program understands.
const Format = 1

// MaxSealed is how long a sealed manifest or delta may be, in bytes.
const MaxSealed = 4 << 20

// maxVersion is how long a catalogue's own version may be, in bytes.
const maxVersion = 32

// Why a manifest isn't taken.
var (
	// ErrManifest says that bytes are no manifest, or not one that can be offered.
	ErrManifest = errors.New("bad catalogue manifest")
	// ErrDelta says that a delta doesn't lead from this manifest to a sealed one.
	ErrDelta = errors.New("catalogue delta leads nowhere")
	// ErrRollback says that something newer was taken before.
	ErrRollback = errors.New("catalogue older than one taken before")
)

// An Item is an agency, a service or a means in the words of its TOML, with an id.
type Item = map[string]any

// Lists are the items of a catalogue, in order.
type Lists struct {
	Agencies []Item `json:"agencies"`
	Services []Item `json:"services"`
	Means    []Item `json:"means"`
}

// A Manifest is all that is offered, as a bus publishes it.
type Manifest struct {
	Format    int       `json:"format"`
	Version   uint64    `json:"version"`
	Issued    time.Time `json:"issued"`
	Catalogue string    `json:"catalogue_version"`
	Lists
}

// IDs name items.
type IDs struct {
	Agencies []string `json:"agencies"`
	Services []string `json:"services"`
	Means    []string `json:"means"`
}

// A Delta leads from one version of a manifest to another.
type Delta struct {
	Format    int       `json:"format"`
	From      uint64    `json:"from"`
	To        uint64    `json:"to"`
	Issued    time.Time `json:"issued"`
	Catalogue string    `json:"catalogue_version"`
	Set       Lists     `json:"set"` // new, or other than before
	Removed   IDs       `json:"removed"`
	Order     IDs       `json:"order"`     // of all, after it
	Signature string    `json:"signature"` // of the manifest that it leads to
}

// lists are the lists one by one, to go through them.
func (l *Lists) lists() [3]*[]Item { return [3]*[]Item{&l.Agencies, &l.Services, &l.Means} }

func (i *IDs) lists() [3]*[]string { return [3]*[]string{&i.Agencies, &i.Services, &i.Means} }

// Manifest is the catalogue as a manifest of version 0, issued never.
func (c *Catalogue) Manifest() (*Manifest, error) {
	m := &Manifest{Format: Format, Catalogue: c.Version}
	for i, list := range []any{c.Agencies, c.Services, c.Means} {
		all, err := items(list)
		if err != nil {
			return nil, fmt.Errorf("manifest: %w", err)
		}
		*m.lists()[i] = all
	}
	return m, nil
}

// items writes values with their keys in small letters, as TOML has them, and
// leaves out what is empty.
func items(list any) ([]Item, error) {
	b, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	var all []Item
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, err
	}
	out := []Item{}
	for _, it := range all {
		small, _ := lower(it).(Item)
		if small == nil {
			small = Item{}
		}
		out = append(out, small)
	}
	return out, nil
}

func lower(v any) any {
	switch v := v.(type) {
	case Item:
		small := Item{}
		for k, x := range v {
			if x = lower(x); x != nil && x != "" && x != false && x != 0.0 {
				small[strings.ToLower(k)] = x
			}
		}
		if len(small) == 0 {
			return nil
		}
		return small
	case []any:
		for i := range v {
			v[i] = lower(v[i])
		}
		if len(v) == 0 {
			return nil
		}
		return v
	}
	return v
}

// Offer is the catalogue of a manifest, checked whole: what it returns can be
// offered. Errors: ErrNewer when this program is too old for it, ErrManifest.
func (m *Manifest) Offer() (*Catalogue, error) {
	if m.Format > Format {
		return nil, fmt.Errorf("%w: format %d: %w", ErrManifest, m.Format, ErrNewer)
	}
	b, err := json.Marshal(m.Lists)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	c := &Catalogue{}
	if err := json.Unmarshal(b, c); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	c.Version = m.Catalogue
	if err := c.Offerable(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	return c, nil
}

// Offerable says why a catalogue can't be published, or nil: beyond what Parse
// asks for, its version has an order, and every service can be reached.
func (c *Catalogue) Offerable() error {
	if c.Version == "" || len(c.Version) > maxVersion || numbers(c.Version) == nil {
		return fmt.Errorf("version %.40q is not of dotted numbers", c.Version)
	}
	if err := c.checkAll(); err != nil {
		return err
	}
	for _, s := range c.Services {
		reached, signed := s.Level != HolderVerified, !s.Sign
		for _, m := range c.Means {
			reached = reached || m.Level.Reaches(s.Level)
			signed = signed || m.Sign && m.Level.Reaches(s.Level)
		}
		if !reached || !signed {
			return fmt.Errorf("service %s: no means reaches it", s.ID)
		}
	}
	return nil
}

// Compare orders the versions of catalogues: negative when a is older than b. What
// isn't of dotted numbers is older than all that are.
func Compare(a, b string) int {
	x, y := numbers(a), numbers(b)
	for i := range max(len(x), len(y)) {
		switch {
		case i >= len(x):
			return -1
		case i >= len(y):
			return 1
		case x[i] != y[i]:
			return compareNumbers(x[i], y[i])
		}
	}
	return 0
}

// numbers are the parts of a version without leading zeros, or nil. They stay
// text, so that no number is too big.
func numbers(version string) []string {
	parts := strings.Split(version, ".")
	for i, p := range parts {
		if p == "" || strings.Trim(p, "0123456789") != "" {
			return nil
		}
		parts[i] = strings.TrimLeft(p, "0")
	}
	return parts
}

func compareNumbers(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// Seal signs a manifest with the bus's key.
func (m *Manifest) Seal(key *ecdsa.PrivateKey) ([]byte, error) {
	return sealed(KindManifest, m, key)
}

// Seal signs a delta with the bus's key.
func (d *Delta) Seal(key *ecdsa.PrivateKey) ([]byte, error) { return sealed(KindDelta, d, key) }

func sealed(kind string, v any, key *ecdsa.PrivateKey) ([]byte, error) {
	payload, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	b, err := seal.Sign(kind, payload, key)
	if err == nil && len(b) > MaxSealed {
		return nil, fmt.Errorf("%w: over %d bytes", ErrManifest, MaxSealed)
	}
	return b, err
}

// OpenManifest reads a manifest that was sealed with the key's other half.
// Whether it can be offered is Offer's. Errors: seal.ErrSeal, ErrManifest.
func OpenManifest(b []byte, key *ecdsa.PublicKey) (*Manifest, error) {
	payload, err := open(KindManifest, b, key)
	var m *Manifest
	if err == nil {
		m, err = parseManifest(payload)
	}
	if err != nil {
		return nil, fmt.Errorf("open manifest: %w", err)
	}
	return m, nil
}

func parseManifest(payload []byte) (*Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(payload, &m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	if m.Version == 0 {
		return nil, fmt.Errorf("%w: no version", ErrManifest)
	}
	return &m, nil
}

func open(kind string, b []byte, key *ecdsa.PublicKey) ([]byte, error) {
	if len(b) > MaxSealed {
		return nil, fmt.Errorf("%w: over %d bytes", ErrManifest, MaxSealed)
	}
	return seal.Open(kind, b, key)
}

// Between is the way from one manifest to another, whose seal is given.
func Between(from, to *Manifest, sealedTo []byte) (*Delta, error) {
	signature, err := seal.Signature(sealedTo)
	if err != nil {
		return nil, fmt.Errorf("catalogue delta: %w", err)
	}
	d := &Delta{
		Format: to.Format, From: from.Version, To: to.Version, Issued: to.Issued, Catalogue: to.Catalogue, Signature: signature,
	}
	for i := range d.Set.lists() {
		*d.Set.lists()[i], *d.Removed.lists()[i], *d.Order.lists()[i] = differ(*from.lists()[i], *to.lists()[i])
	}
	return d, nil
}

func differ(from, to []Item) (set []Item, removed, order []string) {
	set, removed, order = []Item{}, []string{}, []string{}
	before := map[string]Item{}
	for _, it := range from {
		before[idOf(it)] = it
	}
	for _, it := range to {
		id := idOf(it)
		order = append(order, id)
		if !reflect.DeepEqual(before[id], it) {
			set = append(set, it)
		}
		delete(before, id)
	}
	for _, it := range from {
		if _, gone := before[idOf(it)]; gone {
			removed = append(removed, idOf(it))
		}
	}
	return set, removed, order
}

func idOf(it Item) string { id, _ := it["id"].(string); return id }

// Apply goes the way of a sealed delta, and returns the sealed manifest at its
// end, byte for byte as the bus seals it. Errors: ErrDelta when base isn't where
// it begins, or its end isn't what the bus signed; seal.ErrSeal, ErrManifest.
func Apply(base *Manifest, sealedDelta []byte, key *ecdsa.PublicKey) ([]byte, *Manifest, error) {
	payload, err := open(KindDelta, sealedDelta, key)
	if err != nil {
		return nil, nil, fmt.Errorf("apply delta: %w", err)
	}
	m, signature, err := apply(base, payload)
	if err != nil {
		return nil, nil, fmt.Errorf("apply delta: %w", err)
	}
	whole, err := m.joined(signature)
	if err == nil {
		m, err = OpenManifest(whole, key)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("apply delta: %w: %w", ErrDelta, err)
	}
	return whole, m, nil
}

// apply goes the way of a delta, whosever it is.
func apply(base *Manifest, payload []byte) (m *Manifest, signature string, err error) {
	var d Delta
	if err := json.Unmarshal(payload, &d); err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrManifest, err)
	}
	if d.From != base.Version || d.To < d.From {
		return nil, "", fmt.Errorf("%w: from %d to %d, at %d", ErrDelta, d.From, d.To, base.Version)
	}
	m = &Manifest{Format: d.Format, Version: d.To, Issued: d.Issued, Catalogue: d.Catalogue}
	for i := range m.lists() {
		all, err := arrange(*base.lists()[i], *d.Set.lists()[i], *d.Order.lists()[i])
		if err != nil {
			return nil, "", err
		}
		*m.lists()[i] = all
	}
	return m, d.Signature, nil
}

// joined is the manifest with a signature from elsewhere.
func (m *Manifest) joined(signature string) ([]byte, error) {
	payload, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return seal.Join(KindManifest, payload, signature)
}

// arrange puts what stays and what is set in order. What the order doesn't name
// is gone, and it names nothing twice.
func arrange(base, set []Item, order []string) ([]Item, error) {
	all := map[string]Item{}
	for _, it := range base {
		all[idOf(it)] = it
	}
	for _, it := range set {
		all[idOf(it)] = it
	}
	out := []Item{}
	for _, id := range order {
		it, ok := all[id]
		if !ok {
			return nil, fmt.Errorf("%w: no %.40q", ErrDelta, id)
		}
		delete(all, id)
		out = append(out, it)
	}
	return out, nil
}
