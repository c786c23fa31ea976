package file_test

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"kosk/drivers/keystore"
	"kosk/drivers/keystore/file"
	"kosk/drivers/keystore/keystoretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, path string) keystore.Store {
	t.Helper()
	s, err := file.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestKeystore(t *testing.T) {
	dir := t.TempDir()
	keystoretest.Run(t,
		func(t *testing.T) keystore.Store { return open(t, filepath.Join(dir, "key")) },
		func(t *testing.T) keystore.Store { return open(t, filepath.Join(dir, "other")) },
	)
}

func TestTheKeyIsForItsOwnerAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	open(t, path)
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 || info.Size() != 32 {
		t.Errorf("%v, %v", info, err)
	}
	left, err := filepath.Glob(path + ".new-*")
	if err != nil || len(left) != 0 {
		t.Errorf("left behind %v, %v", left, err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Open(path); err == nil {
		t.Error("a key that others may read was taken")
	}
}

func TestHalfAKeyIsNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, make([]byte, 16), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Open(path); err == nil {
		t.Error("half a key was taken")
	}
}
