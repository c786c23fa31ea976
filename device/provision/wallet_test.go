package provision

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kosk/device/seal/sealtest"
	"kosk/offline/queue/crashtest/volatile"
)

var errCut = errors.New("power cut")

func newPair(t *testing.T) tls.Certificate {
	t.Helper()
	key := sealtest.Key(t)
	return tls.Certificate{Certificate: [][]byte{selfSigned(t, key).Raw}, PrivateKey: key}
}

func openWallet(t *testing.T, dir string) *Wallet {
	t.Helper()
	w, err := OpenWallet(dir)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func isPair(a, b tls.Certificate) bool {
	return len(a.Certificate) > 0 && len(b.Certificate) > 0 && string(a.Certificate[0]) == string(b.Certificate[0]) &&
		a.PrivateKey.(*ecdsa.PrivateKey).Equal(b.PrivateKey)
}

func TestTheNextPairTakesThePlaceOfTheCurrentOne(t *testing.T) {
	dir := t.TempDir()
	old := newStation(t)
	if err := Save(dir, old); err != nil {
		t.Fatal(err)
	}
	w := openWallet(t, dir)
	if current, next, err := w.Pairs(); err != nil || !isPair(current, old.Certificate) || len(next.Certificate) > 0 {
		t.Fatalf("at first: next %d, %v", len(next.Certificate), err)
	}
	if err := w.Promote(); !errors.Is(err, ErrNoNext) {
		t.Errorf("promoted nothing: %v", err)
	}
	fresh := newPair(t)
	for _, c := range []tls.Certificate{newPair(t), fresh} { // a later one takes the earlier one's place
		if err := w.Keep(c); err != nil {
			t.Fatal(err)
		}
	}
	w = openWallet(t, dir)
	if current, next, err := w.Pairs(); err != nil || !isPair(current, old.Certificate) || !isPair(next, fresh) {
		t.Fatalf("kept: %v", err)
	}
	if err := w.Promote(); err != nil {
		t.Fatal(err)
	}
	for _, w := range []*Wallet{w, openWallet(t, dir)} {
		if current, next, err := w.Pairs(); err != nil || !isPair(current, fresh) || len(next.Certificate) > 0 {
			t.Errorf("promoted: next %d, %v", len(next.Certificate), err)
		}
		s := w.Station()
		if s.Name != old.Name || string(s.StreamKey) != string(old.StreamKey) || !s.ReceiptKey.Equal(old.ReceiptKey) {
			t.Error("more than the pair was exchanged")
		}
	}
}

func TestTheWalletSignsWithTheCurrentKey(t *testing.T) {
	dir := t.TempDir()
	old := newStation(t)
	if err := Save(dir, old); err != nil {
		t.Fatal(err)
	}
	w, fresh := openWallet(t, dir), newPair(t)
	sum := sha256.Sum256([]byte("envelope"))
	signs := func(key *ecdsa.PrivateKey) bool {
		sig, err := w.Sign(rand.Reader, sum[:], nil)
		return err == nil && ecdsa.VerifyASN1(&key.PublicKey, sum[:], sig) && key.PublicKey.Equal(w.Public())
	}
	if err := w.Keep(fresh); err != nil || !signs(old.Key.(*ecdsa.PrivateKey)) {
		t.Errorf("before: %v", err)
	}
	if err := w.Promote(); err != nil || !signs(fresh.PrivateKey.(*ecdsa.PrivateKey)) {
		t.Errorf("after: %v", err)
	}
}

// After a cut at any change there is a pair, and a renewal that is done again ends.
func TestACutAtAnyStepLeavesAWorkingPair(t *testing.T) {
	old, fresh := newStation(t), newPair(t)
	var kept, promoted error
	cuts := volatile.EachCut(t, enrolled(t, old), func(dir string) error {
		w := openWallet(t, dir)
		kept, promoted = w.Keep(fresh), errCut
		if kept == nil {
			promoted = w.Promote()
		}
		return promoted
	}, func(t *testing.T, r volatile.Remnant, _ error) {
		again := openWallet(t, r.Dir)
		current, next, err := again.Pairs()
		if err != nil || !isPair(current, old.Certificate) && !isPair(current, fresh) {
			t.Fatalf("no pair: %v", err)
		}
		if kept == nil && !isPair(current, fresh) && !isPair(next, fresh) {
			t.Fatal("what was kept is lost")
		}
		if promoted == nil && !isPair(current, fresh) {
			t.Fatal("what was promoted is not current")
		}
		onlyPairs(t, r.Dir)
		last := newPair(t)
		if err := errors.Join(again.Keep(last), again.Promote()); err != nil {
			t.Fatalf("again: %v", err)
		}
		if current, _, err := openWallet(t, r.Dir).Pairs(); err != nil || !isPair(current, last) {
			t.Fatalf("again: %v", err)
		}
	})
	if cuts != 9 { // five to keep, two to promote, two to overwrite
		t.Errorf("cut %d times", cuts)
	}
}

// enrolled is the folder of a station.
func enrolled(t *testing.T, s *Station) map[string][]byte {
	t.Helper()
	dir := t.TempDir()
	if err := Save(dir, s); err != nil {
		t.Fatal(err)
	}
	return content(t, dir)
}

// content is what lies in a folder.
func content(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// onlyPairs checks that nothing else with a key was left.
func onlyPairs(t *testing.T, dir string) {
	t.Helper()
	for name := range content(t, dir) {
		if name != File && name != NextFile {
			t.Errorf("a key is left in %q", name)
		}
	}
}

func TestANextPairOfAnotherEnrolmentIsNone(t *testing.T) {
	dir := t.TempDir()
	if err := Save(dir, newStation(t)); err != nil {
		t.Fatal(err)
	}
	w := openWallet(t, dir)
	if err := w.Keep(newPair(t)); err != nil {
		t.Fatal(err)
	}
	theirs, err := os.ReadFile(filepath.Join(dir, NextFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := Save(dir, newStation(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, NextFile)); err == nil {
		t.Error("left by the enrolment")
	}
	for name, b := range map[string][]byte{"another's": theirs, "cut short": theirs[:len(theirs)/2]} {
		if err := os.WriteFile(filepath.Join(dir, NextFile), b, 0o600); err != nil {
			t.Fatal(err)
		}
		w := openWallet(t, dir)
		if _, next, err := w.Pairs(); err != nil || len(next.Certificate) > 0 {
			t.Errorf("%s: %v", name, err)
		}
		if err := w.Promote(); !errors.Is(err, ErrNoNext) {
			t.Errorf("%s: promoted: %v", name, err)
		}
		if err := w.Keep(newPair(t)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheNextPairIsItsOwnersAlone(t *testing.T) {
	dir := t.TempDir()
	if err := Save(dir, newStation(t)); err != nil {
		t.Fatal(err)
	}
	w := openWallet(t, dir)
	if err := w.Keep(newPair(t)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, NextFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := w.Keep(tls.Certificate{}); err == nil || strings.Contains(err.Error(), "BEGIN") {
		t.Errorf("no key: %v", err)
	}
}
