package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"kosk/cmd/bus/seal"
	"kosk/device/catalogue"
)

// The manifest of services that stations take from the bus. The rules are:
//
//   - Its version counts up by one with every change and never goes back; whoever
//     has a version refuses a lower one.
//   - Each version is kept as a file, so that there is a difference to any of them.
//   - It is sealed (see seal) with the bus's receipt key, under the kind
//     "kosk-catalogue"; a difference is under "kosk-catalogue-delta".
const (
	kindCatalogue = "kosk-catalogue"
	kindDelta     = "kosk-catalogue-delta"
)

// CatalogueFile is the operator's catalogue in the bus's folder; without it the
// one that the program carries is served.
const CatalogueFile = "catalogue.toml"

const reasonUnknownCatalogue = "unknown_catalogue_version"

// An item is an agency or a service in the words of its TOML, with an id.
type item = map[string]any

// A manifest is all that is offered. Items are in order.
type manifest struct {
	Version   uint64    `json:"version"`
	Issued    time.Time `json:"issued"`
	Catalogue string    `json:"catalogue_version"` // as requests name it
	Agencies  []item    `json:"agencies"`
	Services  []item    `json:"services"`
}

// A delta leads from one version to another.
type delta struct {
	From      uint64    `json:"from"`
	To        uint64    `json:"to"`
	Issued    time.Time `json:"issued"`
	Catalogue string    `json:"catalogue_version"`
	Set       kinds     `json:"set"` // new, or other than before
	Removed   ids       `json:"removed"`
	Order     ids       `json:"order"` // of all, after it
}

type kinds struct {
	Agencies []item `json:"agencies"`
	Services []item `json:"services"`
}

type ids struct {
	Agencies []string `json:"agencies"`
	Services []string `json:"services"`
}

// A shelf keeps all versions of the manifest.
type shelf struct {
	dir string // of the bus

	mu   sync.Mutex // guards all below
	mod  time.Time  // of the file that kept was made from; zero: the program's own
	kept *manifest
	made *catalogue.Catalogue // what kept was made from
}

func (sh *shelf) path(version uint64) string {
	return filepath.Join(sh.dir, "catalogue", strconv.FormatUint(version, 10)+".json")
}

// current is the manifest as it stands, with a new version when the operator has
// put another catalogue there.
func (sh *shelf) current() (*manifest, error) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	info, err := os.Stat(filepath.Join(sh.dir, CatalogueFile))
	mod := time.Time{}
	if err == nil {
		mod = info.ModTime()
	}
	if sh.kept != nil && mod.Equal(sh.mod) {
		return sh.kept, nil
	}
	m, err := sh.renew(!mod.IsZero())
	if err != nil {
		return sh.kept, fmt.Errorf("catalogue: %w", err)
	}
	sh.kept, sh.mod = m, mod
	return m, nil
}

// offer is the catalogue as it stands: the operator's, or the program's own. One
// that can't be read leaves the last.
func (sh *shelf) offer() (*catalogue.Catalogue, error) {
	_, err := sh.current()
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.made == nil {
		return nil, err
	}
	return sh.made, nil
}

// renew reads the catalogue, and keeps a further version unless it is the last.
func (sh *shelf) renew(own bool) (*manifest, error) {
	c, err := sh.read(own)
	if err != nil {
		return nil, err
	}
	sh.made = c
	fresh := &manifest{Issued: time.Now().UTC().Truncate(time.Second), Catalogue: c.Version}
	if fresh.Agencies, err = items(c.Agencies); err != nil {
		return nil, err
	}
	if fresh.Services, err = items(c.Services); err != nil {
		return nil, err
	}
	last, err := sh.last()
	if err != nil {
		return nil, err
	}
	if last != nil {
		fresh.Version, fresh.Issued = last.Version, last.Issued
		if reflect.DeepEqual(last, fresh) {
			return last, nil
		}
		fresh.Issued = time.Now().UTC().Truncate(time.Second)
	}
	fresh.Version++
	b, err := json.Marshal(fresh)
	if err != nil {
		return nil, err
	}
	return fresh, sh.keep(fresh.Version, b)
}

func (sh *shelf) read(own bool) (*catalogue.Catalogue, error) {
	if !own {
		return catalogue.Load()
	}
	b, err := os.ReadFile(filepath.Join(sh.dir, CatalogueFile))
	if err != nil {
		return nil, err
	}
	return catalogue.Parse(string(b))
}

// keep writes a version, synced: it must never be given to another content.
func (sh *shelf) keep(version uint64, b []byte) error {
	if err := os.MkdirAll(filepath.Join(sh.dir, "catalogue"), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(sh.path(version)+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(sh.path(version)+".new", sh.path(version))
}

// last is the newest version that is kept, or nil.
func (sh *shelf) last() (*manifest, error) {
	entries, err := os.ReadDir(filepath.Join(sh.dir, "catalogue"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	newest := uint64(0)
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".json"); ok {
			if n, err := strconv.ParseUint(name, 10, 64); err == nil {
				newest = max(newest, n)
			}
		}
	}
	if newest == 0 {
		return nil, nil
	}
	return sh.version(newest)
}

// version reads one that is kept; fs.ErrNotExist when it isn't.
func (sh *shelf) version(n uint64) (*manifest, error) {
	b, err := os.ReadFile(sh.path(n))
	if err != nil {
		return nil, err
	}
	var m manifest
	if err := json.Unmarshal(b, &m); err != nil || m.Version != n {
		return nil, fmt.Errorf("version %d: damaged file", n)
	}
	return &m, nil
}

// items writes values with their keys in small letters, as TOML has them, and
// leaves out what is empty.
func items(list any) ([]item, error) {
	b, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	var all []item
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&all); err != nil {
		return nil, err
	}
	out := []item{}
	for _, it := range all {
		out = append(out, lower(it).(item))
	}
	return out, nil
}

func lower(v any) any {
	switch v := v.(type) {
	case map[string]any:
		small := item{}
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

// between is the way from one version to another.
func between(from, to *manifest) delta {
	d := delta{From: from.Version, To: to.Version, Issued: to.Issued, Catalogue: to.Catalogue}
	d.Set.Agencies, d.Removed.Agencies, d.Order.Agencies = differ(from.Agencies, to.Agencies)
	d.Set.Services, d.Removed.Services, d.Order.Services = differ(from.Services, to.Services)
	return d
}

func differ(from, to []item) (set []item, removed, order []string) {
	set, removed, order = []item{}, []string{}, []string{}
	before := map[string]item{}
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

func idOf(it item) string { return fmt.Sprint(it["id"]) }

// catalogue hands out the whole manifest.
func (s *Server) catalogue(m *message, _ string) {
	now, ok := s.manifest(m)
	if ok {
		s.writeSealed(m, kindCatalogue, now)
	}
}

// catalogueDelta hands out the difference from a version that a station has.
func (s *Server) catalogueDelta(m *message, _ string) {
	now, ok := s.manifest(m)
	if !ok {
		return
	}
	n, err := parseSeq(m.req.URL.Query().Get("from"))
	if err != nil || n == 0 {
		writeReason(m, http.StatusBadRequest, reasonUnknownCatalogue)
		return
	}
	from, err := s.shelf.version(n)
	if errors.Is(err, fs.ErrNotExist) {
		writeReason(m, http.StatusNotFound, reasonUnknownCatalogue)
		return
	}
	if err != nil {
		s.Log.Error("catalogue failed", "err", err)
		s.xroadError(m, http.StatusInternalServerError, errInternal, "catalogue")
		return
	}
	s.writeSealed(m, kindDelta, between(from, now))
}

// manifest is the current one; a catalogue that can't be read leaves the last.
func (s *Server) manifest(m *message) (*manifest, bool) {
	now, err := s.shelf.current()
	if err != nil {
		s.Log.Error("catalogue failed", "err", err)
	}
	if now == nil {
		s.xroadError(m, http.StatusInternalServerError, errInternal, "catalogue")
	}
	return now, now != nil
}

// writeSealed seals a value with the receipt key. The ETag is that of the bytes,
// which are always the same for the same value.
func (s *Server) writeSealed(m *message, kind string, v any) {
	payload, err := json.Marshal(v)
	var sealed []byte
	if err == nil {
		sealed, err = seal.Sign(kind, payload, s.Registry.Keys().Receipt)
	}
	if err != nil {
		s.Log.Error("sealing failed", "err", err)
		s.xroadError(m, http.StatusInternalServerError, errInternal, "sealing")
		return
	}
	sum := sha256.Sum256(sealed)
	writeTagged(m, hex.EncodeToString(sum[:]), sealed)
}
