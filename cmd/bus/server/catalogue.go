package server

import (
	"crypto/ecdsa"
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
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"kosk/device/catalogue"
	"kosk/device/keep"
)

// The manifest of services that stations take from the bus, see
// device/catalogue/manifest.go for its form. The rules are:
//
//   - Its version counts up by one with every change and never goes back; whoever
//     has a version refuses a lower one.
//   - The operator's catalogue is published only under a version of its own that is
//     higher than the last: requests and consents name it.
//   - Each version is kept as a file, so that there is a difference to any of them,
//     and a request is judged by the catalogue that the person saw.
//   - It is sealed with the bus's receipt key, which every kiosk has from its
//     enrolment.
//   - A catalogue that can't be published leaves the last in force.

// CatalogueFile is the operator's catalogue in the bus's folder; without it the
// one that the program carries is served.
const CatalogueFile = "catalogue.toml"

const reasonUnknownCatalogue = "unknown_catalogue_version"

// A sealed answer and its ETag, which is that of the bytes: always the same for
// the same content.
type sealedAnswer struct {
	bytes []byte
	tag   string
}

func tagged(b []byte) *sealedAnswer {
	sum := sha256.Sum256(b)
	return &sealedAnswer{b, hex.EncodeToString(sum[:])}
}

// An edition is a manifest, ready to be handed out.
type edition struct {
	*catalogue.Manifest
	whole *sealedAnswer
}

// maxDeltas is how many differences are kept ready.
const maxDeltas = 64

// A shelf keeps all versions of the manifest.
type shelf struct {
	dir string // of the bus
	key *ecdsa.PrivateKey

	mu     sync.Mutex // guards all below
	mod    time.Time  // of the file that was last looked at; zero: there was none
	looked bool
	kept   *edition
	err    error                    // why kept isn't what lies there
	deltas map[uint64]*sealedAnswer // to kept
	rules  map[string]demands       // by the catalogue's own version, see recall
	own    string                   // version of the program's own
}

// demands are what services ask of who requests them.
type demands map[catalogue.ServiceID]demand

type demand struct {
	Level catalogue.Level
	Sign  bool
}

func (sh *shelf) folder() string { return filepath.Join(sh.dir, "catalogue") }

func (sh *shelf) path(version uint64) string {
	return filepath.Join(sh.folder(), strconv.FormatUint(version, 10)+".json")
}

// current is the manifest as it stands, with a new version when the operator has
// put another catalogue there. With an error it is the last one that was good, or
// nil when there is none. changed says that it was looked at anew.
func (sh *shelf) current() (now *edition, changed bool, err error) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	mod := time.Time{}
	if info, err := os.Stat(filepath.Join(sh.dir, CatalogueFile)); err == nil {
		mod = info.ModTime()
	}
	if sh.looked && mod.Equal(sh.mod) {
		return sh.kept, false, sh.err
	}
	sh.mod, sh.looked = mod, true
	ed, err := sh.renew(!mod.IsZero())
	if sh.err = err; err != nil {
		sh.err = fmt.Errorf("catalogue: %w", err)
	}
	if ed != nil {
		sh.kept, sh.deltas = ed, map[uint64]*sealedAnswer{}
		sh.rules[ed.Catalogue] = demandsOf(ed.Manifest)
	}
	return sh.kept, true, sh.err
}

// renew reads the catalogue, and keeps a further version unless it is the last.
// With an error it returns the last.
func (sh *shelf) renew(own bool) (*edition, error) {
	last, err := sh.last()
	if err != nil {
		return nil, err
	}
	fresh, err := sh.fresh(own, last)
	if err != nil && last == nil {
		return nil, err
	}
	if err != nil {
		ed, again := sh.seal(last)
		return ed, errors.Join(err, again)
	}
	if fresh == last {
		return sh.seal(last)
	}
	ed, err := sh.seal(fresh)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(fresh)
	if err == nil {
		err = os.MkdirAll(sh.folder(), 0o700)
	}
	if err == nil {
		err = keep.File(sh.path(fresh.Version), b) // it must never be given to another content
	}
	if err != nil {
		return nil, err
	}
	return ed, nil
}

// fresh is what lies there as the next version, or the last if it is that.
func (sh *shelf) fresh(own bool, last *catalogue.Manifest) (*catalogue.Manifest, error) {
	c, err := catalogue.Load()
	if own {
		c, err = readCatalogue(filepath.Join(sh.dir, CatalogueFile))
	}
	if err != nil {
		return nil, err
	}
	return next(c, last, !own)
}

func readCatalogue(path string) (*catalogue.Catalogue, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return catalogue.Parse(string(b))
}

// next is a catalogue as the version that follows last, or last itself if that is
// what it holds. same says that it may change without another version of its own,
// as the program's does while it is being written.
func next(c *catalogue.Catalogue, last *catalogue.Manifest, same bool) (*catalogue.Manifest, error) {
	if err := c.Offerable(); err != nil {
		return nil, err
	}
	fresh, err := c.Manifest()
	if err != nil {
		return nil, err
	}
	if last != nil {
		fresh.Version, fresh.Issued = last.Version, last.Issued
		if reflect.DeepEqual(last, fresh) {
			return last, nil
		}
		order := catalogue.Compare(fresh.Catalogue, last.Catalogue)
		same = same || last.Format == 0 // of before there were formats: nobody has taken it
		if order < 0 || order == 0 && !same {
			return nil, fmt.Errorf("%w: its version is %s, and that of the last %s: give it a higher one", catalogue.ErrRollback, fresh.Catalogue, last.Catalogue)
		}
	}
	fresh.Version++
	fresh.Issued = time.Now().UTC().Truncate(time.Second)
	return fresh, nil
}

func (sh *shelf) seal(m *catalogue.Manifest) (*edition, error) {
	b, err := m.Seal(sh.key)
	if err != nil {
		return nil, err
	}
	return &edition{m, tagged(b)}, nil
}

// last is the newest version that is kept, or nil.
func (sh *shelf) last() (*catalogue.Manifest, error) {
	all, err := sh.versions()
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return sh.version(slices.Max(all))
}

// versions are those that are kept, in no order.
func (sh *shelf) versions() (all []uint64, err error) {
	entries, err := os.ReadDir(sh.folder())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".json"); ok {
			if n, err := strconv.ParseUint(name, 10, 64); err == nil && n > 0 {
				all = append(all, n)
			}
		}
	}
	return all, err
}

// version reads one that is kept; fs.ErrNotExist when it isn't.
func (sh *shelf) version(n uint64) (*catalogue.Manifest, error) {
	b, err := os.ReadFile(sh.path(n))
	if err != nil {
		return nil, err
	}
	var m catalogue.Manifest
	if err := json.Unmarshal(b, &m); err != nil || m.Version != n {
		return nil, fmt.Errorf("version %d: damaged file", n)
	}
	return &m, nil
}

// delta is the difference from a version to the current one.
func (sh *shelf) delta(n uint64, now *edition) (*sealedAnswer, error) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if a, ok := sh.deltas[n]; ok && sh.kept == now {
		return a, nil
	}
	from, err := sh.version(n)
	if err != nil {
		return nil, err
	}
	d, err := catalogue.Between(from, now.Manifest, now.whole.bytes)
	if err != nil {
		return nil, err
	}
	b, err := d.Seal(sh.key)
	if err != nil {
		return nil, err
	}
	if sh.kept == now && len(sh.deltas) < maxDeltas {
		sh.deltas[n] = tagged(b)
	}
	return tagged(b), nil
}

// recall reads what services asked for under every version that is kept: kiosks
// that were offline for long still send requests made under them. An error says
// which can't be read; the others are.
func (sh *shelf) recall() error {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	own, err := catalogue.Load()
	if err != nil {
		return err
	}
	carried, err := own.Manifest()
	if err != nil {
		return err
	}
	sh.own, sh.rules = own.Version, map[string]demands{own.Version: demandsOf(carried)}
	all, err := sh.versions()
	slices.Sort(all) // the same version of its own may stand twice: the later counts
	for _, n := range all {
		m, problem := sh.version(n)
		if err = errors.Join(err, problem); problem == nil {
			sh.rules[m.Catalogue] = demandsOf(m)
		}
	}
	return err
}

func demandsOf(m *catalogue.Manifest) demands {
	all := demands{}
	for _, it := range m.Services {
		id, _ := it["id"].(string)
		level, _ := it["level"].(string)
		sign, _ := it["sign"].(bool)
		all[catalogue.ServiceID(id)] = demand{catalogue.Level(level), sign}
	}
	return all
}

// demanded is what a service asks for: by the version of the catalogue that the
// request names, else by the current one, else by the program's own.
func (s *Server) demanded(version string, id catalogue.ServiceID) (d demand, ok bool) {
	now := s.offered()
	s.shelf.mu.Lock()
	defer s.shelf.mu.Unlock()
	for _, v := range []string{version, now.Catalogue, s.shelf.own} {
		if d, ok = s.shelf.rules[v][id]; ok {
			break
		}
	}
	return d, ok
}

// offered is what is published now: without anything the bus doesn't start. Why a
// newer one isn't in force is said once.
func (s *Server) offered() *edition {
	now, changed, err := s.shelf.current()
	if changed && err != nil {
		s.Log.Error("catalogue not taken", "err", err)
	}
	return now
}

// catalogue hands out the whole manifest.
func (s *Server) catalogue(m *message, _ string) {
	now := s.offered()
	writeTagged(m, now.whole.tag, now.whole.bytes)
}

// catalogueDelta hands out the difference from a version that a station has.
func (s *Server) catalogueDelta(m *message, _ string) {
	n, err := parseSeq(m.req.URL.Query().Get("from"))
	if err != nil || n == 0 {
		writeReason(m, http.StatusBadRequest, reasonUnknownCatalogue)
		return
	}
	a, err := s.shelf.delta(n, s.offered())
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, catalogue.ErrManifest) { // not kept, or longer than it may be
		writeReason(m, http.StatusNotFound, reasonUnknownCatalogue)
		return
	}
	if err != nil {
		s.Log.Error("catalogue failed", "err", err)
		s.xroadError(m, http.StatusInternalServerError, errInternal, "catalogue")
		return
	}
	writeTagged(m, a.tag, a.bytes)
}

// SetCatalogue lays an operator's catalogue, in TOML, into a bus's folder: a bus
// that serves from there publishes it with the next call. It returns what that
// will be. The version in the text must be higher than the last one's, see
// catalogue.ErrRollback; the same text again changes nothing.
func SetCatalogue(dir string, doc []byte, key *ecdsa.PrivateKey) (*catalogue.Manifest, error) {
	c, err := catalogue.Parse(string(doc))
	if err != nil {
		return nil, err
	}
	sh := &shelf{dir: dir, key: key}
	last, err := sh.last()
	if err != nil {
		return nil, fmt.Errorf("catalogue: %w", err)
	}
	m, err := next(c, last, false)
	if err != nil {
		return nil, fmt.Errorf("catalogue: %w", err)
	}
	if _, err := sh.seal(m); err != nil {
		return nil, fmt.Errorf("catalogue: %w", err)
	}
	return m, keep.File(filepath.Join(dir, CatalogueFile), doc)
}

// LastCatalogue is the newest manifest that a bus has published from its folder,
// or nil.
func LastCatalogue(dir string) (*catalogue.Manifest, error) {
	m, err := (&shelf{dir: dir}).last()
	if err != nil {
		return nil, fmt.Errorf("catalogue: %w", err)
	}
	return m, nil
}
