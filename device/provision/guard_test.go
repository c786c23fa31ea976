package provision

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"kosk/device/seal/sealtest"
	"kosk/drivers/keystore"
	keyfile "kosk/drivers/keystore/file"
	"kosk/drivers/keystore/tpm"
	"kosk/drivers/keystore/tpm/swtpm"
	"kosk/offline/queue/crashtest/volatile"
)

// bound is a PCR that tests may change, and keys are bound to.
const bound = 23

func openTPM(t *testing.T, m *swtpm.Machine) *tpm.Store {
	t.Helper()
	s, err := tpm.Open(tpm.Options{Path: m.Path, KeyPCRs: []uint{bound}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// guardedPair is a pair of a key that the store made.
func guardedPair(t *testing.T, k keystore.Keeper) tls.Certificate {
	t.Helper()
	key, err := k.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{selfSigned(t, key).Raw}, PrivateKey: key}
}

// unlocked opens the wallet as the kiosk does at its start.
func unlocked(t *testing.T, dir string, keys keystore.Store) *Wallet {
	t.Helper()
	w := openWallet(t, dir)
	if err := w.Unlock(keys); err != nil {
		t.Fatal(err)
	}
	return w
}

// speaks says whether key and certificate fit, and the key signs.
func speaks(t *testing.T, c tls.Certificate) bool {
	t.Helper()
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("envelope"))
	signature, err := c.PrivateKey.(crypto.Signer).Sign(rand.Reader, sum[:], crypto.SHA256)
	return err == nil && ecdsa.VerifyASN1(leaf.PublicKey.(*ecdsa.PublicKey), sum[:], signature)
}

// exposes looks in all files of a folder for a private key, in whatever form.
func exposes(t *testing.T, dir string, keys ...*ecdsa.PrivateKey) (found []string) {
	t.Helper()
	forms := map[string][]byte{"a private key in PEM": []byte("PRIVATE KEY")}
	for _, key := range keys {
		scalar, err := key.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		forms["raw"], forms["hex"], forms["decimal"] = scalar, []byte(hex.EncodeToString(scalar)), []byte(new(big.Int).SetBytes(scalar).String())
		for shift := range 3 { // wherever it begins in what was encoded; whole groups only
			text := base64.StdEncoding.EncodeToString(append(make([]byte, shift), scalar...))
			forms["base64"+strings.Repeat("+", shift)] = []byte(text[4 : len(text)-4])
		}
		err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			plain := strings.NewReplacer("\\n", "", "\n", "").Replace(string(b)) // PEM breaks lines
			for name, form := range forms {
				if bytes.Contains(b, form) || strings.Contains(plain, string(form)) {
					found = append(found, name+" in "+d.Name())
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

func TestTheSearchForKeysFindsAPlainOne(t *testing.T) {
	dir, s := t.TempDir(), newStation(t)
	if err := Save(dir, s); err != nil {
		t.Fatal(err)
	}
	if found := exposes(t, dir, s.Key.(*ecdsa.PrivateKey)); len(found) < 2 { // as PEM, and as base64 of its bytes
		t.Errorf("found only %q", found)
	}
}

func TestAGuardedStation(t *testing.T) {
	machine := swtpm.Start(t)
	store := openTPM(t, machine)
	s, dir := newStation(t), t.TempDir()
	s.Certificate = guardedPair(t, store)
	s.Key = s.Certificate.PrivateKey.(crypto.Signer)
	if err := Save(dir, s); err != nil {
		t.Fatal(err)
	}
	if found := exposes(t, dir, sealtest.Key(t)); len(found) > 0 {
		t.Errorf("the folder holds %q", found)
	}
	loaded, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := loaded.Key.Sign(nil, make([]byte, 32), crypto.SHA256); !errors.Is(err, ErrLocked) {
		t.Errorf("it signs before it is unlocked: %v", err)
	}
	if err := Save(t.TempDir(), loaded); err != nil {
		t.Errorf("a locked one is not saved: %v", err)
	}
	open, err := loaded.Unlock(store)
	if err != nil || !speaks(t, open.Certificate) || open.Guard() != Inside || open.Client() != s.Client() {
		t.Errorf("unlocked: %v", err)
	}

	files, err := keyfile.Open(filepath.Join(t.TempDir(), "queue.key"))
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []keystore.Store{nil, files} {
		if _, err := loaded.Unlock(other); !errors.Is(err, ErrNoKeeper) {
			t.Errorf("by another kind of keystore: %v", err)
		}
	}
	if _, err := loaded.Unlock(openTPM(t, swtpm.Start(t))); !errors.Is(err, keystore.ErrForeign) {
		t.Errorf("on another machine: %v", err)
	}
	machine.Extend(t, bound)
	if _, err := loaded.Unlock(store); !errors.Is(err, keystore.ErrState) {
		t.Errorf("in another state: %v", err)
	}
	if err := openWallet(t, dir).Unlock(store); !errors.Is(err, keystore.ErrState) {
		t.Errorf("a wallet in another state: %v", err)
	}
	machine.Reboot(t)
	if _, err := loaded.Unlock(openTPM(t, machine)); err != nil {
		t.Errorf("after a start in the old state: %v", err)
	}
}

// A file that says both, or of another key, is damaged.
func TestAGuardedFileThatCannotBe(t *testing.T) {
	store := openTPM(t, swtpm.Start(t))
	s, plain := newStation(t), newStation(t)
	s.Certificate = guardedPair(t, store)
	s.Key = s.Certificate.PrivateKey.(crypto.Signer)
	whole, err := s.bytes()
	if err != nil {
		t.Fatal(err)
	}
	inClear, err := plain.file()
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*file){
		"both":           func(f *file) { f.Key = inClear.Key },
		"none":           func(f *file) { f.Guarded = nil },
		"no certificate": func(f *file) { f.Chain = "" },
		"version 1":      func(f *file) { f.Version = 1 },
		"version 3":      func(f *file) { f.Version = 3 },
	} {
		var f file
		if err := json.Unmarshal(whole, &f); err != nil {
			t.Fatal(err)
		}
		change(&f)
		b, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parse(b); err == nil {
			t.Errorf("%s: it loads", name)
		}
	}
	inClear.Chain = armour("CERTIFICATE", guardedPair(t, store).Certificate[0])
	inClear.Version, inClear.Key, inClear.Guarded = versionGuarded, "", s.Key.(keystore.Key).Guarded()
	b, err := json.Marshal(inClear)
	if err != nil {
		t.Fatal(err)
	}
	mixed, err := parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mixed.Unlock(store); !errors.Is(err, keystore.ErrForeign) {
		t.Errorf("another certificate's key: %v", err)
	}
	s.Certificate.Certificate = guardedPair(t, store).Certificate
	if err := Save(t.TempDir(), s); err == nil {
		t.Error("a certificate of another key was saved")
	}
}

// plainFolder is a kiosk of an earlier version in the midst of a renewal.
func plainFolder(t *testing.T) (dir string, current, next *ecdsa.PrivateKey) {
	t.Helper()
	dir = t.TempDir()
	s := newStation(t)
	if err := Save(dir, s); err != nil {
		t.Fatal(err)
	}
	pair := newPair(t)
	if err := openWallet(t, dir).Keep(pair); err != nil {
		t.Fatal(err)
	}
	return dir, s.Key.(*ecdsa.PrivateKey), pair.PrivateKey.(*ecdsa.PrivateKey)
}

// After a cut at any change of the move, both pairs work, and the move that is done
// again leaves no private key in the folder.
func TestACutAtAnyStepOfTheMoveLosesNoKey(t *testing.T) {
	store := openTPM(t, swtpm.Start(t))
	dir, current, next := plainFolder(t)
	works := func(t *testing.T, w *Wallet) {
		t.Helper()
		now, then, err := w.Pairs()
		if err != nil || !speaks(t, now) || !current.PublicKey.Equal(now.PrivateKey.(crypto.Signer).Public()) {
			t.Fatalf("the current pair: %v", err)
		}
		if len(then.Certificate) == 0 || !speaks(t, then) || !next.PublicKey.Equal(then.PrivateKey.(crypto.Signer).Public()) {
			t.Fatal("the next pair is lost")
		}
	}
	cuts := volatile.EachCut(t, content(t, dir), func(dir string) error {
		w := unlocked(t, dir, store)
		err := w.Move()
		if now := w.Station().Certificate; !speaks(t, now) || !current.PublicKey.Equal(now.PrivateKey.(crypto.Signer).Public()) {
			t.Error("without a start the current pair doesn't work")
		}
		return err
	}, func(t *testing.T, r volatile.Remnant, moved error) {
		again := unlocked(t, r.Dir, store)
		works(t, again)
		if err := again.Move(); err != nil {
			t.Fatalf("again: %v", err)
		}
		if found := exposes(t, r.Dir, current, next); len(found) > 0 || again.Station().Guard() != Moved {
			t.Errorf("left %q, guard %v", found, again.Station().Guard())
		}
		works(t, again)
		if err := again.Promote(); err != nil || !speaks(t, again.Station().Certificate) || !next.PublicKey.Equal(again.Public()) {
			t.Errorf("promoted: %v", err)
		}
		if moved == nil && !r.Cut && again.Station().Guard() != Moved {
			t.Error("it was not moved")
		}
	})
	if cuts != 14 { // five for each of the two files, and two to overwrite it
		t.Errorf("cut %d times", cuts)
	}
}

// A move that fails leaves a wallet that works without a start.
func TestAMoveThatFailsLeavesAWorkingWallet(t *testing.T) {
	store := openTPM(t, swtpm.Start(t))
	dir, current, next := plainFolder(t)
	failures := volatile.EachFailure(t, content(t, dir), syscall.ENOSPC, func(dir string) error {
		w := unlocked(t, dir, store)
		err := w.Move()
		now, then, err2 := w.Pairs()
		if err2 != nil || !speaks(t, now) || !current.PublicKey.Equal(now.PrivateKey.(crypto.Signer).Public()) {
			t.Errorf("after %v: the current pair: %v", err, err2)
		}
		if len(then.Certificate) == 0 || !speaks(t, then) || !next.PublicKey.Equal(then.PrivateKey.(crypto.Signer).Public()) {
			t.Errorf("after %v: the next pair is lost", err)
		}
		return err
	}, func(files map[string][]byte, _ error) {
		if len(files) != 2 {
			t.Errorf("the folder has %d files", len(files))
		}
	})
	if failures != 14 {
		t.Errorf("failed %d times", failures)
	}
}

// What was in the file is overwritten, and not only nameless.
func TestTheMoveOverwritesWhatItReplaces(t *testing.T) {
	dir, current, next := plainFolder(t)
	var old []*os.File
	for _, name := range []string{File, NextFile} {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		old = append(old, f)
	}
	w := unlocked(t, dir, openTPM(t, swtpm.Start(t)))
	if err := w.Move(); err != nil {
		t.Fatal(err)
	}
	for _, f := range old {
		b, err := io.ReadAll(f)
		if err != nil || len(b) == 0 || len(bytes.Trim(b, "\x00")) > 0 {
			t.Errorf("%s held still %d bytes of %d: %v", filepath.Base(f.Name()), len(bytes.Trim(b, "\x00")), len(b), err)
		}
	}
	if found := exposes(t, dir, current, next); len(found) > 0 {
		t.Errorf("left %q", found)
	}
}

// A renewal where a TPM guards the keys: the new one is made in it, whatever change
// the power is cut at.
func TestARenewalMakesTheKeyInside(t *testing.T) {
	store := openTPM(t, swtpm.Start(t))
	dir := t.TempDir()
	if err := Save(dir, newStation(t)); err != nil {
		t.Fatal(err)
	}
	w := unlocked(t, dir, store)
	if err := w.Move(); err != nil {
		t.Fatal(err)
	}
	key, err := w.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	public := key.Public().(*ecdsa.PublicKey)
	fresh := tls.Certificate{Certificate: [][]byte{selfSigned(t, key).Raw}, PrivateKey: key}
	var kept error
	cuts := volatile.EachCut(t, content(t, dir), func(dir string) error {
		w := unlocked(t, dir, store)
		if kept = w.Keep(fresh); kept != nil {
			return kept
		}
		return w.Promote()
	}, func(t *testing.T, r volatile.Remnant, promoted error) {
		again := unlocked(t, r.Dir, store)
		now, next, err := again.Pairs()
		if err != nil || !speaks(t, now) || kept == nil && len(next.Certificate) == 0 && !public.Equal(again.Public()) {
			t.Fatalf("no pair: %v", err)
		}
		if promoted == nil && (again.Station().Guard() != Inside || !public.Equal(again.Public())) {
			t.Errorf("the new key: guard %v", again.Station().Guard())
		}
	})
	if cuts != 9 {
		t.Errorf("cut %d times", cuts)
	}
}

// A next pair that this machine can't open any more doesn't stand in the way of
// another one.
func TestANextPairThatDoesNotOpenIsNone(t *testing.T) {
	machine := swtpm.Start(t)
	store := openTPM(t, machine)
	dir := t.TempDir()
	if err := Save(dir, newStation(t)); err != nil {
		t.Fatal(err)
	}
	w := unlocked(t, dir, store)
	if err := w.Keep(guardedPair(t, store)); err != nil {
		t.Fatal(err)
	}
	machine.Extend(t, bound)
	if _, next, err := w.Pairs(); err != nil || len(next.Certificate) > 0 {
		t.Errorf("a next pair of another state: %v", err)
	}
	if err := w.Keep(guardedPair(t, store)); err != nil {
		t.Fatal(err)
	}
	if err := w.Promote(); err != nil || !speaks(t, w.Station().Certificate) {
		t.Errorf("another one: %v", err)
	}
}

// A keystore that takes no key leaves it where it works.
func TestAKeystoreThatRefusesLeavesTheKeyInItsFile(t *testing.T) {
	dir, current, _ := plainFolder(t)
	w := unlocked(t, dir, broken{})
	if err := w.Move(); !errors.Is(err, errBroken) {
		t.Errorf("moved: %v", err)
	}
	for _, w := range []*Wallet{w, openWallet(t, dir)} {
		if s := w.Station(); !current.Equal(s.Key) || s.Guard() != InFile {
			t.Errorf("guard %v", s.Guard())
		}
	}
	files, err := keyfile.Open(filepath.Join(t.TempDir(), "queue.key"))
	if err != nil {
		t.Fatal(err)
	}
	w = unlocked(t, dir, files)
	if err := w.Move(); err != nil || w.Station().Guard() != InFile {
		t.Errorf("a keystore that keeps no keys: %v", err)
	}
	if key, err := w.NewKey(); err != nil || key.(*ecdsa.PrivateKey) == nil {
		t.Errorf("new key: %v", err)
	}
}

var errBroken = errors.New("broken")

// broken is a TPM that answers and can't.
type broken struct{ keystore.Store }

func (broken) NewKey() (keystore.Key, error)                   { return nil, errBroken }
func (broken) TakeKey(*ecdsa.PrivateKey) (keystore.Key, error) { return nil, errBroken }
func (broken) OpenKey([]byte) (keystore.Key, error)            { return nil, errBroken }

func FuzzParse(f *testing.F) {
	whole, err := newStation(f).bytes()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte(`{"v":2,"name":"K","url":"https://b:1","guarded":"AAAA","certificate":"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parse(b)
		if err != nil {
			return
		}
		if _, err := s.bytes(); err != nil {
			t.Errorf("what loads is not saved: %v", err)
		}
	})
}
