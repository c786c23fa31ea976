package registry

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestOperators(t *testing.T) {
	const password = "correct horse battery staple"
	dir := t.TempDir()
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for want, err := range map[error]error{
		ErrName:     r.AddOperator("Nigar Əliyeva", RoleOperator, password, time.Now()),
		ErrRole:     r.AddOperator("nigar", "king", password, time.Now()),
		ErrPassword: r.AddOperator("nigar", RoleOperator, "short", time.Now()),
		ErrOperator: r.RemoveOperator("nigar"),
	} {
		if !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	if err := r.AddOperator("nigar", RoleOperator, password, time.Now()); err != nil {
		t.Fatal(err)
	}
	o, err := r.Operator("nigar")
	if err != nil {
		t.Fatal(err)
	}
	if !o.Fits(password) || o.Fits(password+"x") || o.Fits("") || (Operator{}).Fits("") || (Operator{}).Fits(password) {
		t.Error("fits what it must not, or doesn't fit")
	}
	b, err := os.ReadFile(filepath.Join(dir, "operators.json"))
	if err != nil || strings.Contains(string(b), password) || !strings.Contains(string(b), "$argon2id$v=19$m=65536,t=3,p=4$") {
		t.Errorf("file: %v %s", err, b)
	}
	if info, err := os.Stat(filepath.Join(dir, "operators.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode: %v %v", info.Mode(), err)
	}
	first := o.Password
	if err := r.AddOperator("nigar", RoleAuditor, password, time.Now()); err != nil {
		t.Fatal(err)
	}
	if o, err = r.Operator("nigar"); err != nil || o.Role != RoleAuditor || o.Password == first {
		t.Errorf("again: %v %v, same salt: %v", o.Role, err, o.Password == first)
	}
	if err := r.RemoveOperator("nigar"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Operator("nigar"); !errors.Is(err, ErrOperator) {
		t.Errorf("removed: %v", err)
	}
}

// FuzzPassword reads whatever a damaged file holds.
func FuzzPassword(f *testing.F) {
	f.Add(hashPassword("correct horse battery staple"))
	f.Add("$argon2id$v=19$m=65536,t=3,p=4$AAAA$BBBB")
	f.Fuzz(func(t *testing.T, s string) {
		salt, key, _ := parsePassword(s)
		if len(salt) != argonSalt || len(key) != argonKey {
			t.Errorf("%q: salt %d, key %d", s, len(salt), len(key))
		}
	})
}
