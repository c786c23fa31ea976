package line

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"kosk/device/catalogue"
	"kosk/device/health"
	"kosk/device/keep"
	"kosk/offline"
)

// The catalogue comes from the bus. The rules are:
//   - It is taken only if it is sealed with the bus's receipt key, which enrolment
//     pins. A key of the operator's, as trust bundles have, would add nothing: the
//     catalogue says what the bus is asked and what it gets, and a bus that lies
//     about that cheats itself, since it judges every request by the catalogue it
//     published. Whose signature a person's card needs is not in it.
//   - One that is older than one taken before, or has other content under the same
//     version, is refused, and so is one that this program can't offer whole. The
//     last good one stays in use. What was taken is remembered beside it, with the
//     key: after another enrolment it is another bus's count.
//   - It is on the disk before it is offered, as the bus sealed it, and is checked
//     anew at every start. One that is damaged, or was put back, counts as none: the
//     program's own is offered until the bus is there.
//   - The program's own is offered while it is the newer one.
//   - It is offered from the next visit on.

const (
	catalogueFirst = 10 * time.Second // bound of the first wait

	catalogueName = "catalogue.json" // in the state folder: the sealed manifest
	acceptedName  = "catalogue.accepted"
)

// errStored says that what lies in the state folder isn't what was put there.
var errStored = errors.New("stored catalogue not used")

// An accepted is what was taken last.
type accepted struct {
	Key       string `json:"key"` // SHA-256 of the bus's, in hex
	Version   uint64 `json:"version"`
	Catalogue string `json:"catalogue_version"`
	Sum       string `json:"sha256"` // of the sealed manifest, in hex
}

// A larder keeps the catalogue from the bus. It belongs to whoever runs the part.
type larder struct {
	dir string
	key *ecdsa.PublicKey
	log *slog.Logger

	floor accepted
	base  *catalogue.Manifest // that lies on the disk; nil: none
	tag   string              // ETag of what was judged last
	path  string              // from where that came
	found error               // what was wrong with it
}

// openLarder reads what was kept. c is the catalogue, or nil when there is none
// that can be offered: err then says why, unless none was ever kept.
func openLarder(dir string, key *ecdsa.PublicKey, log *slog.Logger) (la *larder, c *catalogue.Catalogue, err error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("open catalogue: %w", err)
	}
	la = &larder{dir: dir, key: key, log: log, floor: accepted{Key: sumOf(der)}}
	floor, known, err := la.remembered()
	if known && floor.Key != la.floor.Key {
		log.Info("the catalogue is another bus's")
		return la, nil, nil
	}
	if known {
		la.floor = floor
	}
	c, stored := la.restore()
	if stored == nil && c == nil && known {
		stored = fs.ErrNotExist // it was there
	}
	if err = errors.Join(err, stored); err != nil {
		err = fmt.Errorf("%w: %w", errStored, err)
	}
	return la, c, err
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func (la *larder) file(name string) string { return filepath.Join(la.dir, name) }

// remembered reads what was taken last. One that can't be read is said, and is
// none: what lies beside it is signed, and says how far we were.
func (la *larder) remembered() (a accepted, known bool, err error) {
	b, err := os.ReadFile(la.file(acceptedName))
	if errors.Is(err, fs.ErrNotExist) {
		return a, false, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &a)
	}
	if err == nil && (a.Version == 0 || a.Key == "" || a.Sum == "") {
		err = errors.New("no version in it")
	}
	if err != nil {
		return accepted{}, false, fmt.Errorf("%s: %w", acceptedName, err)
	}
	return a, true, nil
}

// restore reads the stored manifest; nil and nil when there is none.
func (la *larder) restore() (*catalogue.Catalogue, error) {
	b, err := readBounded(la.file(catalogueName), catalogue.MaxSealed)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m, err := la.judge(b)
	if err != nil {
		return nil, err
	}
	la.base = m
	if m.Version > la.floor.Version { // the power went before it was remembered
		if err := la.remember(m, b); err != nil {
			la.log.Warn("catalogue's version not remembered", "err", err)
		}
	}
	return m.Offer()
}

// readBounded reads a file that has no reason to be longer.
func readBounded(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("over %d bytes", most)
	}
	return b, err
}

// judge says whether sealed bytes are the bus's, and none that was replaced.
func (la *larder) judge(b []byte) (*catalogue.Manifest, error) {
	m, err := catalogue.OpenManifest(b, la.key)
	if err != nil {
		return nil, err
	}
	f := la.floor
	switch {
	case m.Version < f.Version, catalogue.Compare(m.Catalogue, f.Catalogue) < 0:
		err = fmt.Errorf("%w: after %d, %s", catalogue.ErrRollback, f.Version, f.Catalogue)
	case m.Version == f.Version && sumOf(b) != f.Sum:
		err = fmt.Errorf("%w: not what that version was before", catalogue.ErrManifest)
	}
	if err != nil {
		return nil, named(m, err)
	}
	return m, nil
}

// named says of which manifest an error is.
func named(m *catalogue.Manifest, err error) error {
	return fmt.Errorf("version %d, %.40s: %w", m.Version, m.Catalogue, err)
}

// take judges a manifest and keeps it. c is nil when it is the one that is kept.
// lasting says that an error is the manifest's, and not the disk's.
func (la *larder) take(b []byte) (c *catalogue.Catalogue, lasting bool, err error) {
	m, err := la.judge(b)
	if err != nil {
		return nil, true, err
	}
	if c, err = m.Offer(); err != nil {
		return nil, true, named(m, err)
	}
	if la.base != nil && m.Version == la.floor.Version {
		return nil, true, nil
	}
	if err := keep.File(la.file(catalogueName), b); err != nil {
		return nil, false, err
	}
	la.base = m
	if err := la.remember(m, b); err != nil {
		return nil, false, err
	}
	return c, true, nil
}

// remember has nothing older taken from now on. What it is about must be on the
// disk: the other way round, a power cut would leave nothing to offer.
func (la *larder) remember(m *catalogue.Manifest, b []byte) error {
	f := accepted{Key: la.floor.Key, Version: m.Version, Catalogue: m.Catalogue, Sum: sumOf(b)}
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	if err := keep.File(la.file(acceptedName), append(text, '\n')); err != nil {
		return err
	}
	la.floor = f
	return nil
}

// fetchCatalogue looks for a newer catalogue every hour, until ctx ends.
func (l *Line) fetchCatalogue(ctx context.Context) error {
	return hourly(ctx, catalogueFirst, func() (settled bool) {
		lasting, err := l.lookCatalogue(ctx)
		if err != nil && ctx.Err() == nil {
			l.opts.Log.Warn("no catalogue from the bus", "err", err)
		}
		return lasting || err == nil
	})
}

// lookCatalogue fetches the catalogue if the bus has another one than before, and
// has it offered. lasting says that the same will come of it until the bus has
// another one.
func (l *Line) lookCatalogue(ctx context.Context) (lasting bool, err error) {
	la := l.larder
	b, changed, err := l.getCatalogue(ctx)
	switch {
	case lineTrouble(err):
		return false, err
	case err != nil:
	case !changed:
		lasting, err = true, la.found
	default:
		var c *catalogue.Catalogue
		if c, lasting, err = la.take(b); !lasting {
			la.tag = ""
		}
		if la.found = err; c != nil {
			l.opts.Log.Info("catalogue taken", "manifest", la.base.Version, "version", c.Version)
			l.offer(c)
		}
	}
	l.judged(err)
	return lasting, err
}

// getCatalogue gets the sealed manifest: by its difference from the one that is
// kept, and whole if there is none or the difference leads nowhere.
func (l *Line) getCatalogue(ctx context.Context) (b []byte, changed bool, err error) {
	la := l.larder
	if la.base == nil {
		return la.get(ctx, l, wholePath)
	}
	b, changed, err = la.get(ctx, l, "v1/catalogue/delta?from="+strconv.FormatUint(la.base.Version, 10))
	switch {
	case lineTrouble(err), err == nil && !changed:
		return nil, false, err
	case err != nil: // the bus doesn't know what we have
		return la.get(ctx, l, wholePath)
	}
	if b, _, err = catalogue.Apply(la.base, b, la.key); err == nil {
		return b, true, nil
	}
	la.log.Warn("catalogue's difference not used", "err", err)
	if b, _, _, err = l.Client.Fetch(ctx, wholePath, ""); err != nil {
		la.tag = "" // of the difference: it isn't settled
	}
	return b, err == nil, err
}

// wholePath is where the sealed manifest stands.
const wholePath = "v1/catalogue"

// lineTrouble says whether an error is told as the line's own.
func lineTrouble(err error) bool {
	return errors.Is(err, offline.ErrLineDown) || errors.Is(err, offline.ErrBusIdentity) || errors.Is(err, context.Canceled)
}

// get fetches from a path what isn't known from there.
func (la *larder) get(ctx context.Context, l *Line, path string) ([]byte, bool, error) {
	known := ""
	if la.path == path {
		known = la.tag
	}
	b, tag, changed, err := l.Client.Fetch(ctx, path, known)
	if err != nil {
		return nil, false, err
	}
	la.path, la.tag = path, tag
	return b, changed, nil
}

// offer has the kiosk offer a catalogue, or the program's own while that is newer.
func (l *Line) offer(c *catalogue.Catalogue) {
	if own := l.opts.Catalogue; catalogue.Compare(c.Version, own.Version) < 0 {
		l.opts.Log.Info("the program's own catalogue is newer", "bus", c.Version, "own", own.Version)
		c = own
	}
	l.mu.Lock()
	l.best = c
	k := l.kiosk
	l.mu.Unlock()
	if k != nil {
		k.Offer(c)
	}
	l.Changed()
}

// judged notes what the part came to.
func (l *Line) judged(err error) {
	l.notice(partOf("catalogue", err))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.untaken = ""
	if err != nil {
		l.untaken = words(err)
	}
	l.manifest = l.larder.floor.Version
}

// Catalogue is what the kiosk is to offer when it starts.
func (l *Line) Catalogue() *catalogue.Catalogue {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.best
}

// offered is how it stands with the catalogue.
func (l *Line) offered() health.Catalogue {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.best
	if l.kiosk != nil {
		now = l.kiosk.Offered()
	}
	h := health.Catalogue{Version: now.Version, From: "program", Manifest: l.manifest, Error: l.untaken}
	if now != l.opts.Catalogue {
		h.From = "bus"
	}
	if now != l.best {
		h.Next = l.best.Version
	}
	return h
}
